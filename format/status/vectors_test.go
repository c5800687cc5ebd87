package status_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/vectors"
)

// clock is the time at which the vectors are judged.
var clock = time.Unix(1686923770, 0)

type encoding struct {
	Hex      string
	Data     json.RawMessage
	Expected struct {
		Bits      int
		Size      int
		ByteArray string `json:"byte_array"`
		Statuses  json.RawMessage
	}
}

// statuses returns those that are listed; all others are 0.
func (e *encoding) statuses(t testing.TB) map[uint64]status.Status {
	t.Helper()
	out := map[uint64]status.Status{}
	var array []int
	if json.Unmarshal(e.Expected.Statuses, &array) == nil {
		for i, s := range array {
			out[uint64(i)] = status.Status(s)
		}
		return out
	}
	var object map[string]int
	if err := json.Unmarshal(e.Expected.Statuses, &object); err != nil {
		t.Fatal(err)
	}
	for k, s := range object {
		i, err := strconv.ParseUint(k, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = status.Status(s)
	}
	return out
}

func encodings(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors.Dir(t), "tokenstatuslist", "encoding_*.json"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d encoding vectors: %v", len(files), err)
	}
	return files
}

func TestEncodings(t *testing.T) {
	for _, file := range encodings(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			var e encoding
			vectors.Load(t, "tokenstatuslist/"+name+".json", &e)
			var c status.Compressed
			var err error
			isCBOR := strings.HasSuffix(name, "_cbor")
			if isCBOR {
				c, err = status.ParseCompressed(vectors.Hex(t, e.Hex))
			} else {
				err = json.Unmarshal(e.Data, &c)
			}
			if err != nil {
				t.Fatal(err)
			}
			l, err := c.Inflate(0)
			if err != nil {
				t.Fatal(err)
			}
			if l.Len() != e.Expected.Size {
				t.Fatalf("%d entries, want %d", l.Len(), e.Expected.Size)
			}
			want := e.statuses(t)
			again, err := status.NewList(l.Bits(), l.Len())
			if err != nil {
				t.Fatal(err)
			}
			count := map[status.Status]int{}
			for i := range uint64(l.Len()) {
				got, err := l.Get(i)
				if err != nil || got != want[i] {
					t.Fatalf("status[%d] = %v, %v; want %v", i, got, err, want[i])
				}
				count[got]++
				if err := again.Set(i, got); err != nil {
					t.Fatal(err)
				}
			}
			for s, n := range count {
				if l.Count(s) != n {
					t.Errorf("Count(%v) = %d, want %d", s, l.Count(s), n)
				}
			}

			// The container is written to the byte; the compressed bytes are
			// the encoder's choice, so those are compared inflated.
			if isCBOR {
				if got := c.AppendCBOR(nil); !bytes.Equal(got, vectors.Hex(t, e.Hex)) {
					t.Errorf("writes %x", got)
				}
			} else {
				var compact bytes.Buffer
				if err := json.Compact(&compact, e.Data); err != nil {
					t.Fatal(err)
				}
				if got, err := json.Marshal(c); err != nil || !bytes.Equal(got, compact.Bytes()) {
					t.Errorf("writes %s, %v", got, err)
				}
			}
			packed, err := again.Compress()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := packed.Inflate(0); err != nil || !reflect.DeepEqual(back, l) {
				t.Errorf("our own compression does not inflate to the same: %v", err)
			}
			if len(packed.Data) > len(c.Data)*11/10+16 {
				t.Errorf("compresses to %d bytes, the example to %d", len(packed.Data), len(c.Data))
			}
		})
	}
}

type tokenVector struct {
	Hex  string
	Text string
	Keys struct {
		Issuer struct{ X, Y string } `json:"issuer_jwk"`
	}
	Expected struct {
		Statuses []int
	}
}

func (v *tokenVector) public(t testing.TB) crypto.PublicKey {
	t.Helper()
	x, errX := jose.Decode(v.Keys.Issuer.X)
	y, errY := jose.Decode(v.Keys.Issuer.Y)
	pub, err := key.FromXY(elliptic.P256(), x, y)
	if errX != nil || errY != nil || err != nil {
		t.Fatal(errX, errY, err)
	}
	return pub
}

func loadToken(t testing.TB, name string) (v tokenVector, raw []byte) {
	t.Helper()
	vectors.Load(t, "tokenstatuslist/"+name+".json", &v)
	if v.Text != "" {
		return v, []byte(v.Text)
	}
	return v, vectors.Hex(t, v.Hex)
}

const exampleURI = "https://example.com/statuslists/1"

func listClaim(index uint64, uri string) status.Claim {
	return status.Claim{List: &status.ListReference{Index: index, URI: uri}}
}

func TestTokenExamples(t *testing.T) {
	for _, name := range []string{"status_list_token_jwt", "status_list_token_cwt"} {
		t.Run(name, func(t *testing.T) {
			v, raw := loadToken(t, name)
			tok, err := status.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			want := status.Claims{URI: exampleURI, Issued: time.Unix(1686920170, 0).UTC(), Expires: time.Unix(2291720170, 0).UTC(), TTL: 43200 * time.Second}
			if diff := cmp.Diff(want, tok.Claims); diff != "" {
				t.Error(diff)
			}
			if string(tok.KeyID) != "12" || tok.IsCWT() != (v.Hex != "") || tok.IsIdentifierList() {
				t.Errorf("kid %q, CWT %v", tok.KeyID, tok.IsCWT())
			}
			if _, err := tok.List(0); !errors.Is(err, status.ErrUnverified) {
				t.Errorf("before verification: %v", err)
			}
			for i, s := range v.Expected.Statuses {
				got, report := tok.Verify(v.public(t), listClaim(uint64(i), exampleURI), clock, status.Policy{})
				if err := report.Err(); err != nil || got != status.Status(s) {
					t.Errorf("status[%d] = %v, %v; want %d", i, got, err, s)
				}
			}
			wrong := []struct {
				name  string
				claim status.Claim
				now   time.Time
				check string
			}{
				{"past the list", listClaim(16, exampleURI), clock, "status"},
				{"another list", listClaim(0, exampleURI+"0"), clock, "subject"},
				{"an identifier", status.Claim{Identifier: &status.IdentifierReference{ID: []byte{1}, URI: exampleURI}}, clock, "subject"},
				{"nothing", status.Claim{}, clock, "subject"},
				{"too early", listClaim(0, exampleURI), time.Unix(1686920169, 0), "issued at"},
				{"expired", listClaim(0, exampleURI), time.Unix(2291720170, 0), "expiry"},
			}
			for _, w := range wrong {
				_, report := tok.Verify(v.public(t), w.claim, w.now, status.Policy{})
				if f := report.Failed(); len(f) != 1 || f[0].Name != w.check {
					t.Errorf("%s: failed %v, want %s", w.name, f, w.check)
				}
			}
			if _, report := tok.Verify(v.public(t), listClaim(0, exampleURI), time.Unix(2291720175, 0), status.Policy{Skew: 10 * time.Second}); !report.OK() {
				t.Errorf("within the skew: %v", report.Err())
			}
		})
	}
}

// replay is a signer that returns the signature of a vector.
type replay struct {
	pub       crypto.PublicKey
	signature []byte
}

func (r replay) Public() crypto.PublicKey                     { return r.pub }
func (r replay) Sign(context.Context, []byte) ([]byte, error) { return r.signature, nil }

func TestWriteTokenExample(t *testing.T) {
	v, raw := loadToken(t, "status_list_token_cwt")
	s, err := cose.ParseSign1(raw)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := status.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	list := status.Compressed{Bits: 1, Data: vectors.Hex(t, "78dadbb918000217015d")}
	got, err := status.SignCWT(t.Context(), replay{v.public(t), s.Signature}, status.Headers{KeyID: "12"}, tok.Claims, list)
	if err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%v\n got %x\nwant %x", err, got, raw)
	}
}

func TestReferences(t *testing.T) {
	_, raw := loadToken(t, "referenced_token_cwt")
	s, err := cose.ParseSign1(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := listClaim(0, exampleURI)
	found := false
	r := cbor.NewReader(s.Payload)
	r.Map(func() {
		if r.Int() != 65535 {
			r.Skip()
			return
		}
		found = true
		claim := r.Raw()
		c, err := status.ParseClaim(claim)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Error(diff)
		}
		if got := c.AppendCBOR(nil); !bytes.Equal(got, claim) {
			t.Errorf("writes %x, want %x", got, claim)
		}
	})
	if err := r.Done(); err != nil || !found {
		t.Errorf("claim 65535 found %v: %v", found, err)
	}

	_, sdjwt := loadToken(t, "referenced_token_sdjwt")
	payload, err := jose.Decode(strings.Split(string(sdjwt), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Status status.Claim }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, claims.Status); diff != "" {
		t.Error(diff)
	}
}

// TestRevocationExamples builds what ISO/IEC 18013-5 second edition (draft
// v4), D.6 prints with elisions, in the form it prints it.
func TestRevocationExamples(t *testing.T) {
	var v struct {
		Data struct {
			Status struct {
				Status struct {
					List struct {
						Index uint64 `json:"idx"`
						URI   string
					} `json:"status_list"`
				}
			} `json:"mso_status_status_list"`
			Identifier struct {
				Status struct {
					List struct{ ID, URI string } `json:"identifier_list"`
				}
			} `json:"mso_status_identifier_list"`
			Token struct {
				Claims map[string]json.RawMessage
			} `json:"identifier_list_cwt"`
		}
	}
	vectors.Load(t, "iso18013-5/d6_mso_revocation_lists.json", &v)
	certificate := []byte{0xaa}
	id := v.Data.Identifier.Status.List
	c := status.Claim{
		Identifier: &status.IdentifierReference{ID: vectors.Hex(t, strings.Trim(id.ID, "h'")), URI: id.URI, Certificate: certificate},
		List:       &status.ListReference{Index: v.Data.Status.Status.List.Index, URI: v.Data.Status.Status.List.URI, Certificate: certificate},
	}
	raw := c.AppendCBOR(nil)
	text, err := cbor.Diagnose(raw)
	if err != nil {
		t.Fatal(err)
	}
	const wantText = `{"identifier_list": {"id": h'cccc', "uri": "https://example.com/identifierlists/1", "certificate": h'aa'}, ` +
		`"status_list": {"idx": 1340, "uri": "https://example.com/statuslists/1", "certificate": h'aa'}}`
	if text != wantText {
		t.Errorf("writes %s", text)
	}
	if back, err := status.ParseClaim(raw); err != nil || !cmp.Equal(back, c) {
		t.Errorf("reads %+v, %v", back, err)
	}
	var sub string
	if err := json.Unmarshal(v.Data.Token.Claims["2"], &sub); err != nil || sub != id.URI {
		t.Errorf("sub %q, %v; the reference says %q", sub, err, id.URI)
	}
}
