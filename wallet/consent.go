package wallet

import (
	"context"
	"fmt"

	"github.com/eidos-id/eidos/protocol/query"
)

// Consent asks the holder. It may be called from several goroutines.
type Consent interface {
	// Ask shows the question and returns what the holder decided. A refusal is
	// an answer, not an error; an error means that nobody could be asked, and
	// counts as a refusal towards the other side. When ctx ends, nobody waits
	// for the answer any more.
	Ask(ctx context.Context, q Question) (Answer, error)
}

// Topic is what the holder is asked about.
type Topic string

// The topics.
const (
	// TopicShare: may these elements be shared with the party?
	TopicShare Topic = "share"
	// TopicTrust: nobody vouches for the issuer of a document; is it to be
	// trusted all the same, from now on? With Changed, the issuer signs with
	// another key than the one accepted before. With a Channel it is about a
	// verifier that shows another key than the one met before: is the holder
	// willing to hear what it asks all the same? A yes shares nothing yet.
	TopicTrust Topic = "trust"
)

// Question is what the holder has to decide. All texts of others in it are
// without control characters and may be printed.
type Question struct {
	Topic   Topic
	Party   Party
	Channel Channel // empty for issuers
	// Changed: it has another key than the one accepted before.
	Changed bool

	// Plan is how the documents held answer what was asked, Choices the same
	// for people: for each of Plan.Query.Credentials the documents that
	// answer it, parallel to Plan.Credentials.
	Plan    query.Plan
	Choices [][]Choice
	// Purposes are the reasons that the party gave.
	Purposes []string
	// Authorises says what the holder authorises by sharing, such as a payment,
	// a line each. OpenID4VP 1.0, 8.4.
	Authorises []string
	// AuthorisedTypes are the types of what is authorised, each once.
	AuthorisedTypes []string
	// Warnings say what is unusual: a party that nobody vouches for, more
	// asked for than the purpose needs, elements to be kept, copies shown
	// before.
	Warnings []string
}

// Choice is one document that answers one of the credentials asked for.
type Choice struct {
	Candidate query.Candidate // to go into Answer.Selection
	Document  Document
	Elements  []Shown
	Absent    []string // names of what was asked for and is not in the document
	Reused    bool     // the copy has been shown before: see LoggedDocument.Reused
}

// Shown is an element that would be shared.
type Shown struct {
	Path        query.Path
	Label, Text string // name and value in the holder's language; images by their size
	Retain      bool   // the party means to keep it
	Sensitive   bool   // asks for particular care
	InsteadOf   string // name of what was asked for, where this stands in for it
}

// Answer is the holder's decision.
type Answer struct {
	Allow bool
	// Selection is what may be shared: candidates of Plan.Credentials. From a
	// candidate, claims may be struck out where the plan's query is Partial.
	Selection query.Selection
	// Factors are how the holder was recognised while deciding, beyond having the
	// keys of the app. A bank is told when a payment is authorised.
	Factors []Factor
}

// Approve is the answer that allows what was asked, in the party's order of
// preference.
func (q Question) Approve() Answer {
	return Answer{Allow: true, Selection: q.Plan.First(true)}
}

// Needed reports whether saying yes means to answer a set of the plan: if it
// is required, and also if there is no other to answer. Others are optional.
func (q Question) Needed(set int) bool {
	if q.Plan.Sets[set].Required {
		return true
	}
	for n, other := range q.Plan.Sets {
		if n != set && len(other.Options) > 0 {
			return false
		}
	}
	return true
}

// AutoApprove is a Consent that allows all sharing without asking anybody: for
// tests, and for people who say so in advance.
type AutoApprove struct {
	// Issuers also trusts issuers that nobody vouches for, at first use; never
	// one whose key has changed.
	Issuers bool
}

// Ask implements Consent.
func (a AutoApprove) Ask(_ context.Context, q Question) (Answer, error) {
	switch q.Topic {
	case TopicShare:
		return q.Approve(), nil
	case TopicTrust:
		return Answer{Allow: a.Issuers && !q.Changed}, nil
	}
	return Answer{}, fmt.Errorf("question about %q is not known", q.Topic)
}
