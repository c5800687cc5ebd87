package attestation

import (
	"context"
	"crypto/x509"
	"time"
)

// Level is how far an attestation can be trusted, as the trust list of the
// party that verifies it says: the words of eIDAS.
type Level string

// The levels, lowest first. A software key accepted on first use is LevelLow.
const (
	LevelLow         Level = "low"
	LevelSubstantial Level = "substantial"
	LevelHigh        Level = "high"
)

// Attester is the signer of an attestation as the verifier knows it.
type Attester struct {
	Name  string // for people and audit, from the trust list, never from the JWT
	Level Level  // the highest level this attester may claim; empty means LevelLow
}

// Trust decides whether the chain of an attestation's x5c header leads to an
// attester that the caller trusts at the time now. chain has at least one
// certificate, the signer's first, each parsed but not yet validated; the
// trust anchor is normally not in it. An error that wraps nothing temporary
// is reported as an untrusted attester; its text reaches the report's reader,
// so it must hold no secrets.
type Trust func(ctx context.Context, chain []*x509.Certificate, now time.Time) (Attester, error)
