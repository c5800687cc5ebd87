package verifier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

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
	Wallet      string             `json:"wallet,omitempty"` // its endpoint
	ByValue     bool               `json:"by_value,omitempty"`

	parsed *query.Query // see asked
}

// asked is the question.
func (r *request) asked() (query.Query, error) {
	if r.parsed == nil {
		q, err := query.ParseDCQL(r.OID4VP.DCQL)
		if err != nil {
			return q, err
		}
		r.parsed = &q
	}
	return *r.parsed, nil
}

// finished is what is sealed of a finished one: on a line of its own, before the
// result, which most who open it hand on as it is.
type finished struct {
	SameDevice bool            `json:"same_device,omitempty"`
	Error      string          `json:"error,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"` // where an earlier release wrote it
}

// text is what is sealed.
func (f finished) text(result *core.Result) ([]byte, error) {
	head, err := json.Marshal(f)
	if err != nil || result == nil {
		return head, err
	}
	body, err := json.Marshal(result)
	if err != nil {
		return nil, err
	}
	return slices.Concat(head, []byte{'\n'}, body), nil
}

// readFinished is the reverse of text.
func readFinished(text []byte) (f finished, err error) {
	head, result, ok := bytes.Cut(text, []byte{'\n'})
	err = json.Unmarshal(head, &f)
	if ok {
		f.Result = result
	}
	return f, err
}

// Outcome returns what became of a transaction. responseCode is what the
// browser came back with, empty if it did not. Errors: ErrUnknownTenant,
// ErrUnknownTransaction, ErrResponseCode.
func (v *Verifier) Outcome(ctx context.Context, tenant, id, responseCode string) (Outcome, error) {
	o, result, err := v.OutcomeJSON(ctx, tenant, id, responseCode)
	if err != nil {
		return o, err
	}
	return o, o.read(result)
}

// OutcomeJSON is Outcome with the result as JSON, empty if there is none.
func (v *Verifier) OutcomeJSON(ctx context.Context, tenant, id, responseCode string) (o Outcome, result []byte, err error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Outcome{}, nil, err
	}
	f, err := t.outcome(ctx, id, responseCode)
	return f.Outcome, f.result, err
}

// read puts a result into the outcome.
func (o *Outcome) read(result []byte) error {
	if len(result) == 0 {
		return nil
	}
	o.Result = new(core.Result)
	return json.Unmarshal(result, o.Result)
}

// found is what is stored of a transaction.
type found struct {
	Outcome
	asked  *request // of an open one
	result []byte   // JSON, which is not in Outcome yet
}

// outcome finds a transaction for whoever has its id.
func (t *tenant) outcome(ctx context.Context, id, responseCode string) (found, error) {
	r, err := t.row(ctx, byID, once.Hash(id))
	if err != nil {
		return found{}, err
	}
	o := found{Outcome: Outcome{ID: id, State: r.state, Expires: r.expires}}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return found{}, err
	}
	if len(r.result) == 0 {
		if !r.state.open() {
			return o, nil
		}
		o.asked = new(request)
		return o, sealing.open("request", r.id, r.request, o.asked)
	}
	var text []byte
	if len(r.opener) > 0 {
		text, err = openWith(id, "result", t.config.ID, r.id, r.result)
	} else {
		text, err = sealing.openText("result", r.id, r.result)
	}
	if err != nil {
		return found{}, err
	}
	f, err := readFinished(text)
	if err != nil {
		return found{}, err
	}
	o.Expires = r.forget
	if f.SameDevice && (responseCode == "" || once.Hash(responseCode) != r.code) {
		return o, ErrResponseCode
	}
	o.Error, o.result = f.Error, f.Result
	return o, nil
}

// row reads a transaction; ErrUnknownTransaction if it is not there any more.
func (t *tenant) row(ctx context.Context, which, value string) (row, error) {
	var r row
	err := t.v.db.ViewOne(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
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
	object, err := engine.ReadableObject(ctx, &req.OID4VP, post, t.v.now())
	if err != nil {
		return "", asRefusal(err)
	}
	sent, err := post.Seal(object)
	if err != nil {
		return "", asRefusal(err)
	}
	return sent, t.fetched(ctx, r, Evidence{Request: object})
}

// fetched notes that a wallet came for the request, and of what is kept what it
// was given.
func (t *tenant) fetched(ctx context.Context, r row, given Evidence) error {
	if r.state != Waiting && r.retain == 0 {
		return nil
	}
	evidence, err := t.sealEvidence(ctx, r, given)
	if err != nil {
		return err
	}
	err = t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if r.retain > 0 {
			if err := keepEvidence(ctx, tx, t.config.ID, r.id, evidence); err != nil {
				return err
			}
		}
		return markFetched(ctx, tx, t.config.ID, r.id)
	})
	if err == nil {
		t.v.hub.tell(watched{t.config.ID, r.id}, Change{Fetched, r.expires})
	}
	return err
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
	var received []Field
	for _, name := range slices.Sorted(maps.Keys(form)) {
		received = append(received, Field{name, form.Get(name)})
	}
	return t.answered(ctx, r, &req, posted, received, now)
}

// answered verifies an answer that was opened, whichever way it came, and ends
// the transaction. received is what came on the wire.
func (t *tenant) answered(ctx context.Context, r row, req *request, posted *oid4vp.Answer, received []Field, now time.Time) (redirect string, err error) {
	end := ending{row: r, asked: req, code: secret()}
	if posted.Error != "" {
		end.row.state, end.error = Refused, refusedText(posted)
	} else {
		result, known, err := t.verify(ctx, req, posted, now)
		if err != nil {
			return "", err
		}
		end.row.state, end.result, end.lists = Done, &result, known
	}
	got := Evidence{Received: received, Transcript: posted.Transcript, Result: end.result}
	for _, id := range slices.Sorted(maps.Keys(posted.Presentations)) {
		got.Presentations = append(got.Presentations, Presented{id, posted.Presentations[id]})
	}
	return t.end(ctx, end, got, now)
}

// end stores how a transaction ends and says where the browser goes next. The
// error says why an answer was not accepted.
func (t *tenant) end(ctx context.Context, end ending, got Evidence, now time.Time) (redirect string, err error) {
	if end.row.evidence, err = t.received(ctx, end.row, got); err != nil {
		return "", err
	}
	if err := t.finish(ctx, end, now); err != nil {
		return "", err
	}
	if end.result != nil && end.result.Verdict == core.Invalid {
		// The wallet learns at once, and why; the page and the result have it too.
		return "", &refusal{oid4vp.InvalidRequest, end.result.Reason}
	}
	return t.redirect(end.asked, end.code), nil
}

// ending is how a transaction ends.
type ending struct {
	row    row // with the state that it ends in
	asked  *request
	error  string       // why it was refused, in words
	result *core.Result // nil if it was
	code   string       // that the browser comes back with
	lists  []knownList
}

// sealResult encrypts the answer for whoever may read it: the session that asked
// or, of what is kept, the relying party.
func (t *tenant) sealResult(ctx context.Context, end ending) ([]byte, error) {
	r := end.row
	sameDevice := end.asked.SameDevice
	if end.result != nil && end.result.Verdict == core.Invalid && !end.result.Shows() {
		sameDevice = false // the browser is not sent back, and there is nothing that it could give away
	}
	text, err := finished{SameDevice: sameDevice, Error: end.error}.text(end.result)
	if err != nil {
		return nil, err
	}
	if len(r.opener) > 0 {
		return sealTo(r.opener, "result", t.config.ID, r.id, text)
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return nil, err
	}
	return sealing.sealText("result", r.id, text), nil
}

// finish claims the transaction and stores how it ended.
func (t *tenant) finish(ctx context.Context, end ending, now time.Time) error {
	r, verdict := end.row, ""
	detail := map[string]string{"state": string(r.state)}
	if end.result != nil {
		verdict = string(end.result.Verdict)
		detail["verdict"] = verdict
	}
	var err error
	if r.result, err = t.sealResult(ctx, end); err != nil {
		return err
	}
	r.code, r.forget = once.Hash(end.code), now.Add(t.v.config.ResultLifetime)
	if r.retain > 0 {
		r.forget = now.Add(r.retain)
	}
	past, err := t.pastOf(ctx, r, end.asked, end.result, now)
	if err != nil {
		return err
	}
	lists := t.noted.news(end.lists, now)
	err = t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
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
		if err := insertPast(ctx, tx, t.config.ID, past, later(r.forget, now.Add(t.v.config.HistoryLifetime))); err != nil {
			return err
		}
		if err := t.v.tellEnd(ctx, tx, t.config.ID, r, verdict); err != nil {
			return err
		}
		return t.v.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: "presentation answered", Object: r.id, Detail: detail})
	})
	if err == nil {
		t.noted.note(lists, now)
		t.v.hub.tell(watched{t.config.ID, r.id}, r.change())
	}
	return err
}

// verify judges the presentations.
func (t *tenant) verify(ctx context.Context, req *request, posted *oid4vp.Answer, now time.Time) (core.Result, []knownList, error) {
	asked, err := req.asked()
	if err != nil {
		return core.Result{}, nil, err
	}
	var authorised []oid4vp.Authorised
	result, lists, err := t.judge(ctx, now, func(p core.VerifyParams) (core.Result, error) {
		p.Asked, p.Transcript, p.Audience, p.Nonce = asked, posted.Transcript, posted.Audience, posted.Nonce
		if len(posted.Transactions) > 0 {
			p.TransactionElements = t.agreedElements(posted.Transactions)
			p.Transactions = func(found map[string][]sdjwt.TransactionHashes) error {
				authorised = nil
				err := oid4vp.CheckTransactions(posted.Transactions, found)
				if err == nil {
					authorised = oid4vp.AuthorisedBy(posted.Transactions, found)
				}
				return err
			}
		}
		return core.VerifyPresentations(ctx, posted.Presentations, p)
	})
	if authorised != nil && result.Verdict != core.Invalid {
		result.Agreed = agreed(posted.Transactions, authorised, &result, now)
	}
	return result, lists, err
}

// judge verifies with what the tenant knows, and once more with newer trust
// lists where an issuer is unknown. verify puts in what is particular to the
// answer.
func (t *tenant) judge(ctx context.Context, now time.Time, verify func(core.VerifyParams) (core.Result, error)) (core.Result, []knownList, error) {
	p, err := t.params(ctx, now)
	if err != nil {
		return core.Result{}, nil, err
	}
	seen := &witness{ask: t.status}
	p.Status = seen
	if p.CRLs, err = t.revocationLists(ctx); err != nil {
		return core.Result{}, nil, err
	}
	result, err := verify(p)
	if err != nil {
		return result, nil, &refusal{oid4vp.InvalidRequest, err.Error()}
	}
	if unknownIssuer(&result) && t.follower != nil && t.follower.Refresh(ctx, now) == nil {
		if p.Anchors, err = t.anchors(ctx, now); err == nil { // perhaps the issuer is new
			result, err = verify(p)
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
