package assure

import (
	"context"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/registration"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/statuslist"
)

const clauseRegistration = "ETSI TS 119 475 V1.2.1, 5.2"

// RegistrationParams is what is known beside a registration certificate. Now,
// Anchors and Subject are required.
type RegistrationParams struct {
	Now     time.Time
	Anchors *Anchors
	// Subject is the organizationIdentifier of the access certificate with which
	// the request was signed; nothing matches an empty one.
	Subject string
	// Status asks for the status; nil leaves it "not checked".
	Status StatusChecker
}

// VerifyRegistration verifies what a registrar says of a relying party. What it
// says counts only if the report is OK. A status that nobody could find out is a
// warning.
//
// ETSI TS 119 475 V1.2.1, 5.1.1 (GEN-5.1.1-04) and 5.2.
func VerifyRegistration(ctx context.Context, text string, p RegistrationParams) (registration.Certificate, Signer, check.Report) {
	var r check.Report
	c, token, err := registration.Parse(text)
	if err != nil {
		r.Fail("registration certificate", clauseRegistration, err.Error(), "the relying party has to get another one")
		return registration.Certificate{}, Signer{}, r
	}
	r.Pass("registration certificate", clauseRegistration, registration.Type)
	signer, rep := p.Anchors.VerifyChain(token.Header.X5C, trustlist.Registrar, p.Now, ChainOptions{Profile: pki.CredentialSigner})
	r.Add("registrar", rep)
	if !rep.OK() {
		return *c, signer, r
	}
	if err := token.Verify(signer.Path.Signer.Key); err != nil {
		r.Fail("registration signature", clauseRegistration+".1", err.Error(), "do not believe what it says")
	} else {
		r.Pass("registration signature", clauseRegistration+".1", token.Header.Alg)
	}
	if err := c.Times.Check(p.Now, skew); err != nil {
		r.Fail("registration time", clauseRegistration+".4", err.Error(), "the relying party has to get another one")
	} else {
		r.Pass("registration time", clauseRegistration+".4", "")
	}
	if p.Subject == "" || c.Asks() != p.Subject {
		r.Fail("registered party", "ETSI TS 119 475 V1.2.1, 5.1.1", fmt.Sprintf("it is about %.80q, the access certificate about %.80q", c.Asks(), p.Subject),
			"it may be somebody else's: do not believe what it says")
	} else {
		r.Pass("registered party", "ETSI TS 119 475 V1.2.1, 5.1.1", c.Asks())
	}
	if r.OK() && c.Status != nil {
		registrationStatus(ctx, c, signer, p, &r)
	}
	return *c, signer, r
}

// registrationStatus asks whether a certificate was withdrawn.
// ETSI TS 119 475 V1.2.1, 6.2.6.1.
func registrationStatus(ctx context.Context, c *registration.Certificate, signer Signer, p RegistrationParams, r *check.Report) {
	const name, clause = "registration status", "ETSI TS 119 475 V1.2.1, 6.2.6.1"
	if p.Status == nil {
		r.Skip(name, clause, "not checked")
		return
	}
	verdict, _ := p.Status.Check(ctx, statuslist.Question{Claim: *c.Status, Issuer: signer.Path.Chain}, p.Now)
	switch verdict.Outcome {
	case statuslist.Valid:
		r.Pass(name, clause, string(verdict.Outcome))
	case statuslist.Unknown, "":
		r.Warn(name, clause, "no usable status list", "it may have been withdrawn")
	default:
		r.Fail(name, clause, string(verdict.Outcome), "the registration was withdrawn")
	}
}
