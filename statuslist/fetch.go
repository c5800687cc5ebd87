package statuslist

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
)

const (
	maxRedirects = 3
	maxBody      = 4 << 20
	retryAfter   = 30 * time.Second // a reader on a dead network does not wait at every document
	defaultTTL   = 24 * time.Hour   // of tokens without ttl
	defaultMax   = 256              // copies kept
)

var errOffline = errors.New("no network is configured")

// Question is what a verifier wants to know about a document whose own
// signature it has verified already.
type Question struct {
	Claim status.Claim // the reference in the document
	MSO   bool         // the document is an mdoc: the stricter rules of ISO/IEC 18013-5 hold

	// Issuer is the chain of the document's signer, DER, leaf first. It is
	// handed to Trust only.
	Issuer [][]byte
}

// Trust decides whether the signer of a token may speak for the issuer of the
// document, and returns the key to verify the token with. It validates
// token.X5Chain, at now, to the certificate in the document's reference or
// else to the issuer's anchor. A report that is not OK means no. It is called
// at every Check, also for kept copies, and may be called concurrently.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.3.6; Token Status List, 11.3.
type Trust func(ctx context.Context, q Question, token *status.Token, now time.Time) (crypto.PublicKey, check.Report)

// Outcome is what became of a question.
type Outcome string

// The outcomes. Unknown leaves the decision to the verifier's policy.
const (
	Valid     Outcome = "valid"
	Invalid   Outcome = "invalid"   // revoked, for good
	Suspended Outcome = "suspended" // not to be accepted now
	Other     Outcome = "other"     // a value that Token Status List, 7.1 does not define
	Unknown   Outcome = "unknown"   // nothing can be said
)

// Verdict answers a Question.
type Verdict struct {
	Outcome Outcome
	Status  status.Status // the entry itself; counts unless Outcome is Unknown
	Issued  time.Time     // when the list was signed; zero if Unknown
	Age     time.Duration // now minus Issued; zero if Unknown
	Stale   bool          // a newer list should exist but could not be had
}

// Options tune a Fetcher.
type Options struct {
	Skew      time.Duration // by how much clocks may differ; a minute if zero
	MaxTTL    time.Duration // the longest a copy is used unasked, whatever its ttl; 24 h if zero
	MaxCopies int           // how many lists are kept; 256 if zero
}

// Fetcher answers questions from status lists that it fetches and keeps. It is
// safe for concurrent use.
type Fetcher struct {
	fetch fetch.Func
	trust Trust
	opts  Options

	mu     sync.Mutex
	copies map[place]*entry
}

// place is a URI in one of its two formats.
type place struct {
	uri string
	cwt bool
}

// entry is the kept copy of one token. Its lock is held while the token is
// fetched, so that a burst fetches once.
type entry struct {
	mu      sync.Mutex
	token   *status.Token
	etag    string
	fetched time.Time
	failed  time.Time // last try that gave nothing
	reason  error
	wrong   bool // the last question found the token itself wrong

	key  crypto.PublicKey // the token's signature verified with this one
	view *status.View     // opened then
}

// NewFetcher returns a Fetcher that fetches through f, or only answers from
// preloaded copies if f is nil.
func NewFetcher(f fetch.Func, trust Trust, o Options) *Fetcher {
	if o.Skew == 0 {
		o.Skew = time.Minute
	}
	if o.MaxTTL <= 0 {
		o.MaxTTL = defaultTTL
	}
	if o.MaxCopies <= 0 {
		o.MaxCopies = defaultMax
	}
	return &Fetcher{fetch: f, trust: trust, opts: o, copies: map[place]*entry{}}
}

// Check answers a question. The report says how: its last check, "revocation",
// passes for a valid document, fails for a revoked or suspended one, and is
// "not checked" where no list could be had, with the reason. A list that was
// had but is wrong fails the check that found it, and the verdict is Unknown.
//
// A document with both references is judged by both, and the worse one counts.
func (f *Fetcher) Check(ctx context.Context, q Question, now time.Time) (Verdict, check.Report) {
	var r check.Report
	var refs []Question
	if q.Claim.List != nil {
		refs = append(refs, Question{status.Claim{List: q.Claim.List}, q.MSO, q.Issuer})
	}
	if q.Claim.Identifier != nil {
		refs = append(refs, Question{status.Claim{Identifier: q.Claim.Identifier}, q.MSO, q.Issuer})
	}
	if len(refs) == 0 {
		r.Skip("revocation", clause, "the document refers to no status")
		return Verdict{Outcome: Unknown}, r
	}
	worst := Verdict{Outcome: Valid}
	for i, ref := range refs {
		v := f.checkOne(ctx, ref, now, &r)
		if i == 0 || severity(v.Outcome) > severity(worst.Outcome) {
			worst = v
		}
	}
	conclude(&r, worst)
	return worst, r
}

const clause = "Token Status List, 8.3"

func severity(o Outcome) int {
	return slices.Index([]Outcome{Valid, Unknown, Other, Suspended, Invalid}, o)
}

func conclude(r *check.Report, v Verdict) {
	age := "list " + v.Age.Round(time.Second).String() + " old"
	switch v.Outcome {
	case Valid:
		r.Pass("revocation", clause, "valid, "+age)
	case Invalid:
		r.Fail("revocation", clause, "the document was revoked, "+age, "do not accept it; its holder needs a new one")
	case Suspended:
		r.Fail("revocation", clause, "the document is suspended, "+age, "do not accept it now; ask its issuer")
	case Other:
		r.Fail("revocation", clause, v.Status.String()+", "+age, "ask the issuer what this value means")
	case Unknown:
		if r.OK() {
			r.Skip("revocation", clause, "nothing is known about the status of the document")
		}
	}
}

// checkOne answers for one reference.
func (f *Fetcher) checkOne(ctx context.Context, q Question, now time.Time, r *check.Report) Verdict {
	at := q.place()
	e := f.entry(at)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due(now, f.opts.MaxTTL) {
		f.refresh(ctx, e, q, now)
	}
	if e.token == nil {
		r.Skip("status list", clause, e.reasonText("none could be had"))
		return Verdict{Outcome: Unknown}
	}
	stale := e.due(now, f.opts.MaxTTL)
	if stale {
		r.Warn("freshness", "Token Status List, 13.7", e.reasonText("a newer list should exist"), "connect to the network, or load a newer offline pack")
	}
	if e.expired(now, f.opts.Skew) {
		r.Skip("status list", clause, "the copy that is kept expired "+e.token.Expires.UTC().Format(time.RFC3339))
		return Verdict{Outcome: Unknown, Stale: true}
	}
	policy := status.Policy{MSO: q.MSO, Skew: f.opts.Skew}
	var own check.Report
	e.token.CheckClaims(&own, q.Claim, now, policy)
	f.verify(ctx, e, q, now, &own)
	if e.wrong = !own.OK(); e.wrong {
		r.Add("", own)
		return Verdict{Outcome: Unknown, Stale: stale}
	}
	s := e.view.Lookup(&own, q.Claim, policy)
	r.Add("", own)
	if !own.OK() {
		return Verdict{Outcome: Unknown, Stale: stale}
	}
	return Verdict{Outcome: outcomeOf(s), Status: s, Issued: e.token.Issued, Age: max(0, now.Sub(e.token.Issued)), Stale: stale}
}

func outcomeOf(s status.Status) Outcome {
	switch s {
	case status.Valid:
		return Valid
	case status.Invalid:
		return Invalid
	case status.Suspended:
		return Suspended
	}
	return Other
}

func (q Question) place() place {
	if q.Claim.Identifier != nil {
		return place{q.Claim.Identifier.URI, true}
	}
	return place{q.Claim.List.URI, q.MSO}
}

// verify asks Trust and, unless the copy was verified with that key before,
// verifies and opens it.
func (f *Fetcher) verify(ctx context.Context, e *entry, q Question, now time.Time, r *check.Report) {
	pub, report := f.trust(ctx, q, e.token, now)
	r.Add("status signer", report)
	if !report.OK() {
		return
	}
	if e.view != nil && key.Equal(pub, e.key) {
		r.Pass("signature", clause, "verified when the list was fetched")
		return
	}
	e.key, e.view = nil, nil
	if err := e.token.VerifySignature(pub); err != nil {
		r.Fail("signature", clause, err.Error(), "somebody on the way may have replaced the list")
		return
	}
	view, err := e.token.Open(0)
	if err != nil {
		r.Fail("status list", clause, err.Error(), "ask the issuer to publish a well-formed list")
		return
	}
	e.key, e.view = pub, view
	r.Pass("signature", clause, e.token.Media)
}

// entry finds or makes the entry of a place and, beyond the limit, forgets
// another one.
func (f *Fetcher) entry(at place) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.copies[at]
	if e == nil {
		if len(f.copies) >= f.opts.MaxCopies {
			for other := range f.copies { // whichever comes first: all can be had again
				delete(f.copies, other)
				break
			}
		}
		e = &entry{}
		f.copies[at] = e
	}
	return e
}

// due reports whether a newer token should be asked for.
func (e *entry) due(now time.Time, maxTTL time.Duration) bool {
	if e.token == nil {
		return true
	}
	ttl := e.token.TTL
	if ttl <= 0 || ttl > maxTTL {
		ttl = maxTTL
	}
	if e.wrong { // its ttl is worth nothing either
		ttl = min(ttl, retryAfter)
	}
	return !now.Before(e.fetched.Add(ttl)) || e.expired(now, 0)
}

func (e *entry) expired(now time.Time, skew time.Duration) bool {
	return !e.token.Expires.IsZero() && !now.Before(e.token.Expires.Add(skew))
}

func (e *entry) reasonText(otherwise string) string {
	if e.reason != nil {
		return e.reason.Error()
	}
	return otherwise
}

// refresh replaces the copy if something better can be had; else it keeps it
// and notes the reason.
func (f *Fetcher) refresh(ctx context.Context, e *entry, q Question, now time.Time) {
	if f.fetch == nil {
		e.reason = errOffline
		return
	}
	if e.reason != nil && now.Before(e.failed.Add(retryAfter)) && !now.Before(e.failed) {
		return
	}
	token, etag, err := f.get(ctx, e, q)
	if err == nil && token != nil {
		err = f.better(ctx, e, q, token, now)
	}
	if err != nil {
		if ctx.Err() == nil { // a caller that gave up says nothing about the network
			e.failed = now
		}
		e.reason = err
		return
	}
	e.reason, e.fetched = nil, now
	if token != nil {
		e.token, e.etag, e.key, e.view = token, etag, nil, nil
	}
}

// better refuses to give up a copy for a token that is older or that would not
// be believed. Where nothing is kept, the token is taken and judged by Check,
// so that the report says what is wrong with it.
func (f *Fetcher) better(ctx context.Context, e *entry, q Question, token *status.Token, now time.Time) error {
	if e.token == nil || e.wrong || e.expired(now, f.opts.Skew) {
		return nil
	}
	if token.Issued.Before(e.token.Issued) {
		return fmt.Errorf("the list that was fetched is older than the copy that is kept")
	}
	var r check.Report
	token.CheckClaims(&r, q.Claim, now, status.Policy{MSO: q.MSO, Skew: f.opts.Skew})
	pub, report := f.trust(ctx, q, token, now)
	r.Add("status signer", report)
	if err := r.Err(); err != nil {
		return fmt.Errorf("the list that was fetched is wrong: %w", err)
	}
	if err := token.VerifySignature(pub); err != nil {
		return fmt.Errorf("the list that was fetched is wrong: %w", err)
	}
	return nil
}

// get asks for the token; nil without an error means that the copy is current.
//
// Token Status List, 8.1 and 8.2.
func (f *Fetcher) get(ctx context.Context, e *entry, q Question) (*status.Token, string, error) {
	at := q.place()
	accept := status.MediaListJWT + ", " + status.MediaListCWT + ";q=0.5"
	switch {
	case q.Claim.Identifier != nil:
		accept = status.MediaIdentifiersCWT
	case at.cwt:
		accept = status.MediaListCWT
	}
	target := at.uri
	for range maxRedirects + 1 {
		request := fetch.GetRequest(target, accept)
		request.MaxBytes = maxBody
		if e.token != nil && e.etag != "" {
			request.Header["if-none-match"] = e.etag
		}
		response, err := f.fetch(ctx, request)
		switch {
		case err != nil:
			return nil, "", fmt.Errorf("fetching the status list: %w", err)
		case response.Status == 304 && e.token != nil:
			return nil, "", nil
		case response.Status >= 300 && response.Status <= 399:
			if target, err = resolve(target, response.Get("location")); err != nil {
				return nil, "", err
			}
		case response.Status < 200 || response.Status > 299:
			return nil, "", fmt.Errorf("fetching the status list: the server answered %d", response.Status)
		default:
			token, err := status.Parse(response.Body)
			if err != nil {
				return nil, "", fmt.Errorf("fetching the status list: %w", err)
			}
			return token, response.Get("etag"), nil
		}
	}
	return nil, "", fmt.Errorf("fetching the status list: more than %d redirects", maxRedirects)
}

// resolve finds the target of a redirect, which may not leave https once there.
//
// Token Status List, 11.4.
func resolve(from, location string) (string, error) {
	base, err := url.Parse(from)
	if err != nil || location == "" {
		return "", errors.New("fetching the status list: redirect to nowhere")
	}
	to, err := base.Parse(location)
	if err != nil {
		return "", errors.New("fetching the status list: redirect to a malformed address")
	}
	if strings.EqualFold(base.Scheme, "https") && !strings.EqualFold(to.Scheme, "https") {
		return "", errors.New("fetching the status list: redirect from https to something else")
	}
	return to.String(), nil
}
