package status_test

import (
	"bytes"
	"compress/zlib"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

func TestListProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bits := rapid.SampledFrom([]int{1, 2, 4, 8}).Draw(rt, "bits")
		size := rapid.IntRange(1, 300).Draw(rt, "size")
		l, err := status.NewList(bits, size)
		if err != nil {
			rt.Fatal(err)
		}
		if l.Len() < size || l.Len() >= size+8 {
			rt.Fatalf("%d entries for %d", l.Len(), size)
		}
		model := make([]status.Status, l.Len())
		for range rapid.IntRange(0, 50).Draw(rt, "changes") {
			i := rapid.IntRange(0, l.Len()-1).Draw(rt, "index")
			s := status.Status(rapid.IntRange(0, 1<<bits-1).Draw(rt, "status"))
			model[i] = s
			if err := l.Set(uint64(i), s); err != nil {
				rt.Fatal(err)
			}
		}
		c, err := l.Compress()
		if err != nil {
			rt.Fatal(err)
		}
		back, err := c.Inflate(0)
		if err != nil {
			rt.Fatal(err)
		}
		zeros := 0
		for i, want := range model {
			if got, err := back.Get(uint64(i)); err != nil || got != want {
				rt.Fatalf("[%d] = %v, %v; want %v", i, got, err, want)
			}
			if want == status.Valid {
				zeros++
			}
		}
		if back.Count(status.Valid) != zeros {
			rt.Fatalf("Count = %d, want %d", back.Count(status.Valid), zeros)
		}
	})
}

func TestListRefuses(t *testing.T) {
	for _, bits := range []int{-1, 0, 3, 16} {
		if _, err := status.NewList(bits, 8); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	for _, size := range []int{-1, 0, status.MaxListBytes*8 + 1} {
		if _, err := status.NewList(1, size); !errors.Is(err, status.ErrTooLarge) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	l, err := status.NewList(1, 8)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Set(8, status.Invalid); !errors.Is(err, status.ErrRange) {
		t.Errorf("index past the end: %v", err)
	}
	if err := l.Set(0, status.Suspended); !errors.Is(err, status.ErrRange) {
		t.Errorf("status of two bits in one: %v", err)
	}
	if _, err := l.Get(1 << 63); !errors.Is(err, status.ErrRange) {
		t.Errorf("huge index: %v", err)
	}
}

func deflate(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInflateRefuses(t *testing.T) {
	good := deflate(t, make([]byte, 100))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	tests := []struct {
		name string
		c    status.Compressed
		max  int
		want error
	}{
		{"bits", status.Compressed{Bits: 3, Data: good}, 0, status.ErrMalformed},
		{"nothing", status.Compressed{Bits: 1}, 0, status.ErrMalformed},
		{"not zlib", status.Compressed{Bits: 1, Data: []byte("no zlib")}, 0, status.ErrMalformed},
		{"truncated", status.Compressed{Bits: 1, Data: good[:len(good)-2]}, 0, status.ErrMalformed},
		{"checksum", status.Compressed{Bits: 1, Data: damaged}, 0, status.ErrMalformed},
		{"trailing", status.Compressed{Bits: 1, Data: append(bytes.Clone(good), 0)}, 0, status.ErrMalformed},
		{"empty", status.Compressed{Bits: 1, Data: deflate(t, nil)}, 0, status.ErrMalformed},
		{"past the caller's limit", status.Compressed{Bits: 1, Data: good}, 99, status.ErrTooLarge},
		{"bomb", status.Compressed{Bits: 1, Data: deflate(t, make([]byte, status.MaxListBytes+1))}, 1 << 40, status.ErrTooLarge},
	}
	for _, tt := range tests {
		if _, err := tt.c.Inflate(tt.max); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if l, err := (status.Compressed{Bits: 1, Data: good}).Inflate(100); err != nil || l.Len() != 800 {
		t.Errorf("at the limit: %v", err)
	}
}

var published = status.Claims{
	URI: "https://issuer.example/status/1", Issued: time.Unix(1_700_000_000, 0).UTC(),
	Expires: time.Unix(1_700_086_400, 0).UTC(), TTL: time.Hour,
}

func sampleList(t testing.TB, bits int) status.Compressed {
	t.Helper()
	l, err := status.NewList(bits, 1<<17)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Set(77, status.Invalid); err != nil {
		t.Fatal(err)
	}
	c, err := l.Compress()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTokensRoundTrip(t *testing.T) {
	signer, cert := pkitest.Certified(t, published.Issued)
	other := testkit.Signer(t, elliptic.P256())
	h := status.Headers{X5Chain: [][]byte{cert.Raw}, KeyID: "1"}
	now := published.Issued.Add(time.Hour)
	c := sampleList(t, 1)
	c.AggregationURI = "https://issuer.example/status"
	asJWT, err := status.SignJWT(t.Context(), signer, h, published, c)
	if err != nil {
		t.Fatal(err)
	}
	asCWT, err := status.SignCWT(t.Context(), signer, h, published, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{asJWT, asCWT} {
		tok, err := status.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		policy := status.Policy{MSO: tok.IsCWT()}
		if diff := cmp.Diff(published, tok.Claims); diff != "" {
			t.Error(diff)
		}
		if !cmp.Equal(tok.X5Chain, h.X5Chain) || string(tok.KeyID) != "1" || tok.AggregationURI != c.AggregationURI {
			t.Errorf("headers came out as %q, %d certificates", tok.KeyID, len(tok.X5Chain))
		}
		for index, want := range map[uint64]status.Status{0: status.Valid, 77: status.Invalid, 1<<17 - 1: status.Valid} {
			got, report := tok.Verify(signer.Public(), listClaim(index, published.URI), now, policy)
			if got != want || len(report.Failed()) > 0 {
				t.Errorf("%s [%d] = %v\n%v", tok.Media, index, got, report)
			}
			for _, check := range report.Checks {
				if check.Clause == "" || check.Outcome != "pass" {
					t.Errorf("%+v", check)
				}
			}
		}
		_, report := tok.Verify(other.Public(), listClaim(0, published.URI), now, policy)
		if f := report.Failed(); len(f) != 1 || f[0].Name != "signature" {
			t.Errorf("under another key: %v", f)
		}
		if _, err := tok.Open(0); !errors.Is(err, status.ErrUnverified) {
			t.Errorf("after a failed verification: %v", err)
		}
		if tok.IsCWT() {
			continue
		}
		_, report = tok.Verify(signer.Public(), listClaim(0, published.URI), now, status.Policy{MSO: true})
		if f := report.Failed(); len(f) != 1 || f[0].Name != "chain header" {
			t.Errorf("JWT for an MSO: %v", f)
		}
	}
}

func TestBitFlips(t *testing.T) {
	signer := testkit.Signer(t, elliptic.P256())
	l, err := status.NewList(1, 64)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Compress()
	if err != nil {
		t.Fatal(err)
	}
	for _, sign := range []func() ([]byte, error){
		func() ([]byte, error) { return status.SignJWT(t.Context(), signer, status.Headers{}, published, c) },
		func() ([]byte, error) { return status.SignCWT(t.Context(), signer, status.Headers{}, published, c) },
	} {
		raw, err := sign()
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << (i % 7)
			tok, err := status.Parse(bad)
			if err != nil {
				continue
			}
			// Only the tag of the COSE_Sign1 is not signed; another tag does
			// not parse.
			if _, report := tok.Verify(signer.Public(), listClaim(0, published.URI), published.Issued, status.Policy{}); report.OK() {
				t.Errorf("a flipped bit in byte %d of %d goes unnoticed", i, len(raw))
			}
		}
	}
}

func TestMSOWantsOneBit(t *testing.T) {
	signer := testkit.Signer(t, elliptic.P256())
	raw, err := status.SignCWT(t.Context(), signer, status.Headers{}, published, sampleList(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := status.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	now := published.Issued
	_, report := tok.Verify(signer.Public(), listClaim(77, published.URI), now, status.Policy{MSO: true})
	if f := report.Failed(); len(f) != 1 || f[0].Name != "bits" {
		t.Errorf("two bits for an MSO: %v", f)
	}
	if s, report := tok.Verify(signer.Public(), listClaim(77, published.URI), now, status.Policy{}); s != status.Invalid || !report.OK() {
		t.Errorf("two bits otherwise: %v, %v", s, report.Err())
	}
	endless := published
	endless.Expires = time.Time{}
	if raw, err = status.SignCWT(t.Context(), signer, status.Headers{}, endless, sampleList(t, 1)); err != nil {
		t.Fatal(err)
	}
	if tok, err = status.Parse(raw); err != nil {
		t.Fatal(err)
	}
	_, report = tok.Verify(signer.Public(), listClaim(77, published.URI), now, status.Policy{MSO: true})
	if f := report.Failed(); len(f) != 1 || f[0].Name != "expiry" {
		t.Errorf("no exp for an MSO: %v", f)
	}
}

func TestIdentifierList(t *testing.T) {
	signer, cert := pkitest.Certified(t, published.Issued)
	ids := [][]byte{{0xcc, 0xcc}, {0xaa, 0xaa}, {0xab, 0xcd}, {0xaa, 0xaa}}
	raw, err := status.SignIdentifiersCWT(t.Context(), signer, status.Headers{X5Chain: [][]byte{cert.Raw}}, published, ids, "https://issuer.example/ids")
	if err != nil {
		t.Fatal(err)
	}
	s, err := cose.ParseSign1(raw)
	if err != nil || s.Type != status.MediaIdentifiersCWT {
		t.Fatalf("type %q, %v", s.Type, err)
	}
	// ISO/IEC 18013-5 second edition (draft v4), D.6: {identifiers: {id: {}}, aggregation_uri}.
	if want := vectors.Hex(t, "6b6964656e74696669657273 a3 42aaaa a0 42abcd a0 42cccc a0 6f6167677265676174696f6e5f757269"); !bytes.Contains(s.Payload, want) {
		t.Errorf("payload is %x", s.Payload)
	}
	tok, err := status.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(id ...byte) status.Claim {
		return status.Claim{Identifier: &status.IdentifierReference{ID: id, URI: published.URI}}
	}
	policy := status.Policy{MSO: true}
	if got, report := tok.Verify(signer.Public(), claim(0xab, 0xcd), published.Issued, policy); got != status.Invalid || !report.OK() {
		t.Errorf("listed: %v\n%v", got, report)
	}
	if got, report := tok.Verify(signer.Public(), claim(0xab), published.Issued, policy); got != status.Valid || !report.OK() {
		t.Errorf("not listed: %v\n%v", got, report)
	}
	if _, report := tok.Verify(signer.Public(), listClaim(0, published.URI), published.Issued, policy); report.OK() {
		t.Error("an identifier list answers for a status list")
	}
	if v, err := tok.Identifiers(); err != nil || v.Len() != 3 {
		t.Errorf("identifiers: %v", err)
	}
	if _, err := tok.List(0); !errors.Is(err, status.ErrMalformed) {
		t.Errorf("List of an identifier list: %v", err)
	}
	empty, err := status.SignIdentifiersCWT(t.Context(), signer, status.Headers{}, published, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = status.Parse(empty); err != nil {
		t.Fatal(err)
	}
	if got, report := tok.Verify(signer.Public(), claim(1), published.Issued, policy); got != status.Valid || !report.OK() {
		t.Errorf("empty list: %v, %v", got, report.Err())
	}
}

// signRaw signs a claims set that our own writer would refuse.
func signRaw(t testing.TB, typ, payload string) []byte {
	t.Helper()
	raw, err := cose.AppendSign1(t.Context(), nil, testkit.Ed25519(t), cose.Headers{Type: typ}, cose.Content{Payload: vectors.Hex(t, payload), Tagged: true})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestParseRefusesCWT(t *testing.T) {
	const (
		sub  = "02 6161"       // "a"
		iat  = "06 1a648c5bea" //
		list = "19fffd a2 6462697473 01 636c7374 4178"
		ids  = "19fffa a1 6b6964656e74696669657273 a0"
	)
	tests := []struct{ name, typ, payload, text string }{
		{"type", "application/cwt", "a3" + sub + iat + list, "type in the protected header"},
		{"no type", "", "a3" + sub + iat + list, "type in the protected header"},
		{"no sub", status.MediaListCWT, "a2" + iat + list, "no sub"},
		{"no iat", status.MediaListCWT, "a2" + sub + list, "no iat"},
		{"no list", status.MediaListCWT, "a2" + sub + iat, "65533"},
		{"identifiers in a status list", status.MediaListCWT, "a3" + sub + iat + ids, "65533"},
		{"both", status.MediaListCWT, "a4" + sub + iat + ids + list, "65533"},
		{"list in an identifier list", status.MediaIdentifiersCWT, "a3" + sub + iat + list, "65530"},
		{"duplicate sub", status.MediaListCWT, "a4" + sub + sub + iat + list, "duplicate"},
		{"iat as text", status.MediaListCWT, "a3" + sub + "06 6161" + list, "iat"},
		{"iat negative", status.MediaListCWT, "a3" + sub + "06 20" + list, "iat"},
		{"iat not a number", status.MediaListCWT, "a3" + sub + "06 f97e00" + list, "iat"},
		{"iat infinite", status.MediaListCWT, "a3" + sub + "06 f97c00" + list, "iat"},
		{"iat tagged", status.MediaListCWT, "a3" + sub + "06 c1 1a648c5bea" + list, "iat"},
		{"ttl zero", status.MediaListCWT, "a4" + sub + iat + "19fffe 00" + list, "ttl"},
		{"ttl negative", status.MediaListCWT, "a4" + sub + iat + "19fffe 20" + list, "claims"},
		{"three bits", status.MediaListCWT, "a3" + sub + iat + "19fffd a2 6462697473 03 636c7374 4178", "bits is 3"},
		{"bits of 257", status.MediaListCWT, "a3" + sub + iat + "19fffd a2 6462697473 190101 636c7374 4178", "bits"},
		{"no bits", status.MediaListCWT, "a3" + sub + iat + "19fffd a1 636c7374 4178", "bits"},
		{"no lst", status.MediaListCWT, "a3" + sub + iat + "19fffd a1 6462697473 01", "no lst"},
		{"identifiers as array", status.MediaIdentifiersCWT, "a3" + sub + iat + "19fffa a1 6b6964656e74696669657273 80", "not a map"},
		{"no identifiers", status.MediaIdentifiersCWT, "a3" + sub + iat + "19fffa a0", "no identifiers"},
		{"claims as array", status.MediaListCWT, "80", "claims"},
		{"trailing byte", status.MediaListCWT, "a3" + sub + iat + list + "00", "after the end"},
	}
	for _, tt := range tests {
		_, err := status.Parse(signRaw(t, tt.typ, tt.payload))
		if !errors.Is(err, status.ErrMalformed) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
		}
	}
	// The spelling of D.6, without "application/", is read.
	if tok, err := status.Parse(signRaw(t, "statuslist+cwt", "a3"+sub+iat+list)); err != nil || tok.Media != status.MediaListCWT {
		t.Errorf("short type: %v", err)
	}
	// A date with a fraction is read.
	if tok, err := status.Parse(signRaw(t, status.MediaListCWT, "a3"+sub+"06 fb41d92316fa866666"+list)); err != nil || tok.Issued.Nanosecond() != 0 {
		t.Errorf("iat with a fraction: %v", err)
	}
	mac, err := cose.AppendMac0(nil, make([]byte, 32), cose.Headers{Type: status.MediaListCWT}, cose.Content{Tagged: true})
	if err != nil {
		t.Fatal(err)
	}
	tagged := append(cbor.AppendTag(nil, 61), signRaw(t, status.MediaListCWT, "a3"+sub+iat+list)...)
	for name, raw := range map[string][]byte{"MAC": mac, "CWT tag": tagged, "nothing": nil, "text": []byte("eyJ")} {
		if _, err := status.Parse(raw); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := status.Parse(make([]byte, 5<<20)); !errors.Is(err, status.ErrTooLarge) {
		t.Errorf("5 MiB: %v", err)
	}
}

func TestParseRefusesJWT(t *testing.T) {
	signer := testkit.Ed25519(t)
	const list = `"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"}`
	tests := []struct{ name, typ, claims, text string }{
		{"typ", "JWT", `{"sub":"a","iat":1,` + list + `}`, "typ"},
		{"no sub", "statuslist+jwt", `{"iat":1,` + list + `}`, "no sub"},
		{"no iat", "statuslist+jwt", `{"sub":"a",` + list + `}`, "no iat"},
		{"no list", "statuslist+jwt", `{"sub":"a","iat":1}`, "no status_list"},
		{"list null", "statuslist+jwt", `{"sub":"a","iat":1,"status_list":null}`, "no status_list"},
		{"duplicate sub", "statuslist+jwt", `{"sub":"a","sub":"b","iat":1,` + list + `}`, "claims"},
		{"ttl zero", "statuslist+jwt", `{"sub":"a","iat":1,"ttl":0,` + list + `}`, "ttl"},
		{"ttl text", "statuslist+jwt", `{"sub":"a","iat":1,"ttl":"9",` + list + `}`, "claims"},
		{"bits", "statuslist+jwt", `{"sub":"a","iat":1,"status_list":{"bits":5,"lst":"eNrbuRgAAhcBXQ"}}`, "bits"},
		{"padding", "statuslist+jwt", `{"sub":"a","iat":1,"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ=="}}`, "lst"},
	}
	for _, tt := range tests {
		raw, err := jose.SignBytes(t.Context(), signer, jose.Header{Typ: tt.typ}, []byte(tt.claims))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := status.Parse([]byte(raw)); !errors.Is(err, status.ErrMalformed) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	signer := testkit.Ed25519(t)
	tests := map[string]func(*status.Claims){
		"no uri":           func(c *status.Claims) { c.URI = "" },
		"relative uri":     func(c *status.Claims) { c.URI = "/status/1" },
		"long uri":         func(c *status.Claims) { c.URI = "https://a/" + strings.Repeat("a", 2048) },
		"no iat":           func(c *status.Claims) { c.Issued = time.Time{} },
		"exp before iat":   func(c *status.Claims) { c.Expires = c.Issued },
		"negative ttl":     func(c *status.Claims) { c.TTL = -time.Second },
		"ttl below second": func(c *status.Claims) { c.TTL = time.Millisecond },
	}
	for name, change := range tests {
		c := published
		change(&c)
		if _, err := status.SignJWT(t.Context(), signer, status.Headers{}, c, status.Compressed{}); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("%s: JWT: %v", name, err)
		}
		if _, err := status.SignCWT(t.Context(), signer, status.Headers{}, c, status.Compressed{}); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("%s: CWT: %v", name, err)
		}
	}
	if _, err := status.SignIdentifiersCWT(t.Context(), signer, status.Headers{}, published, [][]byte{{}}, ""); !errors.Is(err, status.ErrMalformed) {
		t.Errorf("empty identifier: %v", err)
	}
	// Three bytes become four, twice.
	huge := status.Compressed{Bits: 1, Data: make([]byte, 3<<20)}
	if _, err := status.SignJWT(t.Context(), signer, status.Headers{}, published, huge); !errors.Is(err, status.ErrTooLarge) {
		t.Errorf("huge JWT: %v", err)
	}
	if _, err := status.SignCWT(t.Context(), signer, status.Headers{}, published, huge); err != nil {
		t.Errorf("large CWT: %v", err)
	}
	huge.Data = make([]byte, 5<<20)
	if _, err := status.SignCWT(t.Context(), signer, status.Headers{}, published, huge); !errors.Is(err, status.ErrTooLarge) {
		t.Errorf("huge CWT: %v", err)
	}
}

func TestClaimRefuses(t *testing.T) {
	for _, hex := range []string{
		"80",
		"a1 6b7374617475735f6c697374 a1 63696478 00",                             // no uri
		"a1 6b7374617475735f6c697374 a1 63757269 65613a2f2f61",                   // no idx
		"a1 6b7374617475735f6c697374 a2 63696478 20 63757269 65613a2f2f61",       // idx -1
		"a1 6b7374617475735f6c697374 a2 63696478 00 63757269 6161",               // relative uri
		"a1 6f6964656e7469666965725f6c697374 a2 626964 40 63757269 65613a2f2f61", // empty id
	} {
		if c, err := status.ParseClaim(vectors.Hex(t, hex)); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("%s: %+v, %v", hex, c, err)
		}
	}
	for _, text := range []string{
		`[]`, `{"status_list":{"uri":"a://a"}}`, `{"status_list":{"idx":-1,"uri":"a://a"}}`,
		`{"status_list":{"idx":1.5,"uri":"a://a"}}`, `{"status_list":{"idx":1}}`, `{"status_list":{"idx":1,"uri":"a"}}`,
	} {
		var c status.Claim
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s: read as %+v", text, c)
		}
	}
	var c status.Claim
	if err := json.Unmarshal([]byte(`{"other":{}}`), &c); err != nil || !c.IsEmpty() {
		t.Errorf("another mechanism: %+v, %v", c, err)
	}
	if _, err := json.Marshal(status.Claim{Identifier: &status.IdentifierReference{}}); err == nil {
		t.Error("an identifier list was written as JSON")
	}
	text, err := json.Marshal(listClaim(5, "https://a/b"))
	if err != nil || string(text) != `{"status_list":{"idx":5,"uri":"https://a/b"}}` {
		t.Errorf("writes %s, %v", text, err)
	}
}

// A document with an address that is no URI can still be read; it cannot be asked about.
func TestReadClaimLeavesURIs(t *testing.T) {
	raw := status.Claim{List: &status.ListReference{Index: 7, URI: "lists/1"}}.AppendCBOR(nil)
	r := cbor.NewReader(raw)
	if c := status.ReadClaim(r); r.Done() != nil || c.List == nil || c.List.URI != "lists/1" {
		t.Errorf("ReadClaim: %v %+v", r.Err(), c)
	}
	if _, err := status.ParseClaim(raw); !errors.Is(err, status.ErrMalformed) {
		t.Errorf("ParseClaim: %v, want ErrMalformed", err)
	}
}
