package oid4vp

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// The DID methods: did:web is a document on a web server, did:jwk is a key
// that names itself.
const (
	methodWeb = "did:web:"
	methodJWK = "did:jwk:"
)

// maxDIDDocument limits a DID document, in bytes.
const maxDIDDocument = 64 << 10

// didDocument is the part of a DID document that verifies signatures.
// Decentralized Identifiers 1.0, 5.2.
type didDocument struct {
	Context            json.RawMessage      `json:"@context,omitempty"`
	ID                 string               `json:"id"`
	VerificationMethod []verificationMethod `json:"verificationMethod"`
}

type verificationMethod struct {
	ID           string          `json:"id"`
	Type         string          `json:"type"`
	Controller   string          `json:"controller"`
	PublicKeyJWK json.RawMessage `json:"publicKeyJwk,omitempty"`
}

// DIDJWK is the DID that is a key itself. Its only verification method is "#0".
// did:jwk method specification.
func DIDJWK(pub crypto.PublicKey) (string, error) {
	b, err := jose.JWK{Key: pub}.MarshalJSON()
	if err != nil {
		return "", err
	}
	return methodJWK + jose.Encode(b), nil
}

// DIDWeb is the DID of a verifier that publishes its document at baseURL, a
// URL of https: there as did.json, or for a bare host in /.well-known.
// did:web method specification, 3.1.
func DIDWeb(baseURL string) (string, error) {
	if err := checkURL("base of did:web", baseURL); err != nil {
		return "", err
	}
	u, err := url.Parse(baseURL)
	if err != nil {
		return "", err
	}
	did := methodWeb + strings.ReplaceAll(u.Host, ":", "%3A")
	if path := strings.Trim(u.EscapedPath(), "/"); path != "" {
		did += ":" + strings.ReplaceAll(path, "/", ":")
	}
	return did, nil
}

// DIDDocument is what a verifier with a DID of did:web publishes. kid names the
// key in the header of its requests, with the DID before it, as in "did:web:x#1".
// Decentralized Identifiers 1.0, 5.2.
func DIDDocument(did, kid string, pub crypto.PublicKey) ([]byte, error) {
	jwk, err := jose.JWK{Key: pub}.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return json.Marshal(didDocument{
		Context: json.RawMessage(`["https://www.w3.org/ns/did/v1","https://w3id.org/security/suites/jws-2020/v1"]`), ID: did,
		VerificationMethod: []verificationMethod{{ID: kid, Type: "JsonWebKey2020", Controller: did, PublicKeyJWK: jwk}},
	})
}

// byDID takes the prefix decentralized_identifier.
//
// OpenID4VP 1.0, 5.9.3.
func (env *Environment) byDID(ctx context.Context, c *Client, token *jose.Token) error {
	kid := token.Header.KID
	if strings.HasPrefix(kid, "#") { // relative to the DID, which the client identifier names
		kid = c.rest + kid
	}
	if !strings.HasPrefix(kid, c.rest+"#") {
		return fail(InvalidRequest, "kid of the request object names no key of the DID in client_id (OpenID4VP 1.0, 5.9.3)")
	}
	key, err := env.resolve(ctx, c.rest, kid)
	if err != nil {
		return fail(InvalidRequest, "key of the DID: %w (OpenID4VP 1.0, 5.9.3)", err)
	}
	if err := token.VerifyJWK(*key); err != nil {
		return err
	}
	c.Key = key.Key
	return nil
}

// resolve returns the key of a DID that kid names.
func (env *Environment) resolve(ctx context.Context, did, kid string) (*jose.JWK, error) {
	switch {
	case strings.HasPrefix(did, methodJWK):
		text, err := jose.Decode(did[len(methodJWK):])
		if err != nil || kid != did+"#0" {
			return nil, fmt.Errorf("did:jwk is no base64url, or its key is not called #0")
		}
		return jose.ParseJWK(text)
	case strings.HasPrefix(did, methodWeb):
		address, err := webAddress(did)
		if err != nil {
			return nil, err
		}
		if env.Fetch == nil {
			return nil, fmt.Errorf("did:web is not looked up here")
		}
		req := fetch.GetRequest(address, "application/did+json, application/json")
		req.MaxBytes = maxDIDDocument
		resp, err := env.Fetch(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("fetch the DID document: %w", err)
		}
		if resp.Status != 200 {
			return nil, fmt.Errorf("fetch the DID document: the server answered %d", resp.Status)
		}
		return parseDIDDocument(resp.Body, did, kid)
	}
	return nil, fmt.Errorf("DID method of %.40q is not supported: did:web and did:jwk are", did)
}

// webAddress is where the document of a did:web is. did:web method
// specification, 3.2: colons part the path, a port is percent-encoded.
func webAddress(did string) (string, error) {
	parts := strings.Split(did[len(methodWeb):], ":")
	host, err := url.PathUnescape(parts[0])
	if err != nil || host == "" || strings.ContainsAny(host, "/?#@\\ ") {
		return "", fmt.Errorf("did:web without a host")
	}
	address := "https://" + host
	for _, p := range parts[1:] {
		if p == "" || p == "." || p == ".." || strings.ContainsAny(p, "/?#\\ ") {
			return "", fmt.Errorf("did:web with a malformed path")
		}
		address += "/" + p
	}
	if len(parts) == 1 {
		address += "/.well-known"
	}
	address += "/did.json"
	return address, checkURL("did:web", address)
}

// parseDIDDocument returns the key that kid names in the document of did.
func parseDIDDocument(text []byte, did, kid string) (*jose.JWK, error) {
	var doc didDocument
	if err := jose.Unmarshal(text, &doc, jose.Limits{Token: maxDIDDocument}); err != nil {
		return nil, fmt.Errorf("DID document: %w", err)
	}
	if doc.ID != did {
		return nil, fmt.Errorf("DID document of %.80q, not of the verifier", doc.ID)
	}
	for _, m := range doc.VerificationMethod {
		if m.ID != kid && did+m.ID != kid {
			continue
		}
		if m.PublicKeyJWK == nil {
			return nil, fmt.Errorf("key in the DID document is not in publicKeyJwk")
		}
		return jose.ParseJWK(m.PublicKeyJWK)
	}
	return nil, fmt.Errorf("DID document without the key that signed")
}
