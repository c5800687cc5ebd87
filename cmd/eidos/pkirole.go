package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/keyring"
)

// ca opens the role that owns what the command word names, and returns its
// root with the signers.
func (f roleFlags) ca(m *machine, word commandWord) (*keyring.CA, *house, error) {
	var h *house
	var open interface {
		CA(tenant string) (*keyring.CA, error)
	}
	var err error
	switch word {
	case "reader", "reader-ca":
		if h, err = m.shellHouse(f.Config, f.Data); err == nil {
			if open, err = h.verifier(m.ctx, nil); err != nil {
				return nil, nil, errors.Join(err, h.close())
			}
		}
	case "trust-ca":
		open, h, err = f.trust(m)
	default:
		open, h, err = f.issuer(m)
	}
	if err != nil {
		return nil, nil, err
	}
	ca, err := open.CA(f.Tenant)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return ca, h, nil
}

// advised adds what to do to an error of the keyring.
func advised(err error) error {
	switch {
	case errors.Is(err, keyring.ErrOffline):
		return hint(err, "docs/operate.md, Certificates, has the way from request to certificate")
	case errors.Is(err, keyring.ErrUnknownKey):
		return hint(err, "eidos pki ds list, or the list of the other kinds, shows ids and serial numbers")
	}
	return err
}

// oneCertificate reads a file with one certificate, DER or PEM.
func oneCertificate(name string) (*x509.Certificate, error) {
	certs, err := certificatesOf(name)
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, usage("%s holds %d certificates, not one", name, len(certs))
	}
	return certs[0], nil
}

// certificatesOf reads a file of certificates, DER or PEM.
func certificatesOf(name string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseBundle(data)
	if err != nil {
		return nil, usage("%s: %v", name, err)
	}
	return certs, nil
}

type pkiListCmd struct {
	roleFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists keys.
func (c *pkiListCmd) Run(m *machine, word commandWord) error {
	ca, h, err := c.ca(m, word)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := ca.Keys(m.ctx, pkiKind(string(word)).purpose, m.now())
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(m.out, "none yet: the role makes what it needs when it serves, or the root is kept elsewhere")
	}
	for _, k := range list {
		fmt.Fprintln(m.out, keyLine(k, m.now()))
	}
	return nil
}

// keyLine is a key for people.
func keyLine(k keyring.KeyInfo, now time.Time) string {
	state := string(k.State)
	switch {
	case !k.Revoked.IsZero():
		state = "revoked"
	case k.Elsewhere:
		state = "elsewhere"
	case k.Signs:
		state = "signs"
	case !k.NotAfter.IsZero() && now.After(k.NotAfter):
		state = "ended"
	}
	line := fmt.Sprintf("%-9s  %s", state, k.ID)
	if k.Serial == "" {
		return line + "  made " + k.Created.Format(time.DateOnly) + ", waits for its certificate"
	}
	line += fmt.Sprintf("  %s, serial %s, %s to %s", visible(k.Name), k.Serial, k.NotBefore.UTC().Format(time.DateOnly), k.NotAfter.UTC().Format(time.DateOnly))
	if k.Linked {
		line += ", linked from the root before"
	}
	if k.State == keyring.Active && !k.Successor.IsZero() {
		line += ", successor due " + k.Successor.Format(time.DateOnly)
	}
	if !k.Revoked.IsZero() {
		line += fmt.Sprintf(", revoked %s (%s)", k.Revoked.Format(time.DateOnly), k.Reason)
	}
	return line
}

type pkiRotateCmd struct {
	roleFlags
	resultFlag
}

// Run makes a new signer.
func (c *pkiRotateCmd) Run(m *machine, word commandWord) error {
	ca, h, err := c.ca(m, word)
	if err != nil {
		return err
	}
	defer h.close()
	k, err := ca.Rotate(m.ctx, pkiKind(string(word)).purpose, m.now())
	if err != nil {
		return advised(err)
	}
	cert, err := k.Certificate()
	if err != nil {
		return err
	}
	return c.say(m, made{Key: k.Record.ID, Certificate: shownCertificate(cert)},
		"made %s, valid until %s; it signs from now on, in processes that run within a minute", k.Record.ID, k.Record.NotAfter.Format(time.DateOnly))
}

type pkiRetireCmd struct {
	roleFlags
	resultFlag
	Key string `arg:"" help:"Id or serial number, as the list shows them. A key that waits for its certificate is given up."`
}

// Run retires a signer.
func (c *pkiRetireCmd) Run(m *machine, word commandWord) error {
	ca, h, err := c.ca(m, word)
	if err != nil {
		return err
	}
	defer h.close()
	k, err := ca.Retire(m.ctx, c.Key, m.now())
	if err != nil {
		return advised(err)
	}
	if k.State == keyring.Destroyed {
		return c.say(m, k, "%s is destroyed; its request leads nowhere now", k.ID)
	}
	return c.say(m, k, "%s signs no more, in processes that run within a minute; what it has signed counts until %s", k.ID, k.NotAfter.Format(time.DateOnly))
}

type pkiCSRCmd struct {
	roleFlags
	resultFlag
	Now bool   `help:"Also if no certificate is due."`
	Out string `short:"o" type:"path" placeholder:"FILE" help:"Write the request (PKCS #10, PEM) here; default TENANT-KIND.csr."`
}

// Run writes the request of a signer that is due.
func (c *pkiCSRCmd) Run(m *machine, word commandWord) error {
	ca, h, err := c.ca(m, word)
	if err != nil {
		return err
	}
	defer h.close()
	r, err := ca.Request(m.ctx, pkiKind(string(word)).purpose, c.Now, m.now())
	if err != nil {
		return advised(err)
	}
	if r == nil {
		return c.say(m, made{}, "nothing is due; --now writes a request all the same")
	}
	if c.Out == "" {
		c.Out = c.Tenant + "-" + string(word) + ".csr"
	}
	if err := writeFile(c.Out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: r.DER}), 0o644); err != nil {
		return err
	}
	return c.say(m, made{File: c.Out, Key: r.Key}, "wrote %s for key %s; where the root is: eidos pki %s issue %s", c.Out, r.Key, word, c.Out)
}

type pkiIssueCmd struct {
	pkiKeys
	CRL     string `name:"crl" placeholder:"URL" help:"Where the root's revocation list is published; default what the root's certificate says."`
	Out     string `short:"o" type:"path" placeholder:"FILE" help:"Write the certificate (DER) here; default REQUEST with .cer."`
	Request string `arg:"" type:"existingfile" help:"The request, PKCS #10."`
}

// Run certifies the key of a request under the root in the folder. Of the
// request only the key and the subject's organisation and name count: what the
// certificate may be used for says the command, country and state the root.
func (c *pkiIssueCmd) Run(m *machine, word commandWord) error {
	data, err := os.ReadFile(c.Request)
	if err != nil {
		return err
	}
	request, err := pki.ParseRequest(data)
	if err != nil {
		return usage("%s: %v", c.Request, err)
	}
	asked, err := pki.NameOf(request.RawSubject)
	if err != nil {
		return usage("%s: %v", c.Request, err)
	}
	ring, err := c.ring(m.ctx)
	if err != nil {
		return err
	}
	k, now := pkiKind(string(word)), m.now()
	ca, root, err := c.root(m.ctx, ring, k.ca, now)
	if err != nil {
		return err
	}
	subject := underRoot(root, asked.CommonName)
	subject.Organization = asked.Organization
	if c.CRL == "" && len(root.CRLDistributionPoints) > 0 {
		c.CRL = root.CRLDistributionPoints[0]
	}
	if c.CRL == "" {
		return usage("the root names no revocation list: say where it is published with --crl")
	}
	der, err := pki.Issue(m.ctx, k.profile, k.under(root, pki.Template{Subject: subject, PublicKey: request.PublicKey, CRLURL: c.CRL}, now), ca)
	if err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.Request, ".csr") + ".cer"
	}
	if err := writeFile(c.Out, der, 0o644); err != nil {
		return err
	}
	cert, err := pki.ParseCertificate(der)
	if err != nil {
		return err
	}
	return c.say(m, made{File: c.Out, Certificate: shownCertificate(cert)}, "wrote %s: %s for %s, valid until %s; bring it in with eidos pki %s import %s",
		c.Out, k.profile, visible(cert.Subject.String()), cert.NotAfter.Format(time.DateOnly), word, c.Out)
}

type pkiImportCmd struct {
	roleFlags
	resultFlag
	File string `arg:"" type:"existingfile" help:"The certificate, PEM or DER."`
}

// Run brings in a signer's certificate.
func (c *pkiImportCmd) Run(m *machine, word commandWord) error {
	cert, err := oneCertificate(c.File)
	if err != nil {
		return err
	}
	ca, h, err := c.ca(m, word)
	if err != nil {
		return err
	}
	defer h.close()
	k, err := ca.Import(m.ctx, cert, m.now())
	if err != nil {
		return advised(err)
	}
	return c.say(m, k, "%s, serial %s, signs from now on, in processes that run within a minute; valid until %s", visible(k.Name), k.Serial, k.NotAfter.Format(time.DateOnly))
}

type pkiImportRootCmd struct {
	roleFlags
	resultFlag
	File string `arg:"" type:"existingfile" help:"Certificates of roots, and links between them, PEM or DER."`
}

// Run brings in roots, and then the links to them.
func (c *pkiImportRootCmd) Run(m *machine, word commandWord) error {
	certs, err := certificatesOf(c.File)
	if err != nil {
		return err
	}
	ca, h, err := c.ca(m, word)
	if err != nil {
		return err
	}
	defer h.close()
	roots, links := apart(certs)
	for _, cert := range roots {
		k, err := ca.ImportRoot(m.ctx, cert, m.now())
		if err != nil {
			return advised(err)
		}
		if err := c.say(m, k, "%s, serial %s, is published from now on; valid until %s", visible(k.Name), k.Serial, k.NotAfter.Format(time.DateOnly)); err != nil {
			return err
		}
	}
	for _, cert := range links {
		k, err := ca.ImportLink(m.ctx, cert, m.now())
		if err != nil {
			return advised(err)
		}
		if err := c.say(m, k, "link to %s, serial of that root %s, is published from now on; valid until %s", visible(k.Name), k.Serial, cert.NotAfter.Format(time.DateOnly)); err != nil {
			return err
		}
	}
	return nil
}

// apart tells links from roots.
func apart(certs []*x509.Certificate) (roots, links []*x509.Certificate) {
	for _, cert := range certs {
		if pki.IsLink(cert) {
			links = append(links, cert)
		} else {
			roots = append(roots, cert)
		}
	}
	return roots, links
}
