package oid4vp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Proof is how a verifier proved who it is.
type Proof string

// The proofs. What they are worth is the wallet's next question.
const (
	// ProofNone: it did not; the answer goes to the address that asked.
	ProofNone Proof = "none"
	// ProofCertificate: the key of Client.Chain[0] signed the request, and the
	// client identifier is of this certificate. Whether to trust the chain is
	// not decided here.
	ProofCertificate Proof = "certificate"
	// ProofKey: a key of the DID document signed it.
	ProofKey Proof = "key"
	// ProofAttestation: a trusted attester vouches for the name and the key.
	ProofAttestation Proof = "attestation"
	// ProofRegistration: the wallet knew the verifier before.
	ProofRegistration Proof = "registration"
)

// Client is a verifier that asks.
type Client struct {
	// ClientID has its prefix; it is "origin:…" where the browser alone says who
	// asks.
	ClientID string
	Proof    Proof
	// Chain is the certificate chain, DER, leaf first: ProofCertificate.
	Chain [][]byte
	// Key signed the request; nil if it was not signed.
	Key crypto.PublicKey
	// Name is the subject of an attestation, or of a registration; VouchedBy
	// the issuer of the attestation.
	Name, VouchedBy string
	// Info is what others say of the verifier, as it sent it: not verified.
	Info []VerifierInfo

	prefix, rest string
	uris         *[]string       // where answers may go; nil: anywhere
	metadata     json.RawMessage // of a registration
}

// Registered is a verifier that a wallet knows beforehand. OpenID4VP 1.0,
// 5.9.2.
type Registered struct {
	Name string
	// URIs are the addresses, exact, that answers may go to.
	URIs []string
	// Keys sign its requests. Without any they are not signed.
	Keys jose.Set
	// Metadata is its client_metadata, if it was registered too. A request must
	// not bring another then (OpenID4VP 1.0, 8.5).
	Metadata json.RawMessage
}

// Environment is what a wallet knows besides a request. The zero value knows
// nobody and still takes requests with certificates, did:jwk and unsigned ones.
type Environment struct {
	// Fetch gets DID documents of did:web. It reaches public addresses only.
	Fetch fetch.Func
	// Attester returns the key that signs the verifier attestations of a
	// trusted issuer. Header and issuer are not verified yet.
	Attester func(ctx context.Context, issuer string, h jose.Header) (crypto.PublicKey, error)
	// Registered looks up a verifier by its client identifier.
	Registered func(ctx context.Context, clientID string) (Registered, bool)
	// Transactions are the types of transaction data that the wallet can show
	// and authorise. Requests with others are refused.
	Transactions []TransactionType
}

// proveSigned verifies who signed a request.
//
// OpenID4VP 1.0, 5.9.3.
func (env *Environment) proveSigned(ctx context.Context, token *jose.Token, clientID string, now time.Time) (*Client, error) {
	c, err := newClient(clientID)
	if err != nil {
		return nil, err
	}
	switch c.prefix {
	case PrefixX509Hash, PrefixX509SANDNS:
		c.Proof = ProofCertificate
		err = c.byCertificate(token)
	case PrefixDID:
		c.Proof = ProofKey
		err = env.byDID(ctx, c, token)
	case PrefixAttestation:
		c.Proof = ProofAttestation
		err = env.byAttestation(ctx, c, token, now)
	case "":
		c.Proof = ProofRegistration
		err = env.byRegistration(ctx, c, token)
	case PrefixRedirectURI:
		err = fail(InvalidRequest, "a request with the prefix redirect_uri cannot be signed (OpenID4VP 1.0, 5.9.3)")
	case PrefixFederation:
		err = errFederation()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// proveUnsigned takes a request that nobody signed.
func (env *Environment) proveUnsigned(ctx context.Context, clientID string) (*Client, error) {
	c, err := newClient(clientID)
	if err != nil {
		return nil, err
	}
	switch c.prefix {
	case PrefixRedirectURI:
		c.Proof, c.uris = ProofNone, &[]string{c.rest}
		return c, nil
	case PrefixFederation:
		return nil, errFederation()
	case "":
		c.Proof = ProofRegistration
		if err := env.byRegistration(ctx, c, nil); err != nil {
			return nil, err
		}
		return c, nil
	}
	return nil, fail(InvalidRequest, "a request with the prefix %s has to be signed (OpenID4VP 1.0, 5.9.3)", c.prefix)
}

func newClient(id string) (*Client, error) {
	prefix, rest, err := SplitClientID(id)
	if err != nil {
		return nil, err
	}
	if rest == "" || len(id) > 2048 {
		return nil, fail(InvalidRequest, "client_id is missing, or longer than 2048 characters (OpenID4VP 1.0, 5.9)")
	}
	return &Client{ClientID: id, prefix: prefix, rest: rest}, nil
}

// errFederation refuses what only a trust chain of OpenID Federation can prove.
func errFederation() error {
	return fail(InvalidRequest, "client_id_prefix openid_federation is not supported: no trust chains are followed here (OpenID4VP 1.0, 5.9.3)")
}

// byCertificate takes x509_hash and x509_san_dns.
func (c *Client) byCertificate(token *jose.Token) error {
	c.Chain = token.Header.X5C
	if len(c.Chain) == 0 {
		return fail(InvalidRequest, "request object without x5c (OpenID4VP 1.0, 5.9.3)")
	}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return fail(InvalidRequest, "certificate of the verifier: %w", err)
	}
	if err := token.Verify(leaf.PublicKey); err != nil {
		return err
	}
	c.Key = leaf.PublicKey
	if c.prefix == PrefixX509Hash {
		want, err := jose.Decode(c.rest)
		sum := sha256.Sum256(c.Chain[0])
		if err != nil || !bytes.Equal(want, sum[:]) {
			return fail(InvalidRequest, "client_id is not the hash of the signer's certificate (OpenID4VP 1.0, 5.9.3)")
		}
		return nil
	}
	if !slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return strings.EqualFold(name, c.rest) }) {
		return fail(InvalidRequest, "client_id is no DNS name of the signer's certificate (OpenID4VP 1.0, 5.9.3)")
	}
	return nil
}

// byRegistration looks the verifier up; token is nil for an unsigned request.
func (env *Environment) byRegistration(ctx context.Context, c *Client, token *jose.Token) error {
	var known Registered
	ok := false
	if env.Registered != nil {
		known, ok = env.Registered(ctx, c.ClientID)
	}
	if !ok {
		return fail(InvalidRequest, "the verifier is not known here, and its client_id has no client_id_prefix that is supported (OpenID4VP 1.0, 5.9.2)")
	}
	c.Name, c.uris, c.metadata = known.Name, &known.URIs, known.Metadata
	if token == nil && len(known.Keys.Keys) > 0 {
		return fail(InvalidRequest, "this verifier signs its requests, and this one is not signed (OpenID4VP 1.0, 5.9.2)")
	}
	if token == nil {
		return nil
	}
	err := error(fail(InvalidRequest, "the request is signed, and no key of the verifier is registered (OpenID4VP 1.0, 5.9.2)"))
	for _, k := range known.Keys.Keys {
		if token.Header.KID != "" && k.KID != "" && token.Header.KID != k.KID {
			continue
		}
		if err = token.VerifyJWK(k); err == nil {
			c.Key = k.Key
			return nil
		}
	}
	return err
}

// receivesAt says whether answers may go to an address: those of a verifier
// that is known only by its domain stay on it.
//
// OpenID4VP 1.0, 5.9.3, 8.2 and 14.3.1.
func (c *Client) receivesAt(uri string) error {
	if c.uris != nil && !slices.Contains(*c.uris, uri) {
		return fail(InvalidRequest, "the address for the answer is none of this client's (OpenID4VP 1.0, 5.9.3)")
	}
	if c.prefix != PrefixX509SANDNS {
		return nil
	}
	if u, err := url.Parse(uri); err != nil || !strings.EqualFold(u.Hostname(), c.rest) {
		return fail(InvalidRequest, "host of response_uri differs from client_id (OpenID4VP 1.0, 5.9.3)")
	}
	return nil
}
