package status_test

import (
	"testing"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

func FuzzParse(f *testing.F) {
	for _, name := range []string{"status_list_token_jwt", "status_list_token_cwt", "referenced_token_cwt"} {
		_, raw := loadToken(f, name)
		f.Add(raw)
	}
	ids, err := status.SignIdentifiersCWT(f.Context(), testkit.Ed25519(f), status.Headers{}, published, [][]byte{{1}, {2}}, "a:b")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ids)
	pub := testkit.Ed25519(f).Public()
	f.Fuzz(func(t *testing.T, raw []byte) {
		tok, err := status.Parse(raw)
		if err != nil {
			return
		}
		if tok.URI == "" || tok.Issued.IsZero() || tok.TTL < 0 {
			t.Fatalf("accepted without required claims: %+v", tok.Claims)
		}
		if _, report := tok.Verify(pub, listClaim(0, tok.URI), tok.Issued, status.Policy{}); report.OK() {
			t.Fatal("verifies under a key that signed nothing")
		}
		if _, err := tok.Open(1 << 20); err == nil {
			t.Fatal("opened without a verified signature")
		}
	})
}

func FuzzInflate(f *testing.F) {
	for _, name := range []string{"encoding_1bit_short_cbor", "encoding_2bit_long_cbor", "encoding_8bit_long_cbor"} {
		var e encoding
		vectors.Load(f, "tokenstatuslist/"+name+".json", &e)
		f.Add(vectors.Hex(f, e.Hex))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := status.ParseCompressed(raw)
		if err != nil {
			return
		}
		l, err := c.Inflate(1 << 20)
		if err != nil {
			return
		}
		if l.Len()*l.Bits() > 8<<20 {
			t.Fatalf("%d entries of %d bits are past the limit", l.Len(), l.Bits())
		}
		if _, err := l.Get(uint64(l.Len()) - 1); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Get(uint64(l.Len())); err == nil {
			t.Fatal("an entry past the end")
		}
	})
}

func FuzzParseClaim(f *testing.F) {
	f.Add(listClaim(5, exampleURI).AppendCBOR(nil))
	f.Add(status.Claim{Identifier: &status.IdentifierReference{ID: []byte{1}, URI: exampleURI, Certificate: []byte{2}}}.AppendCBOR(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := status.ParseClaim(raw)
		if err != nil {
			return
		}
		again, err := status.ParseClaim(c.AppendCBOR(nil))
		if err != nil || again.IsEmpty() != c.IsEmpty() {
			t.Fatalf("does not come back: %v", err)
		}
	})
}
