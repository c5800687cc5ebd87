package provider

import (
	_ "embed" // ConfigSource
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// ConfigSource is this file: the manual of the configuration is made of its
// comments.
//
//go:embed config.go
var ConfigSource string

// Config configures an mdoc app provider. The zero Config vouches for the
// demonstration's app on loopback.
type Config struct {
	// URL is the public origin, without a path and a trailing slash. It stands
	// in what the provider signs. Optional, http://provider.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Tenants are the wallet products, kept apart in keys, rows and addresses.
	// Optional, the app of the demonstration.
	Tenants []Tenant `yaml:"tenants,omitempty"`

	// AttestationLifetime is how long a wallet instance attestation is valid:
	// a revoked instance is refused at the latest after that, also by issuers
	// that ask for no status. Optional, 12 hours; less than 24 hours.
	AttestationLifetime time.Duration `yaml:"attestationLifetime,omitempty"`

	// KeyAttestationLifetime is how long a key attestation may be shown to
	// issuers. Optional, 24 hours; at most 30 days.
	KeyAttestationLifetime time.Duration `yaml:"keyAttestationLifetime,omitempty"`

	// StatusPeriod is for how long after an attestation the provider goes on to
	// say whether the instance, or where its keys live, was revoked. Documents
	// end before it does. Optional, 400 days.
	StatusPeriod time.Duration `yaml:"statusPeriod,omitempty"`

	// StatusLifetime is how long a signed status list is valid: the longest
	// that a reader without network goes on with a copy. Optional, 24 hours.
	StatusLifetime time.Duration `yaml:"statusLifetime,omitempty"`

	// StatusTTL is how long readers with a network keep a copy before they ask
	// again, and so how fast a revocation is known. Optional, 5 minutes.
	StatusTTL time.Duration `yaml:"statusTTL,omitempty"`
}

// Tenant is one wallet product: an app that this provider makes or vouches for.
type Tenant struct {
	// ID is part of every address: lower-case letters, digits and "-", at most
	// 32, beginning with a letter.
	ID string `yaml:"id"`
	// Name of the product, for people: in the certificates and, as wallet_name,
	// in the attestations.
	Name string `yaml:"name"`
	// Organization that stands behind it, in the certificates.
	Organization string `yaml:"organization"`
	// Country of the certificates, ISO 3166-1 alpha-2. Optional.
	Country string `yaml:"country,omitempty"`
	// ClientID by which authorisation servers know the product, the same for
	// all of its instances.
	ClientID string `yaml:"clientID"`
	// Link is a page about the product. Optional.
	Link string `yaml:"link,omitempty"`
	// Support is a page where people get help. Optional.
	Support string `yaml:"support,omitempty"`
	// RevokeLink is a page where people report a device as lost. Optional.
	RevokeLink string `yaml:"revokeLink,omitempty"`
	// RefuseTOFU refuses apps that have no evidence but their key. There is no
	// other kind of evidence yet, so nothing new is registered then. Optional.
	RefuseTOFU bool `yaml:"refuseTOFU,omitempty"`
}

const defaultURL = "http://provider.localhost:8080"

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	if c.URL == "" {
		c.URL = defaultURL
	}
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: "default", Name: "eidos wallet", Organization: "eidos demonstration", ClientID: "eidos-wallet"}}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.AttestationLifetime, 12 * time.Hour}, {&c.KeyAttestationLifetime, 24 * time.Hour},
		{&c.StatusPeriod, 400 * 24 * time.Hour}, {&c.StatusLifetime, 24 * time.Hour}, {&c.StatusTTL, 5 * time.Minute},
	} {
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
		problem("tenants: the demonstration's app is for loopback only; say which products are vouched for at %s", c.URL)
	}
	for _, d := range []struct {
		name             string
		value, low, high time.Duration
	}{
		{"attestationLifetime", c.AttestationLifetime, time.Minute, attestation.MaxInstanceLifetime - time.Second},
		{"keyAttestationLifetime", c.KeyAttestationLifetime, time.Minute, 30 * 24 * time.Hour},
		{"statusPeriod", c.StatusPeriod, 24 * time.Hour, 10 * 365 * 24 * time.Hour},
		{"statusLifetime", c.StatusLifetime, time.Minute, 30 * 24 * time.Hour},
		{"statusTTL", c.StatusTTL, time.Second, c.StatusLifetime},
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
	for _, s := range []struct{ name, value string }{{"name", t.Name}, {"organization", t.Organization}} {
		if s.value == "" || len(s.value) > 48 {
			problem("%s: wanted 1 to 48 bytes", s.name)
		}
	}
	if t.Country != "" && (len(t.Country) != 2 || strings.Trim(t.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		problem("country: wanted two upper-case letters of ISO 3166-1")
	}
	if t.ClientID == "" || len(t.ClientID) > 256 {
		problem("clientID: wanted 1 to 256 bytes")
	}
	for _, l := range []struct{ name, value string }{{"link", t.Link}, {"support", t.Support}, {"revokeLink", t.RevokeLink}} {
		if u, err := url.Parse(l.value); l.value != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			problem("%s: wanted the address of a page", l.name)
		}
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

// loopback reports whether an origin is on this machine by its name.
func loopback(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host, _, err := net.SplitHostPort(u.Host)
	if err != nil {
		host = u.Host
	}
	return web.IsLoopbackName(strings.Trim(host, "[]"))
}
