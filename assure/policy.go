package assure

import (
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/statuslist"
)

// Policy is what a relying party wants of a document beyond its being in order.
// The zero Policy wants nothing more, and takes no issuer on first use.
//
// Neither an mdoc nor an SD-JWT VC says how its key is kept: the level that a
// list of anchors gives the issuer is what stands for it.
type Policy struct {
	// MaxAge is how long ago the issuer may have signed the document.
	MaxAge time.Duration
	// MaxStatusAge is how old the status list may be that says it is valid. What
	// was not found out has no age: see DocumentParams.RequireStatus.
	MaxStatusAge time.Duration
	// MinLevel is the level of assurance that the issuer must have by the list
	// that it is trusted by.
	MinLevel Level
	// Countries are those whose issuers are accepted, ISO 3166-1 alpha-2.
	Countries []string
	// FirstUse accepts issuers that no list has, whose key a person accepted
	// once: anchors of [Pin.Anchor].
	FirstUse bool
}

const clausePolicy = "policy of the relying party (ISO/IEC 23220-1:2023, 5.2)"

// seen is what a policy is about.
type seen struct {
	now, signed time.Time
	country     string // of the signer
	anchor      Anchor
	revocation  statuslist.Verdict
}

// check judges a document that is in order.
func (p *Policy) check(s seen, r *check.Report) {
	if s.anchor.Pinned {
		const name = "trust on first use"
		if p.FirstUse {
			r.Warn(name, clauseTOFU, s.anchor.Origin, "no list has the issuer; put it on one, where there is one")
		} else {
			r.Fail(name, clauseTOFU, s.anchor.Origin, "no list has the issuer, and issuers are not taken on first use here")
		}
	}
	if p.MaxAge > 0 {
		p.age("policy: age of the document", s.now.Sub(s.signed), p.MaxAge, s.signed.IsZero(), "ask the holder to have it renewed", r)
	}
	if p.MaxStatusAge > 0 && s.revocation.Outcome == statuslist.Valid {
		p.age("policy: age of the status list", s.revocation.Age, p.MaxStatusAge, false, "try again with a connection, or decide without", r)
	}
	if p.MinLevel != "" {
		const name = "policy: level of assurance"
		if level := string(s.anchor.LoA); s.anchor.LoA.AtLeast(p.MinLevel) {
			r.Pass(name, clausePolicy, level)
		} else {
			r.Fail(name, clausePolicy, firstOf(level, "none stated")+", wanted is "+string(p.MinLevel), "ask for a document of an issuer with a higher level")
		}
	}
	if len(p.Countries) > 0 {
		const name = "policy: country of the issuer"
		if country := firstOf(s.country, s.anchor.Country); slices.ContainsFunc(p.Countries, func(c string) bool { return country != "" && strings.EqualFold(c, country) }) {
			r.Pass(name, clausePolicy, country)
		} else {
			r.Fail(name, clausePolicy, firstOf(country, "none stated")+", accepted are "+strings.Join(p.Countries, ", "), "ask for a document of another issuer")
		}
	}
}

func (p *Policy) age(name string, age, most time.Duration, unknown bool, advice string, r *check.Report) {
	allowed := ", at most " + most.String()
	switch {
	case unknown:
		r.Fail(name, clausePolicy, "not stated"+allowed, advice)
	case age > most:
		r.Fail(name, clausePolicy, age.Round(time.Second).String()+allowed, advice)
	default:
		r.Pass(name, clausePolicy, age.Round(time.Second).String()+allowed)
	}
}
