package oid4vci

import "slices"

// ReusePolicyARF is the id of the policies of the EUDI Architecture and
// Reference Framework, Annex II, Topic 10.
const ReusePolicyARF = "arf_annex_ii"

// The methods: to whom a copy may be shown, and how often. EUDI ARF 2.9,
// Annex II, ISSU_37 to ISSU_60.
const (
	// ReuseOnce: to nobody after it was shown. Method A.
	ReuseOnce = "once_only"
	// ReuseLimited: to anyone, for a short time. Method B.
	ReuseLimited = "limited_time"
	// ReuseRotating: to anyone, but to nobody again before all the others were
	// shown as often. Method C.
	ReuseRotating = "rotating-batch"
	// ReusePerParty: to one relying party, as often as it asks. Method D.
	ReusePerParty = "per-relying-party"
)

// ReuseMethods lists the methods.
func ReuseMethods() []string {
	return []string{ReuseOnce, ReuseLimited, ReuseRotating, ReusePerParty}
}

// ReusePolicy says how wallets use the copies of a document, and when they get
// new ones.
//
// ETSI TS 119 472-3, 4.2.4.2.
type ReusePolicy struct {
	ID      string        `json:"id"`
	Options []ReuseOption `json:"options,omitempty"`
}

// ReuseOption is one way or several, the issuer's favourite first.
type ReuseOption struct {
	Details []string `json:"details"` // methods

	// BatchSize is how many copies there are; not with ReuseLimited, where there
	// is one.
	BatchSize int `json:"batch_size,omitempty"`
	// Unused is how few copies that were never shown are left when the wallet
	// gets new ones, with ReuseOnce and ReusePerParty; less than BatchSize.
	Unused int `json:"reissue_trigger_unused,omitempty"`
	// LifetimeLeft is how many seconds before they end the wallet gets new
	// ones; not with ReuseOnce.
	LifetimeLeft int64 `json:"reissue_trigger_lifetime_left,omitempty"`
}

// Reuse is the method that the issuer prefers among those that it describes as
// it should, alone in its option and without what is not for it; false if there
// is none: then the wallet does as it does without a policy. Several methods in
// one option are as many options with the same numbers.
func (c Configuration) Reuse() (ReuseOption, bool) {
	if c.CredentialMetadata == nil || c.CredentialMetadata.ReusePolicy == nil || c.CredentialMetadata.ReusePolicy.ID != ReusePolicyARF {
		return ReuseOption{}, false
	}
	for _, o := range c.CredentialMetadata.ReusePolicy.Options {
		for _, method := range o.Details {
			if one := o.Only(method); one.complete() {
				return one, true
			}
		}
	}
	return ReuseOption{}, false
}

// Only is an option for one of the methods, with the numbers that are for it.
func (o ReuseOption) Only(method string) ReuseOption {
	o.Details = []string{method}
	if method == ReuseLimited {
		o.BatchSize = 0
	}
	if method == ReuseLimited || method == ReuseRotating {
		o.Unused = 0
	}
	if method == ReuseOnce {
		o.LifetimeLeft = 0
	}
	return o
}

// complete reports whether an option of one method has the numbers for it.
func (o ReuseOption) complete() bool {
	method := o.Method()
	batch := method == ReuseLimited || o.BatchSize > 0 && o.Unused >= 0 && o.Unused < o.BatchSize
	return slices.Contains(ReuseMethods(), method) && batch && (method == ReuseOnce || o.LifetimeLeft > 0)
}

// Method is the method of an option that Reuse or Only returned; empty for nil.
func (o *ReuseOption) Method() string {
	if o == nil || len(o.Details) == 0 {
		return ""
	}
	return o.Details[0]
}
