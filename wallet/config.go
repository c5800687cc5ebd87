package wallet

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"runtime"
)

// ConfigSource is the text of this file, of whose comments the manual is made.
//
//go:embed config.go
var ConfigSource string

// Config is what can be set about an mdoc app. The zero value is a working
// demo.
type Config struct {
	// Name of the product, as it tells its provider; at most 128 characters.
	// Optional, "eidos wallet".
	Name string `yaml:"name"`

	// Version of the product; at most 64 characters. Optional, "dev".
	Version string `yaml:"version"`

	// Platform that the app runs on. Optional, operating system and processor.
	Platform string `yaml:"platform"`

	// RedirectURI is where an authority's page sends the browser back to. It
	// has to be the one that the authority knows for the client id of this
	// product. Optional, http://127.0.0.1:8423/authorized.
	RedirectURI string `yaml:"redirectURI"`

	// Language of names and values, as a BCP 47 tag. Optional, "en".
	Language string `yaml:"language"`

	// Types are files of document types, besides those that are built in: what
	// their elements are called, and what they may authorise. Optional.
	Types []string `yaml:"types"`

	// Copies is how many copies of a document to get, each for one use; fewer
	// if the authority gives fewer. Optional, 10.
	Copies int `yaml:"copies"`

	// Verifiers that are known beforehand, by client identifiers without a
	// prefix. Optional: others name themselves by a certificate, and need not
	// be known.
	Verifiers []KnownVerifier `yaml:"verifiers"`

	// Attesters are trusted to vouch for verifiers with verifier attestations.
	// Optional, none.
	Attesters []Attester `yaml:"attesters"`

	// RefuseUnknown refuses every verifier that no list of readers and
	// verifiers vouches for, without asking the holder. Optional: without it
	// the holder is told and decides, and its key is remembered.
	RefuseUnknown bool `yaml:"refuseUnknown"`

	// Authority is the data protection authority that reports about verifiers
	// go to where theirs is not known: an e-mail address, or the URL of a form.
	// EUDI TS8, RPT_DPA_01, wants that of the region of the app's provider.
	// Optional, the list of the European Data Protection Board.
	Authority string `yaml:"authority"`
}

// KnownVerifier is a verifier that is known beforehand. OpenID4VP 1.0, 5.9.2.
type KnownVerifier struct {
	// ClientID is what it calls itself.
	ClientID string `yaml:"clientID"`
	// Name is shown to the holder.
	Name string `yaml:"name"`
	// ResponseURIs are the addresses that answers may go to, to the letter.
	ResponseURIs []string `yaml:"responseURIs"`
	// Keys that sign its requests, a JWK Set as JSON. Optional: its requests
	// are not signed then.
	Keys string `yaml:"keys"`
	// Metadata is its client metadata, as JSON. Optional: it comes with each
	// request then, and must not otherwise.
	Metadata string `yaml:"metadata"`
}

// Attester issues verifier attestations. OpenID4VP 1.0, 12.
type Attester struct {
	// Issuer is "iss" of its attestations.
	Issuer string `yaml:"issuer"`
	// Keys that sign them, a JWK Set as JSON.
	Keys string `yaml:"keys"`
}

// maxCopies bounds Config.Copies: as many keys as one attestation holds.
const maxCopies = 100

// Check names everything that is wrong, at once.
func (c Config) Check() error {
	var errs []error
	if len(c.Name) > 128 || len(c.Version) > 64 || len(c.Platform) > 64 {
		errs = append(errs, errors.New("name has at most 128 characters, version and platform at most 64"))
	}
	if c.Copies < 0 || c.Copies > maxCopies {
		errs = append(errs, fmt.Errorf("copies is %d, from 1 to %d", c.Copies, maxCopies))
	}
	if u, err := url.Parse(c.RedirectURI); c.RedirectURI != "" && (err != nil || !u.IsAbs() || u.Fragment != "") {
		errs = append(errs, errors.New("redirectURI is not an absolute URI without fragment"))
	}
	for _, v := range c.Verifiers {
		errs = append(errs, v.check())
	}
	for _, a := range c.Attesters {
		errs = append(errs, a.check())
	}
	if _, err := addressOf(c.Authority); c.Authority != "" && err != nil {
		errs = append(errs, fmt.Errorf("authority: %w", err))
	}
	return errors.Join(errs...)
}

// withDefaults fills in what was left open.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&c.Name, "eidos wallet"}, {&c.Version, "dev"}, {&c.Platform, runtime.GOOS + "/" + runtime.GOARCH},
		{&c.RedirectURI, "http://127.0.0.1:8423/authorized"}, {&c.Language, "en"},
		{&c.Authority, "https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if c.Copies == 0 {
		c.Copies = 10
	}
	return c
}
