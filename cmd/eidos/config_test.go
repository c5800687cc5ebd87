package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/provider"
	"github.com/eidos-id/eidos/trust"
)

// Behind a proxy, or on a public address, nothing of the demonstration is left:
// no list of a stranger on this machine, no call to loopback addresses.
func TestPublicConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		public bool
		says   string // among the problems; "!" before what must not be
	}{
		"nothing":               {Config{}, false, ""},
		"loopback URL":          {Config{Issuer: issuer.Config{URL: "http://issuer.localhost:8080"}}, false, ""},
		"issuer behind a proxy": {Config{Issuer: issuer.Config{URL: "https://issuer.example"}}, true, "trustService: "},
		"with a trust service": {Config{Issuer: issuer.Config{URL: "https://issuer.example"},
			TrustService: "https://trust.example/default"}, true, "trustFingerprint: "},
		"with its own trust service": {Config{Issuer: issuer.Config{URL: "https://issuer.example"},
			Trust: trust.Config{URL: "https://trust.example"}}, true, "!trustFingerprint: "},
		"provider alone":       {Config{Provider: provider.Config{URL: "https://provider.example"}}, true, "!trustService: "},
		"listens to everybody": {Config{Listen: ":8080"}, true, "issuer.url: "},
		"listens nowhere":      {Config{Listen: "banana"}, false, "listen: wanted host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.config.public(); got != c.public {
				t.Errorf("public: %v", got)
			}
			problems := ""
			if err := c.config.Check(); err != nil {
				problems = err.Error()
			}
			if no, ok := strings.CutPrefix(c.says, "!"); ok && strings.Contains(problems, no) || !ok && !strings.Contains(problems, c.says) {
				t.Errorf("problems:\n%s\nwant %q", problems, c.says)
			}
			if c.says == "" && problems != "" {
				t.Errorf("problems:\n%s", problems)
			}
		})
	}
}

// What is fetched for strangers never leads to this machine, unless all of it
// is a demonstration.
func TestPublicHouseCallsNoLoopback(t *testing.T) {
	try := func(cfg Config) error {
		t.Helper()
		h, err := newHouse(cfg, t.TempDir(), "1", slog.New(slog.DiscardHandler), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.fetch(t.Context(), fetch.Request{Method: "GET", URL: "https://127.0.0.1:1/"})
		return err
	}
	if err := try(Config{}); err == nil || strings.Contains(err.Error(), "not allowed") {
		t.Errorf("demonstration: %v", err)
	}
	public := Config{Trust: trust.Config{URL: "https://trust.example", Tenants: []trust.Tenant{{ID: "default", Name: "Lists", Country: "UT",
		Sources: []trust.Source{{Purpose: "reader", Name: "Readers", URL: "https://verifier.example/default/reader-ca.cer"}}}}}}
	if err := try(public); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("public: %v", err)
	}
}
