package sdjwt

import (
	"crypto/subtle"
	"fmt"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/key"
)

// KeyBindingParams is what a verifier expects of a key binding JWT.
type KeyBindingParams struct {
	// Audience and Nonce are those of the request.
	Audience, Nonce string
	// MaxAge is how old the key binding JWT may be, beyond the skew of
	// [VerifyParams]. Default five minutes.
	MaxAge time.Duration
}

const defaultMaxAge = 5 * time.Minute

// keyBindingClaims are the claims of a key binding JWT.
//
// RFC 9901, 4.3.
type keyBindingClaims struct{ iat, aud, nonce, hash, transactions, transactionHash *node }

func (s *SDJWT) keyBindingClaims() (keyBindingClaims, error) {
	lim := DefaultLimits()
	r := reader{plain: true, members: lim.Members}
	n, err := r.readJSON(s.KeyBinding.Payload, lim)
	if err != nil {
		return keyBindingClaims{}, err
	}
	return keyBindingClaims{n.member("iat"), n.member("aud"), n.member("nonce"), n.member("sd_hash"),
		n.member("transaction_data_hashes"), n.member("transaction_data_hashes_alg")}, nil
}

// keyBinding follows the steps of the clause.
//
// RFC 9901, 7.3, step 5.
func (v *verification) keyBinding() {
	const name = "key binding"
	kb, want := v.s.KeyBinding, v.params.KeyBinding
	if want == nil {
		v.report.Skip(name, clauseVerifier, "not asked for")
		return
	}
	if kb == nil {
		v.report.Fail(name, clauseVerifier, "no key binding JWT", "the holder must show that the credential is theirs")
		return
	}
	v.holderSignature()
	if kb.Header.HasType(typeKeyBinding) {
		v.report.Pass("key binding type", "RFC 9901, 4.3", typeKeyBinding)
	} else {
		v.report.Fail("key binding type", "RFC 9901, 4.3", fmt.Sprintf("%.64q, not %q", kb.Header.Typ, typeKeyBinding), "the holder's software must correct it")
	}
	c, err := v.s.keyBindingClaims()
	if err != nil {
		v.report.Fail(name, "RFC 9901, 4.3", err.Error(), "the holder's software must correct it")
		return
	}
	v.fresh(c.iat, want)
	v.same("audience", "aud", c.aud, want.Audience, "the presentation was made for another verifier; do not accept it")
	v.same("nonce", "nonce", c.nonce, want.Nonce, "the presentation was made for another request; do not accept it")
	hash := v.s.algorithm.digest(v.s.bytes[:v.s.end])
	v.same("presentation hash", "sd_hash", c.hash, hash, "disclosures were added or taken away after the holder signed")
	v.transactions(c)
	v.out.HolderVerified, v.out.KeyBinding = true, kb.Payload // handed out only if nothing failed
}

func (v *verification) holderSignature() {
	const name = "holder signature"
	k, err := v.s.holder, v.s.unbound
	if err == nil && k == nil {
		err = fmt.Errorf("%w: the credential is bound to no key (RFC 9901, 4.1.2)", ErrKey)
	}
	if err == nil {
		err = v.s.KeyBinding.VerifyJWK(*k)
	}
	if err != nil {
		v.report.Fail(name, clauseVerifier, err.Error(), "the one who presents is not the one whom the credential was issued to; do not accept it")
		return
	}
	if alg, err := key.AlgorithmOf(k.Key); err != nil || !v.accepts(alg) {
		v.report.Fail(name, clauseVerifier, string(alg)+" is not accepted here", "ask for a credential bound to another kind of key")
		return
	}
	v.report.Pass(name, clauseVerifier, v.s.KeyBinding.Header.Alg)
}

// fresh checks when the key binding JWT was made.
func (v *verification) fresh(claim *node, want *KeyBindingParams) {
	const name = "key binding time"
	maxAge := want.MaxAge
	if maxAge <= 0 {
		maxAge = defaultMaxAge
	}
	iat, err := claim.date()
	now := v.params.Now
	switch {
	case err != nil || iat.IsZero():
		v.report.Fail(name, "RFC 9901, 4.3", "no \"iat\" that is a time", "the holder's software must write when it signs")
	case iat.After(now.Add(v.params.Skew)):
		v.report.Fail(name, clauseVerifier, date(iat)+", now is "+date(now), "the clock of the holder or of this device is wrong")
	case iat.Before(now.Add(-maxAge - v.params.Skew)):
		v.report.Fail(name, clauseVerifier, date(iat)+", now is "+date(now)+", allowed is "+maxAge.String(), "ask the holder to present again")
	default:
		v.report.Pass(name, clauseVerifier, date(iat))
	}
}

// same compares a claim with what it has to be. An empty expectation is met by
// nothing.
func (v *verification) same(name, claim string, found *node, want, advice string) {
	got, ok := found.text()
	switch {
	case !ok:
		v.report.Fail(name, "RFC 9901, 4.3", fmt.Sprintf("no %q that is a text", claim), "the holder's software must write it")
	case want == "" || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1:
		v.report.Fail(name, clauseVerifier, fmt.Sprintf("%q differs from what is expected", claim), advice)
	default:
		v.report.Pass(name, clauseVerifier, "as expected")
	}
}

// maxTransactions is how much one key binding JWT may agree to.
const maxTransactions = 64

// transactions takes the hashes of the transaction data that the holder agreed
// to. What was to be agreed to is the caller's to know.
//
// OpenID4VP 1.0, 8.4 and B.3.3.1.
func (v *verification) transactions(c keyBindingClaims) {
	if c.transactions == nil && c.transactionHash == nil {
		return
	}
	const name, clause, advice = "transaction data", "OpenID4VP 1.0, B.3.3.1", "the holder's software must correct it"
	alg, ok := c.transactionHash.text()
	if c.transactionHash != nil && !ok {
		v.report.Fail(name, clause, "\"transaction_data_hashes_alg\" is no text", advice)
		return
	}
	if c.transactions == nil || len(c.transactions.elements) == 0 || len(c.transactions.elements) > maxTransactions {
		v.report.Fail(name, clause, fmt.Sprintf("\"transaction_data_hashes\" is no array of 1 to %d", maxTransactions), advice)
		return
	}
	found := make([]string, len(c.transactions.elements))
	for i := range found {
		if found[i], ok = c.transactions.elements[i].value.text(); !ok || found[i] == "" {
			v.report.Fail(name, clause, "\"transaction_data_hashes\" with an entry that is no text", advice)
			return
		}
	}
	v.report.Pass(name, clause, strconv.Itoa(len(found))+" hashes")
	v.out.Transactions = TransactionHashes{alg, found}
}
