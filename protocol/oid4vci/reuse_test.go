package oid4vci_test

import (
	"encoding/json"
	"testing"

	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// The first option that can be followed counts; what contradicts itself does not.
func TestReuse(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		want   string // of the option; empty: none
	}{
		"none":           {`{}`, ""},
		"once":           {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"details":["once_only"],"batch_size":10,"reissue_trigger_unused":2}]}}`, "once_only"},
		"limited":        {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"details":["limited_time"],"reissue_trigger_lifetime_left":600}]}}`, "limited_time"},
		"second":         {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"details":["per-relying-party"],"batch_size":3},{"details":["once_only"],"batch_size":2}]}}`, "once_only"},
		"another policy": {`{"credential_reuse_policy":{"id":"ours","options":[{"details":["once_only"],"batch_size":10,"reissue_trigger_unused":2}]}}`, ""},
		"no size":        {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"details":["once_only"],"reissue_trigger_unused":2}]}}`, ""},
		"always due":     {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"details":["once_only"],"batch_size":2,"reissue_trigger_unused":2}]}}`, ""},
		"negative":       {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"details":["limited_time"],"reissue_trigger_lifetime_left":-1}]}}`, ""},
		"no details":     {`{"credential_reuse_policy":{"id":"arf_annex_ii","options":[{"batch_size":10,"reissue_trigger_unused":2}]}}`, ""},
	} {
		conf := oid4vci.Configuration{CredentialMetadata: &oid4vci.CredentialMetadata{}}
		if err := json.Unmarshal([]byte(c.policy), conf.CredentialMetadata); err != nil {
			t.Fatal(err)
		}
		got, ok := conf.Reuse()
		if ok != (c.want != "") || ok && (got.Details[0] != c.want || got.Once() != (c.want == "once_only")) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}
