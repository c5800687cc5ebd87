package sdjwt

import (
	"crypto"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
)

// Issuer is what a validated chain says about the signer of a credential.
type Issuer struct {
	// Key is the public key of the first certificate.
	Key crypto.PublicKey
	// Name is for people, such as the issuer's common name.
	Name string
	// Country and Jurisdiction are C and ST of the signer's subject; empty if absent.
	Country, Jurisdiction string
	// NotBefore and NotAfter are the signer's certificate's.
	NotBefore, NotAfter time.Time
}

// ChainValidator validates an x5c, DER and not empty, for credentials of the
// given type at a time, up to a trusted root. Its checks become part of the
// report; if one fails nothing else of the credential is trusted. Where another
// of its types was asked for it is called once more, for that one.
//
// SD-JWT VC draft 18, 2.5; HAIP 1.0, 6.1.1.
type ChainValidator func(chain [][]byte, vct string, now time.Time) (Issuer, check.Report)

// VerifyParams is what a holder or verifier knows.
type VerifyParams struct {
	// Now is the time to verify at, Skew how far clocks may differ.
	Now  time.Time
	Skew time.Duration
	// ValidateChain is required, unless Issuer has a key: without either the
	// chain check fails. The claim "iss" is not compared with the certificate.
	ValidateChain ChainValidator
	// Issuer is the signer, where its key is known by other means than a
	// certificate; then x5c is not looked at.
	Issuer Issuer
	// VCT is the type that was asked for: the credential's or, by its
	// "aka_vcts", one that it also has. Empty accepts any.
	VCT string
	// Algorithms are those accepted from issuer and holder; empty accepts all
	// of package key.
	Algorithms []key.Algorithm
	// KeyBinding is what the key binding JWT has to say. Nil leaves key
	// binding "not checked". Whether it is required is the verifier's
	// decision, never the presentation's (RFC 9901, 7.3).
	KeyBinding *KeyBindingParams
}

// Result is what a verified credential says. All but Issuer is there only if
// no check of the report failed.
type Result struct {
	// Issuer is who signed, once the chain was validated.
	Issuer Issuer
	// VCT is the type, AlsoVCTs are those of "aka_vcts".
	VCT      string
	AlsoVCTs []string
	// Payload is what was shown.
	Payload *Payload
	// HolderKey is the key that the credential is bound to; nil if to none.
	HolderKey crypto.PublicKey
	// HolderVerified tells that the key binding JWT held.
	HolderVerified bool
	// Transactions is what the holder agreed to with the key binding JWT; the
	// caller compares it with what was asked.
	Transactions TransactionHashes
	// KeyBinding are the claims of the key binding JWT as they came.
	KeyBinding []byte
	// The times are zero where the credential has none.
	IssuedAt, NotBefore, Expires time.Time
	// Status is nil if the credential has none. Asking whether it was revoked
	// is the caller's part.
	Status *status.Claim
}

// The clauses that the checks cite.
const (
	clauseHeader   = "SD-JWT VC draft 18, 2.2.1"
	clauseKey      = "SD-JWT VC draft 18, 2.5"
	clauseVCT      = "SD-JWT VC draft 18, 2.2.2.1"
	clauseClaims   = "SD-JWT VC draft 18, 2.2.2.3"
	clauseVerify   = "RFC 9901, 7.1"
	clauseHolder   = "RFC 9901, 7.2"
	clauseVerifier = "RFC 9901, 7.3"
	clauseStatus   = "Token Status List, 6.2"
)

// Verify checks what a holder presented: the issuer's chain and signature,
// type and times, disclosures, and key binding. Each step is a check of the
// report.
//
// RFC 9901, 7.1 and 7.3; SD-JWT VC draft 18, 2.4.
func Verify(s *SDJWT, p VerifyParams) (Result, check.Report) {
	v := newVerification(s, p)
	v.issuerData()
	v.keyBinding()
	return v.result()
}

// VerifyIssued checks what an issuer handed over. It refuses a key binding
// JWT, which no issuer can make.
//
// RFC 9901, 7.1 and 7.2; SD-JWT VC draft 18, 2.4.
func VerifyIssued(s *SDJWT, p VerifyParams) (Result, check.Report) {
	v := newVerification(s, p)
	v.issuerData()
	if s.KeyBinding != nil {
		v.report.Fail("key binding", clauseHolder, "an issuer sent a key binding JWT", "the credential was used before; ask for a new one")
	}
	return v.result()
}

// usualChecks is how many checks a report has, those of the chain included.
const usualChecks = 24

func newVerification(s *SDJWT, p VerifyParams) *verification {
	v := &verification{s: s, params: p, issuer: p.Issuer}
	v.report.Checks = make([]check.Check, 0, usualChecks)
	return v
}

// verification is one run of [Verify].
type verification struct {
	s      *SDJWT
	params VerifyParams
	issuer Issuer
	out    Result
	report check.Report
}

func (v *verification) issuerData() {
	v.header()
	v.chain()       // 2.c
	v.signature()   // 2.a and b
	v.disclosures() // 3, 4 and 5
	v.registered()
	v.vct()
	v.times() // 6
	v.holder()
	v.status()
}

func (v *verification) header() {
	const name = "type header"
	switch h := &v.s.Token.Header; {
	case h.HasType(Type):
		v.report.Pass(name, clauseHeader, Type)
	case h.HasType(typeFormer):
		v.report.Warn(name, clauseHeader, typeFormer, "the issuer should write "+Type)
	default:
		v.report.Fail(name, clauseHeader, fmt.Sprintf("%.64q, not %q", h.Typ, Type), "this is no SD-JWT VC")
	}
}

func (v *verification) chain() {
	const name = "issuer chain"
	chain := v.s.Token.Header.X5C
	switch {
	case v.issuer.Key != nil:
		v.report.Skip(name, clauseKey, "the issuer's key is known by other means")
		return
	case len(chain) == 0:
		v.report.Fail(name, clauseKey, "no x5c in the header", "the issuer must include its certificate (HAIP 1.0, 6.1.1)")
		return
	case v.params.ValidateChain == nil:
		v.report.Fail(name, clauseKey, "no trust anchors to validate with", "give the issuing authority certificates to trust")
		return
	}
	issuer, rep := v.params.ValidateChain(chain, v.s.VCT(), v.params.Now)
	v.issuer = issuer
	v.report.Add(name, rep)
	if !rep.OK() {
		v.issuer.Key = nil
	} else if issuer.Key == nil {
		v.report.Fail(name, clauseKey, "validated without a key", "this is a defect of the validator of chains")
	}
}

// accepts reports whether the verifier takes signatures of the algorithm.
func (v *verification) accepts(alg key.Algorithm) bool {
	return len(v.params.Algorithms) == 0 || slices.Contains(v.params.Algorithms, alg)
}

func (v *verification) signature() {
	const name = "issuer signature"
	if v.issuer.Key == nil {
		v.report.Skip(name, clauseVerify, "the signer's key is not known, see the chain")
		return
	}
	alg, err := key.AlgorithmOf(v.issuer.Key)
	if err == nil && !v.accepts(alg) {
		v.report.Fail(name, clauseVerify, string(alg)+" is not accepted here", "ask for a credential signed with another algorithm")
		return
	}
	if err == nil {
		err = v.s.Token.Verify(v.issuer.Key)
	}
	if err != nil {
		v.report.Fail(name, clauseVerify, err.Error(), "the credential was changed after it was issued, or was not issued by this signer")
		return
	}
	v.report.Pass(name, clauseVerify, v.s.Token.Header.Alg)
}

func (v *verification) disclosures() {
	const name = "disclosures"
	if v.s.fit != nil {
		v.report.Fail(name, clauseVerify, v.s.fit.Error(), "a disclosure was changed, is missing or belongs to another credential; do not use it")
		return
	}
	seen := strconv.Itoa(len(v.s.Disclosures)) + " for " + strconv.Itoa(v.s.digests) + " digests, " + v.s.algorithm.name
	v.report.Pass(name, clauseVerify, seen)
	v.out.Payload = &Payload{v.s.root}
}

// isRegistered reports whether a claim must not be disclosed selectively.
func isRegistered(name string) bool {
	switch name {
	case "iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status":
		return true
	}
	return false
}

// registered looks for claims that only the issuer's JWT may have, with all
// that is in them.
func (v *verification) registered() {
	const name = "registered claims"
	for i := range v.s.root.members {
		m := &v.s.root.members[i]
		if isRegistered(m.name) && (m.from != permanent || m.value.digested) {
			v.report.Fail(name, clauseClaims, strconv.Quote(m.name)+" selectively disclosable", "the issuer must put it into the JWT itself")
			return
		}
	}
	v.report.Pass(name, clauseClaims, "none from a disclosure")
}

func (v *verification) vct() {
	const name = "credential type"
	vct := v.s.VCT()
	if vct == "" {
		v.report.Fail(name, clauseVCT, "no \"vct\"", "this is no SD-JWT VC")
		return
	}
	var also []string
	if list := v.s.registered("aka_vcts"); list != nil {
		for i := range list.elements {
			other, ok := list.elements[i].value.text()
			if !ok || other == "" || other == vct {
				also = nil
				break
			}
			also = append(also, other)
		}
		if len(also) == 0 {
			v.report.Fail(name, "SD-JWT VC draft 18, 2.2.2.2", "\"aka_vcts\" is no array of other types", "the issuer must correct it")
			return
		}
	}
	want := v.params.VCT
	if want != "" && want != vct && !slices.Contains(also, want) {
		v.report.Fail(name, clauseVCT, fmt.Sprintf("%.128q, asked for was %.128q", vct, want), "ask again for the credential that is needed")
		return
	}
	if want != "" && want != vct && !v.trustedFor(want) {
		v.report.Fail(name, clauseKey, fmt.Sprintf("%.128q, and by its own word %.128q, which was asked for", vct, want),
			"the issuer is trusted for the first of these types only; ask for a credential of one that is for the second")
		return
	}
	v.report.Pass(name, clauseVCT, vct)
	v.out.VCT, v.out.AlsoVCTs = vct, also
}

// trustedFor reports whether the chain stands also for a type that the issuer
// says the credential is of as well: else whoever may issue something could
// issue anything.
func (v *verification) trustedFor(vct string) bool {
	if v.params.Issuer.Key != nil || v.issuer.Key == nil { // nobody asks about types, or the chain has failed
		return true
	}
	_, rep := v.params.ValidateChain(v.s.Token.Header.X5C, vct, v.params.Now)
	return rep.OK()
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// times compares the time claims with the clock. "iat" may come from a
// disclosure, the others not.
func (v *verification) times() {
	early, late := v.params.Now.Add(-v.params.Skew), v.params.Now.Add(v.params.Skew)
	now := ", now is " + date(v.params.Now)
	iat, nbf, exp := v.date("issued at", "iat"), v.date("valid from", "nbf"), v.date("valid until", "exp")
	v.out.IssuedAt, v.out.NotBefore, v.out.Expires = iat, nbf, exp
	if !iat.IsZero() {
		if late.Before(iat) {
			v.report.Fail("issued at", clauseVerify, date(iat)+now, "the clock of the issuer or of this device is wrong")
		} else {
			v.report.Pass("issued at", clauseVerify, date(iat))
		}
	}
	if !nbf.IsZero() {
		if late.Before(nbf) {
			v.report.Fail("valid from", clauseVerify, date(nbf)+now, "the credential is not valid yet")
		} else {
			v.report.Pass("valid from", clauseVerify, date(nbf))
		}
	}
	switch {
	case exp.IsZero() && v.s.root.member("exp") == nil:
		if v.s.registered("status") == nil {
			v.report.Warn("valid until", clauseVerify, "neither \"exp\" nor \"status\"", "the issuer should limit the credential or be able to revoke it")
		}
	case exp.IsZero(): // said already
	case !early.Before(exp):
		v.report.Fail("valid until", clauseVerify, date(exp)+now, "the credential has expired; ask the holder to update it")
	default:
		v.report.Pass("valid until", clauseVerify, date(exp))
	}
}

// date reads a time claim; the zero time if it is absent or malformed.
func (v *verification) date(check, claim string) time.Time {
	t, err := v.s.root.member(claim).date()
	if err != nil {
		v.report.Fail(check, clauseVerify, strconv.Quote(claim)+" is no time", "the issuer must correct it")
	}
	return t
}

// date is a NumericDate (RFC 7519, 2); the zero time for nil.
func (n *node) date() (time.Time, error) {
	if n == nil {
		return time.Time{}, nil
	}
	if len(n.raw) < 12 { // the usual form, without encoding/json
		if s, err := strconv.ParseUint(n.raw, 10, 63); err == nil && s > 0 {
			return time.Unix(int64(s), 0).UTC(), nil
		}
	}
	var d jose.NumericDate
	err := d.UnmarshalJSON([]byte(n.raw))
	return d.Time(), err
}

// holder looks at the key that the credential is bound to.
func (v *verification) holder() {
	k, err := v.s.HolderKey()
	if err != nil {
		v.report.Fail("holder key", "RFC 9901, 4.1.2", err.Error(), "the issuer must correct it")
		return
	}
	v.out.HolderKey = k
}

// status says where revocation is published; asking is the caller's part.
func (v *verification) status() {
	const name = "revocation status"
	n := v.s.registered("status")
	if n == nil {
		v.report.Skip(name, clauseStatus, "the credential names no status list")
		return
	}
	c, err := n.statusClaim()
	if err != nil {
		v.report.Fail(name, clauseStatus, err.Error(), "the issuer must correct it")
		return
	}
	if c.List == nil {
		v.report.Skip(name, clauseStatus, "the credential names a mechanism that is not known here")
		return
	}
	v.out.Status = c
	v.report.Skip(name, clauseStatus, "status list "+c.List.URI) // without the index, which nobody else's credential has
}

// statusClaim reads the usual form from what was read already, and leaves all
// others to package status.
func (n *node) statusClaim() (*status.Claim, error) {
	c := new(status.Claim)
	if list := n.member("status_list"); list != nil && len(n.members) == 1 && len(list.members) == 2 {
		uri, isText := list.member("uri").text()
		if idx := list.member("idx"); isText && idx != nil {
			if index, err := strconv.ParseUint(idx.raw, 10, 64); err == nil {
				c.List, err = status.NewReference(index, uri)
				return c, err
			}
		}
	}
	return c, c.UnmarshalJSON([]byte(n.raw))
}

// result hands out what was verified, and nothing else.
func (v *verification) result() (Result, check.Report) {
	if !v.report.OK() {
		return Result{Issuer: v.issuer}, v.report
	}
	v.out.Issuer = v.issuer
	return v.out, v.report
}
