package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/keyring"
)

// pkiCmd makes and checks certificates. Roles make their own keys; with these
// commands their operators look after them (pkirole.go), and by hand one makes
// test set-ups and keeps roots that stay offline (with --keys).
type pkiCmd struct {
	IACA     pkiIACACmd     `cmd:"" name:"iaca" help:"Issuing authority roots (ISO/IEC 18013-5, B.1.2)."`
	DS       pkiSignerCmd   `cmd:"" name:"ds" help:"Document signers (B.1.4)."`
	Status   pkiSignerCmd   `cmd:"" name:"status" help:"Signers of an authority's status lists (B.1.7)."`
	SDJWT    pkiSignerCmd   `cmd:"" name:"sd-jwt" help:"Signers of an authority's SD-JWT VCs (HAIP 1.0, 6.1.1)."`
	Metadata pkiSignerCmd   `cmd:"" name:"metadata" help:"Signers of an authority's metadata (OpenID4VCI 1.0, 12.2.3)."`
	ReaderCA pkiReaderCACmd `cmd:"" name:"reader-ca" help:"Roots for reader certificates."`
	Reader   pkiReaderCmd   `cmd:"" name:"reader" help:"Reader certificates (B.1.5)."`
	TrustCA  pkiTrustCACmd  `cmd:"" name:"trust-ca" help:"Roots of a trust service's lists."`

	RegistrarCA  pkiRegistrarCACmd  `cmd:"" name:"registrar-ca" help:"Roots of registrars, who say what relying parties may ask for."`
	Registration pkiRegistrationCmd `cmd:"" help:"Make a registration certificate of a relying party (ETSI TS 119 475)."`

	Revoke pkiRevokeCmd `cmd:"" help:"Revoke the certificate of a signer or reader for good."`
	CRL    pkiCRLCmd    `cmd:"" name:"crl" help:"Revocation lists (B.2)."`
	VICAL  pkiVICALCmd  `cmd:"" name:"vical" help:"Sign a list of issuing authority roots (Annex C)."`
	Check  pkiCheckCmd  `cmd:"" name:"check" help:"Check certificates against a profile, clause by clause."`
}

// The verbs of each noun. Without a verb, one is made by hand.
type pkiIACACmd struct {
	Make   pkiRootCmd       `cmd:"" default:"withargs" help:"Make a root by hand, in a folder of its own."`
	List   pkiListCmd       `cmd:"" help:"List the roots of an authority."`
	Roll   pkiRollCmd       `cmd:"" help:"Make the next root now, and the link certificate to it (B.1.3)."`
	Link   pkiLinkCmd       `cmd:"" help:"Where the old root is: link it to a new one that was made elsewhere."`
	Import pkiImportRootCmd `cmd:"" help:"Bring in the certificates of roots that are kept elsewhere, and the links between them."`
}

type pkiReaderCACmd struct {
	Make pkiRootCmd `cmd:"" default:"withargs" help:"Make a root by hand, in a folder of its own."`
	List pkiListCmd `cmd:"" help:"List the roots of a verifier."`
	Roll pkiRollCmd `cmd:"" help:"Make the next root now, and the link certificate to it."`
}

type pkiTrustCACmd struct {
	List pkiListCmd `cmd:"" help:"List the roots of a trust service."`
	Roll pkiRollCmd `cmd:"" help:"Make the next root now, and the link certificate by which followers accept it."`
}

type pkiReaderCmd struct {
	Make   pkiLeafCmd   `cmd:"" default:"withargs" help:"Make a key and its certificate by hand, under the root in the same folder."`
	List   pkiListCmd   `cmd:"" help:"List the keys of a verifier, with their states and dates."`
	Rotate pkiRotateCmd `cmd:"" help:"Make a new key now; the former ones sign no more."`
	Retire pkiRetireCmd `cmd:"" help:"Take a key out of use; what it has signed counts until its end."`
}

type pkiSignerCmd struct {
	Make   pkiLeafCmd   `cmd:"" default:"withargs" help:"Make a signer by hand, under the root in the same folder."`
	List   pkiListCmd   `cmd:"" help:"List an authority's signers, with their states and dates."`
	Rotate pkiRotateCmd `cmd:"" help:"Make a new signer now; the former ones sign no more."`
	Retire pkiRetireCmd `cmd:"" help:"Take a signer out of use; what it has signed counts until its end."`
	CSR    pkiCSRCmd    `cmd:"" name:"csr" help:"Write the certificate request of a signer that is due, for a root that is kept elsewhere."`
	Issue  pkiIssueCmd  `cmd:"" help:"Where the root is: turn a certificate request into a certificate."`
	Import pkiImportCmd `cmd:"" help:"Bring in the certificate of a signer, which then signs."`
}

// pkiKeys is where the commands keep keys and certificates.
type pkiKeys struct {
	resultFlag
	Keys string `type:"path" default:"eidos-pki" placeholder:"DIR" help:"Folder of the secure area and its certificates."`
}

func (k pkiKeys) ring(ctx context.Context) (*keyring.Ring, error) {
	ring, _, err := k.open(ctx)
	return ring, err
}

// open opens the secure area and the records of the folder.
func (k pkiKeys) open(ctx context.Context) (*keyring.Ring, *fileRecords, error) {
	area, err := openArea(ctx, k.Keys, "pki")
	if err != nil {
		return nil, nil, err
	}
	records := &fileRecords{path: filepath.Join(k.Keys, "records.json")}
	return keyring.New(area, keyring.StoreIn(records)), records, nil
}

// kinds says what the command words stand for.
type kind struct {
	profile  pki.Profile
	purpose  keyring.Purpose
	ca       keyring.Purpose // that issues it, if it is no root
	lifetime time.Duration
}

func pkiKind(word string) kind {
	const day = 24 * time.Hour
	switch word {
	case "iaca":
		return kind{pki.IACARoot, keyring.IACA, "", 9 * 365 * day}
	case "reader-ca":
		return kind{pki.ReaderCA, keyring.ReaderCA, "", 9 * 365 * day}
	case "trust-ca":
		return kind{pki.ServiceCA, keyring.TrustCA, "", 9 * 365 * day}
	case "registrar-ca":
		return kind{pki.ServiceCA, "registrar-ca", "", 9 * 365 * day}
	case "registrar":
		return kind{pki.CredentialSigner, "registrar", "registrar-ca", 450 * day}
	case "ds":
		return kind{pki.DocumentSigner, keyring.DocSigner, keyring.IACA, 450 * day}
	case "status":
		return kind{pki.StatusSigner, keyring.Status, keyring.IACA, 450 * day}
	case "sd-jwt":
		return kind{pki.CredentialSigner, keyring.Credential, keyring.IACA, 450 * day}
	case "metadata":
		return kind{pki.CredentialSigner, keyring.Metadata, keyring.IACA, 450 * day}
	case "reader":
		return kind{pki.ReaderAuth, keyring.Reader, keyring.ReaderCA, 1180 * day}
	}
	return kind{pki.VICALSigner, keyring.VICAL, "vical-ca", 1180 * day}
}

type pkiRootCmd struct {
	pkiKeys
	Name    string `required:"" help:"Common name of the root."`
	Country string `help:"ISO 3166-1 alpha-2; an issuing authority needs one."`
	State   string `help:"State or province, where a part of a country issues."`
	Contact string `required:"" help:"E-mail address or https URL of the authority."`
	CRL     string `name:"crl" placeholder:"URL" help:"Where the root's revocation list will be published; verifiers that prepare for offline use look there. In it, {key} stands for the key identifier of the root."`
	Out     string `short:"o" type:"path" placeholder:"FILE" help:"Write the certificate (DER) here; default KEYS/NAME.cer."`
}

// Run makes a root.
func (c *pkiRootCmd) Run(m *machine, word commandWord) error {
	ring, err := c.ring(m.ctx)
	if err != nil {
		return err
	}
	key, err := pkiKind(string(word)).root(m.ctx, ring, pki.Template{
		Subject: pki.Name{Country: c.Country, State: c.State, CommonName: c.Name}, Contact: c.Contact, CRLURL: c.CRL,
	}, m.now())
	if err != nil {
		return err
	}
	return c.write(m, c.Out, string(word), key)
}

// root makes a root of the kind after a template without key and dates.
func (k kind) root(ctx context.Context, ring *keyring.Ring, t pki.Template, now time.Time) (keyring.Key, error) {
	return ring.Rotate(ctx, keyring.Spec{Tenant: "default", Purpose: k.purpose}, now, func(ctx context.Context, key keyring.Key) ([][]byte, error) {
		id, err := pki.KeyIdentifier(key.Public())
		if err != nil {
			return nil, err
		}
		t.PublicKey, t.CRLURL = key.Public(), strings.ReplaceAll(t.CRLURL, "{key}", hex.EncodeToString(id))
		t.NotBefore, t.NotAfter = pki.Validity(now, k.lifetime)
		der, err := pki.Issue(ctx, k.profile, t, key)
		return [][]byte{der}, err
	})
}

// write saves the leaf of a key and says where.
func (k pkiKeys) write(m *machine, out, word string, key keyring.Key) error {
	if out == "" {
		out = filepath.Join(k.Keys, word+".cer")
	}
	if err := writeFile(out, key.Record.Chain[0], 0o644); err != nil {
		return err
	}
	cert, err := key.Certificate()
	if err != nil {
		return err
	}
	return k.say(m, made{File: out, Key: key.Record.ID, Certificate: shownCertificate(cert)},
		"wrote %s (valid until %s); its key stays in %s", out, key.Record.NotAfter.Format(time.DateOnly), k.Keys)
}

type pkiLeafCmd struct {
	pkiKeys
	Name string   `required:"" help:"Common name."`
	DNS  []string `help:"DNS names of a reader that also asks remotely."`
	CRL  string   `required:"" placeholder:"URL" help:"Where the root publishes its revocation list."`
	Out  string   `short:"o" type:"path" placeholder:"FILE" help:"Write the certificate (DER) here; default KEYS/NAME.cer."`
}

// Run makes a certificate under the root that was made last.
func (c *pkiLeafCmd) Run(m *machine, word commandWord) error {
	ring, err := c.ring(m.ctx)
	if err != nil {
		return err
	}
	k := pkiKind(string(word))
	now := m.now()
	ca, root, err := c.root(m.ctx, ring, k.ca, now)
	if err != nil {
		return err
	}
	key, err := issueUnder(m.ctx, ring, k, root, ca, pki.Template{Subject: underRoot(root, c.Name), DNS: c.DNS, CRLURL: c.CRL}, now)
	if err != nil {
		return err
	}
	return c.write(m, c.Out, string(word), key)
}

// root returns the root that was made last in the folder.
func (k pkiKeys) root(ctx context.Context, ring *keyring.Ring, purpose keyring.Purpose, now time.Time) (keyring.Key, *x509.Certificate, error) {
	ca, err := ring.Current(ctx, "default", purpose, now)
	if err != nil {
		return ca, nil, hint(fmt.Errorf("no root in %s: %w", k.Keys, err), "make one with eidos pki %s", purpose)
	}
	cert, err := ca.Certificate()
	return ca, cert, err
}

// underRoot is a subject with the root's country and state.
func underRoot(root *x509.Certificate, name string) pki.Name {
	n := pki.Name{CommonName: name}
	if own, err := pki.NameOf(root.RawSubject); err == nil {
		n.Country, n.State = own.Country, own.State
	}
	return n
}

// under completes a template with the root and dates within those of the root.
func (k kind) under(root *x509.Certificate, t pki.Template, now time.Time) pki.Template {
	t.Issuer = root
	t.NotBefore, t.NotAfter = pki.Validity(now, k.lifetime)
	if t.NotBefore.Before(root.NotBefore) {
		t.NotBefore = root.NotBefore
	}
	if t.NotAfter.After(root.NotAfter) {
		t.NotAfter = root.NotAfter
	}
	return t
}

func issueUnder(ctx context.Context, ring *keyring.Ring, k kind, root *x509.Certificate, ca keyring.Key, t pki.Template, now time.Time) (keyring.Key, error) {
	t = k.under(root, t, now)
	return ring.Rotate(ctx, keyring.Spec{Tenant: "default", Purpose: k.purpose}, now,
		func(ctx context.Context, key keyring.Key) ([][]byte, error) {
			t.PublicKey = key.Public()
			der, err := pki.Issue(ctx, k.profile, t, ca)
			return [][]byte{der}, err
		})
}

type pkiVICALCmd struct {
	pkiKeys
	Provider string        `required:"" help:"Who publishes the list."`
	Country  string        `required:"" help:"Country of the provider, ISO 3166-1 alpha-2."`
	Contact  string        `required:"" help:"E-mail address or https URL of the provider."`
	CRL      string        `required:"" placeholder:"URL" help:"Where the provider publishes its revocation list."`
	DocTypes []string      `name:"doctype" default:"org.iso.18013.5.1.mDL" help:"Document types that are expected under the roots."`
	Lifetime time.Duration `default:"720h" help:"When the next list is due."`
	Out      string        `short:"o" type:"path" default:"vical.cbor" placeholder:"FILE" help:"Write the list here; its CA goes beside it, for verify --anchors."`
	Roots    []string      `arg:"" type:"existingfile" help:"Certificates of issuing authorities, PEM or DER."`
}

// Run signs a VICAL, making its provider's CA and signer the first time.
func (c *pkiVICALCmd) Run(m *machine) error {
	ring, err := c.ring(m.ctx)
	if err != nil {
		return err
	}
	now := m.now()
	ca, err := ring.Ensure(m.ctx, keyring.Spec{Tenant: "default", Purpose: "vical-ca"}, now, func(ctx context.Context, key keyring.Key) ([][]byte, error) {
		from, to := pki.Validity(now, 9*365*24*time.Hour)
		der, err := pki.Issue(ctx, pki.ServiceCA, pki.Template{
			Subject:   pki.Name{Country: c.Country, Organization: c.Provider, CommonName: c.Provider + " CA"},
			PublicKey: key.Public(), NotBefore: from, NotAfter: to, Contact: c.Contact}, key)
		return [][]byte{der}, err
	})
	if err != nil {
		return err
	}
	root, err := pki.ParseCertificate(ca.Record.Chain[0])
	if err != nil {
		return err
	}
	signer, err := issueUnder(m.ctx, ring, pkiKind("vical"), root, ca, pki.Template{
		Subject: pki.Name{Country: c.Country, Organization: c.Provider, CommonName: c.Provider + " list signer"}, CRLURL: c.CRL}, now)
	if err != nil {
		return err
	}
	list, err := c.list(now)
	if err != nil {
		return err
	}
	leaf, err := pki.ParseCertificate(signer.Record.Chain[0])
	if err != nil {
		return err
	}
	raw, err := trustlist.BuildVICAL(m.ctx, list, []*x509.Certificate{leaf}, signer)
	if err != nil {
		return err
	}
	caFile := strings.TrimSuffix(c.Out, filepath.Ext(c.Out)) + ".ca.cer"
	if err := writeFile(c.Out, raw, 0o644); err != nil {
		return err
	}
	if err := writeFile(caFile, root.Raw, 0o644); err != nil {
		return err
	}
	return c.say(m, struct {
		File        string    `json:"file"`
		CA          made      `json:"ca"`
		Authorities int       `json:"authorities"`
		NextUpdate  time.Time `json:"nextUpdate"`
	}{c.Out, made{File: caFile, Certificate: shownCertificate(root)}, len(list.Entries), list.NextUpdate},
		"wrote %s with %d authorities, due again %s; its CA is %s", c.Out, len(list.Entries), list.NextUpdate.Format(time.DateOnly), caFile)
}

func (c *pkiVICALCmd) list(now time.Time) (trustlist.VICAL, error) {
	v := trustlist.VICAL{
		Provider: c.Provider, Date: now.UTC().Truncate(time.Second), IssueID: uint64(now.Unix()), // grows with every list
		NextUpdate: now.Add(c.Lifetime).UTC().Truncate(time.Second),
	}
	for _, name := range c.Roots {
		certs, err := certificatesOf(name)
		if err != nil {
			return v, err
		}
		for _, cert := range certs {
			if rep := pki.CheckProfile(cert, pki.IACARoot, pki.Default); !rep.OK() {
				return v, fmt.Errorf("%s is no issuing authority root: %w", name, rep.Err())
			}
			v.Entries = append(v.Entries, trustlist.CertificateInfo{Certificate: cert, DocTypes: c.DocTypes})
		}
	}
	return v, nil
}

type pkiCheckCmd struct {
	Profile string   `required:"" help:"One of ${profiles}."`
	Strict  bool     `help:"Fail what is a warning otherwise."`
	JSON    bool     `help:"Print the reports as JSON."`
	Files   []string `arg:"" type:"existingfile" help:"Certificates, PEM or DER."`
}

// profileNames lists the profiles for the help text.
func profileNames() string {
	var names []string
	for _, p := range pki.Profiles() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// Run checks and prints; status 1 if a certificate departs from the profile.
func (c *pkiCheckCmd) Run(m *machine) error {
	policy := pki.Default
	if c.Strict {
		policy = pki.Strict
	}
	if !strings.Contains(", "+profileNames()+", ", ", "+c.Profile+", ") {
		return usage("--profile %q is none of %s", c.Profile, profileNames())
	}
	ok := true
	for _, name := range c.Files {
		certs, err := certificatesOf(name)
		if err != nil {
			return err
		}
		for _, cert := range certs {
			rep := pki.CheckProfile(cert, pki.Profile(c.Profile), policy)
			ok = ok && rep.OK()
			if err := c.print(m, name, cert, rep); err != nil {
				return err
			}
		}
	}
	if !ok {
		return errSilent
	}
	return nil
}

func (c *pkiCheckCmd) print(m *machine, name string, cert *x509.Certificate, rep check.Report) error {
	if c.JSON {
		return m.json(struct {
			File    string       `json:"file"`
			Subject string       `json:"subject"`
			OK      bool         `json:"ok"`
			Report  check.Report `json:"report"`
		}{name, cert.Subject.String(), rep.OK(), rep})
	}
	fmt.Fprintf(m.out, "%s: %s\n%s\n", name, cert.Subject, rep)
	return nil
}
