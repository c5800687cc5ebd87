package oid4vci

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// WellKnownSuffix is where the metadata of a credential issuer is found,
// inserted as RFC 8414 does. OpenID4VCI 1.0, 12.2.2.
const WellKnownSuffix = "openid-credential-issuer"

// maxMetadata is far above what an issuer of many types in many languages needs.
const maxMetadata = 1 << 20

// Metadata is what an issuing authority says about itself.
//
// OpenID4VCI 1.0, 12.2.4.
type Metadata struct {
	CredentialIssuer     string              `json:"credential_issuer"`
	AuthorizationServers []string            `json:"authorization_servers,omitempty"`
	CredentialEndpoint   string              `json:"credential_endpoint"`
	NonceEndpoint        string              `json:"nonce_endpoint,omitempty"`
	DeferredEndpoint     string              `json:"deferred_credential_endpoint,omitempty"`
	NotificationEndpoint string              `json:"notification_endpoint,omitempty"`
	RequestEncryption    *RequestEncryption  `json:"credential_request_encryption,omitempty"`
	ResponseEncryption   *ResponseEncryption `json:"credential_response_encryption,omitempty"`
	Batch                *Batch              `json:"batch_credential_issuance,omitempty"`
	// ClientStatusPeriod is for how many seconds more the authority wants the
	// status of the wallet instance to be published. EUDI TS3 1.5, 2.4.
	ClientStatusPeriod int64                    `json:"preferred_client_status_period,omitempty"`
	Display            []Display                `json:"display,omitempty"`
	Configurations     map[string]Configuration `json:"credential_configurations_supported"`
}

// Batch says how many proofs one request may hold.
type Batch struct {
	Size int `json:"batch_size"`
}

// Configuration is one kind of document that can be had.
type Configuration struct {
	Format             string               `json:"format"`
	Scope              string               `json:"scope,omitempty"`
	SigningAlgorithms  []json.RawMessage    `json:"credential_signing_alg_values_supported,omitempty"` // COSE numbers or JOSE names
	BindingMethods     []string             `json:"cryptographic_binding_methods_supported,omitempty"`
	ProofTypes         map[string]ProofType `json:"proof_types_supported,omitempty"`
	DocType            string               `json:"doctype,omitempty"` // mso_mdoc
	VCT                string               `json:"vct,omitempty"`     // dc+sd-jwt
	CredentialMetadata *CredentialMetadata  `json:"credential_metadata,omitempty"`
}

// ProofType says how keys are proved.
type ProofType struct {
	Algorithms []string `json:"proof_signing_alg_values_supported"`
	// KeyAttestations is not nil where a key attestation is needed.
	KeyAttestations *KeyAttestations `json:"key_attestations_required,omitempty"`
}

// KeyAttestations says which resistance a key attestation must state: one of
// each list that is not empty.
type KeyAttestations struct {
	KeyStorage         []string `json:"key_storage,omitempty"`
	UserAuthentication []string `json:"user_authentication,omitempty"`
	// StatusPeriod is for how many seconds more the authority wants the status
	// of the keys to be published. EUDI TS3 1.5, 2.4.
	StatusPeriod int64 `json:"preferred_key_storage_status_period,omitempty"`
}

// CredentialMetadata is what wallets show.
type CredentialMetadata struct {
	Display     []Display    `json:"display,omitempty"`
	Claims      []Claim      `json:"claims,omitempty"`
	ReusePolicy *ReusePolicy `json:"credential_reuse_policy,omitempty"`
}

// Display is a name in one language, and looks.
type Display struct {
	Name            string `json:"name,omitempty"`
	Locale          string `json:"locale,omitempty"`
	Logo            *Image `json:"logo,omitempty"`
	Description     string `json:"description,omitempty"`
	BackgroundColor string `json:"background_color,omitempty"`
	BackgroundImage *Image `json:"background_image,omitempty"`
	TextColor       string `json:"text_color,omitempty"`
}

// Image is where a picture is.
type Image struct {
	URI     string `json:"uri"`
	AltText string `json:"alt_text,omitempty"`
}

// Claim describes one claim. OpenID4VCI 1.0, B.2.
type Claim struct {
	Path      []any     `json:"path"`
	Mandatory bool      `json:"mandatory,omitempty"`
	Display   []Display `json:"display,omitempty"`
}

// ParseMetadata parses the metadata that were fetched for issuer. Unknown
// members are ignored, configurations of unknown formats kept.
//
// OpenID4VCI 1.0, 12.2.4.
func ParseMetadata(data []byte, issuer string) (*Metadata, error) {
	var m Metadata
	if err := jose.Unmarshal(data, &m, jose.Limits{Token: maxMetadata}); err != nil {
		return nil, fmt.Errorf("credential issuer metadata: %w (OpenID4VCI 1.0, 12.2.4)", err)
	}
	if err := m.check(issuer); err != nil {
		return nil, fmt.Errorf("credential issuer metadata: %w (OpenID4VCI 1.0, 12.2.4)", err)
	}
	return &m, nil
}

func (m *Metadata) check(issuer string) error {
	if m.CredentialIssuer != issuer {
		return errors.New("credential_issuer is not the identifier that they were fetched for")
	}
	if err := oauth.CheckURL(m.CredentialEndpoint); err != nil {
		return fmt.Errorf("credential_endpoint: %w", err)
	}
	for name, endpoint := range map[string]string{
		"nonce_endpoint": m.NonceEndpoint, "deferred_credential_endpoint": m.DeferredEndpoint, "notification_endpoint": m.NotificationEndpoint,
	} {
		if endpoint == "" {
			continue
		}
		if err := oauth.CheckURL(endpoint); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, as := range m.AuthorizationServers {
		if err := oauth.CheckIssuer(as); err != nil {
			return fmt.Errorf("authorization_servers: %w", err)
		}
	}
	if m.Batch != nil && m.Batch.Size < 2 {
		return fmt.Errorf("batch_size is %d, less than 2", m.Batch.Size)
	}
	if len(m.Configurations) == 0 {
		return errors.New("credential_configurations_supported is missing or empty")
	}
	for id, c := range m.Configurations {
		if c.Format == "" {
			return fmt.Errorf("configuration %.80q without format", id)
		}
	}
	return nil
}

// Discover fetches the metadata of an issuing authority, as they stand there
// without a signature.
//
// OpenID4VCI 1.0, 12.2.2.
func Discover(ctx context.Context, do fetch.Func, issuer string) (*Metadata, error) {
	resp, err := fetchMetadata(ctx, do, issuer, mediaJSON)
	if err != nil {
		return nil, err
	}
	return ParseMetadata(resp.Body, issuer)
}

// DiscoverSigned fetches the metadata of an issuing authority, signed if it
// signs them; only then is trust called, as ParseSignedMetadata calls it.
//
// OpenID4VCI 1.0, 12.2.2 and 12.2.3; HAIP 1.0, 4.1.
func DiscoverSigned(ctx context.Context, do fetch.Func, issuer string, trust func(chain [][]byte) (crypto.PublicKey, error), now time.Time) (*Metadata, error) {
	resp, err := fetchMetadata(ctx, do, issuer, mediaJWT+", "+mediaJSON+";q=0.9")
	if err != nil {
		return nil, err
	}
	if resp.MediaType() == mediaJWT {
		return ParseSignedMetadata(strings.TrimSpace(string(resp.Body)), issuer, trust, now)
	}
	return ParseMetadata(resp.Body, issuer)
}

func fetchMetadata(ctx context.Context, do fetch.Func, issuer, accept string) (fetch.Response, error) {
	where, err := oauth.WellKnown(issuer, WellKnownSuffix)
	if err != nil {
		return fetch.Response{}, err
	}
	resp, err := do(ctx, fetch.Request{Method: "GET", URL: where, MaxBytes: 2 * maxMetadata, Header: map[string]string{"accept": accept}})
	if err != nil {
		return resp, fmt.Errorf("fetch the credential issuer metadata: %w", err)
	}
	if resp.Status != 200 {
		return resp, fmt.Errorf("fetch the credential issuer metadata: the issuer answered %d", resp.Status)
	}
	return resp, nil
}

// AuthorizationServer is the issuer identifier of the server to get a token
// from: the one the grant of an offer names, if the metadata know it too, else
// the first of the metadata, else the credential issuer itself.
//
// OpenID4VCI 1.0, 4.1.1 and 12.2.4.
func (m *Metadata) AuthorizationServer(named string) (string, error) {
	switch {
	case named != "" && !slices.Contains(m.AuthorizationServers, named):
		return "", errors.New("the offer names an authorization_server that the issuer's metadata do not (OpenID4VCI 1.0, 4.1.1)")
	case named != "":
		return named, nil
	case len(m.AuthorizationServers) > 0:
		return m.AuthorizationServers[0], nil
	}
	return m.CredentialIssuer, nil
}
