package oid4vp

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// maxAnswer limits what is in an answer, decrypted, in bytes.
const maxAnswer = 8 << 20

// Answer is what a wallet sent, opened. What the presentations in it have to be
// bound to is beside them; that they are is not verified yet.
type Answer struct {
	// Presentations by credential id of the query; empty if Error is set.
	Presentations Presentations
	// Error and Description are what the wallet says instead.
	Error, Description string

	// Transcript is the SessionTranscript of mdocs.
	Transcript []byte
	// Audience and Nonce are "aud" and "nonce" of key binding JWTs.
	Audience, Nonce string
	// Transactions are to be authorised: see CheckTransactions.
	Transactions []TransactionData
}

// Open takes what was posted to the response_uri, or stood in the fragment
// behind the redirect_uri. It only opens: what is in the presentations is not
// verified. The caller sees to it that a transaction is answered once. Errors
// are *Error.
//
// OpenID4VP 1.0, 8.1 to 8.3.
func (t *Transaction) Open(ctx context.Context, form url.Values, now time.Time) (*Answer, error) {
	if !now.Before(t.Expires) {
		return nil, fail(InvalidRequest, "the request has expired: start again")
	}
	resp, err := t.received(ctx, form)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(resp.State), []byte(t.State)) != 1 {
		return nil, fail(InvalidRequest, "state is not this transaction's (OpenID4VP 1.0, 8.1)")
	}
	return t.answer(resp, "")
}

// KeyID names the key that the answer is encrypted to; empty if it comes as it
// is.
func (t *Transaction) KeyID() (string, error) {
	if !encrypts(t.mode()) {
		return "", nil
	}
	jwk, err := t.responseJWK()
	return jwk.KID, err
}

// Addressee is which transaction was answered, for verifiers that take all
// answers at one address: the KeyID, or the state where it came as it is.
//
// OpenID4VP 1.0, 8.1 and 8.3.
func Addressee(form url.Values) (string, error) {
	token := form.Get("response")
	if token == "" {
		return form.Get("state"), nil
	}
	jwe, err := jose.ParseJWE(token)
	if err != nil {
		return "", fail(InvalidRequest, "response is no JWE (OpenID4VP 1.0, 8.3): %w", err)
	}
	return jwe.Header.KID, nil
}

// received reads a response in the form that the response mode wants.
func (t *Transaction) received(ctx context.Context, form url.Values) (*response, error) {
	resp := new(response)
	switch jwe := form.Get("response"); {
	case encrypts(t.mode()) && jwe != "":
		return resp, t.decrypt(ctx, jwe, resp)
	case form.Get("error") != "":
		// Errors come in the clear too: OpenID4VP 1.0, 8.3.1 lets a wallet that
		// cannot encrypt say so.
	case encrypts(t.mode()):
		return nil, fail(InvalidRequest, "response is missing: this request wants %s (OpenID4VP 1.0, 8.3)", t.mode())
	default:
		var err error
		if resp.VPToken, err = readPresentations([]byte(form.Get("vp_token"))); err != nil {
			return nil, err
		}
	}
	resp.State, resp.Error, resp.ErrorDescription = form.Get("state"), form.Get("error"), form.Get("error_description")
	return resp, nil
}

// answer is a response with what it has to be bound to. origin is empty for a
// request by link.
func (t *Transaction) answer(resp *response, origin string) (*Answer, error) {
	if resp.Error != "" {
		return &Answer{Error: printable(resp.Error), Description: printable(resp.ErrorDescription)}, nil
	}
	if err := t.checkAsked(resp.VPToken); err != nil {
		return nil, err
	}
	a := &Answer{Presentations: resp.VPToken, Nonce: t.Nonce, Audience: t.ClientID}
	for _, encoded := range t.Transactions {
		d, err := parseTransactionData(encoded)
		if err != nil {
			return nil, err
		}
		a.Transactions = append(a.Transactions, d)
	}
	var thumb []byte
	if encrypts(t.mode()) {
		jwk, err := t.responseJWK()
		if err != nil {
			return nil, err
		}
		sum, err := jose.Thumbprint(jwk.Key)
		if err != nil {
			return nil, err
		}
		thumb = sum[:]
	}
	if origin != "" {
		a.Audience = originID(origin)
		a.Transcript = mdoc.TranscriptOpenID4VPDCAPI(origin, t.Nonce, thumb)
		return a, nil
	}
	a.Transcript = mdoc.TranscriptOpenID4VP(t.ClientID, t.Nonce, thumb, t.ResponseURI+t.RedirectURI)
	return a, nil
}

// parseSealed reads the JWE of an answer. Nobody asks for a compressed one, and
// of few bytes it would make as much as a message may have: more at once than
// fits into memory, where strangers send them.
func parseSealed(token string) (*jose.JWE, error) {
	jwe, err := jose.ParseJWE(token)
	if err == nil && jwe.Header.Zip != "" {
		return nil, errors.New("it is compressed, which was not asked for")
	}
	return jwe, err
}

// decrypt opens the JWE with the transaction's key.
func (t *Transaction) decrypt(ctx context.Context, token string, resp *response) error {
	jwe, err := parseSealed(token)
	if err != nil {
		return fail(InvalidRequest, "response is no JWE (OpenID4VP 1.0, 8.3): %w", err)
	}
	priv, err := t.private()
	if err != nil {
		return err
	}
	jwk, err := t.responseJWK()
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
	members, err := jose.Object(plain, jose.Limits{Token: maxAnswer})
	if err != nil {
		return fail(InvalidRequest, "response: %w", err)
	}
	return resp.read(members)
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
	for _, c := range q.Credentials {
		if n := len(vp[c.ID]); n > 1 && !c.Multiple || n > 16 {
			return fail(InvalidRequest, "%d presentations where one was asked for (OpenID4VP 1.0, 8.1)", n)
		}
	}
	known := asks(q)
	for id, list := range vp {
		if !known(id) || len(list) == 0 || slices.Contains(list, "") {
			return fail(InvalidRequest, "vp_token answers what was not asked, or with nothing (OpenID4VP 1.0, 8.1)")
		}
	}
	return nil
}

// printable bounds what the other end says to what may stand in a log, a page
// or an error_description (RFC 6749, 4.1.2.1).
func printable(s string) string {
	out := make([]byte, 0, min(len(s), 256))
	for _, b := range []byte(s) {
		if len(out) == 256 {
			break
		}
		if b < ' ' || b > '~' || b == '"' || b == '\\' {
			b = '?'
		}
		out = append(out, b)
	}
	return string(out)
}
