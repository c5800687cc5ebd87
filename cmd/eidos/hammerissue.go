package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// hammerIssueCmd loads an issuing authority.
type hammerIssueCmd struct {
	hammerFlags
	Documents int    `placeholder:"N" help:"End when so many documents were issued."`
	Offering  string `default:"mdl" help:"What is issued: mdl, pid, photoid, pid-sd-jwt."`
	Proofs    string `enum:"attestation,jwt" default:"attestation" help:"One key attestation for all keys, or a JWT by each key with the attestation in it."`
	Plain     bool   `help:"Do not encrypt requests and answers on top of TLS."`
}

// Run loads an authority.
func (c *hammerIssueCmd) Run(m *machine) error {
	return c.run(m, "authority", c.Documents, &hammerIssueLoad{cmd: c})
}

// hammerIssueAbout is what a run of hammer issue is about.
type hammerIssueAbout struct {
	Offering   string `json:"offering"`
	Proofs     string `json:"proofs"`
	Encryption bool   `json:"encryption"` // of requests and answers, on top of TLS
}

// hammerIssueLoad is apps that get documents by pre-authorized code.
type hammerIssueLoad struct {
	cmd      *hammerIssueCmd
	run      *hammerRun
	provider *hammerProvider
	metadata *oid4vci.Metadata
	clients  []*hammerClient
}

// hammerIssueWork is what is prepared for a flow.
type hammerIssueWork struct {
	offer issuer.Offer
	keys  []key.Signer
}

// String says what is loaded.
func (l *hammerIssueLoad) String() string {
	how := "encrypted on top of TLS"
	if !l.about().Issue.Encryption {
		how = "not encrypted on top of TLS"
	}
	return fmt.Sprintf("%s, %d documents a flow, proofs by %s, %s", l.cmd.Offering, l.batch(), l.cmd.Proofs, how)
}

func (l *hammerIssueLoad) batch() int { return l.metadata.BatchSize() }

func (l *hammerIssueLoad) kinds() []string {
	return []string{"offer", "challenge", "token", "nonce", "credential"}
}

func (l *hammerIssueLoad) about() hammerAbout {
	return hammerAbout{
		Issue:    &hammerIssueAbout{Offering: l.cmd.Offering, Proofs: l.cmd.Proofs, Encryption: l.metadata.RequestEncryption != nil},
		Batch:    l.batch(),
		Prepared: "offers, device keys, client attestations, TLS handshakes, a warm-up",
	}
}

// unavoidable are the signatures and digests of the documents and the checks
// that HAIP asks for.
func (l *hammerIssueLoad) unavoidable() []hammer.Class { return cryptography() }

// cryptography are the functions of the standard library that compute.
func cryptography() []hammer.Class {
	return []hammer.Class{
		{Name: "ECDSA sign", Prefixes: []string{"crypto/ecdsa.Sign", "crypto/ecdsa.sign", "crypto/ecdsa.(*PrivateKey).Sign", "crypto/internal/fips140/ecdsa.Sign", "crypto/internal/fips140/ecdsa.sign"}},
		{Name: "ECDSA verify", Prefixes: []string{"crypto/ecdsa.Verify", "crypto/ecdsa.verify", "crypto/internal/fips140/ecdsa.Verify", "crypto/internal/fips140/ecdsa.verify"}},
		{Name: "points on the curve", Prefixes: []string{"crypto/ecdh.(*nistCurve).NewPublicKey", "crypto/internal/fips140/ecdh.NewPublicKey"}},
		{Name: "ECDH", Prefixes: []string{"crypto/ecdh.", "crypto/internal/fips140/ecdh."}},
		{Name: "SHA-2", Prefixes: []string{"crypto/sha256.", "crypto/sha512.", "crypto/internal/fips140/sha256.", "crypto/internal/fips140/sha512.", "crypto/hmac.", "crypto/internal/fips140/hmac."}},
		{Name: "AES", Prefixes: []string{"crypto/aes.", "crypto/cipher.", "crypto/internal/fips140/aes"}},
	}
}

// prepare has the authority trust our provider and makes the clients.
func (l *hammerIssueLoad) prepare(ctx context.Context, r *hammerRun) (err error) {
	l.run = r
	if l.provider, err = newHammerProvider(ctx, r.now()); err != nil {
		return err
	}
	if err := r.control.order(ctx, "provider", l.provider.root.Raw, nil); err != nil {
		return err
	}
	base := r.origin + "/default"
	if l.metadata, err = oid4vci.Discover(ctx, r.control.fetch, base); err != nil {
		return err
	}
	configuration, ok := l.metadata.Configurations[l.cmd.Offering]
	if !ok {
		return usage("--offering %s: the authority has %v", l.cmd.Offering, slices.Sorted(maps.Keys(l.metadata.Configurations)))
	}
	if l.cmd.Plain {
		l.metadata.RequestEncryption, l.metadata.ResponseEncryption = nil, nil
	}
	// The client takes the attestation as the proof wherever it may.
	if l.cmd.Proofs == oid4vci.ProofJWT {
		configuration.ProofTypes = map[string]oid4vci.ProofType{oid4vci.ProofJWT: configuration.ProofTypes[oid4vci.ProofJWT]}
		l.metadata.Configurations[l.cmd.Offering] = configuration
	}
	server, err := oauth.Discover(ctx, r.control.fetch, base)
	if err != nil {
		return err
	}
	for i := range r.flags.Clients {
		c, err := l.newClient(ctx, server, uint64(i))
		if err != nil {
			return err
		}
		l.clients = append(l.clients, c)
	}
	return nil
}

// work prepares n flows: offers, and keys to bind documents to.
func (l *hammerIssueLoad) work(ctx context.Context, n int) ([]hammerFlow, error) {
	offers, err := l.run.control.offers(ctx, l.cmd.Offering, n)
	if err != nil {
		return nil, err
	}
	all := make([]hammerFlow, 0, n)
	for _, o := range offers {
		w := hammerIssueWork{offer: o, keys: make([]key.Signer, l.batch())}
		for i := range w.keys {
			if w.keys[i], err = newHammerKey(); err != nil {
				return nil, err
			}
		}
		all = append(all, func(ctx context.Context, client int) (int, error) { return l.clients[client].flow(ctx, w) })
	}
	return all, nil
}

// offers orders n offers.
func (c *hammerControl) offers(ctx context.Context, offering string, n int) ([]issuer.Offer, error) {
	var all []issuer.Offer
	for len(all) < n {
		var some []issuer.Offer
		query := url.Values{"offering": {offering}, "n": {strconv.Itoa(min(n-len(all), maxOffersAtOnce))}}
		if err := c.order(ctx, "offers?"+query.Encode(), nil, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// hammerProvider vouches for the clients of a run.
type hammerProvider struct {
	root  *x509.Certificate
	key   hammerKey
	chain []*x509.Certificate
}

func newHammerProvider(ctx context.Context, now time.Time) (*hammerProvider, error) {
	ca, err := newHammerKey()
	if err != nil {
		return nil, err
	}
	p := &hammerProvider{}
	if p.key, err = newHammerKey(); err != nil {
		return nil, err
	}
	t := pki.Template{Subject: pki.Name{CommonName: "Hammer provider CA"}, PublicKey: ca.Public()}
	t.NotBefore, t.NotAfter = pki.Validity(now, 400*24*time.Hour)
	der, err := pki.Issue(ctx, pki.ServiceCA, t, ca)
	if err != nil {
		return nil, err
	}
	if p.root, err = pki.ParseCertificate(der); err != nil {
		return nil, err
	}
	t.Subject.CommonName, t.PublicKey, t.Issuer = "Hammer provider", p.key.Public(), p.root
	if der, err = pki.Issue(ctx, pki.WalletProvider, t, ca); err != nil {
		return nil, err
	}
	leaf, err := pki.ParseCertificate(der)
	p.chain = []*x509.Certificate{leaf}
	return p, err
}

// status says where the provider would publish whether an app is still to be
// trusted: the authority notes it and looks only later.
func (p *hammerProvider) status(index uint64, now time.Time) attestation.Status {
	return attestation.Status{
		Reference: attestation.StatusReference{Index: index, URI: "https://provider.localhost/default/status/1"}, Ends: now.Add(31 * 24 * time.Hour),
	}
}

// hammerClient is one mdoc app with a connection of its own.
type hammerClient struct {
	load  *hammerIssueLoad
	fetch fetch.Func
	oauth *oauth.Client
}

// newClient makes an app that the provider vouches for.
func (l *hammerIssueLoad) newClient(ctx context.Context, server *oauth.Metadata, index uint64) (*hammerClient, error) {
	do, err := l.run.connection()
	if err != nil {
		return nil, err
	}
	instance, err := newHammerKey()
	if err != nil {
		return nil, err
	}
	dpop, err := newHammerKey()
	if err != nil {
		return nil, err
	}
	now := l.run.now()
	attested, err := attestation.WalletInstance{
		Issuer: "https://provider.localhost/default", ClientID: "eidos-wallet", Key: instance.Public(), IssuedAt: now, Expires: now.Add(12 * time.Hour),
		WalletName: "eidos", WalletVersion: "1", Level: attestation.LevelLow, Status: l.provider.status(index, now),
	}.Sign(ctx, l.provider.key, l.provider.chain)
	if err != nil {
		return nil, err
	}
	return &hammerClient{load: l, fetch: do, oauth: &oauth.Client{
		Server: server, ID: "eidos-wallet", DPoP: dpop, Fetch: do, Attestation: attested, Instance: instance,
	}}, nil
}

// kind is the word behind the tenant.
func (l *hammerIssueLoad) kind(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "other"
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 3 || parts[1] != "default" {
		return "other"
	}
	if parts[2] == "offers" {
		return "offer"
	}
	return parts[2]
}

// flow gets the copies of one document: offer, token, nonce, credential. It
// returns how many there were.
func (c *hammerClient) flow(ctx context.Context, w hammerIssueWork) (documents int, err error) {
	now := c.load.run.now()
	offer, err := oid4vci.ReadOffer(ctx, c.fetch, w.offer.Link)
	if err != nil {
		return 0, err
	}
	if offer.PreAuthorized == nil || len(offer.Configurations) != 1 {
		return 0, errors.New("the offer is not pre-authorized, or not of one document")
	}
	token, err := c.oauth.RedeemPreAuthorized(ctx, offer.PreAuthorized.Code, w.offer.TxCode, nil, now)
	if err != nil {
		return 0, err
	}
	client := &oid4vci.Client{Metadata: c.load.metadata, OAuth: c.oauth, Token: token}
	nonce, err := client.Nonce(ctx)
	if err != nil {
		return 0, err
	}
	publics := make([]crypto.PublicKey, len(w.keys))
	for i, k := range w.keys {
		publics[i] = k.Public()
	}
	attested, err := attestation.KeyAttestation{
		IssuedAt: now, Expires: now.Add(time.Hour), Keys: publics, Nonce: nonce, Status: c.load.provider.status(0, now),
	}.Sign(ctx, c.load.provider.key, c.load.provider.chain)
	if err != nil {
		return 0, err
	}
	answer, err := client.Request(ctx, offer.Configurations[0], w.keys, nonce, attested, now)
	if err != nil {
		return 0, err
	}
	if len(answer.Credentials) != len(w.keys) {
		return len(answer.Credentials), fmt.Errorf("%d documents for %d keys", len(answer.Credentials), len(w.keys))
	}
	return len(answer.Credentials), nil
}
