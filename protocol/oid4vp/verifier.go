package oid4vp

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/protocol/query"
)

// Verifier signs requests.
type Verifier struct {
	// ClientID is X509HashID or X509SANDNSID of the certificate, DIDID,
	// AttestationID, or what wallets know it by.
	ClientID string
	Key      key.Signer
	// Chain is the certificate chain of Key, DER, leaf first, without the trust
	// anchor: for the x509 prefixes.
	Chain [][]byte
	// KeyID names Key, with a DID before it: for decentralized_identifier, and
	// for verifiers known beforehand who have several keys.
	KeyID string
	// Attestation is the verifier attestation: for verifier_attestation.
	Attestation string
	// Info is what others say of this verifier; it goes with each request.
	Info []VerifierInfo
	// Also are names and keys of the same verifier in other trust frameworks.
	// They sign multi-signed requests beside it. OpenID4VP 1.0, A.3.2.2.
	Also []*Verifier
}

// Params say what a transaction is about.
type Params struct {
	Query query.Query
	// RequestURI is where the wallet fetches the request; ResponseURI where it
	// posts the answer. Both are https, or http to a loopback name. Without
	// RequestURI the request goes by value (LinkByValue), without both through
	// the Digital Credentials API alone.
	RequestURI, ResponseURI string
	// Mode is DirectPostJWT if empty, which HAIP 1.0 wants; DirectPost; or
	// Fragment, with RedirectURI instead of ResponseURI. Through the Digital
	// Credentials API the answer is encrypted unless Mode is one in the clear.
	Mode        string
	RedirectURI string
	// Unsigned asks without proving who asks, under the client identifier
	// prefix redirect_uri. Not for HAIP 1.0.
	Unsigned bool
	// Info is what others say of the verifier and this question.
	Info []VerifierInfo
	// Transactions are what the holder is to authorise. Wallets that do not
	// know a type refuse the request.
	Transactions []TransactionData
	// Lifetime is how long the request may be answered, 5 minutes if zero.
	Lifetime time.Duration
}

// Transaction is one question on its way. It holds the private key that the
// answer is encrypted to, so the role stores it sealed and deletes it at the
// end.
type Transaction struct {
	ClientID     string          `json:"client_id"`
	RequestURI   string          `json:"request_uri,omitempty"`
	ResponseURI  string          `json:"response_uri,omitempty"`
	RedirectURI  string          `json:"redirect_uri,omitempty"`
	Mode         string          `json:"response_mode,omitempty"` // direct_post.jwt if empty
	Unsigned     bool            `json:"unsigned,omitempty"`
	Nonce        string          `json:"nonce"`
	State        string          `json:"state"`
	DCQL         json.RawMessage `json:"dcql_query"`
	Info         []VerifierInfo  `json:"verifier_info,omitempty"`
	Transactions []string        `json:"transaction_data,omitempty"` // as in the request
	Created      time.Time       `json:"created"`
	Expires      time.Time       `json:"expires"`
	// PrivateKey is the P-256 scalar, 32 bytes, fresh for this transaction;
	// absent if the answer comes as it is.
	PrivateKey []byte `json:"private_key,omitempty"`
}

// mode is the response mode of a request by link.
func (t *Transaction) mode() string {
	if t.Mode == "" {
		return DirectPostJWT
	}
	return t.Mode
}

// Begin makes a transaction: fresh nonce, state and response key.
func (v *Verifier) Begin(p Params, now time.Time) (*Transaction, error) {
	dcql, err := p.Query.MarshalDCQL()
	if err != nil {
		return nil, err
	}
	if p.Lifetime == 0 {
		p.Lifetime = 5 * time.Minute
	}
	t := &Transaction{
		ClientID: v.ClientID, RequestURI: p.RequestURI, ResponseURI: p.ResponseURI, RedirectURI: p.RedirectURI, Mode: p.Mode,
		Unsigned: p.Unsigned, Nonce: random(), State: random(), DCQL: dcql, Info: p.Info,
		Created: now, Expires: now.Add(p.Lifetime),
	}
	for _, d := range p.Transactions {
		if err := checkIDs(d.CredentialIDs, true, asks(p.Query)); err != nil {
			return nil, fmt.Errorf("transaction data: %w (OpenID4VP 1.0, 5.1)", err)
		}
		t.Transactions = append(t.Transactions, d.Encoded)
	}
	if len(t.Info) > 0 {
		if err := checkInfo(t.Info, asks(p.Query)); err != nil {
			return nil, err
		}
	}
	if err := t.checkAddresses(); err != nil {
		return nil, err
	}
	if t.Unsigned { // through the Digital Credentials API the origin stands for the verifier
		t.ClientID = redirectURIID(t.ResponseURI + t.RedirectURI) // of which there is one
	}
	if !encrypts(t.mode()) {
		return t, nil
	}
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("response key: %w", err)
	}
	t.PrivateKey = priv.Bytes()
	return t, nil
}

// checkAddresses wants those that the response mode needs, and no other.
func (t *Transaction) checkAddresses() error {
	switch t.mode() {
	case DirectPost, DirectPostJWT:
		if t.RedirectURI != "" {
			return errors.New("redirect_uri goes with the response mode fragment alone (OpenID4VP 1.0, 8.2)")
		}
	case Fragment:
		if t.ResponseURI != "" || t.RedirectURI == "" {
			return errors.New("the response mode fragment goes with redirect_uri, not response_uri (OpenID4VP 1.0, 5.6)")
		}
	default:
		return fmt.Errorf("response mode %q is not direct_post.jwt, direct_post or fragment (OpenID4VP 1.0, 8.2)", t.Mode)
	}
	if t.ResponseURI+t.RedirectURI == "" && t.RequestURI != "" {
		return errors.New("response_uri is missing: where is the answer to go? (OpenID4VP 1.0, 8.2)")
	}
	for name, u := range map[string]string{"request_uri": t.RequestURI, "response_uri": t.ResponseURI, "redirect_uri": t.RedirectURI} {
		if u == "" {
			continue
		}
		if err := checkURL(name, u); err != nil {
			return err
		}
	}
	return nil
}

// random is 256 bits as 43 URL-safe characters.
func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: crypto/rand
	return jose.Encode(b)
}

// Link is the authorization request by reference, for a link or QR code. to is
// a scheme, such as "openid4vp" or "haip-vp", or the authorization endpoint of
// a wallet.
func (t *Transaction) Link(to string) string {
	return linkTo(to, url.Values{"client_id": {t.ClientID}, "request_uri": {t.RequestURI}})
}

func linkTo(to string, q url.Values) string {
	switch {
	case !strings.Contains(to, ":"):
		to += "://?"
	case strings.Contains(to, "?"):
		to += "&"
	default:
		to += "?"
	}
	return to + q.Encode()
}

// LinkByValue is the authorization request with all that is in it: for links on
// the same device, as it is too long for a QR code. HAIP 1.0 wants Link.
//
// OpenID4VP 1.0, 5; RFC 9101, 5.1.
func (v *Verifier) LinkByValue(ctx context.Context, t *Transaction, to string, now time.Time) (string, error) {
	p, err := v.redirected(t, "", now)
	if err != nil {
		return "", err
	}
	if t.Unsigned {
		return linkTo(to, p.query()), nil
	}
	object, err := v.sign(ctx, p)
	if err != nil {
		return "", err
	}
	return linkTo(to, url.Values{"client_id": {t.ClientID}, "request": {object}}), nil
}

// WalletPost is what a wallet says of itself when it fetches a request by
// POST. The zero value is a GET. OpenID4VP 1.0, 5.10.
type WalletPost struct {
	// Nonce is to be repeated in the request, empty if there was none.
	Nonce string

	key *jose.JWK // what the request is to be encrypted to
	enc string
}

// ParseWalletPost reads what a wallet posted to a request_uri. Of its metadata
// only keys matter: a wallet that sends one wants the request encrypted. What is
// not known is ignored.
//
// OpenID4VP 1.0, 5.10.
func ParseWalletPost(form url.Values) (WalletPost, error) {
	p := WalletPost{Nonce: form.Get("wallet_nonce"), enc: jose.A128GCM}
	if len(p.Nonce) > 512 {
		return p, fail(InvalidRequest, "wallet_nonce of %d characters, at most 512 (OpenID4VP 1.0, 5.10)", len(p.Nonce))
	}
	if !form.Has("wallet_metadata") {
		return p, nil
	}
	var m struct {
		JWKS *jose.Set `json:"jwks"`
		Alg  []string  `json:"request_object_encryption_alg_values_supported"` // RFC 9101, 10.5
		Enc  []string  `json:"request_object_encryption_enc_values_supported"`
	}
	if err := jose.Unmarshal([]byte(form.Get("wallet_metadata")), &m, jose.Limits{Token: 64 << 10}); err != nil {
		return p, fail(InvalidRequest, "wallet_metadata: %w (OpenID4VP 1.0, 5.10)", err)
	}
	if i := slices.IndexFunc(contentEncryption, func(e string) bool { return slices.Contains(m.Enc, e) }); i >= 0 {
		p.enc = contentEncryption[i]
	}
	// What we cannot encrypt as the wallet wants goes as it is: the wallet decides.
	if len(m.Alg) > 0 && !slices.Contains(m.Alg, "ECDH-ES") || len(m.Enc) > 0 && !slices.Contains(m.Enc, p.enc) {
		return p, nil
	}
	if m.JWKS != nil {
		if i := slices.IndexFunc(m.JWKS.Keys, usable); i >= 0 {
			p.key = &m.JWKS.Keys[i]
		}
	}
	return p, nil
}

// RequestObject is the request for a wallet that comes for it. It may come more
// than once until the transaction ends.
//
// OpenID4VP 1.0, 5; HAIP 1.0, 5.
func (v *Verifier) RequestObject(ctx context.Context, t *Transaction, post WalletPost, now time.Time) (string, error) {
	object, err := v.ReadableObject(ctx, t, post, now)
	if err != nil {
		return "", err
	}
	return post.Seal(object)
}

// ReadableObject is RequestObject before it is encrypted, if the wallet wants
// that (WalletPost.Seal): for who keeps what was asked.
func (v *Verifier) ReadableObject(ctx context.Context, t *Transaction, post WalletPost, now time.Time) (string, error) {
	p, err := v.redirected(t, post.Nonce, now)
	if err != nil {
		return "", err
	}
	if t.Unsigned {
		return unsecuredObject(p)
	}
	return v.sign(ctx, p)
}

// Seal encrypts a request object to the key that the wallet sent; without one it
// stays as it is. RFC 7519, 5.2.
func (p WalletPost) Seal(object string) (string, error) {
	if p.key == nil {
		return object, nil
	}
	return jose.Encrypt([]byte(object), jose.EncryptOptions{Recipient: *p.key, Enc: p.enc, CTY: "JWT"})
}

// redirected are the parameters of a request by link.
func (v *Verifier) redirected(t *Transaction, walletNonce string, now time.Time) (*parameters, error) {
	if t.ResponseURI+t.RedirectURI == "" {
		return nil, errors.New("this request goes through the Digital Credentials API: it has no response_uri")
	}
	p, err := v.parameters(t, now)
	if err != nil {
		return nil, err
	}
	p.ClientID, p.ResponseMode, p.State, p.WalletNonce = t.ClientID, t.mode(), t.State, walletNonce
	p.ResponseURI, p.RedirectURI = t.ResponseURI, t.RedirectURI
	if info := slices.Concat(v.Info, t.Info); len(info) > 0 && !t.Unsigned {
		p.VerifierInfo, err = json.Marshal(info)
	}
	return p, err
}

// parameters are those of every request.
func (v *Verifier) parameters(t *Transaction, now time.Time) (*parameters, error) {
	if !now.Before(t.Expires) {
		return nil, fail(InvalidRequest, "the request has expired")
	}
	if !t.Unsigned && t.ClientID != v.ClientID { // a certificate that was renewed in between would change who asks
		return nil, fail(InvalidRequest, "the verifier has another client identifier now: start again")
	}
	p := &parameters{
		Audience: audience{staticAudience}, ResponseType: "vp_token", Nonce: t.Nonce, DCQL: t.DCQL,
		Times: jose.Times{IssuedAt: jose.NewDate(now), Expires: jose.NewDate(t.Expires)},
	}
	meta := struct {
		JWKS    *jose.Set       `json:"jwks,omitempty"`
		Formats json.RawMessage `json:"vp_formats_supported"`
		Enc     []string        `json:"encrypted_response_enc_values_supported,omitempty"`
	}{Formats: vpFormats}
	var err error
	if encrypts(t.mode()) {
		jwk, err := t.responseJWK()
		if err != nil {
			return nil, err
		}
		meta.JWKS, meta.Enc = &jose.Set{Keys: []jose.JWK{jwk}}, []string{jose.A256GCM, jose.A128GCM}
	}
	if p.ClientMetadata, err = json.Marshal(meta); err != nil {
		return nil, err
	}
	if len(t.Transactions) > 0 {
		p.TransactionData, err = json.Marshal(t.Transactions)
	}
	return p, err
}

// header names the key that signs, in the way of the client identifier prefix.
// OpenID4VP 1.0, 5.9.3.
func (v *Verifier) header() (jose.Header, error) {
	if v.Key == nil {
		return jose.Header{}, errors.New("a verifier without a key can only ask unsigned (OpenID4VP 1.0, 5.9.3)")
	}
	h := jose.Header{Typ: RequestObjectType, X5C: v.Chain, KID: v.KeyID}
	if v.Attestation != "" {
		text, err := json.Marshal(v.Attestation)
		if err != nil {
			return h, err
		}
		h.Raw = map[string]json.RawMessage{attestationHeader: text}
	}
	return h, nil
}

func (v *Verifier) sign(ctx context.Context, p *parameters) (string, error) {
	h, err := v.header()
	if err != nil {
		return "", err
	}
	return jose.Sign(ctx, v.Key, h, p)
}

// unsecuredObject is a request object without signature. RFC 7519, 6.
func unsecuredObject(p *parameters) (string, error) {
	claims, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return jose.Encode([]byte(`{"alg":"none","typ":"`+RequestObjectType+`"}`)) + "." + jose.Encode(claims) + ".", nil
}

func (t *Transaction) private() (*ecdh.PrivateKey, error) {
	priv, err := ecdh.P256().NewPrivateKey(t.PrivateKey)
	if err != nil {
		return nil, errors.New("the transaction's response key is damaged")
	}
	return priv, nil
}

// responseJWK is the public key of a transaction.
func (t *Transaction) responseJWK() (jose.JWK, error) {
	priv, err := t.private()
	if err != nil {
		return jose.JWK{}, err
	}
	return responseJWK(priv)
}

// responseJWK is a public key that answers are encrypted to; its kid is the
// thumbprint.
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
