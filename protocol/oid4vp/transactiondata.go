package oid4vp

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
)

// maxTransactionData limits one entry of transaction_data, decoded, in bytes.
const maxTransactionData = 64 << 10

// TransactionData is something that the holder authorises with a presentation:
// a payment, a signature. OpenID4VP 1.0, 5.1 and 8.4.
type TransactionData struct {
	Type string
	// CredentialIDs are those of the query that can authorise it; one does.
	CredentialIDs []string
	// HashAlgs are the hash algorithms to choose from; none means sha-256.
	HashAlgs []string
	// JSON is the object with all members.
	JSON json.RawMessage
	// Encoded is the string of the request, over which the hash goes.
	Encoded string
	// Lines are what it means for the holder, by its TransactionType; empty at
	// the verifier's end.
	Lines []string
	// Element is the data element that an mdoc returns the hash in, if its type
	// has one.
	Element *mdoc.ElementRef
}

// TransactionType is a type of transaction data that a wallet knows.
type TransactionType struct {
	Type string
	// Read checks the members that the type defines and says what they mean
	// for the holder, a line each. Members that it does not know, or of a wrong
	// type or value, are errors (OpenID4VP 1.0, 8.5).
	Read func(object json.RawMessage) (lines []string, err error)
	// Element is the device-signed data element in which an mdoc returns the
	// hash, SHA-256, as a byte string; nil if mdocs cannot authorise this type.
	// The issuer lists it in KeyAuthorizations. OpenID4VP 1.0, B.2.1.
	Element *mdoc.ElementRef
}

// NewTransactionData makes an entry of transaction_data from its JSON object.
// OpenID4VP 1.0, 5.1.
func NewTransactionData(object []byte) (TransactionData, error) {
	return parseTransactionData(jose.Encode(object))
}

// parseTransactionData reads one entry of transaction_data, except what its
// type defines.
//
// OpenID4VP 1.0, 5.1 and B.3.3.1.
func parseTransactionData(encoded string) (TransactionData, error) {
	object, err := jose.Decode(encoded)
	if err != nil || len(object) > maxTransactionData {
		return TransactionData{}, fmt.Errorf("not base64url, or more than %d bytes", maxTransactionData)
	}
	var w struct {
		Type          string    `json:"type"`
		CredentialIDs []string  `json:"credential_ids"`
		HashAlgs      *[]string `json:"transaction_data_hashes_alg"`
	}
	if err := jose.Unmarshal(object, &w, jose.Limits{Token: maxTransactionData}); err != nil {
		return TransactionData{}, err
	}
	t := TransactionData{Type: w.Type, CredentialIDs: w.CredentialIDs, JSON: object, Encoded: encoded}
	switch {
	case w.Type == "":
		return t, fmt.Errorf("without type")
	case len(w.CredentialIDs) == 0:
		return t, fmt.Errorf("without credential_ids")
	case w.HashAlgs != nil && len(*w.HashAlgs) == 0:
		return t, fmt.Errorf("transaction_data_hashes_alg is empty")
	}
	if w.HashAlgs != nil {
		t.HashAlgs = *w.HashAlgs
	}
	return t, nil
}

// readTransactionData reads what a wallet is to authorise. Each entry has to be
// of a known type and name credentials that can authorise it.
//
// OpenID4VP 1.0, 8.4, 8.5 and B.3.3.
func (env *Environment) readTransactionData(raw json.RawMessage, q query.Query) ([]TransactionData, error) {
	if raw == nil {
		return nil, nil
	}
	var encoded []string
	if err := jose.Unmarshal(raw, &encoded, jose.Limits{Token: maxRequest}); err != nil || len(encoded) == 0 || len(encoded) > maxInfo {
		return nil, fail(InvalidTransactionData, "transaction_data is no array of 1 to %d strings (OpenID4VP 1.0, 5.1)", maxInfo)
	}
	var out []TransactionData
	for i, s := range encoded {
		t, err := parseTransactionData(s)
		if err == nil {
			err = env.readType(&t, q)
		}
		if err != nil {
			return nil, fail(InvalidTransactionData, "transaction_data[%d]: %w (OpenID4VP 1.0, 8.5)", i, err)
		}
		out = append(out, t)
	}
	return out, checkTogether(out, q)
}

// checkTogether refuses entries that one presentation would have to authorise
// and cannot: it names one hash algorithm, and an mdoc has one element of a type.
func checkTogether(list []TransactionData, q query.Query) error {
	for _, c := range q.Credentials {
		var alone []TransactionData
		types := make(map[string]bool)
		for _, t := range list {
			if !slices.Equal(t.CredentialIDs, []string{c.ID}) {
				continue
			}
			if c.Format == query.FormatMdoc && types[t.Type] {
				return fail(InvalidTransactionData, "transaction_data: an mdoc cannot authorise two of one type (OpenID4VP 1.0, B.2.1)")
			}
			alone, types[t.Type] = append(alone, t), true
		}
		if _, err := hashAlgorithm(alone); err != nil {
			return fail(InvalidTransactionData, "transaction_data: %w (OpenID4VP 1.0, B.3.3.1)", err)
		}
	}
	return nil
}

// readType fills in what the type of an entry says.
func (env *Environment) readType(t *TransactionData, q query.Query) error {
	n := slices.IndexFunc(env.Transactions, func(k TransactionType) bool { return k.Type == t.Type })
	if n < 0 {
		return fmt.Errorf("type %.80q is not known here", t.Type)
	}
	known := env.Transactions[n]
	for _, id := range t.CredentialIDs {
		i := slices.IndexFunc(q.Credentials, func(c query.Credential) bool { return c.ID == id })
		switch {
		case i < 0:
			return fmt.Errorf("credential_ids names what is not asked for")
		case q.Credentials[i].Unbound:
			return fmt.Errorf("a credential that need not be bound to its holder cannot authorise")
		case q.Credentials[i].Format == query.FormatMdoc && (known.Element == nil || !t.allows("sha-256")):
			return fmt.Errorf("an mdoc cannot authorise this type, or not with these hash algorithms")
		}
	}
	if _, err := hashAlgorithm([]TransactionData{*t}); err != nil {
		return err
	}
	var err error
	t.Element = known.Element
	t.Lines, err = known.Read(t.JSON)
	return err
}

// The hash algorithms, by their names in the Named Information Hash Algorithm
// Registry, in our order of preference.
var hashes = []struct {
	name string
	sum  func(s string) []byte
}{
	{"sha-256", func(s string) []byte { b := sha256.Sum256([]byte(s)); return b[:] }},
	{"sha-384", func(s string) []byte { b := sha512.Sum384([]byte(s)); return b[:] }},
	{"sha-512", func(s string) []byte { b := sha512.Sum512([]byte(s)); return b[:] }},
}

// Hash is the hash of an entry: over the string in the request, as it came.
// OpenID4VP 1.0, B.3.3.1.
func (t TransactionData) Hash(alg string) ([]byte, error) {
	for _, h := range hashes {
		if h.name == alg {
			return h.sum(t.Encoded), nil
		}
	}
	return nil, fmt.Errorf("hash algorithm %.40q is not supported", alg)
}

// allows reports whether an entry may be hashed with alg.
func (t TransactionData) allows(alg string) bool {
	if t.HashAlgs == nil {
		return alg == "sha-256"
	}
	return slices.Contains(t.HashAlgs, alg)
}

// hashAlgorithm is one that every entry allows.
func hashAlgorithm(list []TransactionData) (string, error) {
	for _, h := range hashes {
		if !slices.ContainsFunc(list, func(t TransactionData) bool { return !t.allows(h.name) }) {
			return h.name, nil
		}
	}
	return "", fmt.Errorf("no hash algorithm in common: sha-256, sha-384 and sha-512 are supported")
}

// DeviceSigned are the elements with which an mdoc authorises what h has the
// hashes of; nil if there is nothing.
//
// OpenID4VP 1.0, B.2.1.
func (r *Request) DeviceSigned(h sdjwt.TransactionHashes) []mdoc.DeviceNameSpace {
	var out []mdoc.DeviceNameSpace
	for _, t := range r.Transactions {
		sum, err := t.Hash("sha-256")
		if err != nil || t.Element == nil || !slices.Contains(h.Values, jose.Encode(sum)) {
			continue
		}
		i := slices.IndexFunc(out, func(ns mdoc.DeviceNameSpace) bool { return ns.Name == t.Element.NameSpace })
		if i < 0 {
			i, out = len(out), append(out, mdoc.DeviceNameSpace{Name: t.Element.NameSpace})
		}
		out[i].Elements = append(out[i].Elements, mdoc.DeviceElement{ID: t.Element.ID, Value: cbor.AppendBytes(nil, sum)})
	}
	return out
}

// BindTransactions says which of the presented credentials authorises what:
// hashes by credential id. An entry that none of them can authorise is an
// error.
//
// OpenID4VP 1.0, 5.1 and B.3.3.1.
func BindTransactions(list []TransactionData, presented []string) (map[string]sdjwt.TransactionHashes, error) {
	entries := make(map[string][]TransactionData)
	for _, t := range list {
		n := slices.IndexFunc(t.CredentialIDs, func(id string) bool { return slices.Contains(presented, id) })
		if n < 0 {
			return nil, fail(InvalidTransactionData, "no document that is shown can authorise the transaction (OpenID4VP 1.0, 8.5)")
		}
		entries[t.CredentialIDs[n]] = append(entries[t.CredentialIDs[n]], t)
	}
	out := make(map[string]sdjwt.TransactionHashes)
	for id, list := range entries {
		alg, err := hashAlgorithm(list)
		if err != nil {
			return nil, fail(InvalidTransactionData, "transaction_data: %w (OpenID4VP 1.0, B.3.3.1)", err)
		}
		var h sdjwt.TransactionHashes
		for _, t := range list {
			sum, err := t.Hash(alg)
			if err != nil {
				return nil, err
			}
			h.Values = append(h.Values, jose.Encode(sum))
			if t.HashAlgs != nil {
				h.Algorithm = alg
			}
		}
		out[id] = h
	}
	return out, nil
}

// CheckTransactions is the verifier's side of BindTransactions: found are the
// hashes in the verified presentations by credential id. Every entry has to be
// authorised by one of its credentials, and nothing else by any. Hashes without
// an algorithm are sha-256, also where it should have been named.
//
// OpenID4VP 1.0, 5.1 and B.3.3.1.
func CheckTransactions(list []TransactionData, found map[string][]sdjwt.TransactionHashes) error {
	used := make(map[string]bool)
	for i, t := range list {
		all := t.authorisedBy(found)
		if len(all) == 0 {
			return fail(InvalidTransactionData, "transaction_data[%d] is not authorised by a presentation (OpenID4VP 1.0, 8.4)", i)
		}
		for _, a := range all {
			used[a.Hash] = true
		}
	}
	for _, presentations := range found {
		for _, h := range presentations {
			if slices.ContainsFunc(h.Values, func(v string) bool { return !used[v] }) {
				return fail(InvalidTransactionData, "a presentation authorises what was not asked for (OpenID4VP 1.0, 8.4)")
			}
		}
	}
	return nil
}

// Authorised says how an entry was authorised.
type Authorised struct {
	Credential string // id
	Algorithm  string // of the hash
	Hash       string // base64url
}

// AuthorisedBy says for each entry how it was authorised, after CheckTransactions
// found that it was.
func AuthorisedBy(list []TransactionData, found map[string][]sdjwt.TransactionHashes) []Authorised {
	out := make([]Authorised, len(list))
	for i, t := range list {
		if all := t.authorisedBy(found); len(all) > 0 {
			out[i] = all[0]
		}
	}
	return out
}

// authorisedBy are all hashes of an entry in presentations that can authorise it.
func (t TransactionData) authorisedBy(found map[string][]sdjwt.TransactionHashes) []Authorised {
	var out []Authorised
	for _, id := range t.CredentialIDs {
		for _, h := range found[id] {
			sum, err := t.Hash(h.AlgorithmName())
			if err == nil && t.allows(h.AlgorithmName()) && slices.Contains(h.Values, jose.Encode(sum)) {
				out = append(out, Authorised{id, h.AlgorithmName(), jose.Encode(sum)})
			}
		}
	}
	return out
}
