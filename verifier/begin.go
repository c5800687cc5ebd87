package verifier

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/qrcode"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// Scheme is the link scheme of requests.
const Scheme = "openid4vp"

// AskParams say what to ask over the internet.
type AskParams struct {
	Ask     string          // a preset or a question as core.ParseAsk reads it
	DCQL    json.RawMessage // the question as DCQL, in the place of Ask. OpenID4VP 1.0, 6
	Purpose string          // for the holder; that of the preset if empty
	// RedirectURI is where the holder's browser comes back to on the same
	// device, with response_code in the query: one of the tenant's
	// RedirectURIs. Optional, our own page.
	RedirectURI string
	// SameDevice hands the result out only together with the response code,
	// so that a link passed on to somebody else gets its sender nothing.
	// OpenID4VP 1.0, 13.3.
	SameDevice bool
	// Wallet is the endpoint of a certain wallet, in the place of the link scheme
	// that any takes: https, or http to a loopback name. OpenID4VP 1.0, 5.
	Wallet string
	// Retain is how long the answer is kept, with what came on the wire, for the
	// relying party: at most what the tenant's configuration allows. The holder is
	// told. Optional: nothing is kept, and only who has the id reads the answer.
	Retain time.Duration
	// ByValue puts the whole request into the link for the same device, which
	// gets long; the QR code leads to it all the same. HAIP 1.0 has none of it.
	ByValue bool
	// Unsigned asks by link without proving who asks, under the client identifier
	// prefix redirect_uri, if the tenant's Compatibility allows it.
	Unsigned bool
	// ResponseMode is how the answer to a link comes: direct_post.jwt if empty,
	// or one that the tenant's Compatibility allows.
	ResponseMode string
	// Agree is what the holder is to agree to by answering, of the tenant's
	// TransactionTypes. It goes by OpenID4VP alone, by link or through the browser.
	Agree []Agreement
}

// Transaction is a question on its way, for whoever asked it.
type Transaction struct {
	ID         string    `json:"id"`     // secret: whoever has it gets the result
	Number     string    `json:"number"` // the same for logs, events and those who wait: no secret
	Link       string    `json:"link"`
	Code       string    `json:"code,omitempty"` // what a QR code says: the link, but always by reference; empty if only this device may answer
	RequestURI string    `json:"request_uri"`
	Page       string    `json:"page"`  // our page that waits for the answer
	Watch      string    `json:"watch"` // where the state is, for whoever waits
	Expires    time.Time `json:"expires"`
}

// Button is what a web page needs to let a holder answer: eidos-verify.js takes
// it. It holds nothing by which the answer could be read.
type Button struct {
	Link    string    `json:"link" doc:"opens the wallet on this device"`
	Watch   string    `json:"watch" doc:"where the state is: JSON, and server-sent events below /events"`
	DC      string    `json:"dc" doc:"requests for the Digital Credentials API"`
	QRSize  int       `json:"qr_size,omitempty" doc:"side of the QR code of the link, in modules; absent if only this device may answer"`
	QRPath  string    `json:"qr_path,omitempty" doc:"its dark modules: d of an SVG path"`
	Expires time.Time `json:"expires"`
}

// Button is the transaction for a web page.
func (t Transaction) Button() (Button, error) {
	b := Button{Link: t.Link, Watch: t.Watch, DC: t.Watch + "/dc", Expires: t.Expires}
	if t.Code == "" {
		return b, nil
	}
	code, err := qrcode.Screen(t.Code)
	if err != nil {
		return b, fmt.Errorf("verifier: %w", err)
	}
	b.QRSize, b.QRPath = code.Size(), code.Path()
	return b, nil
}

// question is what the parameters ask.
func (t *tenant) question(p AskParams) (core.Ask, error) {
	var ask core.Ask
	var err error
	if len(p.DCQL) > 0 {
		if p.Ask != "" {
			return ask, fmt.Errorf("%w: the question comes twice, as text and as DCQL", ErrInvalid)
		}
		if ask.Query, err = query.ParseDCQL(p.DCQL); err == nil && p.Purpose != "" {
			ask, err = ask.WithPurpose(p.Purpose)
		}
		if err != nil {
			return ask, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	} else if ask, err = t.ask(p.Ask, p.Purpose); err != nil {
		return ask, err
	}
	switch {
	case p.RedirectURI != "" && !slices.Contains(t.config.RedirectURIs, p.RedirectURI):
		return ask, fmt.Errorf("%w: the redirect URI is not among those of the configuration", ErrInvalid)
	case p.Wallet != "" && (conf.Address(p.Wallet) != nil || strings.Contains(p.Wallet, "#") || len(p.Wallet) > 1024):
		return ask, fmt.Errorf("%w: the wallet's endpoint is https, or http to a loopback name, without a fragment", ErrInvalid)
	case p.Retain < 0 || p.Retain > t.config.Retain:
		return ask, fmt.Errorf("%w: answers are kept for %v at most, says the configuration", ErrInvalid, t.config.Retain)
	case p.Unsigned && !t.config.Compatibility.Unsigned:
		return ask, fmt.Errorf("%w: the configuration does not let questions go out unsigned", ErrInvalid)
	case !t.allowsMode(p.ResponseMode):
		return ask, fmt.Errorf("%w: the configuration does not allow the response mode %.40q", ErrInvalid, p.ResponseMode)
	case p.Retain > 0:
		ask = ask.WithRetain(true) // what is kept, the holder is told of
	}
	return ask, nil
}

// Begin makes a transaction. Errors: ErrUnknownTenant, ErrInvalid.
//
// OpenID4VP 1.0, 5.
func (v *Verifier) Begin(ctx context.Context, tenant string, p AskParams) (Transaction, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Transaction{}, err
	}
	ask, err := t.question(p)
	if err != nil {
		return Transaction{}, err
	}
	engine, err := t.engine(ctx)
	if err != nil {
		return Transaction{}, err
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return Transaction{}, err
	}
	now, id := v.now(), secret()
	inner, handle, err := t.beginLink(engine, ask.Query, p, now)
	if err != nil {
		return Transaction{}, err
	}
	r := row{id: once.Hash(id), handle: handle, state: Waiting, created: now, expires: inner.Expires, forget: inner.Expires.Add(v.config.ResultLifetime),
		retain: p.Retain, opener: []byte{}, evidence: []byte{}, label: t.label(ask)}
	if p.Retain == 0 {
		private, err := opener(id)
		if err != nil {
			return Transaction{}, err
		}
		r.opener = private.PublicKey().Bytes()
	}
	req := request{
		OID4VP: *inner, Title: ask.Title, Purpose: ask.Purpose, RedirectURI: p.RedirectURI, SameDevice: p.SameDevice, Wallet: p.Wallet,
		ByValue: p.ByValue,
	}
	r.request, err = sealing.seal("request", r.id, req)
	if err != nil {
		return Transaction{}, err
	}
	link, err := t.link(ctx, &req)
	if err != nil {
		return Transaction{}, err
	}
	if p.ByValue { // nobody comes for it
		if r.evidence, err = t.sealEvidence(ctx, r, Evidence{Request: link}); err != nil {
			return Transaction{}, err
		}
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
	tr := Transaction{
		ID: id, Number: r.id, Link: link, RequestURI: inner.RequestURI, Page: t.base + "/t/" + id, Watch: t.base + "/watch/" + r.id, Expires: inner.Expires,
	}
	if !p.SameDevice {
		tr.Code = req.reference()
	}
	return tr, nil
}

// allowsMode reports whether answers to links may come so.
func (t *tenant) allowsMode(mode string) bool {
	return mode == "" || mode == oid4vp.DirectPostJWT || slices.Contains(t.config.Compatibility.ResponseModes, mode)
}

// beginLink makes what a link leads to, and the handle by which wallets speak of
// it. It only has to be hard to guess for as long as the request lives; short, it
// makes a QR code that is easy to scan.
//
// Wallets that know the addresses of a relying party beforehand have to find the
// one of the answer among them, so that it cannot differ from one request to the
// next: there the handle is in the answer.
//
// OpenID4VP 1.0, 5.9.3 and 8.2.
func (t *tenant) beginLink(engine *oid4vp.Verifier, q query.Query, p AskParams, now time.Time) (*oid4vp.Transaction, string, error) {
	handle, fixed := rand.Text(), !p.Unsigned && t.config.answersAtOneAddress()
	transactions, err := t.agreements(p.Agree, q)
	if err != nil {
		return nil, "", err
	}
	params := oid4vp.Params{Query: q, Transactions: transactions, Mode: p.ResponseMode, Unsigned: p.Unsigned, Lifetime: t.v.config.RequestLifetime}
	address := t.base + "/response"
	if !fixed {
		address += "/" + handle
	}
	if p.ResponseMode == oid4vp.Fragment {
		params.RedirectURI = address
	} else {
		params.ResponseURI = address
	}
	inner, err := engine.Begin(params, now)
	if err != nil {
		return nil, "", fmt.Errorf("verifier: %w", err)
	}
	if fixed {
		id, err := inner.KeyID()
		if err != nil {
			return nil, "", err
		}
		if id != "" {
			inner.State = id // an error may come as it is: OpenID4VP 1.0, 8.3.1
		}
		handle = inner.State
	}
	inner.RequestURI = t.base + "/request/" + handle
	return inner, handle, nil
}

// reference leads to the wallet that was named, or to any. It invites the wallet
// to post a nonce of its own; one that cannot, gets. OpenID4VP 1.0, 5.10.
func (r *request) reference() string {
	return r.OID4VP.Link(r.to()) + "&request_uri_method=post"
}

// to is the scheme or the endpoint that links begin with.
func (r *request) to() string {
	if r.Wallet == "" {
		return Scheme
	}
	return strings.TrimSuffix(r.Wallet, "&")
}

// link is reference or, where that was asked for, has the whole request in it.
func (t *tenant) link(ctx context.Context, r *request) (string, error) {
	if !r.ByValue {
		return r.reference(), nil
	}
	engine, err := t.engine(ctx)
	if err != nil {
		return "", err
	}
	link, err := engine.LinkByValue(ctx, &r.OID4VP, r.to(), t.v.now())
	if err != nil {
		return "", fmt.Errorf("verifier: %w", err)
	}
	return link, nil
}

// maxLabel bounds a label, in characters.
const maxLabel = 80

// label is what is asked in a few words, for the operator: the title of a preset,
// which the configuration gave it, or the types of document. The purpose is not in
// it: systems may write there whom they ask.
func (t *tenant) label(ask core.Ask) string {
	label := ask.Title
	if label == "" {
		var names []string
		for _, w := range t.wants(ask.Query) {
			if !slices.Contains(names, w.Document) {
				names = append(names, w.Document)
			}
		}
		label = strings.Join(names, ", ")
	}
	if text := []rune(label); len(text) > maxLabel {
		label = string(text[:maxLabel-1]) + "…"
	}
	return label
}

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
