// Package transaction knows types of transaction data: what a holder authorises
// by showing a document, such as a payment or a signature. It reads an object
// strictly and says in plain words what it means. Nothing is left out: an object
// with a member that could not be told is refused, as OpenID4VP 1.0, 8.5 wants.
//
// The types are those of EUDI TS12 1.0.1 (strong customer authentication) and the
// approval of a signature of the CSC Data Model Bindings 1.0.0, 7.1.
package transaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
)

// ErrInvalid is wrapped by every error about an object.
var ErrInvalid = errors.New("transaction data not valid")

// The types. Those of TS12 are for SCA attestations alone.
const (
	Payment       = "urn:eudi:sca:payment:1"
	Login         = "urn:eudi:sca:login_risk_transaction:1"
	AccountAccess = "urn:eudi:sca:account_access:1"
	Mandate       = "urn:eudi:sca:emandate:1"
	SignApproval  = "https://cloudsignatureconsortium.org/2025/qes-approval"
)

// Summary is what an object means.
type Summary struct {
	// Lines say it to the holder, each short and without line breaks.
	Lines []string
	// Record is what a log keeps of it.
	Record Record
	// ApprovalHash is the hash algorithm of a SignApproval by its name in the
	// Named Information Hash Algorithm Registry; empty for other types.
	ApprovalHash string
}

// Record is what a wallet's log keeps of an object: who and what for, no amounts.
//
// EUDI TS12 1.0.1, 5.3.
type Record struct {
	// Name of the type, such as "Payment Confirmation".
	Name string `json:"name"`
	// ID is what the other side calls the transaction.
	ID string `json:"transaction_id,omitempty"`
	// Payee is who is paid, Provider the legal name of who initiates the payment
	// or sees the account, Service what triggered the operation.
	Payee    string `json:"payee,omitempty"`
	Provider string `json:"provider,omitempty"`
	Service  string `json:"service,omitempty"`
	// Documents are those to be signed.
	Documents []string `json:"documents,omitempty"`
}

// Type is a type of transaction data.
type Type struct {
	ID string
	// SCA: a document authorises it only if its type metadata say so, and its key
	// binding JWT says how the holder was recognised (EUDI TS12 1.0.1, 3.2, 3.6).
	SCA bool

	read func(o *object, now time.Time) Summary
}

// Types are all types that are known.
func Types() []Type {
	return []Type{
		{Payment, true, payload(payment)}, {Login, true, payload(login)}, {AccountAccess, true, payload(accountAccess)}, {Mandate, true, payload(mandate)},
		{SignApproval, false, signApproval},
	}
}

// Find finds a type.
func Find(id string) (Type, bool) {
	for _, t := range Types() {
		if t.ID == id {
			return t, true
		}
	}
	return Type{}, false
}

// maxObject limits an object, in bytes.
const maxObject = 64 << 10

// frame is what every object has. OpenID4VP 1.0, 5.1 and B.3.3.1.
var frame = []string{"type", "credential_ids", "transaction_data_hashes_alg"}

// Read reads an object of the type: a whole entry of transaction_data, decoded.
// Errors wrap ErrInvalid and name the member.
func (t Type) Read(data []byte, now time.Time) (Summary, error) {
	members, err := jose.Object(data, jose.Limits{Token: maxObject, Depth: 6, Members: 1024})
	if err != nil {
		return Summary{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, name := range frame {
		delete(members, name)
	}
	var first error
	o := &object{members: members, first: &first}
	s := t.read(o, now)
	o.end()
	if first != nil {
		return Summary{}, first
	}
	return s, nil
}

// payload reads the one member that objects of TS12 have besides the frame.
// EUDI TS12 1.0.1, 4.2.
func payload(read func(*object, time.Time) Summary) func(*object, time.Time) Summary {
	return func(o *object, now time.Time) Summary {
		p := o.need("payload")
		if p == nil {
			return Summary{}
		}
		s := read(p, now)
		p.end()
		return s
	}
}

// object is a JSON object of which each member is read once.
type object struct {
	members map[string]json.RawMessage
	path    string // for errors
	first   *error // shared by an object and those in it
}

func (o *object) fail(member, format string, args ...any) {
	if *o.first == nil {
		*o.first = fmt.Errorf("%w: %s%.40q: "+format, append([]any{ErrInvalid, o.path, member}, args...)...)
	}
}

// take removes a member.
func (o *object) take(member string, required bool) (json.RawMessage, bool) {
	raw, ok := o.members[member]
	delete(o.members, member)
	if !ok && required {
		o.fail(member, "missing")
	}
	return raw, ok
}

// end refuses what was not read: it could not be told.
func (o *object) end() {
	for member := range o.members {
		o.fail(member, "not known")
	}
}
