package wallet

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// environment is what the app knows of verifiers, and of what they may ask.
func (w *Wallet) environment(ctx context.Context) (oid4vp.Environment, error) {
	types, err := w.transactionTypes(ctx)
	return oid4vp.Environment{Fetch: w.deps.Fetch, Attester: w.attester, Registered: w.registered, Transactions: types}, err
}

// attester returns the key of an issuer of verifier attestations.
func (w *Wallet) attester(_ context.Context, issuer string, h jose.Header) (crypto.PublicKey, error) {
	i := slices.IndexFunc(w.cfg.Attesters, func(a Attester) bool { return a.Issuer == issuer })
	if i < 0 {
		return nil, errors.New("it is not among the attesters of the configuration")
	}
	set, err := jose.ParseSet([]byte(w.cfg.Attesters[i].Keys))
	if err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if (len(set.Keys) == 1 || h.KID == k.KID) && k.Verifies() == nil {
			return k.Key, nil
		}
	}
	return nil, errors.New("it signs with a key that is not in the configuration")
}

// registered looks up a verifier that is known beforehand.
func (w *Wallet) registered(_ context.Context, clientID string) (oid4vp.Registered, bool) {
	i := slices.IndexFunc(w.cfg.Verifiers, func(v KnownVerifier) bool { return v.ClientID == clientID })
	if i < 0 {
		return oid4vp.Registered{}, false
	}
	known, err := w.cfg.Verifiers[i].registered()
	return known, err == nil // Config.Check has seen to it
}

// registered is the verifier for the protocol.
func (v KnownVerifier) registered() (oid4vp.Registered, error) {
	out := oid4vp.Registered{Name: v.Name, URIs: v.ResponseURIs}
	if v.Metadata != "" {
		out.Metadata = []byte(v.Metadata)
		if err := jose.CheckJSON(out.Metadata, jose.Limits{}); err != nil {
			return out, fmt.Errorf("verifier %q: metadata: %w", v.ClientID, err)
		}
	}
	if v.Keys == "" {
		return out, nil
	}
	set, err := jose.ParseSet([]byte(v.Keys))
	if err != nil {
		return out, fmt.Errorf("verifier %q: keys: %w", v.ClientID, err)
	}
	out.Keys = *set
	return out, nil
}

// check names what is wrong with a verifier of the configuration.
func (v KnownVerifier) check() error {
	prefix, _, err := oid4vp.SplitClientID(v.ClientID)
	switch {
	case err != nil || prefix != "" || v.ClientID == "":
		return fmt.Errorf("verifier %q: clientID is empty or has a prefix: those with one need not be known beforehand", v.ClientID)
	case len(v.ResponseURIs) == 0:
		return fmt.Errorf("verifier %q: responseURIs are missing", v.ClientID)
	}
	for _, u := range v.ResponseURIs {
		if err := oauth.CheckURL(u); err != nil {
			return fmt.Errorf("verifier %q: responseURIs: %w", v.ClientID, err)
		}
	}
	_, err = v.registered()
	return err
}

// check names what is wrong with an attester of the configuration.
func (a Attester) check() error {
	set, err := jose.ParseSet([]byte(a.Keys))
	if err != nil {
		return fmt.Errorf("attester %q: keys: %w", a.Issuer, err)
	}
	if a.Issuer == "" || len(set.Keys) == 0 {
		return fmt.Errorf("attester %q: issuer or keys are missing", a.Issuer)
	}
	return nil
}

// verifier finds out who asks. Of several names in a request the first that
// somebody trusted vouches for is shown.
func (w *Wallet) verifier(ctx context.Context, req *oid4vp.Request) Party {
	clients := append([]oid4vp.Client{req.Client}, req.Others...)
	for _, c := range clients {
		if c.Proof == oid4vp.ProofAttestation || c.Proof == oid4vp.ProofRegistration {
			return w.party(&c, req)
		}
	}
	certified := slices.ContainsFunc(clients, func(c oid4vp.Client) bool { return len(c.Chain) > 0 })
	for try := 1; certified; try++ {
		anchors := w.anchors(ctx)
		for _, c := range clients {
			if p := w.party(&c, req); w.vouchedFor(&p, c.Chain, anchors) {
				return p
			}
		}
		if try > 1 || w.deps.Refresh == nil || w.deps.Refresh(ctx, w.now()) != nil {
			break
		}
	}
	return w.party(&req.Client, req)
}

// party is a verifier as far as the request itself says.
func (w *Wallet) party(c *oid4vp.Client, req *oid4vp.Request) Party {
	p := Party{Standing: assure.ReaderUnknown, ID: oneLine(c.ClientID, 200), Name: oneLine(c.Name, 120)}
	switch c.Proof {
	case oid4vp.ProofCertificate:
		if leaf, err := leafOf(c.Chain); err == nil { // oid4vp.Open took its key out of it
			p.show(leaf)
		}
	case oid4vp.ProofKey:
		p.prove(c.Key)
		if sum, err := jose.Thumbprint(c.Key); err == nil {
			p.Fingerprint = hex.EncodeToString(sum[:])
		}
	case oid4vp.ProofAttestation:
		p.Standing, p.VouchedBy = assure.ReaderTrusted, oneLine(c.VouchedBy, 120)
		p.Identity = sameAs("attested", c.VouchedBy, c.Name)
	case oid4vp.ProofRegistration:
		p.Standing, p.Identity = assure.ReaderTrusted, sameAs("registered", c.ClientID)
	case oid4vp.ProofNone:
		if req.Origin == "" { // else the browser says whose page it is
			p.Standing = assure.ReaderAnonymous
		}
	}
	if p.Name == "" {
		p.Name = hostOf(req.Origin + req.ResponseURI) // of which there is one
	}
	return p
}

// sameAs is the Identity of a party by its names.
func sameAs(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return hex.EncodeToString(sum[:])
}

// vouchedFor reports whether a CA that is trusted for verifiers, or for
// readers, vouches for the certificate of a party, and notes which.
func (w *Wallet) vouchedFor(p *Party, chain [][]byte, anchors *assure.Anchors) bool {
	leaf, err := leafOf(chain)
	if err != nil {
		return false
	}
	for _, way := range vouching() {
		signer, rep := anchors.VerifyChain(chain, way.purpose, w.now(), assure.ChainOptions{Profile: way.profile})
		if rep.OK() {
			p.Standing, p.VouchedBy, p.Identity = assure.ReaderTrusted, oneLine(signer.Organisation(), 120), identity(leaf)
			return true
		}
	}
	return false
}

// way is a kind of CA and of certificate under it.
type way struct {
	purpose trustlist.Purpose
	profile pki.Profile
}

// vouching lists how a verifier may be vouched for. Many have one certificate
// for reading on-site and for asking remotely.
func vouching() []way {
	return []way{{trustlist.Verifier, pki.Verifier}, {trustlist.Verifier, pki.ReaderAuth}, {trustlist.Reader, pki.ReaderAuth}}
}
