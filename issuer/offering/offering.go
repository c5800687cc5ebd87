// Package offering says what an issuing authority does with a document type:
// in which format, for which keys, how many copies for how long, and from
// which attributes. The document type itself is public and the same for
// everyone (format/doctype).
package offering

import (
	"time"
)

// The formats. OpenID4VCI 1.0, A.2 and A.3.
const (
	FormatMdoc  = "mso_mdoc"
	FormatSDJWT = "dc+sd-jwt"
)

// VCTHere makes the type of SD-JWT VCs an address of the authority.
const VCTHere = "here"

// Level is a confidence level of key storage: what an attestation of a key
// must reach before a document is signed for it.
type Level string

// The levels, rising.
const (
	Low         Level = "low" // software keys, trusted on first use
	Substantial Level = "substantial"
	High        Level = "high"
)

// Offering is one thing that an authority issues. The zero value of each
// field means what its comment says; DocType alone makes a usable offering.
type Offering struct {
	// Tenant is the authority. Optional, "default".
	Tenant string `yaml:"tenant,omitempty"`
	// ID is the credential configuration id in metadata and offers: letters,
	// digits, "-", "_" and ".". Optional, the short name of the type, with
	// "-sd-jwt" behind it for that format.
	ID string `yaml:"id,omitempty"`
	// DocType is the document type, in the spelling that is issued.
	DocType string `yaml:"docType"`
	// Format of the credentials, "mso_mdoc" or, for types that have it,
	// "dc+sd-jwt". Optional, "mso_mdoc".
	Format string `yaml:"format,omitempty"`
	// VCT is the type that SD-JWT VCs state: a name, or "here" for an address of
	// the authority at which the type metadata are served. Optional, the name in
	// the definition of the document type.
	VCT string `yaml:"vct,omitempty"`
	// Scope is the OAuth scope that asks for it. Optional, the ID.
	Scope string `yaml:"scope,omitempty"`
	// Level that the keys must reach. Optional, "low".
	Level Level `yaml:"level,omitempty"`
	// Batch is how many copies are issued at once, 1 to 100. Optional, 10.
	Batch int `yaml:"batch,omitempty"`
	// Lifetime of the signed copies, whole days. Optional, 14 days. Shorter
	// means more re-issuing and smaller status lists.
	Lifetime Days `yaml:"lifetimeDays,omitempty"`
	// Validity of the document as a whole (expiry_date where the register
	// has none), whole days. Optional, 5 years of 365 days.
	Validity Days `yaml:"validityDays,omitempty"`
	// PreAuthorized allows the pre-authorized code grant, Authorization the
	// authorization code grant. If neither is set both are allowed.
	PreAuthorized bool `yaml:"preAuthorized,omitempty"`
	Authorization bool `yaml:"authorizationCode,omitempty"`
	// NoTxCode waives the transaction code (PIN) of a pre-authorized offer.
	// Only for offers that are handed over face to face.
	NoTxCode bool `yaml:"noTxCode,omitempty"`
	// Reuse is how apps are told to use the copies, the favourite first:
	// "per-relying-party", the same copy to one verifier each time, another to
	// each other; "rotating-batch", all in turn, and again when all were shown;
	// at the end one of those that every app knows, "once_only", each copy to one
	// verifier, or "limited_time", one copy to all of them. Verifiers that see the
	// same copy know the holder again. Optional: nothing is said, and good apps
	// show each copy once. ETSI TS 119 472-3, 4.2.4.2.
	Reuse Methods `yaml:"reuse,omitempty"`
	// ReissueUnused is how few copies that were never shown are left when apps
	// get new ones, with "once_only" and "per-relying-party". Optional, a quarter
	// of the batch.
	ReissueUnused int `yaml:"reissueUnused,omitempty"`
	// ReissueLeft is how long before the copies end apps get new ones, whole
	// days, with all methods but "once_only". Optional, a third of the lifetime.
	ReissueLeft Days `yaml:"reissueLeftDays,omitempty"`
	// StatusPeriod is for how long the authority would like to be able to look
	// up the status of app and keys, whole days; at least as long as the copies
	// live is best, for they end with it. Optional: nothing is said.
	// EUDI TS3 1.5, 2.4.
	StatusPeriod Days `yaml:"statusPeriodDays,omitempty"`
	// Approval has an operator look at each request before the first copies are
	// signed. The app asks again until then.
	Approval bool `yaml:"approval,omitempty"`
	// Display is how the document looks, a language each. Optional, the
	// names and colours of the document type.
	Display []Display `yaml:"display,omitempty"`
	// From maps elements to attributes of the source: "namespace/id" or,
	// where unambiguous, "id" to an attribute name, "name[0]" for the first
	// entry of a list, "=text" for a fixed value in text form, "=" alone for
	// an empty one, or "-" to leave the element out. Optional: an element
	// takes the attribute with its own name.
	From map[string]string `yaml:"from,omitempty"`
}

// Days is a duration in whole days.
type Days int

// Duration returns the days as a duration.
func (d Days) Duration() time.Duration { return time.Duration(d) * 24 * time.Hour }

// Display is how a document looks in one language. OpenID4VCI 1.0, 12.2.4.
type Display struct {
	Locale      string `yaml:"locale,omitempty"`
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
	Background  string `yaml:"background,omitempty"` // "#rrggbb"
	Foreground  string `yaml:"foreground,omitempty"` // "#rrggbb"
	Logo        string `yaml:"logo,omitempty"`       // https or data URL
}

// Items are the encoded elements of a namespace, in definition order.
type Items struct {
	Namespace string
	Elements  []Item
}

// Item is an encoded element.
type Item struct {
	ID    string
	Value []byte // CBOR, owned by the caller
}
