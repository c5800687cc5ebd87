package oid4vp

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// maxSkew is how far the clocks of verifier and wallet may differ.
const maxSkew = 5 * time.Minute

// contentEncryption are the algorithms that answers are encrypted with, the
// preferred one first. HAIP 1.0, 5.
var contentEncryption = []string{jose.A256GCM, jose.A128GCM, jose.A192GCM}

// Request is a request that was opened: who asks has proved it as far as its
// Proof says, and is who the client identifier names. Whether to trust it is
// the wallet's next question.
type Request struct {
	Client
	// Others proved that they ask too, in a request of several signatures: each
	// has a name in a trust framework of its own. OpenID4VP 1.0, A.3.2.2.
	Others []Client

	Mode string
	// ResponseURI is where the answer goes: response_uri, or redirect_uri with
	// Fragment. Empty through the Digital Credentials API.
	ResponseURI string
	// Origin is where the request came from through the Digital Credentials
	// API, as the browser says; else empty.
	Origin string
	// Encrypted says that the answer goes encrypted.
	Encrypted bool

	Nonce string
	State string
	Query query.Query
	// Transactions are what the holder authorises by answering.
	Transactions []TransactionData
	// Object is the request object as received, empty if there was none.
	Object string

	key *jose.JWK // what the answer is encrypted to
	enc string
}

// opening is a request on its way to being opened.
type opening struct {
	env *Environment
	now time.Time
	r   *Request
	rep check.Report
	// known is set from where on the verifier may be told what is wrong.
	known bool
}

// step notes the outcome of one check.
func (o *opening) step(name, clause, seen string, err error) error {
	if err == nil {
		o.rep.Pass(name, clause, seen)
		return nil
	}
	e := &Error{Code: CodeOf(err), Err: err}
	if inner := (*Error)(nil); errors.As(err, &inner) {
		e.Err = inner.Err
	} else if !strings.HasSuffix(err.Error(), ")") { // of a package that does not know where its bytes stand
		e.Err = fmt.Errorf("%s: %w (%s)", name, err, clause)
	}
	advice := "nothing was sent"
	if o.known {
		e.Tell, advice = o.r, "tell the verifier; "+advice
	}
	o.rep.Fail(name, clause, e.Err.Error(), advice)
	return e
}

// Open verifies the request of l and says what it asks. object and walletNonce
// are what Fetch returned. The report names every check; the error, an *Error,
// is its first failure, with the code for the verifier and whether it may be
// told.
//
// OpenID4VP 1.0, 5 and 14.
func Open(ctx context.Context, object string, l Link, walletNonce string, env Environment, now time.Time) (*Request, check.Report, error) {
	o := &opening{env: &env, now: now, r: &Request{Object: object}}
	if err := o.redirected(ctx, object, l, walletNonce); err != nil {
		return nil, o.rep, err
	}
	return o.r, o.rep, nil
}

// redirected opens a request that came by a link.
func (o *opening) redirected(ctx context.Context, object string, l Link, walletNonce string) error {
	p := l.params
	var err error
	switch {
	case p != nil:
		err = o.unsigned(ctx, l.ClientID)
	case strings.HasSuffix(object, "."): // no signature behind the last dot
		p, err = o.unsecured(ctx, object, l)
	default:
		p, err = o.signed(ctx, object, l)
	}
	if err != nil {
		return err
	}
	if err := o.step("request times", "RFC 7519, 4.1.4", "", p.Times.Check(o.now, maxSkew)); err != nil {
		return err
	}
	if object != "" && !slices.Contains(p.Audience, staticAudience) {
		o.rep.Warn("request audience", "OpenID4VP 1.0, 5.8", strings.Join(p.Audience, " "), "the verifier should name "+staticAudience)
	}
	if walletNonce != "" && p.WalletNonce != walletNonce {
		return o.step("wallet nonce", "OpenID4VP 1.0, 5.10", "", fail(InvalidRequest, "wallet_nonce is not the one posted (OpenID4VP 1.0, 5.10)"))
	}
	if err := o.step("response mode", "OpenID4VP 1.0, 8.2", p.ResponseMode, o.target(p)); err != nil {
		return err
	}
	return o.content(p)
}

// unsigned takes a request that nobody signed.
func (o *opening) unsigned(ctx context.Context, clientID string) error {
	c, err := o.env.proveUnsigned(ctx, clientID)
	if err == nil {
		o.r.Client = *c
	}
	return o.step("client identifier", "OpenID4VP 1.0, 5.9.3", clientID, err)
}

// unsecured takes a request object without signature: by reference, with a
// client identifier that wants none. RFC 9101, 4; RFC 7519, 6.
func (o *opening) unsecured(ctx context.Context, object string, l Link) (*parameters, error) {
	p, err := parseUnsecured(object)
	if err == nil {
		err = p.inObject(l.ClientID)
	}
	if err := o.step("request object", "OpenID4VP 1.0, 5; RFC 9101, 4", "not signed", err); err != nil {
		return nil, err
	}
	return p, o.unsigned(ctx, l.ClientID)
}

func parseUnsecured(object string) (*parameters, error) {
	if len(object) > maxRequest {
		return nil, fail(InvalidRequest, "request object of %d bytes, at most %d", len(object), maxRequest)
	}
	parts := strings.Split(object, ".")
	if len(parts) != 3 {
		return nil, fail(InvalidRequest, "request object of %d parts, not 3 (RFC 9101, 4)", len(parts))
	}
	var header struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
	}
	p := new(parameters)
	for i, v := range []any{&header, p} {
		text, err := jose.Decode(parts[i])
		if err == nil {
			err = jose.Unmarshal(text, v, jose.Limits{Token: maxRequest})
		}
		if err != nil {
			return nil, fail(InvalidRequest, "request object: %w (RFC 9101, 4)", err)
		}
	}
	h := jose.Header{Typ: header.Typ}
	if header.Alg != "none" || !h.HasType(RequestObjectType) {
		return nil, fail(InvalidRequest, "request object without signature, with alg %.20q and typ %.40q (OpenID4VP 1.0, 5)", header.Alg, header.Typ)
	}
	return p, nil
}

// signed takes a request object that somebody signed.
func (o *opening) signed(ctx context.Context, object string, l Link) (*parameters, error) {
	token, p, err := parseObject(object)
	if err == nil {
		err = p.inObject(l.ClientID)
	}
	if err := o.step("request object", "OpenID4VP 1.0, 5; RFC 9101, 10.8", "", err); err != nil {
		return nil, err
	}
	return p, o.proved(ctx, token, l.ClientID)
}

// parseObject reads a signed request object, without verifying it.
func parseObject(object string) (*jose.Token, *parameters, error) {
	token, err := jose.Parse(object, jose.Limits{Token: maxRequest})
	if err != nil {
		return nil, nil, err
	}
	if !token.Header.HasType(RequestObjectType) {
		return nil, nil, fail(InvalidRequest, "typ is %.40q, not %s (OpenID4VP 1.0, 5)", token.Header.Typ, RequestObjectType)
	}
	p := new(parameters)
	return token, p, token.Claims(p)
}

// proved verifies the signature of the client that the request names.
func (o *opening) proved(ctx context.Context, token *jose.Token, clientID string) error {
	c, err := o.env.proveSigned(ctx, token, clientID, o.now)
	if err == nil {
		o.r.Client = *c
		o.selfSigned(c)
	}
	return o.step("request signature", "OpenID4VP 1.0, 5.9.3", clientID, err)
}

// selfSigned warns of a certificate that nobody else vouches for.
func (o *opening) selfSigned(c *Client) {
	if len(c.Chain) == 0 {
		return
	}
	if leaf, err := x509.ParseCertificate(c.Chain[0]); err == nil && bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		o.rep.Warn("verifier's certificate", "HAIP 1.0, 5", "self-signed", "the verifier should have a certificate of a CA")
	}
}

// inObject checks what holds of the claims of a request object alone.
// RFC 9101, 4 and 5; OpenID4VP 1.0, 5.10.1.
func (p *parameters) inObject(clientID string) error {
	if p.ClientID != clientID {
		return fail(InvalidRequest, "client_id of the request object differs from the link's (OpenID4VP 1.0, 5.10.1)")
	}
	if p.Request != nil || p.RequestURI != nil {
		return fail(InvalidRequest, "request or request_uri inside a request object (RFC 9101, 4)")
	}
	return nil
}

// target finds the address of the answer. From the moment that it is known to
// be the verifier's, the verifier may be told what is wrong.
//
// OpenID4VP 1.0, 5.6, 5.9.3 and 8.2.
func (o *opening) target(p *parameters) error {
	name, address, other := "response_uri", p.ResponseURI, p.RedirectURI
	mode := p.ResponseMode
	switch mode {
	case DirectPost, DirectPostJWT:
	case "", Fragment:
		mode, name, address, other = Fragment, "redirect_uri", p.RedirectURI, p.ResponseURI
	default:
		return fail(InvalidRequest, "response_mode %.40q is not direct_post.jwt, direct_post or fragment (OpenID4VP 1.0, 8.2)", mode)
	}
	if address == "" && o.r.prefix == PrefixRedirectURI {
		address = o.r.rest
	}
	if err := checkURL(name, address); err != nil {
		return err
	}
	if err := o.r.receivesAt(address); err != nil {
		return err
	}
	o.r.Mode, o.r.ResponseURI, o.r.State, o.r.Encrypted, o.known = mode, address, p.State, encrypts(mode), true
	if other != "" {
		return fail(InvalidRequest, "both redirect_uri and response_uri (OpenID4VP 1.0, 8.2)")
	}
	return nil
}

// content reads what is asked, whatever way the request came.
func (o *opening) content(p *parameters) error {
	m, err := o.metadata(p)
	if err == nil {
		err = o.r.encryption(m)
	}
	if err == nil && !o.r.Encrypted {
		o.rep.Warn("response encryption", "HAIP 1.0, 5", "the answer goes as it is", "the verifier should ask for an encrypted one")
	} else if err := o.step("response encryption", "OpenID4VP 1.0, 8.3", o.r.enc, err); err != nil {
		return err
	}
	if err := o.step("response type", "OpenID4VP 1.0, 5.6", p.ResponseType, checkType(p)); err != nil {
		return err
	}
	if err := o.step("nonce", "OpenID4VP 1.0, 5.2", "", checkNonce(p.Nonce)); err != nil {
		return err
	}
	o.r.Nonce = p.Nonce
	q, err := query.ParseDCQL(p.DCQL)
	if err := o.step("query", "OpenID4VP 1.0, 6", "", err); err != nil {
		return err
	}
	o.r.Query = q
	if err := o.step("formats", "OpenID4VP 1.0, 8.5 and 11.1", "", checkFormats(q, m)); err != nil {
		return err
	}
	for _, c := range o.clients() {
		if c.Info == nil {
			continue
		}
		if err := o.step("verifier info", "OpenID4VP 1.0, 5.11", "", checkInfo(c.Info, asks(q))); err != nil {
			return err
		}
	}
	if p.VerifierInfo != nil {
		info, err := parseInfo(p.VerifierInfo, asks(q))
		if err := o.step("verifier info", "OpenID4VP 1.0, 5.11", "", err); err != nil {
			return err
		}
		o.r.Info = info
	}
	if p.TransactionData == nil {
		return nil
	}
	o.r.Transactions, err = o.env.readTransactionData(p.TransactionData, q)
	return o.step("transaction data", "OpenID4VP 1.0, 8.4", "", err)
}

// clients are all that proved that they ask.
func (o *opening) clients() []*Client {
	list := []*Client{&o.r.Client}
	for i := range o.r.Others {
		list = append(list, &o.r.Others[i])
	}
	return list
}

// asks tells the credentials of a query by their ids.
func asks(q query.Query) func(id string) bool {
	return func(id string) bool {
		return slices.ContainsFunc(q.Credentials, func(c query.Credential) bool { return c.ID == id })
	}
}

// checkType wants the response type vp_token and a query, no scope in its
// place. OpenID4VP 1.0, 5.5, 5.6 and 8.5.
func checkType(p *parameters) error {
	switch {
	case p.ResponseType == "":
		return fail(InvalidRequest, "response_type is missing (OpenID4VP 1.0, 5.6)")
	case p.ResponseType != "vp_token":
		return fail(UnsupportedResponseType, "response_type is %.40q, not vp_token (OpenID4VP 1.0, 5.6)", p.ResponseType)
	case p.DCQL != nil && p.Scope != "":
		return fail(InvalidRequest, "both dcql_query and scope (OpenID4VP 1.0, 8.5)")
	case p.Scope != "":
		return fail(InvalidScope, "scope stands for no query that is known here (OpenID4VP 1.0, 5.5)")
	case p.DCQL == nil:
		return fail(InvalidRequest, "dcql_query is missing (OpenID4VP 1.0, 8.5)")
	}
	return nil
}

// checkNonce lets more characters pass than the URL-safe ones: deployed
// verifiers send base64. OpenID4VP 1.0, 5.2.
func checkNonce(nonce string) error {
	if nonce == "" || len(nonce) > 512 {
		return fail(InvalidRequest, "nonce of %d characters, from 1 to 512 (OpenID4VP 1.0, 5.2)", len(nonce))
	}
	for _, b := range []byte(nonce) {
		if b <= ' ' || b > '~' {
			return fail(InvalidRequest, "nonce with characters that are not URL-safe (OpenID4VP 1.0, 5.2)")
		}
	}
	return nil
}

// metadata is that of the verifier: registered, or sent along. Not both
// (OpenID4VP 1.0, 8.5).
func (o *opening) metadata(p *parameters) (clientMetadata, error) {
	var m clientMetadata
	raw := p.ClientMetadata
	if o.r.metadata != nil {
		if raw != nil {
			return m, fail(InvalidClient, "client_metadata of a verifier whose metadata is registered (OpenID4VP 1.0, 8.5)")
		}
		raw = o.r.metadata
	}
	if raw == nil {
		return m, nil
	}
	if err := jose.Unmarshal(raw, &m, jose.Limits{Token: 128 << 10}); err != nil {
		return m, fail(InvalidRequest, "client_metadata: %w (OpenID4VP 1.0, 5.1)", err)
	}
	return m, nil
}

// encryption picks the key and the algorithm that the answer is encrypted
// with: the first usable key, and of the algorithms in common the one that we
// prefer.
//
// OpenID4VP 1.0, 8.3; HAIP 1.0, 5.
func (r *Request) encryption(m clientMetadata) error {
	if !r.Encrypted {
		return nil
	}
	if m.JWKS == nil {
		return fail(InvalidRequest, "%s without keys in client_metadata (OpenID4VP 1.0, 8.3)", r.Mode)
	}
	enc := jose.A128GCM // the default where nothing is said
	if len(m.Enc) > 0 {
		i := slices.IndexFunc(contentEncryption, func(e string) bool { return slices.Contains(m.Enc, e) })
		if i < 0 {
			return fail(InvalidRequest, "no content encryption in common (OpenID4VP 1.0, 8.3)")
		}
		enc = contentEncryption[i]
	}
	i := slices.IndexFunc(m.JWKS.Keys, usable)
	if i < 0 {
		return fail(InvalidRequest, "no key in client_metadata that an answer could be encrypted to (OpenID4VP 1.0, 8.3)")
	}
	r.key, r.enc = &m.JWKS.Keys[i], enc
	return nil
}

// usable reports whether something can be encrypted to a key.
func usable(k jose.JWK) bool {
	_, err := key.ToECDH(k.Key)
	return err == nil && k.Agrees() == nil
}

// Audience is who the presentations are for: "aud" of a key binding JWT.
// OpenID4VP 1.0, B.3.6 and A.4.
func (r *Request) Audience() string {
	if r.Origin != "" {
		return originID(r.Origin)
	}
	return r.ClientID
}

// Transcript is the SessionTranscript that an mdoc answering this request is
// bound to. OpenID4VP 1.0, B.2.6.
func (r *Request) Transcript() ([]byte, error) {
	var thumb []byte
	if r.key != nil {
		sum, err := jose.Thumbprint(r.key.Key)
		if err != nil {
			return nil, fmt.Errorf("key of the verifier: %w", err)
		}
		thumb = sum[:]
	}
	if r.Origin != "" {
		return mdoc.TranscriptOpenID4VPDCAPI(r.Origin, r.Nonce, thumb), nil
	}
	return mdoc.TranscriptOpenID4VP(r.ClientID, r.Nonce, thumb, r.ResponseURI), nil
}
