package oid4vp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// maxLink limits a link, in bytes. Those with the whole request in them are
// long.
const maxLink = 128 << 10

// Link is what a link or QR code says: who asks, and the request or where it
// is.
type Link struct {
	ClientID   string
	RequestURI string // by reference
	// Post says that the wallet may POST to the request_uri, with a nonce of
	// its own that the request then repeats. OpenID4VP 1.0, 5.10.
	Post bool

	object string      // by value, signed
	params *parameters // by value, unsigned
}

// ParseLink parses an authorization request under any scheme: by reference, or
// by value, signed or not. Parameters that are not known are ignored, in any
// order; one that comes twice is an error.
//
// OpenID4VP 1.0, 5; RFC 9101, 5.
func ParseLink(uri string) (Link, error) {
	if len(uri) > maxLink {
		return Link{}, fail(InvalidRequest, "link of %d bytes, at most %d", len(uri), maxLink)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return Link{}, fail(InvalidRequest, "not a URI")
	}
	params, err := fetch.ParseForm(u.RawQuery)
	if err != nil {
		return Link{}, fail(InvalidRequest, "query of the link: %w (RFC 6749, 3.1)", err)
	}
	l := Link{ClientID: params.Get("client_id"), RequestURI: params.Get("request_uri"), object: params.Get("request")}
	switch m := params.Get("request_uri_method"); m {
	case "", "get":
	case "post":
		l.Post = true
	default:
		return Link{}, fail(InvalidRequestURIMethod, "request_uri_method is %.20q, not get or post (OpenID4VP 1.0, 5.10)", m)
	}
	switch {
	case l.ClientID == "":
		return Link{}, fail(InvalidRequest, "link without client_id (OpenID4VP 1.0, 5.2)")
	case l.object != "" && l.RequestURI != "":
		return Link{}, fail(InvalidRequest, "link with both request and request_uri (RFC 9101, 5)")
	case l.RequestURI != "":
		return l, checkURL("request_uri", l.RequestURI)
	case l.object != "":
		return l, nil
	}
	l.params, err = fromQuery(params)
	return l, err
}

// Fetch gets the request object and the nonce that it has to repeat, which is
// empty after a GET. With a POST it asks to have the object encrypted to a key
// made for it, and opens it. A verifier that invites to POST and then does not know
// how is asked with GET. For a request in the link there is nothing to fetch.
//
// OpenID4VP 1.0, 5.10.
func (l Link) Fetch(ctx context.Context, do fetch.Func) (object, walletNonce string, err error) {
	if l.RequestURI == "" {
		return l.object, "", nil
	}
	var resp fetch.Response
	var k requestKey
	if l.Post {
		walletNonce = rand.Text()
		if k, err = newRequestKey(); err != nil {
			return "", "", err
		}
		metadata, err := walletMetadata(l.ClientID, k.jwk)
		if err != nil {
			return "", "", err
		}
		resp, err = get(ctx, do, fetch.FormRequest(l.RequestURI, url.Values{
			"wallet_metadata": {metadata},
			"wallet_nonce":    {walletNonce},
		}))
		if err != nil {
			return "", "", err
		}
	}
	if !l.Post || resp.Status == 405 || resp.Status == 501 { // RFC 9110, 15.5.6 and 15.6.2
		walletNonce = ""
		if resp, err = get(ctx, do, fetch.GetRequest(l.RequestURI, "")); err != nil {
			return "", "", err
		}
	}
	if resp.Status != 200 {
		return "", "", fmt.Errorf("fetch the request: the verifier answered %d %s; the request may be over (OpenID4VP 1.0, 5.10)", resp.Status, resp.Refusal())
	}
	object = strings.TrimSpace(string(resp.Body))
	if walletNonce != "" {
		object, err = k.open(ctx, object)
	}
	return object, walletNonce, err
}

// get asks for a request object.
func get(ctx context.Context, do fetch.Func, r fetch.Request) (fetch.Response, error) {
	r.Header["accept"], r.MaxBytes = RequestObjectMediaType, maxRequest/2*3 // a third more where it is encrypted
	resp, err := do(ctx, r)
	if err != nil {
		return resp, fmt.Errorf("fetch the request: %w", err)
	}
	return resp, nil
}

// walletMetadata tells the verifier what this wallet can do. Nothing in it
// differs from one wallet to another, but the key that this one request is to be
// encrypted to: a payment in it is nobody's business on the way, also where TLS
// ends at somebody else's front door (EUDI TS12 1.0.1, 3.5).
//
// OpenID4VP 1.0, 5.10 and 10.
func walletMetadata(clientID string, k jose.JWK) (string, error) {
	m := struct {
		ResponseTypes []string        `json:"response_types_supported"`
		ResponseModes []string        `json:"response_modes_supported"`
		Formats       json.RawMessage `json:"vp_formats_supported"`
		Prefixes      []string        `json:"client_id_prefixes_supported"`
		Signing       []string        `json:"request_object_signing_alg_values_supported,omitempty"`
		EncryptionAlg []string        `json:"authorization_encryption_alg_values_supported"`
		EncryptionEnc []string        `json:"authorization_encryption_enc_values_supported"`
		JWKS          jose.Set        `json:"jwks"`
		RequestAlg    []string        `json:"request_object_encryption_alg_values_supported"` // RFC 9101, 10.5
		RequestEnc    []string        `json:"request_object_encryption_enc_values_supported"`
	}{
		[]string{"vp_token"}, []string{DirectPostJWT, DirectPost, Fragment}, walletFormats,
		[]string{PrefixX509Hash, PrefixX509SANDNS, PrefixDID, PrefixAttestation, PrefixRedirectURI, "pre-registered"},
		[]string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519"}, []string{"ECDH-ES"}, contentEncryption,
		jose.Set{Keys: []jose.JWK{k}}, []string{"ECDH-ES"}, contentEncryption,
	}
	if prefix, _, _ := SplitClientID(clientID); prefix == PrefixRedirectURI {
		m.Signing = nil // must be absent where requests cannot be signed
	}
	b, err := json.Marshal(m)
	return string(b), err
}
