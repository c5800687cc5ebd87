package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

const nameSpace = "org.iso.18013.5.1"

// candidate is a document that would show elements.
func candidate(credential, held int, ids ...string) query.Candidate {
	c := query.Candidate{Credential: credential, Held: held, ClaimSet: -1}
	for _, id := range ids {
		p := query.Element(nameSpace, id)
		c.Claims = append(c.Claims, query.Disclosure{Path: p, Asked: p})
	}
	return c
}

// someQuestion asks for a licence, of which there are two, in parts, or for an
// identity card wholly; and if one likes for a ticket.
func someQuestion() wallet.Question {
	q := wallet.Question{Topic: wallet.TopicShare, Channel: wallet.OnSite, Party: wallet.Party{Standing: assure.ReaderUnknown, Name: "<b>Shop</b>"}}
	q.Warnings = []string{"Nobody that this app trusts vouches for it: the name may be invented."}
	q.Plan = query.Plan{
		Query: query.Query{Credentials: []query.Credential{{ID: "0", Partial: true}, {ID: "1"}, {ID: "2"}}},
		Credentials: [][]query.Candidate{
			{candidate(0, 0, "age_over_18", "family_name"), candidate(0, 1, "age_over_18", "family_name")},
			{candidate(1, 2, "age_over_18")}, {candidate(2, 3, "family_name")},
		},
		Sets:    []query.PlannedSet{{Required: true, Options: [][]int{{0}, {1}}}, {Options: [][]int{{2}}}},
		Missing: []string{"", "", ""}, Satisfied: true,
	}
	for _, list := range q.Plan.Credentials {
		var choices []wallet.Choice
		for _, c := range list {
			choice := wallet.Choice{Candidate: c, Document: wallet.Document{ID: "none", Name: "Paper", ValidUntil: time.Now().Add(time.Hour)}}
			for _, d := range c.Claims {
				choice.Elements = append(choice.Elements, wallet.Shown{Path: d.Path, Label: d.Path.String(), Text: "value", Retain: true})
			}
			choices = append(choices, choice)
		}
		q.Choices = append(q.Choices, choices)
	}
	return q
}

// Documents that are called the same are told apart by their format, others are
// not burdened with it.
func TestTellApart(t *testing.T) {
	named := func(name, format string) candidateView {
		return candidateView{Choice: wallet.Choice{Document: wallet.Document{Name: name, Format: format}}}
	}
	list := []candidateView{named("Card", query.FormatMdoc), named("Card", query.FormatSDJWT), named("Card", query.FormatMdoc), named("Paper", query.FormatMdoc)}
	sets := []setView{{Options: []optionView{{Credentials: []credentialView{{Candidates: list[:1]}}}, {Credentials: []credentialView{{Candidates: list[1:]}}}}}}
	tellApart(sets)
	for i, want := range []string{"mdoc", "SD-JWT VC", "mdoc", ""} {
		if list[i].Form != want {
			t.Errorf("%d: %q, want %q", i, list[i].Form, want)
		}
	}
}

func TestDecide(t *testing.T) {
	both := candidate(0, 0, "age_over_18", "family_name")
	tests := []struct {
		name string
		form string
		want query.Selection
		bad  bool
	}{
		{"the first licence", "set-0=0&document-0=0&element-0-0-0=on&element-0-0-1=on", query.Selection{both}, false},
		{"the second, without the name", "set-0=0&document-0=1&element-0-0-1=on&element-0-1-0=on", query.Selection{candidate(0, 1, "age_over_18")}, false},
		{"option and document in one", "set-0=0.1&document-0=0&element-0-1-0=on", query.Selection{candidate(0, 1, "age_over_18")}, false},
		{"a document of it that does not exist", "set-0=0.2", nil, true},
		{"all struck out", "set-0=0&document-0=1", nil, false},
		{"the identity card, which is not in parts", "set-0=1", query.Selection{candidate(1, 2, "age_over_18")}, false},
		{"with the ticket", "set-0=1&set-1=0", query.Selection{candidate(1, 2, "age_over_18"), candidate(2, 3, "family_name")}, false},
		{"no option", "document-0=0&element-0-0-0=on", nil, true},
		{"an option that does not exist", "set-0=2", nil, true},
		{"a negative one", "set-0=-1", nil, true},
		{"no document", "set-0=0&element-0-0-0=on", nil, true},
		{"a document that does not exist", "set-0=0&document-0=2", nil, true},
		{"an option of the ticket that does not exist", "set-0=1&set-1=on", nil, true},
	}
	for _, test := range tests {
		form, err := url.ParseQuery(test.form)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decide(someQuestion(), form)
		if (err != nil) != test.bad {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got.Selection); err == nil && diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// What is agreed to was asked for, whatever a form holds.
func TestDecideNeverMore(t *testing.T) {
	names := []string{"set-0", "set-1", "document-0", "take-0-0", "element-0-0-0", "element-0-0-1", "element-0-1-0", "element-0-1-1", "element-1-0-0", "set-2", "decision"}
	rapid.Check(t, func(t *rapid.T) {
		form := url.Values{}
		for _, name := range rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "fields") {
			form.Set(name, rapid.SampledFrom([]string{"0", "1", "2", "on", "-1", ""}).Draw(t, name))
		}
		q := someQuestion()
		answer, err := decide(q, form)
		if err != nil {
			return
		}
		for _, c := range answer.Selection {
			planned := q.Plan.Credentials[c.Credential]
			found := false
			for _, p := range planned {
				found = found || p.Held == c.Held && len(c.Claims) > 0 && len(c.Claims) <= len(p.Claims)
				if p.Held == c.Held && len(c.Claims) < len(p.Claims) && !q.Plan.Query.Credentials[c.Credential].Partial {
					t.Fatalf("%v was narrowed", c)
				}
			}
			if !found {
				t.Fatalf("%v was not asked for", c)
			}
		}
	})
}

// pending asks a question in the name of a flow of the browser with the cookie
// and returns its page, and what becomes of it.
func (w *world) pending(ctx context.Context, c *http.Cookie, q wallet.Question) (page string, result func() (wallet.Answer, error)) {
	w.t.Helper()
	f, err := w.open(request("GET", "/", nil).WithContext(context.WithValue(ctx, sessionKey{}, once.Hash(c.Value))), sharing)
	if err != nil {
		w.t.Fatal(err)
	}
	seen := *f
	var answer wallet.Answer
	var done sync.WaitGroup
	done.Go(func() { answer, err = w.Ask(context.WithValue(ctx, flowKey{}, f), q) })
	now := w.await(w.t.Context(), f, seen)
	return "/consent/" + now.question.id, func() (wallet.Answer, error) {
		done.Wait()
		return answer, err
	}
}

func TestConsent(t *testing.T) {
	w := newWorld(t)
	mine, other := w.enter(), w.enter()
	asked := someQuestion()
	asked.Authorises = []string{"Payment of <i>€ 9.50</i>"}
	page, result := w.pending(t.Context(), mine, asked)
	allow := url.Values{"decision": {"allow"}, "set-0": {"1"}}

	out := w.do(with(request("GET", page, nil), mine))
	body := out.Body.String()
	for _, want := range []string{"&lt;b&gt;Shop", "unknown", "may be invented", "will be kept", `type="radio" name="set-0" value="0.1"`, `type="radio" name="set-0" value="1.0"`, "you may leave it out", "Refuse",
		"By sharing you authorise", "Payment of &lt;i&gt;€ 9.50", "Share and authorise"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for name, r := range map[string]*http.Request{
		"another browser":       with(request("POST", page, allow), other),
		"another browser looks": with(request("GET", page, nil), other),
		"another question":      with(request("POST", "/consent/"+newSecret(), allow), mine),
	} {
		if out := w.do(r); out.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", name, out.Code)
		}
	}
	for name, form := range map[string]url.Values{"neither yes nor no": {"set-0": {"1"}}, "a choice that is none": {"decision": {"allow"}, "set-0": {"7"}}} {
		if out := w.do(with(request("POST", page, form), mine)); out.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, out.Code)
		}
	}
	if out := w.do(with(request("POST", page, allow), mine)); out.Code != http.StatusSeeOther {
		t.Errorf("the answer: status %d", out.Code)
	}
	if out := w.do(with(request("POST", page, url.Values{"decision": {"refuse"}}), mine)); out.Code != http.StatusConflict {
		t.Errorf("a second answer: status %d", out.Code)
	}
	answer, err := result()
	if err != nil || !answer.Allow || len(answer.Selection) != 1 || answer.Selection[0].Held != 2 {
		t.Errorf("answer %v, %v", answer, err)
	}
	if out := w.do(with(request("GET", page, nil), mine)); out.Code != http.StatusSeeOther {
		t.Errorf("the page afterwards: status %d", out.Code)
	}
}

func TestConsentRefusedAndLate(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	page, result := w.pending(t.Context(), c, someQuestion())
	w.do(with(request("POST", page, url.Values{"decision": {"refuse"}}), c))
	if answer, err := result(); err != nil || answer.Allow || answer.Selection != nil {
		t.Errorf("refused: %v, %v", answer, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	page, result = w.pending(ctx, c, someQuestion())
	cancel()
	if answer, err := result(); !errors.Is(err, context.Canceled) || answer.Allow {
		t.Errorf("nobody waits any more: %v, %v", answer, err)
	}
	if out := w.do(with(request("POST", page, url.Values{"decision": {"allow"}, "set-0": {"1"}}), c)); out.Code != http.StatusConflict {
		t.Errorf("an answer too late: status %d", out.Code)
	}
	if _, err := w.Ask(t.Context(), someQuestion()); err == nil {
		t.Error("a question without a page was answered")
	}
}

// TestTrustQuestion: whether to trust an issuer is asked with its fingerprint.
func TestTrustQuestion(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	for _, changed := range []bool{false, true} {
		page, result := w.pending(t.Context(), c, wallet.Question{Topic: wallet.TopicTrust, Changed: changed,
			Party: wallet.Party{Standing: assure.ReaderUnknown, Name: "Registry", Fingerprint: "c0ffee"}})
		body := w.do(with(request("GET", page, nil), c)).Body.String()
		if !strings.Contains(body, "c0ffee") || strings.Contains(body, "signs with another key") != changed {
			t.Errorf("changed %v:\n%s", changed, body)
		}
		w.do(with(request("POST", page, url.Values{"decision": {"allow"}}), c))
		if answer, err := result(); err != nil || !answer.Allow {
			t.Errorf("answer %v, %v", answer, err)
		}
	}
}

// TestChangedVerifier: whether to go on with another key is asked by itself, and
// no is the first answer.
func TestChangedVerifier(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	page, result := w.pending(t.Context(), c, wallet.Question{Topic: wallet.TopicTrust, Channel: wallet.Remote, Changed: true,
		Party: wallet.Party{Standing: assure.ReaderUnknown, Name: "Shop", Fingerprint: "c0ffee"}, Warnings: []string{"Another key."}})
	body := w.do(with(request("GET", page, nil), c)).Body.String()
	for _, want := range []string{"c0ffee", "not the key that you know", "Another key.", "Nothing is shared yet"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Index(body, `value="refuse"`) > strings.Index(body, `value="allow"`) || strings.Contains(body, "issuer") {
		t.Error(body)
	}
	w.do(with(request("POST", page, url.Values{"decision": {"refuse"}}), c))
	if answer, err := result(); err != nil || answer.Allow {
		t.Errorf("answer %v, %v", answer, err)
	}

	for _, q := range []struct {
		met  time.Time
		says string
	}{{time.Time{}, "You have not met it before"}, {w.Now(), "You have met it before, on"}} {
		asked := someQuestion()
		asked.Party.Key, asked.Party.Met = []byte{1}, q.met
		page, _ := w.pending(t.Context(), c, asked)
		if body := w.do(with(request("GET", page, nil), c)).Body.String(); !strings.Contains(body, q.says) || !strings.Contains(body, "Purpose: not said") {
			t.Errorf("the page does not say %q", q.says)
		}
		w.do(with(request("POST", page, url.Values{"decision": {"refuse"}}), c))
	}
}

// TestStop: what runs ends with the app, and nothing begins any more.
func TestStop(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	f, err := w.open(with(request("GET", "/", nil), c), meeting)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	w.start(f, func(ctx context.Context) {
		_, err := w.Ask(ctx, someQuestion())
		asked <- err
	})
	cancel()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("the question ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := w.open(with(request("GET", "/", nil), c), meeting); err == nil {
		t.Error("a flow began after the end")
	}
}

// TestManyFlows: what is open at a time is bounded.
func TestManyFlows(t *testing.T) {
	w := newWorld(t)
	r := request("GET", "/", nil)
	for range maxFlows {
		if _, err := w.open(r, adding); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.open(r, adding); err == nil {
		t.Errorf("%d flows are open", maxFlows+1)
	}
	w.Pass(keepTime + time.Second)
	if _, err := w.open(r, adding); err != nil {
		t.Errorf("when the others are over: %v", err)
	}
}
