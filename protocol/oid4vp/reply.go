package oid4vp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Answer is the message that takes the presentations to the verifier: one to
// post, or with Fragment a GET that the holder's browser makes. Send knows.
//
// OpenID4VP 1.0, 8.1 to 8.3.
func (r *Request) Answer(p Presentations) (fetch.Request, error) {
	if err := r.answers(p); err != nil {
		return fetch.Request{}, err
	}
	return r.message(response{VPToken: p, State: r.State})
}

// answers refuses what is no answer.
func (r *Request) answers(p Presentations) error {
	if len(p) == 0 {
		return errors.New("an answer without a presentation: refuse instead (OpenID4VP 1.0, 8.1)")
	}
	return nil
}

// Refuse is the message that tells the verifier that nothing comes, with one
// of the codes of this package; access_denied does not say whether the holder
// refused or has no such document. Without a key to encrypt to it goes as it
// is (OpenID4VP 1.0, 8.3.1).
//
// OpenID4VP 1.0, 8.5.
func (r *Request) Refuse(code, description string) (fetch.Request, error) {
	return r.message(response{Error: code, ErrorDescription: printable(description), State: r.State})
}

func (r *Request) message(resp response) (fetch.Request, error) {
	if r.ResponseURI == "" {
		return fetch.Request{}, errors.New("a request of the Digital Credentials API is answered with AnswerDC")
	}
	if r.key != nil {
		jwe, err := r.seal(resp)
		if err != nil {
			return fetch.Request{}, err
		}
		return fetch.FormRequest(r.ResponseURI, url.Values{"response": {jwe}}), nil
	}
	form, err := resp.form()
	if err != nil {
		return fetch.Request{}, err
	}
	if r.Mode == Fragment {
		return fetch.GetRequest(r.ResponseURI+"#"+form.Encode(), ""), nil
	}
	return fetch.FormRequest(r.ResponseURI, form), nil
}

// seal encrypts a response. OpenID4VP 1.0, 8.3.
func (r *Request) seal(resp response) (string, error) {
	payload, err := json.Marshal(resp)
	if err != nil {
		return "", err
	}
	jwe, err := jose.Encrypt(payload, jose.EncryptOptions{Recipient: *r.key, Enc: r.enc, CTY: "json"})
	if err != nil {
		return "", fmt.Errorf("encrypt the answer: %w", err)
	}
	return jwe, nil
}

// Send takes a message of Answer or Refuse to the verifier and returns where to
// send the browser next, empty if nowhere. With Fragment the browser takes the
// message itself.
//
// OpenID4VP 1.0, 8.2.
func (r *Request) Send(ctx context.Context, do fetch.Func, message fetch.Request) (redirectURI string, err error) {
	if r.Mode == Fragment {
		return message.URL, nil
	}
	resp, err := do(ctx, message)
	if err != nil {
		return "", err
	}
	return ParseResult(resp)
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
	if err != nil || !u.IsAbs() || slices.Contains(noPlaces, strings.ToLower(u.Scheme)) {
		return "", errors.New("redirect_uri of the verifier is not an absolute URI that a browser may be sent to (OpenID4VP 1.0, 8.2)")
	}
	return ok.RedirectURI, nil
}

// noPlaces are schemes that lead to no other place: they would run or show the
// verifier's content as if it were the wallet's or the device's own.
var noPlaces = []string{"javascript", "data", "vbscript", "file", "blob", "about", "view-source"}
