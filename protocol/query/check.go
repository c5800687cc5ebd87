package query

import (
	"errors"
	"fmt"
	"slices"
)

// ErrIncomplete says that a selection leaves unanswered what the verifier
// needs: for it, that is no answer.
var ErrIncomplete = errors.New("the selection leaves out what the verifier needs")

// maxStates bounds the search of [Plan.Check]. Twelve documents shown at once
// always stay below it, whatever the sets.
const maxStates = 1 << 12

// Check returns a holder's selection in the plan's own words: of each chosen
// candidate, found by its credential and document, the claims of the plan that
// the selection has too. Where parts may be left out ([Credential.Partial]) a
// document of which all is struck out is dropped.
//
// The result answers the query and holds nothing else: in every required set
// one option, in the others one or none, and no document beside them. The
// error wraps [ErrIncomplete] if something required is missing or nothing is
// left; every other error is about a selection that nobody could make from
// this plan.
//
// OpenID4VP 1.0, 6.4; ISO/IEC 18013-5 second edition (draft v4), 10.2.5.
func (p *Plan) Check(s Selection) (Selection, error) {
	var out Selection
	for _, c := range s {
		if c.Credential < 0 || c.Credential >= len(p.Credentials) {
			return nil, fmt.Errorf("selection names credential %d of %d", c.Credential, len(p.Credentials))
		}
		n := slices.IndexFunc(p.Credentials[c.Credential], func(p Candidate) bool { return p.Held == c.Held })
		if n < 0 {
			return nil, errors.New("selection holds a document that is not in the plan")
		}
		kept, err := narrow(&p.Query.Credentials[c.Credential], p.Credentials[c.Credential][n], c.Claims)
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			switch {
			case o.Credential != c.Credential:
			case o.Held == c.Held:
				return nil, errors.New("selection holds a document twice for one question")
			case !p.Query.Credentials[c.Credential].Multiple:
				return nil, errors.New("selection holds two documents where one was asked for")
			}
		}
		if len(kept.Claims) == 0 && len(p.Credentials[c.Credential][n].Claims) > 0 {
			continue // all struck out: the document is not shown
		}
		out = append(out, kept)
	}
	if len(out) == 0 || !p.Satisfied {
		return nil, ErrIncomplete
	}
	return out, p.covers(out)
}

// narrow is a planned candidate with only some of its claims.
func narrow(asked *Credential, planned Candidate, keep []Disclosure) (Candidate, error) {
	out := planned
	out.Claims = nil
	for _, d := range planned.Claims {
		if slices.ContainsFunc(keep, func(k Disclosure) bool { return k.Path.Equal(d.Path) }) {
			out.Claims = append(out.Claims, d)
		}
	}
	for _, k := range keep {
		if !slices.ContainsFunc(planned.Claims, func(d Disclosure) bool { return d.Path.Equal(k.Path) }) {
			return Candidate{}, errors.New("selection holds a claim that is not in the plan")
		}
	}
	if len(out.Claims) < len(planned.Claims) && !asked.Partial {
		return Candidate{}, errors.New("this verifier takes all that it asked for or nothing (OpenID4VP 1.0, 6.4.1)")
	}
	return out, nil
}

// covers checks that options, one of every required set and at most one of
// each other, make up exactly what was chosen. It follows the sets of
// credentials that the options seen so far can make up.
func (p *Plan) covers(s Selection) error {
	bits := make(map[int]uint64) // of the chosen credentials
	for _, c := range s {
		if _, ok := bits[c.Credential]; !ok {
			bits[c.Credential] = 1 << len(bits)
		}
	}
	if len(bits) > 64 {
		return fmt.Errorf("selection of %d documents, at most 64", len(bits))
	}
	reach := map[uint64]bool{0: true}
	for _, set := range p.Sets {
		var options []uint64
		if !set.Required {
			options = append(options, 0)
		}
		for _, o := range set.Options {
			if mask, ok := chosenMask(o, bits); ok {
				options = append(options, mask)
			}
		}
		if len(options) == 0 {
			return ErrIncomplete
		}
		next := make(map[uint64]bool)
		for made := range reach {
			for _, o := range options {
				next[made|o] = true
			}
		}
		if reach = next; len(reach) > maxStates {
			return errors.New("the options of this question are too entangled to tell whether the selection is one answer; select fewer documents")
		}
	}
	if all := uint64(1)<<len(bits) - 1; !reach[all] {
		return errors.New("selection holds documents of several options where one was asked for, or that belong to none")
	}
	return nil
}

// chosenMask is an option as bits; false if a part of it was not chosen.
func chosenMask(option []int, bits map[int]uint64) (uint64, bool) {
	var mask uint64
	for _, i := range option {
		bit, ok := bits[i]
		if !ok {
			return 0, false
		}
		mask |= bit
	}
	return mask, true
}
