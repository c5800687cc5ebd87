package statuslist

import (
	"context"
	"crypto"
	"crypto/ecdsa"
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
	maxETag      = 256
	retryAfter   = 30 * time.Second   // a reader on a dead network does not wait at every document
	minTTL       = 10 * time.Second   // whatever a token says: no list makes us ask at every document
	defaultTTL   = 24 * time.Hour     // of tokens without ttl
	defaultStale = 7 * 24 * time.Hour // of tokens without exp
	defaultMax   = 256                // copies kept
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
	MaxStale  time.Duration // how long after that while no newer one can be had; if zero until its exp, or a week if it has none
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
	mu     sync.Mutex
	held   *held     // nil if there is none
	failed time.Time // last try that gave nothing
	reason error
}

// held is a copy and what is known of it. It is not changed once it is in an
// entry: questions are judged by it without the lock.
type held struct {
	token   *status.Token
	etag    string
	fetched time.Time
	wrong   bool // the last question found the token itself wrong

	key  crypto.PublicKey // the token's signature verified with this one
	view *status.View     // opened then

	// What the claims gave when they last were checked and none failed. From
	// then on they give the same until the token expires.
	claims     []check.Check
	claimsAt   time.Time
	claimsKind kind
}

// kind is how a question looks at a token.
type kind struct{ mso, identifier bool }

func (q Question) kind() kind { return kind{q.MSO, q.Claim.Identifier != nil} }

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
	r := check.Report{Checks: make([]check.Check, 0, usualChecks)}
	worst, asked := Verdict{}, false
	one := func(c status.Claim) {
		v := f.checkOne(ctx, Question{c, q.MSO, q.Issuer}, now, &r)
		if !asked || severity(v.Outcome) > severity(worst.Outcome) {
			worst, asked = v, true
		}
	}
	if q.Claim.List != nil {
		one(status.Claim{List: q.Claim.List})
	}
	if q.Claim.Identifier != nil {
		one(status.Claim{Identifier: q.Claim.Identifier})
	}
	if !asked {
		r.Skip("revocation", clause, "the document refers to no status")
		return Verdict{Outcome: Unknown}, r
	}
	conclude(&r, worst)
	return worst, r
}

// usualChecks is how many a report of a document with one reference has. Room
// for more would cost more than all of the checks of a kept copy.
const usualChecks = 10

const clause = "Token Status List, 8.3"

func severity(o Outcome) int {
	switch o {
	case Valid:
		return 0
	case Unknown:
		return 1
	case Other:
		return 2
	case Suspended:
		return 3
	}
	return 4
}

func conclude(r *check.Report, v Verdict) {
	age := v.Age.Round(time.Second).String()
	switch v.Outcome {
	case Valid:
		r.Pass("revocation", clause, "valid, list "+age+" old")
	case Invalid:
		r.Fail("revocation", clause, "the document was revoked, list "+age+" old", "do not accept it; its holder needs a new one")
	case Suspended:
		r.Fail("revocation", clause, "the document is suspended, list "+age+" old", "do not accept it now; ask its issuer")
	case Other:
		r.Fail("revocation", clause, v.Status.String()+", list "+age+" old", "ask the issuer what this value means")
	case Unknown:
		if r.OK() {
			r.Skip("revocation", clause, "nothing is known about the status of the document")
		}
	}
}

// checkOne answers for one reference.
func (f *Fetcher) checkOne(ctx context.Context, q Question, now time.Time, r *check.Report) Verdict {
	e := f.entry(q.place())
	e.mu.Lock()
	if e.held.due(now, f.opts) {
		f.refresh(ctx, e, q, now)
	}
	// The rest, which asks Trust, does not make others wait.
	h, reason := e.held, e.reason
	e.mu.Unlock()
	if h == nil {
		r.Skip("status list", clause, reasonText(reason, "none could be had"))
		return Verdict{Outcome: Unknown}
	}
	stale := h.due(now, f.opts)
	if stale {
		r.Warn("freshness", "Token Status List, 13.7", reasonText(reason, "a newer list should exist"), "connect to the network, or load a newer offline pack")
	}
	if h.expired(now, f.opts.Skew) {
		r.Skip("status list", clause, "the copy that is kept expired "+h.token.Expires.UTC().Format(time.RFC3339))
		return Verdict{Outcome: Unknown, Stale: true}
	}
	if h.tooStale(now, f.opts) {
		r.Skip("status list", clause, "the copy that is kept was fetched "+h.fetched.UTC().Format(time.RFC3339)+", longer ago than allowed")
		return Verdict{Outcome: Unknown, Stale: true}
	}
	v := f.judge(ctx, e, h, q, now, r)
	v.Stale = stale
	return v
}

// judge answers from a copy. What it learns of the copy it leaves in e.
func (f *Fetcher) judge(ctx context.Context, e *entry, h *held, q Question, now time.Time, r *check.Report) Verdict {
	begin := len(r.Checks)
	policy := status.Policy{MSO: q.MSO, Skew: f.opts.Skew}
	learned := h
	if h.claims == nil || h.claimsKind != q.kind() || now.Before(h.claimsAt) {
		h.token.CheckClaims(r, q.Claim, now, policy)
		if made := r.Checks[begin:]; !failed(made) {
			learned = h.clone()
			learned.claims, learned.claimsAt, learned.claimsKind = slices.Clone(made), now, q.kind()
		}
	} else {
		r.Checks = append(r.Checks, h.claims...)
	}
	learned = f.verify(ctx, learned, q, now, r)
	if wrong := failed(r.Checks[begin:]); wrong != learned.wrong {
		learned = learned.clone()
		learned.wrong = wrong
	}
	if learned != h {
		e.mu.Lock()
		if e.held != nil && e.held.token == h.token { // else a newer one came meanwhile
			fresh := learned.clone()
			fresh.fetched, fresh.etag = e.held.fetched, e.held.etag
			e.held = fresh
		}
		e.mu.Unlock()
	}
	if learned.wrong {
		return Verdict{Outcome: Unknown}
	}
	begin = len(r.Checks)
	s := learned.view.Lookup(r, q.Claim, policy)
	if failed(r.Checks[begin:]) {
		return Verdict{Outcome: Unknown}
	}
	return Verdict{Outcome: outcomeOf(s), Status: s, Issued: h.token.Issued, Age: max(0, now.Sub(h.token.Issued))}
}

func (h *held) clone() *held {
	c := *h
	return &c
}

func failed(checks []check.Check) bool { return !check.Report{Checks: checks}.OK() }

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
// verifies and opens it. It returns h, or what h is then.
func (f *Fetcher) verify(ctx context.Context, h *held, q Question, now time.Time, r *check.Report) *held {
	pub, report := f.trust(ctx, q, h.token, now)
	r.Add("status signer", report)
	if !report.OK() {
		return h
	}
	if h.view != nil && sameKey(pub, h.key) {
		r.Pass("signature", clause, "verified when the list was fetched")
		return h
	}
	token := *h.token // others may verify it with another key meanwhile
	if err := token.VerifySignature(pub); err != nil {
		r.Fail("signature", clause, err.Error(), "somebody on the way may have replaced the list")
		return h
	}
	view, err := token.Open(0)
	if err != nil {
		r.Fail("status list", clause, err.Error(), "ask the issuer to publish a well-formed list")
		return h
	}
	h = h.clone()
	h.key, h.view = pub, view
	r.Pass("signature", clause, token.Media)
	return h
}

// sameKey compares keys; a Trust that remembers chains returns the very same.
func sameKey(a, b crypto.PublicKey) bool {
	if p, ok := a.(*ecdsa.PublicKey); ok && p != nil && b == crypto.PublicKey(p) {
		return true
	}
	return key.Equal(a, b)
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

// until is when a newer token should be asked for.
func (h *held) until(o Options) time.Time {
	ttl := h.token.TTL
	if ttl <= 0 || ttl > o.MaxTTL {
		ttl = o.MaxTTL
	}
	ttl = max(ttl, min(minTTL, o.MaxTTL))
	if h.wrong { // its ttl is worth nothing either
		ttl = min(ttl, retryAfter)
	}
	return h.fetched.Add(ttl)
}

// due reports whether a newer token should be asked for. A copy from the
// future comes from a clock that was wrong.
func (h *held) due(now time.Time, o Options) bool {
	return h == nil || !now.Before(h.until(o)) || h.expired(now, 0) || h.fetched.After(now.Add(o.Skew))
}

func (h *held) expired(now time.Time, skew time.Duration) bool {
	return !h.token.Expires.IsZero() && !now.Before(h.token.Expires.Add(skew))
}

// tooStale reports whether a copy is too old to be used even if no newer one
// can be had.
func (h *held) tooStale(now time.Time, o Options) bool {
	limit := o.MaxStale
	if limit == 0 && h.token.Expires.IsZero() {
		limit = defaultStale
	}
	return limit > 0 && !now.Before(h.until(o).Add(limit))
}

func reasonText(reason error, otherwise string) string {
	if reason != nil {
		return reason.Error()
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
	token, etag, err := f.get(ctx, e.held, q, now)
	h := e.held
	if err == nil && token != nil {
		h, err = f.better(ctx, e.held, q, token, now)
	}
	if err != nil {
		if ctx.Err() == nil { // a caller that gave up says nothing about the network
			e.failed = now
		}
		e.reason = err
		return
	}
	h = h.clone()
	h.fetched = now
	if token != nil {
		h.etag = etag
	}
	e.held, e.reason = h, nil
	if h.expired(now, 0) { // kept, so that the report can say so, but not asked for again at once
		e.failed, e.reason = now, errors.New("the list that was fetched has expired")
	}
}

// better refuses to give up a copy for a token that is older or that would not
// be believed. Where nothing is kept that could be used, the token is taken
// and judged by Check, so that the report says what is wrong with it.
func (f *Fetcher) better(ctx context.Context, old *held, q Question, token *status.Token, now time.Time) (*held, error) {
	h := &held{token: token}
	if old == nil || old.wrong || old.expired(now, f.opts.Skew) {
		return h, nil
	}
	if token.Issued.Before(old.token.Issued) {
		return nil, fmt.Errorf("the list that was fetched is older than the copy that is kept")
	}
	var r check.Report
	token.CheckClaims(&r, q.Claim, now, status.Policy{MSO: q.MSO, Skew: f.opts.Skew})
	h = f.verify(ctx, h, q, now, &r)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("the list that was fetched is wrong: %w", err)
	}
	return h, nil
}

// get asks for the token; nil without an error means that the copy is current.
//
// Token Status List, 8.1 and 8.2.
func (f *Fetcher) get(ctx context.Context, old *held, q Question, now time.Time) (*status.Token, string, error) {
	at := q.place()
	conditional := old != nil && old.etag != "" && !old.wrong && !old.expired(now, 0)
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
		if conditional {
			request.Header["if-none-match"] = old.etag
		}
		response, err := f.fetch(ctx, request)
		switch {
		case err != nil:
			return nil, "", fmt.Errorf("fetching the status list: %w", err)
		case response.Status == 304 && conditional:
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
			etag := response.Get("etag")
			if len(etag) > maxETag {
				etag = "" // of no use to us
			}
			return token, etag, nil
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
