package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/registration"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/verifier"
)

// The register of the demonstration, in which the shop stands.
const (
	shopIdentifier = "VATUT-27182818"
	registerName   = "Utopia Register of Relying Parties"
	registerDays   = 30 // the demonstration registers the shop anew at each start
)

// registerShop registers the shop for what it asks, as a registrar would that the
// trust service lists, and returns what goes along with its questions.
func (h *house) registerShop(ctx context.Context, s *shop, ask, purpose string) ([]verifier.Info, error) {
	keys := pkiKeys{Keys: filepath.Join(h.dir, "registrar")}
	ring, err := keys.ring(ctx)
	if err != nil {
		return nil, err
	}
	now, k := h.now(), pkiKind("registrar-ca")
	root, err := ring.Current(ctx, "default", k.purpose, now)
	if errors.Is(err, keyring.ErrNoKey) {
		root, err = k.root(ctx, ring, pki.Template{Subject: pki.Name{Country: "UT", Organization: registerName, CommonName: registerName}, Contact: s.origin}, now)
	}
	if err != nil {
		return nil, err
	}
	cert, err := root.Certificate()
	if err != nil {
		return nil, err
	}
	s.register = pki.EncodePEM(cert)
	c := pkiRegistrationCmd{
		pkiKeys: keys, Identifier: shopIdentifier, Name: shopName, Country: "UT", Purpose: []string{purpose}, Ask: ask, Registry: s.origin + "/register.pem",
		Privacy: s.origin + "/", Entitlement: []string{"https://uri.etsi.org/19475/Entitlement/Service_Provider"}, Days: registerDays,
		Out: filepath.Join(keys.Keys, "shop.jwt"),
	}
	if _, err := c.make(ctx, ring, now); err != nil {
		return nil, err
	}
	return []verifier.Info{{Format: registration.Format, File: c.Out}}, nil
}
