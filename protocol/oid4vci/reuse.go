package oid4vci

import "slices"

// ReusePolicyARF is the id of the policies of the EUDI Architecture and
// Reference Framework, Annex II, Topic 10.
const ReusePolicyARF = "arf_annex_ii"

// How often a copy may be shown.
const (
	// ReuseOnce: to nobody after it was shown. Method A.
	ReuseOnce = "once_only"
	// ReuseLimited: to anyone, for a short time. Method B.
	ReuseLimited = "limited_time"
)

// ReusePolicy says how wallets use the copies of a document, and when they get
// new ones.
//
// ETSI TS 119 472-3, 4.2.4.2.
type ReusePolicy struct {
	ID      string        `json:"id"`
	Options []ReuseOption `json:"options,omitempty"`
}

// ReuseOption is one way, the issuer's favourite first.
type ReuseOption struct {
	Details []string `json:"details"` // methods

	// BatchSize is how many copies there are, with ReuseOnce.
	BatchSize int `json:"batch_size,omitempty"`
	// Unused is how few copies that were never shown are left when the wallet
	// gets new ones, with ReuseOnce; less than BatchSize.
	Unused int `json:"reissue_trigger_unused,omitempty"`
	// LifetimeLeft is how many seconds before they end the wallet gets new
	// ones, with ReuseLimited.
	LifetimeLeft int64 `json:"reissue_trigger_lifetime_left,omitempty"`
}

// Reuse is the first option that says nothing but ReuseOnce or ReuseLimited, and
// says it as it should; false if there is none: then the wallet does as it does
// without a policy.
func (c Configuration) Reuse() (ReuseOption, bool) {
	if c.CredentialMetadata == nil || c.CredentialMetadata.ReusePolicy == nil || c.CredentialMetadata.ReusePolicy.ID != ReusePolicyARF {
		return ReuseOption{}, false
	}
	for _, o := range c.CredentialMetadata.ReusePolicy.Options {
		switch {
		case slices.Equal(o.Details, []string{ReuseOnce}) && o.BatchSize > 0 && o.Unused >= 0 && o.Unused < o.BatchSize,
			slices.Equal(o.Details, []string{ReuseLimited}) && o.LifetimeLeft > 0:
			return o, true
		}
	}
	return ReuseOption{}, false
}

// Once reports whether a copy may be shown to nobody after it was shown.
func (o ReuseOption) Once() bool { return slices.Contains(o.Details, ReuseOnce) }
