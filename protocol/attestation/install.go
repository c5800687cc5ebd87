package attestation

import (
	"crypto"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
)

// EvidenceSoftwareTOFU is evidence of nothing but the key itself: a software
// key is accepted on first use, at the lowest level, and named so everywhere.
const EvidenceSoftwareTOFU = "software-tofu"

// typ headers of what the app signs.
const (
	typeInstall  = "eidos-install+jwt"
	typeRenew    = "eidos-renew+jwt"
	typeNewKey   = "eidos-new-key+jwt"
	typeKeysAsks = "eidos-key-attestation-request+jwt"
)

// Limits of the conversation, in bytes.
const (
	maxEvidence = 64 << 10
	maxInstall  = 256 << 10 // an InstallRequest with evidence
	maxRequest  = maxToken  // the other requests
	maxResponse = 256 << 10
)

// Area describes the secure area that a key lives in, as the app tells it.
// Without evidence the provider believes none of it beyond LevelLow.
type Area struct {
	Type string `json:"type"`           // "software", "tpm", "android-keystore", …; at most 64 characters
	Name string `json:"name,omitempty"` // for people, at most 128 characters
}

func (a Area) check() error {
	if a.Type == "" || len(a.Type) > 64 || len(a.Name) > 128 {
		return fmt.Errorf("area: type of 1 to 64 characters and name of at most 128 wanted")
	}
	return nil
}

// App says which software was installed.
type App struct {
	Name     string `json:"name"`     // at most 128 characters
	Version  string `json:"version"`  // at most 64
	Platform string `json:"platform"` // "linux/amd64", "js/wasm", …; at most 64
}

func (a App) check() error {
	if a.Name == "" || len(a.Name) > 128 || a.Version == "" || len(a.Version) > 64 || len(a.Platform) > 64 {
		return fmt.Errorf("app: name of 1 to 128 characters, version of 1 to 64 and platform of at most 64 wanted")
	}
	return nil
}

// InstallRequest asks the provider to register an installation and to vouch
// for it. Its JWT has typ "eidos-install+jwt" and the instance key as jwk in
// the header; signing it proves possession.
type InstallRequest struct {
	Key      crypto.PublicKey // the header's jwk
	Format   string           // evidence_format, EvidenceSoftwareTOFU or one the provider announces
	Evidence []byte           // evidence, base64url on the wire, at most 64 KiB; none for software-tofu
	App      App
	Area     Area
}

// Links are places a person may want to go to.
type Links struct {
	Support string `json:"support,omitempty"` // where to get help
	Revoke  string `json:"revoke,omitempty"`  // where to report the device lost
}

// InstallResponse answers an InstallRequest or a RenewRequest.
type InstallResponse struct {
	InstanceID  string    `json:"instance_id"` // 1 to 64 characters of base64url
	Attestation string    `json:"wallet_instance_attestation"`
	ClientID    string    `json:"client_id"`
	Expires     time.Time `json:"expires"` // of the attestation, RFC 3339
	Level       Level     `json:"assurance_level"`
	Links       Links     `json:"links"`
}

// RenewRequest asks for a fresh wallet instance attestation, for the same key
// or, when NewKey is set, for another: a new instance key for every
// authorisation server keeps them from comparing notes. The new key signs
// too. typ "eidos-renew+jwt", kid = instance id.
type RenewRequest struct {
	InstanceID string
	App        App              // the app may have been updated
	NewKey     crypto.PublicKey // nil for the registered key
	// StatusPeriod is for how long an issuer would like the status to be
	// published once it has the attestation (EUDI TS3 1.5, 2.4.2,
	// preferred_client_status_period); at most MaxStatusPeriod, whole seconds.
	// Zero leaves it to the provider.
	StatusPeriod time.Duration
}

// KeyAttestationRequest asks the provider to vouch for keys. typ
// "eidos-key-attestation-request+jwt", kid = instance id.
type KeyAttestationRequest struct {
	InstanceID string
	Keys       []crypto.PublicKey // 1 to MaxKeys, pairwise different
	Nonce      string             // the credential issuer's c_nonce, at most 512 characters; optional
	Area       Area
	// StatusPeriod is that of RenewRequest, for the status of the keys
	// (preferred_key_storage_status_period).
	StatusPeriod time.Duration
}

// KeyAttestationResponse answers a KeyAttestationRequest.
type KeyAttestationResponse struct {
	KeyAttestation string    `json:"key_attestation"`
	Expires        time.Time `json:"expires"` // RFC 3339
}

// requestClaims are the claims of every signed request.
type requestClaims struct {
	Audience  audience         `json:"aud"`
	IssuedAt  jose.NumericDate `json:"iat,omitempty"`
	Challenge string           `json:"challenge"`
}

type installClaims struct {
	requestClaims
	Format   string `json:"evidence_format"`
	Evidence string `json:"evidence,omitempty"`
	App      App    `json:"app"`
	Area     Area   `json:"secure_area"`
}

type renewClaims struct {
	requestClaims
	App App `json:"app"`
	// NewKey is a JWT signed by the new key, with that as jwk in its header
	// and the claims aud, iat and challenge of the JWT around it.
	NewKey       string `json:"new_key,omitempty"`
	StatusPeriod int64  `json:"status_period,omitempty"` // seconds
}

type keysAskClaims struct {
	requestClaims
	Keys  []jose.JWK `json:"keys"`
	Nonce string     `json:"c_nonce,omitempty"`
	Area  Area       `json:"secure_area"`

	StatusPeriod int64 `json:"status_period,omitempty"` // seconds
}

type challengeResponse struct {
	Challenge string `json:"challenge"`
	ExpiresIn int    `json:"expires_in"`
}

type errorResponse struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// MaxStatusPeriod is the longest StatusPeriod of a request.
const MaxStatusPeriod = 100 * 365 * 24 * time.Hour

// Seconds is a period in whole seconds as others state it, no longer than
// MaxStatusPeriod, and zero if it is none.
func Seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(MaxStatusPeriod/time.Second))) * time.Second
}

// statusPeriod reads the claim status_period.
func statusPeriod(n int64) (time.Duration, error) {
	if d := Seconds(n); int64(d/time.Second) == n {
		return d, nil
	}
	return 0, &Error{Code: CodeInvalidRequest, Description: fmt.Sprintf("status_period: wanted 0 to %d seconds", int64(MaxStatusPeriod/time.Second))}
}

// validInstanceID reports whether id may stand in a path of the conversation.
func validInstanceID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// decodeEvidence reads base64url within the limit.
func decodeEvidence(s string) ([]byte, error) {
	if len(s) > maxEvidence/3*4+4 {
		return nil, fmt.Errorf("evidence of %d characters, limit %d", len(s), maxEvidence/3*4+4)
	}
	if s == "" {
		return nil, nil
	}
	return jose.Decode(s)
}

// decodeResponse reads an answer's JSON strictly as to its form and leniently
// as to members added later.
func decodeResponse(body []byte, v any) error {
	return jose.Unmarshal(body, v, jose.Limits{Token: maxResponse, Depth: 8, Members: 1000})
}
