package oid4vp

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
)

// AnnexBTransaction is one question by ISO/IEC TS 18013-7, Annex B on its way.
// It holds the private keys that the answer is encrypted to, so the role
// stores it sealed and deletes it at the end.
type AnnexBTransaction struct {
	ClientID    string          `json:"client_id"`
	RequestURI  string          `json:"request_uri"`
	ResponseURI string          `json:"response_uri"`
	Nonce       string          `json:"nonce"`
	Definition  json.RawMessage `json:"presentation_definition"`
	Created     time.Time       `json:"created"`
	Expires     time.Time       `json:"expires"`
	// PrivateKeys are on the curves of annexBCurves, in their order.
	PrivateKeys [][]byte `json:"private_keys"`
}

// annexBCurves are those of Table B.8 that we have: the wallet chooses, because
// nobody knows beforehand which it has.
func annexBCurves() []ecdh.Curve {
	return []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()}
}

// BeginAnnexB makes a transaction: fresh nonce and keys. The verifier is named
// by the host of the response URI, which its certificate has to have. What is
// asked are mdocs, of different types and without alternatives.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.2.
func (v *Verifier) BeginAnnexB(p Params, now time.Time) (*AnnexBTransaction, error) {
	d, err := newDefinition(p.Query)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	for name, u := range map[string]string{"request_uri": p.RequestURI, "response_uri": p.ResponseURI} {
		if err := checkURL(name, u); err != nil {
			return nil, err
		}
	}
	response, err := url.Parse(p.ResponseURI)
	if err != nil {
		return nil, err
	}
	host := response.Hostname()
	if len(v.Chain) == 0 {
		return nil, errors.New("the verifier has no certificate")
	}
	leaf, err := x509.ParseCertificate(v.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("certificate of the verifier: %w", err)
	}
	if !slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, host) }) {
		return nil, fmt.Errorf("the verifier's certificate does not name %s, where answers go (ISO/IEC TS 18013-7, B.4.2.3.5)", host)
	}
	if p.Lifetime == 0 {
		p.Lifetime = 5 * time.Minute
	}
	t := &AnnexBTransaction{
		ClientID: host, RequestURI: p.RequestURI, ResponseURI: p.ResponseURI, Nonce: random(), Definition: raw,
		Created: now, Expires: now.Add(p.Lifetime),
	}
	for _, curve := range annexBCurves() {
		private, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("response key: %w", err)
		}
		t.PrivateKeys = append(t.PrivateKeys, private.Bytes())
	}
	return t, nil
}

// Link is the authorization request for a link: on the same device only, by
// B.1.1, since nothing but the browser's session binds answer and person.
func (t *AnnexBTransaction) Link() string {
	return AnnexBScheme + "://?" + url.Values{"client_id": {t.ClientID}, "request_uri": {t.RequestURI}}.Encode()
}

// keys are the transaction's private keys.
func (t *AnnexBTransaction) keys() ([]*ecdh.PrivateKey, error) {
	curves := annexBCurves()
	if len(t.PrivateKeys) != len(curves) {
		return nil, errors.New("the transaction's response keys are damaged")
	}
	out := make([]*ecdh.PrivateKey, len(curves))
	for i, curve := range curves {
		var err error
		if out[i], err = curve.NewPrivateKey(t.PrivateKeys[i]); err != nil {
			return nil, errors.New("the transaction's response keys are damaged")
		}
	}
	return out, nil
}

// AnnexBObject signs the request. The wallet may come for it more than once
// until the transaction ends.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.2.3.
func (v *Verifier) AnnexBObject(ctx context.Context, t *AnnexBTransaction, now time.Time) (string, error) {
	if !now.Before(t.Expires) {
		return "", fail(InvalidRequest, "the request has expired")
	}
	private, err := t.keys()
	if err != nil {
		return "", err
	}
	meta := annexBMetadata{
		JWKS: &jose.Set{}, Alg: "ECDH-ES", Enc: jose.A256GCM, RequireSigned: true,
		Formats: map[string]json.RawMessage{"mso_mdoc": json.RawMessage(annexBFormat)},
	}
	for _, k := range private {
		jwk, err := responseJWK(k)
		if err != nil {
			return "", err
		}
		meta.JWKS.Keys = append(meta.JWKS.Keys, jwk)
	}
	metadata, err := json.Marshal(meta)
	if err != nil {
		return "", err
	}
	return jose.Sign(ctx, v.Key, jose.Header{Typ: RequestObjectType, X5C: v.Chain}, annexBObject{
		Audience: audience{staticAudience}, ResponseType: "vp_token", Definition: t.Definition, ClientMetadata: metadata,
		Nonce: t.Nonce, ClientID: t.ClientID, ClientIDScheme: schemeSANDNS, ResponseMode: DirectPostJWT, ResponseURI: t.ResponseURI,
		Times: jose.Times{IssuedAt: jose.NewDate(now), Expires: jose.NewDate(t.Expires)},
	})
}

// AnnexBAnswer is what a wallet posted, opened.
type AnnexBAnswer struct {
	// Response is the DeviceResponse; nil if Error is set.
	Response []byte
	// Error and Description are what the wallet says instead.
	Error, Description string
	// Transcript is the SessionTranscript that the documents must be bound to.
	Transcript []byte
	// EReaderKey is the key for a device MAC: that on the curve of the first
	// document's device key. B.4.5.
	EReaderKey key.Agreer
}

// Open takes what was posted to the response_uri. It only opens: what is in the
// DeviceResponse is not verified. The caller sees to it that a transaction is
// answered once. Errors are *Error.
//
// ISO/IEC TS 18013-7 (draft N2544), B.4.3.
func (t *AnnexBTransaction) Open(ctx context.Context, form url.Values, now time.Time) (*AnnexBAnswer, error) {
	if !now.Before(t.Expires) {
		return nil, fail(InvalidRequest, "the request has expired: start again")
	}
	if form.Get("response") == "" {
		if e := form.Get("error"); e != "" { // from a wallet that cannot encrypt
			return &AnnexBAnswer{Error: printable(e), Description: printable(form.Get("error_description"))}, nil
		}
		return nil, fail(InvalidRequest, "response is missing: this request wants direct_post.jwt (ISO/IEC TS 18013-7, B.4.3.1)")
	}
	private, err := t.keys()
	if err != nil {
		return nil, err
	}
	resp, generated, err := t.decrypt(ctx, form.Get("response"), private)
	if err != nil {
		return nil, err
	}
	if resp.Error != "" {
		return &AnnexBAnswer{Error: printable(resp.Error), Description: printable(resp.ErrorDescription)}, nil
	}
	d, err := parseDefinition(t.Definition)
	if err != nil {
		return nil, err
	}
	if resp.Submission == nil || resp.Submission.DefinitionID != d.ID {
		return nil, fail(InvalidRequest, "presentation_submission is missing or for another definition (ISO/IEC TS 18013-7, B.4.3.3)")
	}
	a := &AnnexBAnswer{Transcript: mdoc.TranscriptOpenID4VPDraft18(t.ClientID, t.ResponseURI, t.Nonce, generated)}
	if a.Response, err = jose.Decode(resp.VPToken); err != nil || len(a.Response) == 0 {
		return nil, fail(InvalidRequest, "vp_token is no DeviceResponse in base64url without padding (ISO/IEC TS 18013-7, B.4.3.2)")
	}
	a.EReaderKey = macKey(a.Response, private)
	return a, nil
}

// decrypt opens the JWE with the key that it names, and returns the
// mdocGeneratedNonce.
func (t *AnnexBTransaction) decrypt(ctx context.Context, token string, private []*ecdh.PrivateKey) (*annexBResponse, string, error) {
	jwe, err := parseSealed(token)
	if err != nil {
		return nil, "", fail(InvalidRequest, "response is no JWE (ISO/IEC TS 18013-7, B.4.3.3.2): %w", err)
	}
	if subtle.ConstantTimeCompare(jwe.Header.APV, []byte(t.Nonce)) != 1 {
		return nil, "", fail(InvalidRequest, "apv is not the nonce of this request (ISO/IEC TS 18013-7, B.4.3.3.2)")
	}
	if n := len(jwe.Header.APU); n == 0 || n > 512 || !utf8.Valid(jwe.Header.APU) {
		return nil, "", fail(InvalidRequest, "apu is no nonce of 1 to 512 characters (ISO/IEC TS 18013-7, B.4.3.3.2)")
	}
	for _, k := range private {
		jwk, err := responseJWK(k)
		if err != nil {
			return nil, "", err
		}
		if jwk.KID != jwe.Header.KID {
			continue
		}
		plain, err := jwe.Decrypt(ctx, key.Ephemeral{Private: k})
		if err != nil {
			return nil, "", fail(InvalidRequest, "response: %w", err)
		}
		resp := new(annexBResponse)
		if err := jose.Unmarshal(plain, resp, jose.Limits{Token: 12 << 20}); err != nil {
			return nil, "", fail(InvalidRequest, "response: %w (ISO/IEC TS 18013-7, B.4.3.2)", err)
		}
		return resp, string(jwe.Header.APU), nil
	}
	return nil, "", fail(InvalidRequest, "response is encrypted to another key (ISO/IEC TS 18013-7, B.4.3.3.2)")
}

// macKey is the key on the curve of the first document's device key, or nil.
func macKey(response []byte, private []*ecdh.PrivateKey) key.Agreer {
	r, err := mdoc.ParseDeviceResponse(response)
	if err != nil || len(r.Documents) == 0 {
		return nil // verification says what is wrong
	}
	device, err := cose.ParseECDHKey(r.Documents[0].IssuerSigned.Auth.MSO.DeviceKey)
	if err != nil {
		return nil
	}
	for _, k := range private {
		if k.Curve() == device.Curve() {
			return key.Ephemeral{Private: k}
		}
	}
	return nil
}
