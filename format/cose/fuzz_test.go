package cose_test

import (
	"bytes"
	"testing"

	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/vectors"
)

func seed(f *testing.F, prefix string) {
	for _, name := range examples(f, prefix) {
		var e example
		vectors.Load(f, name, &e)
		f.Add(vectors.Hex(f, e.Hex))
	}
}

func seedISO(f *testing.F, name string) {
	var v struct{ Hex string }
	vectors.Load(f, "iso18013-5/"+name+".json", &v)
	f.Add(vectors.Hex(f, v.Hex))
}

// window fails if part is not part of raw: nothing may be re-encoded.
func window(t *testing.T, raw []byte, parts ...[]byte) {
	t.Helper()
	for _, p := range parts {
		if !bytes.Contains(raw, p) {
			t.Fatalf("%x is not in the input %x", p, raw)
		}
	}
}

func FuzzParseSign1(f *testing.F) {
	seed(f, "sign1_")
	seedISO(f, "d5_2_issuer_auth")
	seedISO(f, "d5_4_reader_auth")
	var v struct{ Hex string }
	vectors.Load(f, "tokenstatuslist/status_list_token_cwt.json", &v)
	f.Add(vectors.Hex(f, v.Hex))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := cose.ParseSign1(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Raw, raw) {
			t.Fatal("Raw is not the input")
		}
		window(t, raw, s.Unprotected)
		for label := int64(-1); label < 40; label++ {
			s.Lookup(label)
		}
		if again, err := cose.ParseSign1(s.Raw); err != nil || again.Alg != s.Alg {
			t.Fatalf("second reading differs: %v", err)
		}
	})
}

func FuzzParseMac0(f *testing.F) {
	seed(f, "mac0_")
	secret := make([]byte, 32)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := cose.ParseMac0(raw)
		if err != nil {
			return
		}
		window(t, raw, m.Unprotected)
		if m.Verify(secret, nil, nil) == nil {
			t.Fatal("a tag under an all-zero key verifies")
		}
	})
}

func FuzzParseKey(f *testing.F) {
	var v struct {
		Data struct {
			Cases []struct{ Hex string }
		}
	}
	vectors.Load(f, "cose/derived_cose_key_cases.json", &v)
	for _, c := range v.Data.Cases {
		f.Add(vectors.Hex(f, c.Hex))
	}
	var w struct {
		Data struct {
			Keys []struct {
				CoseKey string `json:"cose_key"`
			}
		}
	}
	vectors.Load(f, "cose/webauthn_cose_keys.json", &w)
	for _, k := range w.Data.Keys {
		f.Add(vectors.Hex(f, k.CoseKey))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		pub, err := cose.ParseKey(raw)
		if err != nil {
			return
		}
		out, err := cose.AppendKey(nil, pub)
		if err != nil {
			t.Fatalf("a key that was read cannot be written: %v", err)
		}
		back, err := cose.ParseKey(out)
		if err != nil || !key.Equal(pub, back) {
			t.Fatalf("a key does not come back: %v", err)
		}
	})
}
