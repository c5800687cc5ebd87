package main

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/keyring"
)

// pkiRollCmd changes the root: that of a role, or one made by hand in a folder.
type pkiRollCmd struct {
	roleFlags
	resultFlag
	Keys     string `type:"path" placeholder:"DIR" help:"The root in this folder, which eidos pki made by hand, instead of a role's."`
	Name     string `help:"With --keys: common name of the new root; default that of the old one."`
	Unlinked bool   `help:"Make no link certificate, if the key of the old root is lost: verifiers then have to learn of the new one from lists."`
	Out      string `short:"o" type:"path" placeholder:"FILE" help:"Write the new root and its link (PEM) here; default with --keys KEYS/iaca-KEYID.pem."`
}

// Run makes the next root and the link to it.
func (c *pkiRollCmd) Run(m *machine, word commandWord) error {
	roll, next := c.role, "it is published from now on, in processes that run within a minute; the signers that there are sign until they are due, rotate makes the next ones under the new root now"
	if c.Keys != "" {
		roll, next = c.folder, fmt.Sprintf("bring it in with eidos pki %s import", word)
	} else if c.Name != "" {
		return usage("--name goes with --keys: the names of a role's root are in its configuration")
	}
	root, link, err := roll(m, word)
	if err != nil {
		return err
	}
	certs := []*x509.Certificate{root}
	if link != nil {
		certs = append(certs, link)
	}
	if c.Out == "" && c.Keys != "" {
		c.Out = filepath.Join(c.Keys, fmt.Sprintf("%s-%x.pem", word, root.SubjectKeyId[:4]))
	}
	if c.Out != "" {
		if err := writeFile(c.Out, pki.EncodePEM(certs...), 0o644); err != nil {
			return err
		}
	}
	if c.JSON {
		return m.json(struct {
			Root *certificateOut `json:"root"`
			Link *certificateOut `json:"link,omitempty"`
			File string          `json:"file,omitempty"`
		}{shownCertificate(root), shownCertificate(link), c.Out})
	}
	fmt.Fprintf(m.out, "made the root %s, serial %x, valid until %s\n", visible(root.Subject.CommonName), root.SerialNumber, root.NotAfter.Format(time.DateOnly))
	if link != nil {
		fmt.Fprintf(m.out, "made the link to it from the root before, serial %x, valid until %s\n", link.SerialNumber, link.NotAfter.Format(time.DateOnly))
	}
	if c.Out != "" {
		fmt.Fprintf(m.out, "wrote %s\n", c.Out)
	}
	fmt.Fprintln(m.out, next)
	return nil
}

// role changes the root of a role.
func (c *pkiRollCmd) role(m *machine, word commandWord) (root, link *x509.Certificate, err error) {
	ca, h, err := c.ca(m, word)
	if err != nil {
		return nil, nil, err
	}
	defer h.close()
	done, err := ca.Roll(m.ctx, !c.Unlinked, m.now())
	if err != nil {
		return nil, nil, advised(err)
	}
	return done.Root, done.Link, nil
}

// folder makes the next root in a folder, with the names of the last one, and
// the link to it.
func (c *pkiRollCmd) folder(m *machine, word commandWord) (root, link *x509.Certificate, err error) {
	keys, k, now := pkiKeys{Keys: c.Keys}, pkiKind(string(word)), m.now()
	ring, err := keys.ring(m.ctx)
	if err != nil {
		return nil, nil, err
	}
	old, before, err := keys.root(m.ctx, ring, k.purpose, now)
	if err != nil {
		return nil, nil, err
	}
	if !c.Unlinked && k.profile == pki.IACARoot && len(before.CRLDistributionPoints) == 0 {
		return nil, nil, usage("the old root names no revocation list, on which a link could be revoked: make the root with --unlinked, and the link with eidos pki iaca link --crl URL")
	}
	t := pki.Template{CRLURL: listOfNext(before)}
	if t.Subject, err = pki.NameOf(before.RawSubject); err != nil {
		return nil, nil, err
	}
	if c.Name != "" {
		t.Subject.CommonName = c.Name
	}
	if contacts := pki.Contacts(before); len(contacts) > 0 {
		t.Contact = contacts[0]
	}
	made, err := k.root(m.ctx, ring, t, now)
	if err != nil {
		return nil, nil, err
	}
	if root, err = made.Certificate(); err != nil || c.Unlinked {
		return root, nil, err
	}
	link, err = k.link(m, before, root, "", old)
	return root, link, err
}

// listOfNext is where the list of the root after this one is published, as
// roles do: below the address of the first root's.
func listOfNext(root *x509.Certificate) string {
	if len(root.CRLDistributionPoints) == 0 {
		return ""
	}
	return strings.TrimSuffix(root.CRLDistributionPoints[0], "/"+hex.EncodeToString(root.SubjectKeyId)) + "/{key}"
}

// link makes a link certificate. crl is where the old root's list is; empty
// means what its certificate says.
func (k kind) link(m *machine, old, successor *x509.Certificate, crl string, signer keyring.Key) (*x509.Certificate, error) {
	if crl == "" && len(old.CRLDistributionPoints) > 0 {
		crl = old.CRLDistributionPoints[0]
	}
	if crl == "" && k.profile == pki.IACARoot {
		return nil, usage("the old root names no revocation list, on which the link could be revoked: say with --crl where it is published")
	}
	der, err := pki.IssueLink(m.ctx, k.profile, old, successor, crl, signer)
	if err != nil {
		return nil, err
	}
	return pki.ParseCertificate(der)
}

// pkiLinkCmd links the root in a folder to one that was made elsewhere.
type pkiLinkCmd struct {
	pkiKeys
	CRL  string `name:"crl" placeholder:"URL" help:"Where the old root's revocation list is published; default what its certificate says."`
	Out  string `short:"o" type:"path" placeholder:"FILE" help:"Write the link certificate (DER) here; default ROOT with .link.cer."`
	Root string `arg:"" type:"existingfile" help:"The new root's certificate."`
}

// Run makes the link.
func (c *pkiLinkCmd) Run(m *machine, word commandWord) error {
	successor, err := oneCertificate(c.Root)
	if err != nil {
		return err
	}
	ring, err := c.ring(m.ctx)
	if err != nil {
		return err
	}
	k := pkiKind(string(word))
	signer, old, err := c.root(m.ctx, ring, k.purpose, m.now())
	if err != nil {
		return err
	}
	link, err := k.link(m, old, successor, c.CRL, signer)
	if err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.Root, filepath.Ext(c.Root)) + ".link.cer"
	}
	if err := writeFile(c.Out, link.Raw, 0o644); err != nil {
		return err
	}
	return c.say(m, made{File: c.Out, Certificate: shownCertificate(link)},
		"wrote %s: from the root of %s to %s, valid until %s; bring it in with eidos pki %s import %[1]s",
		c.Out, old.NotBefore.UTC().Format(time.DateOnly), visible(successor.Subject.CommonName), link.NotAfter.Format(time.DateOnly), word)
}
