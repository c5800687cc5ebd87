package main

import (
	_ "embed" // the manual
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/monitor"
	"github.com/eidos-id/eidos/provider"
	"github.com/eidos-id/eidos/trust"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
	walletweb "github.com/eidos-id/eidos/wallet/web"
)

//go:embed config.go
var configSource string

// Config is the configuration file, YAML. Unknown keys are errors. An empty
// file, or none, is a working demonstration on loopback.
type Config struct {
	// Listen is the address that the roles share, told apart by host name.
	// Anything but a loopback address needs URLs, a database of its own choice
	// and a trust service that are configured: the demonstration's are refused.
	// Optional, 127.0.0.1:8080.
	Listen string `yaml:"listen,omitempty"`

	// Database is where the roles keep their rows: "sqlite" for a file for
	// each role in the data directory, or a postgres:// URL, in which each role
	// has a schema of its own. Optional, sqlite.
	Database string `yaml:"database,omitempty"`

	// TLS is the certificate to serve with. Optional: without it the roles
	// speak plain http, which only loopback or a proxy in front may see.
	TLS TLSConfig `yaml:"tls,omitempty"`

	// TrustService is the base URL, with tenant, of the trust service whose
	// lists the roles follow. Optional, the one of this configuration.
	TrustService string `yaml:"trustService,omitempty"`

	// TrustFingerprint is the SHA-256 of the trust service's CA certificate in
	// hex. Optional on loopback, where the first one met is pinned.
	TrustFingerprint string `yaml:"trustFingerprint,omitempty"`

	// Limits hold back who asks too often.
	Limits Limits `yaml:"limits,omitempty"`

	// Issuer configures the issuing authority.
	Issuer issuer.Config `yaml:"issuer,omitempty"`
	// Provider configures the mdoc app provider.
	Provider provider.Config `yaml:"provider,omitempty"`
	// Verifier configures the mobile verification application.
	Verifier verifier.Config `yaml:"verifier,omitempty"`
	// Trust configures the trust services.
	Trust trust.Config `yaml:"trust,omitempty"`
	// Monitor configures the monitoring service.
	Monitor monitor.Config `yaml:"monitor,omitempty"`
	// Wallet configures the mdoc app at the shell.
	Wallet wallet.Config `yaml:"wallet,omitempty"`
	// WalletPages configures the mdoc app in a browser on this machine.
	WalletPages walletweb.Config `yaml:"walletPages,omitempty"`
}

// TLSConfig names the files of a certificate; they are read again when they change.
type TLSConfig struct {
	// Certificate is the chain, PEM, the server's first.
	Certificate string `yaml:"certificate,omitempty"`
	// Key is its private key, PEM.
	Key string `yaml:"key,omitempty"`
}

// Limits hold back strangers who ask or guess too often: they are answered 429
// with the time to come back. Each process counts for itself.
type Limits struct {
	// Off lifts all limits but that of connections, for load tests and
	// conformance suites, where everybody has one address. Optional, false.
	Off bool `yaml:"off,omitempty"`
	// PerAddress is how many things one address, IPv4 or the /64 of IPv6, may
	// begin within a minute that leave rows behind: opening log-in pages, asking
	// at public pages of a verifier; installing an app counts as ten. At least
	// 10. Optional, 300.
	PerAddress int `yaml:"perAddress,omitempty"`
	// PerTenant is the same for all addresses together, for each tenant. At
	// least 10. Optional, 3000.
	PerTenant int `yaml:"perTenant,omitempty"`
	// PerApp is how many requests one installation of an app may send within a
	// minute, after it has proved which it is. Optional, 240.
	PerApp int `yaml:"perApp,omitempty"`
	// PerService is the same for a client of the issuer with keys of its own,
	// which asks for many people. Optional, 6000.
	PerService int `yaml:"perService,omitempty"`
	// WrongCodes is how many wrong enrolment codes are taken from one address
	// within an hour, whomever they are tried for. Optional, 60.
	WrongCodes int `yaml:"wrongCodes,omitempty"`
	// WrongCodesPerTenant is the same for all addresses together, for each
	// tenant. Optional, 600.
	WrongCodesPerTenant int `yaml:"wrongCodesPerTenant,omitempty"`
	// WaitingPerAddress is how many pages at one address may wait for the answer
	// to a verifier's question by server-sent events at a time, everybody behind
	// one NAT together; those beyond ask for the state now and then instead.
	// Optional, 512.
	WaitingPerAddress int `yaml:"waitingPerAddress,omitempty"`
	// Proxies are the networks of those in front, such as 10.0.0.0/8, whose
	// X-Forwarded-For says where a request comes from. Without them all requests
	// that a proxy passes on count as its own. Optional.
	Proxies []string `yaml:"proxies,omitempty"`
	// Connections is how many may be open at a time. Optional, 4096.
	Connections int `yaml:"connections,omitempty"`
}

const defaultListen = "127.0.0.1:8080"

// loadConfig reads a configuration file; none is the zero Config.
func loadConfig(name string) (Config, error) {
	var c Config
	if name == "" {
		return c, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return c, &failure{status: exitUsage, err: err}
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return c, nil
	}
	if err := yaml.Load(data, &c, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return c, usage("%s: %v", name, err)
	}
	return c, nil
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var problems []error
	add := func(where string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", where, err))
		}
	}
	host, _, err := net.SplitHostPort(c.listen())
	switch {
	case err != nil:
		add("listen", fmt.Errorf("wanted host:port: %w", err))
	case !c.public():
	case c.TrustService == "" && c.Trust.URL == "" && c.Issuer.URL+c.Verifier.URL != "":
		add("trustService", errors.New("the demonstration's is for loopback: name the trust service whose lists are followed"))
	case c.TrustService != "" && c.TrustService != c.Trust.URL+"/default" && c.TrustFingerprint == "":
		add("trustFingerprint", errors.New("trust on first use is for loopback: name the CA of the trust service"))
	}
	if err == nil && !web.IsLoopbackName(host) {
		for role, u := range map[string]string{"issuer": c.Issuer.URL, "provider": c.Provider.URL, "verifier": c.Verifier.URL, "trust": c.Trust.URL} {
			if u == "" {
				add(role+".url", fmt.Errorf("listening on %s needs a public URL; the demonstration's is for loopback", c.listen()))
			}
		}
	}
	if c.Database != "" && c.Database != "sqlite" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		add("database", errors.New("wanted sqlite or a postgres:// URL"))
	}
	for option, listen := range map[string]string{"issuer.admin.listen": c.Issuer.Admin.Listen, "verifier.api.listen": c.Verifier.API.Listen} {
		if host, _, err := net.SplitHostPort(listen); err == nil && !web.IsLoopbackName(host) && c.TLS.Certificate == "" {
			add(option, errors.New("on an address that others reach the API needs tls"))
		}
	}
	add("limits", c.Limits.check())
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		add("tls", errors.New("certificate and key go together"))
	}
	for role, err := range map[string]error{
		"issuer": c.Issuer.Check(), "provider": c.Provider.Check(), "verifier": c.Verifier.Check(),
		"trust": c.Trust.Check(), "monitor": c.Monitor.Check(), "wallet": c.Wallet.Check(), "walletPages": c.WalletPages.Check(),
	} {
		add(role, err)
	}
	return errors.Join(problems...)
}

// inOrder is Check as a failure with its advice.
func (c Config) inOrder() error {
	if err := c.Check(); err != nil {
		return &failure{status: exitUsage, err: err, hint: "eidos config doc prints the manual"}
	}
	return nil
}

// public reports whether a role is reachable from other machines: under its
// own address, or behind a proxy that a public URL leads to. Then nothing is
// fetched from loopback addresses, whatever a stranger's message names.
func (c Config) public() bool {
	host, _, err := net.SplitHostPort(c.listen())
	if err == nil && !web.IsLoopbackName(host) {
		return true
	}
	for _, s := range []string{c.Issuer.URL, c.Provider.URL, c.Verifier.URL, c.Trust.URL, c.Monitor.URL} {
		if u, err := url.Parse(s); s != "" && (err != nil || !web.IsLoopbackName(u.Hostname())) {
			return true
		}
	}
	return false
}

func (c Config) listen() string {
	if c.Listen == "" {
		return defaultListen
	}
	return c.Listen
}
