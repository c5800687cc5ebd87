package main

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/issuer/source"
)

// hammerDocuments makes driving licences of the demonstration's Ada in the
// process of the clients, where an authority would not take the verifier's time.
type hammerDocuments struct {
	root   *x509.Certificate
	signer hammerKey
	chain  [][]byte
	list   []byte // the token of the status list
	made   atomic.Uint64
	params mdoc.IssueParams // but for device key and index
}

// hammerListSize is how many documents the status list has room for.
const hammerListSize = 1 << 20

// newHammerDocuments makes an authority whose status list is at the address.
func newHammerDocuments(ctx context.Context, listURI string, now time.Time) (*hammerDocuments, error) {
	ca, err := newHammerKey()
	if err != nil {
		return nil, err
	}
	d := &hammerDocuments{}
	t := pki.Template{Subject: pki.Name{Country: "UT", CommonName: "Hammer IACA"}, PublicKey: ca.Public(), Contact: "https://issuer.localhost"}
	t.NotBefore, t.NotAfter = pki.Validity(now, 400*24*time.Hour)
	if d.root, err = hammerCertificate(ctx, pki.IACARoot, t, ca); err != nil {
		return nil, err
	}
	t.Issuer, t.CRLURL = d.root, "https://issuer.localhost/iaca.crl"
	certify := func(p pki.Profile, name string) (hammerKey, [][]byte, error) {
		k, err := newHammerKey()
		if err != nil {
			return k, nil, err
		}
		t.Subject.CommonName, t.PublicKey = name, k.Public()
		cert, err := hammerCertificate(ctx, p, t, ca)
		if err != nil {
			return k, nil, err
		}
		return k, [][]byte{cert.Raw}, nil
	}
	if d.signer, d.chain, err = certify(pki.DocumentSigner, "Hammer document signer"); err != nil {
		return nil, err
	}
	key, chain, err := certify(pki.StatusSigner, "Hammer status signer")
	if err != nil {
		return nil, err
	}
	list, err := status.NewList(1, hammerListSize)
	if err != nil {
		return nil, err
	}
	packed, err := list.Compress()
	if err != nil {
		return nil, err
	}
	claims := status.Claims{URI: listURI, Issued: now, Expires: now.Add(24 * time.Hour), TTL: 12 * time.Hour}
	if d.list, err = status.SignCWT(ctx, key, status.Headers{X5Chain: chain}, claims, packed); err != nil {
		return nil, err
	}
	return d, d.prepare(ctx, listURI, now)
}

func hammerCertificate(ctx context.Context, p pki.Profile, t pki.Template, ca hammerKey) (*x509.Certificate, error) {
	der, err := pki.Issue(ctx, p, t, ca)
	if err != nil {
		return nil, err
	}
	return pki.ParseCertificate(der)
}

// prepare reads Ada's attributes out of the register of the demonstration.
func (d *hammerDocuments) prepare(ctx context.Context, listURI string, now time.Time) error {
	dir, err := os.MkdirTemp("", "eidos-hammer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := demodata.Write(dir); err != nil {
		return err
	}
	register, err := source.OpenCSV(filepath.Join(dir, demodata.Register), source.Options{})
	if err != nil {
		return err
	}
	person, err := register.Find(ctx, holder)
	if err != nil {
		return err
	}
	types, offered := doctype.Builtin(), offering.Demo("default")
	o := offered[slices.IndexFunc(offered, func(o offering.Offering) bool { return o.DocType == mdoc.DocTypeMDL })]
	typ, _ := types.ByDocType(o.DocType)
	from := now.UTC().Truncate(24 * time.Hour)
	items, err := o.Elements(typ, person.Attributes, from)
	if err != nil {
		return err
	}
	d.params = mdoc.IssueParams{
		DocType: o.DocType, Validity: mdoc.Validity{Signed: from, ValidFrom: from, ValidUntil: from.AddDate(0, 0, 14)},
		Status: &status.Claim{List: &status.ListReference{URI: listURI}}, Chain: d.chain,
	}
	for _, ns := range items {
		space := mdoc.NameSpace{Name: ns.Namespace}
		for _, e := range ns.Elements {
			space.Elements = append(space.Elements, mdoc.Element{ID: e.ID, Value: e.Value})
		}
		d.params.NameSpaces = append(d.params.NameSpaces, space)
	}
	return nil
}

// one makes a document for a key of its own.
func (d *hammerDocuments) one(ctx context.Context) (*mdoc.IssuerSigned, hammerKey, error) {
	device, err := newHammerKey()
	if err != nil {
		return nil, device, err
	}
	p := d.params
	p.DeviceKey = device.Public()
	p.Status = &status.Claim{List: &status.ListReference{URI: p.Status.List.URI, Index: d.made.Add(1) % hammerListSize}}
	raw, err := mdoc.Issue(ctx, p, d.signer)
	if err != nil {
		return nil, device, err
	}
	signed, err := mdoc.ParseIssuerSigned(raw)
	return signed, device, err
}
