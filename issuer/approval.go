package issuer

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// RequestState is where a request for a document stands.
type RequestState string

// The states. A request whose document was issued is gone.
const (
	RequestWaiting  RequestState = "waiting"
	RequestApproved RequestState = "approved" // the app gets the document when it asks again
	RequestDenied   RequestState = "denied"
)

// Request is a request for a document that needs an operator's approval.
type Request struct {
	ID       string       `json:"id"`
	Offering string       `json:"offering"`
	Subject  string       `json:"subject"` // the person's id in the source; never leaves the authority
	Client   string       `json:"client"`
	Made     time.Time    `json:"made"`
	Expires  time.Time    `json:"expires"`
	State    RequestState `json:"state"`
	Reason   string       `json:"reason,omitempty"`
	Copies   int          `json:"copies"`

	wanted wanted
}

// wanted is what a request was for: all of a CredentialRequest that documents
// are made of.
type wanted struct {
	Keys     []jose.JWK `json:"keys"`
	Attested *attested  `json:"attested,omitempty"`
}

// attested is what is kept of a key attestation.
type attested struct {
	KeyStorage         []string             `json:"key_storage"`
	UserAuthentication []string             `json:"user_authentication"`
	Status             attestation.Status   `json:"status"`
	Attester           attestation.Attester `json:"attester"`
}

func wantedBy(r *oid4vci.CredentialRequest) wanted {
	var w wanted
	for _, k := range r.Keys {
		w.Keys = append(w.Keys, jose.JWK{Key: k})
	}
	if a := r.Attestation; a != nil {
		w.Attested = &attested{KeyStorage: a.KeyStorage, UserAuthentication: a.UserAuthentication, Status: a.Status, Attester: a.Attester}
	}
	return w
}

// request is the CredentialRequest again, without where it came from.
func (w wanted) request(configuration string) *oid4vci.CredentialRequest {
	out := &oid4vci.CredentialRequest{Configuration: configuration, Keys: make([]crypto.PublicKey, len(w.Keys))}
	for i, k := range w.Keys {
		out.Keys[i] = k.Key
	}
	if a := w.Attested; a != nil {
		out.Attestation = &attestation.KeyAttestation{
			Keys: out.Keys, KeyStorage: a.KeyStorage, UserAuthentication: a.UserAuthentication, Status: a.Status, Attester: a.Attester,
		}
	}
	return out
}

const (
	// askAgain is how long an app waits before it asks again.
	askAgain = time.Minute
	// requestLifetime is how long a request waits for its decision, and after
	// that for the app.
	requestLifetime = 30 * day

	// kindAsked counts by grant and offering how often a document was asked for.
	kindAsked = "issuer-asked"
)

// ErrUnknownRequest: there is no such request, or it was decided already.
var ErrUnknownRequest = errors.New("no such request waits for a decision")

// errTaken: the document of a request was issued a moment ago.
var errTaken = errors.New("the document of this request was issued")

// Requests lists the requests for documents in a state, oldest first, at most
// 1000. Errors: ErrUnknownTenant.
func (a *Authority) Requests(ctx context.Context, tenant string, state RequestState) (list []Request, err error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	err = a.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		list, err = requestsIn(ctx, tx, t.config.ID, state, a.now())
		return err
	})
	return list, err
}

// Decide approves or denies a request for a document. reason is for the
// authority's own books and must not hold personal data.
// Errors: ErrUnknownTenant, ErrUnknownRequest, ErrInvalid.
func (a *Authority) Decide(ctx context.Context, tenant, id string, approve bool, reason string) error {
	t, err := a.tenant(tenant)
	if err != nil {
		return err
	}
	if len(reason) > maxReason {
		return fmt.Errorf("%w: a reason of at most %d bytes", ErrInvalid, maxReason)
	}
	now, state, what := a.now(), RequestDenied, "request for a document denied"
	if approve {
		state, what = RequestApproved, "request for a document approved"
	}
	err = a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := decideRequest(ctx, tx, t.config.ID, id, state, reason, now); err != nil {
			return err
		}
		return a.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: what, Object: id, Detail: map[string]string{"reason": reason}})
	})
	if err == nil {
		a.log.Info(what, "role", "issuer", "tenant", t.config.ID, "request", id)
	}
	return err
}

// approved finds out whether an operator has approved the first copies of a
// document, where one has to: then the request that was approved is in use. If
// it has to wait, answer says until when. Whether copies may be issued at all is
// looked up when they are recorded; who was denied some a while ago is looked up
// here already, before anything is spent on them.
func (t *tenant) approved(ctx context.Context, tx *db.Tx, e *engines, g *oauth.Grant, r *oid4vci.CredentialRequest, now time.Time) (use string, answer oid4vci.Answer, refusal *oid4vci.Error, err error) {
	o := t.offerings[r.Configuration]
	if !o.Approval && t.denials.Wait(denial{g.ID, o.ID}, 1, now) == 0 {
		return "", answer, nil, nil
	}
	document, err := t.mayHave(ctx, tx, e, g, o.ID, now)
	if refusal := deniedFor(err); refusal != nil {
		return "", answer, refusal, nil
	}
	if err != nil || document != "" || !o.Approval {
		return "", answer, nil, err
	}
	switch q, err := requestFor(ctx, tx, t.config.ID, g.ID, o.ID, now); {
	case errors.Is(err, ErrUnknownRequest), err == nil && q.State == RequestWaiting:
		if _, refusal := enough(o, r); refusal != nil {
			return "", answer, refusal, nil
		}
		answer, err = t.later(ctx, tx, g, r, now)
		if refusal := deniedFor(err); refusal != nil {
			return "", answer, refusal, nil
		}
		return "", answer, nil, err
	case err != nil:
		return "", answer, nil, err
	case q.State == RequestDenied:
		return "", answer, denied(deniedByOperator, nil), nil
	default:
		return q.ID, answer, nil, nil
	}
}

// denial is what was denied lately: copies of an offering to a grant.
type denial struct{ grant, offering string }

// denialTime is for how long a denial is remembered.
const denialTime = time.Hour

// entitled is who asks with a grant for copies of an offering.
func (t *tenant) entitled(e *engines, g *oauth.Grant, offering string) entitled {
	return entitled{tenant: t.config.ID, grant: g.ID, offering: offering, person: subjectReference(e, g.Subject), granted: g.IssuedAt}
}

// mayHave returns the document that a grant has of an offering, "" if it may get
// its first copies. Its other errors are those of deniedFor.
func (t *tenant) mayHave(ctx context.Context, tx *db.Tx, e *engines, g *oauth.Grant, offering string, now time.Time) (document string, err error) {
	if document, _, err = standing(ctx, tx, t.entitled(e, g, offering), t.authority.config.BatchesPerDay, now); err != nil {
		return "", err
	}
	offer, err := offerOf(g)
	if err != nil || offer == "" {
		return document, err
	}
	_, err = offerFree(ctx, tx.Once(t.config.ID), offer, g.ID, now)
	return document, err
}

const deniedByOperator = "the authority has refused this document"

// later puts a request off until an operator has decided. A new request for the
// same takes the place of an earlier one, no more often within a day than an app
// may have copies: errTooMany.
func (t *tenant) later(ctx context.Context, tx *db.Tx, g *oauth.Grant, r *oid4vci.CredentialRequest, now time.Time) (oid4vci.Answer, error) {
	o := t.offerings[r.Configuration]
	// Each request is one more for the operator to see, and in the audit.
	asked, id := tx.Once(t.config.ID), g.ID+" "+o.ID
	n, _, err := tries(ctx, asked, kindAsked, id, now)
	if err == nil && n >= t.authority.config.BatchesPerDay {
		err = errTooMany
	}
	if err == nil {
		err = countTry(ctx, asked, kindAsked, id, now, now.Add(batchWindow))
	}
	if err != nil {
		return oid4vci.Answer{}, err
	}
	w := wantedBy(r)
	w.Keys = w.Keys[:min(len(w.Keys), o.Batch)]
	q := Request{ID: rand.Text(), Offering: o.ID, Subject: g.Subject, Client: g.ClientID, Made: now, Expires: now.Add(requestLifetime), wanted: w}
	if err := putRequest(ctx, tx, t.config.ID, g.ID, q); err != nil {
		return oid4vci.Answer{}, err
	}
	if err := t.tell(ctx, tx, EventRequested, map[string]string{"request": q.ID, "offering": o.ID}); err != nil {
		return oid4vci.Answer{}, err
	}
	err = t.authority.audit.Append(ctx, tx, now, audit.Event{
		Tenant: t.config.ID, What: "document requested", Actor: g.ID, Object: q.ID, Detail: map[string]string{"offering": o.ID},
	})
	return oid4vci.Answer{Transaction: q.ID, Interval: askAgain}, err
}

// deferred answers the deferred credential endpoint: the app asks again for a
// document that needed approval. OpenID4VCI 1.0, 9.
func (t *tenant) deferred(ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
	now := t.authority.now()
	var grant *oauth.Grant
	var reply oauth.Reply
	var request *oid4vci.DeferredRequest
	var refusal *oid4vci.Error
	var q Request
	err := t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		request, refusal = nil, nil
		if grant, reply, err = e.oauth.CheckAccess(ctx, tx.Once(t.config.ID), r, now); err != nil || grant == nil {
			return err
		}
		if request, refusal = e.issuer.OpenDeferred(ctx, r); refusal != nil {
			return nil
		}
		q, err = requestOf(ctx, tx, t.config.ID, grant.ID, request.Transaction, now)
		if errors.Is(err, ErrUnknownRequest) {
			refusal, err = unknownTransaction(err), nil
		}
		if _, ok := t.offerings[q.Offering]; !ok && err == nil && refusal == nil {
			refusal = denied("the authority does not issue this document any more", nil)
		}
		if err != nil || refusal != nil {
			return err
		}
		_, err = t.mayHave(ctx, tx, e, grant, q.Offering, now)
		if refusal = deniedFor(err); refusal != nil {
			return nil
		}
		return err
	})
	if err != nil || grant == nil {
		return t.finish(ctx, reply, err)
	}
	answer := oid4vci.Answer{Transaction: q.ID, Interval: askAgain}
	switch {
	case refusal != nil:
	case q.State == RequestDenied:
		refusal = denied(deniedByOperator, nil)
	case q.State == RequestApproved:
		answer, refusal, err = t.issue(ctx, e, grant, q.wanted.request(q.Offering), q.ID, now)
		if errors.Is(err, errTaken) {
			refusal, err = unknownTransaction(err), nil
		}
	}
	if err != nil {
		return fetch.Response{}, err
	}
	if refusal != nil {
		return t.refuse(ctx, refusal), nil
	}
	return request.Reply(answer)
}

func unknownTransaction(err error) *oid4vci.Error {
	return &oid4vci.Error{
		Code: oid4vci.CodeInvalidTransaction, Description: "transaction_id is unknown, used or expired, or none of this token's (OpenID4VCI 1.0, 9.3)", Err: err,
	}
}
