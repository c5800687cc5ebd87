package web

import (
	_ "embed" // ConfigSource
	"errors"
	"fmt"
	"net/url"
	"time"

	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/oauth"
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
	c = c.complete()
	var errs []error
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		errs = append(errs, errors.New("url: wanted http://, a name of this machine and a port, nothing behind them"))
	case !site.IsLoopbackName(u.Hostname()):
		errs = append(errs, fmt.Errorf("url: %.120q is no name of this machine: the pages are for the holder in front of it", u.Hostname()))
	}
	if err := oauth.CheckURL(c.Provider); err != nil {
		errs = append(errs, fmt.Errorf("provider: %w", err))
	}
	if c.SessionLifetime < time.Minute || c.SessionLifetime > 30*24*time.Hour {
		errs = append(errs, errors.New("sessionLifetime: wanted 1 minute to 30 days"))
	}
	return errors.Join(errs...)
}

// complete fills in what was left open.
func (c Config) complete() Config {
	if c.URL == "" {
		c.URL = "http://wallet.localhost:8080"
	}
	if c.Provider == "" {
		c.Provider = "http://provider.localhost:8080/default"
	}
	if c.SessionLifetime == 0 {
		c.SessionLifetime = 12 * time.Hour
	}
	return c
}
