package issuer

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// Grant is the way in which a person gets what is offered.
type Grant string

// The grants. OpenID4VCI 1.0, 4.1.1.
const (
	// PreAuthorized: whoever has the offer, and its PIN, gets the documents.
	PreAuthorized Grant = "pre-authorized"
	// AuthorizationCode: the person identifies in the browser first.
	AuthorizationCode Grant = "authorization_code"
)

// OfferParams say what is offered to whom.
type OfferParams struct {
	Offerings []string // ids, 1 to 16
	Subject   string   // the person's id in the source
	Grant     Grant    // optional, PreAuthorized
	// TxCode asks for a PIN besides the link, which is told another way. It
	// may only be left out where every offering waives it.
	TxCode  bool
	Expires time.Time // optional, after Config.OfferLifetime

	// Scheme of the link: "haip-vci" opens wallets of the High Assurance
	// Interoperability Profile only. Optional, "openid-credential-offer".
	Scheme string
	// ByValue puts the whole offer into the link, for apps that fetch none; a
	// link that refers to it makes a smaller QR code, and ends with the offer.
	ByValue bool
}

// Offer is an offer to hand over. It holds secrets: they are not stored and
// cannot be shown again.
type Offer struct {
	ID      string    `json:"id"`   // for logs and audit; no secret
	Link    string    `json:"link"` // for a QR code or a button
	URI     string    `json:"uri"`  // where Link refers to
	TxCode  string    `json:"tx_code,omitempty"`
	Expires time.Time `json:"expires"`
}

// String keeps the secrets of an offer out of messages.
func (o Offer) String() string { return "offer " + o.ID }

// LogValue keeps the secrets of an offer out of logs.
func (o Offer) LogValue() slog.Value { return slog.StringValue(o.String()) }

const (
	kindOffer     = "issuer-offer"      // by the hash of the secret in its address
	kindOfferCode = "issuer-offer-code" // by the hash of the pre-authorized code
	kindOfferUsed = "issuer-offer-used" // by the id of an offer: under which grant documents were issued
	pinDigits     = 6
	maxOfferings  = 16
	maxSubject    = 128

	// approvedOpen is how long an offer stays open after it was approved, as
	// long as no document came of it.
	approvedOpen = 15 * time.Minute
)

// storedOffer is what is kept of an offer. The pre-authorized code in it is
// sealed under the secret in the offer's address.
type storedOffer struct {
	ID        string    `json:"id"`
	Grant     Grant     `json:"grant"`
	Offerings []string  `json:"offerings"`
	Subject   string    `json:"subject"`
	TxCode    bool      `json:"tx_code,omitempty"`
	Sealed    []byte    `json:"sealed,omitempty"`
	Expires   time.Time `json:"expires"`
	Approved  bool      `json:"approved,omitempty"` // in the browser, for the first time
}

// grantData is what the authority keeps with a grant.
type grantData struct {
	Offer string `json:"offer"` // that the person approved
}

// Offer makes an offer to a person of the source. OpenID4VCI 1.0, 4.
// Errors: ErrUnknownTenant, ErrUnknownOffering, ErrUnknownPerson, ErrDeceased,
// ErrInvalid.
func (a *Authority) Offer(ctx context.Context, tenant string, p OfferParams) (Offer, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return Offer{}, err
	}
	now := a.now()
	if p.Grant == "" {
		p.Grant = PreAuthorized
	}
	if p.Scheme == "" {
		p.Scheme = oid4vci.OfferScheme
	}
	if p.Expires.IsZero() {
		p.Expires = now.Add(a.config.OfferLifetime)
	}
	if err := t.checkOffer(p, now); err != nil {
		return Offer{}, err
	}
	if _, err := t.person(ctx, p.Subject); err != nil {
		return Offer{}, err
	}
	e, err := t.engines(ctx)
	if err != nil {
		return Offer{}, err
	}
	secret := randomID()
	o := Offer{ID: once.Hash(secret), URI: t.base + "/offers/" + secret, Expires: p.Expires}
	o.Link = oid4vci.LinkByReference(p.Scheme, o.URI)
	if p.Grant == PreAuthorized && p.TxCode {
		if o.TxCode, err = newPIN(); err != nil {
			return Offer{}, err
		}
	}
	stored := storedOffer{ID: o.ID, Grant: p.Grant, Offerings: p.Offerings, Subject: p.Subject, TxCode: o.TxCode != "", Expires: p.Expires}
	err = a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return t.putOffer(ctx, tx, e, &stored, secret, o.TxCode, now)
	})
	if err == nil && p.ByValue {
		var whole oid4vci.Offer
		if whole, err = t.open(stored, secret); err == nil {
			o.Link, err = whole.Link(p.Scheme)
		}
	}
	if err != nil {
		return Offer{}, fmt.Errorf("issuer: offer: %w", err)
	}
	a.log.Info("offer made", "role", "issuer", "tenant", t.config.ID, "offer", o.ID, "grant", string(p.Grant))
	return o, nil
}

func (t *tenant) checkOffer(p OfferParams, now time.Time) error {
	switch {
	case len(p.Offerings) == 0 || len(p.Offerings) > maxOfferings:
		return fmt.Errorf("%w: %d offerings, wanted 1 to %d", ErrInvalid, len(p.Offerings), maxOfferings)
	case p.Grant != PreAuthorized && p.Grant != AuthorizationCode:
		return fmt.Errorf("%w: grant %.40q", ErrInvalid, p.Grant)
	case p.Scheme != oid4vci.OfferScheme && p.Scheme != oid4vci.HAIPOfferScheme:
		return fmt.Errorf("%w: scheme %.40q, wanted %q or %q", ErrInvalid, p.Scheme, oid4vci.OfferScheme, oid4vci.HAIPOfferScheme)
	case p.Subject == "" || len(p.Subject) > maxSubject:
		return fmt.Errorf("%w: subject of %d bytes, wanted 1 to %d", ErrInvalid, len(p.Subject), maxSubject)
	case !p.Expires.After(now) || p.Expires.After(now.Add(90*24*time.Hour)):
		return fmt.Errorf("%w: expires has to be within 90 days", ErrInvalid)
	case p.Grant == AuthorizationCode && p.TxCode:
		return fmt.Errorf("%w: a transaction code belongs to a pre-authorized offer", ErrInvalid)
	}
	for i, id := range p.Offerings {
		o, ok := t.offerings[id]
		if !ok || p.Grant == PreAuthorized && !o.PreAuthorized || p.Grant == AuthorizationCode && !o.Authorization {
			return fmt.Errorf("%w: %.64q", ErrUnknownOffering, id)
		}
		if slices.Contains(p.Offerings[:i], id) {
			return fmt.Errorf("%w: offering %.64q given twice", ErrInvalid, id)
		}
		if p.Grant == PreAuthorized && !p.TxCode && !o.NoTxCode {
			return fmt.Errorf("%w: offering %.64q needs a transaction code", ErrInvalid, id)
		}
	}
	return nil
}

// putOffer stores the offer and, for the pre-authorized grant, its code.
func (t *tenant) putOffer(ctx context.Context, tx *db.Tx, e *engines, o *storedOffer, secret, pin string, now time.Time) error {
	st := tx.Once(t.config.ID)
	if o.Grant == PreAuthorized {
		approval := oauth.Approval{Subject: o.Subject}
		for _, id := range o.Offerings {
			approval.Credentials = append(approval.Credentials, oauth.GrantedCredential{Configuration: id})
		}
		code, err := e.oauth.Offer(ctx, st, oauth.Offer{Approval: approval, TxCode: pin, Expires: o.Expires})
		if err != nil {
			return err
		}
		if o.Sealed, err = seal(secret, code); err != nil {
			return err
		}
		if err := st.Put(ctx, kindOfferCode, once.Hash(code), []byte(o.ID), o.Expires); err != nil {
			return err
		}
	}
	value, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := st.Put(ctx, kindOffer, o.ID, value, o.Expires); err != nil {
		return err
	}
	if err := expectOffer(ctx, tx, t.config.ID, o.ID, o.Expires); err != nil {
		return err
	}
	return t.authority.audit.Append(ctx, tx, now, audit.Event{
		Tenant: t.config.ID, What: "offer made", Object: o.ID,
		Detail: map[string]string{"offerings": strings.Join(o.Offerings, " "), "grant": string(o.Grant)},
	})
}

// readOffer returns an offer that is still open.
func readOffer(ctx context.Context, st once.Store, id string, now time.Time) (storedOffer, error) {
	var o storedOffer
	value, err := st.Get(ctx, kindOffer, id, now)
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(value, &o)
}

// offerRedeemed ends the offer that a pre-authorized code belongs to, once the
// code was exchanged for a token.
func (t *tenant) offerRedeemed(ctx context.Context, tx *db.Tx, code string, now time.Time) error {
	st := tx.Once(t.config.ID)
	id, err := st.Claim(ctx, kindOfferCode, once.Hash(code), now)
	if err == nil {
		_, err = st.Claim(ctx, kindOffer, string(id), now)
	}
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.offerTaken(ctx, tx, string(id))
}

// offerTaken tells that an offer was taken up.
func (t *tenant) offerTaken(ctx context.Context, tx *db.Tx, id string) error {
	if err := takeOffer(ctx, tx, t.config.ID, id); err != nil {
		return err
	}
	return t.tell(ctx, tx, EventOfferUsed, map[string]string{"offer": id})
}

// endedAtOnce is how many offers end in one transaction.
const endedAtOnce = 100

// endOffers tells of offers that nobody has taken up in time, each once whatever
// number of processes look.
func (a *Authority) endOffers(ctx context.Context) error {
	for {
		var ended []offerEnd
		err := a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			now := a.now()
			if ended, err = endOffers(ctx, tx, now, endedAtOnce); err != nil {
				return err
			}
			for _, o := range ended {
				if err := a.outbox.Write(ctx, tx, o.tenant, outbox.Event{Kind: EventOfferExpired, Data: map[string]string{"offer": o.id}}); err != nil {
					return err
				}
				if err := a.audit.Append(ctx, tx, now, audit.Event{Tenant: o.tenant, What: "offer expired", Object: o.id}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(ended) < endedAtOnce {
			return err
		}
	}
}

// offerApproved notes that the person has approved an offer in the browser, and
// returns what to keep with the grant. The answer with the code, or that with
// the token, may be lost, and a code is not for use again (RFC 6749, 4.1.2): the
// offer stays open for a while, for the same person to identify and approve
// once more. It ends with the first document: offerUsed.
func offerApproved(ctx context.Context, st once.Store, id string, now time.Time) (json.RawMessage, error) {
	value, err := st.Claim(ctx, kindOffer, id, now)
	if err != nil {
		return nil, err
	}
	var o storedOffer
	if err := json.Unmarshal(value, &o); err != nil {
		return nil, err
	}
	if !o.Approved {
		o.Approved, o.Expires = true, now.Add(approvedOpen)
	}
	if value, err = json.Marshal(o); err != nil {
		return nil, err
	}
	if err := st.Put(ctx, kindOffer, id, value, o.Expires); err != nil {
		return nil, err
	}
	return json.Marshal(grantData{Offer: id})
}

// offerOf is the id of the offer that a grant came of by way of the browser, ""
// for none.
func offerOf(g *oauth.Grant) (string, error) {
	var data grantData
	if len(g.Data) > 0 {
		if err := json.Unmarshal(g.Data, &data); err != nil {
			return "", fmt.Errorf("issuer: data of a grant: %w", err)
		}
	}
	return data.Offer, nil
}

var errOfferUsed = errors.New("the offer was used for another grant")

// offerUsed ends an offer with the first document that is issued under a grant
// of it, and keeps other grants of it from documents: errOfferUsed.
func offerUsed(ctx context.Context, st once.Store, id, grant string, now, until time.Time) error {
	if used, err := offerFree(ctx, st, id, grant, now); used || err != nil {
		return err
	}
	if _, err := st.Claim(ctx, kindOffer, id, now); err != nil && !isGone(err) {
		return err
	}
	return st.Put(ctx, kindOfferUsed, id, []byte(grant), until)
}

// offerFree refuses documents under a grant of an offer that was used under
// another: errOfferUsed. used: it was under this one.
func offerFree(ctx context.Context, st once.Store, id, grant string, now time.Time) (used bool, err error) {
	switch first, err := st.Get(ctx, kindOfferUsed, id, now); {
	case isGone(err):
		return false, nil
	case err == nil && string(first) != grant:
		return false, errOfferUsed
	default:
		return err == nil, err
	}
}

func isGone(err error) bool {
	return errors.Is(err, once.ErrNotFound) || errors.Is(err, once.ErrClaimed) || errors.Is(err, once.ErrExpired)
}

// serveOffer answers GET /{tenant}/offers/{id} until the offer is used or over.
// OpenID4VCI 1.0, 4.1.3.
func (t *tenant) serveOffer(w http.ResponseWriter, r *http.Request) error {
	secret := r.PathValue("id")
	now := t.authority.now()
	var o storedOffer
	err := t.authority.db.ViewOne(r.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		o, err = readOffer(ctx, tx.Once(t.config.ID), once.Hash(secret), now)
		return err
	})
	switch {
	case errors.Is(err, once.ErrExpired):
		return web.Errorf(http.StatusNotFound, "This offer has expired. Please ask for a new one.")
	case errors.Is(err, once.ErrClaimed):
		return web.Errorf(http.StatusNotFound, "This offer was used. Please ask for a new one if it was not you.")
	case isGone(err):
		return web.Errorf(http.StatusNotFound, "This offer is used, expired or unknown. Please ask for a new one.")
	}
	if err != nil {
		return err
	}
	offer, err := t.open(o, secret)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, offer)
	return nil
}

// open is the offer as the app gets it, with the secret of its address.
func (t *tenant) open(o storedOffer, secret string) (oid4vci.Offer, error) {
	offer := oid4vci.Offer{Issuer: t.base, Configurations: o.Offerings}
	if o.Grant == AuthorizationCode {
		offer.Code = &oid4vci.CodeGrant{IssuerState: o.ID}
		return offer, nil
	}
	code, err := unseal(secret, o.Sealed)
	if err != nil {
		return offer, err
	}
	offer.PreAuthorized = &oid4vci.PreAuthorizedGrant{Code: code}
	if o.TxCode {
		offer.PreAuthorized.TxCode = &oid4vci.TxCode{InputMode: "numeric", Length: pinDigits, Description: "The PIN that you got with this offer"}
	}
	return offer, nil
}

// person looks a living person up.
func (t *tenant) person(ctx context.Context, id string) (source.Person, error) {
	p, err := t.source.Find(ctx, id)
	switch {
	case errors.Is(err, source.ErrNotFound):
		return p, ErrUnknownPerson
	case !p.Deceased.IsZero():
		return p, ErrDeceased
	case err != nil:
		return p, fmt.Errorf("issuer: source: %w", err)
	}
	return p, nil
}

// randomID is 32 random bytes in base64url.
func randomID() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newPIN draws six digits, each value equally likely.
func newPIN() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", pinDigits, n), nil
}
