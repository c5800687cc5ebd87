package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// caller is who sent a request, as far as was found out. Proofs are verified
// but not yet used up: a request that is refused for want of a nonce or a
// challenge may come back with the same proof in its other header.
type caller struct {
	client   Registration // zero for an anonymous wallet
	instance *Instance    // nil without attestation
	dpop     *DPoP        // nil without proof
	proofs   []proofID    // to use up
}

// proofID is the jti of a proof, unique for a key.
type proofID struct{ kind, thumbprint, jti string }

const (
	kindPoP  = "oauth-pop"
	kindDPoP = "oauth-dpop"
)

// identify verifies client authentication and the DPoP proof of a request.
func (s *Server) identify(ctx context.Context, r fetch.Request, form url.Values, anonymous, needDPoP bool, now time.Time) (*caller, error) {
	c := &caller{}
	if err := s.authenticate(ctx, c, r, form, anonymous, now); err != nil {
		return nil, err
	}
	if err := s.admit(c.client.ID, c.instance); err != nil {
		return nil, err
	}
	proof := r.Get("dpop")
	if proof == "" {
		if needDPoP {
			return nil, refuse(CodeInvalidDPoPProof, "a DPoP proof is needed", nil)
		}
		return c, nil
	}
	d, err := VerifyDPoP(proof, DPoPExpectation{Method: r.Method, URL: r.URL, Nonce: s.dpopNonce(now), Window: s.config.Window, Now: now})
	if err != nil {
		return nil, err
	}
	c.dpop = d
	c.proofs = append(c.proofs, proofID{kindDPoP, d.Thumbprint, d.ID})
	return c, nil
}

// admit refuses a client, or an instance of it, that sends too many requests.
func (s *Server) admit(client string, i *Instance) error {
	if s.config.Wait == nil || client == "" {
		return nil
	}
	if wait := s.config.Wait(client, i.thumbprint()); wait > 0 {
		e := refuse(CodeUnavailable, "too many requests by this installation of the app: wait as Retry-After says", nil)
		e.Wait = wait
		return e
	}
	return nil
}

// dpopNonce is the check of a DPoP nonce, nil when none are used.
func (s *Server) dpopNonce(now time.Time) func(string) error {
	if s.config.DPoPNonces == nil {
		return nil
	}
	return func(n string) error { return s.config.DPoPNonces.Check(n, now) }
}

// authenticate finds out the client: by its assertion if there is one, else by
// attestation where attesters are configured. RFC 7521, 4.2;
// draft-ietf-oauth-attestation-based-client-auth-07, 6 and 9.
func (s *Server) authenticate(ctx context.Context, c *caller, r fetch.Request, form url.Values, anonymous bool, now time.Time) error {
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		return s.asserted(ctx, c, r, form, now)
	}
	clientID := form.Get("client_id")
	token, pop := r.Get("oauth-client-attestation"), r.Get("oauth-client-attestation-pop")
	switch {
	case s.config.Attesters != nil && (token != "" || pop != ""):
		id, err := s.attested(ctx, c, token, pop, clientID, now)
		if err != nil {
			return err
		}
		clientID = id
	case anonymous:
		return nil // a client_id would prove nothing
	case s.config.Attesters != nil:
		return refuse(CodeInvalidClient, "client authentication is needed, by one of token_endpoint_auth_methods_supported", nil)
	case clientID == "":
		return refuse(CodeInvalidClient, "client_id is needed", nil)
	}
	reg, err := s.registered(ctx, clientID)
	if err != nil {
		return err
	}
	if len(reg.Keys) > 0 {
		return refuse(CodeInvalidClient, "the client is registered for private_key_jwt: client_assertion is needed", nil)
	}
	c.client = reg
	return nil
}

// registered looks up who wants to authenticate.
func (s *Server) registered(ctx context.Context, clientID string) (Registration, error) {
	reg, err := s.config.Clients(ctx, clientID)
	if errors.Is(err, ErrUnknownClient) {
		return Registration{}, refuse(CodeInvalidClient, "client_id is not registered", err)
	}
	if err != nil {
		return Registration{}, fmt.Errorf("oauth: look up client: %w", err)
	}
	return reg, nil
}

// attested verifies both headers and returns the client_id.
func (s *Server) attested(ctx context.Context, c *caller, token, pop, clientID string, now time.Time) (string, error) {
	if token == "" || pop == "" || strings.Contains(token+pop, ",") {
		return "", refuse(CodeInvalidClient, "exactly one OAuth-Client-Attestation and one OAuth-Client-Attestation-PoP header are needed", nil)
	}
	w, report := attestation.VerifyWalletInstance(ctx, token, s.config.Attesters, now)
	if w == nil {
		return "", refuseReport("client attestation", report)
	}
	p, report := attestation.VerifyPoP(pop, attestation.PoPExpectation{
		Key: w.Key, ClientID: w.ClientID, Audience: s.config.Issuer, Window: s.config.Window, Now: now,
	})
	if p == nil {
		return "", refuseReport("client attestation proof of possession", report)
	}
	if clientID != "" && clientID != w.ClientID {
		return "", refuse(CodeInvalidClient, "client_id is not the sub of the client attestation", nil)
	}
	if s.config.Challenges != nil {
		if err := s.config.Challenges.Check(p.Challenge, now); err != nil {
			return "", refuse(CodeUseAttestationChallenge, "put the challenge of the OAuth-Client-Attestation-Challenge header into the proof of possession", err)
		}
	}
	thumb, err := jose.ThumbprintString(w.Key)
	if err != nil {
		return "", refuse(CodeInvalidClient, "the key in cnf is not usable", err)
	}
	c.instance = &Instance{
		Attester: w.Attester.Name, Level: w.Level, WalletName: w.WalletName, WalletVersion: w.WalletVersion,
		Status: w.Status, Expires: w.Expires, Thumbprint: thumb,
	}
	c.proofs = append(c.proofs, proofID{kindPoP, thumb, p.ID})
	return w.ClientID, nil
}

// refuseReport names the check that failed, without what was seen: the client
// learns what to mend, the log has the rest.
func refuseReport(what string, report check.Report) *Error {
	failed := report.Failed()[0]
	return refuse(CodeInvalidClient, fmt.Sprintf("%s: %s (%s): %s", what, failed.Name, failed.Clause, failed.Advice), report.Err())
}

// useUp consumes the jti of every proof. RFC 9449, 11.1; RFC 7523, 3;
// draft-ietf-oauth-attestation-based-client-auth-07, 12.1.
func (s *Server) useUp(ctx context.Context, st once.Store, proofs []proofID, now time.Time) error {
	expires := now.Add(2*s.config.Window + maxAhead + time.Second) // as long as any proof of now can be in the window
	for _, p := range proofs {
		err := once.Consume(ctx, st, p.kind, once.Hash(p.thumbprint+"."+p.jti), now, expires)
		switch {
		case errors.Is(err, once.ErrClaimed) && p.kind == kindPoP:
			return refuse(CodeInvalidClient, "client attestation proof of possession: its jti was used before (draft-ietf-oauth-attestation-based-client-auth, 12.1)", err)
		case errors.Is(err, once.ErrClaimed) && p.kind == kindAssertion:
			return refuseAssertion("its jti was used before (RFC 7523, 3)", err)
		case errors.Is(err, once.ErrClaimed):
			return refuse(CodeInvalidDPoPProof, "DPoP proof: its jti was used before (RFC 9449, 11.1)", err)
		case err != nil:
			return fmt.Errorf("oauth: consume jti: %w", err)
		}
	}
	return nil
}
