package oid4vci_test

import (
	"encoding/json"
	"testing"

	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/google/go-cmp/cmp"
)

// The first method that can be followed counts; what contradicts itself does not.
func TestReuse(t *testing.T) {
	const all = `"batch_size":10,"reissue_trigger_unused":2,"reissue_trigger_lifetime_left":600`
	for name, c := range map[string]struct {
		policy  string // whole
		options string // of a policy of the ARF
		want    oid4vci.ReuseOption
	}{
		"none":           {`{}`, "", oid4vci.ReuseOption{}},
		"another policy": {`{"credential_reuse_policy":{"id":"ours","options":[{"details":["once_only"],` + all + `}]}}`, "", oid4vci.ReuseOption{}},
		"once":           {"", `{"details":["once_only"],` + all + `}`, oid4vci.ReuseOption{Details: []string{"once_only"}, BatchSize: 10, Unused: 2}},
		"limited":        {"", `{"details":["limited_time"],` + all + `}`, oid4vci.ReuseOption{Details: []string{"limited_time"}, LifetimeLeft: 600}},
		"rotating":       {"", `{"details":["rotating-batch"],` + all + `}`, oid4vci.ReuseOption{Details: []string{"rotating-batch"}, BatchSize: 10, LifetimeLeft: 600}},
		"per party":      {"", `{"details":["per-relying-party"],` + all + `}`, oid4vci.ReuseOption{Details: []string{"per-relying-party"}, BatchSize: 10, Unused: 2, LifetimeLeft: 600}},
		"in order": {"", `{"details":["rotating-batch"],"batch_size":4,"reissue_trigger_lifetime_left":60},{"details":["once_only"],` + all + `}`,
			oid4vci.ReuseOption{Details: []string{"rotating-batch"}, BatchSize: 4, LifetimeLeft: 60}},
		"several in one": {"", `{"details":["per-relying-party","once_only"],` + all + `}`,
			oid4vci.ReuseOption{Details: []string{"per-relying-party"}, BatchSize: 10, Unused: 2, LifetimeLeft: 600}},
		"one not known": {"", `{"details":["twice_only","rotating-batch","limited_time"],` + all + `}`,
			oid4vci.ReuseOption{Details: []string{"rotating-batch"}, BatchSize: 10, LifetimeLeft: 600}},
		"the first without its numbers": {"", `{"details":["per-relying-party"],"batch_size":3},{"details":["once_only"],"batch_size":2}`,
			oid4vci.ReuseOption{Details: []string{"once_only"}, BatchSize: 2}},
		"the same in one option": {"", `{"details":["per-relying-party","once_only"],"batch_size":3,"reissue_trigger_unused":1}`,
			oid4vci.ReuseOption{Details: []string{"once_only"}, BatchSize: 3, Unused: 1}},
		"no size":                     {"", `{"details":["once_only"],"reissue_trigger_unused":2}`, oid4vci.ReuseOption{}},
		"no size to rotate":           {"", `{"details":["rotating-batch"],"reissue_trigger_lifetime_left":600}`, oid4vci.ReuseOption{}},
		"no time to rotate":           {"", `{"details":["rotating-batch"],"batch_size":10}`, oid4vci.ReuseOption{}},
		"always due":                  {"", `{"details":["once_only"],"batch_size":2,"reissue_trigger_unused":2}`, oid4vci.ReuseOption{}},
		"per party always due":        {"", `{"details":["per-relying-party"],"batch_size":2,"reissue_trigger_unused":2,"reissue_trigger_lifetime_left":600}`, oid4vci.ReuseOption{}},
		"negative":                    {"", `{"details":["limited_time"],"reissue_trigger_lifetime_left":-1}`, oid4vci.ReuseOption{}},
		"negative number of unused":   {"", `{"details":["once_only"],"batch_size":2,"reissue_trigger_unused":-1}`, oid4vci.ReuseOption{}},
		"no details":                  {"", `{` + all + `}`, oid4vci.ReuseOption{}},
		"details that say not a word": {"", `{"details":[""],` + all + `}`, oid4vci.ReuseOption{}},
	} {
		if c.options != "" {
			c.policy = `{"credential_reuse_policy":{"id":"arf_annex_ii","options":[` + c.options + `]}}`
		}
		conf := oid4vci.Configuration{CredentialMetadata: &oid4vci.CredentialMetadata{}}
		if err := json.Unmarshal([]byte(c.policy), conf.CredentialMetadata); err != nil {
			t.Fatal(err)
		}
		got, ok := conf.Reuse()
		if ok != (c.want.Details != nil) || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestReuseMethod(t *testing.T) {
	var none *oid4vci.ReuseOption
	if none.Method() != "" || (&oid4vci.ReuseOption{}).Method() != "" {
		t.Error("a method of nothing")
	}
}
