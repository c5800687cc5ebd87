package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/securearea"
)

// AcceptOptions are what the person has to add to an offer.
type AcceptOptions struct {
	// Configurations picks some of the offer's documents; empty takes all.
	Configurations []string
	// TxCode is the PIN, if the offer wants one.
	TxCode string
	// Browser opens the URL for the person and returns the whole URI that the
	// browser was sent back to (Config.RedirectURI and a query). Needed for
	// offers with Browser.
	Browser func(ctx context.Context, url string) (redirected string, err error)
	// Progress, if not nil, is told of each step as it begins.
	Progress func(Step)
}

// Step is a step of getting a document, for people who wait.
type Step string

// The steps, in their order.
const (
	StepAuthorise Step = "authorise" // with the issuer's authorisation server
	StepKeys      Step = "keys"      // made and vouched for
	StepRequest   Step = "request"   // documents from the issuer
	StepVerify    Step = "verify"    // what was given
	StepStore     Step = "store"
)

// Accept takes an offer up and returns the documents, which are stored by
// then; those that the issuer is not ready to give are Pending. If anything
// fails nothing is stored. Errors wrap ErrNotInstalled, ErrTxCode,
// ErrOfferUsed, ErrUntrusted, or say what else to do.
//
// ISO/IEC 23220-1:2023, 8; OpenID4VCI 1.0.
func (w *Wallet) Accept(ctx context.Context, o *Offer, opts AcceptOptions) ([]Document, error) {
	if opts.Progress == nil {
		opts.Progress = func(Step) {}
	}
	if err := o.checkTxCode(opts.TxCode); err != nil {
		return nil, err
	}
	wanted, err := o.pick(opts.Configurations)
	if err != nil {
		return nil, err
	}
	w.sweep(ctx)
	i := &issuing{w: w, offer: o, opts: opts, wanted: wanted}
	docs, err := i.run(ctx)
	w.forget(ctx, i.spare...) // on failure all of them
	if err != nil {
		i.fail(ctx, err)
		return nil, err
	}
	return docs, nil
}

// pick is the offered documents that the person wants.
func (o *Offer) pick(ids []string) ([]Offered, error) {
	if len(ids) == 0 {
		return o.Documents, nil
	}
	var out []Offered
	for _, id := range ids {
		n := slices.IndexFunc(o.Documents, func(d Offered) bool { return d.Configuration == id })
		if n < 0 {
			return nil, fmt.Errorf("%.80q is not offered, or not in a format that this app holds", id)
		}
		out = append(out, o.Documents[n])
	}
	return out, nil
}

// issuing is one offer being accepted.
type issuing struct {
	w      *Wallet
	offer  *Offer
	opts   AcceptOptions
	wanted []Offered

	instance instanceRow
	provider *attestation.Client
	oauth    *oauth.Client
	oid      oid4vci.Client
	attested string   // id of the key that the provider vouches for towards this issuer alone
	dpop     string   // id of the key that tokens are bound to
	grant    string   // id of the grant that outlives the access token; empty if none does
	spare    []string // keys made that no stored document needs
}

func (i *issuing) run(ctx context.Context) ([]Document, error) {
	i.opts.Progress(StepAuthorise)
	if err := i.prepare(ctx); err != nil {
		return nil, err
	}
	token, err := i.authorise(ctx)
	if err != nil {
		return nil, i.explain(err)
	}
	i.oid = oid4vci.Client{Metadata: i.offer.Metadata, OAuth: i.oauth, Token: token}
	if token.RefreshToken != "" {
		i.grant = rand.Text()
	}
	var got []obtained
	for _, wanted := range i.wanted {
		g, err := i.obtain(ctx, wanted)
		if err != nil {
			return nil, fmt.Errorf("get %q: %w", wanted.Name, err)
		}
		got = append(got, g)
	}
	i.opts.Progress(StepStore)
	docs, err := i.store(ctx, got)
	for _, g := range got {
		i.tell(ctx, g, err)
	}
	return docs, err
}

// prepare finds the authorisation server and makes the client.
func (i *issuing) prepare(ctx context.Context) error {
	w := i.w
	var err error
	if i.instance, err = w.instance(ctx); err != nil {
		return err
	}
	if i.provider, err = w.provider(ctx, i.instance); err != nil {
		return err
	}
	named := ""
	switch {
	case i.offer.PreAuthorized != nil:
		named = i.offer.PreAuthorized.AuthorizationServer
	case i.offer.Code != nil:
		named = i.offer.Code.AuthorizationServer
	}
	issuer, err := i.offer.Metadata.AuthorizationServer(named)
	if err != nil {
		return err
	}
	keys, err := w.makeKeys(ctx, 2) // used for this offer, and what comes of it, only
	if err != nil {
		return err
	}
	i.spare = append(i.spare, ids(keys)...)
	return i.connect(ctx, issuer, keys[0].Info().ID, keys[1].Info().ID)
}

// connect makes the client of an authorisation server, and has the provider
// vouch for it: with a key of its own, so that issuers cannot find out that they
// have met the same app, and for as long as this one prefers.
//
// HAIP 1.0, 4.4.1; EUDI TS3 1.5, 2.2.1.1 and 2.4.2.
func (i *issuing) connect(ctx context.Context, issuer, dpop, attested string) error {
	w := i.w
	server, err := oauth.Discover(ctx, w.deps.Fetch, issuer)
	if err != nil {
		return err
	}
	bound, err := w.signer(ctx, dpop)
	if err != nil {
		return err
	}
	own, err := w.signer(ctx, attested)
	if err != nil {
		return err
	}
	if i.instance, err = w.renew(ctx, i.instance, own, attestation.Seconds(i.offer.Metadata.ClientStatusPeriod)); err != nil {
		return err
	}
	i.dpop, i.attested = dpop, attested
	i.oauth = &oauth.Client{
		Server: server, ID: i.instance.ClientID, RedirectURI: w.cfg.RedirectURI, DPoP: bound, Fetch: w.deps.Fetch,
		Attestation: i.instance.Attestation, Instance: own,
	}
	return nil
}

// authorise gets the access token.
func (i *issuing) authorise(ctx context.Context) (*oauth.Token, error) {
	if i.offer.PreAuthorized == nil {
		return i.browse(ctx)
	}
	return i.redeem(ctx)
}

func (i *issuing) redeem(ctx context.Context) (*oauth.Token, error) {
	code := ""
	if i.offer.TxCode != nil {
		code = i.opts.TxCode
	}
	return answered[*oauth.Error](ctx, func() (*oauth.Token, error) {
		return i.oauth.RedeemPreAuthorized(ctx, i.offer.PreAuthorized.Code, code, nil, i.w.now())
	})
}

// answered asks once more when no answer came, neither what was asked for nor a
// Refusal: it may have been lost on its way. Authorities give the same app the
// same again, with the same keys, for as long as it was not used.
func answered[Refusal error, T any](ctx context.Context, ask func() (T, error)) (T, error) {
	got, err := ask()
	var refusal Refusal
	if err == nil || errors.As(err, &refusal) || ctx.Err() != nil {
		return got, err
	}
	if again, err := ask(); err == nil || errors.As(err, &refusal) {
		return again, err
	}
	return got, err
}

// browse is the authorisation code flow.
func (i *issuing) browse(ctx context.Context) (*oauth.Token, error) {
	if i.opts.Browser == nil {
		return nil, errors.New("this offer needs a browser, in which the person authenticates")
	}
	r := oauth.AuthorizationRequest{}
	if i.offer.Code != nil {
		r.IssuerState = i.offer.Code.IssuerState
	}
	var scopes []string
	for _, wanted := range i.wanted {
		if s := i.offer.Metadata.Configurations[wanted.Configuration].Scope; s != "" {
			scopes = append(scopes, s)
		}
		r.Details = append(r.Details, oauth.Details{Configuration: wanted.Configuration})
	}
	if len(scopes) == len(i.wanted) {
		r.Scope, r.Details = strings.Join(scopes, " "), nil
	} else if len(i.offer.Metadata.AuthorizationServers) > 0 {
		for n := range r.Details { // OpenID4VCI 1.0, 5.1.1
			r.Details[n].Locations = []string{i.offer.Metadata.CredentialIssuer}
		}
	}
	a, err := i.oauth.Push(ctx, r, i.w.now())
	if err != nil {
		return nil, err
	}
	redirected, err := i.opts.Browser(ctx, a.URL)
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	code, err := a.Code(redirected)
	if err != nil {
		return nil, err
	}
	return i.oauth.RedeemCode(ctx, a, code, i.w.now())
}

// explain says what a refusal of the authorisation server means for the person.
func (i *issuing) explain(err error) error {
	var refusal *oauth.Error
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Code {
	case oauth.CodeInvalidGrant:
		if i.offer.TxCode == nil {
			return advise(fmt.Errorf("%w: %w", ErrOfferUsed, err), "ask the issuer for a new offer")
		}
		switch d := strings.ToLower(refusal.Description); {
		case strings.Contains(d, "ended"):
			return advise(fmt.Errorf("%w: %w: %w", ErrOfferUsed, ErrTxCode, err), "too many tries: ask the issuer for a new offer")
		case strings.Contains(d, "tx_code"), strings.Contains(d, "pin"):
			return advise(fmt.Errorf("%w: %w", ErrTxCode, err),
				fmt.Sprintf("check the code and try again; after %d wrong tries the offer ends", oauth.MaxTries))
		}
		return advise(fmt.Errorf("%w: %w", ErrOfferUsed, err), "ask the issuer for a new offer, or check the PIN if it was entered for the first time")
	case oauth.CodeInvalidRequest:
		if strings.Contains(refusal.Description, "tx_code") {
			return advise(fmt.Errorf("%w: %w", ErrTxCode, err), "enter the code that came another way")
		}
	case oauth.CodeAccessDenied:
		return advise(fmt.Errorf("%w: %w", ErrRefused, err), "the issuer's page said no")
	case oauth.CodeInvalidClient:
		return advise(err, "the issuer does not accept this app: its provider may not be trusted there, or has revoked it")
	}
	return err
}

// obtain gets the copies of one document, each for a key of its own.
func (i *issuing) obtain(ctx context.Context, wanted Offered) (obtained, error) {
	w := i.w
	conf := i.offer.Metadata.Configurations[wanted.Configuration]
	needs, err := proofNeeds(conf)
	if err != nil {
		return obtained{}, err
	}
	i.opts.Progress(StepKeys)
	keys, err := w.makeKeys(ctx, max(1, min(w.cfg.Copies, i.batchOf(conf), attestation.MaxKeys)))
	if err != nil {
		return obtained{}, err
	}
	i.spare = append(i.spare, ids(keys)...)
	answer, err := answered[*oid4vci.Error](ctx, func() (oid4vci.Answer, error) { return i.request(ctx, wanted.Configuration, keys, needs) })
	var refusal *oid4vci.Error
	if errors.As(err, &refusal) && refusal.Code == oid4vci.CodeInvalidNonce {
		answer, err = i.request(ctx, wanted.Configuration, keys, needs) // with a fresh one, once
	}
	if err != nil {
		return obtained{}, err
	}
	if answer.Transaction == "" {
		return i.take(ctx, wanted, keys, answer)
	}
	if i.grant == "" {
		return obtained{}, errors.New("the issuer is not ready, and gives nothing to come back with (OpenID4VCI 1.0, 9)")
	}
	now := w.now().UTC()
	return obtained{pending: &Pending{
		ID: rand.Text(), Grant: i.grant, Configuration: wanted.Configuration, Format: wanted.Format, DocType: wanted.DocType, Name: wanted.Name, Issuer: i.offer.Issuer.ID,
		Transaction: answer.Transaction, Keys: ids(keys), After: now.Add(answer.Interval), Since: now,
	}}, nil
}

// take verifies what was given for keys. If it is not in order the issuer is told.
func (i *issuing) take(ctx context.Context, wanted Offered, keys []securearea.Key, answer oid4vci.Answer) (obtained, error) {
	i.opts.Progress(StepVerify)
	g, err := i.verify(ctx, wanted, keys, answer.Credentials)
	g.notification = answer.Notification
	if err != nil {
		i.tell(ctx, g, err)
		return obtained{}, err
	}
	g.document.ID, g.document.Added, g.document.Grant = rand.Text(), i.w.now().UTC(), i.grant
	g.document.Name, g.document.Configuration = wanted.Name, wanted.Configuration
	g.document.Authorises = i.w.authorisesOf(ctx, g)
	if reuse, ok := i.offer.Metadata.Configurations[wanted.Configuration].Reuse(); ok {
		g.document.Reuse = &reuse
	}
	return g, nil
}

// proofNeeds says whether the provider has to vouch for the keys, and for what:
// nil if it does not.
func proofNeeds(conf oid4vci.Configuration) (*oid4vci.KeyAttestations, error) {
	p, ok := conf.ProofTypes[oid4vci.ProofAttestation]
	needs := cmp.Or(p.KeyAttestations, new(oid4vci.KeyAttestations))
	if !ok {
		p, ok = conf.ProofTypes[oid4vci.ProofJWT]
		needs = p.KeyAttestations
	}
	if !ok {
		return nil, errors.New("the issuer takes no proof of keys that this app can make (OpenID4VCI 1.0, F)")
	}
	if !slices.Contains(p.Algorithms, string(key.ES256)) {
		return nil, fmt.Errorf("the issuer takes keys for %.80s, this app has ES256", strings.Join(p.Algorithms, ", "))
	}
	return needs, nil
}

// request asks for one copy per key.
func (i *issuing) request(ctx context.Context, configuration string, keys []securearea.Key, needs *oid4vci.KeyAttestations) (oid4vci.Answer, error) {
	nonce, err := i.oid.Nonce(ctx)
	if err != nil {
		return oid4vci.Answer{}, err
	}
	signers := make([]key.Signer, len(keys))
	for n, k := range keys {
		if signers[n], err = k.Signer(); err != nil {
			return oid4vci.Answer{}, err
		}
	}
	vouched := ""
	if needs != nil {
		r := attestation.KeyAttestationRequest{InstanceID: i.instance.ID, Nonce: nonce, Area: i.w.area(), StatusPeriod: attestation.Seconds(needs.StatusPeriod)}
		for _, s := range signers {
			r.Keys = append(r.Keys, s.Public())
		}
		resp, err := i.provider.AttestKeys(ctx, r, i.w.now())
		if err != nil {
			return oid4vci.Answer{}, explainProvider(err)
		}
		vouched = resp.KeyAttestation
	}
	i.opts.Progress(StepRequest)
	answer, err := i.oid.Request(ctx, configuration, signers, nonce, vouched, i.w.now())
	var refusal *oid4vci.Error
	if errors.As(err, &refusal) && refusal.Code == oid4vci.CodeDenied {
		return answer, advise(err, "the issuer does not give out this document now; ask there")
	}
	return answer, err
}

// fail records that nothing came of an offer.
func (i *issuing) fail(ctx context.Context, cause error) {
	entry := i.w.newEntry(EventIssuance)
	entry.Outcome, entry.Reason, entry.Party = OutcomeFailed, oneLine(cause.Error(), 300), i.offer.Issuer
	if errors.Is(cause, ErrRefused) {
		entry.Outcome = OutcomeRefused
	}
	for _, d := range i.wanted {
		entry.Documents = append(entry.Documents, LoggedDocument{DocType: d.DocType})
	}
	if err := i.w.record(ctx, entry); err != nil {
		i.w.deps.Log.WarnContext(ctx, "log entry not written", "err", err)
	}
}
