package wallet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/registration"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
)

// Registration is what a registrar that the app trusts says of a verifier and of
// what it asks for. All texts are safe to show.
//
// ETSI TS 119 475 V1.2.1, 5.2.4.
type Registration struct {
	// Registrar vouches for it; Registry is where it is registered.
	Registrar string `json:"registrar"`
	Registry  string `json:"registry,omitempty"`
	// Owner is who is registered, by the name in law, Identifier the number.
	Owner      string `json:"owner"`
	Identifier string `json:"identifier"`
	// Intermediary asks in the owner's name, if somebody does.
	Intermediary string `json:"intermediary,omitempty"`
	// Purposes are why it asks, by the registration.
	Purposes      []string `json:"purposes,omitempty"`
	PrivacyPolicy string   `json:"privacy_policy,omitempty"`
	IntendedUse   string   `json:"intended_use,omitempty"`
	// Beyond is what it asks for and is not registered to.
	Beyond []string `json:"beyond,omitempty"`
}

// maxRegistrations bounds the registration certificates that are looked at.
const maxRegistrations = 8

// register verifies the registration certificates in a request and notes what
// they say, and what is asked beyond them. Entries of formats that are not known
// are ignored. One that is not in order is worth as much as none, and the holder is
// told.
//
// OpenID4VP 1.0, 5.1 and 5.11; ETSI TS 119 472-2.
func (m *matter) register(ctx context.Context, req *oid4vp.Request) {
	asked := slices.DeleteFunc(slices.Clone(req.Info), func(i oid4vp.VerifierInfo) bool { return i.Format != registration.Format })
	if len(asked) == 0 {
		return
	}
	p := assure.RegistrationParams{Now: m.w.now(), Anchors: m.w.anchors(ctx), Subject: organizationOf(req)}
	p.Status = statuslist.NewFetcher(m.w.deps.Fetch, assure.StatusTrust(trustlist.Registrar, p.Anchors.Snapshot), statuslist.Options{})
	var valid []registeredUse
	for _, info := range asked[:min(len(asked), maxRegistrations)] {
		var text string
		if json.Unmarshal(info.Data, &text) != nil {
			continue // the other form, which is not read
		}
		c, signer, rep := assure.VerifyRegistration(ctx, text, p)
		if !rep.OK() {
			bad := rep.Failed()[0]
			m.noted = append(m.noted, oneLine(fmt.Sprintf("It sent a registration certificate that is not to be believed: %s: %s.", bad.Name, bad.Seen), 300))
			continue
		}
		if status, ok := rep.Find("registration status"); ok && status.Outcome == check.Warn {
			m.noted = append(m.noted, "Whether its registration still holds could not be found out.")
		}
		valid = append(valid, registeredUse{c, info.CredentialIDs})
		m.note(c, signer)
	}
	if r := m.entry.Party.Registration; r != nil {
		r.Beyond = m.beyond(req.Query, valid)
		if len(r.Beyond) > 0 {
			m.noted = append(m.noted, "It asks for more than it is registered to: "+strings.Join(r.Beyond, ", ")+".")
		}
	}
}

// registeredUse is a certificate and the credentials of the query that it is about;
// nil: all.
type registeredUse struct {
	registration.Certificate
	ids []string
}

// organizationOf is the identifier in the certificate that signed the request,
// whose key proved that it asks. Names of other kinds have none.
func organizationOf(req *oid4vp.Request) string {
	if req.Proof != oid4vp.ProofCertificate {
		return ""
	}
	leaf, err := leafOf(req.Chain)
	if err != nil {
		return ""
	}
	return pki.OrganizationID(leaf)
}

// note takes over what a certificate says that is in order.
func (m *matter) note(c registration.Certificate, signer assure.Signer) {
	p := &m.entry.Party
	r := p.Registration
	if r == nil {
		r = &Registration{
			Registrar: oneLine(signer.Organisation(), 120), Registry: oneLine(c.Registry, 300), Owner: oneLine(c.Owner(), 200), Identifier: oneLine(c.Subject, 120),
			PrivacyPolicy: oneLine(c.PrivacyPolicy, 300), IntendedUse: oneLine(c.IntendedUse, 120),
		}
		p.Registration = r
	}
	if i := c.Intermediary; i != nil && r.Intermediary == "" {
		r.Intermediary = oneLine(i.Name+i.OtherName, 120)
	}
	if purpose := textIn(c.Purpose, m.w.cfg.Language); purpose != "" && len(r.Purposes) < maxRegistrations && !slices.Contains(r.Purposes, purpose) {
		r.Purposes = append(r.Purposes, purpose)
	}
	contact := Contact{}
	if p.Contact != nil {
		contact = *p.Contact
	}
	contact.add(c.Support)
	for _, a := range []string{c.Supervision.URI, c.Supervision.Email, c.Supervision.Phone} {
		if a != "" {
			contact.addAuthority(a)
		}
	}
	if len(contact.Websites)+len(contact.Emails)+len(contact.Phones)+len(contact.Authorities) > 0 {
		p.Contact = &contact
	}
}

// textIn is the text in a language, or else in English, or else the first.
func textIn(list []registration.Text, lang string) string {
	for _, want := range []string{lang, "en", ""} {
		base, _, _ := strings.Cut(strings.ToLower(want), "-")
		for _, t := range list {
			if has, _, _ := strings.Cut(strings.ToLower(t.Lang), "-"); has == base || want == "" {
				return oneLine(t.Value, 300)
			}
		}
	}
	return ""
}

// maxBeyond bounds what is named of what is asked beyond a registration.
const maxBeyond = 32

// beyond is what a query asks for and no certificate lists. A certificate that
// lists no documents says nothing about what may be asked for.
//
// ETSI TS 119 475 V1.2.1, GEN-5.2.4-06; EUDI ARF, RPRC_21.
func (m *matter) beyond(q query.Query, list []registeredUse) []string {
	var out []string
	add := func(s string) {
		if len(out) < maxBeyond && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for i, c := range q.Credentials {
		about := slices.DeleteFunc(slices.Clone(list), func(r registeredUse) bool {
			return len(r.Credentials) == 0 || r.ids != nil && !slices.Contains(r.ids, c.ID)
		})
		silent := slices.ContainsFunc(list, func(r registeredUse) bool {
			return len(r.Credentials) == 0 && (r.ids == nil || slices.Contains(r.ids, c.ID))
		})
		if len(about) == 0 && silent {
			continue
		}
		var claims []registration.Claim
		known, all := len(c.Types) > 0, false
		for _, docType := range c.Types {
			one := false
			for _, r := range about {
				found, ok := r.Registered(c.Format, docType)
				one, all = one || ok, all || ok && len(found) == 0
				claims = append(claims, found...)
			}
			known = known && one
		}
		switch {
		case !known:
			add(m.w.typeLabel(c))
		case all:
		case len(c.Claims) == 0:
			add(m.w.typeLabel(c))
		default:
			for _, cl := range c.Claims {
				if !slices.ContainsFunc(claims, func(r registration.Claim) bool { return r.Covers(cl.Path) }) {
					add(m.label(i, cl.Path))
				}
			}
		}
	}
	return out
}

// typeLabel is what people call the documents asked for.
func (w *Wallet) typeLabel(c query.Credential) string {
	if len(c.Types) == 0 {
		return "documents of any type"
	}
	return oneLine(w.deps.Types.TypeName(w.cfg.Language, c.Types[0]), 120)
}

// Lines are what a registration says, for people; none without one.
func (r *Registration) Lines() []string {
	if r == nil {
		return nil
	}
	out := []string{fmt.Sprintf("registered as %s (%s) by %s", r.Owner, r.Identifier, r.Registrar)}
	if r.Intermediary != "" {
		out = append(out, "asks through "+r.Intermediary)
	}
	for _, p := range r.Purposes {
		out = append(out, "registered purpose: "+p)
	}
	if r.PrivacyPolicy != "" {
		out = append(out, "what it does with data: "+r.PrivacyPolicy)
	}
	return out
}
