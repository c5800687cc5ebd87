package trust

import (
	_ "embed" // ConfigSource
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/web"
)

// ConfigSource is this file: the manual of the configuration is made of its
// comments.
//
//go:embed config.go
var ConfigSource string

// Config configures a trust service. The zero Config lists the roles of the
// demonstration on loopback.
type Config struct {
	// URL is the public origin, without a path and a trailing slash. Optional,
	// http://trust.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Tenants are the lists that are kept here, apart in keys, rows and
	// addresses. Optional, the one of the demonstration.
	Tenants []Tenant `yaml:"tenants,omitempty"`

	// Every is how often the sources are fetched. Optional, 15 minutes.
	Every time.Duration `yaml:"every,omitempty"`

	// Lifetime is how long a signed list is valid: the longest that those who
	// follow it go on without network. Lists are signed anew after half of it,
	// and at once when their content changes. Optional, 7 days.
	Lifetime time.Duration `yaml:"lifetime,omitempty"`

	// MaxAge is how long caches may keep a list unasked. Optional, 5 minutes.
	MaxAge time.Duration `yaml:"maxAge,omitempty"`
}

// Tenant is one community with lists of its own.
type Tenant struct {
	// ID is part of every address: lower-case letters, digits and "-", at most
	// 32, beginning with a letter.
	ID string `yaml:"id"`
	// Name of the provider of the lists, for people: in the certificates as
	// organization and in the VICAL as its provider.
	Name string `yaml:"name"`
	// Country of the certificates, ISO 3166-1 alpha-2; the profile of VICAL
	// signers demands it.
	Country string `yaml:"country"`
	// Sources are where the anchors come from.
	Sources []Source `yaml:"sources,omitempty"`
}

// Source is where the certificate of one anchor is published. The first
// certificate found there is pinned and listed. When another key appears, the
// change is recorded and shown, and the pinned one stays listed until an
// operator accepts the new one; a planned change is better announced as a
// second source, so that both are listed.
type Source struct {
	// Name identifies the source within its tenant, for people and commands:
	// at most 64 bytes.
	Name string `yaml:"name"`
	// Purpose is what the anchor is trusted for: issuer, reader, verifier,
	// wallet-provider or status.
	Purpose trustlist.Purpose `yaml:"purpose"`
	// URL of the certificate of a CA, in DER or PEM.
	URL string `yaml:"url"`
	// DocTypes are what an issuer's documents may be. Needed for issuers.
	DocTypes []string `yaml:"docTypes,omitempty"`
	// Fingerprint is the SHA-256 of the certificate in hex, for a source whose
	// certificate is known in advance: nothing else is pinned. Optional.
	Fingerprint string `yaml:"fingerprint,omitempty"`
	// LoA is the level that anchors are believed about: low, substantial or
	// high. Optional.
	LoA string `yaml:"loa,omitempty"`
}

const defaultURL = "http://trust.localhost:8080"

// DemoSources are the anchors of the demonstration's roles at their origins,
// URLs without trailing slash; an empty origin is left out.
func DemoSources(issuer, provider, verifier string) []Source {
	var list []Source
	if issuer != "" {
		list = append(list, Source{
			Name: "issuing authority", Purpose: trustlist.Issuer, URL: issuer + "/default/iaca.cer",
			DocTypes: []string{"org.iso.18013.5.1.mDL", "eu.europa.ec.eudi.pid.1", "org.iso.23220.photoid.1"},
		})
	}
	if provider != "" {
		list = append(list, Source{Name: "mdoc app provider", Purpose: trustlist.WalletProvider, URL: provider + "/default/ca.cer"})
	}
	if verifier != "" {
		ca := verifier + "/default/reader-ca.cer"
		list = append(list,
			Source{Name: "verifier, on-site", Purpose: trustlist.Reader, URL: ca},
			Source{Name: "verifier, remote", Purpose: trustlist.Verifier, URL: ca})
	}
	return list
}

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	if c.URL == "" {
		c.URL = defaultURL
	}
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: "default", Name: "Utopia Trust Service", Country: "UT", Sources: DemoSources(
			"http://issuer.localhost:8080", "http://provider.localhost:8080", "http://verifier.localhost:8080")}}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Every, 15 * time.Minute}, {&c.Lifetime, 7 * 24 * time.Hour}, {&c.MaxAge, 5 * time.Minute}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	demo := len(c.Tenants) == 0
	c = c.complete()
	if err := checkOrigin(c.URL); err != nil {
		problem("url: %w", err)
	} else if demo && !loopback(c.URL) {
		problem("tenants: the demonstration's lists are for loopback only; say whom to list at %s", c.URL)
	}
	for _, d := range []struct {
		name             string
		value, low, high time.Duration
	}{
		{"every", c.Every, time.Second, 24 * time.Hour},
		{"lifetime", c.Lifetime, time.Minute, 90 * 24 * time.Hour},
		{"maxAge", c.MaxAge, time.Second, c.Lifetime / 4},
	} {
		if d.value < d.low || d.value > d.high {
			problem("%s: %v is not %v to %v", d.name, d.value, d.low, d.high)
		}
	}
	seen := map[string]bool{}
	for i, t := range c.Tenants {
		if seen[t.ID] {
			problem("tenants[%d].id: %q given twice", i, t.ID)
		}
		seen[t.ID] = true
		if err := t.check(); err != nil {
			problem("tenants[%d]: %w", i, err)
		}
	}
	return errors.Join(problems...)
}

func (t Tenant) check() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if t.ID == "" || len(t.ID) > 32 || t.ID[0] < 'a' || t.ID[0] > 'z' ||
		strings.Trim(t.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		problem("id: wanted 1 to 32 lower-case letters, digits and \"-\", beginning with a letter")
	}
	if t.Name == "" || len(t.Name) > 48 {
		problem("name: wanted 1 to 48 bytes")
	}
	if len(t.Country) != 2 || strings.Trim(t.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		problem("country: wanted two upper-case letters of ISO 3166-1")
	}
	seen := map[string]bool{}
	for i, s := range t.Sources {
		if seen[s.Name] {
			problem("sources[%d].name: %q given twice", i, s.Name)
		}
		seen[s.Name] = true
		if err := s.check(); err != nil {
			problem("sources[%d]: %w", i, err)
		}
	}
	return errors.Join(problems...)
}

func (s Source) check() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if s.Name == "" || len(s.Name) > 64 {
		problem("name: wanted 1 to 64 bytes")
	}
	if !s.Purpose.Known() || s.Purpose == trustlist.TrustList {
		problem("purpose: %q is not issuer, reader, verifier, wallet-provider or status", s.Purpose)
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(s.URL)) {
		problem("url: wanted an https address; http is for loopback names only")
	}
	if (s.Purpose == trustlist.Issuer) != (len(s.DocTypes) > 0) {
		problem("docTypes: issuers need some, others have none")
	}
	if _, err := fingerprint(s.Fingerprint); err != nil {
		problem("fingerprint: %w", err)
	}
	switch s.LoA {
	case "", "low", "substantial", "high":
	default:
		problem("loa: wanted low, substantial or high")
	}
	return errors.Join(problems...)
}

// checkOrigin accepts https://host and, for loopback names, http://host.
func checkOrigin(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("wanted an origin without path or trailing slash")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(s)):
		return errors.New("wanted https; http is for loopback names only")
	}
	return nil
}

// loopback reports whether an address is on this machine by its name.
func loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host, _, err := net.SplitHostPort(u.Host)
	if err != nil {
		host = u.Host
	}
	return web.IsLoopbackName(strings.Trim(host, "[]"))
}
