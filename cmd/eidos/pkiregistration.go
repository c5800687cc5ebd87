package main

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/registration"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// pkiRegistrarCACmd makes roots of registrars.
type pkiRegistrarCACmd struct {
	Make pkiRootCmd `cmd:"" default:"withargs" help:"Make a root by hand, in a folder of its own."`
}

// pkiRegistrationCmd makes a registration certificate under the root in the same
// folder. ETSI TS 119 475 V1.2.1, 5.2.
type pkiRegistrationCmd struct {
	pkiKeys
	Identifier  string   `required:"" placeholder:"ID" help:"Semantic identifier of the relying party, as in its reader certificate: VATUT-12345678."`
	Name        string   `required:"" help:"Its name."`
	Country     string   `required:"" help:"Its country, ISO 3166-1 alpha-2."`
	Purpose     []string `required:"" sep:"none" placeholder:"[LANG=]TEXT" help:"Why it asks, in a language (de=Alter); English without one."`
	Ask         string   `required:"" help:"What it may ask for (docs/ask.md)."`
	Registry    string   `required:"" placeholder:"URL" help:"Where it is registered."`
	Privacy     string   `placeholder:"URL" help:"Its privacy policy."`
	Support     string   `placeholder:"URL|EMAIL" help:"Where holders turn to."`
	Authority   string   `placeholder:"EMAIL|URL" help:"Its data protection authority."`
	Entitlement []string `default:"https://uri.etsi.org/19475/Entitlement/Service_Provider" placeholder:"URI" help:"What it is entitled to (ETSI TS 119 475, Annex A)."`
	Use         string   `placeholder:"ID" help:"Number of the intended use in the register."`
	Days        int      `default:"365" help:"How long it is valid."`
	Out         string   `short:"o" type:"path" required:"" placeholder:"FILE" help:"Write the certificate (JWT) here."`
}

// Run makes it.
func (c *pkiRegistrationCmd) Run(m *machine) error {
	ring, err := c.ring(m.ctx)
	if err != nil {
		return err
	}
	signer, err := c.make(m.ctx, ring, m.now())
	if err != nil {
		return err
	}
	return c.say(m, made{File: c.Out, Key: signer.Record.ID}, "wrote %s, valid for %d days; wallets that trust the root believe it", c.Out, c.Days)
}

// make writes the certificate, and returns who signed it.
func (c *pkiRegistrationCmd) make(ctx context.Context, ring *keyring.Ring, now time.Time) (keyring.Key, error) {
	payload, err := c.payload(now)
	if err != nil {
		return keyring.Key{}, err
	}
	k := pkiKind("registrar")
	ca, root, err := c.root(ctx, ring, k.ca, now)
	if err != nil {
		return keyring.Key{}, err
	}
	signer, err := ring.Current(ctx, "default", k.purpose, now)
	if errors.Is(err, keyring.ErrNoKey) {
		signer, err = issueUnder(ctx, ring, k, root, ca, pki.Template{Subject: underRoot(root, "Registrar")}, now)
	}
	if err != nil {
		return signer, err
	}
	token, err := jose.Sign(ctx, signer, jose.Header{Typ: registration.Type, X5C: signer.Record.Chain}, json.RawMessage(payload))
	if err != nil {
		return signer, err
	}
	return signer, writeFile(c.Out, []byte(token), 0o644)
}

// payload is what the certificate says.
func (c *pkiRegistrationCmd) payload(now time.Time) ([]byte, error) {
	r := registration.Certificate{
		Name: c.Name, Subject: c.Identifier, LegalName: c.Name, Country: c.Country, Registry: c.Registry, Entitlements: c.Entitlement,
		PrivacyPolicy: c.Privacy, Support: c.Support, IntendedUse: c.Use,
		Times: jose.Times{IssuedAt: jose.NewDate(now), Expires: jose.NewDate(now.Add(time.Duration(c.Days) * 24 * time.Hour))},
	}
	r.Supervision = supervision(c.Authority)
	for _, p := range c.Purpose {
		r.Purpose = append(r.Purpose, purposeText(p))
	}
	a, err := core.ParseAsk(c.Ask, nil)
	if err != nil {
		return nil, usage("--ask: %v", err)
	}
	for _, want := range a.Query.Credentials {
		r.Credentials = append(r.Credentials, registrable(want))
	}
	payload, err := r.MarshalPayload()
	if err != nil {
		return nil, usage("%v", err)
	}
	return payload, nil
}

// registrable is what is asked of a document, as it is registered.
func registrable(want query.Credential) registration.Credential {
	d := registration.Credential{Format: want.Format}
	if want.Format == query.FormatMdoc && len(want.Types) > 0 {
		d.Meta.DocType = want.Types[0]
	} else {
		d.Meta.VCTs = want.Types
	}
	for _, cl := range want.Claims {
		d.Claim = append(d.Claim, registration.Claim{Path: cl.Path})
	}
	return d
}

// language is a tag of BCP 47 as it stands before a text.
var language = regexp.MustCompile(`^([a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{1,8})*)=(.+)$`)

// purposeText takes the language off a text: "de=Alter".
func purposeText(s string) registration.Text {
	if m := language.FindStringSubmatch(s); m != nil {
		return registration.Text{Lang: m[1], Value: m[2]}
	}
	return registration.Text{Lang: "en", Value: s}
}

// supervision is the address of an authority, by what it looks like.
func supervision(address string) registration.Supervision {
	switch {
	case address == "":
		return registration.Supervision{}
	case strings.HasPrefix(address, "https://"), strings.HasPrefix(address, "http://"):
		return registration.Supervision{URI: address}
	}
	return registration.Supervision{Email: address}
}
