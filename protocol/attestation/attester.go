package attestation

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// Level is how far an instance or a key can be trusted: the words of eIDAS.
type Level string

// The levels, lowest first. A software key accepted on first use is LevelLow.
const (
	LevelLow         Level = "low"
	LevelSubstantial Level = "substantial"
	LevelHigh        Level = "high"
)

func (l Level) rank() int {
	return slices.Index([]Level{LevelLow, LevelSubstantial, LevelHigh}, l)
}

// AtLeast reports whether l is the level least or a higher one. An unknown
// level is below all others.
func (l Level) AtLeast(least Level) bool { return l.rank() >= least.rank() && l.rank() >= 0 }

// Attester is the signer of an attestation as the verifier knows it.
type Attester struct {
	Name  string // for people and audit, from the trust list, never from the JWT
	Level Level  // the highest level this attester is believed about; empty means LevelLow
}

// Trust decides whether the chain of an attestation's x5c header leads to an
// attester that the caller trusts at the time now. chain has at least one
// certificate, the signer's first, each parsed but not validated; the trust
// anchor is normally not in it. Any error makes the attester untrusted; its
// text goes into the report, so it must hold no secrets.
type Trust func(ctx context.Context, chain []*x509.Certificate, now time.Time) (Attester, error)

const (
	// skew is how far clocks may differ where an attestation's times are judged.
	skew = time.Minute

	// maxToken limits an attestation in bytes: 100 keys and a chain fit.
	maxToken = 64 << 10
)

// signedToken is an attestation being verified: each step adds to the report
// and is skipped after a failure.
type signedToken struct {
	report check.Report
	token  *jose.Token
	clause string
}

// openToken parses the token, checks its typ and decodes its claims.
func openToken(token, typ, clause string, claims any) *signedToken {
	s := &signedToken{clause: clause}
	t, err := jose.Parse(token, jose.Limits{Token: maxToken, Header: maxToken / 2, Depth: 12, Members: 2000})
	if err != nil {
		s.report.Fail("well-formed", clause, err.Error(), "send one signed JWT in compact form")
		return s
	}
	if !t.Header.HasType(typ) {
		s.report.Fail("type", clause, clip(t.Header.Typ), "typ must be "+typ)
		return s
	}
	if err := t.Claims(claims); err != nil {
		s.report.Fail("claims", clause, err.Error(), "see the claims the clause asks for")
		return s
	}
	s.token = t
	s.report.Pass("well-formed", clause, t.Header.Typ)
	return s
}

// attested finds out whom the x5c chain leads to and verifies the signature.
func (s *signedToken) attested(ctx context.Context, trust Trust, now time.Time) Attester {
	if !s.report.OK() {
		return Attester{}
	}
	chain, err := parseChain(s.token.Header.X5C)
	if err != nil {
		s.report.Fail("certificate chain", s.clause, err.Error(), "put the signer's certificate into x5c")
		return Attester{}
	}
	a, err := trust(ctx, chain, now)
	if err != nil {
		s.report.Fail("trusted attester", s.clause, err.Error(), "ask the operator to trust this wallet provider")
		return Attester{}
	}
	if a.Level == "" {
		a.Level = LevelLow
	}
	s.report.Pass("trusted attester", s.clause, a.Name)
	s.signedBy(chain[0].PublicKey)
	return a
}

// signedBy verifies the signature with a key that is trusted already.
func (s *signedToken) signedBy(pub any) {
	if !s.report.OK() {
		return
	}
	if !slices.Contains([]string{"ES256", "ES384", "ES512"}, s.token.Header.Alg) { // EUDI TS3 1.5, 2.6
		s.report.Fail("algorithm", s.clause, clip(s.token.Header.Alg), "sign with ES256")
		return
	}
	if err := s.token.Verify(pub); err != nil {
		s.report.Fail("signature", s.clause, err.Error(), "the signature must verify with the key in the certificate or cnf")
		return
	}
	s.report.Pass("signature", s.clause, s.token.Header.Alg)
}

// times checks iat, nbf and exp. exp must be there when needed.
func (s *signedToken) times(t jose.Times, needExp bool, now time.Time) {
	if !s.report.OK() {
		return
	}
	if needExp && t.Expires == 0 {
		s.report.Fail("validity", s.clause, "no exp", "state when it expires")
		return
	}
	seen := fmt.Sprintf("iat %d, nbf %d, exp %d", t.IssuedAt, t.NotBefore, t.Expires)
	if err := t.Check(now, skew); err != nil {
		s.report.Fail("validity", s.clause, seen+": "+err.Error(), "get a fresh one; check the clocks")
		return
	}
	s.report.Pass("validity", s.clause, seen)
}

// require fails the check name with what was seen unless ok.
func (s *signedToken) require(ok bool, name, seen, advice string) {
	if s.report.OK() && !ok {
		s.report.Fail(name, s.clause, clip(seen), advice)
	}
}

func parseChain(x5c [][]byte) ([]*x509.Certificate, error) {
	if len(x5c) == 0 {
		return nil, fmt.Errorf("no x5c header")
	}
	chain := make([]*x509.Certificate, len(x5c))
	for i, der := range x5c {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of x5c: %w", i, err)
		}
		chain[i] = c
	}
	if _, err := key.AlgorithmOf(chain[0].PublicKey); err != nil {
		return nil, fmt.Errorf("key of the signer's certificate: %w", err)
	}
	return chain, nil
}

// header is the JOSE header of what signer signs with this chain.
func header(typ string, chain []*x509.Certificate) (jose.Header, error) {
	if len(chain) == 0 {
		return jose.Header{}, fmt.Errorf("attestation: no certificate for the x5c header")
	}
	h := jose.Header{Typ: typ}
	for _, c := range chain {
		h.X5C = append(h.X5C, c.Raw)
	}
	return h, nil
}

// clip shortens what a stranger wrote before it goes into a report.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
