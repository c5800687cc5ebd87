package oid4vci

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Requests and responses of the credential and deferred credential endpoints
// can be encrypted on top of TLS, so that what ends TLS in front of an
// authority sees no attributes. OpenID4VCI 1.0, 10.

const (
	algECDHES  = "ECDH-ES"
	zipDeflate = "DEF"

	mediaJSON = "application/json"
	mediaJWT  = "application/jwt"

	// maxMessage bounds a request, decrypted and decompressed.
	maxMessage = 1 << 20
)

// encs are the content encryption algorithms, the preferred first.
func encs() []string { return []string{jose.A256GCM, jose.A128GCM, jose.A192GCM} }

// RequestEncryption says how requests may be encrypted. OpenID4VCI 1.0, 12.2.4.
type RequestEncryption struct {
	JWKS     KeySet   `json:"jwks"`
	Enc      []string `json:"enc_values_supported"`
	Zip      []string `json:"zip_values_supported,omitempty"`
	Required bool     `json:"encryption_required"`
}

// KeySet is a JWK Set. Members that are no keys we know stay in it unused.
type KeySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// UnmarshalJSON also takes the bare array of keys that the examples of the
// first print show.
func (k *KeySet) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return json.Unmarshal(data, &k.Keys)
	}
	type set KeySet
	return json.Unmarshal(data, (*set)(k))
}

// ResponseEncryption says how responses may be encrypted. OpenID4VCI 1.0, 12.2.4.
type ResponseEncryption struct {
	Alg      []string `json:"alg_values_supported"`
	Enc      []string `json:"enc_values_supported"`
	Zip      []string `json:"zip_values_supported,omitempty"`
	Required bool     `json:"encryption_required"`
}

// Encryption are the authority's keys for encrypted requests.
type Encryption struct {
	Keys     []EncryptionKey // the newest first: that is the one told to wallets
	Required bool            // of requests and responses
}

// EncryptionKey is one of them, on P-256 for the wallets there are.
type EncryptionKey struct {
	ID  string
	Key key.Agreer
}

// Metadata describes the encryption to wallets.
func (e *Encryption) Metadata() (*RequestEncryption, *ResponseEncryption, error) {
	pub, err := key.FromECDH(e.Keys[0].Key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("encryption key: %w", err)
	}
	jwk, err := json.Marshal(jose.JWK{Key: pub, KID: e.Keys[0].ID, Use: "enc", Alg: algECDHES})
	if err != nil {
		return nil, nil, fmt.Errorf("encryption key: %w", err)
	}
	zip := []string{zipDeflate}
	return &RequestEncryption{KeySet{[]json.RawMessage{jwk}}, encs(), zip, e.Required},
		&ResponseEncryption{[]string{algECDHES}, encs(), zip, e.Required}, nil
}

// open returns the JSON text of a request, decrypted if it came so.
func (e *Encryption) open(ctx context.Context, req fetch.Request) (body []byte, encrypted bool, refusal *Error) {
	mediaType, _, _ := strings.Cut(req.Get("content-type"), ";")
	switch mediaType = strings.ToLower(strings.TrimSpace(mediaType)); {
	case mediaType == mediaJSON && e != nil && e.Required:
		return nil, false, refuse(CodeInvalidEncryption, "requests have to be encrypted here, as the metadata say (OpenID4VCI 1.0, 10)")
	case mediaType == mediaJSON:
		return req.Body, false, nil
	case mediaType != mediaJWT || e == nil:
		return nil, false, refuse(CodeInvalidRequest, "content type is neither application/json nor, where the metadata offer it, application/jwt (OpenID4VCI 1.0, 8.2)")
	}
	bad := func(err error) ([]byte, bool, *Error) {
		return nil, true, &Error{Code: CodeInvalidEncryption, Description: "request does not decrypt with a key of the metadata (OpenID4VCI 1.0, 10)", Err: err}
	}
	jwe, err := jose.ParseJWE(strings.TrimSpace(string(req.Body)))
	if err != nil {
		return bad(err)
	}
	n := slices.IndexFunc(e.Keys, func(k EncryptionKey) bool { return k.ID == jwe.Header.KID })
	if n < 0 {
		return bad(fmt.Errorf("kid %.64q is unknown", jwe.Header.KID))
	}
	if body, err = jwe.DecryptAtMost(ctx, e.Keys[n].Key, maxMessage); err != nil {
		return bad(err)
	}
	if len(body) > maxMessage {
		return bad(fmt.Errorf("%d bytes decrypted, at most %d", len(body), maxMessage))
	}
	return body, true, nil
}

// wanted is the member credential_response_encryption of a request.
type wanted struct {
	JWK json.RawMessage `json:"jwk"`
	Enc string          `json:"enc"`
	Zip string          `json:"zip,omitempty"`
}

// recipient is whom a response is for: how it has to be encrypted, if it has.
type recipient struct {
	options *jose.EncryptOptions
}

// recipient reads what a request wants of its response.
func (e *Encryption) recipient(raw json.RawMessage, encrypted bool) (recipient, *Error) {
	switch {
	case raw == nil && e != nil && e.Required:
		return recipient{}, refuse(CodeInvalidEncryption, "responses are encrypted here: credential_response_encryption is missing (OpenID4VCI 1.0, 8.2)")
	case raw == nil:
		return recipient{}, nil
	case e == nil:
		return recipient{}, refuse(CodeInvalidEncryption, "response encryption is not offered in the metadata (OpenID4VCI 1.0, 8.2)")
	case !encrypted:
		return recipient{}, refuse(CodeInvalidEncryption, "credential_response_encryption has to come in an encrypted request (OpenID4VCI 1.0, 8.2)")
	}
	bad := func(what string, err error) (recipient, *Error) {
		return recipient{}, &Error{Code: CodeInvalidEncryption, Description: "credential_response_encryption: " + what + " (OpenID4VCI 1.0, 8.2)", Err: err}
	}
	var w wanted
	if err := jose.Unmarshal(raw, &w, jose.Limits{}); err != nil || w.JWK == nil {
		return bad("it is no object with a jwk", err)
	}
	if !slices.Contains(encs(), w.Enc) || w.Zip != "" && w.Zip != zipDeflate {
		return bad("enc or zip is none of the metadata's", nil)
	}
	jwk, err := jose.ParseJWK(w.JWK)
	if err != nil {
		return bad("jwk is not usable", err)
	}
	if jwk.Alg != algECDHES || jwk.Agrees() != nil {
		return bad("jwk is not for "+algECDHES, nil)
	}
	return recipient{&jose.EncryptOptions{Recipient: *jwk, Enc: w.Enc, CTY: "json", Zip: w.Zip == zipDeflate}}, nil
}

// reply renders a response, which is JSON, for the recipient. It owns body.
func (r recipient) reply(status int, body []byte) (fetch.Response, error) {
	if r.options == nil {
		return fetch.Response{
			Status: status,
			Header: map[string]string{"content-type": mediaJSON, "cache-control": "no-store"},
			Body:   body,
		}, nil
	}
	jwe, err := jose.EncryptInPlace(body, *r.options)
	if err != nil {
		return fetch.Response{}, fmt.Errorf("encrypt the response: %w", err)
	}
	return fetch.Response{
		Status: status,
		Header: map[string]string{"content-type": mediaJWT, "cache-control": "no-store"},
		Body:   jwe,
	}, nil
}

// envelope is the wallet's side of one encrypted exchange: where the authority
// offers encryption it is used, in both directions.
type envelope struct {
	request  *jose.EncryptOptions // nil: in clear
	response key.Ephemeral        // its Private is nil: in clear
}

// seal adds to a request what its response is to be encrypted with, and
// encodes it.
func (m *Metadata) seal(body map[string]any) (data []byte, mediaType string, e envelope, err error) {
	if e, err = m.envelope(); err != nil {
		return nil, "", e, err
	}
	if e.response.Private != nil {
		pub, err := key.FromECDH(e.response.Public())
		if err != nil {
			return nil, "", e, err
		}
		jwk, err := json.Marshal(jose.JWK{Key: pub, KID: "1", Use: "enc", Alg: algECDHES})
		if err != nil {
			return nil, "", e, err
		}
		// Without zip: copies with a portrait are larger than what DEFLATE looks back
		// at, so it saves but a quarter, and takes longer than signing them.
		body["credential_response_encryption"] = wanted{JWK: jwk, Enc: e.request.Enc}
	}
	if data, err = json.Marshal(body); err != nil || e.request == nil {
		return data, mediaJSON, e, err
	}
	jwe, err := jose.EncryptInPlace(data, *e.request)
	return jwe, mediaJWT, e, err
}

// envelope decides how to encrypt for this authority.
func (m *Metadata) envelope() (envelope, error) {
	var e envelope
	req, resp := m.RequestEncryption, m.ResponseEncryption
	if req == nil {
		if resp != nil && resp.Required {
			return e, fmt.Errorf("the issuer wants encrypted responses, but offers no encryption of requests (OpenID4VCI 1.0, 8.2)")
		}
		return e, nil
	}
	recipient, enc := usableKey(req.JWKS), firstOf(encs(), req.Enc)
	if recipient == nil || enc == "" {
		if req.Required || resp != nil && resp.Required {
			return e, fmt.Errorf("the issuer wants encryption, but with no key or algorithm that this app has (OpenID4VCI 1.0, 12.2.4)")
		}
		return e, nil
	}
	e.request = &jose.EncryptOptions{Recipient: *recipient, Enc: enc, CTY: "json"}
	if resp == nil {
		return e, nil
	}
	if !slices.Contains(resp.Alg, algECDHES) || !slices.Contains(resp.Enc, enc) {
		if resp.Required {
			return e, fmt.Errorf("the issuer wants encrypted responses, but with no algorithm that this app has (OpenID4VCI 1.0, 12.2.4)")
		}
		return e, nil
	}
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	e.response = key.Ephemeral{Private: private}
	return e, err
}

// usableKey is the first key of a set that can be encrypted to, nil if none
// can: sets hold keys for other wallets too.
func usableKey(set KeySet) *jose.JWK {
	for _, raw := range set.Keys {
		k, err := jose.ParseJWK(raw)
		if err == nil && k.Agrees() == nil && k.Alg == algECDHES && k.KID != "" && (k.Use == "" || k.Use == "enc") {
			return k
		}
	}
	return nil
}

// firstOf is the first of mine that the other side has too, "" if none.
func firstOf(mine, theirs []string) string {
	for _, s := range mine {
		if slices.Contains(theirs, s) {
			return s
		}
	}
	return ""
}

// open returns the JSON text of a response. Errors are never encrypted; a
// document in clear, where an encrypted one was asked for, is refused.
func (e envelope) open(ctx context.Context, resp fetch.Response) ([]byte, error) {
	if e.response.Private == nil || resp.Status/100 != 2 {
		return resp.Body, nil
	}
	if resp.MediaType() != mediaJWT {
		return nil, fmt.Errorf("response is %.40q, not encrypted as was asked (OpenID4VCI 1.0, 10)", resp.MediaType())
	}
	jwe, err := jose.ParseJWE(strings.TrimSpace(string(resp.Body)))
	if err != nil {
		return nil, fmt.Errorf("response: %w (OpenID4VCI 1.0, 10)", err)
	}
	return jwe.Decrypt(ctx, e.response)
}
