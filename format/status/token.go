package status

import (
	"crypto"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
)

// Media types of tokens. Without "application/" they are also the typ of the
// JWT; with it, the type of the CWT.
const (
	MediaListJWT        = "application/statuslist+jwt"
	MediaListCWT        = "application/statuslist+cwt"
	MediaIdentifiersCWT = "application/identifierlist+cwt"
)

// Keys of CWT claims: RFC 8392, 4; Token Status List, 5.2; ISO/IEC 18013-5
// second edition (draft v4), 12.3.6.
const (
	claimSubject     = 2
	claimExpires     = 4
	claimNotBefore   = 5
	claimIssued      = 6
	claimIdentifiers = 65530
	claimList        = 65533
	claimTTL         = 65534
)

// maxTokenBytes limits a token from outside, at which it fits a list of four
// million documents of which one in a hundred is revoked.
const maxTokenBytes = 4 << 20

// maxTTL is beyond any sensible ttl; larger values are cut to it.
const maxTTL = 366 * 24 * time.Hour

// Claims are what every token says.
//
// Token Status List, 5.1 and 5.2.
type Claims struct {
	URI     string        // sub: where the token is published
	Issued  time.Time     // iat, in whole seconds
	Expires time.Time     // exp; zero if absent
	TTL     time.Duration // ttl: how long to keep a copy before asking again, in whole seconds; zero if absent
}

// Token is a status list token or identifier list token, parsed. What it says
// about documents is hidden until VerifySignature succeeds. It is not safe for
// concurrent use before that.
type Token struct {
	Raw   []byte // as received
	Media string // one of the media types above
	Claims

	// X5Chain is the chain in its x5chain or x5c header, DER, leaf first; nil
	// if absent. Nothing in it is trusted yet.
	X5Chain [][]byte
	KeyID   []byte // kid; nil if absent

	// AggregationURI is where all lists of the issuer are listed; may be empty.
	AggregationURI string

	notBefore   time.Time
	compressed  Compressed // of a status list
	identifiers []byte     // the identifiers map of an identifier list, verbatim
	sign1       *cose.Sign1
	jws         jws
	verified    bool
}

// IsCWT reports whether the token is a CWT, not a JWT.
func (t *Token) IsCWT() bool { return t.sign1 != nil }

// IsIdentifierList reports whether the token carries an identifier list, not a
// status list.
func (t *Token) IsIdentifierList() bool { return t.identifiers != nil }

// Parse reads a token in either format, which it tells by the first byte.
// It verifies nothing. The token holds windows into raw.
//
// Tokens that are authenticated with a MAC are refused: whoever could verify
// them could also make them.
func Parse(raw []byte) (*Token, error) {
	if len(raw) > maxTokenBytes {
		return nil, fmt.Errorf("%w: token of %d bytes, at most %d", ErrTooLarge, len(raw), maxTokenBytes)
	}
	if len(raw) > 0 && raw[0] >= 0x80 { // an array or a tag; a JWT is ASCII
		return parseCWT(raw)
	}
	return parseJWT(raw)
}

// checkRequired refuses a token without the claims that both formats require.
func (t *Token) checkRequired() error {
	switch {
	case t.URI == "":
		return fmt.Errorf("%w: no sub (Token Status List, 5)", ErrMalformed)
	case t.Issued.IsZero():
		return fmt.Errorf("%w: no iat (Token Status List, 5)", ErrMalformed)
	}
	return nil
}

// seconds reads a ttl, "a positive number".
func seconds(v float64) (time.Duration, error) {
	if !(v > 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%w: ttl is not positive (Token Status List, 5)", ErrMalformed)
	}
	if v > maxTTL.Seconds() {
		return maxTTL, nil
	}
	return time.Duration(v * float64(time.Second)), nil
}

func parseCWT(raw []byte) (*Token, error) {
	s, err := cose.ParseSign1(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: CWT: %w (Token Status List, 5.2)", ErrMalformed, err)
	}
	t := &Token{Raw: raw, X5Chain: s.X5Chain, KeyID: s.KeyID, sign1: s}
	// The examples of ISO/IEC 18013-5 second edition (draft v4), D.6 leave
	// "application/" out.
	switch "application/" + strings.TrimPrefix(s.Type, "application/") {
	case MediaListCWT:
		t.Media = MediaListCWT
	case MediaIdentifiersCWT:
		t.Media = MediaIdentifiersCWT
	default:
		return nil, fmt.Errorf("%w: type in the protected header is %.60q (Token Status List, 5.2)", ErrMalformed, s.Type)
	}
	if s.Payload == nil {
		return nil, fmt.Errorf("%w: the payload is detached (RFC 8392, 7.1)", ErrMalformed)
	}
	if err := t.readClaims(s.Payload); err != nil {
		return nil, fmt.Errorf("%w: claims: %w (Token Status List, 5.2)", ErrMalformed, err)
	}
	if t.Media == MediaListCWT && (t.compressed.Data == nil || t.identifiers != nil) {
		return nil, fmt.Errorf("%w: a status list token has claim 65533 and not 65530 (Token Status List, 5.2)", ErrMalformed)
	}
	if t.Media == MediaIdentifiersCWT && (t.identifiers == nil || t.compressed.Data != nil) {
		return nil, fmt.Errorf("%w: an identifier list token has claim 65530 and not 65533 (ISO/IEC 18013-5 second edition (draft v4), 12.3.6)", ErrMalformed)
	}
	return t, t.checkRequired()
}

func (t *Token) readClaims(payload []byte) error {
	r := cbor.ReadChecked(payload, cbor.Limits{Items: 1 << 20, Depth: 16})
	r.Map(func() {
		if k := r.Kind(); k != cbor.KindUint && k != cbor.KindNegInt {
			r.Skip()
			r.Skip()
			return
		}
		switch r.Int() {
		case claimSubject:
			t.URI = r.Text()
			r.In("sub")
		case claimExpires:
			t.Expires = readDate(r)
			r.In("exp")
		case claimNotBefore:
			t.notBefore = readDate(r)
			r.In("nbf")
		case claimIssued:
			t.Issued = readDate(r)
			r.In("iat")
		case claimTTL:
			ttl, err := seconds(float64(r.Uint()))
			if err != nil {
				r.Fail(err)
			}
			t.TTL = ttl
		case claimList:
			t.compressed = readCompressed(r)
			t.AggregationURI = t.compressed.AggregationURI
			r.In("status list")
		case claimIdentifiers:
			t.readIdentifiers(r)
			r.In("identifier list")
		default:
			r.Skip()
		}
	})
	return r.Done()
}

// readDate takes a NumericDate without tag, whole or with a fraction, which is
// cut off.
//
// RFC 8392, 2.
func readDate(r *cbor.Reader) time.Time {
	const last = 253402300799 // 9999-12-31T23:59:59Z
	var v float64
	if r.Kind() == cbor.KindFloat {
		if err := cbor.Unmarshal(r.Raw(), &v); err != nil {
			r.Fail(err)
		}
	} else {
		v = float64(r.Int())
	}
	if r.Err() == nil && !(v >= 1 && v <= last) {
		r.Failf("NumericDate out of range")
	}
	if r.Err() != nil {
		return time.Time{}
	}
	return time.Unix(int64(v), 0).UTC()
}

// readIdentifiers reads an identifier list.
//
//	IdentifierList = { "identifiers": { * bstr => map }, ? "aggregation_uri": tstr }
func (t *Token) readIdentifiers(r *cbor.Reader) {
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "identifiers":
			if k := r.Kind(); k != cbor.KindMap {
				r.Failf("identifiers is a %v, not a map", k)
			}
			t.identifiers = r.Raw()
		case "aggregation_uri":
			t.AggregationURI = r.Text()
		default:
			r.Skip()
		}
	})
	if r.Err() == nil && t.identifiers == nil {
		r.Failf("no identifiers")
	}
}

// VerifySignature checks the signature with a key that the caller has reason
// to trust, in most cases that of X5Chain[0] after the chain was validated.
// Errors wrap cose.ErrSignature or key.ErrSignature, cose.ErrAlgorithm or
// jose.ErrUnsupported.
func (t *Token) VerifySignature(pub crypto.PublicKey) error {
	var err error
	if t.sign1 != nil {
		err = t.sign1.Verify(pub, nil, nil)
	} else {
		err = t.jws.verify(pub)
	}
	if err != nil {
		t.verified = false
		return fmt.Errorf("status token: %w", err)
	}
	t.verified = true
	return nil
}

// List inflates the status list, to at most maxBytes (zero: MaxListBytes). It
// fails with ErrUnverified before VerifySignature has succeeded.
func (t *Token) List(maxBytes int) (*List, error) {
	if !t.verified {
		return nil, ErrUnverified
	}
	if t.IsIdentifierList() {
		return nil, fmt.Errorf("%w: the token holds an identifier list, not a status list", ErrMalformed)
	}
	return t.compressed.Inflate(maxBytes)
}

// Identifiers reads the identifier list. It fails with ErrUnverified before
// VerifySignature has succeeded.
func (t *Token) Identifiers() (*Identifiers, error) {
	if !t.verified {
		return nil, ErrUnverified
	}
	if !t.IsIdentifierList() {
		return nil, fmt.Errorf("%w: the token holds a status list, not an identifier list", ErrMalformed)
	}
	ids := &Identifiers{set: map[string]struct{}{}}
	r := cbor.NewReader(t.identifiers)
	r.Map(func() {
		ids.set[string(r.Bytes())] = struct{}{}
		if k := r.Kind(); k != cbor.KindMap {
			r.Failf("IdentifierInfo is a %v, not a map", k)
		}
		r.Skip()
	})
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: identifiers: %w (ISO/IEC 18013-5 second edition (draft v4), 12.3.6)", ErrMalformed, err)
	}
	return ids, nil
}

// Identifiers are the revoked documents of an identifier list. It is safe for
// concurrent use.
type Identifiers struct {
	set map[string]struct{}
}

// Has reports whether a document is listed, that is, revoked.
func (i *Identifiers) Has(id []byte) bool {
	_, ok := i.set[string(id)]
	return ok
}

// Len returns how many documents are listed.
func (i *Identifiers) Len() int { return len(i.set) }
