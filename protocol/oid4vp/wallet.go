package oid4vp

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/query"
)

// maxSkew is how far the clocks of verifier and wallet may differ.
const maxSkew = 5 * time.Minute

// Link is what a link or QR code says: who asks, and where the request is.
type Link struct {
	ClientID   string
	RequestURI string
	// Post says that the wallet may POST to the request_uri, with a nonce of
	// its own that the request then repeats. OpenID4VP 1.0, 5.10.
	Post bool
}

// IsLink reports whether uri looks like an authorization request by reference,
// whatever its scheme.
func IsLink(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Query().Has("request_uri") && u.Query().Has("client_id")
}

// ParseLink parses an authorization request by reference, under any scheme.
// Requests by value are refused: they cannot be signed by those who ask this
// way, so nobody would know who asks.
//
// OpenID4VP 1.0, 5; RFC 9101, 5.2.
func ParseLink(uri string) (Link, error) {
	if len(uri) > 16<<10 {
		return Link{}, fail(InvalidRequest, "link of %d bytes, at most 16384", len(uri))
	}
	u, err := url.Parse(uri)
	if err != nil {
		return Link{}, fail(InvalidRequest, "not a URI")
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Link{}, fail(InvalidRequest, "query of the link is malformed")
	}
	for _, name := range []string{"client_id", "request_uri", "request_uri_method"} {
		if len(params[name]) > 1 {
			return Link{}, fail(InvalidRequest, "%s comes %d times (RFC 6749, 3.1)", name, len(params[name]))
		}
	}
	l := Link{ClientID: params.Get("client_id"), RequestURI: params.Get("request_uri")}
	if l.ClientID == "" || l.RequestURI == "" {
		return Link{}, fail(InvalidRequest, "link without client_id and request_uri: requests come by reference (RFC 9101, 5.2)")
	}
	if params.Has("request") {
		return Link{}, fail(InvalidRequest, "link with both request and request_uri (RFC 9101, 5)")
	}
	switch m := params.Get("request_uri_method"); m {
	case "", "get":
	case "post":
		l.Post = true
	default:
		return Link{}, fail(InvalidRequestURIMethod, "request_uri_method is %q, not get or post (OpenID4VP 1.0, 5.10)", m)
	}
	return l, checkURL("request_uri", l.RequestURI)
}

// Fetch gets the request object and the nonce that it has to repeat, which is
// empty after a GET.
//
// OpenID4VP 1.0, 5.10.
func (l Link) Fetch(ctx context.Context, do fetch.Func) (object, walletNonce string, err error) {
	req := fetch.Request{Method: "GET", URL: l.RequestURI, MaxBytes: 256 << 10}
	if l.Post {
		walletNonce = rand.Text()
		req = fetch.FormRequest(l.RequestURI, url.Values{
			"wallet_metadata": {walletMetadata},
			"wallet_nonce":    {walletNonce},
		})
	}
	if req.Header == nil {
		req.Header = map[string]string{}
	}
	req.Header["accept"] = RequestObjectMediaType
	resp, err := do(ctx, req)
	if err != nil {
		return "", "", fmt.Errorf("fetch the request: %w", err)
	}
	if resp.Status != 200 {
		return "", "", fmt.Errorf("fetch the request: the verifier answered %d %s; the request may be over (OpenID4VP 1.0, 5.10)", resp.Status, resp.Refusal())
	}
	return strings.TrimSpace(string(resp.Body)), walletNonce, nil
}

// walletMetadata tells the verifier what this wallet can do. OpenID4VP 1.0, 10.
const walletMetadata = `{"response_types_supported":["vp_token"],"response_modes_supported":["direct_post.jwt","direct_post"],` +
	`"vp_formats_supported":{"mso_mdoc":{"issuerauth_alg_values":[-7,-9,-35,-51,-36,-52,-8,-19],"deviceauth_alg_values":[-7,-9]},"dc+sd-jwt":{"sd-jwt_alg_values":["ES256","ES384","ES512","EdDSA"],"kb-jwt_alg_values":["ES256"]}},` +
	`"client_id_prefixes_supported":["x509_hash","x509_san_dns"],"request_object_signing_alg_values_supported":["ES256","ES384","ES512","EdDSA"],` +
	`"authorization_encryption_alg_values_supported":["ECDH-ES"],"authorization_encryption_enc_values_supported":["A128GCM","A256GCM"]}`

// Request is a request that was opened: its signature fits the certificate and
// the certificate fits the client identifier. Whether to trust the certificate
// is the wallet's next question.
type Request struct {
	ClientID string
	// Chain is the verifier's certificate chain, DER, leaf first.
	Chain       [][]byte
	Nonce       string
	State       string
	ResponseURI string
	// Encrypted says that the answer goes encrypted (direct_post.jwt).
	Encrypted bool
	Query     query.Query
	// Object is the request object as received.
	Object string

	key *jose.JWK // what the answer is encrypted to
	enc string
}

// Open verifies a request object that was fetched for l and says what it asks.
// walletNonce is what Fetch returned. The report names every check; the
// error, an *Error, is its first failure with the code for the verifier.
//
// OpenID4VP 1.0, 5 and 14.
func Open(object string, l Link, walletNonce string, now time.Time) (*Request, check.Report, error) {
	var rep check.Report
	step := func(name, clause, seen string, err error) error {
		if err == nil {
			rep.Pass(name, clause, seen)
			return nil
		}
		rep.Fail(name, clause, err.Error(), "tell the verifier; nothing was sent")
		var e *Error
		if errors.As(err, &e) {
			return e
		}
		return &Error{Code: InvalidRequest, Err: err}
	}
	r := &Request{Object: object}
	token, leaf, err := r.verifySignature(object)
	if err := step("request signature", "OpenID4VP 1.0, 5; RFC 9101, 10.8", "signed by its certificate", err); err != nil {
		return nil, rep, err
	}
	var c requestObject
	if err := step("request object", "OpenID4VP 1.0, 5.1", "", token.Claims(&c)); err != nil {
		return nil, rep, err
	}
	if err := step("client identifier", "OpenID4VP 1.0, 5.9.3", c.ClientID, r.identify(&c, l, leaf)); err != nil {
		return nil, rep, err
	}
	if err := step("request times", "RFC 7519, 4.1.4", "", c.Times.Check(now, maxSkew)); err != nil {
		return nil, rep, err
	}
	if slices.Contains(c.Audience, staticAudience) {
		rep.Pass("request audience", "OpenID4VP 1.0, 5.8", staticAudience)
	} else {
		rep.Warn("request audience", "OpenID4VP 1.0, 5.8", strings.Join(c.Audience, " "), "the verifier should name "+staticAudience)
	}
	if err := step("request nonces", "OpenID4VP 1.0, 5.2 and 5.10", "", r.nonces(&c, walletNonce)); err != nil {
		return nil, rep, err
	}
	if err := step("response mode", "OpenID4VP 1.0, 8.2", c.ResponseMode, r.responseMode(&c)); err != nil {
		return nil, rep, err
	}
	if err := step("query", "OpenID4VP 1.0, 6", "", r.query(&c)); err != nil {
		return nil, rep, err
	}
	if err := step("response encryption", "OpenID4VP 1.0, 8.3", r.enc, r.encryption(&c)); err != nil {
		return nil, rep, err
	}
	return r, rep, nil
}

func (r *Request) verifySignature(object string) (*jose.Token, *x509.Certificate, error) {
	token, err := jose.Parse(object, jose.Limits{Token: 256 << 10})
	if err != nil {
		return nil, nil, err
	}
	if !token.Header.HasType(RequestObjectType) {
		return nil, nil, fail(InvalidRequest, "typ is %q, not %s (OpenID4VP 1.0, 5)", token.Header.Typ, RequestObjectType)
	}
	if len(token.Header.X5C) == 0 {
		return nil, nil, fail(InvalidRequest, "request object without x5c (OpenID4VP 1.0, 5.9.3)")
	}
	leaf, err := x509.ParseCertificate(token.Header.X5C[0])
	if err != nil {
		return nil, nil, fail(InvalidRequest, "certificate of the verifier: %w", err)
	}
	if err := token.Verify(leaf.PublicKey); err != nil {
		return nil, nil, err
	}
	r.Chain = token.Header.X5C
	return token, leaf, nil
}

func (r *Request) identify(c *requestObject, l Link, leaf *x509.Certificate) error {
	if c.ClientID != l.ClientID {
		return fail(InvalidRequest, "client_id of the request object differs from the link's (RFC 9101, 5)")
	}
	if c.ResponseType != "vp_token" {
		return fail(InvalidRequest, "response_type is %q, not vp_token (OpenID4VP 1.0, 5.4)", c.ResponseType)
	}
	r.ClientID = c.ClientID
	return checkClientID(c.ClientID, r.Chain[0], leaf, c.ResponseURI)
}

func (r *Request) nonces(c *requestObject, walletNonce string) error {
	if c.Nonce == "" || len(c.Nonce) > 512 {
		return fail(InvalidRequest, "nonce of %d characters, from 1 to 512 (OpenID4VP 1.0, 5.2)", len(c.Nonce))
	}
	for _, b := range []byte(c.Nonce) {
		if b <= ' ' || b > '~' {
			return fail(InvalidRequest, "nonce with characters that are not URL-safe (OpenID4VP 1.0, 5.2)")
		}
	}
	if walletNonce != "" && c.WalletNonce != walletNonce {
		return fail(InvalidRequest, "wallet_nonce is not the one posted (OpenID4VP 1.0, 5.10)")
	}
	r.Nonce, r.State = c.Nonce, c.State
	return nil
}

func (r *Request) responseMode(c *requestObject) error {
	switch c.ResponseMode {
	case DirectPostJWT:
		r.Encrypted = true
	case DirectPost:
	default:
		return fail(InvalidRequest, "response_mode %q is not direct_post.jwt or direct_post (OpenID4VP 1.0, 8.2)", c.ResponseMode)
	}
	if c.RedirectURI != "" {
		return fail(InvalidRequest, "redirect_uri beside response_uri (OpenID4VP 1.0, 8.2)")
	}
	r.ResponseURI = c.ResponseURI
	return checkURL("response_uri", c.ResponseURI)
}

func (r *Request) query(c *requestObject) error {
	if c.Transaction != nil {
		return fail(InvalidTransactionData, "transaction_data is not supported (OpenID4VP 1.0, 8.4)")
	}
	if c.DCQL == nil || c.Scope != "" {
		return fail(InvalidRequest, "dcql_query is missing, or a scope stands for it (OpenID4VP 1.0, 5.1)")
	}
	var err error
	r.Query, err = query.ParseDCQL(c.DCQL)
	return err
}

// encryption picks the key and the algorithm that the answer is encrypted
// with: the first usable key, and A128GCM unless the verifier prefers another.
func (r *Request) encryption(c *requestObject) error {
	var m clientMetadata
	if c.ClientMetadata != nil {
		if err := jose.Unmarshal(c.ClientMetadata, &m, jose.Limits{Token: 128 << 10}); err != nil {
			return fail(InvalidRequest, "client_metadata: %w", err)
		}
	}
	for _, cred := range r.Query.Credentials {
		if _, ok := m.Formats[cred.Format]; m.Formats != nil && !ok {
			return fail(FormatsNotSupported, "%s is asked for and not in vp_formats_supported (OpenID4VP 1.0, 11.1)", cred.Format)
		}
	}
	if !r.Encrypted {
		return nil
	}
	if m.JWKS == nil {
		return fail(InvalidRequest, "direct_post.jwt without keys in client_metadata (OpenID4VP 1.0, 8.3)")
	}
	for i, k := range m.JWKS.Keys {
		_, err := key.ToECDH(k.Key)
		if err == nil && k.Agrees() == nil && (k.Alg == "" || k.Alg == "ECDH-ES") {
			r.key = &m.JWKS.Keys[i]
			break
		}
	}
	if r.key == nil {
		return fail(InvalidRequest, "no key in client_metadata that an answer could be encrypted to (OpenID4VP 1.0, 8.3)")
	}
	r.enc = jose.A128GCM // the default where nothing is said
	if len(m.Enc) > 0 {
		i := slices.IndexFunc(m.Enc, func(e string) bool {
			return e == jose.A128GCM || e == jose.A192GCM || e == jose.A256GCM
		})
		if i < 0 {
			return fail(InvalidRequest, "no content encryption in common (OpenID4VP 1.0, 8.3)")
		}
		r.enc = m.Enc[i]
	}
	return nil
}

// Transcript is the SessionTranscript that an mdoc answering this request is
// bound to. OpenID4VP 1.0, B.2.6.1.
func (r *Request) Transcript() ([]byte, error) {
	if r.key == nil {
		return mdoc.TranscriptOpenID4VP(r.ClientID, r.Nonce, nil, r.ResponseURI), nil
	}
	thumb, err := jose.Thumbprint(r.key.Key)
	if err != nil {
		return nil, err
	}
	return mdoc.TranscriptOpenID4VP(r.ClientID, r.Nonce, thumb[:], r.ResponseURI), nil
}

// Presentations are the answers by credential id of the query. An mdoc's is the
// base64url of a DeviceResponse with one document.
type Presentations map[string][]string

// EncodeMdoc is a DeviceResponse as a presentation. OpenID4VP 1.0, B.2.
func EncodeMdoc(deviceResponse []byte) string { return jose.Encode(deviceResponse) }

// Answer is the message that takes the presentations to the verifier.
//
// OpenID4VP 1.0, 8.1 to 8.3.
func (r *Request) Answer(p Presentations) (fetch.Request, error) {
	if len(p) == 0 {
		return fetch.Request{}, errors.New("an answer without a presentation: refuse instead (OpenID4VP 1.0, 8.1)")
	}
	return r.post(response{VPToken: p, State: r.State})
}

// Refuse is the message that tells the verifier that nothing comes, with one
// of the codes of this package; access_denied does not say whether the holder
// refused or has no such document.
//
// OpenID4VP 1.0, 8.5.
func (r *Request) Refuse(code, description string) (fetch.Request, error) {
	return r.post(response{Error: code, ErrorDescription: description, State: r.State})
}

func (r *Request) post(resp response) (fetch.Request, error) {
	form := url.Values{}
	if !r.Encrypted || r.key == nil {
		if resp.VPToken != nil {
			vp, err := json.Marshal(resp.VPToken)
			if err != nil {
				return fetch.Request{}, err
			}
			form.Set("vp_token", string(vp))
		}
		for name, v := range map[string]string{"state": resp.State, "error": resp.Error, "error_description": resp.ErrorDescription} {
			if v != "" {
				form.Set(name, v)
			}
		}
		return fetch.FormRequest(r.ResponseURI, form), nil
	}
	payload, err := json.Marshal(resp)
	if err != nil {
		return fetch.Request{}, err
	}
	jwe, err := jose.Encrypt(payload, jose.EncryptOptions{Recipient: *r.key, Enc: r.enc, CTY: "json"})
	if err != nil {
		return fetch.Request{}, fmt.Errorf("encrypt the answer: %w", err)
	}
	form.Set("response", jwe)
	return fetch.FormRequest(r.ResponseURI, form), nil
}

// ParseResult reads the verifier's reply to an answer: where to send the
// browser next, empty if nowhere.
//
// OpenID4VP 1.0, 8.2.
func ParseResult(resp fetch.Response) (redirectURI string, err error) {
	if resp.Status != 200 {
		return "", fmt.Errorf("the verifier did not accept the answer: %d %s (OpenID4VP 1.0, 8.2)", resp.Status, resp.Refusal())
	}
	var ok struct {
		RedirectURI string `json:"redirect_uri"`
	}
	if err := jose.Unmarshal(resp.Body, &ok, jose.Limits{Token: 16 << 10}); err != nil {
		return "", fmt.Errorf("reply of the verifier: %w (OpenID4VP 1.0, 8.2)", err)
	}
	if ok.RedirectURI == "" {
		return "", nil
	}
	u, err := url.Parse(ok.RedirectURI)
	if err != nil || !u.IsAbs() {
		return "", errors.New("redirect_uri of the verifier is not an absolute URI (OpenID4VP 1.0, 8.2)")
	}
	return ok.RedirectURI, nil
}
