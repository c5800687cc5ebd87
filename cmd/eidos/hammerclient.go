package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// hammerKey is a key in memory, on P-256: a secure area would take its time.
type hammerKey struct{ private *ecdsa.PrivateKey }

func newHammerKey() (hammerKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return hammerKey{private}, err
}

// Public implements key.Signer.
func (k hammerKey) Public() crypto.PublicKey { return k.private.Public() }

// Sign implements key.Signer.
func (k hammerKey) Sign(_ context.Context, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	der, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, err
	}
	return key.ASN1ToRaw(k.private.Public(), der)
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

// hammerControl gives orders to the authority under load.
type hammerControl struct {
	fetch  fetch.Func
	origin string
}

// order sends an order and reads the answer into v, if it is not nil.
func (c *hammerControl) order(ctx context.Context, path string, body []byte, v any) error {
	resp, err := c.fetch(ctx, fetch.Request{Method: "POST", URL: c.origin + "/hammer/" + path, Body: body, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	if resp.Status/100 != 2 {
		name, _, _ := strings.Cut(path, "?")
		return fmt.Errorf("the authority under load answers %d to %s: %s", resp.Status, name, resp.Refusal())
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(resp.Body, v)
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

// hammerClient is one mdoc app with a connection of its own.
type hammerClient struct {
	run   *hammerRun
	fetch fetch.Func
	oauth *oauth.Client
}

// newClient makes an app that the provider vouches for.
func (r *hammerRun) newClient(ctx context.Context, server *oauth.Metadata, index uint64) (*hammerClient, error) {
	do, err := web.NewClient(web.Options{AllowLoopback: true, RootCAs: r.roots, Timeout: time.Minute, Connections: 1})
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
	now := r.now()
	attested, err := attestation.WalletInstance{
		Issuer: "https://provider.localhost/default", ClientID: "eidos-wallet", Key: instance.Public(), IssuedAt: now, Expires: now.Add(12 * time.Hour),
		WalletName: "eidos", WalletVersion: "1", Level: attestation.LevelLow, Status: r.provider.status(index, now),
	}.Sign(ctx, r.provider.key, r.provider.chain)
	if err != nil {
		return nil, err
	}
	c := &hammerClient{run: r}
	c.fetch = r.timed(do)
	c.oauth = &oauth.Client{Server: server, ID: "eidos-wallet", DPoP: dpop, Fetch: c.fetch, Attestation: attested, Instance: instance}
	return c, nil
}

// timed notes how long each request takes.
func (r *hammerRun) timed(do fetch.Func) fetch.Func {
	return func(ctx context.Context, req fetch.Request) (fetch.Response, error) {
		start := time.Now()
		resp, err := do(ctx, req)
		if err == nil {
			r.latencies.Load().Add(hammerKind(req.URL), time.Since(start), resp.Status/100 != 2)
		}
		return resp, err
	}
}

// hammerKind is the kind of a request: the word behind the tenant.
func hammerKind(address string) string {
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
func (c *hammerClient) flow(ctx context.Context, w hammerWork) (documents int, err error) {
	now := c.run.now()
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
	client := &oid4vci.Client{Metadata: c.run.metadata, OAuth: c.oauth, Token: token}
	nonce, err := client.Nonce(ctx)
	if err != nil {
		return 0, err
	}
	publics := make([]crypto.PublicKey, len(w.keys))
	for i, k := range w.keys {
		publics[i] = k.Public()
	}
	attested, err := attestation.KeyAttestation{
		IssuedAt: now, Expires: now.Add(time.Hour), Keys: publics, Nonce: nonce, Status: c.run.provider.status(0, now),
	}.Sign(ctx, c.run.provider.key, c.run.provider.chain)
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
