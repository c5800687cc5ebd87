package status

import (
	"crypto"
	"fmt"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/check"
)

// Policy says what else a token must keep to.
type Policy struct {
	// MSO asks for the rules of ISO/IEC 18013-5 second edition (draft v4),
	// 12.3.6: a CWT with exp, its chain in the protected header, and lists of
	// one bit.
	MSO bool

	// Skew is by how much clocks may differ. Optional.
	Skew time.Duration

	// MaxBytes limits the inflated list. Optional, MaxListBytes if zero.
	MaxBytes int
}

const (
	clauseJWT        = "Token Status List, 5.1"
	clauseRules      = "Token Status List, 8.3"
	clauseRevocation = "ISO/IEC 18013-5 second edition (draft v4), 12.3.6"
)

// Verify makes all checks on a token that decide what it says about one
// document: its form, its signature under pub, that it is the token the
// document refers to, its times, and the entry itself. The Status counts only
// if the report is OK. A claim with an identifier list and a status list is
// judged by the one that the token holds.
//
// Checks by name: "token type", "signature", "subject", "issued at", "expiry",
// "bits", "status" and, for an MSO, "chain header".
//
// Token Status List, 8.3.
func (t *Token) Verify(pub crypto.PublicKey, c Claim, now time.Time, p Policy) (Status, check.Report) {
	var r check.Report
	t.CheckClaims(&r, c, now, p)
	if err := t.VerifySignature(pub); err != nil {
		r.Fail("signature", clauseRules, err.Error(), "fetch the list again; if it stays so, its issuer or somebody on the way replaced it")
		return 0, r
	}
	r.Pass("signature", clauseRules, fmt.Sprintf("%T", pub))
	if !r.OK() {
		return 0, r
	}
	var view View
	if err := view.fill(t, p.MaxBytes); err != nil {
		r.Fail("status", clauseRules, err.Error(), "ask the issuer to publish a well-formed list")
		return 0, r
	}
	return view.Lookup(&r, c, p), r
}

// CheckClaims makes the checks that need no key.
func (t *Token) CheckClaims(r *check.Report, c Claim, now time.Time, p Policy) {
	r.Pass("token type", clauseRules, t.Media)
	if p.MSO {
		t.checkMSO(r)
	}
	want := c.uri(t.IsIdentifierList())
	switch {
	case want == "":
		r.Fail("subject", clauseRules, "the document has no reference to a token of this type", "fetch what the document refers to")
	case t.URI != want:
		r.Fail("subject", clauseRules, "sub of the token is not the uri of the document", "the list was published under a wrong address; ask its issuer")
	default:
		r.Pass("subject", clauseRules, t.URI)
	}
	t.checkTimes(r, now, p)
}

func (c Claim) uri(identifiers bool) string {
	switch {
	case identifiers && c.Identifier != nil:
		return c.Identifier.URI
	case !identifiers && c.List != nil:
		return c.List.URI
	}
	return ""
}

func (t *Token) checkMSO(r *check.Report) {
	switch {
	case !t.IsCWT():
		r.Fail("chain header", clauseRevocation, "the token is a JWT", "an MSO needs a CWT: ask with Accept: "+MediaListCWT)
	case len(t.X5Chain) == 0:
		r.Warn("chain header", clauseRevocation, "no x5chain", "the signer's key must be known otherwise")
	case !t.sign1.X5ChainProtected:
		r.Warn("chain header", clauseRevocation, "x5chain in the unprotected header", "its issuer should protect it")
	default:
		r.Pass("chain header", clauseRevocation, fmt.Sprintf("%d certificates, protected", len(t.X5Chain)))
	}
	if t.IsCWT() && !t.sign1.Tagged {
		r.Warn("tag", "Token Status List, 5.2", "COSE_Sign1 without tag 18", "its issuer should tag it")
	}
}

func (t *Token) checkTimes(r *check.Report, now time.Time, p Policy) {
	switch {
	case t.Issued.After(now.Add(p.Skew)):
		r.Fail("issued at", clauseRules, "issued "+stamp(t.Issued)+", after now "+stamp(now), "compare the clocks")
	case t.notBefore.After(now.Add(p.Skew)):
		r.Fail("issued at", "RFC 7519, 4.1.5", "not valid before "+stamp(t.notBefore), "compare the clocks")
	default:
		r.Pass("issued at", clauseRules, stamp(t.Issued))
	}
	switch {
	case t.Expires.IsZero() && p.MSO:
		r.Fail("expiry", clauseRevocation, "no exp", "its issuer must state one")
	case t.Expires.IsZero():
		r.Warn("expiry", clauseJWT, "no exp", "its issuer should state one")
	case !now.Before(t.Expires.Add(p.Skew)):
		r.Fail("expiry", clauseRules, "expired "+stamp(t.Expires)+", now is "+stamp(now), "fetch a fresh list")
	default:
		r.Pass("expiry", clauseRules, stamp(t.Expires))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// View is the opened content of a verified token, ready for many look-ups. It
// is safe for concurrent use.
type View struct {
	list        *List
	identifiers *Identifiers
}

// Open inflates a token whose signature was verified, to at most maxBytes
// (zero: MaxListBytes); else ErrUnverified.
func (t *Token) Open(maxBytes int) (*View, error) {
	v := &View{}
	if err := v.fill(t, maxBytes); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *View) fill(t *Token, maxBytes int) (err error) {
	if t.IsIdentifierList() {
		v.identifiers, err = t.Identifiers()
	} else {
		v.list, err = t.List(maxBytes)
	}
	return err
}

// Lookup records the checks "bits" and "status" and returns the status of the
// document. It counts only if neither failed: a document that is revoked is a
// pass of "status" with Invalid, because the question was answered.
func (v *View) Lookup(r *check.Report, c Claim, p Policy) Status {
	if v.identifiers != nil {
		if c.Identifier == nil {
			r.Fail("status", clauseRevocation, "the document refers to no identifier list", "fetch what the document refers to")
			return 0
		}
		s := Valid
		if v.identifiers.Has(c.Identifier.ID) {
			s = Invalid
		}
		r.Pass("status", clauseRevocation, s.String())
		return s
	}
	if c.List == nil {
		r.Fail("status", clauseRules, "the document refers to no status list", "fetch what the document refers to")
		return 0
	}
	if p.MSO && v.list.Bits() != 1 {
		r.Fail("bits", clauseRevocation, fmt.Sprintf("%d bits", v.list.Bits()), "lists for an MSO have one bit: ask the issuer")
		return 0
	}
	r.Pass("bits", clauseRules, strconv.Itoa(v.list.Bits()))
	s, err := v.list.Get(c.List.Index)
	if err != nil {
		r.Fail("status", clauseRules, err.Error(), "the document points past the list: ask its issuer")
		return 0
	}
	r.Pass("status", clauseRules, s.String())
	return s
}
