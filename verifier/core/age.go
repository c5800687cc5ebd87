package core

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
)

// ages puts the answer to a question for an age in the place of what came in its
// stead: a date of birth says more than was wanted, and goes no further.
//
// PID rulebook 1.7, 3.1: a PID has no statements about the age. CIR (EU) 2024/2977.
func (v *verification) ages(doc *Document, asked *query.Credential, r *check.Report) {
	for i := range asked.Claims {
		id := v.nameOf(asked, asked.Claims[i].Path)
		want, ok := doctype.AgeOver(id)
		if !ok || slices.ContainsFunc(doc.Elements, func(e Element) bool { return e.ID == id || e.Asked == id }) {
			continue
		}
		for _, path := range standsIn(asked, i) {
			from := v.nameOf(asked, path)
			at := slices.IndexFunc(doc.Elements, func(e Element) bool { return e.ID == from && from != "" })
			if at < 0 {
				continue
			}
			years, ok := yearsOf(from, doc.Elements[at].Value, v.Now)
			if !ok {
				continue
			}
			e := Element{ID: id, Value: years >= want, Text: "No", From: from, Retain: doc.Elements[at].Retain}
			if years >= want {
				e.Text = "Yes"
			}
			if p := asked.Claims[i].Path; asked.Format == query.FormatMdoc {
				e.NameSpace, _ = p[0].(string)
				e.Label = v.Types.Label(v.Lang, doc.DocType, e.NameSpace, id)
			} else {
				e.Path = sdjwt.Path(p)
				e.Label = v.claimLabel(asked, e.Path)
			}
			doc.Elements[at] = e
			r.Pass("age", "PID rulebook 1.7, 3.1", fmt.Sprintf("%s computed from %s", id, from))
			break
		}
	}
}

// standsIn are the paths that may come in the place of a claim, and for no other
// reason.
func standsIn(c *query.Credential, claim int) []query.Path {
	var out []query.Path
	for _, set := range c.Claims[claim].Alternatives {
		if len(set) == 1 {
			out = append(out, set[0])
		}
	}
	for j := range c.Claims {
		beside, instead := len(c.ClaimSets) == 0, false
		for _, set := range c.ClaimSets {
			has := slices.Contains(set, j)
			beside = beside || has && slices.Contains(set, claim)
			instead = instead || has
		}
		if instead && !beside {
			out = append(out, c.Claims[j].Path)
		}
	}
	return slices.DeleteFunc(out, func(p query.Path) bool { // what is asked for by itself stays
		return len(c.ClaimSets) == 0 && slices.ContainsFunc(c.Claims, func(cl query.Claim) bool { return cl.Path.Equal(p) })
	})
}

// nameOf is the identifier of the element that a path selects.
func (v *verification) nameOf(c *query.Credential, p query.Path) string {
	if c.Format != query.FormatMdoc {
		return v.elementID(c, sdjwt.Path(p))
	}
	if len(p) != 2 {
		return ""
	}
	id, _ := p[1].(string)
	return id
}

// yearsOf is the age in whole years by an element: as it was when the document was
// signed, or on this day.
func yearsOf(element string, value any, now time.Time) (int, bool) {
	switch element {
	case "age_in_years":
		n, err := strconv.Atoi(fmt.Sprint(value))
		if number, ok := value.(json.Number); ok {
			n, err = strconv.Atoi(number.String())
		}
		return n, err == nil && n >= 0
	case "birth_date":
		text, _ := value.(string)
		born, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return 0, false
		}
		now = now.UTC()
		years := now.Year() - born.Year()
		if now.Month() < born.Month() || now.Month() == born.Month() && now.Day() < born.Day() {
			years--
		}
		return years, years >= 0
	}
	return 0, false
}
