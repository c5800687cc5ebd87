package core

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
)

// conclude says what the answer came to as a whole.
func (v *verification) conclude() Result {
	r := &v.result
	v.missing()
	name, clause := "everything asked was answered", clauseAsked
	switch {
	case slices.ContainsFunc(r.Documents, func(d Document) bool { return d.Verdict != Valid }):
		r.Report.Skip(name, clause, "a document is not valid, see its report")
	case len(r.Missing) == 0:
		r.Report.Pass(name, clause, fmt.Sprintf("%d documents", len(r.Documents)))
	default:
		r.Report.Warn(name, clause, fmt.Sprintf("missing: %d of what was needed", len(r.Missing)),
			"the holder may not have it or did not want to share it; decide without, or ask for something else")
	}
	bad := r.Report.Failed()
	if len(bad) > 0 { // whatever is in it, this is no answer to the question
		for i := range r.Documents {
			r.Documents[i].Elements, r.Documents[i].Portrait, r.Documents[i].PortraitType = nil, nil, ""
		}
	}
	for i := range r.Documents {
		if d := &r.Documents[i]; d.Verdict != Valid {
			r.Verdict, r.Reason = Invalid, d.Name+": "+d.Reason
			return *r
		}
	}
	switch {
	case len(bad) > 0:
		r.Verdict, r.Reason = Invalid, sentence(bad[0])
	case len(r.Documents) == 0:
		r.Verdict, r.Reason = Empty, "nothing was returned"
	case len(r.Missing) > 0:
		m := r.Missing[0]
		r.Verdict, r.Reason = Incomplete, m.Label+": "+m.Why
	default:
		r.Verdict = Valid
	}
	return *r
}

// missing lists what keeps the query from being answered. Of a choice it is
// what the option lacks that came closest.
func (v *verification) missing() {
	index := map[string]int{}
	for i, c := range v.Asked.Credentials {
		index[c.ID] = i
	}
	if len(v.Asked.Sets) == 0 {
		for i := range v.Asked.Credentials {
			v.result.Missing = append(v.result.Missing, v.lacks(i)...)
		}
		return
	}
	said := map[string]bool{} // several sets may want the same
	for _, set := range v.Asked.Sets {
		if !set.Required {
			continue
		}
		var best []Missing
		for i, option := range set.Options {
			var lack []Missing
			for _, id := range option {
				if n, ok := index[id]; ok {
					lack = append(lack, v.lacks(n)...)
				}
			}
			if i == 0 || len(lack) < len(best) || slices.ContainsFunc(best, func(m Missing) bool { return m.whole() }) &&
				!slices.ContainsFunc(lack, func(m Missing) bool { return m.whole() }) {
				best = lack
			}
			if len(lack) == 0 {
				best = nil
				break
			}
		}
		for _, m := range best {
			if at := m.Credential + " " + m.NameSpace + " " + m.ID + " " + m.Path.String(); !said[at] {
				said[at] = true
				v.result.Missing = append(v.result.Missing, m)
			}
		}
	}
}

// lacks is what did not come of one credential. A document that is not valid
// lacks nothing: its report says what is wrong.
func (v *verification) lacks(index int) []Missing {
	c := &v.Asked.Credentials[index]
	docType := strings.Join(c.Types, " or ")
	if len(v.answered[index]) == 0 {
		why := "not returned"
		for _, e := range v.errors {
			if slices.Contains(c.Types, e.DocType) {
				why = errorText(e.Code)
			}
		}
		return []Missing{{Credential: c.ID, DocType: docType, Label: v.Types.TypeName(v.Lang, docType), Why: why}}
	}
	var out []Missing
	for _, a := range v.answered[index] {
		if v.result.Documents[a.document].Verdict != Valid || claimSetAnswered(c, a.claims) {
			continue
		}
		for i, got := range a.claims {
			if got {
				continue
			}
			m := v.notReturned(c, i)
			for _, e := range a.errors {
				if e.ElementRef == (mdoc.ElementRef{NameSpace: m.NameSpace, ID: m.ID}) {
					m.Why = errorText(e.Code)
				}
			}
			if a.other[i] {
				m.Why = "returned with another value than was asked for"
			}
			out = append(out, m)
		}
	}
	return out
}

// notReturned is the claim of a credential as missing.
func (v *verification) notReturned(c *query.Credential, claim int) Missing {
	path := c.Claims[claim].Path
	m := Missing{Credential: c.ID, DocType: strings.Join(c.Types, " or "), Label: path.String(), Why: "not returned"}
	switch {
	case c.Format == query.FormatSDJWT:
		m.Path = sdjwt.Path(path)
		m.ID = v.elementID(c, m.Path)
		m.Label = v.claimLabel(c, m.Path)
	case len(path) == 2:
		m.NameSpace, _ = path[0].(string)
		m.ID, _ = path[1].(string)
		m.Label = v.Types.Label(v.Lang, m.DocType, m.NameSpace, m.ID)
	}
	return m
}

// claimSetAnswered reports whether one of the sets of claims is complete.
func claimSetAnswered(c *query.Credential, got []bool) bool {
	for _, set := range c.ClaimSets {
		if !slices.ContainsFunc(set, func(i int) bool { return !got[i] }) {
			return true
		}
	}
	return false
}

// errorText says what an error code of a response means. ISO/IEC
// 18013-5:2021, 8.3.2.1.2.3.
func errorText(code int64) string {
	if code == 0 {
		return "the holder's app did not return it"
	}
	return fmt.Sprintf("the holder's app did not return it, code %d", code)
}

// sentence is a failed check in one line.
func sentence(c check.Check) string {
	s := c.Name
	if c.Seen != "" {
		s += ": " + c.Seen
	}
	if c.Advice != "" {
		s += "; " + c.Advice
	}
	return printable(s)
}

// printable takes out what would let an answer play tricks on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

// Age is a duration for people: "12 minutes".
func Age(d time.Duration) string {
	unit := func(n int64, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch d = max(0, d); {
	case d < 2*time.Minute:
		return unit(int64(d/time.Second), "second")
	case d < 2*time.Hour:
		return unit(int64(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return unit(int64(d/time.Hour), "hour")
	}
	return unit(int64(d/(24*time.Hour)), "day")
}
