// Package registration reads registration certificates of relying parties: what a
// registrar says that a relying party may ask for, and why. Access certificates,
// which say who asks, are package pki's.
//
// The form is the JWT of ETSI TS 119 475 V1.2.1, 5.2. Its other form, a CWT, is not
// read: the text gives its claims no labels.
package registration

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/status"
)

// Type is the typ of a registration certificate. ETSI TS 119 475 V1.2.1, 5.2.2.
const Type = "rc-wrp+jwt"

// Format is the format of an entry of verifier_info with one. ETSI TS 119 472-2.
const Format = "registration_cert"

// ErrInvalid is wrapped by every error about the form of a certificate.
var ErrInvalid = errors.New("registration certificate not valid")

// Certificate is what a registrar says of a relying party and one intended use.
//
// ETSI TS 119 475 V1.2.1, 5.2.4, tables 7 to 10.
type Certificate struct {
	Name      string `json:"name"` // trade name
	Subject   string `json:"sub"`  // semantic identifier of ETSI EN 319 412-1, as in the access certificate
	LegalName string `json:"sub_ln,omitempty"`
	GivenName string `json:"sub_gn,omitempty"` // of a natural person, with FamilyName

	FamilyName    string      `json:"sub_fn,omitempty"`
	Country       string      `json:"country"`
	Registry      string      `json:"registry_uri"`
	Entitlements  []string    `json:"entitlements"`
	PrivacyPolicy string      `json:"privacy_policy,omitempty"`
	Info          string      `json:"info_uri,omitempty"`
	Support       string      `json:"support_uri,omitempty"`
	Supervision   Supervision `json:"supervisory_authority,omitzero"`
	// Purpose is why it asks, Credentials what it may ask for. Without credentials
	// nothing is said about that.
	Purpose      []Text        `json:"purpose,omitempty"`
	Credentials  []Credential  `json:"credentials,omitempty"`
	Intermediary *Intermediary `json:"intermediary,omitempty"`
	Actor        *Actor        `json:"act,omitempty"`
	PublicBody   bool          `json:"public_body,omitempty"`
	IntendedUse  string        `json:"intended_use_id,omitempty"`
	Status       *status.Claim `json:"status,omitempty"`
	jose.Times
}

// Text is a text in a language.
type Text struct {
	Lang  string `json:"lang"` // BCP 47
	Value string `json:"value"`
}

// Supervision is how to reach the data protection authority.
type Supervision struct {
	Email string `json:"email,omitempty"`
	Phone string `json:"phone,omitempty"`
	URI   string `json:"uri,omitempty"`
}

// Intermediary asks in the name of the relying party. Table 10 calls its name
// sname, Annex C name.
type Intermediary struct {
	Subject   string `json:"sub"`
	Name      string `json:"sname,omitempty"`
	OtherName string `json:"name,omitempty"`
}

// Actor is the intermediary once more.
type Actor struct {
	Subject string `json:"sub"`
}

// Credential is a kind of document that may be asked for. The tables call the
// list of claims claim; claims is read too.
type Credential struct {
	Format string  `json:"format"`
	Meta   Meta    `json:"meta"`
	Claim  []Claim `json:"claim,omitempty"`
	Claims []Claim `json:"claims,omitempty"`
}

// Meta is the type of a document. OpenID4VP 1.0, B.2.3 and B.3.5.
type Meta struct {
	DocType string   `json:"doctype_value,omitempty"`
	VCTs    []string `json:"vct_values,omitempty"`
}

// Claim is a claim that may be asked for.
type Claim struct {
	Path []any `json:"path"`
}

// The limits of a certificate.
const (
	maxToken  = 64 << 10
	maxList   = 256
	maxPerson = 1000 // bytes of a text
)

// Parse reads a registration certificate. Who signed it is not looked at: see
// package assure. Claims that are not known are ignored, as JWT wants.
func Parse(text string) (*Certificate, *jose.Token, error) {
	token, err := jose.Parse(text, jose.Limits{Token: maxToken})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w (ETSI TS 119 475 V1.2.1, 5.2.1)", ErrInvalid, err)
	}
	if !token.Header.HasType(Type) {
		return nil, nil, fmt.Errorf("%w: typ is %.40q, not %s (ETSI TS 119 475 V1.2.1, 5.2.2)", ErrInvalid, token.Header.Typ, Type)
	}
	if len(token.Header.X5C) == 0 {
		return nil, nil, fmt.Errorf("%w: no x5c (ETSI TS 119 475 V1.2.1, 5.2.2)", ErrInvalid)
	}
	var c Certificate
	if err := token.Claims(&c); err != nil {
		return nil, nil, fmt.Errorf("%w: %w (ETSI TS 119 475 V1.2.1, 5.2.4)", ErrInvalid, err)
	}
	return &c, token, c.check()
}

// check wants what every certificate has.
func (c *Certificate) check() error {
	fail := func(what string) error {
		return fmt.Errorf("%w: %s (ETSI TS 119 475 V1.2.1, 5.2.4)", ErrInvalid, what)
	}
	switch {
	case c.Name == "" || len(c.Name) > maxPerson:
		return fail("name is missing, or too long")
	case c.Subject == "" || len(c.Subject) > maxPerson:
		return fail("sub is missing, or too long")
	case len(c.Entitlements) == 0 || len(c.Entitlements) > maxList:
		return fail("no entitlements, or too many")
	case c.IssuedAt == 0:
		return fail("iat is missing")
	case c.Expires != 0 && c.Expires.Time().After(c.IssuedAt.Time().AddDate(0, 12, 1)):
		return fail("valid for more than 12 months")
	case len(c.Purpose) > maxList || len(c.Credentials) > maxList:
		return fail("too many purposes or credentials")
	case c.Intermediary != nil && c.Actor != nil && c.Intermediary.Subject != c.Actor.Subject:
		return fail("intermediary and act are not the same")
	}
	for i := range c.Credentials {
		d := &c.Credentials[i]
		if len(d.Claim) > 0 && len(d.Claims) > 0 || len(d.Claim)+len(d.Claims) > maxList {
			return fail("both claim and claims, or too many")
		}
		d.Claim, d.Claims = append(d.Claim, d.Claims...), nil
		for k, cl := range d.Claim {
			path, err := steps(cl.Path)
			if err != nil {
				return fail(err.Error())
			}
			d.Claim[k].Path = path
		}
	}
	return nil
}

// steps are those of a path as package query has them.
// OpenID4VP 1.0, 7.
func steps(path []any) ([]any, error) {
	out := make([]any, len(path))
	for i, s := range path {
		switch s := s.(type) {
		case string, nil:
			out[i] = s
		case int:
			if s < 0 {
				return nil, errors.New("a path with a step that is no index")
			}
			out[i] = s
		case float64:
			if s < 0 || s != float64(int(s)) {
				return nil, errors.New("a path with a step that is no index")
			}
			out[i] = int(s)
		default:
			return nil, errors.New("a path with a step that is neither text, index nor null")
		}
	}
	if len(out) == 0 {
		return nil, errors.New("an empty path")
	}
	return out, nil
}

// Asks is the semantic identifier of who asks: of the relying party, or of the
// intermediary that asks for it.
func (c *Certificate) Asks() string {
	switch {
	case c.Intermediary != nil:
		return c.Intermediary.Subject
	case c.Actor != nil:
		return c.Actor.Subject
	}
	return c.Subject
}

// Owner is who is registered: the legal name, or that of a person, or the trade
// name.
func (c *Certificate) Owner() string {
	switch {
	case c.LegalName != "":
		return c.LegalName
	case c.FamilyName != "":
		return c.GivenName + " " + c.FamilyName
	}
	return c.Name
}

// MarshalPayload is the certificate as JSON, for who signs it.
func (c Certificate) MarshalPayload() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// Ends is when it ends; false if it does not say.
func (c *Certificate) Ends() (time.Time, bool) { return c.Expires.Time(), c.Expires != 0 }

// Registered reports whether a document of a type may be asked for in a format,
// and which claims of it; none means all.
func (c *Certificate) Registered(format, docType string) (claims []Claim, ok bool) {
	for _, d := range c.Credentials {
		if d.Format != format || !d.Meta.has(docType) {
			continue
		}
		if len(d.Claim) == 0 {
			return nil, true
		}
		claims, ok = append(claims, d.Claim...), true
	}
	return claims, ok
}

func (m Meta) has(docType string) bool {
	if m.DocType == docType {
		return true
	}
	for _, v := range m.VCTs {
		if v == docType {
			return true
		}
	}
	return false
}

// Covers reports whether a claim that is registered has the path in it: a
// container has its members, and all elements have each.
func (c Claim) Covers(path []any) bool {
	if len(path) < len(c.Path) {
		return false
	}
	for i, step := range c.Path {
		_, index := path[i].(int)
		if step != path[i] && (step != nil || !index) {
			return false
		}
	}
	return true
}
