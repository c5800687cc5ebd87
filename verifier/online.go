package verifier

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// State is where a transaction stands.
type State string

// The states. The first two are open.
const (
	Waiting State = "waiting" // nobody came for the request yet
	Fetched State = "fetched" // a wallet has it; the holder is deciding
	Done    State = "done"    // answered and verified; the result says how it came out
	Refused State = "refused" // the holder or the wallet said no
	Expired State = "expired" // nobody answered in time
)

func (s State) open() bool { return s == Waiting || s == Fetched }

// Scheme is the link scheme of requests.
const Scheme = "openid4vp"

// AskParams say what to ask over the internet.
type AskParams struct {
	Ask     string // a preset or a question as core.ParseAsk reads it
	Purpose string // for the holder; that of the preset if empty
	// RedirectURI is where the holder's browser comes back to on the same
	// device, with response_code in the query: one of the tenant's
	// RedirectURIs. Optional, our own page.
	RedirectURI string
	// SameDevice hands the result out only together with the response code,
	// so that a link passed on to somebody else gets its sender nothing.
	// OpenID4VP 1.0, 13.3.
	SameDevice bool
}

// Transaction is a question on its way, for whoever asked it.
type Transaction struct {
	ID         string    `json:"id"` // secret: whoever has it gets the result
	Link       string    `json:"link"`
	RequestURI string    `json:"request_uri"`
	Page       string    `json:"page"` // our page that waits for the answer
	Expires    time.Time `json:"expires"`
}

// QR is the link as a QR code, PNG.
func (t Transaction) QR() ([]byte, error) { return qrPNG(t.Link) }

func qrPNG(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.L) // on a screen nothing gets dirty: as few modules as can be
	if err != nil {
		return nil, fmt.Errorf("QR code: %w", err)
	}
	code.Scale = 6
	return code.PNG(), nil
}

// qrSVG is sharp at every size.
func qrSVG(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("QR code: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 %[1]d %[1]d" shape-rendering="crispEdges"><path d="`, code.Size+4)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

// Outcome is what became of a transaction. Its JSON is what
// /{tenant}/result/{id} answers.
type Outcome struct {
	ID      string       `json:"id"`
	State   State        `json:"state"`
	Error   string       `json:"error,omitempty"` // why it was refused, in words
	Expires time.Time    `json:"expires"`         // of the request, or of the result
	Result  *core.Result `json:"result,omitempty"`
}

// request is what is sealed of an open transaction.
type request struct {
	OID4VP      oid4vp.Transaction `json:"oid4vp"`
	Title       string             `json:"title,omitempty"`
	Purpose     string             `json:"purpose,omitempty"`
	RedirectURI string             `json:"redirect_uri,omitempty"`
	SameDevice  bool               `json:"same_device,omitempty"`
}

// finished is what is sealed of a finished one.
type finished struct {
	SameDevice bool         `json:"same_device,omitempty"`
	Error      string       `json:"error,omitempty"`
	Result     *core.Result `json:"result,omitempty"`
}

// Begin makes a transaction. Errors: ErrUnknownTenant, ErrInvalid.
//
// OpenID4VP 1.0, 5.
func (v *Verifier) Begin(ctx context.Context, tenant string, p AskParams) (Transaction, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Transaction{}, err
	}
	ask, err := t.ask(p.Ask, p.Purpose)
	if err != nil {
		return Transaction{}, err
	}
	if p.RedirectURI != "" && !slices.Contains(t.config.RedirectURIs, p.RedirectURI) {
		return Transaction{}, fmt.Errorf("%w: the redirect URI is not among those of the configuration", ErrInvalid)
	}
	engine, err := t.engine(ctx)
	if err != nil {
		return Transaction{}, err
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return Transaction{}, err
	}
	now := v.now()
	// The handle only has to be hard to guess for as long as the request
	// lives; short, it makes a QR code that is easy to scan.
	id, handle := secret(), rand.Text()
	inner, err := engine.Begin(oid4vp.Params{
		Query: ask.Query, RequestURI: t.base + "/request/" + handle, ResponseURI: t.base + "/response/" + handle,
		Lifetime: v.config.RequestLifetime,
	}, now)
	if err != nil {
		return Transaction{}, fmt.Errorf("verifier: %w", err)
	}
	r := row{id: once.Hash(id), handle: handle, state: Waiting, created: now, expires: inner.Expires, forget: inner.Expires.Add(v.config.ResultLifetime)}
	r.request, err = sealing.seal("request", r.id, request{
		OID4VP: *inner, Title: ask.Title, Purpose: ask.Purpose, RedirectURI: p.RedirectURI, SameDevice: p.SameDevice,
	})
	if err != nil {
		return Transaction{}, err
	}
	err = v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := insertRow(ctx, tx, t.config.ID, r); err != nil {
			return err
		}
		return v.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: "presentation asked for", Object: r.id, Detail: map[string]string{"asked": elementNames(ask.Query)}})
	})
	if err != nil {
		return Transaction{}, fmt.Errorf("verifier: begin: %w", err)
	}
	return Transaction{ID: id, Link: linkOf(inner), RequestURI: inner.RequestURI, Page: t.base + "/t/" + id, Expires: inner.Expires}, nil
}

// linkOf invites the wallet to post a nonce of its own; one that cannot, gets.
// OpenID4VP 1.0, 5.10.
func linkOf(t *oid4vp.Transaction) string { return t.Link(Scheme) + "&request_uri_method=post" }

// elementNames is what is asked, without a word about the person.
func elementNames(q query.Query) string {
	var names []string
	for _, c := range q.Credentials {
		for _, cl := range c.Claims {
			names = append(names, strings.Join(c.Types, "|")+":"+cl.Path.String())
		}
	}
	return strings.Join(names, " ")
}

// Outcome returns what became of a transaction. responseCode is what the
// browser came back with, empty if it did not. Errors: ErrUnknownTenant,
// ErrUnknownTransaction, ErrResponseCode.
func (v *Verifier) Outcome(ctx context.Context, tenant, id, responseCode string) (Outcome, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Outcome{}, err
	}
	o, _, err := t.outcome(ctx, id, responseCode)
	return o, err
}

// outcome also returns the request of an open transaction.
func (t *tenant) outcome(ctx context.Context, id, responseCode string) (Outcome, *request, error) {
	r, err := t.row(ctx, byID, once.Hash(id))
	if err != nil {
		return Outcome{}, nil, err
	}
	o := Outcome{ID: id, State: r.state, Expires: r.expires}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return Outcome{}, nil, err
	}
	if len(r.result) == 0 {
		if !r.state.open() {
			return o, nil, nil
		}
		var req request
		err := sealing.open("request", r.id, r.request, &req)
		return o, &req, err
	}
	var f finished
	if err := sealing.open("result", r.id, r.result, &f); err != nil {
		return Outcome{}, nil, err
	}
	o.Expires = r.forget
	if f.SameDevice && (responseCode == "" || once.Hash(responseCode) != r.code) {
		return Outcome{ID: id, State: r.state, Expires: r.forget}, nil, ErrResponseCode
	}
	o.Error, o.Result = f.Error, f.Result
	return o, nil, nil
}

// row reads a transaction; ErrUnknownTransaction if it is not there any more.
func (t *tenant) row(ctx context.Context, which, value string) (row, error) {
	var r row
	err := t.v.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		r, err = readRow(ctx, tx, t.config.ID, which, value, t.v.now())
		return err
	})
	return r, err
}

// Forget deletes a transaction and its result at once, for whoever has read
// it. Errors: ErrUnknownTenant.
func (v *Verifier) Forget(ctx context.Context, tenant, id string) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	return v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return deleteRow(ctx, tx, t.config.ID, once.Hash(id)) })
}

// refusal is an answer for the wallet: a code of OpenID4VP 1.0, 8.5 and words.
type refusal struct {
	code string
	text string
}

func (r *refusal) Error() string { return r.code + ": " + r.text }

// openRequest finds the open transaction that a wallet speaks of.
func (t *tenant) openRequest(ctx context.Context, handle string) (row, request, error) {
	var req request
	r, err := t.row(ctx, byHandle, handle)
	switch {
	case errors.Is(err, ErrUnknownTransaction):
		return r, req, &refusal{oid4vp.InvalidRequest, "there is no such request"}
	case err != nil:
		return r, req, err
	case r.state == Expired:
		return r, req, &refusal{oid4vp.InvalidRequest, "the request has expired; start again at the verifier"}
	case !r.state.open():
		return r, req, &refusal{oid4vp.InvalidRequest, "the request is finished; start again at the verifier"}
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return r, req, err
	}
	return r, req, sealing.open("request", r.id, r.request, &req)
}

// requestObject serves the request until the transaction ends.
func (t *tenant) requestObject(ctx context.Context, handle string, post oid4vp.WalletPost) (string, error) {
	r, req, err := t.openRequest(ctx, handle)
	if err != nil {
		return "", err
	}
	engine, err := t.engine(ctx)
	if err != nil {
		return "", err
	}
	// A certificate that was renewed in between would change who asks.
	if engine.ClientID != req.OID4VP.ClientID {
		return "", &refusal{oid4vp.InvalidRequest, "the verifier's certificate has changed; start again at the verifier"}
	}
	object, err := engine.RequestObject(ctx, &req.OID4VP, post, t.v.now())
	if err != nil {
		return "", asRefusal(err)
	}
	if r.state != Waiting {
		return object, nil
	}
	return object, t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return markFetched(ctx, tx, t.config.ID, r.id) })
}

// asRefusal turns what the protocol has words for into these.
func asRefusal(err error) error {
	if e, ok := errors.AsType[*oid4vp.Error](err); ok {
		return &refusal{e.Code, e.Err.Error()}
	}
	return err
}

// answer takes what was posted to the response_uri: it opens and verifies it,
// and ends the transaction, once. It returns where the browser goes next.
//
// OpenID4VP 1.0, 8.2 and 8.3.
func (t *tenant) answer(ctx context.Context, handle string, form url.Values) (redirect string, err error) {
	r, req, err := t.openRequest(ctx, handle)
	if err != nil {
		return "", err
	}
	now := t.v.now()
	posted, err := req.OID4VP.Open(ctx, form, now)
	if err != nil {
		return "", asRefusal(err)
	}
	end := finished{SameDevice: req.SameDevice}
	var lists []knownList
	if posted.Error != "" {
		r.state, end.Error = Refused, refusedText(posted)
	} else {
		result, known, err := t.verify(ctx, &req, posted, now)
		if err != nil {
			return "", err
		}
		r.state, end.Result, lists = Done, &result, known
	}
	code := secret()
	if err := t.finish(ctx, r, end, code, lists, now); err != nil {
		return "", err
	}
	if end.Result != nil && end.Result.Verdict == core.Invalid {
		// The wallet learns at once, and why; the page and the result have it too.
		return "", &refusal{oid4vp.InvalidRequest, ascii(end.Result.Reason)}
	}
	return t.redirect(&req, code), nil
}

// ascii is text as an error_description may have it. RFC 6749, 4.1.2.1.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

// finish claims the transaction and stores how it ended.
func (t *tenant) finish(ctx context.Context, r row, end finished, code string, lists []knownList, now time.Time) error {
	sealing, err := t.sealer(ctx)
	if err != nil {
		return err
	}
	if r.result, err = sealing.seal("result", r.id, end); err != nil {
		return err
	}
	r.code, r.forget = once.Hash(code), now.Add(t.v.config.ResultLifetime)
	detail := map[string]string{"state": string(r.state)}
	if end.Result != nil {
		detail["verdict"] = string(end.Result.Verdict)
	}
	return t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		won, err := finishRow(ctx, tx, t.config.ID, r, now)
		if err != nil {
			return err
		}
		if !won {
			return &refusal{oid4vp.InvalidRequest, "the request is finished; start again at the verifier"}
		}
		if err := rememberLists(ctx, tx, t.config.ID, lists, now); err != nil {
			return err
		}
		return t.v.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: "presentation answered", Object: r.id, Detail: detail})
	})
}

// verify judges the presentations.
func (t *tenant) verify(ctx context.Context, req *request, posted *oid4vp.Answer, now time.Time) (core.Result, []knownList, error) {
	asked, err := query.ParseDCQL(req.OID4VP.DCQL)
	if err != nil {
		return core.Result{}, nil, err
	}
	p, err := t.params(ctx, now)
	if err != nil {
		return core.Result{}, nil, err
	}
	seen := &witness{ask: t.status}
	p.Asked, p.Transcript, p.Status = asked, posted.Transcript, seen
	p.Audience, p.Nonce = posted.Audience, posted.Nonce
	if len(posted.Transactions) > 0 {
		p.Transactions = func(found map[string][]sdjwt.TransactionHashes) error {
			return oid4vp.CheckTransactions(posted.Transactions, found)
		}
	}
	if p.CRLs, err = t.revocationLists(ctx); err != nil {
		return core.Result{}, nil, err
	}
	result, err := core.VerifyPresentations(ctx, posted.Presentations, p)
	if err != nil {
		return result, nil, &refusal{oid4vp.InvalidRequest, err.Error()}
	}
	if unknownIssuer(&result) && t.follower != nil && t.follower.Refresh(ctx, now) == nil {
		if p.Anchors, err = t.anchors(ctx, now); err == nil { // perhaps the issuer is new
			result, err = core.VerifyPresentations(ctx, posted.Presentations, p)
		}
		if err != nil {
			return result, nil, err
		}
	}
	return result, seen.lists, nil
}

// unknownIssuer reports whether a document failed for its issuer's chain.
func unknownIssuer(r *core.Result) bool {
	return slices.ContainsFunc(r.Documents, func(d core.Document) bool {
		return slices.ContainsFunc(d.Report.Checks, func(c check.Check) bool {
			return c.Outcome == check.Fail && strings.Contains(c.Name, "trust anchor")
		})
	})
}

func refusedText(a *oid4vp.Answer) string {
	switch a.Error {
	case oid4vp.AccessDenied:
		return "the holder did not agree, or has no such document"
	case oid4vp.FormatsNotSupported:
		return "the wallet has no document in a format that is accepted here"
	case oid4vp.WalletUnavailable:
		return "the wallet was not available"
	}
	text := "the wallet answered " + a.Error
	if a.Description != "" {
		text += ": " + a.Description
	}
	return text
}

// redirect is where the browser comes back to, with the response code.
func (t *tenant) redirect(req *request, code string) string {
	target := t.base + "/done"
	if req.RedirectURI != "" {
		target = req.RedirectURI
	}
	u, err := url.Parse(target)
	if err != nil { // it was checked when the configuration was read
		return ""
	}
	q := u.Query()
	q.Set("response_code", code)
	u.RawQuery = q.Encode()
	return u.String()
}

// reply is the JSON for the wallet. OpenID4VP 1.0, 8.2.
func reply(redirect string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		RedirectURI string `json:"redirect_uri,omitempty"`
	}{redirect})
	return b.Bytes(), err
}
