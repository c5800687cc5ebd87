package main

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/keyring"
)

// pkiListOf says whose revocation list is meant: that of a role, or of a root
// made by hand in a folder.
type pkiListOf struct {
	roleFlags
	resultFlag
	Keys string `type:"path" placeholder:"DIR" help:"The root in this folder, which eidos pki made by hand, instead of a role's."`
	Root string `enum:"iaca,reader-ca" default:"iaca" help:"Under which kind of root: iaca or reader-ca."`
}

// ca opens the root.
func (f pkiListOf) ca(m *machine) (ca *keyring.CA, done func() error, err error) {
	if f.Keys == "" {
		ca, h, err := f.roleFlags.ca(m, commandWord(f.Root))
		if err != nil {
			return nil, nil, err
		}
		return ca, h.close, nil
	}
	keys := pkiKeys{Keys: f.Keys}
	ring, records, err := keys.open(m.ctx)
	if err != nil {
		return nil, nil, err
	}
	k := pkiKind(f.Root)
	if _, _, err := keys.root(m.ctx, ring, k.purpose, m.now()); err != nil {
		return nil, nil, err
	}
	config := keyring.CAConfig{
		Tenant: "default", Root: keyring.Certified{Purpose: k.purpose, Profile: k.profile, Lifetime: k.lifetime},
		ListLifetime: 90 * 24 * time.Hour, // somebody has to carry it
	}
	return keyring.NewCA(ring, records, config), func() error { return nil }, nil
}

type pkiRevokeCmd struct {
	pkiListOf
	Reason      string `required:"" help:"Why, by the names of RFC 5280, 5.3.1: ${reasons}. It stays with the authority."`
	Certificate string `arg:"" help:"File of the certificate (PEM or DER), or its serial number or the id of its key as the list shows them."`
}

// Run revokes a certificate.
func (c *pkiRevokeCmd) Run(m *machine) error {
	ca, done, err := c.ca(m)
	if err != nil {
		return err
	}
	defer done()
	var cert *x509.Certificate
	if _, err = os.Stat(c.Certificate); err == nil {
		cert, err = oneCertificate(c.Certificate)
	} else if errors.Is(err, fs.ErrNotExist) {
		cert, err = ca.Certificate(m.ctx, c.Certificate)
	}
	if err != nil {
		return advised(err)
	}
	r, err := ca.Revoke(m.ctx, cert, keyring.Reason(c.Reason), m.now())
	if err != nil {
		return advised(err)
	}
	return c.say(m, r, "revoked %s, serial %s, on %s (%s); what it has signed is refused by all who have the new list",
		visible(cert.Subject.CommonName), r.Serial, r.At.Format(time.DateOnly), r.Reason)
}

// pkiCRLCmd makes revocation lists and carries them from a root that is kept
// elsewhere to the authority.
type pkiCRLCmd struct {
	Issue  pkiCRLIssueCmd  `cmd:"" help:"Write the current lists of all roots, signed anew if they are due."`
	Import pkiCRLImportCmd `cmd:"" help:"Bring in a list: of a root that is kept elsewhere, or the one published last after a restore."`
}

type pkiCRLIssueCmd struct {
	pkiListOf
	Out string `short:"o" type:"path" default:"iaca.crl" placeholder:"FILE" help:"Write the first root's list (DER) here, that of a later one beside it with the beginning of its key identifier in the name."`
}

// Run writes the lists.
func (c *pkiCRLIssueCmd) Run(m *machine) error {
	ca, done, err := c.ca(m)
	if err != nil {
		return err
	}
	defer done()
	roots, err := ca.Roots(m.ctx, m.now())
	if err != nil {
		return advised(err)
	}
	for _, root := range roots {
		if err := c.write(m, ca, root.List); err != nil {
			return advised(err)
		}
	}
	return nil
}

// write writes the list of one root.
func (c *pkiCRLIssueCmd) write(m *machine, ca *keyring.CA, root string) error {
	der, err := ca.CRL(m.ctx, root, m.now())
	if err != nil {
		return err
	}
	list, err := pki.ParseCRL(der)
	if err != nil {
		return err
	}
	out := c.Out
	if root != "" {
		ext := filepath.Ext(out)
		out = strings.TrimSuffix(out, ext) + "-" + root[:8] + ext
	}
	if err := writeFile(out, der, 0o644); err != nil {
		return err
	}
	return c.say(m, struct {
		File         string    `json:"file"`
		Number       string    `json:"number"`
		Certificates int       `json:"certificates"`
		NextUpdate   time.Time `json:"nextUpdate"`
	}{out, list.Number().String(), list.Len(), list.NextUpdate().UTC()},
		"wrote %s, number %s, with %d certificates, due again by %s", out, list.Number(), list.Len(), list.NextUpdate().Format(time.DateOnly))
}

type pkiCRLImportCmd struct {
	roleFlags
	resultFlag
	Root string `enum:"iaca,reader-ca" default:"iaca" help:"Of which kind of root: iaca or reader-ca."`
	File string `arg:"" type:"existingfile" help:"The list, DER."`
}

// Run brings in a list.
func (c *pkiCRLImportCmd) Run(m *machine) error {
	der, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	ca, h, err := c.ca(m, commandWord(c.Root))
	if err != nil {
		return err
	}
	defer h.close()
	n, err := ca.ImportCRL(m.ctx, der, m.now())
	if err != nil {
		return advised(err)
	}
	return c.say(m, map[string]int{"certificates": n}, "brought in a revocation list with %d certificates; it is published from now on", n)
}

// reasonNames lists the reasons for the help text.
func reasonNames() (all string) {
	for i, r := range keyring.Reasons() {
		if i > 0 {
			all += ", "
		}
		all += string(r)
	}
	return all
}
