package vectors

import (
	"crypto/ecdh"
	"encoding/json"
	"testing"
)

// Record is the form of most vectors: a message, as text or in hexadecimal, and
// what is known of it.
type Record struct {
	Text, Hex      string
	Data           Parts
	Keys, Expected map[string]json.RawMessage
}

// Parts are named parts of a message; nil where a vector has a list of them.
type Parts map[string]json.RawMessage

// UnmarshalJSON takes an object.
func (p *Parts) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return nil
	}
	return json.Unmarshal(data, (*map[string]json.RawMessage)(p))
}

// Read loads the record of that name, under the rules of Load.
func Read(t testing.TB, name string) Record {
	t.Helper()
	var r Record
	Load(t, name, &r)
	return r
}

// Bytes decodes the message.
func (r Record) Bytes(t testing.TB) []byte { t.Helper(); return Hex(t, r.Hex) }

// Want decodes an expected value that is hexadecimal.
func (r Record) Want(t testing.TB, name string) []byte {
	t.Helper()
	return Hex(t, String(t, r.Expected[name]))
}

// P256 is a private key of the record, a JWK with hexadecimal numbers.
func (r Record) P256(t testing.TB, name string) *ecdh.PrivateKey {
	t.Helper()
	var jwk struct{ D string }
	if err := json.Unmarshal(r.Keys[name], &jwk); err != nil {
		t.Fatalf("vectors: key %s: %v", name, err)
	}
	k, err := ecdh.P256().NewPrivateKey(Hex(t, jwk.D))
	if err != nil {
		t.Fatalf("vectors: key %s: %v", name, err)
	}
	return k
}

// String decodes a part that is text.
func String(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("vectors: text wanted: %v", err)
	}
	return s
}
