package attestation

import (
	"crypto"
	"time"
)

// EvidenceSoftwareTOFU is evidence of nothing but the key itself: a software
// key is accepted on first use, at the lowest level, and named so everywhere.
const EvidenceSoftwareTOFU = "software-tofu"

// Area describes the secure area that a key lives in, as the app tells it.
// Without evidence the provider believes none of it beyond LevelLow.
type Area struct {
	Type string `json:"type"`           // "software", "tpm", "android-keystore", …; at most 64 characters
	Name string `json:"name,omitempty"` // for people, at most 128 characters
}

// App says which software was installed.
type App struct {
	Name     string `json:"name"`     // at most 128 characters
	Version  string `json:"version"`  // at most 64
	Platform string `json:"platform"` // "linux/amd64", "js/wasm", …; at most 64
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
	InstanceID  string    `json:"instance_id"`
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
	NewKey     crypto.PublicKey // optional
}

// KeyAttestationRequest asks the provider to vouch for keys. typ
// "eidos-key-attestation-request+jwt", kid = instance id.
type KeyAttestationRequest struct {
	InstanceID string
	Keys       []crypto.PublicKey // 1 to MaxKeys, pairwise different
	Nonce      string             // the credential issuer's c_nonce, at most 512 characters; optional
	Area       Area
}

// KeyAttestationResponse answers a KeyAttestationRequest.
type KeyAttestationResponse struct {
	KeyAttestation string    `json:"key_attestation"`
	Expires        time.Time `json:"expires"` // RFC 3339
}
