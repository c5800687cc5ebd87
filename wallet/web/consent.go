package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/sdjwt"
	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

// question is what a flow asks the holder.
type question struct {
	id     string
	asked  wallet.Question
	until  time.Time
	answer chan wallet.Answer // takes the one answer

	over bool // answered, or nobody waits any more; guarded by App.mu
}

// settle ends the question that waits, if one does; App.mu is held.
func (f *flow) settle() {
	if f.question != nil {
		f.question.over = true
	}
}

// Ask implements wallet.Consent: the question waits on a page of the flow in
// whose name the app asks, until it is answered or its time is over.
func (a *App) Ask(ctx context.Context, asked wallet.Question) (wallet.Answer, error) {
	f, ok := ctx.Value(flowKey{}).(*flow)
	if !ok {
		return wallet.Answer{}, errors.New("the question belongs to no page, so nobody was asked")
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	q := &question{id: newSecret(), asked: asked, answer: make(chan wallet.Answer, 1)}
	q.until, _ = ctx.Deadline()
	a.change(f, func() { f.state, f.question = asking, q })
	select {
	case answer := <-q.answer:
		return answer, nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case answer := <-q.answer: // just in time
		return answer, nil
	default:
	}
	q.over = true
	a.note(f, func() { f.state = working })
	return wallet.Answer{}, fmt.Errorf("nobody answered: %w", ctx.Err())
}

// question finds the question of the request with its flow, if the session
// owns it; a.mu is held.
func (a *App) question(r *http.Request) (*flow, *question, error) {
	id := r.PathValue("id")
	for _, f := range a.flows {
		if f.session == sessionOf(r) && f.question != nil && f.question.id == id {
			return f, f.question, nil
		}
	}
	return nil, nil, site.Errorf(http.StatusNotFound, "There is no such question, or it is over. What was shared is in the history.")
}

// serveQuestion shows a question, while it waits.
func (a *App) serveQuestion(w http.ResponseWriter, r *http.Request) error {
	a.mu.Lock()
	f, q, err := a.question(r)
	over := err == nil && q.over
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if over {
		return goTo(w, r, f)
	}
	page := questionPage{ID: q.id, Flow: f.id, Until: q.until, Question: q.asked, Party: viewParty(q.asked.Party)}
	if q.asked.Topic == wallet.TopicTrust {
		title := "Trust this issuer?"
		if q.asked.Channel != "" {
			title = "Is this who you think?"
		}
		a.render(w, "", title, "trust.html", page)
		return nil
	}
	page.Sets = a.viewSets(r.Context(), q.asked)
	page.Choice = slices.ContainsFunc(page.Sets, func(s setView) bool {
		return s.Several || slices.ContainsFunc(s.Options, func(o optionView) bool {
			return slices.ContainsFunc(o.Credentials, func(c credentialView) bool { return len(c.Candidates) > 1 })
		})
	})
	a.render(w, "", "Share this?", "consent.html", page)
	return nil
}

// serveDecision takes the answer, once.
func (a *App) serveDecision(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, q, err := a.question(r)
	if err != nil {
		return err
	}
	if q.over {
		return site.Errorf(http.StatusConflict, "This question was answered already, or its time is over. What was shared is in the history.")
	}
	var answer wallet.Answer
	switch form.Get("decision") {
	case "refuse":
	case "allow":
		if answer, err = decide(q.asked, form); err != nil {
			return &site.Error{Status: http.StatusBadRequest, Message: "This answer does not fit the question. Go back and look at it again.", Err: err}
		}
	default:
		return site.Errorf(http.StatusBadRequest, "The answer is neither yes nor no.")
	}
	q.over = true
	q.answer <- answer // has room: this is the only one
	a.note(f, func() { f.state, f.step = working, "" })
	return goTo(w, r, f)
}

// decide reads what the holder agreed to: the option of each set, the document
// of each credential in it, and of that the elements that were not struck out.
func decide(q wallet.Question, form url.Values) (wallet.Answer, error) {
	if q.Topic == wallet.TopicTrust {
		return wallet.Answer{Allow: true}, nil
	}
	answer := wallet.Answer{Allow: true}
	done := make(map[int]bool)
	for n, set := range q.Plan.Sets {
		if len(set.Options) == 0 {
			continue
		}
		option := 0
		if needed := q.Needed(n); len(set.Options) > 1 || !needed {
			v := form.Get(fieldSet(n))
			if v == "" && !needed {
				continue
			}
			v, document, merged := strings.Cut(v, ".")
			var err error
			if option, err = index(v, len(set.Options)); err != nil {
				return wallet.Answer{}, fmt.Errorf("set %d: %w", n, err)
			}
			if merged { // one button chooses the option and the document
				form.Set(fieldDocument(set.Options[option][0]), document)
			}
		}
		for _, i := range set.Options[option] {
			if done[i] {
				continue
			}
			done[i] = true
			chosen, err := decideCredential(q, i, form)
			if err != nil {
				return wallet.Answer{}, fmt.Errorf("credential %d: %w", i, err)
			}
			answer.Selection = append(answer.Selection, chosen...)
		}
	}
	return answer, nil
}

// decideCredential reads which documents answer one of the credentials.
func decideCredential(q wallet.Question, i int, form url.Values) (query.Selection, error) {
	candidates, asked := q.Plan.Credentials[i], &q.Plan.Query.Credentials[i]
	var out query.Selection
	take := func(k int) {
		c := candidates[k]
		if asked.Partial {
			claims := c.Claims
			c.Claims = nil
			for n, d := range claims {
				if form.Get(fieldElement(i, k, n)) != "" {
					c.Claims = append(c.Claims, d)
				}
			}
			if len(c.Claims) == 0 && len(claims) > 0 {
				return // all struck out: it is not shown
			}
		}
		out = append(out, c)
	}
	switch {
	case len(candidates) == 1:
		take(0)
	case asked.Multiple:
		for k := range candidates {
			if form.Get(fieldTake(i, k)) != "" {
				take(k)
			}
		}
	default:
		k, err := index(form.Get(fieldDocument(i)), len(candidates))
		if err != nil {
			return nil, err
		}
		take(k)
	}
	return out, nil
}

// index reads a number below n.
func index(s string, n int) (int, error) {
	i, err := strconv.Atoi(s)
	if err != nil || i < 0 || i >= n {
		return 0, fmt.Errorf("choice %.20q of %d", s, n)
	}
	return i, nil
}

// The names of the fields of the form.
func fieldSet(n int) string           { return fmt.Sprintf("set-%d", n) }
func fieldDocument(i int) string      { return fmt.Sprintf("document-%d", i) }
func fieldTake(i, k int) string       { return fmt.Sprintf("take-%d-%d", i, k) }
func fieldElement(i, k, n int) string { return fmt.Sprintf("element-%d-%d-%d", i, k, n) }

// questionPage is a question as the page shows it.
type questionPage struct {
	wallet.Question
	ID, Flow string
	Until    time.Time
	Party    partyView
	Sets     []setView
	Choice   bool // there is something to choose
}

// setView is one of the sets of the plan.
type setView struct {
	Field    string
	Several  bool // options to choose from
	Nested   bool // options with a choice in them: none is ticked beforehand, so that none is shared unmeant
	Optional bool
	Ticked   bool // beforehand, though optional
	Purposes []string
	Options  []optionView
	Missing  []string // why it cannot be answered
}

type optionView struct {
	Value       int
	First       bool
	Name        string
	Merged      bool // the documents of the option have the radio buttons
	Credentials []credentialView
}

type credentialView struct {
	Seen       bool // shown further up already
	Candidates []candidateView
}

type candidateView struct {
	wallet.Choice
	Radio    string // name of the radio button, if it is to be chosen among others
	Take     string // name of the checkbox, if several may answer
	Value    string // of the radio button
	First    bool
	Status   statusView
	Elements []elementView
	Partial  bool
	Again    string // what it means that the copy was shown before
	Form     string // the format, where a document of the same name comes in two
}

type elementView struct {
	wallet.Shown
	Lines   []string
	Field   string
	Picture picture
}

// viewSets are the ways to answer, for the page.
func (a *App) viewSets(ctx context.Context, q wallet.Question) []setView {
	var out []setView
	seen := make(map[int]bool)
	// Where nothing is more wanted than the rest, everything is.
	ticked := !slices.ContainsFunc(q.Plan.Sets, func(s query.PlannedSet) bool { return s.Required })
	for n, set := range q.Plan.Sets {
		s := setView{Field: fieldSet(n), Optional: !q.Needed(n), Ticked: ticked, Several: len(set.Options) > 1}
		if len(q.Plan.Sets) > 1 {
			s.Purposes = set.Purposes
		}
		for v, option := range set.Options {
			o := optionView{Value: v, First: v == 0 && (ticked || !s.Optional)}
			for _, i := range option {
				c := a.viewCredential(ctx, q, i)
				c.Seen = seen[i]
				seen[i] = true
				if o.Name != "" {
					o.Name += " and "
				}
				o.Name += c.Candidates[0].Document.Name
				o.Credentials = append(o.Credentials, c)
			}
			if s.Several {
				o.merge(s.Field)
				s.Nested = s.Nested || !o.Merged && slices.ContainsFunc(o.Credentials, func(c credentialView) bool { return len(c.Candidates) > 1 })
			}
			s.Options = append(s.Options, o)
		}
		if s.Nested {
			s.untick()
		}
		if len(set.Options) == 0 {
			s.Missing = missing(q.Plan, n)
		}
		if len(s.Options) > 0 || len(s.Missing) > 0 {
			out = append(out, s)
		}
	}
	tellApart(out)
	return out
}

// tellApart names the formats of documents that are called the same.
func tellApart(sets []setView) {
	var all []*candidateView
	for _, s := range sets {
		for _, o := range s.Options {
			for _, c := range o.Credentials {
				for k := range c.Candidates {
					all = append(all, &c.Candidates[k])
				}
			}
		}
	}
	twice := inTwoFormats(func(yield func(wallet.Document) bool) {
		for _, c := range all {
			if !yield(c.Document) {
				return
			}
		}
	})
	for _, c := range all {
		if twice[c.Document.Name] {
			c.Form = formatName(c.Document.Format)
		}
	}
}

// inTwoFormats are the names that documents of more than one format have.
func inTwoFormats(docs iter.Seq[wallet.Document]) map[string]bool {
	twice, formats := make(map[string]bool), make(map[string]string)
	for d := range docs {
		if known, seen := formats[d.Name]; seen && known != d.Format {
			twice[d.Name] = true
		}
		formats[d.Name] = d.Format
	}
	return twice
}

func formatName(format string) string {
	if format == query.FormatSDJWT {
		return "SD-JWT VC"
	}
	return "mdoc"
}

// untick leaves the choice among the options wholly to the holder.
func (s *setView) untick() {
	for _, o := range s.Options {
		for k := range o.Credentials[0].Candidates {
			c := &o.Credentials[0].Candidates[k]
			c.First = c.First && !o.Merged
		}
	}
}

// merge has each document of an option that is about one credential chosen
// together with the option: two choices inside each other could contradict.
func (o *optionView) merge(field string) {
	only := &o.Credentials[0]
	if len(o.Credentials) != 1 || only.Seen || only.Candidates[0].Take != "" {
		return
	}
	o.Merged = true
	for k := range only.Candidates {
		c := &only.Candidates[k]
		c.Radio, c.Value, c.First = field, fmt.Sprintf("%d.%d", o.Value, k), o.First && k == 0
	}
}

// missing says why a set cannot be answered.
func missing(p query.Plan, n int) []string {
	var out []string
	for i, why := range p.Missing {
		if why == "" {
			continue
		}
		id := p.Query.Credentials[i].ID
		if len(p.Query.Sets) == 0 || slices.ContainsFunc(p.Query.Sets[n].Options, func(o []string) bool { return slices.Contains(o, id) }) {
			out = append(out, why)
		}
	}
	return out
}

// viewCredential is one of the credentials asked for, with the documents that
// answer it.
func (a *App) viewCredential(ctx context.Context, q wallet.Question, i int) credentialView {
	asked := &q.Plan.Query.Credentials[i]
	var c credentialView
	for k, choice := range q.Choices[i] {
		v := candidateView{Choice: choice, Value: strconv.Itoa(k), First: k == 0, Partial: asked.Partial, Status: a.viewStatus(choice.Document)}
		switch {
		case choice.Reused && choice.Document.Single():
			v.Again = "Every copy was shown before."
		case choice.Reused:
			v.Again = "The copy was shown before, as its issuer wants it."
		}
		switch several := len(q.Choices[i]) > 1; {
		case several && asked.Multiple:
			v.Take = fieldTake(i, k)
		case several:
			v.Radio = fieldDocument(i)
		}
		pictures := a.pictures(ctx, choice.Document.ID)
		for _, e := range choice.Elements {
			n := slices.IndexFunc(choice.Candidate.Claims, func(d query.Disclosure) bool { return d.Path.Equal(e.Path) })
			v.Elements = append(v.Elements, elementView{
				Shown: e, Lines: lines(e.Text), Field: fieldElement(i, k, n), Picture: pictures[elementKey(choice.Document.Format, e.Path)],
			})
		}
		c.Candidates = append(c.Candidates, v)
	}
	return c
}

// pictures are those in a document by elementKey. They are an
// embellishment: if they cannot be read, the size is shown.
func (a *App) pictures(ctx context.Context, id string) map[string]picture {
	out := make(map[string]picture)
	_, elements, err := a.wallet.Show(ctx, id)
	if err != nil {
		return out
	}
	for _, e := range elements {
		if p := pictureOf(e.Image); p != "" {
			out[e.NameSpace+" "+e.ID] = p
		}
	}
	return out
}

// elementKey is name space and identifier of the element at a path, as a
// document that is shown has them.
func elementKey(format string, p query.Path) string {
	if format == query.FormatSDJWT {
		return " " + sdjwt.Path(p).String()
	}
	if len(p) != 2 {
		return ""
	}
	return fmt.Sprintf("%v %v", p[0], p[1])
}

// partyView is a party for people: what to call it and how far to believe that.
type partyView struct {
	wallet.Party
	Title string
	Class string // of the tag
	Word  string // in the tag
	Says  string
}

func viewParty(p wallet.Party) partyView {
	v := partyView{Party: p, Title: p.Name}
	if v.Title == "" {
		v.Title = p.ID
	}
	switch p.Standing {
	case assure.ReaderTrusted:
		v.Class, v.Word = "good", "trusted"
		if p.VouchedBy != "" {
			v.Says = p.VouchedBy + " vouches for it."
		}
	case assure.ReaderAnonymous:
		v.Title, v.Class, v.Word, v.Says = "Somebody", "warn", "anonymous", "It does not say who it is."
		if p.Name != "" {
			v.Says = "It does not say who it is; its address is " + p.Name + "."
		}
	case assure.ReaderForged:
		v.Title, v.Class, v.Word, v.Says = "Somebody", "bad", "forged", "Its signature is wrong."
	default:
		v.Class, v.Word = "warn", "unknown"
		v.Says = "It calls itself so, and nobody that this app trusts vouches for it."
	}
	if v.Title == "" {
		v.Title = "Somebody without a name"
	}
	return v
}
