package issuer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// metadataLifetime is how long signed metadata are valid, and half of it how
// long they are handed out.
const metadataLifetime = 2 * time.Hour

// serveMetadata answers with the credential issuer metadata, signed if the
// wallet would rather have them so. OpenID4VCI 1.0, 12.2.2.
func (t *tenant) serveMetadata(w http.ResponseWriter, r *http.Request) error {
	e, err := t.engines(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Set("Vary", "Accept")
	if fetch.Prefer(r.Header.Get("Accept"), "application/json", "application/jwt") == "application/jwt" {
		token, err := t.signedMetadata(r.Context(), e)
		if err == nil {
			w.Header().Set("Content-Type", "application/jwt")
			_, err = io.WriteString(w, token)
			return err
		}
		if withoutRoot(err) != nil {
			return err
		}
		// Their signer waits for a root that is kept elsewhere.
	}
	m, err := t.metadata(e)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, m)
	return nil
}

// signedMetadata signs the metadata, or returns what was signed not long ago.
// OpenID4VCI 1.0, 12.2.3.
func (t *tenant) signedMetadata(ctx context.Context, e *engines) (string, error) {
	now := t.authority.now()
	t.mu.Lock()
	token, until := t.signed.token, t.signed.until
	t.mu.Unlock()
	if now.Before(until) {
		return token, nil
	}
	m, err := t.metadata(e)
	if err != nil {
		return "", err
	}
	k, err := t.ca.Key(ctx, keyring.Metadata, now)
	if err != nil {
		return "", err
	}
	if token, err = oid4vci.SignMetadata(ctx, m, k, k.Record.Chain, now, now.Add(metadataLifetime)); err != nil {
		return "", fmt.Errorf("issuer: sign metadata: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signed.token, t.signed.until = token, now.Add(metadataLifetime/2)
	return token, nil
}

// serveServerMetadata answers with the authorisation server metadata. RFC 8414, 3.
func (t *tenant) serveServerMetadata(w http.ResponseWriter, r *http.Request) error {
	e, err := t.engines(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	web.JSON(w, http.StatusOK, e.oauth.Metadata())
	return nil
}

func (t *tenant) metadata(e *engines) (m oid4vci.Metadata, err error) {
	m = oid4vci.Metadata{
		CredentialIssuer: t.base, CredentialEndpoint: t.base + "/credential", NonceEndpoint: t.base + "/nonce",
		NotificationEndpoint: t.base + "/notification",
		Display:              []oid4vci.Display{{Name: t.config.Name, Locale: "en"}}, Configurations: map[string]oid4vci.Configuration{},
	}
	for id, o := range t.offerings {
		m.ClientStatusPeriod = max(m.ClientStatusPeriod, int64(o.StatusPeriod.Duration().Seconds()))
		if o.Approval {
			m.DeferredEndpoint = t.base + "/deferred"
		}
		if m.Configurations[id], err = t.configuration(o); err != nil {
			return m, err
		}
	}
	if largest := t.batchSize(); largest > 1 { // OpenID4VCI 1.0, 12.2.4: batch_size is 2 or more
		m.Batch = &oid4vci.Batch{Size: largest}
	}
	m.RequestEncryption, m.ResponseEncryption, err = e.issuer.Encryption.Metadata()
	return m, err
}

// batchSize is how many proofs a request may hold. There is one number for the
// whole issuer: who sends as many for an offering with a smaller batch gets the
// smaller number of copies. OpenID4VCI 1.0, 8.3 and 12.2.4.
func (t *tenant) batchSize() int {
	largest := 1
	for _, o := range t.offerings {
		largest = max(largest, o.Batch)
	}
	return largest
}

// configuration describes an offering to wallets. OpenID4VCI 1.0, A.2.2, A.3.2
// and 12.2.4.
func (t *tenant) configuration(o offering.Offering) (oid4vci.Configuration, error) {
	typ, ok := t.authority.types.ByDocType(o.DocType)
	if !ok {
		return oid4vci.Configuration{}, fmt.Errorf("issuer: offering %s without document type", o.ID)
	}
	c := oid4vci.Configuration{Format: o.Format, ProofTypes: t.policyOf(o).Types, CredentialMetadata: &oid4vci.CredentialMetadata{ReusePolicy: reusePolicy(o)}}
	if o.Format == offering.FormatSDJWT {
		d, err := t.describe(o, typ)
		if err != nil {
			return c, err
		}
		c.VCT, c.BindingMethods, c.CredentialMetadata.Claims = t.vctOf(o, typ), []string{"jwk"}, d.claims
		c.SigningAlgorithms = []json.RawMessage{json.RawMessage(`"ES256"`)}
	} else {
		c.DocType, c.BindingMethods, c.CredentialMetadata.Claims = o.DocType, []string{"cose_key"}, claims(o, typ)
		c.SigningAlgorithms = []json.RawMessage{json.RawMessage("-7")} // ES256 of COSE
	}
	if o.Authorization {
		c.Scope = o.Scope
	}
	for _, d := range o.Display {
		display := oid4vci.Display{Name: d.Name, Locale: d.Locale, Description: d.Description, BackgroundColor: d.Background, TextColor: d.Foreground}
		if d.Logo != "" {
			display.Logo = &oid4vci.Image{URI: d.Logo}
		}
		c.CredentialMetadata.Display = append(c.CredentialMetadata.Display, display)
	}
	return c, nil
}

// When apps are asked to get new copies: while there is time to try again.
const (
	reissueUnused = 4 // a reissueUnused-th of the copies was never shown
	reissueLeft   = 3 // a reissueLeft-th of their life is left
)

// reusePolicy says how the copies of an offering are used; nil if it does not.
func reusePolicy(o offering.Offering) *oid4vci.ReusePolicy {
	if len(o.Reuse) == 0 {
		return nil
	}
	all := oid4vci.ReuseOption{
		BatchSize: o.Batch, Unused: cmp.Or(o.ReissueUnused, max(1, o.Batch/reissueUnused)),
		LifetimeLeft: int64(cmp.Or(o.ReissueLeft.Duration(), o.Lifetime.Duration()/reissueLeft).Seconds()),
	}
	p := &oid4vci.ReusePolicy{ID: oid4vci.ReusePolicyARF}
	for _, method := range o.Reuse {
		p.Options = append(p.Options, all.Only(method))
	}
	return p
}

// claims names the elements that a document may have, in definition order.
func claims(o offering.Offering, typ *doctype.Type) []oid4vci.Claim {
	var list []oid4vci.Claim
	add := func(e doctype.Element, namespace, id string) {
		if o.From[id] == "-" || o.From[namespace+"/"+id] == "-" {
			return
		}
		c := oid4vci.Claim{Path: []any{namespace, id}, Mandatory: e.Presence == doctype.Mandatory}
		for _, lang := range e.Names.Languages() {
			c.Display = append(c.Display, oid4vci.Display{Name: e.Label(lang), Locale: doctype.Locale(lang)})
		}
		list = append(list, c)
	}
	for _, ns := range typ.Namespaces {
		for _, e := range ns.Elements {
			switch {
			case e.Presence == doctype.Retired:
			case e.Wild == "":
				add(e, ns.Name, e.ID)
			default:
				for _, id := range statements(typ, e) {
					if concrete, ok := typ.Element(ns.Name, id); ok {
						add(concrete, ns.Name, id)
					}
				}
			}
		}
	}
	return list
}

// statements are the identifiers that the rules of a type write for an element
// with a wildcard.
func statements(typ *doctype.Type, e doctype.Element) []string {
	var ids []string
	for _, r := range typ.Rules {
		if r.Rule != doctype.RuleAgeOver {
			continue
		}
		for _, age := range r.Ages {
			if id := fmt.Sprintf("age_over_%02d", age); e.Wild == "NN" && e.ID == "age_over_NN" && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func (t *tenant) proofPolicy(configuration string) (oid4vci.ProofPolicy, bool) {
	o, ok := t.offerings[configuration]
	if !ok {
		return oid4vci.ProofPolicy{}, false
	}
	return t.policyOf(o), true
}

// policyOf asks for a key attestation always: the document's record says where
// its keys are and where their status is found. Which resistance it has to
// state follows from the level of the offering. OpenID4VCI 1.0, D.2 and 12.2.4.
func (t *tenant) policyOf(o offering.Offering) oid4vci.ProofPolicy {
	var resistance []string
	switch o.Level {
	case offering.High:
		resistance = []string{attestation.ResistanceHigh}
	case offering.Substantial:
		resistance = []string{attestation.ResistanceModerate, attestation.ResistanceHigh}
	}
	proof := oid4vci.ProofType{
		Algorithms:      []string{"ES256", "ES384", "ES512"},
		KeyAttestations: &oid4vci.KeyAttestations{KeyStorage: resistance, UserAuthentication: resistance, StatusPeriod: int64(o.StatusPeriod.Duration().Seconds())},
	}
	return oid4vci.ProofPolicy{Max: t.batchSize(), Types: map[string]oid4vci.ProofType{oid4vci.ProofJWT: proof, oid4vci.ProofAttestation: proof}}
}
