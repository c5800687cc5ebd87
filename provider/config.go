package provider

import (
	_ "embed" // ConfigSource
	"net/url"
	"time"

	"github.com/eidos-id/eidos/internal/conf"
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
	// say whether the instance, or where its keys live, was revoked, where the
	// issuer states no preference. Documents end before it does. Optional, 400
	// days.
	StatusPeriod time.Duration `yaml:"statusPeriod,omitempty"`

	// MaxStatusPeriod is the longest that an issuer's preference is met: its
	// status list is kept for as long (EUDI TS3 1.5, 2.4.2). Who prefers longer
	// gets this. Optional, 3 years of 365 days; at least statusPeriod.
	MaxStatusPeriod time.Duration `yaml:"maxStatusPeriod,omitempty"`

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

// longestStatusPeriod bounds both periods.
const longestStatusPeriod = 10 * 365 * day

const defaultURL = "http://provider.localhost:8080"

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	conf.Default(&c.URL, defaultURL)
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: "default", Name: "eidos wallet", Organization: "eidos demonstration", ClientID: "eidos-wallet"}}
	}
	conf.Default(&c.AttestationLifetime, 12*time.Hour)
	conf.Default(&c.KeyAttestationLifetime, 24*time.Hour)
	conf.Default(&c.StatusPeriod, 400*day)
	conf.Default(&c.MaxStatusPeriod, max(3*365*day, c.StatusPeriod))
	conf.Default(&c.StatusLifetime, 24*time.Hour)
	conf.Default(&c.StatusTTL, 5*time.Minute)
	return c
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var p conf.Problems
	demo := ""
	if len(c.Tenants) == 0 {
		demo = "say which products are vouched for"
	}
	c = c.complete()
	p.Site(c.URL, demo)
	p.Within("attestationLifetime", c.AttestationLifetime, time.Minute, attestation.MaxInstanceLifetime-time.Second)
	p.Within("keyAttestationLifetime", c.KeyAttestationLifetime, time.Minute, 30*24*time.Hour)
	p.Within("statusPeriod", c.StatusPeriod, day, longestStatusPeriod)
	p.Within("maxStatusPeriod", c.MaxStatusPeriod, c.StatusPeriod, longestStatusPeriod)
	p.Within("statusLifetime", c.StatusLifetime, time.Minute, 30*24*time.Hour)
	p.Within("statusTTL", c.StatusTTL, time.Second, c.StatusLifetime)
	conf.Tenants(&p, c.Tenants, func(t Tenant) string { return t.ID }, Tenant.check)
	return p.Err()
}

func (t Tenant) check() error {
	var p conf.Problems
	p.Length("name", t.Name, 48)
	p.Length("organization", t.Organization, 48)
	if t.Country != "" {
		p.Country("country", t.Country)
	}
	p.Length("clientID", t.ClientID, 256)
	for _, l := range []struct{ name, value string }{{"link", t.Link}, {"support", t.Support}, {"revokeLink", t.RevokeLink}} {
		if u, err := url.Parse(l.value); l.value != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			p.Add("%s: wanted the address of a page", l.name)
		}
	}
	return p.Err()
}
