package web

import (
	_ "embed" // ConfigSource
	"net/url"
	"time"

	"github.com/eidos-id/eidos/internal/conf"
)

// ConfigSource is the text of this file, of whose comments the manual is made.
//
//go:embed config.go
var ConfigSource string

// Config is what can be set about the app's pages. The zero Config is the
// demonstration on loopback.
type Config struct {
	// URL is the origin of the pages: plain http on a name of this machine,
	// with port, without a path. They are for the holder in front of it only.
	// Optional, http://wallet.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Provider is the base URL, with product, of the provider that the page
	// for installing suggests. Optional, http://provider.localhost:8080/default.
	Provider string `yaml:"provider,omitempty"`

	// SessionLifetime is how long a browser that is not used stays let in.
	// Optional, 12 hours.
	SessionLifetime time.Duration `yaml:"sessionLifetime,omitempty"`
}

// Check names everything that is wrong, at once.
func (c Config) Check() error {
	var p conf.Problems
	c = c.complete()
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		p.Add("url: wanted http://, a name of this machine and a port, nothing behind them")
	case !conf.Loopback(c.URL):
		p.Add("url: %.120q is no name of this machine: the pages are for the holder in front of it", u.Hostname())
	}
	if err := conf.Address(c.Provider); err != nil {
		p.Add("provider: %w", err)
	}
	p.Within("sessionLifetime", c.SessionLifetime, time.Minute, 30*24*time.Hour)
	return p.Err()
}

// complete fills in what was left open.
func (c Config) complete() Config {
	conf.Default(&c.URL, "http://wallet.localhost:8080")
	conf.Default(&c.Provider, "http://provider.localhost:8080/default")
	conf.Default(&c.SessionLifetime, 12*time.Hour)
	return c
}
