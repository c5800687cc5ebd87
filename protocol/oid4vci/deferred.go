package oid4vci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// CodeInvalidTransaction refuses a transaction_id that is unknown or was used.
// OpenID4VCI 1.0, 9.3.
const CodeInvalidTransaction = "invalid_transaction_id"

// maxID bounds a transaction_id or notification_id, in bytes.
const maxID = 256

// Answer is what a request for documents comes to: either the documents, or a
// time to come back.
type Answer struct {
	// Credentials are in the order of the request's keys: each is the base64url
	// of an IssuerSigned, or an SD-JWT.
	Credentials []string
	// Mdocs stand for Credentials when an issuer answers: each is an IssuerSigned.
	Mdocs [][]byte
	// Notification, if not empty, names the documents in what the wallet tells
	// about them later.
	Notification string

	// Transaction is where to ask again, after Interval at least. With it there
	// are no credentials.
	Transaction string
	Interval    time.Duration
}

// answerBody is OpenID4VCI 1.0, 8.3.
type answerBody struct {
	Credentials  []credentialBody `json:"credentials,omitempty"`
	Transaction  string           `json:"transaction_id,omitempty"`
	Interval     json.Number      `json:"interval,omitempty"`
	Notification string           `json:"notification_id,omitempty"`
}

type credentialBody struct {
	Credential string `json:"credential"`
}

// Reply renders the answer to the request that it belongs to, encrypted if the
// wallet asked so: 200 with documents, 202 without.
//
// OpenID4VCI 1.0, 8.3 and 9.2.
func (r recipient) Reply(a Answer) (fetch.Response, error) {
	if a.Transaction != "" {
		seconds := max(1, int(a.Interval/time.Second))
		body, err := json.Marshal(answerBody{Transaction: a.Transaction, Interval: json.Number(fmt.Sprint(seconds))})
		if err != nil {
			return fetch.Response{}, err
		}
		return r.reply(202, body)
	}
	if r.options == nil {
		return r.reply(200, a.marshal(nil))
	}
	memory, _ := bodies.Get().(*[]byte)
	if memory == nil {
		memory = new([]byte)
	}
	*memory = a.marshal((*memory)[:0])
	resp, err := r.reply(200, *memory)
	clear(*memory) // encryption leaves ciphertext there, compression the documents
	bodies.Put(memory)
	return resp, err
}

// bodies has memory of answers that were encrypted, *[]byte, to be used again.
var bodies sync.Pool

// marshal writes the body of an answer with documents: hundreds of kilobytes of
// base64url, which encoding/json would look at byte by byte and copy. It writes
// to the memory of out, if there is enough.
func (a Answer) marshal(out []byte) []byte {
	const before, after = `{"credential":`, `},`
	size := 64 + len(a.Notification) // with room for the tag of an encryption
	for _, c := range a.Credentials {
		size += len(before) + len(c) + len(`""`) + len(after)
	}
	for _, m := range a.Mdocs {
		size += len(before) + (8*len(m)+5)/6 + len(`""`) + len(after)
	}
	out = append(slices.Grow(out, size), `{"credentials":[`...)
	for _, c := range a.Credentials {
		out = append(jose.AppendText(append(out, before...), c), after...)
	}
	for _, m := range a.Mdocs { // OpenID4VCI 1.0, A.2.4
		out = append(jose.AppendEncode(append(append(out, before...), '"'), m), '"')
		out = append(out, after...)
	}
	out = append(bytes.TrimSuffix(out, []byte(",")), ']')
	if a.Notification != "" {
		out = jose.AppendText(append(out, `,"notification_id":`...), a.Notification)
	}
	return append(out, '}')
}

// DeferredRequest asks again for documents that were not ready.
type DeferredRequest struct {
	recipient
	Transaction string
}

// OpenDeferred reads a deferred credential request. Whether its transaction is
// one of the token's is for the role to find out.
//
// OpenID4VCI 1.0, 9.1.
func (i *Issuer) OpenDeferred(ctx context.Context, req fetch.Request) (*DeferredRequest, *Error) {
	text, encrypted, refusal := i.Encryption.open(ctx, req)
	if refusal != nil {
		return nil, refusal
	}
	var body struct {
		Transaction string          `json:"transaction_id"`
		Encryption  json.RawMessage `json:"credential_response_encryption"`
	}
	if err := jose.Unmarshal(text, &body, jose.Limits{Token: maxMessage}); err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Description: "request is not the JSON it should be (OpenID4VCI 1.0, 9.1)", Err: err}
	}
	if body.Transaction == "" || len(body.Transaction) > maxID {
		return nil, refuse(CodeInvalidTransaction, "transaction_id is missing or none of ours (OpenID4VCI 1.0, 9.3)")
	}
	to, refusal := i.Encryption.recipient(body.Encryption, encrypted)
	if refusal != nil {
		return nil, refusal
	}
	return &DeferredRequest{to, body.Transaction}, nil
}

// Deferred asks again for documents that were not ready, for max keys. The
// answer may be as before. A refusal is *Error.
//
// OpenID4VCI 1.0, 9.
func (c *Client) Deferred(ctx context.Context, transaction string, max int, now time.Time) (Answer, error) {
	if c.Metadata.DeferredEndpoint == "" {
		return Answer{}, errors.New("the issuer has no endpoint to ask again at (OpenID4VCI 1.0, 12.2.4)")
	}
	return c.ask(ctx, c.Metadata.DeferredEndpoint, map[string]any{"transaction_id": transaction}, max, now)
}

// ask sends a request for documents and reads the answer.
func (c *Client) ask(ctx context.Context, endpoint string, body map[string]any, max int, now time.Time) (Answer, error) {
	data, mediaType, e, err := c.Metadata.seal(body)
	if err != nil {
		return Answer{}, err
	}
	resp, err := c.OAuth.Resource(ctx, c.Token, fetch.Request{
		Method: "POST", URL: endpoint, Body: data, MaxBytes: maxReply,
		Header: map[string]string{"content-type": mediaType, "accept": mediaJSON + ", " + mediaJWT},
	}, now)
	if err != nil {
		return Answer{}, fmt.Errorf("ask for the document: %w", err)
	}
	text, err := e.open(ctx, resp)
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(resp.Status, text, max)
}

// parseAnswer reads an answer with at most max documents.
func parseAnswer(status int, text []byte, max int) (Answer, error) {
	if status != 200 && status != 202 {
		return Answer{}, refusalOf("ask for the document", status, text)
	}
	var body answerBody
	if err := jose.Unmarshal(text, &body, jose.Limits{Token: maxReply}); err != nil {
		return Answer{}, fmt.Errorf("credential response: %w (OpenID4VCI 1.0, 8.3)", err)
	}
	if status == 202 || body.Transaction != "" {
		seconds, err := body.Interval.Float64()
		if body.Transaction == "" || len(body.Transaction) > maxID || len(body.Credentials) > 0 || err != nil || seconds <= 0 || seconds > 400*24*3600 {
			return Answer{}, errors.New("credential response puts off without a usable transaction_id and interval (OpenID4VCI 1.0, 8.3)")
		}
		return Answer{Transaction: body.Transaction, Interval: time.Duration(seconds * float64(time.Second))}, nil
	}
	if n := len(body.Credentials); n == 0 || n > max {
		return Answer{}, fmt.Errorf("credential response holds %d credentials for %d keys (OpenID4VCI 1.0, 8.3)", n, max)
	}
	a := Answer{Notification: body.Notification}
	if len(a.Notification) > maxID {
		return Answer{}, errors.New("credential response with an endless notification_id (OpenID4VCI 1.0, 8.3)")
	}
	for _, c := range body.Credentials {
		if c.Credential == "" {
			return Answer{}, errors.New("credential response holds an empty credential (OpenID4VCI 1.0, 8.3)")
		}
		a.Credentials = append(a.Credentials, c.Credential)
	}
	return a, nil
}

// refusalOf reads an error response; one that is none tells its status.
func refusalOf(what string, status int, text []byte) error {
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if jose.Unmarshal(text, &e, jose.Limits{Token: 64 << 10}) == nil && e.Error != "" {
		return &Error{Code: fetch.Printable(e.Error), Description: fetch.Printable(e.Description)}
	}
	return fmt.Errorf("%s: the issuer answered %d (OpenID4VCI 1.0, 8.3)", what, status)
}
