package sdjwt

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// Presentation is a credential with the disclosures that the holder agreed to
// and, once [Presentation.Sign] or [Presentation.Finish] was called, a key
// binding JWT.
type Presentation struct {
	text    string // the SD-JWT, up to the last tilde
	hash    string // sd_hash
	bound   crypto.PublicKey
	unbound error // why bound is nil, if the credential names a key at all
	input   []byte
	kb      string
}

// Select is [Parse] and [SDJWT.Select] in one, for a credential that was
// verified when it was received and stored since.
func Select(stored string, paths []Path) (*Presentation, error) {
	s, err := Parse(stored, Limits{})
	if err != nil {
		return nil, err
	}
	return s.Select(paths)
}

// Select takes the disclosures of the claims that the paths select, with all
// that is in these claims and with the claims that they are in. No paths
// disclose nothing. A path that selects nothing is [ErrNoClaim].
//
// RFC 9901, 7.2; OpenID4VP 1.0, 7.1.
func (s *SDJWT) Select(paths []Path) (*Presentation, error) {
	if s.fit != nil {
		return nil, s.fit
	}
	wanted := make([]bool, len(s.Disclosures))
	want := func(from int) {
		if from != permanent {
			wanted[from] = true
		}
	}
	for _, path := range paths {
		any := false
		err := s.root.walk(path, nil, func(at place) {
			if at.value == nil {
				return
			}
			any = true
			for up := &at; up != nil; up = up.up {
				want(up.from)
			}
			at.value.each(&at, func(under place) { want(under.from) })
		})
		if err == nil && (!any || len(path) == 0) {
			err = fmt.Errorf("%w: %s", ErrNoClaim, path)
		}
		if err != nil {
			return nil, fmt.Errorf("select from %.128q: %w", s.VCT(), err)
		}
	}
	out := append(make([]byte, 0, s.end), s.compact[:s.jwt+1]...)
	for i := range s.Disclosures {
		if wanted[i] {
			out = append(append(out, s.Disclosures[i].bytes...), '~')
		}
	}
	p := &Presentation{text: string(out), hash: s.algorithm.digest(out)}
	p.bound, p.unbound = s.HolderKey()
	return p, nil
}

// KeyBinding is what a key binding JWT says.
type KeyBinding struct {
	// Audience and Nonce are those of the verifier's request.
	Audience, Nonce string
	// IssuedAt is now.
	IssuedAt time.Time
	// Transactions is what the holder agrees to with this credential; usually
	// nothing.
	Transactions TransactionHashes
	// More are further claims, such as those that a type of transaction data
	// wants. None may have a name of the others.
	More map[string]any
}

// claims are those of the key binding JWT over a presentation with a hash.
//
// RFC 9901, 4.3; OpenID4VP 1.0, B.3.3.1.
func (kb KeyBinding) claims(hash string) ([]byte, error) {
	own := struct {
		IssuedAt int64  `json:"iat"`
		Audience string `json:"aud"`
		Nonce    string `json:"nonce"`
		Hash     string `json:"sd_hash"`

		Transactions    []string `json:"transaction_data_hashes,omitempty"`
		TransactionHash string   `json:"transaction_data_hashes_alg,omitempty"`
	}{kb.IssuedAt.Unix(), kb.Audience, kb.Nonce, hash, kb.Transactions.Values, kb.Transactions.Algorithm}
	payload, err := json.Marshal(own)
	if err != nil || len(kb.More) == 0 {
		return payload, err
	}
	for _, name := range []string{"iat", "aud", "nonce", "sd_hash", "transaction_data_hashes", "transaction_data_hashes_alg"} {
		if _, taken := kb.More[name]; taken {
			return nil, fmt.Errorf("%w: the claim %s is ours (RFC 9901, 4.3)", ErrSyntax, name)
		}
	}
	more, err := json.Marshal(kb.More)
	if err != nil {
		return nil, err
	}
	return append(append(payload[:len(payload)-1], ','), more[1:]...), nil
}

// TransactionHashes says in a key binding JWT which transaction data the holder
// agrees to.
//
// OpenID4VP 1.0, B.3.3.1.
type TransactionHashes struct {
	// Algorithm is by the names of the registry of RFC 6920, 9.4; empty where
	// the request named none, and then sha-256.
	Algorithm string
	// Values are the hashes, base64url.
	Values []string
}

// AlgorithmName is the algorithm, sha-256 where none is named.
func (h TransactionHashes) AlgorithmName() string {
	if h.Algorithm == "" {
		return "sha-256"
	}
	return h.Algorithm
}

// Sign adds the key binding JWT, made with the key that the credential is
// bound to ([ErrKey] if it is another, or if there is none).
//
// RFC 9901, 4.3.
func (p *Presentation) Sign(ctx context.Context, kb KeyBinding, holder key.Signer) error {
	input, err := p.Prepare(kb)
	if err != nil {
		return err
	}
	if !key.Equal(p.bound, holder.Public()) {
		return fmt.Errorf("key binding: %w: the credential is bound to another", ErrKey)
	}
	signature, err := holder.Sign(ctx, input)
	if err != nil {
		return fmt.Errorf("key binding: %w", err)
	}
	return p.Finish(signature)
}

// Prepare returns what the holder's key signs, for a signature that is made
// elsewhere and handed to [Presentation.Finish].
func (p *Presentation) Prepare(kb KeyBinding) (toBeSigned []byte, err error) {
	if p.bound == nil {
		if p.unbound != nil {
			return nil, fmt.Errorf("key binding: %w", p.unbound)
		}
		return nil, fmt.Errorf("key binding: %w: the credential is bound to none", ErrKey)
	}
	alg, err := key.AlgorithmOf(p.bound)
	if err != nil {
		return nil, fmt.Errorf("key binding: %w: %w", ErrKey, err)
	}
	if kb.Audience == "" || kb.Nonce == "" || kb.IssuedAt.Unix() < 1 {
		return nil, fmt.Errorf("key binding: %w: audience, nonce and time are required (RFC 9901, 4.3)", ErrSyntax)
	}
	payload, err := kb.claims(p.hash)
	if err != nil {
		return nil, fmt.Errorf("key binding: %w", err)
	}
	p.kb = ""
	p.input, err = jose.Prepare(jose.Header{Alg: string(alg), Typ: typeKeyBinding}, payload)
	return p.input, err
}

// Finish puts the raw signature of the holder's key in. It is not verified.
func (p *Presentation) Finish(signature []byte) error {
	if p.input == nil {
		return fmt.Errorf("key binding: %w: not prepared", ErrSyntax)
	}
	p.kb = jose.Finish(p.input, signature)
	return nil
}

// String is the compact form: an SD-JWT+KB if there is a key binding JWT, else
// an SD-JWT.
//
// RFC 9901, 4.
func (p *Presentation) String() string { return p.text + p.kb }
