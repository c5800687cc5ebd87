package offering

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/doctype"
)

func TestReuse(t *testing.T) {
	for text, want := range map[string]Methods{
		"reuse: once_only":                                {ReuseOnce},
		"reuse: [limited_time], batch: 1":                 {ReuseLimited},
		"reuse: [per-relying-party, once_only]":           {ReusePerParty, ReuseOnce},
		"reuse: [rotating-batch, limited_time], batch: 3": {ReuseRotating, ReuseLimited},
		"reuse: [per-relying-party, rotating-batch, once_only], reissueUnused: 9, reissueLeftDays: 13": {ReusePerParty, ReuseRotating, ReuseOnce},
	} {
		list, err := Load([]byte("offerings: [{docType: org.iso.18013.5.1.mDL, "+text+"}]"), doctype.Builtin())
		if err != nil || !slices.Equal(list[0].Reuse, want) {
			t.Errorf("%s: %+v, %v", text, list, err)
		}
	}
}

func TestReuseRefused(t *testing.T) {
	for text, want := range map[string]string{
		"reuse: often":          "wanted some of once_only",
		"reuse: {once_only: 1}": "cannot construct",
		"reuse: [rotating-batch, rotating-batch, once_only]":                   "given twice",
		"reuse: [once_only, limited_time]":                                     "every app knows",
		"reuse: [once_only, rotating-batch]":                                   "every app knows",
		"reuse: rotating-batch":                                                "every app knows",
		"reuse: [per-relying-party, rotating-batch]":                           "every app knows",
		"reuse: once_only, batch: 1":                                           "batch of 1",
		"reuse: limited_time, batch: 2":                                        "batch of 1",
		"reuse: [rotating-batch, limited_time],batch: 1":                       "batch of 1",
		"reissueUnused: 2":                                                     "only where reuse has",
		"reuse: [limited_time], batch: 1, reissueUnused: 1":                    "only where reuse has",
		"reuse: once_only, reissueUnused: 10":                                  "less than the batch",
		"reuse: once_only, reissueUnused: -1":                                  "1 or more",
		"reissueLeftDays: 2":                                                   "only where reuse has",
		"reuse: once_only, reissueLeftDays: 2":                                 "only where reuse has",
		"reuse: [limited_time], batch: 1, lifetimeDays: 7, reissueLeftDays: 7": "less than lifetimeDays",
		"reuse: [rotating-batch, once_only], reissueLeftDays: -1":              "1 or more",
	} {
		_, err := Load([]byte("offerings: [{docType: org.iso.18013.5.1.mDL, "+text+"}]"), doctype.Builtin())
		if !errors.Is(err, ErrOffering) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
