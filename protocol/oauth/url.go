package oauth

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// maxURL limits every URL that is read here, in bytes.
const maxURL = 2048

// WellKnown returns the URL of the metadata of an issuer: the well-known path
// put between host and path, not appended. RFC 8414, 3.1; OpenID4VCI 1.0,
// 12.2.2 uses the same rule with "openid-credential-issuer".
func WellKnown(issuer, suffix string) (string, error) {
	if err := CheckIssuer(issuer); err != nil {
		return "", err
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("issuer: %w", err)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + "/.well-known/" + suffix + path, nil
}

// CheckURL returns nil for an absolute URL with a host that may be fetched or
// announced: https, or http on a loopback name (localhost, *.localhost,
// 127.0.0.0/8, ::1); no user information, no fragment, at most 2048 bytes.
func CheckURL(rawURL string) error {
	if len(rawURL) > maxURL {
		return fmt.Errorf("URL of %d bytes, limit %d", len(rawURL), maxURL)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("malformed URL %.80q", rawURL)
	}
	switch {
	case u.Hostname() == "":
		return fmt.Errorf("URL %.80q has no host", rawURL)
	case u.User != nil || strings.Contains(rawURL, "#"):
		return fmt.Errorf("URL of host %.80q has user information or a fragment", u.Host)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("URL %.80q: https wanted, or http on loopback", rawURL)
}

// CheckIssuer is CheckURL for an issuer identifier, which also has no query.
// RFC 8414, 2; OpenID4VCI 1.0, 12.2.1.
func CheckIssuer(issuer string) error {
	if err := CheckURL(issuer); err != nil {
		return fmt.Errorf("issuer identifier: %w", err)
	}
	if strings.Contains(issuer, "?") {
		return fmt.Errorf("issuer identifier %.80q has a query", issuer)
	}
	return nil
}

// loopback reports whether a host name can only be this machine. RFC 6761, 6.3.
func loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// checkRedirectURI wants a URI that a browser may be sent to: https, http on
// loopback, or an app's private-use scheme. RFC 8252, 7; RFC 9700, 4.1.3.
func checkRedirectURI(s string) error {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Scheme == "" || strings.Contains(s, "#") {
		return fmt.Errorf("redirect URI %.80q is not an absolute URI without fragment", s)
	}
	switch u.Scheme {
	case "http", "https":
		return CheckURL(s)
	case "javascript", "data", "vbscript", "file", "blob", "about", "mailto":
		return fmt.Errorf("redirect URI %.80q: scheme not allowed", s)
	}
	return nil
}

// targetURI is the URI that htu is compared by: without query and fragment,
// scheme and host in lower case, no default port, no needless percent-encoding,
// "/" for an empty path. RFC 9449, 4.3, refers to RFC 3986, 6.2.2 and 6.2.3.
func targetURI(s string) (string, error) {
	if len(s) > maxURL {
		return "", fmt.Errorf("URI of %d bytes, limit %d", len(s), maxURL)
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("not an absolute URI")
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if (scheme == "https" && u.Port() == "443") || (scheme == "http" && u.Port() == "80") || strings.HasSuffix(host, ":") {
		host = host[:strings.LastIndexByte(host, ':')]
	}
	path := normalPath(u.EscapedPath())
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, nil
}

// normalPath decodes percent-encoded unreserved characters and writes the
// digits of the others in upper case.
func normalPath(p string) string {
	if !strings.Contains(p, "%") {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' || i+2 >= len(p) {
			b.WriteByte(p[i])
			continue
		}
		c, err := url.PathUnescape(p[i : i+3])
		if err == nil && (isAlphanumeric(c[0]) || strings.Contains("-._~", c)) {
			b.WriteString(c)
		} else {
			b.WriteString(strings.ToUpper(p[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// origin is scheme and host of a URL that was checked.
func origin(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// withQuery appends parameters to a URI that may have a query already.
func withQuery(uri string, params url.Values) string {
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
		if strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&") {
			sep = ""
		}
	}
	return uri + sep + params.Encode()
}
