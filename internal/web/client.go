package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
)

// Options configures a client. The zero value is for the open internet: https
// to public addresses only.
type Options struct {
	// AllowLoopback permits 127.0.0.0/8 and ::1, and plain http to loopback
	// names. The demo needs it.
	AllowLoopback bool

	// AllowPrivate permits private and unique-local addresses (RFC 1918,
	// RFC 4193, RFC 6598), for a service inside an organisation's network.
	AllowPrivate bool

	// RootCAs are trusted besides those of the system. Optional.
	RootCAs []*x509.Certificate

	// Timeout limits a whole exchange. Optional, 15 seconds if zero.
	Timeout time.Duration

	// Connections limits how many are open to one host. Optional, 32 if zero.
	Connections int
}

// NewClient returns a fetch.Func over HTTP. It refuses addresses that the
// options do not allow after the name is resolved, on the very address that is
// dialled, so that a name cannot be rebound in between. localhost and
// *.localhost are loopback without asking a resolver (RFC 6761, 6.3). It uses
// no proxy, keeps no cookies and follows no redirect.
//
// Errors wrap fetch.ErrForbidden or fetch.ErrTooLarge where these apply; they
// name the host, but not the path or query, which may hold secrets.
func NewClient(o Options) (fetch.Func, error) {
	tlsConfig := ClientTLS()
	if len(o.RootCAs) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("web: certificates of the system: %w", err)
		}
		for _, c := range o.RootCAs {
			pool.AddCert(c)
		}
		tlsConfig.RootCAs = pool
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Connections == 0 {
		o.Connections = 32
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: o.control}
	c := &client{options: o, http: &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, loopbackAddress(address))
			},
			TLSClientConfig:        tlsConfig,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  o.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    8,
			MaxConnsPerHost:        o.Connections,
			IdleConnTimeout:        30 * time.Second,
		},
	}}
	return c.fetch, nil
}

type client struct {
	options Options
	http    *http.Client
}

func (c *client) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	u, err := c.checkURL(r.URL)
	if err != nil {
		return fetch.Response{}, err
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return fetch.Response{}, fmt.Errorf("web: %s %s: malformed request", r.Method, u.Host)
	}
	for k, v := range r.Header {
		req.Header.Set(k, v)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "eidos")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // without the URL, which may hold secrets
		}
		return fetch.Response{}, fmt.Errorf("web: %s %s: %w", r.Method, u.Host, c.late(ctx, err))
	}
	defer resp.Body.Close()
	limit := int64(r.MaxBytes)
	if limit == 0 {
		limit = fetch.DefaultMaxBytes
	}
	if resp.ContentLength > limit {
		return fetch.Response{}, fmt.Errorf("web: %s %s: %w: %d bytes, at most %d", r.Method, u.Host, fetch.ErrTooLarge, resp.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return fetch.Response{}, fmt.Errorf("web: %s %s: read the answer: %w", r.Method, u.Host, c.late(ctx, err))
	}
	if int64(len(body)) > limit {
		return fetch.Response{}, fmt.Errorf("web: %s %s: %w: at most %d bytes", r.Method, u.Host, fetch.ErrTooLarge, limit)
	}
	return fetch.Response{Status: resp.StatusCode, Header: flatten(resp.Header), Body: body}, nil
}

// late says in plain words that our own limit of time ended an exchange.
func (c *client) late(ctx context.Context, err error) error {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && ctx.Err() == nil {
		return lateError{c.options.Timeout, err}
	}
	return err
}

type lateError struct {
	limit time.Duration
	cause error
}

func (e lateError) Error() string {
	return fmt.Sprintf("there was no complete answer within the %v that it may take", e.limit)
}

func (e lateError) Unwrap() error { return e.cause }

// checkURL refuses what is neither https nor, where allowed, http to loopback.
func (c *client) checkURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("web: malformed address of a request")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && IsLoopbackName(u.Hostname()) && c.options.AllowLoopback:
	default:
		return nil, fmt.Errorf("web: %s: %w: scheme %q, not https", u.Host, fetch.ErrForbidden, u.Scheme)
	}
	return u, nil
}

// control is called by a dialer with the resolved address.
func (o Options) control(_, address string, _ syscall.RawConn) error { return o.checkAddress(address) }

// checkAddress refuses an address, IP and port, just before it is dialled.
func (o Options) checkAddress(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is not an address", fetch.ErrForbidden, address)
	}
	ip := ap.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLoopback():
		if !o.AllowLoopback {
			return fmt.Errorf("%w: a loopback address", fetch.ErrForbidden)
		}
	case ip.IsPrivate() || sharedSpace.Contains(ip):
		if !o.AllowPrivate {
			return fmt.Errorf("%w: a private address", fetch.ErrForbidden)
		}
	case !ip.IsGlobalUnicast() || reserved(ip):
		return fmt.Errorf("%w: not a public address", fetch.ErrForbidden)
	}
	return nil
}

var (
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

	// reservedSpace is what looks like unicast but leads nowhere public, or
	// carries an IPv4 address inside that would escape the checks above.
	reservedSpace = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"),          // IPv4-compatible
		netip.MustParsePrefix("64:ff9b::/96"),   // NAT64, RFC 6052
		netip.MustParsePrefix("64:ff9b:1::/48"), // local NAT64, RFC 8215
		netip.MustParsePrefix("2001::/32"),      // Teredo
		netip.MustParsePrefix("2002::/16"),      // 6to4
		netip.MustParsePrefix("fec0::/10"),      // site-local
	}
)

func reserved(ip netip.Addr) bool {
	for _, p := range reservedSpace {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// IsLoopbackName reports whether a host, without port, is localhost or a name
// under it or a loopback address: the names for which plain http is accepted.
func IsLoopbackName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// loopbackAddress replaces a localhost name in host:port by 127.0.0.1.
func loopbackAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && IsLoopbackName(host) && !isIP(host) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// flatten gives each header one value and a name in lower case. Values of one
// name are joined as RFC 9110, 5.3 says.
func flatten(h http.Header) map[string]string {
	m := make(map[string]string, len(h))
	for k, v := range h {
		m[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	return m
}

// ClientTLS returns the TLS settings of everything that we call: TLS 1.3, or
// 1.2 with forward secrecy and AES-GCM.
func ClientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites()}
}

// suites are those of TLS 1.2 that are accepted; those of 1.3 are fixed.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
}
