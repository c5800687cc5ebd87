package monitor

import (
	_ "embed" // ConfigSource
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/web"
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
	if c.URL == "" {
		c.URL = defaultURL
	}
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: "default", Name: "Demonstration", Targets: DemoTargets("http://issuer.localhost:8080",
			"http://provider.localhost:8080", "http://verifier.localhost:8080", "http://trust.localhost:8080")}}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Every, time.Minute}, {&c.Warn, 30 * 24 * time.Hour}, {&c.Alarm, 7 * 24 * time.Hour}, {&c.Keep, 90 * 24 * time.Hour}} {
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
		problem("tenants: the demonstration's roles are on loopback; say what to watch from %s", c.URL)
	}
	if c.Every < time.Second || c.Every > 24*time.Hour {
		problem("every: %v is not 1 second to 24 hours", c.Every)
	}
	if c.Alarm < time.Hour || c.Warn < c.Alarm || c.Warn > 365*24*time.Hour {
		problem("warn and alarm: wanted 1 hour to 365 days, the warning first")
	}
	if c.Keep < 24*time.Hour {
		problem("keep: wanted at least a day")
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
	if !isTenant(t.ID) {
		problem("id: wanted 1 to 32 lower-case letters, digits and \"-\", beginning with a letter")
	}
	if t.Name == "" || len(t.Name) > 64 {
		problem("name: wanted 1 to 64 bytes")
	}
	seen := map[string]bool{}
	for i, g := range t.Targets {
		if g.Name == "" || len(g.Name) > 64 || seen[g.Name] {
			problem("targets[%d].name: wanted 1 to 64 bytes, each name once", i)
		}
		seen[g.Name] = true
		if err := checkOrigin(g.URL); err != nil {
			problem("targets[%d].url: %w", i, err)
		}
		for _, id := range g.Tenants {
			if !isTenant(id) {
				problem("targets[%d].tenants: %.40q is not the name of one", i, id)
			}
		}
		for _, w := range g.Watch {
			if w != WatchCertificates && w != WatchStatus && w != WatchTrust {
				problem("targets[%d].watch: %.40q is not certificates, status or trust", i, w)
			}
		}
	}
	return errors.Join(problems...)
}

func isTenant(s string) bool {
	return s != "" && len(s) <= 32 && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
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
