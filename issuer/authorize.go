package issuer

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// The authorisation pages: who are you, is this what you want? They are plain
// HTML and work without scripts. What they need to remember is a session in
// the database, named by a cookie.

const (
	kindSession      = "issuer-session"
	kindTriesRequest = "issuer-tries-request"
	kindTriesSubject = "issuer-tries-subject"

	cookieName = "eidos-authorization"

	maxTries      = 5         // of an enrolment code
	triesLifetime = time.Hour // for which wrong tries about a person count
)

// session is one browser at one authorisation request.
type session struct {
	RequestURI     string    `json:"request_uri"`
	Configurations []string  `json:"configurations"`
	IssuerState    string    `json:"issuer_state,omitempty"`
	Client         string    `json:"client"`            // for people
	Subject        string    `json:"subject,omitempty"` // once identified
	Form           string    `json:"form"`              // hash of the token of the form shown last
	Expires        time.Time `json:"expires"`
}

// saveSession stores the session with a new form token, which it returns.
func saveSession(ctx context.Context, st once.Store, id string, s session) (form string, err error) {
	form = randomID()
	s.Form = once.Hash(form)
	value, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return form, st.Put(ctx, kindSession, id, value, s.Expires)
}

func loadSession(ctx context.Context, st once.Store, id string, now time.Time) (s session, err error) {
	value, err := st.Get(ctx, kindSession, id, now)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(value, &s)
}

// errSession is what a browser without a session is told.
func errSession(err error) error {
	if isGone(err) {
		return &web.Error{Status: http.StatusBadRequest, Message: "This page is over. Please start again in your app.", Err: err}
	}
	return err
}

// sessionID is the name of the browser's session in the store, "" for none.
func sessionID(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil || len(c.Value) > 64 {
		return ""
	}
	return once.Hash(c.Value)
}

func (t *tenant) authorizePath() string { return "/" + t.config.ID + "/authorize" }

// browserHeaders of the pages: form posts carry their origin, so that older
// browsers pass the cross-origin protection too.
func browserHeaders(w http.ResponseWriter) { w.Header().Set("Referrer-Policy", "same-origin") }

// answer sends the engine's answer to the browser: a redirect as it is, a
// refusal as a page.
func (t *tenant) answer(w http.ResponseWriter, r *http.Request, reply oauth.Reply) error {
	resp, err := t.finish(r.Context(), reply, nil)
	if err != nil {
		return err
	}
	if resp.Status >= 300 && resp.Status < 400 || reply.Refusal == nil {
		web.WriteFetch(w, resp)
		return nil
	}
	return &web.Error{Status: resp.Status, Code: reply.Refusal.Code, Message: sentence(reply.Refusal.Description), Err: reply.Refusal}
}

// sentence makes one of a description.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// serveAuthorize answers the authorisation endpoint with the first page.
// RFC 9126, 4.
func (t *tenant) serveAuthorize(w http.ResponseWriter, r *http.Request) error {
	browserHeaders(w)
	if err := t.authority.guard.Admit(r, t.config.ID, 1); err != nil { // each page is a session
		return err
	}
	req, err := web.ToFetch(w, r, t.authority.config.URL, web.DefaultBodyLimit)
	if err != nil {
		return err
	}
	e, err := t.engines(r.Context())
	if err != nil {
		return err
	}
	cookie, now := randomID(), t.authority.now()
	var pending *oauth.Pending
	var reply oauth.Reply
	var s session
	var form string
	err = t.authority.db.Tx(r.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		st := tx.Once(t.config.ID)
		if pending, reply, err = e.oauth.Authorize(ctx, st, req, now); err != nil || pending == nil {
			return err
		}
		if !t.allowed(pending.Configurations) {
			reply, err = e.oauth.Refuse(ctx, st, pending.RequestURI, now)
			pending = nil
			return err
		}
		s = session{
			RequestURI: pending.RequestURI, Configurations: pending.Configurations, IssuerState: pending.IssuerState,
			Client: pending.Client.Name, Expires: pending.Expires,
		}
		form, err = saveSession(ctx, st, once.Hash(cookie), s)
		return err
	})
	if err != nil {
		return err
	}
	if pending == nil {
		return t.answer(w, r, reply)
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookie, Path: t.authorizePath(), HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: strings.HasPrefix(t.authority.config.URL, "https:"), Expires: pending.Expires,
	})
	t.showIdentify(w, http.StatusOK, s, form, "")
	return nil
}

// allowed reports whether all configurations may be had by this grant.
func (t *tenant) allowed(configurations []string) bool {
	for _, id := range configurations {
		if o, ok := t.offerings[id]; !ok || !o.Authorization {
			return false
		}
	}
	return true
}

func (t *tenant) names(configurations []string) (names []string) {
	for _, id := range configurations {
		if name := t.offerings[id].Display[0].Name; !slices.Contains(names, name) { // once for all its formats
			names = append(names, name)
		}
	}
	return names
}

func (t *tenant) showIdentify(w http.ResponseWriter, status int, s session, form, problem string) {
	t.page(w, status, "identify.html", "Who are you?", map[string]any{
		"Path": t.authorizePath(), "Form": form, "Client": s.Client, "Documents": t.names(s.Configurations), "Problem": problem,
	})
}

// takeIdentification answers the form of the first page.
func (t *tenant) takeIdentification(w http.ResponseWriter, r *http.Request) error {
	browserHeaders(w)
	ctx, now, id := r.Context(), t.authority.now(), sessionID(r)
	form, err := web.Form(w, r)
	if err != nil {
		return err
	}
	if _, err := t.viewSession(ctx, id); err != nil {
		return err
	}
	// Beside the counters of the person and of the request, which a search over
	// many persons and requests goes round.
	if err := t.authority.guard.Guess(r, t.config.ID); err != nil {
		return err
	}
	e, err := t.engines(ctx)
	if err != nil {
		return err
	}
	claimed := strings.TrimSpace(form.Get("subject"))
	right, err := t.enrolled(ctx, claimed, form.Get("code"))
	if err != nil {
		return err
	}
	if !right {
		t.authority.guard.Wrong(r, t.config.ID)
	}
	var s session
	var next, problem string
	var reply *oauth.Reply
	err = t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		st := tx.Once(t.config.ID)
		next, problem, reply = "", "", nil
		if s, err = claimForm(ctx, st, id, form, now); err != nil {
			return err
		}
		problem, reply, err = t.judge(ctx, st, e, &s, claimed, right, now)
		if err != nil || reply != nil {
			return err
		}
		next, err = saveSession(ctx, st, id, s)
		return err
	})
	switch {
	case err != nil:
		return errSession(err)
	case reply != nil:
		return t.answer(w, r, *reply)
	case problem != "":
		t.showIdentify(w, http.StatusUnprocessableEntity, s, next, problem)
		return nil
	}
	http.Redirect(w, r, t.authorizePath()+"/consent", http.StatusSeeOther)
	return nil
}

// errForm says that a form was sent twice, or is not the one shown last.
var errForm = &web.Error{Status: http.StatusConflict, Message: "This form was sent before. Please go back to your app and start again."}

// claimForm uses up the token of a form and returns its session, which must be
// saved again if it is to go on.
func claimForm(ctx context.Context, st once.Store, id string, form url.Values, now time.Time) (session, error) {
	s, err := loadSession(ctx, st, id, now)
	if err != nil {
		return s, err
	}
	if subtle.ConstantTimeCompare([]byte(once.Hash(form.Get("form"))), []byte(s.Form)) != 1 {
		return s, errForm
	}
	_, err = st.Claim(ctx, kindSession, id, now)
	return s, err
}

// viewSession returns the session, to look at.
func (t *tenant) viewSession(ctx context.Context, id string) (s session, err error) {
	err = t.authority.db.ViewOne(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = loadSession(ctx, tx.Once(t.config.ID), id, t.authority.now())
		return err
	})
	return s, errSession(err)
}

// enrolled reports whether the source knows the person by this enrolment code.
// Whether the person exists makes no difference to what a stranger sees.
func (t *tenant) enrolled(ctx context.Context, subject, code string) (bool, error) {
	var p source.Person
	if subject != "" && len(subject) <= maxSubject {
		var err error
		p, err = t.person(ctx, subject)
		switch {
		case errors.Is(err, ErrUnknownPerson), errors.Is(err, ErrDeceased):
			p = source.Person{}
		case errors.Is(err, source.ErrUnfit): // which document that concerns comes out when it is issued
		case err != nil:
			return false, err
		}
	}
	want, got := sha256.Sum256([]byte(p.EnrolmentCode)), sha256.Sum256([]byte(strings.TrimSpace(code)))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && p.EnrolmentCode != "", nil
}

const (
	wrongCode = "That id and code do not belong together."
	blocked   = "There were too many wrong codes for this id. Try again in an hour, or ask the authority."
	otherness = "This offer was made to somebody else."
)

// judge decides on an identification and counts wrong ones, for the request
// and for the person. The fifth wrong one ends the request.
func (t *tenant) judge(ctx context.Context, st once.Store, e *engines, s *session, claimed string, right bool, now time.Time) (problem string, reply *oauth.Reply, err error) {
	person := subjectReference(e, claimed)
	wrong, _, err := tries(ctx, st, kindTriesSubject, person, now)
	switch {
	case err != nil:
		return "", nil, err
	case wrong >= maxTries:
		problem = blocked
	case !right:
		problem = wrongCode
		if err := countTry(ctx, st, kindTriesSubject, person, now, now.Add(triesLifetime)); err != nil {
			return "", nil, err
		}
	default:
		problem, err = t.offeredTo(ctx, st, s.IssuerState, claimed, now)
		if err == nil && problem == "" {
			s.Subject = claimed
		}
		return problem, nil, err
	}
	request := once.Hash(s.RequestURI)
	if err := countTry(ctx, st, kindTriesRequest, request, now, s.Expires); err != nil {
		return "", nil, err
	}
	n, _, err := tries(ctx, st, kindTriesRequest, request, now)
	if err != nil || n < maxTries {
		return problem, nil, err
	}
	rep, err := e.oauth.Refuse(ctx, st, s.RequestURI, now)
	return "", &rep, err
}

// offeredTo checks that a request which began with an offer is by the person
// that it was made to.
func (t *tenant) offeredTo(ctx context.Context, st once.Store, issuerState, subject string, now time.Time) (problem string, err error) {
	if issuerState == "" {
		return "", nil
	}
	o, err := readOffer(ctx, st, issuerState, now)
	switch {
	case isGone(err):
		return "This offer is used or has expired. Please ask for a new one.", nil
	case err != nil:
		return "", err
	case o.Subject != subject || o.Grant != AuthorizationCode:
		return otherness, nil
	}
	return "", nil
}

// subjectReference names a person in counters without telling who it is.
func subjectReference(e *engines, subject string) string {
	mac := hmac.New(sha256.New, e.subject[:])
	mac.Write([]byte(subject))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// counter is how often something went wrong, until when that counts.
type counter struct {
	N       int       `json:"n"`
	Expires time.Time `json:"expires"`
}

func tries(ctx context.Context, st once.Store, kind, id string, now time.Time) (int, time.Time, error) {
	value, err := st.Get(ctx, kind, id, now)
	if isGone(err) {
		return 0, time.Time{}, nil
	}
	var c counter
	if err == nil {
		err = json.Unmarshal(value, &c)
	}
	return c.N, c.Expires, err
}

func countTry(ctx context.Context, st once.Store, kind, id string, now, expires time.Time) error {
	n, until, err := tries(ctx, st, kind, id, now)
	if err != nil {
		return err
	}
	if until.IsZero() {
		until = expires
	}
	value, err := json.Marshal(counter{n + 1, until})
	if err != nil {
		return err
	}
	return st.Put(ctx, kind, id, value, until)
}

// serveConsent shows what will be issued and asks whether it shall be.
func (t *tenant) serveConsent(w http.ResponseWriter, r *http.Request) error {
	browserHeaders(w)
	ctx, now, id := r.Context(), t.authority.now(), sessionID(r)
	s, err := t.viewSession(ctx, id)
	if err != nil {
		return err
	}
	if s.Subject == "" {
		return web.Errorf(http.StatusForbidden, "Please say who you are first.")
	}
	var documents []preview
	for _, configuration := range s.Configurations {
		p, err := t.preview(ctx, configuration, s.Subject, now)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(documents, p.same) { // in another format it is the same to people
			documents = append(documents, p)
		}
	}
	var form string
	err = t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		st := tx.Once(t.config.ID)
		if s, err = loadSession(ctx, st, id, now); err != nil {
			return err
		}
		form, err = saveSession(ctx, st, id, s)
		return err
	})
	if err != nil {
		return errSession(err)
	}
	t.page(w, http.StatusOK, "consent.html", "Is this what you want?", map[string]any{
		"Path": t.authorizePath(), "Form": form, "Client": s.Client, "Documents": documents,
	})
	return nil
}

// preview shows a document before it is issued.
type preview struct {
	Name    string
	Until   time.Time
	Picture template.URL // the portrait; empty if there is none
	Pairs   []pair
	Problem string // why it cannot be had
}

type pair struct{ Label, Value string }

func (p preview) same(q preview) bool {
	return p.Name == q.Name && p.Until.Equal(q.Until) && p.Picture == q.Picture && p.Problem == q.Problem && slices.Equal(p.Pairs, q.Pairs)
}

func (t *tenant) preview(ctx context.Context, configuration, subject string, now time.Time) (preview, error) {
	o := t.offerings[configuration]
	p := preview{Name: o.Display[0].Name}
	c, refusal, err := t.content(ctx, o, subject, now)
	if err != nil {
		return p, err
	}
	if refusal != nil {
		p.Problem = sentence(refusal.Description)
		return p, nil
	}
	p.Until = c.validity.ValidUntil
	for _, ns := range c.nameSpaces {
		for _, e := range ns.Elements {
			if jpeg := cbor.NewReader(e.Value).Bytes(); p.Picture == "" && bytes.HasPrefix(jpeg, []byte{0xff, 0xd8, 0xff}) {
				p.Picture = template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpeg))
				continue
			}
			label, text := t.authority.types.Display("en", c.docType, ns.Name, e.ID, e.Value)
			p.Pairs = append(p.Pairs, pair{label, text})
		}
	}
	return p, nil
}

// takeDecision answers the form of the second page, and a refusal on the first.
func (t *tenant) takeDecision(w http.ResponseWriter, r *http.Request) error {
	browserHeaders(w)
	ctx, now, id := r.Context(), t.authority.now(), sessionID(r)
	form, err := web.Form(w, r)
	if err != nil {
		return err
	}
	decision := form.Get("decision")
	if decision != "approve" && decision != "refuse" {
		return web.Errorf(http.StatusBadRequest, "The form holds no decision.")
	}
	e, err := t.engines(ctx)
	if err != nil {
		return err
	}
	var reply oauth.Reply
	err = t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st := tx.Once(t.config.ID)
		s, err := claimForm(ctx, st, id, form, now)
		if err != nil {
			return err
		}
		if decision == "refuse" {
			reply, err = e.oauth.Refuse(ctx, st, s.RequestURI, now)
			return err
		}
		reply, err = t.approve(ctx, tx, e, s, now)
		return err
	})
	if err != nil {
		return errSession(err)
	}
	return t.answer(w, r, reply)
}

// approve ends a request with the yes of an identified person.
func (t *tenant) approve(ctx context.Context, tx *db.Tx, e *engines, s session, now time.Time) (oauth.Reply, error) {
	if s.Subject == "" {
		return oauth.Reply{}, web.Errorf(http.StatusForbidden, "Please say who you are first.")
	}
	st := tx.Once(t.config.ID)
	approval := oauth.Approval{Subject: s.Subject}
	if s.IssuerState != "" {
		var err error
		switch approval.Data, err = offerApproved(ctx, st, s.IssuerState, now); {
		case isGone(err):
			return oauth.Reply{}, web.Errorf(http.StatusConflict, "This offer is used or has expired. Please ask for a new one.")
		case err != nil:
			return oauth.Reply{}, err
		}
		if err := t.offerTaken(ctx, tx, s.IssuerState); err != nil {
			return oauth.Reply{}, err
		}
	}
	reply, err := e.oauth.Approve(ctx, st, s.RequestURI, approval, now)
	if err != nil || reply.Refusal != nil {
		return reply, err
	}
	return reply, t.authority.audit.Append(ctx, tx, now, audit.Event{
		Tenant: t.config.ID, What: "issuing approved by the person", Actor: subjectReference(e, s.Subject), Object: once.Hash(s.RequestURI),
		Detail: map[string]string{"offerings": fmt.Sprint(s.Configurations)},
	})
}
