package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

// hasChoice reports whether a question leaves the holder something to pick:
// optional parts, alternatives, one of several documents, elements to leave out.
func hasChoice(q wallet.Question) bool {
	if q.Topic != wallet.TopicShare {
		return false
	}
	for n, set := range q.Plan.Sets {
		if len(set.Options) > 1 || len(set.Options) > 0 && !q.Needed(n) {
			return true
		}
		for _, i := range slices.Concat(set.Options...) {
			list := q.Plan.Credentials[i]
			if len(list) > 1 || q.Plan.Query.Credentials[i].Partial && len(list[0].Claims) > 1 {
				return true
			}
		}
	}
	return false
}

// errUnclear is an answer that cannot be read: nothing is shared.
var errUnclear = errors.New("this answer was not understood")

// choose goes through a question part by part. What is not a clear answer ends
// it, and nothing is shared.
func (t *terminalConsent) choose(q wallet.Question) (wallet.Answer, error) {
	answer := wallet.Answer{Allow: true}
	done := make(map[int]bool)
	for n, set := range q.Plan.Sets {
		if len(set.Options) == 0 {
			continue
		}
		option, err := t.option(q, n)
		for _, i := range option {
			if err != nil || done[i] {
				continue
			}
			done[i] = true
			var chosen query.Selection
			chosen, err = t.documents(q, i)
			answer.Selection = append(answer.Selection, chosen...)
		}
		if errors.Is(err, errUnclear) {
			fmt.Fprintf(t.out, "%v: nothing is shared\n", err)
			return wallet.Answer{}, nil
		}
		if err != nil {
			return wallet.Answer{}, err
		}
	}
	return answer, nil
}

// option asks which option of a set to answer, if any.
func (t *terminalConsent) option(q wallet.Question, n int) ([]int, error) {
	options := q.Plan.Sets[n].Options
	var names []string
	for _, option := range options {
		var parts []string
		for _, i := range option {
			parts = append(parts, q.Choices[i][0].Document.Name)
		}
		names = append(names, strings.Join(parts, " and "))
	}
	if !q.Needed(n) {
		line, err := t.line(fmt.Sprintf("Share %s too? You may leave it out. [y/N] ", visible(strings.Join(names, ", or "))))
		if err != nil || !strings.EqualFold(line, "y") && !strings.EqualFold(line, "yes") {
			return nil, err
		}
	}
	k, err := t.pick("Which of these do you share?", names)
	if err != nil {
		return nil, err
	}
	return options[k], nil
}

// documents asks which documents answer one of the credentials, and what to
// leave out.
func (t *terminalConsent) documents(q wallet.Question, i int) (query.Selection, error) {
	list, asked := q.Choices[i], &q.Plan.Query.Credentials[i]
	picked := []int{0}
	var names []string
	for _, c := range list {
		names = append(names, fmt.Sprintf("%s by %s, valid until %s", c.Document.Name, c.Document.Issuer.Name, c.Document.ValidUntil.Format(time.DateOnly)))
	}
	var err error
	switch {
	case len(list) == 1:
	case asked.Multiple:
		picked, err = t.several("Which of these do you share? Numbers, empty for all", names)
		if err == nil && len(picked) == 0 {
			picked = nil
			for k := range list {
				picked = append(picked, k)
			}
		}
	default:
		picked[0], err = t.pick("Which of these do you share?", names)
	}
	if err != nil {
		return nil, err
	}
	var out query.Selection
	for _, k := range picked {
		c := q.Plan.Credentials[i][k]
		if asked.Partial && len(c.Claims) > 1 {
			if c.Claims, err = t.strike(list[k], c.Claims); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// strike asks which elements to leave out.
func (t *terminalConsent) strike(c wallet.Choice, claims []query.Disclosure) ([]query.Disclosure, error) {
	var names []string
	for _, d := range claims {
		name := d.Path.String()
		if n := slices.IndexFunc(c.Elements, func(e wallet.Shown) bool { return e.Path.Equal(d.Path) }); n >= 0 {
			name = c.Elements[n].Label
		}
		names = append(names, name)
	}
	out, err := t.several("What of it do you leave out? Numbers, empty for nothing", names)
	if err != nil {
		return nil, err
	}
	var keep []query.Disclosure
	for n, d := range claims {
		if !slices.Contains(out, n) {
			keep = append(keep, d)
		}
	}
	return keep, nil
}

// pick asks for one of several; the only one is not asked about.
func (t *terminalConsent) pick(prompt string, names []string) (int, error) {
	if len(names) == 1 {
		return 0, nil
	}
	picked, err := t.several(prompt+" Its number", names)
	if err == nil && len(picked) != 1 {
		err = errUnclear
	}
	if err != nil {
		return 0, err
	}
	return picked[0], nil
}

// several asks for any of several, by their numbers.
func (t *terminalConsent) several(prompt string, names []string) ([]int, error) {
	for n, name := range names {
		fmt.Fprintf(t.out, "  %d  %s\n", n+1, visible(name))
	}
	line, err := t.line(prompt + ": ")
	if err != nil {
		return nil, err
	}
	var out []int
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > len(names) || slices.Contains(out, n-1) {
			return nil, errUnclear
		}
		out = append(out, n-1)
	}
	return out, nil
}
