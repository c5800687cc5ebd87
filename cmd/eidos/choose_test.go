package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

// choices asks for one of two licences, in parts, or for an identity card
// wholly; and if one likes for a ticket.
func choices() wallet.Question {
	q := wallet.Question{Topic: wallet.TopicShare, Channel: wallet.OnSite, Party: wallet.Party{Standing: assure.ReaderAnonymous}}
	candidate := func(credential, held int, ids ...string) query.Candidate {
		c := query.Candidate{Credential: credential, Held: held}
		for _, id := range ids {
			c.Claims = append(c.Claims, query.Disclosure{Path: query.Element("ns", id), Asked: query.Element("ns", id)})
		}
		return c
	}
	q.Plan = query.Plan{
		Query:       query.Query{Credentials: []query.Credential{{ID: "0", Partial: true}, {ID: "1"}, {ID: "2"}}},
		Credentials: [][]query.Candidate{{candidate(0, 0, "age", "name"), candidate(0, 1, "age", "name")}, {candidate(1, 2, "age")}, {candidate(2, 3, "name")}},
		Sets:        []query.PlannedSet{{Required: true, Options: [][]int{{0}, {1}}}, {Options: [][]int{{2}}}},
		Missing:     []string{"", "", ""}, Satisfied: true,
	}
	for _, list := range q.Plan.Credentials {
		var shown []wallet.Choice
		for _, c := range list {
			choice := wallet.Choice{Candidate: c, Document: wallet.Document{Name: "Paper"}}
			for _, d := range c.Claims {
				choice.Elements = append(choice.Elements, wallet.Shown{Path: d.Path, Label: d.Path.String(), Text: "value"})
			}
			shown = append(shown, choice)
		}
		q.Choices = append(q.Choices, shown)
	}
	return q
}

// TestTerminalChoice: what is picked on the terminal is shared, and what is not
// understood shares nothing.
func TestTerminalChoice(t *testing.T) {
	q := choices()
	first, second := q.Plan.Credentials[0][0], q.Plan.Credentials[0][1]
	card, ticket := q.Plan.Credentials[1][0], q.Plan.Credentials[2][0]
	onlyName := second
	onlyName.Claims = second.Claims[1:]
	for input, want := range map[string]query.Selection{
		"\n":                 nil,
		"n\n":                nil,
		"y\n":                {first, ticket},
		"c\n1\n1\n\nn\n":     {first},
		"c\n1\n2\n1\ny\n":    {onlyName, ticket},
		"c\n2\n\n":           {card},
		"c\n2\ny\n":          {card, ticket},
		"c\n3\n":             nil,
		"c\n0\n":             nil,
		"c\n1 2\n":           nil,
		"c\nboth\n":          nil,
		"c\n1\n1\nthe age\n": nil,
	} {
		var out bytes.Buffer
		answer, err := (&terminalConsent{in: bufio.NewReader(strings.NewReader(input)), out: &out}).Ask(t.Context(), q)
		if err != nil {
			t.Errorf("%q: %v", input, err)
		}
		if diff := cmp.Diff(want, answer.Selection); diff != "" || answer.Allow != (want != nil) {
			t.Errorf("%q: %s\n%s", input, diff, out.String())
		}
	}
	var out bytes.Buffer
	ask := func(input string, q wallet.Question) (wallet.Answer, error) {
		out.Reset()
		return (&terminalConsent{in: bufio.NewReader(strings.NewReader(input)), out: &out}).Ask(t.Context(), q)
	}
	if _, err := ask("c\n1\n", q); err == nil {
		t.Error("the input ended in the middle, and that was an answer")
	}
	for _, want := range []string{"purpose: not said", "optional: from", "or from", "c = choose"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	// Where there is nothing to choose, c is no answer; nor about trust.
	if answer, err := ask("c\n", wallet.Question{Topic: wallet.TopicTrust, Channel: wallet.Remote, Changed: true}); err != nil || answer.Allow {
		t.Errorf("%+v %v", answer, err)
	}
}
