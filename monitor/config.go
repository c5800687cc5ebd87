package monitor

import (
	_ "embed" // ConfigSource
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/conf"
)

// ConfigSource is this file: the manual of the configuration is made of its
// comments.
//
//go:embed config.go
var ConfigSource string

// Config configures a monitoring service. The zero Config watches the roles of
// the demonstration on loopback.
type Config struct {
	// URL is the public origin, without a path and a trailing slash. Optional,
	// http://monitor.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Tenants are sets of things to watch, kept apart in rows and addresses.
	// Optional, the one of the demonstration.
	Tenants []Tenant `yaml:"tenants,omitempty"`

	// Every is how often everything is looked at. Optional, 1 minute.
	Every time.Duration `yaml:"every,omitempty"`

	// Warn and Alarm are how long before its end a certificate is worth a
	// warning and an alarm. Certificates that live short are measured by their
	// life: a third and a tenth of it, if that is less. Optional, 30 and 7 days.
	Warn  time.Duration `yaml:"warn,omitempty"`
	Alarm time.Duration `yaml:"alarm,omitempty"`

	// Keep is for how long changes of state are remembered. Optional, 90 days.
	Keep time.Duration `yaml:"keep,omitempty"`
}

// Tenant is what one operator watches.
type Tenant struct {
	// ID is part of every address: lower-case letters, digits and "-", at most
	// 32, beginning with a letter.
	ID string `yaml:"id"`
	// Name for people.
	Name string `yaml:"name"`
	// Targets are the services to watch.
	Targets []Target `yaml:"targets"`
}

// Target is a service to watch: a role of this system.
type Target struct {
	// Name for people, at most 64 bytes.
	Name string `yaml:"name"`
	// URL is the origin of the service; its /readyz is asked.
	URL string `yaml:"url"`
	// Tenants of the service whose certificates and lists are looked at.
	// Optional.
	Tenants []string `yaml:"tenants,omitempty"`
	// Watch names what each tenant of the service has to publish: certificates,
	// status (token status lists), trust (VICAL and list of anchors). Optional,
	// certificates.
	Watch []string `yaml:"watch,omitempty"`
}

// What a Target can be watched for.
const (
	WatchCertificates = "certificates"
	WatchStatus       = "status"
	WatchTrust        = "trust"
)

const defaultURL = "http://monitor.localhost:8080"

// DemoTargets are the demonstration's roles at their origins, URLs without
// trailing slash; an empty origin is left out.
func DemoTargets(issuer, provider, verifier, trust string) []Target {
	var list []Target
	for _, t := range []Target{
		{Name: "issuer", URL: issuer, Watch: []string{WatchCertificates, WatchStatus}},
		{Name: "provider", URL: provider, Watch: []string{WatchCertificates, WatchStatus}},
		{Name: "verifier", URL: verifier, Watch: []string{WatchCertificates}},
		{Name: "trust", URL: trust, Watch: []string{WatchCertificates, WatchTrust}},
	} {
		if t.URL != "" {
			t.Tenants = []string{"default"}
			list = append(list, t)
		}
	}
	return list
}

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	conf.Default(&c.URL, defaultURL)
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: "default", Name: "Demonstration", Targets: DemoTargets("http://issuer.localhost:8080",
			"http://provider.localhost:8080", "http://verifier.localhost:8080", "http://trust.localhost:8080")}}
	}
	conf.Default(&c.Every, time.Minute)
	conf.Default(&c.Warn, 30*24*time.Hour)
	conf.Default(&c.Alarm, 7*24*time.Hour)
	conf.Default(&c.Keep, 90*24*time.Hour)
	return c
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var p conf.Problems
	demo := ""
	if len(c.Tenants) == 0 {
		demo = "say what to watch"
	}
	c = c.complete()
	p.Site(c.URL, demo)
	p.Within("every", c.Every, time.Second, 24*time.Hour)
	if c.Alarm < time.Hour || c.Warn < c.Alarm || c.Warn > 365*24*time.Hour {
		p.Add("warn and alarm: wanted 1 hour to 365 days, the warning first")
	}
	if c.Keep < 24*time.Hour {
		p.Add("keep: wanted at least a day")
	}
	conf.Tenants(&p, c.Tenants, func(t Tenant) string { return t.ID }, Tenant.check)
	return p.Err()
}

func (t Tenant) check() error {
	var p conf.Problems
	p.Length("name", t.Name, 64)
	seen := map[string]bool{}
	for i, g := range t.Targets {
		if g.Name == "" || len(g.Name) > 64 || seen[g.Name] {
			p.Add("targets[%d].name: wanted 1 to 64 bytes, each name once", i)
		}
		seen[g.Name] = true
		p.AddError(fmt.Sprintf("targets[%d].url", i), conf.Origin(g.URL))
		for _, id := range g.Tenants {
			if !conf.IsTenant(id) {
				p.Add("targets[%d].tenants: %.40q is not the name of one", i, id)
			}
		}
		for _, w := range g.Watch {
			if w != WatchCertificates && w != WatchStatus && w != WatchTrust {
				p.Add("targets[%d].watch: %.40q is not certificates, status or trust", i, w)
			}
		}
	}
	return p.Err()
}
