package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
)

// inspectURI decodes the links of the system.
func inspectURI(s string) (node, error) {
	if rest, ok := strings.CutPrefix(s, "mdoc:"); ok {
		rest, website := strings.CutPrefix(rest, "//")
		raw, err := base64.RawURLEncoding.DecodeString(rest)
		if err != nil {
			return node{}, fmt.Errorf("mdoc: is not followed by base64url (ISO/IEC 18013-5:2021, 8.2.2.3)")
		}
		if website {
			return inspectShape(raw, readerEngagementShape())
		}
		return inspectCBOR(raw)
	}
	u, err := url.Parse(s)
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return node{}, fmt.Errorf("not a URI (RFC 3986): %w", ue.Err) // without the link: it may hold a secret
	}
	if err != nil {
		return node{}, err
	}
	n := node{Name: "link", Value: u.Scheme + "://" + u.Host + u.Path}
	switch q := u.Query(); {
	case q.Has("credential_offer") || q.Has("credential_offer_uri"):
		n.Name, n.Clause = "credential offer", "OpenID4VCI 1.0, 4.1"
	case q.Has("request_uri") || q.Has("request"):
		n.Name, n.Clause = "authorization request", "OpenID4VP 1.0, 5"
	}
	query := u.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, v := range query[name] {
			if in, err := inspectJSON(v); err == nil {
				in.Name = name
				n.Children = append(n.Children, in)
				continue
			}
			n.Children = append(n.Children, leaf(name, "%s", v))
		}
	}
	return n, nil
}

// inspectToken decodes a JWT, an SD-JWT or a JWE: headers and what is readable.
func inspectToken(s string) (node, error) {
	parts := strings.Split(strings.Split(s, "~")[0], ".")
	header, err := tokenPart(parts[0])
	if err != nil {
		return node{}, fmt.Errorf("header of the token: %w", err)
	}
	header.Name = "header"
	switch {
	case len(parts) == 5:
		return node{Name: "JWE", Note: "encrypted; only its header can be read", Clause: "RFC 7516, 3.1", Children: []node{
			header, leaf("ciphertext", "%d characters", len(parts[3]))}}, nil
	case len(parts) != 3:
		return node{}, fmt.Errorf("a token of %d parts is neither JWS (3) nor JWE (5)", len(parts))
	}
	payload, err := tokenPart(parts[1])
	if err != nil {
		return node{}, fmt.Errorf("payload of the token: %w", err)
	}
	payload.Name = "payload"
	n := node{Name: "JWT", Note: "signature not verified", Clause: "RFC 7519", Children: []node{header, payload}}
	if disclosures := strings.Split(s, "~"); len(disclosures) > 1 {
		n.Name = "SD-JWT"
		n.Clause = "RFC 9901, 4"
		for _, d := range disclosures[1:] {
			if strings.Contains(d, ".") {
				in, err := inspectToken(d)
				if err != nil {
					return node{}, err
				}
				in.Note = "key binding"
				n.Children = append(n.Children, in)
			} else if d != "" {
				in, err := tokenPart(d)
				if err != nil {
					return node{}, fmt.Errorf("disclosure: %w", err)
				}
				in.Name = "disclosure"
				n.Children = append(n.Children, in)
			}
		}
	}
	return n, nil
}

func tokenPart(s string) (node, error) {
	raw, err := jose.Decode(s)
	if err != nil {
		return node{}, err
	}
	return inspectJSON(string(raw))
}

// inspectJSON shows JSON in its own order.
func inspectJSON(s string) (node, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	n, err := jsonNode(d, "", 0)
	if err != nil {
		return node{}, fmt.Errorf("JSON: %w", err)
	}
	if d.More() {
		return node{}, fmt.Errorf("JSON: text after the end")
	}
	return n, nil
}

func jsonNode(d *json.Decoder, name string, depth int) (node, error) {
	if depth > 64 {
		return node{}, fmt.Errorf("nested deeper than 64")
	}
	t, err := d.Token()
	if err != nil {
		return node{}, err
	}
	n := node{Name: name}
	delim, ok := t.(json.Delim)
	if !ok {
		if text, ok := t.(string); ok {
			if in, ok := embeddedCBOR(name, text); ok {
				return in, nil
			}
		}
		n.Value, n.Note = jsonScalar(name, t)
		return n, nil
	}
	for i := 0; d.More(); i++ {
		key := fmt.Sprintf("[%d]", i)
		if delim == '{' {
			k, err := d.Token()
			if err != nil {
				return n, err
			}
			key, _ = k.(string)
		} else if name == "x5c" {
			key = name // certificates, one an entry
		}
		c, err := jsonNode(d, key, depth+1)
		if err != nil {
			return n, err
		}
		n.Children = append(n.Children, c)
	}
	_, err = d.Token()
	return n, err
}

// jsonScalar renders a value; times as times, certificates in one line.
func jsonScalar(name string, t json.Token) (value, note string) {
	switch v := t.(type) {
	case json.Number:
		if sec, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			switch name {
			case "iat", "exp", "nbf", "auth_time", "updated_at":
				note = time.Unix(sec, 0).UTC().Format(time.RFC3339)
			}
		}
		return v.String(), note
	case string:
		if name == "x5c" {
			if der, err := base64.StdEncoding.DecodeString(v); err == nil {
				if c, err := pki.ParseCertificate(der); err == nil {
					return certificateLine(c).Value, "certificate"
				}
			}
		}
		if len(v) > 200 {
			return strconv.Quote(v[:80]) + "…", fmt.Sprintf("%d characters", len(v))
		}
		return strconv.Quote(v), ""
	case nil:
		return "null", ""
	}
	return fmt.Sprint(t), ""
}

func inspectPEM(data []byte) (node, error) {
	n := node{Name: "PEM"}
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			n.Children = append(n.Children, leaf(block.Type, "[redacted]"))
		} else if in, ok := inspectDER(block.Bytes); ok {
			n.Children = append(n.Children, in)
		} else {
			n.Children = append(n.Children, leaf(block.Type, "%d bytes", len(block.Bytes)))
		}
		data = rest
	}
	if len(n.Children) == 0 {
		return node{}, fmt.Errorf("PEM without a block")
	}
	return n, nil
}

// inspectDER decodes certificates, requests and revocation lists.
func inspectDER(b []byte) (node, bool) {
	if len(b) < 2 || b[0] != 0x30 {
		return node{}, false
	}
	if c, err := pki.ParseCertificate(b); err == nil {
		return certificateNode(c), true
	}
	if req, err := pki.ParseRequest(b); err == nil {
		return node{Name: "certificate request", Clause: "RFC 2986", Children: []node{
			leaf("subject", "%s", req.Subject), leaf("public key", "%s", req.PublicKeyAlgorithm)}}, true
	}
	if crl, err := x509.ParseRevocationList(b); err == nil {
		n := node{Name: "certificate revocation list", Clause: "ISO/IEC 18013-5 second edition (draft v4), B.2", Children: []node{
			leaf("issuer", "%s", crl.Issuer), leaf("number", "%s", crl.Number),
			leaf("this update", "%s", crl.ThisUpdate.UTC().Format(time.RFC3339)),
			leaf("next update", "%s", crl.NextUpdate.UTC().Format(time.RFC3339))}}
		for _, e := range crl.RevokedCertificateEntries {
			n.Children = append(n.Children, leaf("revoked", "serial %x on %s", e.SerialNumber, e.RevocationTime.UTC().Format(time.RFC3339)))
		}
		return n, true
	}
	return node{}, false
}

func certificateLine(c *x509.Certificate) node {
	return node{Value: fmt.Sprintf("certificate of %s, by %s, %s to %s", c.Subject, c.Issuer,
		c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))}
}

func certificateNode(c *x509.Certificate) node {
	n := node{Name: "certificate", Clause: "RFC 5280, 4.1", Children: []node{
		leaf("subject", "%s", c.Subject), leaf("issuer", "%s", c.Issuer), leaf("serial number", "%x", c.SerialNumber),
		leaf("not before", "%s", c.NotBefore.UTC().Format(time.RFC3339)), leaf("not after", "%s", c.NotAfter.UTC().Format(time.RFC3339)),
		leaf("signature algorithm", "%s", c.SignatureAlgorithm), leaf("subject key identifier", "%x", c.SubjectKeyId),
		leaf("authority key identifier", "%x", c.AuthorityKeyId), leaf("CA", "%t", c.IsCA)}}
	for _, name := range c.DNSNames {
		n.Children = append(n.Children, leaf("DNS name", "%s", name))
	}
	for _, id := range c.UnknownExtKeyUsage {
		n.Children = append(n.Children, leaf("extended key usage", "%s", id))
	}
	sum := pki.Fingerprint(c)
	n.Children = append(n.Children, leaf("SHA-256", "%x", sum))
	for _, p := range pki.Profiles() {
		if rep := pki.CheckProfile(c, p, pki.Default); rep.OK() {
			n.Children = append(n.Children, leaf("fits profile", "%s", p))
		}
	}
	return n
}
