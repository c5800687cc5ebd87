package verifier

import (
	_ "embed" // ConfigSource
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier/core"
)

// ConfigSource is this file: the manual of the configuration is made of its
// comments.
//
//go:embed config.go
var ConfigSource string

// Config configures a verifier. The zero Config is the demonstration's relying
// party and reader, "default", on loopback.
type Config struct {
	// URL is the public origin, without a path and a trailing slash. Its host
	// stands in the reader certificate. Optional, http://verifier.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Tenants are the relying parties that ask here, kept apart in keys, rows
	// and addresses. Optional, the one of the demonstration.
	Tenants []Tenant `yaml:"tenants,omitempty"`

	// Trust is the base URL of the trust service whose lists are followed, with
	// its tenant. Optional on loopback, http://trust.localhost:8080/default.
	Trust string `yaml:"trust,omitempty"`

	// TrustFingerprint is the SHA-256 of the trust service's CA certificate in
	// hex. Optional: without it the certificate met first is pinned.
	TrustFingerprint string `yaml:"trustFingerprint,omitempty"`

	// Types are files of document types, besides those that are built in.
	Types []string `yaml:"types,omitempty"`

	// RequestLifetime is how long a holder has to answer. Optional, 5 minutes.
	RequestLifetime time.Duration `yaml:"requestLifetime,omitempty"`

	// ResultLifetime is how long an answer is kept, encrypted, for whoever
	// asked to fetch it; then it is deleted. Optional, 5 minutes.
	ResultLifetime time.Duration `yaml:"resultLifetime,omitempty"`

	// HistoryLifetime is how long the relying party's operator sees what became
	// of a transaction: state, verdict and checks, no attribute. Optional, 7 days.
	HistoryLifetime time.Duration `yaml:"historyLifetime,omitempty"`

	// API is the interface for a relying party's own systems; see
	// docs/relying-party.md.
	API API `yaml:"api,omitempty"`

	// StatusMaxAge is the longest that a fetched status list is used before it
	// is asked for again, whatever it says itself, and so how late a revocation
	// may be noticed. Optional, 5 minutes.
	StatusMaxAge time.Duration `yaml:"statusMaxAge,omitempty"`

	// PackEvery is how often the offline pack of the readers is brought up to
	// date. Optional, 15 minutes.
	PackEvery time.Duration `yaml:"packEvery,omitempty"`

	// Strict refuses what is a warning otherwise: certificates that depart
	// from their profile, documents that outlive their signer's certificate.
	Strict bool `yaml:"strict,omitempty"`

	// WalletLink is the address of a wallet with pages of its own, which the
	// waiting page offers beside the link that the system opens: the parameters
	// of the request are put behind it. Optional, only the demonstration has
	// it: https, or plain http on a name of this machine.
	WalletLink string `yaml:"walletLink,omitempty"`

	// RequireStatus refuses documents that name status lists of which nothing
	// could be found out.
	RequireStatus bool `yaml:"requireStatus,omitempty"`
}

// API is the interface for a relying party's own systems, and the console of
// its operator, on a listener of their own: they are not on the public origin.
type API struct {
	// Listen is its address, such as 127.0.0.1:8091; off while it is empty. On
	// any but a loopback address it is served with TLS only: then the
	// certificate of the roles is needed.
	Listen string `yaml:"listen,omitempty"`
	// PrivateWebhooks lets webhooks go to private addresses (RFC 1918, RFC 4193,
	// RFC 6598), for receivers in the relying party's own network. Optional, false.
	PrivateWebhooks bool `yaml:"privateWebhooks,omitempty"`
}

// Tenant is one relying party.
type Tenant struct {
	// ID is part of every address of the relying party: lower-case letters,
	// digits and "-", at most 32.
	ID string `yaml:"id"`
	// Name is shown to holders and stands in the certificates as organization.
	Name string `yaml:"name"`
	// Country of the certificates, ISO 3166-1 alpha-2. Optional.
	Country string `yaml:"country,omitempty"`
	// Identifier is the semantic identifier of the relying party, such as
	// VATUT-12345678, for its reader certificate: a registration certificate (Info)
	// is about it. It counts from the next reader certificate on. Optional. ETSI EN
	// 319 412-1, 5.1.4.
	Identifier string `yaml:"identifier,omitempty"`
	// ClientID is how the relying party is named to wallets: x509_hash, by its
	// certificate; x509_san_dns, by its host; did:web, by a DID whose document is
	// at URL/ID/did.json; did:jwk, by its key; verifier_attestation, by somebody
	// who vouches for it; or pre-registered, if wallets know it beforehand. The
	// key is always that of its reader certificate. Optional, x509_hash, which
	// HAIP 1.0 wants.
	ClientID string `yaml:"clientID,omitempty"`
	// AlsoNamed are further ones of these, for pages that ask through the browser:
	// each signs the same request (openid4vp-v1-multisigned). Optional.
	AlsoNamed []string `yaml:"alsoNamed,omitempty"`
	// RegisteredAs is the client id that wallets know: for pre-registered.
	RegisteredAs string `yaml:"registeredAs,omitempty"`
	// Attestation is a file with a verifier attestation (JWT) for the key of the
	// reader certificate: for verifier_attestation. It is read for every request:
	// put a new one there before the old one ends.
	Attestation string `yaml:"attestation,omitempty"`
	// Info is what others say of the relying party, such as a registration
	// certificate: it goes with every signed request. Optional.
	Info []Info `yaml:"info,omitempty"`
	// Issuers are the base URLs of issuing authorities whose list of status
	// lists, below /status, is fetched into the offline pack. Optional: those
	// that the trust anchors and the documents met so far name are known.
	Issuers []string `yaml:"issuers,omitempty"`
	// Presets are questions with a name, besides those that are built in.
	Presets []core.Preset `yaml:"presets,omitempty"`
	// Page publishes a page on which anybody can begin to prove their identity
	// to the relying party, with the presets. Optional, only the demonstration
	// has it: who begins gets the result.
	Page bool `yaml:"page,omitempty"`
	// RedirectURIs are the addresses of the relying party's own that a browser
	// may be sent back to, to the letter. Optional: without one, our own page.
	RedirectURIs []string `yaml:"redirectURIs,omitempty"`
	// Origins are those of the relying party's own web pages, which may use the
	// Digital Credentials API of browsers and, with page, begin with a preset by
	// themselves: whoever opens such a page gets the result. Optional: other pages
	// show link and QR code of what the relying party's own systems began.
	Origins []string `yaml:"origins,omitempty"`
	// Retain is the longest that answers may be kept where the question says
	// that they will be. Optional: none is kept.
	Retain time.Duration `yaml:"retain,omitempty"`
	// Policy is what the relying party wants of documents beyond their being in
	// order, over the internet and on-site. Optional: nothing more.
	Policy Policy `yaml:"policy,omitempty"`
	// TransactionTypes are the types of transaction data that questions may have
	// holders agree to. Optional, none.
	TransactionTypes []TransactionType `yaml:"transactionTypes,omitempty"`
	// Compatibility lets questions depart from HAIP 1.0, for wallets that cannot
	// follow it. Optional: none may.
	Compatibility Compatibility `yaml:"compatibility,omitempty"`
}

// TransactionType is a type of transaction data: what a holder may agree to by
// answering, such as a payment. Wallets have to know it, too. OpenID4VP 1.0, 8.4.
type TransactionType struct {
	// Type is its name, often a URI.
	Type string `yaml:"type"`
	// Element is the device-signed element in which an mdoc agrees, as
	// NAMESPACE/ELEMENT; the issuer of the document has to allow it. Optional:
	// SD-JWT VCs alone can agree.
	Element string `yaml:"element,omitempty"`
	// HashAlgorithms are those that wallets choose from: sha-256, sha-384,
	// sha-512. Optional, sha-256.
	HashAlgorithms []string `yaml:"hashAlgorithms,omitempty"`
}

// Compatibility is what a relying party's systems may ask for that HAIP 1.0 does
// not allow. Questions that do not ask for it go out and come back as it wants.
type Compatibility struct {
	// Unsigned lets questions go out without a signature, under the client
	// identifier prefix redirect_uri: nobody proves who asks.
	Unsigned bool `yaml:"unsigned,omitempty"`
	// ResponseModes are those that questions may name besides direct_post.jwt:
	// direct_post, not encrypted, and fragment, which takes the answer through the
	// address line of the holder's browser.
	ResponseModes []string `yaml:"responseModes,omitempty"`
}

// Info is what somebody says of a relying party (verifier_info). OpenID4VP 1.0,
// 5.1 and 5.11.
type Info struct {
	// Format says how to read it, such as registration_cert.
	Format string `yaml:"format"`
	// File has it: a JSON object, or a text such as a JWT. It is read for every
	// request.
	File string `yaml:"file"`
}

// Policy is what a relying party wants of documents. What does not meet it is
// not valid, and the report says why.
type Policy struct {
	// MaxAge is how long ago the issuer may have signed a document. Optional:
	// for as long as it is valid.
	MaxAge time.Duration `yaml:"maxAge,omitempty"`
	// MaxStatusAge is how old the status list may be that says that a document
	// was not withdrawn; requireStatus refuses those of which nothing was found
	// out. Optional: as old as the list allows.
	MaxStatusAge time.Duration `yaml:"maxStatusAge,omitempty"`
	// MinLevel is the level of assurance that the issuer must have by the list
	// that it is trusted by: low, substantial or high. Optional: any, or none.
	MinLevel string `yaml:"minLevel,omitempty"`
	// Countries are those whose issuers are accepted, ISO 3166-1 alpha-2.
	// Optional: all.
	Countries []string `yaml:"countries,omitempty"`
	// FirstUse are files with certificates of document signers, PEM or DER, that
	// the operator accepted though no list has their issuers: each is trusted as
	// it is, and every report warns of it. Optional: lists alone count.
	FirstUse []string `yaml:"firstUse,omitempty"`
}

// DemoTenant is the relying party of the demonstration, with a page for everybody.
func DemoTenant() Tenant {
	return Tenant{ID: defaultTenant, Name: "Eidos Demo Verifier", Page: true}
}

// The ways to name a relying party. OpenID4VP 1.0, 5.9.3.
const (
	ClientX509Hash    = "x509_hash"
	ClientX509SANDNS  = "x509_san_dns"
	ClientDIDWeb      = "did:web"
	ClientDIDJWK      = "did:jwk"
	ClientAttestation = "verifier_attestation"
	ClientRegistered  = "pre-registered"
)

const (
	defaultTenant = "default"
	defaultURL    = "http://verifier.localhost:8080"
	defaultTrust  = "http://trust.localhost:8080/default"
)

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	conf.Default(&c.URL, defaultURL)
	if c.Trust == "" && conf.Loopback(c.URL) {
		c.Trust = defaultTrust
	}
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{DemoTenant()}
	}
	conf.Default(&c.RequestLifetime, 5*time.Minute)
	conf.Default(&c.ResultLifetime, 5*time.Minute)
	conf.Default(&c.HistoryLifetime, 7*24*time.Hour)
	conf.Default(&c.StatusMaxAge, 5*time.Minute)
	conf.Default(&c.PackEvery, 15*time.Minute)
	tenants := make([]Tenant, len(c.Tenants))
	for i, t := range c.Tenants {
		if t.ClientID == "" {
			t.ClientID = ClientX509Hash
		}
		tenants[i] = t
	}
	c.Tenants = tenants
	return c
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var p conf.Problems
	demo := ""
	if len(c.Tenants) == 0 {
		demo = "say who asks"
	}
	c = c.complete()
	p.Site(c.URL, demo)
	if u, err := url.Parse(c.URL); err == nil && net.ParseIP(u.Hostname()) != nil {
		p.Add("url: wanted a host name: it stands in the reader certificate")
	}
	if err := conf.Address(c.Trust); err != nil {
		p.Add("trust: %w of a trust service with its tenant", err)
	} else if !conf.Loopback(c.URL) && conf.Loopback(c.Trust) {
		p.Add("trust: the demonstration's trust service is for loopback only")
	}
	if c.WalletLink != "" && (conf.Address(c.WalletLink) != nil || strings.ContainsAny(c.WalletLink, "?#")) {
		p.Add("walletLink: wanted https, or http to a loopback name, without query or fragment")
	}
	if s := strings.ReplaceAll(c.TrustFingerprint, ":", ""); s != "" && (len(s) != 64 || strings.Trim(strings.ToLower(s), "0123456789abcdef") != "") {
		p.Add("trustFingerprint: wanted 64 hexadecimal digits")
	}
	p.Within("requestLifetime", c.RequestLifetime, 10*time.Second, time.Hour)
	p.Within("resultLifetime", c.ResultLifetime, 10*time.Second, 24*time.Hour)
	p.Within("historyLifetime", c.HistoryLifetime, time.Minute, 366*24*time.Hour)
	if l := c.API.Listen; l != "" {
		_, _, err := net.SplitHostPort(l)
		p.AddError("api.listen", err)
	}
	p.Within("statusMaxAge", c.StatusMaxAge, time.Millisecond, 24*time.Hour)
	p.Within("packEvery", c.PackEvery, time.Second, 24*time.Hour)
	types, err := c.types()
	if err != nil {
		p.Add("types: %w", err)
		types = doctype.Builtin()
	}
	conf.Tenants(&p, c.Tenants, func(t Tenant) string { return t.ID }, func(t Tenant) error { return t.check(types, c.URL) })
	return p.Err()
}

func (t Tenant) check(types *doctype.Catalogue, base string) error {
	var p conf.Problems
	p.Length("name", t.Name, 64)
	if len(t.Identifier) > 64 || strings.ContainsFunc(t.Identifier, func(r rune) bool { return r <= ' ' || r > '~' }) {
		p.Add("identifier: wanted at most 64 characters without spaces, such as VATUT-12345678")
	}
	if t.Country != "" {
		p.Country("country", t.Country)
	}
	t.checkNames(&p, base)
	for _, u := range t.Issuers {
		p.AddError("issuers", conf.Address(u))
	}
	for _, u := range t.RedirectURIs {
		if uri, err := url.Parse(u); err != nil || uri.Scheme == "" || uri.Fragment != "" || uri.Scheme == "javascript" || uri.Scheme == "data" ||
			uri.Scheme == "http" && !conf.Loopback(u) {
			p.Add("redirectURIs: wanted absolute URLs without fragment, https or http to a loopback name, or of an app")
		}
	}
	for _, o := range t.Origins {
		if u, err := url.Parse(o); conf.Address(o) != nil || err != nil || u.Path != "" || u.RawQuery != "" || strings.HasSuffix(o, "?") {
			p.Add("origins: wanted https origins without a path, or http to a loopback name")
		}
	}
	if t.Retain < 0 || t.Retain > 10*366*24*time.Hour {
		p.Add("retain: wanted at most ten years")
	}
	p.AddError("policy", t.Policy.check())
	t.checkTransactionTypes(&p)
	for _, mode := range t.Compatibility.ResponseModes {
		if mode != oid4vp.DirectPost && mode != oid4vp.Fragment {
			p.Add("compatibility.responseModes: %.40q, wanted %s or %s", mode, oid4vp.DirectPost, oid4vp.Fragment)
		}
	}
	for _, preset := range t.Presets {
		if preset.Name == "" || strings.ContainsAny(preset.Name, ":/,;| ") || preset.Title == "" {
			p.Add("presets: each needs a title and a name of letters and digits")
		}
		a, err := core.ParseAsk(preset.Ask, types)
		if err == nil && preset.OnSite != "" {
			_, err = core.ParseAsk(preset.OnSite, types)
		}
		if err == nil {
			_, err = a.WithPurpose(preset.Purpose)
		}
		if err != nil {
			p.Add("presets: %.40q: %w", preset.Name, err)
		}
	}
	return p.Err()
}

// types are those built in and those in files.
func (c Config) types() (*doctype.Catalogue, error) {
	return doctype.Builtin().WithFiles(os.ReadFile, c.Types...)
}
