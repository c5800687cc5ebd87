package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// Instance is what the client attestation said about the wallet that got a
// token: the issuer keeps it with what it issues. EUDI TS3 1.5, 2.4.3.
type Instance struct {
	Attester      string             `json:"attester"` // as the trust list names it
	Level         attestation.Level  `json:"level"`
	WalletName    string             `json:"wallet_name,omitempty"`
	WalletVersion string             `json:"wallet_version,omitempty"`
	Status        attestation.Status `json:"status"`  // reference and its end; zero when not stated
	Expires       time.Time          `json:"expires"` // of the attestation itself
	Thumbprint    string             `json:"jkt"`     // of the instance key
}

// Grant is what an access token stands for.
type Grant struct {
	ID          string              `json:"id"` // names the grant in the store and the audit, the same after a refresh; no token
	Subject     string              `json:"subject"`
	ClientID    string              `json:"client_id,omitempty"` // "" for an anonymous pre-authorized wallet
	Credentials []GrantedCredential `json:"credentials"`
	Details     bool                `json:"details,omitempty"` // authorization_details were returned: requests use credential_identifier
	Scope       string              `json:"scope,omitempty"`
	Thumbprint  string              `json:"dpop_jkt"`
	Instance    *Instance           `json:"instance,omitempty"` // nil without client attestation
	Data        json.RawMessage     `json:"data,omitempty"`
	IssuedAt    time.Time           `json:"issued_at"`
	Expires     time.Time           `json:"expires"`
	Extended    time.Time           `json:"extended,omitzero"`   // when a lasting grant was last put off
	Refreshed   bool                `json:"refreshed,omitempty"` // the token came by a refresh: it ends with the grant
	Offer       string              `json:"offer,omitempty"`     // hash of the pre-authorized code that may be redeemed again; "" once a token was used
}

// CheckAccess decides whether a request to a resource endpoint carries a valid
// access token and DPoP proof. The Grant is nil exactly when the Reply is a
// refusal (401 with WWW-Authenticate; 429 with Retry-After). Only the Authorization header is looked
// at: a token in a query or form is no token. RFC 9449, 7.1.
func (s *Server) CheckAccess(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*Grant, Reply, error) {
	g, err := s.access(ctx, st, r, now)
	if err == nil {
		return g, Reply{}, nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return nil, Reply{}, err
	}
	if e.Code == CodeUnavailable {
		return nil, refusal(e), nil
	}
	e.Status = 401
	rep := refusal(e)
	rep.Response.Header["www-authenticate"] = fmt.Sprintf(`DPoP error="%s", error_description="%s", algs="%s"`, e.Code, e.Description, strings.Join(profileAlgorithms(), " "))
	if n := s.DPoPNonce(now); n != "" {
		rep.Response.Header["dpop-nonce"] = n
	}
	return nil, rep, nil
}

func (s *Server) access(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*Grant, error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Get("authorization")), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "DPoP") || token == "" || len(token) > maxNonce || strings.ContainsAny(token, ", ") {
		return nil, refuse(CodeInvalidToken, "one Authorization header with scheme DPoP is needed", nil)
	}
	value, err := st.Get(ctx, kindAccess, once.Hash(token), now)
	if gone(err) {
		return nil, refuse(CodeInvalidToken, "the access token is unknown, expired or revoked", err)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: read access token: %w", err)
	}
	g := &Grant{}
	if err := read(value, g); err != nil {
		return nil, err
	}
	if g.Refreshed {
		if _, err := st.Get(ctx, kindGrant, g.ID, now); gone(err) {
			return nil, refuse(CodeInvalidToken, "the grant of the access token has ended", err)
		} else if err != nil {
			return nil, fmt.Errorf("oauth: read grant: %w", err)
		}
	}
	proof := r.Get("dpop")
	if proof == "" {
		return nil, refuse(CodeInvalidDPoPProof, "a DPoP proof is needed", nil)
	}
	d, err := VerifyDPoP(proof, DPoPExpectation{Method: r.Method, URL: r.URL, AccessToken: token, Nonce: s.dpopNonce(now), Window: s.config.Window, Now: now})
	if err != nil {
		return nil, err
	}
	if !equal(d.Thumbprint, g.Thumbprint) {
		return nil, refuse(CodeInvalidToken, "the access token is bound to another DPoP key", nil)
	}
	if err := s.admit(g.ClientID, g.Instance); err != nil {
		return nil, err
	}
	if err := s.useUp(ctx, st, []proofID{{kindDPoP, d.Thumbprint, d.ID}}, now); err != nil || g.Offer == "" {
		return g, err
	}
	if err := s.arrived(ctx, st, g, now); err != nil {
		return nil, err
	}
	if value, err = record(g); err == nil {
		err = st.Put(ctx, kindAccess, once.Hash(token), value, g.Expires)
	}
	return g, err
}
