package oid4vci

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// TypeProof is the typ header of a proof. OpenID4VCI 1.0, F.1.
const TypeProof = "openid4vci-proof+jwt"

// The proof types. OpenID4VCI 1.0, F.
const (
	ProofJWT         = "jwt"
	ProofAttestation = "attestation"
)

// proofWindow is how far iat of a proof may be from now, both ways.
const proofWindow = 5 * time.Minute

// Proof is the wallet's proof that it holds the key that a document is to be
// bound to.
//
// OpenID4VCI 1.0, F.1.
type Proof struct {
	ClientID       string // iss; empty for a wallet that stayed anonymous
	Issuer         string // aud, the credential issuer identifier
	Nonce          string // c_nonce; empty if the issuer has no nonce endpoint
	KeyAttestation string // header key_attestation; empty for none
}

type proofClaims struct {
	Issuer   string           `json:"iss,omitempty"`
	Audience string           `json:"aud"`
	IssuedAt jose.NumericDate `json:"iat"`
	Nonce    string           `json:"nonce,omitempty"`
}

// Sign makes the proof with the key itself.
func (p Proof) Sign(ctx context.Context, holder key.Signer, now time.Time) (string, error) {
	h := jose.Header{Typ: TypeProof, JWK: &jose.JWK{Key: holder.Public()}}
	if p.KeyAttestation != "" {
		raw, err := json.Marshal(p.KeyAttestation)
		if err != nil {
			return "", err
		}
		h.Raw = map[string]json.RawMessage{"key_attestation": raw}
	}
	return jose.Sign(ctx, holder, h, proofClaims{
		Issuer: p.ClientID, Audience: p.Issuer, IssuedAt: jose.NewDate(now), Nonce: p.Nonce,
	})
}

// ProofPolicy is what proofs for one configuration have to be.
type ProofPolicy struct {
	// Types are the accepted proof types by name.
	Types map[string]ProofType
	// Max is how many documents one request may get.
	Max int
}

// proofs are the member proofs of a credential request.
type proofs struct {
	JWT         []string `json:"jwt"`
	Attestation []string `json:"attestation"`
}

// proven is what proofs come to.
type proven struct {
	keys        []crypto.PublicKey
	nonce       string
	attestation *attestation.KeyAttestation
}

// verifyProofs verifies all proofs of a request and returns the keys to bind
// documents to, pairwise different.
//
// OpenID4VCI 1.0, F.4.
func (i *Issuer) verifyProofs(ctx context.Context, raw json.RawMessage, policy ProofPolicy, clientID string, now time.Time) (*proven, *Error) {
	var byType map[string]json.RawMessage
	if raw == nil || jose.Unmarshal(raw, &byType, jose.Limits{}) != nil || len(byType) != 1 {
		return nil, refuse(CodeInvalidProof, "proofs is missing or holds not exactly one proof type (OpenID4VCI 1.0, 8.2)")
	}
	var p proofs
	if err := jose.Unmarshal(raw, &p, jose.Limits{}); err != nil {
		return nil, refuse(CodeInvalidProof, "proofs is not an array of strings (OpenID4VCI 1.0, 8.2)")
	}
	switch {
	case len(p.JWT) > 0 && hasType(policy, ProofJWT):
		return i.verifyJWTs(ctx, p.JWT, policy, clientID, now)
	case len(p.Attestation) == 1 && hasType(policy, ProofAttestation):
		return i.verifyAttestation(ctx, p.Attestation[0], policy, now)
	}
	return nil, refuse(CodeInvalidProof, "proofs is empty or of a type that is not accepted here (OpenID4VCI 1.0, 8.2)")
}

func hasType(p ProofPolicy, name string) bool { _, ok := p.Types[name]; return ok }

// verifyJWTs verifies proofs of type jwt. A single proof with a key
// attestation stands for all keys attested; otherwise each proof for its own.
func (i *Issuer) verifyJWTs(ctx context.Context, tokens []string, policy ProofPolicy, clientID string, now time.Time) (*proven, *Error) {
	if len(tokens) > policy.Max {
		return nil, refuse(CodeInvalidProof, "%d proofs, at most %d", len(tokens), policy.Max)
	}
	typ := policy.Types[ProofJWT]
	out := &proven{}
	attested := "" // the attestation verified last: a batch repeats one
	for n, token := range tokens {
		pub, claims, keyAttestation, err := i.verifyJWT(token, typ, clientID, now)
		if err != nil {
			return nil, &Error{Code: CodeInvalidProof, Description: fmt.Sprintf("proof %d is not valid (OpenID4VCI 1.0, F.4)", n), Err: err}
		}
		if n == 0 {
			out.nonce = claims.Nonce
		} else if claims.Nonce != out.nonce {
			return nil, refuse(CodeInvalidProof, "proofs carry different nonces (OpenID4VCI 1.0, 8.2)")
		}
		if keyAttestation == "" && typ.KeyAttestations != nil {
			return nil, refuse(CodeInvalidProof, "proof %d lacks the key attestation that is required (OpenID4VCI 1.0, 12.2.4)", n)
		}
		if keyAttestation != "" && keyAttestation != attested {
			ka, refusal := i.verifyKeyAttestation(ctx, keyAttestation, typ, nil, now)
			if refusal != nil {
				return nil, refusal
			}
			if ka.Nonce != "" && ka.Nonce != claims.Nonce {
				return nil, refuse(CodeInvalidProof, "key attestation for another nonce (OpenID4VCI 1.0, F.1)")
			}
			out.attestation, attested = ka, keyAttestation
		}
		if keyAttestation != "" && out.attestation.Holds(pub) < 0 {
			return nil, refuse(CodeInvalidProof, "proof %d is by a key that its key attestation does not hold (OpenID4VCI 1.0, F.1)", n)
		}
		if slices.ContainsFunc(out.keys, func(k crypto.PublicKey) bool { return key.Equal(k, pub) }) {
			return nil, refuse(CodeInvalidProof, "proof %d is by a key of an earlier one", n)
		}
		out.keys = append(out.keys, pub)
	}
	if len(tokens) == 1 && out.attestation != nil {
		out.keys = out.attestation.Keys
		if len(out.keys) > policy.Max {
			return nil, refuse(CodeInvalidProof, "%d attested keys, at most %d", len(out.keys), policy.Max)
		}
	}
	return out, nil
}

// verifyJWT verifies one proof by the key in its header.
func (i *Issuer) verifyJWT(token string, typ ProofType, clientID string, now time.Time) (crypto.PublicKey, proofClaims, string, error) {
	var c proofClaims
	t, err := jose.Parse(token, jose.Limits{Token: 128 << 10})
	switch {
	case err != nil:
		return nil, c, "", err
	case !t.Header.HasType(TypeProof):
		return nil, c, "", fmt.Errorf("typ is %.40q, not %s", t.Header.Typ, TypeProof)
	case t.Header.JWK == nil || t.Header.KID != "" || len(t.Header.X5C) > 0:
		return nil, c, "", errors.New("header holds not exactly the key as jwk")
	case !slices.Contains(typ.Algorithms, t.Header.Alg):
		return nil, c, "", fmt.Errorf("alg %s is not accepted", t.Header.Alg)
	}
	if err := t.VerifyJWK(*t.Header.JWK); err != nil {
		return nil, c, "", err
	}
	if err := t.Claims(&c); err != nil {
		return nil, c, "", err
	}
	age := now.Sub(c.IssuedAt.Time())
	switch {
	case c.Audience != i.Identifier:
		return nil, c, "", errors.New("aud is not this credential issuer")
	case c.Issuer != "" && c.Issuer != clientID:
		return nil, c, "", errors.New("iss is not the client that the token was given to")
	case c.IssuedAt == 0 || age > proofWindow || age < -proofWindow:
		return nil, c, "", fmt.Errorf("iat is missing or more than %s away", proofWindow)
	case c.Nonce == "":
		return nil, c, "", errors.New("nonce is missing")
	}
	ka, err := t.Header.String("key_attestation")
	return t.Header.JWK.Key, c, ka, err
}

// verifyAttestation verifies a key attestation that is a proof by itself: it has
// to hold a nonce. OpenID4VCI 1.0, F.3.
func (i *Issuer) verifyAttestation(ctx context.Context, token string, policy ProofPolicy, now time.Time) (*proven, *Error) {
	there := func(string) error { return nil } // whether it is ours and new is looked at with those of other proofs
	ka, refusal := i.verifyKeyAttestation(ctx, token, policy.Types[ProofAttestation], there, now)
	if refusal != nil {
		return nil, refusal
	}
	if len(ka.Keys) > policy.Max {
		return nil, refuse(CodeInvalidProof, "%d attested keys, at most %d", len(ka.Keys), policy.Max)
	}
	return &proven{keys: ka.Keys, nonce: ka.Nonce, attestation: ka}, nil
}

func (i *Issuer) verifyKeyAttestation(ctx context.Context, token string, typ ProofType, nonce func(string) error, now time.Time) (*attestation.KeyAttestation, *Error) {
	ka, rep := attestation.VerifyKeyAttestation(ctx, token, i.Attesters, nonce, now)
	if ka == nil {
		return nil, &Error{Code: CodeInvalidProof, Description: "key attestation is not valid (OpenID4VCI 1.0, D.1)", Err: rep.Err()}
	}
	if want := typ.KeyAttestations; want != nil {
		if !meets(ka.KeyStorage, want.KeyStorage) || !meets(ka.UserAuthentication, want.UserAuthentication) {
			return nil, refuse(CodeInvalidProof, "key attestation does not state the key_storage or user_authentication that is required (OpenID4VCI 1.0, D.2)")
		}
	}
	return ka, nil
}

// meets reports whether one of the stated values is wanted.
func meets(stated, wanted []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(stated, func(s string) bool { return slices.Contains(wanted, s) })
}
