package core

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/sdjwt"
)

// Verdict is what an answer, or a document in it, came to.
type Verdict string

// The verdicts of an answer. A document is Valid or Invalid.
const (
	Valid      Verdict = "valid"      // everything asked for is there, and in order
	Invalid    Verdict = "invalid"    // a document is not what it claims to be, or withdrawn
	Incomplete Verdict = "incomplete" // what is there is in order, but not all that is needed
	Empty      Verdict = "empty"      // nothing was returned
)

// Result is a verified answer. Its JSON is stable: members are only added.
//
//	{ "verdict": "valid", "reason": "", "verified_at": "2026-11-23T12:00:00Z",
//	  "documents": [ { "credential": "mdl", "format": "mso_mdoc", "doctype": "org.iso.18013.5.1.mDL", "name": "Driving licence",
//	    "verdict": "valid", "issuer": { "name": …, "country": "UT" },
//	    "elements": [ { "namespace": "org.iso.18013.5.1", "id": "age_over_18", "label": "Age over 18", "text": "Yes", "value": true } ],
//	    "portrait": base64, "portrait_type": "image/jpeg",
//	    "validity": { "signed": …, "from": …, "until": … },
//	    "status": { "outcome": "valid", "text": "status list 12 minutes old", "issued": …, "age_seconds": 720 },
//	    "device": "signature", "report": { "checks": [ … ] } } ],
//	  "missing": [ { "credential": "mdl", "doctype": …, "namespace": …, "id": …, "label": …, "why": … } ],
//	  "agreed": [ { "type": "urn:eudi:sca:payment:1", "data": { … }, "lines": [ "payment of: 5.00 EUR" ],
//	    "credential": "card", "hash": base64url, "hash_algorithm": "sha-256", "binding": { "jti": …, "amr": [ … ] } } ],
//	  "report": { "checks": [ … ] } }
type Result struct {
	Verdict Verdict `json:"verdict"`
	// Reason is the first thing that is wrong, in a sentence; empty if Valid.
	Reason     string     `json:"reason,omitempty"`
	VerifiedAt time.Time  `json:"verified_at"`
	Documents  []Document `json:"documents"`
	// Missing is what was asked for and needed but did not come.
	Missing []Missing `json:"missing,omitempty"`
	// Agreed is what the holder agreed to, where that was asked for; nothing of an
	// answer that is not valid. OpenID4VP 1.0, 8.4.
	Agreed []Agreed `json:"agreed,omitempty"`
	// Report is about the answer as a whole; each document has its own.
	Report check.Report `json:"report"`
}

// Agreed is an entry of transaction_data that a presentation authorised.
type Agreed struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"` // the whole object, as the wallet had it
	// Lines are what it means, for the types of format/transaction.
	Lines []string `json:"lines,omitempty"`
	// Credential is the id of the query's credential that authorised it, by this
	// hash over the object as it was sent: base64url.
	Credential    string `json:"credential"`
	Hash          string `json:"hash"`
	HashAlgorithm string `json:"hash_algorithm"`
	// Binding are the claims of the key binding JWT with the hash: an
	// authentication code and how the holder was recognised, where the type
	// wants that (EUDI TS12 1.0.1, 3.6). None of an mdoc.
	Binding json.RawMessage `json:"binding,omitempty"`
}

// Text is the object for people.
func (a Agreed) Text() string { return strings.Join(a.TextLines(), "\n") }

// TextLines are the lines of Text.
func (a Agreed) TextLines() []string {
	lines := a.Lines
	if len(lines) == 0 {
		lines = []string{string(a.Data)}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = printable(l)
	}
	return out
}

// OK reports whether the answer is valid and complete.
func (r *Result) OK() bool { return r.Verdict == Valid }

// Shows reports whether anything of the holder is in the result.
func (r *Result) Shows() bool {
	return slices.ContainsFunc(r.Documents, func(d Document) bool { return len(d.Elements) > 0 || d.Portrait != nil })
}

// Document is one document of an answer. Without a Valid verdict, or if the
// answer's own report has a failure, it has no elements and no portrait.
type Document struct {
	Credential string  `json:"credential"` // id of the query's credential that it answers
	Format     string  `json:"format"`     // mso_mdoc or dc+sd-jwt
	DocType    string  `json:"doctype"`    // of an SD-JWT VC, its vct
	Name       string  `json:"name"`       // of the type, for people
	Verdict    Verdict `json:"verdict"`
	Reason     string  `json:"reason,omitempty"`
	Issuer     Issuer  `json:"issuer"`

	Elements []Element `json:"elements,omitempty"`
	// Portrait is the image by which to recognise the holder; nil if none came.
	Portrait     []byte `json:"portrait,omitempty"`
	PortraitType string `json:"portrait_type,omitempty"` // image/jpeg or image/jp2

	Validity Validity `json:"validity"`
	Status   Status   `json:"status"`
	// Device is how the device proved itself: "signature" or "mac", or empty if
	// it did not have to.
	Device string `json:"device,omitempty"`
	// KeyBinding are the claims of the key binding JWT of a valid SD-JWT VC.
	KeyBinding []byte `json:"-"`

	Report check.Report `json:"report"`
}

// Issuer is who vouches for a document; empty if nobody who is trusted does.
type Issuer struct {
	Name    string `json:"name,omitempty"`
	Country string `json:"country,omitempty"`
	Origin  string `json:"origin,omitempty"` // why it is trusted: "VICAL of …"
}

// Validity are the dates of a document.
type Validity struct {
	Signed time.Time `json:"signed"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
}

// Status is what is known about the withdrawal of a document.
type Status struct {
	// Outcome is valid, invalid, suspended, other, unknown, or empty if the
	// document refers to no list.
	Outcome    string     `json:"outcome,omitempty"`
	Text       string     `json:"text"` // "status list 12 minutes old"
	Issued     *time.Time `json:"issued,omitempty"`
	AgeSeconds int64      `json:"age_seconds,omitempty"`
	Stale      bool       `json:"stale,omitempty"` // a newer list should exist but could not be had
}

// Element is one element that was asked for and came.
//
// Of an mdoc it is named by name space and identifier. A claim of an SD-JWT VC
// is named by its path, as asked; the identifier is that of the same element of
// the mdoc where the document type has it, so that it can be found by one name
// in both formats.
type Element struct {
	NameSpace string     `json:"namespace,omitempty"`
	ID        string     `json:"id,omitempty"`
	Path      sdjwt.Path `json:"path,omitempty"`
	Label     string     `json:"label"`
	Text      string     `json:"text"`
	// Value is the element as JSON: dates as text, byte strings as base64url.
	// Images have none. Where the path of a claim selects several it is an array
	// of them. OpenID4VP 1.0, B.2.3.
	Value any `json:"value,omitempty"`
	// Asked is the age statement that was asked for if this one answers in its
	// place: the asked one has the same value. ISO/IEC 18013-5:2021, 7.2.5.
	Asked string `json:"asked,omitempty"`
	// From is the element that this was computed from, where an age was asked for
	// and the document has no statement about it. It is not handed on.
	From string `json:"from,omitempty"`
	// Retain says that the holder was told that it will be kept.
	Retain bool `json:"retain,omitempty"`
	// DeviceSigned: the device vouches for it, not the issuer.
	DeviceSigned bool `json:"device_signed,omitempty"`
}

// Missing is an element or, without ID and Path, a document that did not come.
type Missing struct {
	Credential string     `json:"credential"`
	DocType    string     `json:"doctype"`
	NameSpace  string     `json:"namespace,omitempty"`
	ID         string     `json:"id,omitempty"`
	Path       sdjwt.Path `json:"path,omitempty"`
	Label      string     `json:"label"`
	Why        string     `json:"why"`
}

// whole reports whether it is a document.
func (m *Missing) whole() bool { return m.ID == "" && m.Path == nil }
