package oid4vp

import (
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
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/query"
)

// AnnexBRequest is a request by ISO/IEC TS 18013-7, Annex B that was opened: its
// signature fits the certificate and the certificate fits the client
// identifier. Whether to trust the certificate is the wallet's next question.
type AnnexBRequest struct {
	ClientID string
	// Chain is the verifier's certificate chain, DER, leaf first.
	Chain       [][]byte
	Nonce       string
	State       string
	ResponseURI string
	Query       query.Query

	generated  string // mdocGeneratedNonce, fresh for this request
	definition definition
	key        *jose.JWK
	enc        string
}

// IsAnnexB reports whether a request object that was fetched is one of Annex B:
// it carries a presentation definition and no DCQL query. Nothing of it is
// verified.
func IsAnnexB(object string) bool {
	var c annexBObject
	token, err := jose.Parse(object, jose.Limits{Token: 256 << 10})
	return err == nil && token.Claims(&c) == nil && c.Definition != nil && c.DCQL == nil
}

// OpenAnnexB verifies a request object that was fetched for l and says what it
// asks. The report names every check; the error, an *Error, is its first
// failure with the code for the verifier.
//
// ISO/IEC TS 18013-7 (draft N2544), B.1.2 and B.4.2.
func OpenAnnexB(object string, l Link, now time.Time) (*AnnexBRequest, check.Report, error) {
	var rep check.Report
	r := &AnnexBRequest{generated: random()}
	var c annexBObject
	var leaf *x509.Certificate
	for _, s := range []struct {
		name, clause string
		check        func() (seen string, err error)
	}{
		{"request signature", "B.4.2.3.5", func() (_ string, err error) {
			leaf, err = r.verifySignature(object, &c)
			return "signed by its certificate", err
		}},
		{"client identifier", "B.4.2.3.4 and B.4.2.3.5", func() (string, error) { return c.ClientID, r.identify(&c, l, leaf) }},
		{"request times", "RFC 7519, 4.1.4", func() (string, error) { return "", c.Times.Check(now, maxSkew) }},
		{"request parameters", "B.4.2.3.2", func() (string, error) { return "", r.parameters(&c) }},
		{"query", "B.4.2.3.3", func() (string, error) { return "", r.query(&c) }},
		{"response encryption", "B.4.3.3.2", func() (string, error) { err := r.encryption(&c); return r.enc, err }},
	} {
		if !strings.HasPrefix(s.clause, "RFC") {
			s.clause = "ISO/IEC TS 18013-7 (draft N2544), " + s.clause
		}
		seen, err := s.check()
		if err != nil {
			rep.Fail(s.name, s.clause, err.Error(), "tell the verifier; nothing was sent")
			if _, ok := errors.AsType[*Error](err); !ok {
				err = &Error{Code: InvalidRequest, Err: err}
			}
			return nil, rep, err
		}
		rep.Pass(s.name, s.clause, seen)
	}
	if !slices.Contains(c.Audience, staticAudience) {
		rep.Warn("request audience", "ISO/IEC TS 18013-7 (draft N2544), B.4.2.3.2", strings.Join(c.Audience, " "), "the verifier should name "+staticAudience)
	}
	return r, rep, nil
}

func (r *AnnexBRequest) verifySignature(object string, c *annexBObject) (*x509.Certificate, error) {
	token, err := jose.Parse(object, jose.Limits{Token: 256 << 10})
	if err != nil {
		return nil, err
	}
	// The standard's own example says JWT, RFC 9101 something else.
	if t := token.Header.Typ; t != "" && !token.Header.HasType(RequestObjectType) && !token.Header.HasType("JWT") {
		return nil, fail(InvalidRequest, "typ is %.40q, not %s (RFC 9101, 10.8)", t, RequestObjectType)
	}
	if len(token.Header.X5C) == 0 {
		return nil, fail(InvalidRequest, "request object without x5c (ISO/IEC TS 18013-7, B.4.2.3.5)")
	}
	leaf, err := x509.ParseCertificate(token.Header.X5C[0])
	if err != nil {
		return nil, fail(InvalidRequest, "certificate of the verifier: %w", err)
	}
	if err := token.Verify(leaf.PublicKey); err != nil {
		return nil, err
	}
	r.Chain = token.Header.X5C
	return leaf, token.Claims(c)
}

// identify binds the client identifier to the certificate, and the address of
// the answer to the client identifier.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.2.3.5; OpenID4VP draft 18, 5.7.
func (r *AnnexBRequest) identify(c *annexBObject, l Link, leaf *x509.Certificate) error {
	if c.ClientID == "" || c.ClientID != l.ClientID {
		return fail(InvalidRequest, "client_id of the request object differs from the link's (RFC 9101, 5)")
	}
	r.ClientID, r.ResponseURI = c.ClientID, c.ResponseURI
	if err := checkURL("response_uri", c.ResponseURI); err != nil {
		return err
	}
	response, err := url.Parse(c.ResponseURI)
	if err != nil {
		return fail(InvalidRequest, "response_uri is no URL (OpenID4VP draft 18, 6.2)")
	}
	var named, fits bool
	switch c.ClientIDScheme {
	case schemeSANDNS:
		named = slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return strings.EqualFold(name, c.ClientID) })
		fits = strings.EqualFold(response.Hostname(), c.ClientID)
	case schemeSANURI:
		named = slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.String() == c.ClientID })
		client, err := url.Parse(c.ClientID)
		fits = err == nil && client.Scheme == response.Scheme && strings.EqualFold(client.Host, response.Host)
	default:
		return fail(InvalidClient, "client_id_scheme %.40q: x509_san_dns and x509_san_uri are supported (ISO/IEC TS 18013-7, B.4.2.3.4)", c.ClientIDScheme)
	}
	switch {
	case !named:
		return fail(InvalidClient, "client_id is no name of the signer's certificate by %s (ISO/IEC TS 18013-7, B.4.2.3.5)", c.ClientIDScheme)
	case !fits:
		return fail(InvalidRequest, "response_uri is not on the host of client_id (ISO/IEC TS 18013-7, B.4.2.3.5)")
	}
	return nil
}

func (r *AnnexBRequest) parameters(c *annexBObject) error {
	switch {
	case c.ResponseType != "vp_token":
		return fail(InvalidRequest, "response_type is %.40q, not vp_token (ISO/IEC TS 18013-7, B.4.2.3.2)", c.ResponseType)
	case c.ResponseMode != DirectPostJWT:
		return fail(InvalidRequest, "response_mode is %.40q, not direct_post.jwt (ISO/IEC TS 18013-7, B.4.2.3.2)", c.ResponseMode)
	case c.RedirectURI != "":
		return fail(InvalidRequest, "redirect_uri beside response_uri (OpenID4VP draft 18, 6.2)")
	case c.Nonce == "" || len(c.Nonce) > 512:
		return fail(InvalidRequest, "nonce of %d characters, from 1 to 512 (ISO/IEC TS 18013-7, B.5.3)", len(c.Nonce))
	}
	r.Nonce, r.State = c.Nonce, c.State
	return nil
}

// query reads the presentation definition as the DeviceRequest that says the
// same.
func (r *AnnexBRequest) query(c *annexBObject) error {
	if c.DCQL != nil {
		return fail(InvalidRequest, "both presentation_definition and dcql_query: these are two versions of OpenID4VP")
	}
	var err error
	if r.definition, err = parseDefinition(c.Definition); err != nil {
		return err
	}
	docs, err := r.definition.documents()
	if err != nil {
		return err
	}
	r.Query, err = query.FromDeviceRequest(&mdoc.DeviceRequest{Version: "1.0", Documents: docs})
	return err
}

// encryption picks the first key that an answer can be encrypted to.
func (r *AnnexBRequest) encryption(c *annexBObject) error {
	var m annexBMetadata
	if c.ClientMetadata != nil {
		if err := jose.Unmarshal(c.ClientMetadata, &m, jose.Limits{Token: 128 << 10}); err != nil {
			return fail(InvalidRequest, "client_metadata: %w", err)
		}
	}
	if _, ok := m.Formats[query.FormatMdoc]; m.Formats != nil && !ok {
		return fail(FormatsNotSupported, "mso_mdoc is not in vp_formats (ISO/IEC TS 18013-7, B.3.3.1)")
	}
	if m.Alg != "" && m.Alg != "ECDH-ES" {
		return fail(InvalidRequest, "authorization_encrypted_response_alg is %.40q, not ECDH-ES (ISO/IEC TS 18013-7, B.4.3.3.2)", m.Alg)
	}
	switch m.Enc {
	case "":
		r.enc = jose.A256GCM // what every wallet has by B.3.2.3.2
	case jose.A128GCM, jose.A192GCM, jose.A256GCM:
		r.enc = m.Enc
	default:
		return fail(InvalidRequest, "authorization_encrypted_response_enc is %.40q, not A256GCM (ISO/IEC TS 18013-7, B.4.3.3.2)", m.Enc)
	}
	if m.JWKS != nil {
		if i := slices.IndexFunc(m.JWKS.Keys, func(k jose.JWK) bool { return k.Agrees() == nil }); i >= 0 {
			r.key = &m.JWKS.Keys[i]
			return nil
		}
	}
	return fail(InvalidRequest, "no key in client_metadata that an answer could be encrypted to (ISO/IEC TS 18013-7, B.4.3.3.2)")
}

// Transcript is the SessionTranscript that documents answering this request are
// bound to.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.4.
func (r *AnnexBRequest) Transcript() []byte {
	return mdoc.TranscriptOpenID4VPDraft18(r.ClientID, r.ResponseURI, r.Nonce, r.generated)
}

// Answer is the message that takes a DeviceResponse with all documents to the
// verifier.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.3.
func (r *AnnexBRequest) Answer(deviceResponse []byte) (fetch.Request, error) {
	response, err := mdoc.ParseDeviceResponse(deviceResponse)
	if err != nil {
		return fetch.Request{}, err
	}
	s := &submission{ID: rand.Text(), DefinitionID: r.definition.ID, Map: []descriptor{}}
	for i := range r.definition.Descriptors {
		in := &r.definition.Descriptors[i]
		if slices.ContainsFunc(response.Documents, func(d mdoc.Document) bool { return d.DocType == in.docType() }) {
			s.Map = append(s.Map, descriptor{ID: in.ID, Format: query.FormatMdoc, Path: "$"})
		}
	}
	if len(s.Map) == 0 {
		return fetch.Request{}, errors.New("an answer without a document that was asked for: refuse instead (ISO/IEC TS 18013-7, B.4.3.3)")
	}
	return r.post(annexBResponse{VPToken: jose.Encode(deviceResponse), Submission: s, State: r.State})
}

// Refuse is the message that tells the verifier that nothing comes, with one of
// the codes of this package; access_denied does not say whether the holder
// refused or has no such document.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.3.4.
func (r *AnnexBRequest) Refuse(code, description string) (fetch.Request, error) {
	return r.post(annexBResponse{Error: code, ErrorDescription: description, State: r.State})
}

// post encrypts a response. B.4.3.3.2.
func (r *AnnexBRequest) post(resp annexBResponse) (fetch.Request, error) {
	payload, err := json.Marshal(resp)
	if err != nil {
		return fetch.Request{}, err
	}
	jwe, err := jose.Encrypt(payload, jose.EncryptOptions{Recipient: *r.key, Enc: r.enc, APU: []byte(r.generated), APV: []byte(r.Nonce)})
	if err != nil {
		return fetch.Request{}, fmt.Errorf("encrypt the answer: %w", err)
	}
	return fetch.FormRequest(r.ResponseURI, url.Values{"response": {jwe}}), nil
}
