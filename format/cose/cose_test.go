package cose_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/veraison/go-cose"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

type pair struct {
	alg    cose.Algorithm
	oracle oracle.Algorithm
	*testkit.Key
}

func pairs(t testing.TB) []pair {
	return []pair{
		{cose.ES256, oracle.AlgorithmES256, testkit.Signer(t, elliptic.P256())},
		{cose.ES384, oracle.AlgorithmES384, testkit.Signer(t, elliptic.P384())},
		{cose.ES512, oracle.AlgorithmES512, testkit.Signer(t, elliptic.P521())},
		{cose.EdDSA, oracle.AlgorithmEdDSA, testkit.Ed25519(t)},
	}
}

// TestOracle lets go-cose verify what we sign and the other way round.
func TestOracle(t *testing.T) {
	payload, aad := []byte("payload"), []byte("external")
	leaf := []byte("leaf certificate") // neither side looks inside
	headers := cose.Headers{
		Type: "application/statuslist+cwt", KeyID: []byte("kid"),
		X5Chain: [][]byte{leaf, []byte("issuer")}, X5ChainProtect: true, X5T: true,
	}
	for _, p := range pairs(t) {
		t.Run(p.alg.String(), func(t *testing.T) {
			ours, err := cose.AppendSign1(t.Context(), []byte("front"), p, headers, cose.Content{Payload: payload, ExternalAAD: aad, Tagged: true})
			if err != nil {
				t.Fatal(err)
			}
			ours, found := bytes.CutPrefix(ours, []byte("front"))
			if !found {
				t.Fatal("not appended")
			}
			verifier, err := oracle.NewVerifier(p.oracle, p.Public())
			if err != nil {
				t.Fatal(err)
			}
			var theirs oracle.Sign1Message
			if err := theirs.UnmarshalCBOR(ours); err != nil {
				t.Fatal(err)
			}
			if err := theirs.Verify(aad, verifier); err != nil {
				t.Errorf("go-cose does not verify ours: %v", err)
			}
			if err := theirs.Verify(nil, verifier); err == nil {
				t.Error("go-cose verifies ours without the external data")
			}

			signer, err := oracle.NewSigner(p.oracle, p.Private())
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(leaf)
			raw, err := oracle.Sign1Untagged(rand.Reader, signer, oracle.Headers{
				Protected: oracle.ProtectedHeader{
					oracle.HeaderLabelAlgorithm: p.oracle,
					oracle.HeaderLabelX5T:       []any{int64(-16), sum[:]},
				},
				Unprotected: oracle.UnprotectedHeader{
					oracle.HeaderLabelKeyID:   []byte("kid"),
					oracle.HeaderLabelX5Chain: leaf,
				},
			}, payload, nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := cose.ParseSign1(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(p.Public(), nil, nil); err != nil {
				t.Error(err)
			}
			if s.Tagged || s.Alg != p.alg || string(s.KeyID) != "kid" || !s.X5T.Matches(leaf) ||
				!cmp.Equal(s.X5Chain, [][]byte{leaf}) || s.X5ChainProtected || string(s.Payload) != "payload" {
				t.Errorf("read %+v", s)
			}
		})
	}
}

func TestHeadersRoundTrip(t *testing.T) {
	k := testkit.Signer(t, elliptic.P256())
	chain := [][]byte{[]byte("leaf"), []byte("issuer")}
	for _, protect := range []bool{false, true} {
		h := cose.Headers{Type: "application/statuslist+cwt", KeyID: []byte{1}, X5Chain: chain, X5ChainProtect: protect, X5T: true}
		raw, err := cose.AppendSign1(t.Context(), nil, k, h, cose.Content{Payload: []byte{}, Tagged: true})
		if err != nil {
			t.Fatal(err)
		}
		s, err := cose.ParseSign1(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(k.Public(), nil, nil); err != nil {
			t.Error(err)
		}
		if !s.Tagged || s.Type != h.Type || !cmp.Equal(s.KeyID, h.KeyID) || !cmp.Equal(s.X5Chain, chain) ||
			s.X5ChainProtected != protect || s.X5T.Hash != crypto.SHA256 || s.Payload == nil {
			t.Errorf("read %+v", s)
		}
		got, inProtected, ok := s.Lookup(33)
		if !ok || inProtected != protect || !bytes.Equal(got, vectors.Hex(t, "82 44 6c656166 46 697373756572")) {
			t.Errorf("Lookup(33) = %x, %v, %v", got, inProtected, ok)
		}
		if _, _, ok := s.Lookup(258); ok {
			t.Error("Lookup finds what is not there")
		}
	}
	// As Token Status List, 5.2 prints it: a2 01 26 10 78 1a ….
	p, err := cose.PrepareSign1(k.Public(), cose.Headers{Type: "application/statuslist+cwt"}, cose.Content{})
	if err != nil || !bytes.Contains(p.Message, vectors.Hex(t, "a2012610781a6170706c69636174696f6e2f7374617475736c6973742b637774")) {
		t.Errorf("protected header of a status list: %v %x", err, p.Message)
	}
}

func TestFullySpecifiedAlgorithms(t *testing.T) {
	specified := map[cose.Algorithm]int64{cose.ES256: -9, cose.ES384: -51, cose.ES512: -52, cose.EdDSA: -19} // RFC 9864, 2
	for _, p := range pairs(t) {
		for _, q := range pairs(t) {
			protected := cbor.AppendInt(cbor.AppendUint(cbor.AppendMap(nil, 1), 1), specified[p.alg])
			payload := []byte("payload")
			sig, err := q.Sign(t.Context(), cose.SigStructure(protected, nil, payload))
			if err != nil {
				t.Fatal(err)
			}
			raw := cbor.AppendBytes(cbor.AppendArray(nil, 4), protected)
			raw = cbor.AppendBytes(cbor.AppendBytes(cbor.AppendMap(raw, 0), payload), sig)
			s, err := cose.ParseSign1(raw)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Verify(q.Public(), nil, nil)
			if p.alg == q.alg && err != nil {
				t.Errorf("%v: %v", s.Alg, err)
			}
			if p.alg != q.alg && !errors.Is(err, cose.ErrAlgorithm) {
				t.Errorf("%v with a key for %v: %v", s.Alg, q.alg, err)
			}
		}
	}
}

// TestMalformed goes through what a hostile or careless peer writes. Each case
// is a COSE_Sign1 given in hexadecimal.
func TestMalformed(t *testing.T) {
	sig := " 58 40" + strings.Repeat(" 01", 64)
	tests := []struct {
		name, hex string
		want      error
		text      string
	}{
		{"empty input", "", cose.ErrMalformed, "ends in the middle"},
		{"trailing byte", "84 43a10126 a0 f6" + sig + "00", cose.ErrMalformed, "after the end"},
		{"tag of COSE_Mac0", "d1 84 43a10126 a0 f6" + sig, cose.ErrMalformed, "tag 17"},
		{"two tags", "d2 d2 84 43a10126 a0 f6" + sig, cose.ErrMalformed, "not array"},
		{"three members", "83 43a10126 a0 f6", cose.ErrMalformed, "array of 3"},
		{"protected as map", "84 a10126 a0 f6" + sig, cose.ErrMalformed, "protected header"},
		{"protected is no map", "84 4126 a0 f6" + sig, cose.ErrMalformed, "protected header"},
		{"protected with trailing byte", "84 44a1012600 a0 f6" + sig, cose.ErrMalformed, "protected header"},
		{"protected with duplicate alg", "84 45a201260126 a0 f6" + sig, cose.ErrMalformed, "duplicate"},
		{"unprotected as bstr", "84 43a10126 41a0 f6" + sig, cose.ErrMalformed, "unprotected"},
		{"duplicate unprotected label", "84 43a10126 a2 04 4101 04 4102 f6" + sig, cose.ErrMalformed, "duplicate"},
		{"label is a bstr", "84 43a10126 a1 4101 4101 f6" + sig, cose.ErrMalformed, "label"},
		{"payload is text", "84 43a10126 a0 6161" + sig, cose.ErrMalformed, "payload"},
		{"signature is null", "84 43a10126 a0 4101 f6", cose.ErrMalformed, "signature"},
		{"no alg", "84 40 a0 f6" + sig, cose.ErrAlgorithm, "no alg"},
		{"alg unprotected", "84 40 a1 01 26 f6" + sig, cose.ErrAlgorithm, "unprotected"},
		{"alg in both, different", "84 43a10126 a1 01 27 f6" + sig, cose.ErrMalformed, "parameter 1 is in both"},
		{"alg as name", "84 48a101654553323536 a0 f6" + sig, cose.ErrAlgorithm, "alg is a text"},
		{"kid is text", "84 43a10126 a1 04 6161 f6" + sig, cose.ErrMalformed, "kid"},
		{"x5chain in both, different", "84 47a2012618214101 a1 1821 4102 f6" + sig, cose.ErrMalformed, "parameter 33 is in both"},
		{"x5chain empty", "84 43a10126 a1 1821 80 f6" + sig, cose.ErrMalformed, "no certificate"},
		{"x5chain of text", "84 43a10126 a1 1821 6161 f6" + sig, cose.ErrMalformed, "x5chain"},
		{"x5chain of nine", "84 43a10126 a1 1821 89 4101 4101 4101 4101 4101 4101 4101 4101 4101 f6" + sig, cose.ErrMalformed, "more than 8"},
		{"x5chain with an empty certificate", "84 43a10126 a1 1821 82 4101 40 f6" + sig, cose.ErrMalformed, "empty certificate"},
		{"x5t of another certificate", "84 43a10126 a2 1821 4101 1822 82 2f 4102 f6" + sig, cose.ErrMalformed, "x5t is not the digest"},
		{"x5t without array", "84 43a10126 a1 1822 4102 f6" + sig, cose.ErrMalformed, "x5t"},
		{"type is a bstr", "84 46a20126104101 a0 f6" + sig, cose.ErrMalformed, "type"},
		{"crit unprotected", "84 43a10126 a1 02 8101 f6" + sig, cose.ErrMalformed, "crit outside"},
		{"crit empty", "84 45a201260280 a0 f6" + sig, cose.ErrMalformed, "crit is empty"},
		{"crit names what is absent", "84 46a20126028104 a0 f6" + sig, cose.ErrMalformed, "not in the protected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := cose.ParseSign1(vectors.Hex(t, tt.hex))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v\nwant %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestCritical(t *testing.T) {
	sig := " 58 40" + strings.Repeat(" 01", 64)
	// crit [258] with 258 present: not known here.
	_, err := cose.ParseSign1(vectors.Hex(t, "84 4c a3 01 26 02 81 190102 190102 00 a0 f6"+sig))
	if !errors.Is(err, cose.ErrMalformed) || !strings.Contains(err.Error(), "258") {
		t.Errorf("crit with an unknown parameter: %v", err)
	}
	// crit [1, 33] with both present: fine.
	s, err := cose.ParseSign1(vectors.Hex(t, "84 4c a3 01 26 02 82 01 1821 1821 4101 a0 f6"+sig))
	if err != nil || len(s.X5Chain) != 1 || !s.X5ChainProtected {
		t.Errorf("crit with known parameters: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	k := testkit.Signer(t, elliptic.P256())
	raw, err := cose.AppendSign1(t.Context(), nil, k, cose.Headers{}, cose.Content{Payload: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := cose.ParseSign1(raw)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		pub      crypto.PublicKey
		detached []byte
		want     error
	}{
		{"payload given twice", k.Public(), []byte("a"), cose.ErrPayload},
		{"another key", testkit.Signer(t, elliptic.P256()).Public(), nil, cose.ErrSignature},
		{"key on another curve", testkit.Signer(t, elliptic.P384()).Public(), nil, cose.ErrAlgorithm},
		{"Ed25519 key", testkit.Ed25519(t).Public(), nil, cose.ErrAlgorithm},
		{"X25519 key", testkit.Agreer(t, ecdh.X25519()).Public(), nil, cose.ErrKey},
		{"no key", nil, nil, cose.ErrKey},
	}
	for _, tt := range tests {
		if err := s.Verify(tt.pub, tt.detached, nil); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for n := range s.Signature {
		short := *s
		short.Signature = s.Signature[:n]
		if err := short.Verify(k.Public(), nil, nil); !errors.Is(err, cose.ErrSignature) {
			t.Fatalf("signature of %d bytes: %v", n, err)
		}
	}
}

type broken struct{ *testkit.Key }

var errLocked = errors.New("locked")

func (broken) Sign(context.Context, []byte) ([]byte, error) { return nil, errLocked }

func TestWriteRefuses(t *testing.T) {
	k := testkit.Signer(t, elliptic.P256())
	if _, err := cose.AppendSign1(t.Context(), nil, broken{k}, cose.Headers{}, cose.Content{}); !errors.Is(err, errLocked) {
		t.Errorf("error of the signer is lost: %v", err)
	}
	if _, err := cose.PrepareSign1(k.Public(), cose.Headers{X5T: true}, cose.Content{}); !errors.Is(err, cose.ErrMalformed) {
		t.Errorf("x5t without certificate: %v", err)
	}
	if _, err := cose.PrepareSign1(k.Public(), cose.Headers{X5Chain: make([][]byte, 9)}, cose.Content{}); !errors.Is(err, cose.ErrMalformed) {
		t.Errorf("nine certificates: %v", err)
	}
	if _, err := cose.PrepareSign1("key", cose.Headers{}, cose.Content{}); !errors.Is(err, cose.ErrKey) {
		t.Errorf("no key: %v", err)
	}
	p, err := cose.PrepareSign1(k.Public(), cose.Headers{}, cose.Content{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Finish(nil, make([]byte, 63)); !errors.Is(err, cose.ErrSignature) {
		t.Errorf("short signature: %v", err)
	}
	if _, err := cose.AppendMac0(nil, nil, cose.Headers{}, cose.Content{}); !errors.Is(err, cose.ErrKey) {
		t.Errorf("no MAC key: %v", err)
	}
}

func TestPreparedEqualsAppended(t *testing.T) {
	k := testkit.Ed25519(t) // deterministic
	rapid.Check(t, func(rt *rapid.T) {
		c := cose.Content{
			Payload:     rapid.SliceOf(rapid.Byte()).Draw(rt, "payload"),
			ExternalAAD: rapid.SliceOf(rapid.Byte()).Draw(rt, "aad"),
			Detached:    rapid.Bool().Draw(rt, "detached"),
			Tagged:      rapid.Bool().Draw(rt, "tagged"),
		}
		h := cose.Headers{Type: rapid.StringN(0, 40, 300).Draw(rt, "type"), KeyID: rapid.SliceOf(rapid.Byte()).Draw(rt, "kid")}
		raw, err := cose.AppendSign1(t.Context(), nil, k, h, c)
		if err != nil {
			rt.Fatal(err)
		}
		s, err := cose.ParseSign1(raw)
		if err != nil {
			rt.Fatal(err)
		}
		detached := c.Payload
		if !c.Detached {
			detached = nil
		}
		if err := s.Verify(k.Public(), detached, c.ExternalAAD); err != nil {
			rt.Fatal(err)
		}
		if s.Tagged != c.Tagged || (s.Payload == nil) != c.Detached || s.Type != h.Type || !bytes.Equal(s.KeyID, h.KeyID) {
			rt.Fatalf("read %+v", s)
		}
	})
}

func TestKeysRoundTrip(t *testing.T) {
	for _, p := range pairs(t) {
		raw, err := cose.AppendKey(nil, p.Public())
		if err != nil {
			t.Fatal(err)
		}
		back, err := cose.ParseKey(raw)
		if err != nil || !key.Equal(back, p.Public()) {
			t.Errorf("%v: %v", p.alg, err)
		}
		// An extra member, as some peers send, changes nothing.
		extra := append([]byte{raw[0] + 1}, raw[1:]...)
		extra = cbor.AppendText(cbor.AppendText(extra, "use"), "sig")
		if back, err = cose.ParseKey(extra); err != nil || !key.Equal(back, p.Public()) {
			t.Errorf("%v with an extra member: %v", p.alg, err)
		}
	}
	for _, c := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		pub := testkit.Agreer(t, c).Public()
		raw, err := cose.AppendKey(nil, pub)
		if err != nil {
			t.Fatal(err)
		}
		back, err := cose.ParseECDHKey(raw)
		if err != nil || !back.Equal(pub) {
			t.Errorf("%v: %v", c, err)
		}
	}
	ed, err := cose.AppendKey(nil, testkit.Ed25519(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cose.ParseECDHKey(ed); !errors.Is(err, cose.ErrKey) {
		t.Errorf("Ed25519 for key agreement: %v", err)
	}
	if _, err := cose.AppendKey(nil, "key"); !errors.Is(err, cose.ErrKey) {
		t.Errorf("no key: %v", err)
	}
}
