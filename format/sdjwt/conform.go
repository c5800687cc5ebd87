package sdjwt

import (
	"fmt"

	"github.com/eidos-id/eidos/format/check"
)

const clauseMetadata = "SD-JWT VC draft 18, 4.6"

// Check reports whether a credential keeps to the claim metadata of its type,
// as [ResolveType] returns it. complete says that the payload has all
// disclosures, as the holder's has: then each mandatory claim must be there.
// In a presentation only such claims count as missing as could not be withheld.
//
// SD-JWT VC draft 18, 4.6, 4.6.3 and 4.6.4.
func (m *TypeMetadata) Check(p *Payload, complete bool) check.Report {
	var r check.Report
	for i := range m.Claims {
		m.Claims[i].check(p, complete, &r)
	}
	if len(r.Checks) == 0 {
		r.Pass("claims of the type", clauseMetadata, fmt.Sprintf("%d rules of %.128s", len(m.Claims), m.VCT))
	}
	return r
}

func (c *ClaimMetadata) check(p *Payload, complete bool, r *check.Report) {
	const advice = "the issuer must keep to the rules of the type"
	found, withheld, missing := false, false, false
	var wrong SD
	gap := func(at *place, rest Path) {
		if len(at.value.digests) > at.value.disclosed() && (len(rest) > 1 || c.SD != Never) {
			withheld = true
		} else {
			missing = true
		}
	}
	err := p.root.walk(c.Path, gap, func(at place) {
		found = true
		if c.SD == Always && !at.hidden {
			wrong = Always
		}
		if c.SD == Never && at.hidden {
			wrong = Never
		}
	})
	switch {
	case err != nil:
		r.Fail("claim path", clauseMetadata, c.Path.String()+" leads through another kind of value", advice)
	case wrong != "":
		r.Fail("selective disclosure", "SD-JWT VC draft 18, 4.6.4", fmt.Sprintf("%s is not as %q wants it", c.Path, wrong), advice)
	}
	if err == nil && c.Mandatory != nil && *c.Mandatory && !found && (complete || missing && !withheld) {
		r.Fail("mandatory claim", "SD-JWT VC draft 18, 4.6.3", c.Path.String()+" is missing", advice)
	}
}

// disclosed counts the members that came from disclosures.
func (n *node) disclosed() int {
	count := 0
	for i := range n.members {
		if n.members[i].from != permanent {
			count++
		}
	}
	return count
}
