package wallet

import (
	"crypto"
	"crypto/x509"
	"errors"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/key"
)

// Contact is how to reach a verifier: the support URIs of its registration or
// certificate, each an https URL, an e-mail address or a telephone number.
//
// EUDI TS5, 2.4.1 (supportURI, supervisoryAuthority); TS7, 3.2.
type Contact struct {
	Websites []string `json:"websites,omitempty"`
	Emails   []string `json:"emails,omitempty"`
	Phones   []string `json:"phones,omitempty"`
	// Authorities supervise the verifier's data protection: URLs, e-mail
	// addresses or telephone numbers, without "mailto:" and "tel:".
	Authorities []string `json:"authorities,omitempty"`
}

// maxContacts bounds how many addresses of a kind are kept: they are the
// verifier's words.
const maxContacts = 4

// addressKind is what an address is for.
type addressKind string

const (
	website addressKind = "website"
	email   addressKind = "email"
	phone   addressKind = "phone"
)

// address is a checked address without its scheme, if it is no website's.
type address struct {
	kind addressKind
	text string
}

var errAddress = errors.New("wanted an https URL, an e-mail address or a telephone number")

// addressOf tells the kinds apart by what stands there.
//
// EUDI TS7, 3.2, I6.
func addressOf(s string) (address, error) {
	s = strings.TrimSpace(s)
	if len(s) > 512 || s != oneLine(s, 512) {
		return address{}, errAddress
	}
	scheme, rest, _ := strings.Cut(s, ":")
	switch strings.ToLower(scheme) {
	case "https", "http":
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.User != nil {
			return address{}, errAddress
		}
		return address{website, u.String()}, nil
	case "mailto":
		s, _, _ = strings.Cut(rest, "?") // the subject is ours to write
	case "tel":
		s = rest
	}
	if number := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "").Replace(s); len(number) > 4 && len(number) < 20 &&
		strings.Trim(strings.TrimPrefix(number, "+"), "0123456789") == "" {
		return address{phone, number}, nil
	}
	if a, err := mail.ParseAddress(s); err == nil && a.Address == s && !strings.ContainsAny(s, "?&%\"") {
		return address{email, s}, nil
	}
	return address{}, errAddress
}

// add takes up an address; one that is none is left out.
func (c *Contact) add(s string) {
	a, err := addressOf(s)
	if err != nil {
		return
	}
	to := map[addressKind]*[]string{website: &c.Websites, email: &c.Emails, phone: &c.Phones}[a.kind]
	if len(*to) < maxContacts && !slices.Contains(*to, a.text) {
		*to = append(*to, a.text)
	}
}

// addAuthority takes up the address of a data protection authority.
func (c *Contact) addAuthority(s string) {
	if a, err := addressOf(s); err == nil && len(c.Authorities) < maxContacts {
		c.Authorities = append(c.Authorities, a.text)
	}
}

// contactIn is how to reach the holder of a certificate, by the names in it;
// nil if it does not say. ETSI TS 119 411-8 has the support URIs of a relying
// party there.
func contactIn(cert *x509.Certificate) *Contact {
	var c Contact
	for _, u := range cert.URIs {
		c.add(u.String())
	}
	for _, s := range cert.EmailAddresses {
		c.add(s)
	}
	if len(c.Websites)+len(c.Emails)+len(c.Phones) == 0 {
		return nil
	}
	return &c
}

// show adds to a party what its certificate proves and says.
func (p *Party) show(cert *x509.Certificate) {
	p.Fingerprint, p.Name, p.Certificate, p.Contact = fingerprint(cert), nameIn(cert), cert.Raw, contactIn(cert)
	p.prove(cert.PublicKey)
}

// prove notes the key that a party proved to have.
func (p *Party) prove(pub crypto.PublicKey) {
	if der, err := key.Marshal(pub); err == nil { // else it is of a kind that nothing here verifies
		p.Key = der
	}
}
