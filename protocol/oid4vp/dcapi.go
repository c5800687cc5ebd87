package oid4vp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// The names of this protocol in the Digital Credentials API.
// OpenID4VP 1.0, A.1.
const (
	ProtocolUnsigned    = "openid4vp-v1-unsigned"
	ProtocolSigned      = "openid4vp-v1-signed"
	ProtocolMultisigned = "openid4vp-v1-multisigned"
)

// DCRequest is one of the requests that a page hands to
// navigator.credentials.get.
type DCRequest struct {
	Protocol string          `json:"protocol"`
	Data     json.RawMessage `json:"data"`
}

// DCRequests are the request in its three forms, those that prove most first;
// the wallet answers one. origins are those of the pages that may ask: exact
// strings as browsers say them, such as "https://shop.example".
//
// OpenID4VP 1.0, A.2 and A.3.
func (v *Verifier) DCRequests(ctx context.Context, t *Transaction, origins []string, now time.Time) ([]DCRequest, error) {
	if len(origins) == 0 {
		return nil, errors.New("expected_origins is empty: whose page may ask? (OpenID4VP 1.0, A.2)")
	}
	p, err := v.parameters(t, now)
	if err != nil {
		return nil, err
	}
	p.ResponseMode = DCAPI
	if encrypts(t.mode()) {
		p.ResponseMode = DCAPIJWT
	}
	plain := *p
	plain.Audience, plain.Times = nil, jose.Times{}
	unsigned, err := dcRequest(ProtocolUnsigned, &plain)
	if err != nil || t.Unsigned {
		return []DCRequest{unsigned}, err
	}
	p.ExpectedOrigins = origins
	multi, err := v.multisigned(ctx, p, t.Info)
	if err != nil {
		return nil, err
	}
	p.ClientID = v.ClientID
	if info := slices.Concat(v.Info, t.Info); len(info) > 0 {
		if p.VerifierInfo, err = json.Marshal(info); err != nil {
			return nil, err
		}
	}
	object, err := v.sign(ctx, p)
	if err != nil {
		return nil, err
	}
	signed, err := dcRequest(ProtocolSigned, map[string]string{"request": object})
	return []DCRequest{signed, multi, unsigned}, err
}

func dcRequest(protocol string, data any) (DCRequest, error) {
	b, err := json.Marshal(data)
	return DCRequest{protocol, b}, err
}

// multisigned is a request that each name of the verifier signs. What belongs
// to a name stands in the protected header of its signature.
//
// OpenID4VP 1.0, A.3.2.2; RFC 7515, 7.2.1.
func (v *Verifier) multisigned(ctx context.Context, p *parameters, info []VerifierInfo) (DCRequest, error) {
	payload, err := json.Marshal(p)
	if err != nil {
		return DCRequest{}, err
	}
	type signature struct {
		Protected string `json:"protected"`
		Signature string `json:"signature"`
	}
	var jws struct {
		Payload    string      `json:"payload"`
		Signatures []signature `json:"signatures"`
	}
	for i, signer := range append([]*Verifier{v}, v.Also...) {
		about := signer.Info
		if i == 0 {
			about = slices.Concat(about, info)
		}
		one, err := signer.signFor(ctx, payload, about)
		if err != nil {
			return DCRequest{}, err
		}
		parts := strings.Split(one, ".")
		jws.Payload = parts[1]
		jws.Signatures = append(jws.Signatures, signature{parts[0], parts[2]})
	}
	return dcRequest(ProtocolMultisigned, map[string]any{"request": jws})
}

// signFor signs a payload with the client identifier in the header.
func (v *Verifier) signFor(ctx context.Context, payload []byte, info []VerifierInfo) (string, error) {
	h, err := v.header()
	if err != nil {
		return "", err
	}
	if h.Raw == nil {
		h.Raw = map[string]json.RawMessage{}
	}
	if h.Raw["client_id"], err = json.Marshal(v.ClientID); err != nil {
		return "", err
	}
	if len(info) > 0 {
		if h.Raw["verifier_info"], err = json.Marshal(info); err != nil {
			return "", err
		}
	}
	return jose.SignBytes(ctx, v.Key, h, payload)
}

// OpenDC takes the data that the Digital Credentials API returned from a
// wallet. origin is that of our page, known to the caller and one of those
// given to DCRequests, not taken from data. Like Open it only opens.
//
// OpenID4VP 1.0, A.4.
func (t *Transaction) OpenDC(ctx context.Context, data []byte, origin string, now time.Time) (*Answer, error) {
	if !now.Before(t.Expires) {
		return nil, fail(InvalidRequest, "the request has expired: start again")
	}
	if origin == "" {
		return nil, fail(InvalidRequest, "an answer of the Digital Credentials API without origin (OpenID4VP 1.0, A.4)")
	}
	members, err := jose.Object(data, jose.Limits{Token: maxAnswer * 3 / 2}) // in base64 it is longer
	if err != nil {
		return nil, fail(InvalidRequest, "answer of the Digital Credentials API: %w (OpenID4VP 1.0, A.4)", err)
	}
	resp := new(response)
	if _, refused := members["error"]; refused || !encrypts(t.mode()) {
		if err = resp.read(members); err == nil && refused && resp.Error == "" {
			err = fail(InvalidRequest, "error is empty (OpenID4VP 1.0, 8.5)")
		}
	} else {
		var jwe []string
		if jwe, _, err = jose.Strings(members["response"]); err != nil || len(jwe) != 1 {
			return nil, fail(InvalidRequest, "response is missing, or no string (OpenID4VP 1.0, A.4)")
		}
		err = t.decrypt(ctx, jwe[0], resp)
	}
	if err != nil {
		return nil, err
	}
	return t.answer(resp, origin)
}

// OpenDC verifies a request of the Digital Credentials API and says what it
// asks. protocol and data are as the page gave them; origin is where it came
// from, as the browser or platform says, never taken from data. The rest is as
// for [Open], but that nobody is told of what is wrong with a request: see
// [DCError].
//
// OpenID4VP 1.0, A.1 to A.3.
func OpenDC(ctx context.Context, protocol string, data []byte, origin string, env Environment, now time.Time) (*Request, check.Report, error) {
	o := &opening{env: &env, now: now, r: &Request{Origin: origin}}
	if err := o.dcapi(ctx, protocol, data, origin); err != nil {
		return nil, o.rep, err
	}
	return o.r, o.rep, nil
}

func (o *opening) dcapi(ctx context.Context, protocol string, data []byte, origin string) error {
	var p *parameters
	var err error
	if origin == "" {
		return o.step("origin", "OpenID4VP 1.0, A.2", "", fail(InvalidRequest, "request without an origin (OpenID4VP 1.0, A.2)"))
	}
	switch protocol {
	case ProtocolUnsigned:
		p, err = o.dcUnsigned(data, origin)
	case ProtocolSigned:
		p, err = o.dcSigned(ctx, data)
	case ProtocolMultisigned:
		p, err = o.dcMultisigned(ctx, data)
	default:
		err = o.step("protocol", "OpenID4VP 1.0, A.1", "", fail(InvalidRequest, "protocol %.40q is not known here (OpenID4VP 1.0, A.1)", protocol))
	}
	if err != nil {
		return err
	}
	if protocol != ProtocolUnsigned {
		if err := o.step("request times", "RFC 7519, 4.1.4", "", p.Times.Check(o.now, maxSkew)); err != nil {
			return err
		}
		if err := o.step("expected origins", "OpenID4VP 1.0, A.2", origin, checkOrigins(p.ExpectedOrigins, origin)); err != nil {
			return err
		}
	}
	o.r.Mode, o.r.Encrypted = p.ResponseMode, encrypts(p.ResponseMode)
	if p.ResponseMode != DCAPI && p.ResponseMode != DCAPIJWT {
		err = fail(InvalidRequest, "response_mode %.40q is not dc_api.jwt or dc_api (OpenID4VP 1.0, A.2)", p.ResponseMode)
	}
	if err := o.step("response mode", "OpenID4VP 1.0, A.2", p.ResponseMode, err); err != nil {
		return err
	}
	return o.content(p)
}

// checkOrigins compares strings, as they are: a trailing slash or a port makes
// another origin. OpenID4VP 1.0, A.2.
func checkOrigins(expected []string, origin string) error {
	if len(expected) == 0 {
		return fail(InvalidRequest, "expected_origins is missing in a signed request (OpenID4VP 1.0, A.2)")
	}
	if !slices.Contains(expected, origin) {
		return fail(InvalidRequest, "the request comes from an origin that its signer does not expect: somebody else may be using it (OpenID4VP 1.0, A.2)")
	}
	return nil
}

// dcUnsigned takes a request that only the origin stands for. A client_id and
// expected_origins in it are to be ignored, as nobody vouches for them.
//
// OpenID4VP 1.0, A.2 and A.3.1.
func (o *opening) dcUnsigned(data []byte, origin string) (*parameters, error) {
	p := new(parameters)
	if err := o.step("request", "OpenID4VP 1.0, A.3.1", "not signed", jose.Unmarshal(data, p, jose.Limits{Token: maxRequest})); err != nil {
		return nil, err
	}
	o.r.Client = Client{ClientID: originID(origin), Proof: ProofNone}
	return p, nil
}

// dcSigned takes a request with one signature. OpenID4VP 1.0, A.3.2.1.
func (o *opening) dcSigned(ctx context.Context, data []byte) (*parameters, error) {
	var w struct {
		Request string `json:"request"`
	}
	err := jose.Unmarshal(data, &w, jose.Limits{Token: 2 * maxRequest})
	var token *jose.Token
	var p *parameters
	if err == nil {
		o.r.Object = w.Request
		if token, p, err = parseObject(w.Request); err == nil {
			err = p.inObject(p.ClientID)
		}
	}
	if err := o.step("request object", "OpenID4VP 1.0, A.3.2.1", "", err); err != nil {
		return nil, err
	}
	return p, o.proved(ctx, token, p.ClientID)
}

// dcMultisigned takes a request of several signatures. One that is good is
// enough; those of trust frameworks that are not known here are passed over.
//
// OpenID4VP 1.0, A.3.2.2.
func (o *opening) dcMultisigned(ctx context.Context, data []byte) (*parameters, error) {
	tokens, p, err := o.parseMultisigned(data)
	if err := o.step("request object", "OpenID4VP 1.0, A.3.2.2", "", err); err != nil {
		return nil, err
	}
	env := o.env.fetching(maxLookups)
	var first error
	for _, token := range tokens {
		c, err := o.signer(ctx, &env, token)
		switch {
		case err != nil:
			o.rep.Warn("one of the signatures", "OpenID4VP 1.0, A.3.2.2", err.Error(), "another one has to be good")
			if first == nil {
				first = err
			}
		case o.r.ClientID == "":
			o.r.Client = *c
			o.selfSigned(c)
		default:
			o.r.Others = append(o.r.Others, *c)
		}
	}
	if o.r.ClientID == "" {
		return nil, o.step("request signature", "OpenID4VP 1.0, A.3.2.2", "", first)
	}
	return p, o.step("request signature", "OpenID4VP 1.0, A.3.2.2", o.r.ClientID, nil)
}

// maxLookups is how many DIDs of one request are looked up: a request must not
// make a wallet knock at many doors.
const maxLookups = 3

// fetching is the environment with so many things to fetch at most.
func (env *Environment) fetching(left int) Environment {
	out := *env
	if env.Fetch == nil {
		return out
	}
	out.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if left--; left < 0 {
			return fetch.Response{}, errors.New("the request names too many that would have to be looked up")
		}
		return env.Fetch(ctx, r)
	}
	return out
}

// parseMultisigned reads the JWS in its JSON serialisation. It stands in
// "request" as the compact one does; some verifiers send it as it is.
func (o *opening) parseMultisigned(data []byte) ([]*jose.Token, *parameters, error) {
	var w struct {
		Request json.RawMessage `json:"request"`
	}
	if err := jose.Unmarshal(data, &w, jose.Limits{Token: 2 * maxRequest}); err != nil {
		return nil, nil, err
	}
	if w.Request == nil {
		w.Request = bytes.TrimSpace(data)
	}
	tokens, err := jose.ParseJSON(w.Request, jose.Limits{Token: 2 * maxRequest})
	if err != nil {
		return nil, nil, err
	}
	o.r.Object = string(w.Request)
	p := new(parameters)
	if err := tokens[0].Claims(p); err != nil { // all have the one payload
		return nil, nil, err
	}
	if p.ClientID != "" || p.VerifierInfo != nil {
		return nil, nil, fail(InvalidRequest, "client_id or verifier_info in the payload, not in the header of a signature (OpenID4VP 1.0, A.3.2.2)")
	}
	return tokens, p, p.inObject("")
}

// signer verifies one signature of several.
func (o *opening) signer(ctx context.Context, env *Environment, token *jose.Token) (*Client, error) {
	id, err := token.Header.String("client_id")
	if err != nil {
		return nil, err
	}
	if token.Header.Typ != "" && !token.Header.HasType(RequestObjectType) {
		return nil, fail(InvalidRequest, "typ is %.40q, not %s (OpenID4VP 1.0, 5)", token.Header.Typ, RequestObjectType)
	}
	c, err := env.proveSigned(ctx, token, id, o.now)
	if err != nil {
		return nil, err
	}
	if text, ok := token.Header.Raw["verifier_info"]; ok {
		if err := jose.Unmarshal(text, &c.Info, jose.Limits{Token: maxRequest}); err != nil {
			return nil, fail(InvalidRequest, "verifier_info: %w (OpenID4VP 1.0, 5.1)", err)
		}
		if c.Info == nil {
			c.Info = []VerifierInfo{} // null: refused like an empty list
		}
	}
	return c, nil
}

// AnswerDC is the data that takes the presentations back through the Digital
// Credentials API. OpenID4VP 1.0, A.4.
func (r *Request) AnswerDC(p Presentations) ([]byte, error) {
	if err := r.answers(p); err != nil {
		return nil, err
	}
	if r.Origin == "" {
		return nil, errors.New("a request by link is answered with Answer")
	}
	resp := response{VPToken: p} // without state: OpenID4VP 1.0, A.2
	if r.key == nil {
		return json.Marshal(resp)
	}
	jwe, err := r.seal(resp)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{jwe})
}

// DCError is the data that says through the Digital Credentials API that
// nothing comes. To say even that tells something about the holder: only after
// the holder was asked. OpenID4VP 1.0, A.4 and 15.9.2.
func DCError(code string) []byte {
	b, err := json.Marshal(response{Error: code})
	if err != nil {
		panic(err) // a string
	}
	return b
}
