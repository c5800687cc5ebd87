package oid4vp

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// Verifier signs requests.
type Verifier struct {
	// ClientID is X509HashID or X509SANDNSID of the certificate.
	ClientID string
	// Key signs; Chain is its certificate chain, DER, leaf first, without the
	// trust anchor.
	Key   key.Signer
	Chain [][]byte
}

// Params say what a transaction is about.
type Params struct {
	Query query.Query
	// RequestURI is where the wallet fetches the request, ResponseURI where it
	// posts the answer. Both are https, or http to a loopback name.
	RequestURI, ResponseURI string
	// Lifetime is how long the request may be answered, 5 minutes if zero.
	Lifetime time.Duration
}

// Transaction is one question on its way. It holds the private key that the
// answer is encrypted to, so the role stores it sealed and deletes it at the
// end.
type Transaction struct {
	ClientID    string          `json:"client_id"`
	RequestURI  string          `json:"request_uri"`
	ResponseURI string          `json:"response_uri"`
	Nonce       string          `json:"nonce"`
	State       string          `json:"state"`
	DCQL        json.RawMessage `json:"dcql_query"`
	Created     time.Time       `json:"created"`
	Expires     time.Time       `json:"expires"`
	// PrivateKey is the P-256 scalar, 32 bytes, fresh for this transaction.
	PrivateKey []byte `json:"private_key"`
}

// Begin makes a transaction: fresh nonce, state and response key.
func (v *Verifier) Begin(p Params, now time.Time) (*Transaction, error) {
	dcql, err := p.Query.MarshalDCQL()
	if err != nil {
		return nil, err
	}
	for name, u := range map[string]string{"request_uri": p.RequestURI, "response_uri": p.ResponseURI} {
		if err := checkURL(name, u); err != nil {
			return nil, err
		}
	}
	if p.Lifetime == 0 {
		p.Lifetime = 5 * time.Minute
	}
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("response key: %w", err)
	}
	return &Transaction{
		ClientID: v.ClientID, RequestURI: p.RequestURI, ResponseURI: p.ResponseURI,
		Nonce: random(), State: random(), DCQL: dcql,
		Created: now, Expires: now.Add(p.Lifetime), PrivateKey: priv.Bytes(),
	}, nil
}

// random is 256 bits as 43 URL-safe characters.
func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: crypto/rand
	return jose.Encode(b)
}

// Link is the authorization request for a link or QR code under the scheme,
// such as "openid4vp" or "haip-vp".
func (t *Transaction) Link(scheme string) string {
	q := url.Values{"client_id": {t.ClientID}, "request_uri": {t.RequestURI}}
	return scheme + "://?" + q.Encode()
}

// RequestObject signs the request. The wallet may come for it more than once
// until the transaction ends; walletNonce is what it posted, else empty.
//
// OpenID4VP 1.0, 5; HAIP 1.0, 5.
func (v *Verifier) RequestObject(ctx context.Context, t *Transaction, walletNonce string, now time.Time) (string, error) {
	if len(walletNonce) > 512 {
		return "", fail(InvalidRequest, "wallet_nonce of %d characters, at most 512", len(walletNonce))
	}
	if !now.Before(t.Expires) {
		return "", fail(InvalidRequest, "the request has expired")
	}
	priv, err := t.private()
	if err != nil {
		return "", err
	}
	jwk, err := responseJWK(priv)
	if err != nil {
		return "", err
	}
	meta, err := json.Marshal(struct {
		JWKS    jose.Set        `json:"jwks"`
		Formats json.RawMessage `json:"vp_formats_supported"`
		Enc     []string        `json:"encrypted_response_enc_values_supported"`
	}{jose.Set{Keys: []jose.JWK{jwk}}, json.RawMessage(vpFormats), []string{jose.A256GCM, jose.A128GCM}})
	if err != nil {
		return "", err
	}
	return jose.Sign(ctx, v.Key, jose.Header{Typ: RequestObjectType, X5C: v.Chain}, requestObject{
		Audience: audience{staticAudience}, ResponseType: "vp_token", ResponseMode: DirectPostJWT,
		ClientID: t.ClientID, ResponseURI: t.ResponseURI, Nonce: t.Nonce, WalletNonce: walletNonce, State: t.State,
		DCQL: t.DCQL, ClientMetadata: meta,
		Times: jose.Times{IssuedAt: jose.NewDate(now), Expires: jose.NewDate(t.Expires)},
	})
}

// vpFormats are the algorithms that our verification takes. OpenID4VP 1.0, B.2.2
// and B.3.4.
const vpFormats = `{"mso_mdoc":{"issuerauth_alg_values":[-7,-9,-35,-51,-36,-52,-8,-19],"deviceauth_alg_values":[-7,-9,-35,-51,-36,-52,-8,-19]},` +
	`"dc+sd-jwt":{"sd-jwt_alg_values":["ES256","ES384","ES512","EdDSA"],"kb-jwt_alg_values":["ES256","ES384","ES512","EdDSA"]}}`

func (t *Transaction) private() (*ecdh.PrivateKey, error) {
	priv, err := ecdh.P256().NewPrivateKey(t.PrivateKey)
	if err != nil {
		return nil, errors.New("the transaction's response key is damaged")
	}
	return priv, nil
}

// responseJWK is the public key of a transaction; its kid is the thumbprint.
func responseJWK(priv *ecdh.PrivateKey) (jose.JWK, error) {
	pub, err := key.FromECDH(priv.PublicKey())
	if err != nil {
		return jose.JWK{}, err
	}
	kid, err := jose.ThumbprintString(pub)
	if err != nil {
		return jose.JWK{}, err
	}
	return jose.JWK{Key: pub, KID: kid, Use: "enc", Alg: "ECDH-ES"}, nil
}

// Answer is what a wallet posted, opened.
type Answer struct {
	// Presentations by credential id of the query; empty if Error is set.
	Presentations Presentations
	// Error and Description are what the wallet says instead.
	Error, Description string
	// Transcript is the SessionTranscript that mdocs in it must be bound to.
	Transcript []byte
}

// Mdoc decodes a presentation of format mso_mdoc to the DeviceResponse.
// OpenID4VP 1.0, B.2.
func (p Presentations) Mdoc(id string) ([][]byte, error) {
	var out [][]byte
	for _, s := range p[id] {
		b, err := jose.Decode(s)
		if err != nil {
			return nil, fail(InvalidRequest, "presentation of an mdoc is not base64url (OpenID4VP 1.0, B.2)")
		}
		out = append(out, b)
	}
	return out, nil
}

// Open takes what was posted to the response_uri. It only opens: what is in
// the presentations is not verified. The caller sees to it that a transaction
// is answered once. Errors are *Error.
//
// OpenID4VP 1.0, 8.1 to 8.3.
func (t *Transaction) Open(ctx context.Context, form url.Values, now time.Time) (*Answer, error) {
	if !now.Before(t.Expires) {
		return nil, fail(InvalidRequest, "the request has expired: start again")
	}
	var resp response
	if jwe := form.Get("response"); jwe != "" {
		if err := t.decrypt(ctx, jwe, &resp); err != nil {
			return nil, err
		}
	} else {
		// Only errors come in the clear: OpenID4VP 1.0, 8.3 lets a wallet that
		// cannot encrypt say so.
		if form.Get("error") == "" {
			return nil, fail(InvalidRequest, "response is missing: this request wants direct_post.jwt (OpenID4VP 1.0, 8.3)")
		}
		resp = response{State: form.Get("state"), Error: form.Get("error"), ErrorDescription: form.Get("error_description")}
	}
	if subtle.ConstantTimeCompare([]byte(resp.State), []byte(t.State)) != 1 {
		return nil, fail(InvalidRequest, "state is not this transaction's (OpenID4VP 1.0, 8.1)")
	}
	a := &Answer{Presentations: resp.VPToken, Error: printable(resp.Error), Description: printable(resp.ErrorDescription)}
	if a.Error != "" {
		a.Presentations = nil
		return a, nil
	}
	if err := t.checkAsked(resp.VPToken); err != nil {
		return nil, err
	}
	priv, err := t.private()
	if err != nil {
		return nil, err
	}
	jwk, err := responseJWK(priv)
	if err != nil {
		return nil, err
	}
	thumb, err := jose.Thumbprint(jwk.Key)
	if err != nil {
		return nil, err
	}
	a.Transcript = mdoc.TranscriptOpenID4VP(t.ClientID, t.Nonce, thumb[:], t.ResponseURI)
	return a, nil
}

// decrypt opens the JWE with the transaction's key.
func (t *Transaction) decrypt(ctx context.Context, token string, resp *response) error {
	jwe, err := jose.ParseJWE(token)
	if err != nil {
		return fail(InvalidRequest, "response is no JWE (OpenID4VP 1.0, 8.3): %w", err)
	}
	priv, err := t.private()
	if err != nil {
		return err
	}
	jwk, err := responseJWK(priv)
	if err != nil {
		return err
	}
	if jwe.Header.KID != jwk.KID {
		return fail(InvalidRequest, "response is encrypted to another key (OpenID4VP 1.0, 8.3)")
	}
	plain, err := jwe.Decrypt(ctx, key.Ephemeral{Private: priv})
	if err != nil {
		return fail(InvalidRequest, "response: %w", err)
	}
	if err := jose.Unmarshal(plain, resp, jose.Limits{Token: 8 << 20}); err != nil {
		return fail(InvalidRequest, "response: %w", err)
	}
	return nil
}

// checkAsked refuses presentations that the query has no place for.
func (t *Transaction) checkAsked(vp Presentations) error {
	q, err := query.ParseDCQL(t.DCQL)
	if err != nil {
		return err
	}
	if len(vp) == 0 {
		return fail(InvalidRequest, "vp_token is empty (OpenID4VP 1.0, 8.1)")
	}
	known := make(map[string]bool)
	for _, c := range q.Credentials {
		known[c.ID] = true
		if n := len(vp[c.ID]); n > 1 && !c.Multiple || n > 16 {
			return fail(InvalidRequest, "%d presentations where one was asked for (OpenID4VP 1.0, 8.1)", n)
		}
	}
	for id, list := range vp {
		if !known[id] || len(list) == 0 {
			return fail(InvalidRequest, "vp_token answers what was not asked, or with nothing (OpenID4VP 1.0, 8.1)")
		}
	}
	return nil
}

// printable bounds what a wallet says to what may stand in a log or a page.
func printable(s string) string {
	out := make([]byte, 0, min(len(s), 256))
	for _, b := range []byte(s) {
		if len(out) == 256 {
			break
		}
		if b < ' ' || b > '~' {
			b = '?'
		}
		out = append(out, b)
	}
	return string(out)
}
