package status

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// listClaims is the claims set of Token Status List, 5.1.
type listClaims struct {
	Subject string `json:"sub"`
	jose.Times
	TTL        *float64        `json:"ttl,omitempty"`
	StatusList *compressedJSON `json:"status_list"`
}

// A list is nearly all of its token, and encoding/json would walk it four
// times. So the claims are read and written with this in its place, which is
// no base64url and thus never a list itself.
const placeholder = "*"

var (
	memberList        = []byte(`"lst"`)
	quotedPlaceholder = []byte(`"` + placeholder + `"`)
)

// jws is what is left to verify of a JWT after parsing.
type jws struct {
	algorithm    string // as its header names it
	signingInput []byte // window into the token as received
	signature    []byte
}

// verify checks the signature as jose.Token.Verify does.
func (j jws) verify(pub crypto.PublicKey) error {
	alg, err := key.AlgorithmOf(pub)
	if err != nil {
		return fmt.Errorf("JWS: %w", err)
	}
	named := key.Algorithm(j.algorithm)
	if named == "Ed25519" { // RFC 9864, 2.2
		named = key.EdDSA
	}
	if named != alg {
		return fmt.Errorf("JWS \"alg\" %q, the key is for %s: %w", j.algorithm, alg, jose.ErrUnsupported)
	}
	if err := key.Verify(pub, j.signingInput, j.signature); err != nil {
		return fmt.Errorf("JWS: %w", err)
	}
	return nil
}

func parseJWT(raw []byte) (*Token, error) {
	malformed := func(what string, err error) error {
		return fmt.Errorf("%w: %s: %w (Token Status List, 5.1)", ErrMalformed, what, err)
	}
	if n := bytes.Count(raw, []byte{'.'}); n != 2 {
		return nil, fmt.Errorf("%w: JWT of %d parts, not 3 (RFC 7515, 7.1)", ErrMalformed, n+1)
	}
	first, last := bytes.IndexByte(raw, '.'), bytes.LastIndexByte(raw, '.')
	// The header is read as that of a JWS without content: jose keeps copies of
	// everything, and the payload is large.
	head, err := jose.Parse(string(raw[:first])+"..", jose.Limits{Token: maxTokenBytes})
	if err != nil {
		return nil, malformed("JWT", err)
	}
	if !head.Header.HasType(MediaListJWT) {
		return nil, fmt.Errorf("%w: typ is %.60q, not statuslist+jwt (Token Status List, 5.1)", ErrMalformed, head.Header.Typ)
	}
	signature, err := decodeURL(raw[last+1:])
	if err != nil {
		return nil, malformed("JWT signature", err)
	}
	payload, err := decodeURL(raw[first+1 : last])
	if err != nil {
		return nil, malformed("JWT payload", err)
	}
	t := &Token{
		Raw: raw, Media: MediaListJWT,
		X5Chain: head.Header.X5C,
		jws:     jws{head.Header.Alg, raw[:last], signature},
	}
	if head.Header.KID != "" {
		t.KeyID = []byte(head.Header.KID)
	}
	if err := t.readJWTClaims(payload); err != nil {
		return nil, malformed("claims", err)
	}
	return t, t.checkRequired()
}

// readJWTClaims reads the payload of a JWT and keeps no window into it.
func (t *Token) readJWTClaims(payload []byte) error {
	var c listClaims
	list, err := decodeClaims(payload, &c)
	if err != nil {
		return err
	}
	if c.StatusList == nil {
		return fmt.Errorf("%w: no status_list", ErrMalformed)
	}
	if err := checkBits(c.StatusList.Bits); err != nil {
		return err
	}
	t.Claims = Claims{URI: c.Subject, Issued: c.IssuedAt.Time(), Expires: c.Expires.Time()}
	t.notBefore = c.NotBefore.Time()
	t.AggregationURI = c.StatusList.AggregationURI
	if c.TTL != nil {
		if t.TTL, err = seconds(*c.TTL); err != nil {
			return err
		}
	}
	t.compressed = Compressed{Bits: c.StatusList.Bits, AggregationURI: c.StatusList.AggregationURI}
	if t.compressed.Data, err = decodeURL(list); err != nil {
		return fmt.Errorf("lst: %w", err)
	}
	return nil
}

// decodeClaims reads the claims and returns the list in them, as it is
// encoded. It is as strict as jose.Unmarshal, whichever way it goes.
func decodeClaims(payload []byte, c *listClaims) (list []byte, err error) {
	limits := jose.Limits{Token: maxTokenBytes}
	if rest, list, ok := cutList(payload); ok {
		if err := decodeObject(rest, c, limits); err != nil {
			return nil, err
		}
		if c.StatusList != nil && c.StatusList.List == placeholder { // else it was another member of this name
			return list, nil
		}
		*c = listClaims{}
	}
	if err := decodeObject(payload, c, limits); err != nil || c.StatusList == nil {
		return nil, err
	}
	return []byte(c.StatusList.List), nil
}

func decodeObject(data []byte, c *listClaims, limits jose.Limits) error {
	if b := bytes.TrimLeft(data, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return fmt.Errorf("%w: no JSON object (RFC 7519, 7.2)", ErrMalformed)
	}
	return jose.Unmarshal(data, c, limits)
}

// cutList splits claims into the value of the first member "lst" and the rest,
// with the placeholder where the value was. ok is false where that cannot be
// told without parsing: if there is none, or anything is escaped.
//
// Without a backslash in it, a quote begins or ends a string. `"lst"` followed
// by a colon is then a member's name, and what stands between the next two
// quotes its whole value: parsing the rest tells whether the text is JSON, and
// decoding the value whether it holds something that a string must not.
func cutList(payload []byte) (rest, list []byte, ok bool) {
	at := bytes.Index(payload, memberList)
	if at < 0 {
		return nil, nil, false
	}
	value := bytes.TrimLeft(payload[at+len(memberList):], " \t\r\n")
	if len(value) == 0 || value[0] != ':' {
		return nil, nil, false
	}
	value = bytes.TrimLeft(value[1:], " \t\r\n")
	if len(value) == 0 || value[0] != '"' {
		return nil, nil, false
	}
	start := len(payload) - len(value)
	length := bytes.IndexByte(value[1:], '"')
	if length < 0 {
		return nil, nil, false
	}
	list, after := value[1:1+length], value[2+length:]
	rest = make([]byte, 0, start+len(quotedPlaceholder)+len(after))
	rest = append(append(append(rest, payload[:start]...), quotedPlaceholder...), after...)
	if bytes.IndexByte(rest, '\\') >= 0 || bytes.IndexByte(list, '\\') >= 0 || bytes.Count(rest, quotedPlaceholder) != 1 {
		return nil, nil, false
	}
	return rest, list, true
}

// strictURL is base64url as RFC 7515, 2 wants it.
var strictURL = base64.RawURLEncoding.Strict()

// decodeURL is jose.Decode of bytes.
func decodeURL(text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 { // which the library skips
		return nil, fmt.Errorf("%w: base64 with line breaks", ErrMalformed)
	}
	out := make([]byte, strictURL.DecodedLen(len(text)))
	n, err := strictURL.Decode(out, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return out[:n], nil
}

// appendJWTClaims returns the payload of a status list token as a JWT.
func appendJWTClaims(c Claims, list Compressed) ([]byte, error) {
	claims := listClaims{
		Subject: c.URI, Times: jose.Times{IssuedAt: jose.NewDate(c.Issued)},
		StatusList: &compressedJSON{list.Bits, placeholder, list.AggregationURI},
	}
	if !c.Expires.IsZero() {
		claims.Expires = jose.NewDate(c.Expires)
	}
	if c.TTL > 0 {
		ttl := float64(c.TTL / time.Second)
		claims.TTL = &ttl
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(claims); err != nil {
		return nil, fmt.Errorf("status list token: %w", err)
	}
	before, after, _ := bytes.Cut(bytes.TrimSpace(text.Bytes()), []byte(`"lst":"`+placeholder+`"`)) // a quote in a value is escaped
	out := make([]byte, 0, text.Len()+strictURL.EncodedLen(len(list.Data))+len(`"lst":""`))
	out = append(append(out, before...), `"lst":"`...)
	out = strictURL.AppendEncode(out, list.Data)
	return append(append(out, '"'), after...), nil
}
