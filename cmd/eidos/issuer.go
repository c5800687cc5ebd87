package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/eidos-id/eidos/internal/qrcode"
	"github.com/eidos-id/eidos/issuer"
)

// issuerCmd is the operator of an issuing authority at the shell. It works on
// the authority's database, beside the server or without it.
type issuerCmd struct {
	Offer    issuerOfferCmd    `cmd:"" help:"Offer documents to a person: a link, and a PIN that goes another way."`
	Types    issuerTypesCmd    `cmd:"" help:"List what the authority issues."`
	List     issuerListCmd     `cmd:"" help:"List the documents that were issued."`
	Revoke   issuerRevokeCmd   `cmd:"" help:"Revoke documents for good."`
	Suspend  issuerSuspendCmd  `cmd:"" help:"Suspend documents until they are resumed."`
	Resume   issuerResumeCmd   `cmd:"" help:"End the suspension of documents."`
	Delete   issuerDeleteCmd   `cmd:"" help:"Revoke documents and forget whose they were."`
	Requests issuerRequestsCmd `cmd:"" help:"List the requests for documents that wait for approval."`
	Approve  issuerApproveCmd  `cmd:"" help:"Approve a request for a document."`
	Deny     issuerDenyCmd     `cmd:"" help:"Deny a request for a document."`
	Review   issuerReviewCmd   `cmd:"" help:"Compare all documents with the register now, which serve does every hour."`
	Token    issuerTokenCmd    `cmd:"" help:"Access tokens of the authority's API: create, list, revoke."`
}

// roleFlags are common to the operators' commands.
type roleFlags struct {
	Data   string `default:"${data}" type:"path" help:"Folder of databases and keys."`
	Config string `short:"c" type:"path" placeholder:"FILE" help:"Configuration; see eidos config doc."`
	Tenant string `default:"default" help:"Which of the tenants."`
}

func (f roleFlags) issuer(m *machine) (*issuer.Authority, *house, error) {
	h, err := m.shellHouse(f.Config, f.Data)
	if err != nil {
		return nil, nil, err
	}
	a, _, err := h.issuer(m.ctx)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return a, h, nil
}

type issuerOfferCmd struct {
	roleFlags
	Subject  string        `required:"" placeholder:"ID" help:"The person's id in the register."`
	Identify bool          `help:"Have the person identify in the browser (authorization code), instead of handing over link and PIN."`
	NoPIN    bool          `name:"no-pin" help:"Leave the PIN out, where the offering allows it."`
	Lifetime time.Duration `help:"How long the person has to accept; default what the configuration says."`
	Scheme   string        `enum:"openid-credential-offer,haip-vci" default:"openid-credential-offer" help:"How the link begins: openid-credential-offer, or haip-vci for apps of that profile."`
	ByValue  bool          `help:"Put the whole offer into the link, which gets long."`
	Out      string        `short:"o" type:"path" placeholder:"FILE" help:"Write the link here."`
	QR       string        `type:"path" placeholder:"FILE" help:"Write the link as a QR code (PNG) here."`
	JSON     bool          `help:"Print the offer as JSON."`
	Offering []string      `arg:"" help:"What is offered, such as mdl; eidos issuer types lists all."`
}

// Run makes the offer.
func (c *issuerOfferCmd) Run(m *machine) error {
	a, h, err := c.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	p := issuer.OfferParams{Offerings: c.Offering, Subject: c.Subject, TxCode: !c.NoPIN && !c.Identify, Scheme: c.Scheme, ByValue: c.ByValue}
	if c.Identify {
		p.Grant = issuer.AuthorizationCode
	}
	if c.Lifetime > 0 {
		p.Expires = m.now().Add(c.Lifetime)
	}
	o, err := a.Offer(m.ctx, c.Tenant, p)
	if err != nil {
		return err
	}
	m.noteSilence(h, c.Data)
	if c.Out != "" {
		if err := writeFile(c.Out, []byte(o.Link+"\n"), 0o600); err != nil {
			return err
		}
	}
	if c.QR != "" {
		if err := writeQR(c.QR, o.Link); err != nil {
			return err
		}
	}
	if c.JSON {
		return m.json(o)
	}
	if isTerminal(m.out) {
		drawQR(m.out, o.Link)
	}
	fmt.Fprintf(m.out, "offer:   %s\n", o.Link)
	if o.TxCode != "" {
		fmt.Fprintf(m.out, "PIN:     %s   (shown once; tell the person another way)\n", o.TxCode)
	}
	fmt.Fprintf(m.out, "expires: %s\n", o.Expires.Local().Format("2006-01-02 15:04"))
	return nil
}

// writeQR writes text as a QR code in PNG, readable by its owner only: an
// offer is worth a document.
func writeQR(name, text string) error {
	code, err := qrcode.Paper(text)
	if err != nil {
		return err
	}
	return writeFile(name, code.PNG(), os.FileMode(0o600))
}

type issuerTypesCmd struct {
	roleFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists the offerings.
func (c *issuerTypesCmd) Run(m *machine) error {
	a, h, err := c.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := a.Offerings(c.Tenant)
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(list)
	}
	for _, o := range list {
		fmt.Fprintf(m.out, "%-10s %-32s %s, %d copies, keys of level %s\n", o.ID, o.DocType, o.Name, o.Batch, o.Level)
	}
	return nil
}

type issuerListCmd struct {
	roleFlags
	Subject  string `placeholder:"ID" help:"Only this person's."`
	Offering string `placeholder:"ID" help:"Only these."`
	JSON     bool   `help:"Print the list as JSON."`
}

// Run lists documents.
func (c *issuerListCmd) Run(m *machine) error {
	a, h, err := c.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	docs, err := a.List(m.ctx, c.Tenant, issuer.Filter{Subject: c.Subject, Offering: c.Offering})
	if err != nil {
		return err
	}
	if c.JSON {
		if docs == nil {
			docs = []issuer.Document{}
		}
		return m.json(docs)
	}
	if len(docs) == 0 {
		fmt.Fprintln(m.out, "no documents")
	}
	for _, d := range docs {
		fmt.Fprintf(m.out, "%s  %-10s %-10s %-9s %d copies, valid until %s", d.ID, d.Offering, d.Subject, d.State, d.Copies, d.ValidUntil.Format(time.DateOnly))
		if !d.Outdated.IsZero() {
			fmt.Fprintf(m.out, "  (the register says something else since %s)", d.Outdated.Local().Format("2006-01-02 15:04"))
		}
		if d.Reason != "" {
			fmt.Fprintf(m.out, "  (%s)", d.Reason)
		}
		fmt.Fprintln(m.out)
	}
	return nil
}

// documentFlags say which documents are meant, and why.
type documentFlags struct {
	roleFlags
	Document string `placeholder:"ID" help:"This document; or"`
	Subject  string `placeholder:"ID" help:"all documents of this person,"`
	Offering string `placeholder:"ID" help:"of this offering only."`
	Reason   string `required:"" help:"For the authority's own books; no personal data."`
	JSON     bool   `help:"Print the documents' ids as JSON."`
}

// change makes an event in the life of documents and prints their ids.
func (f documentFlags) change(m *machine, done, meaning string,
	event func(*issuer.Authority, context.Context, string, issuer.Selection, string) ([]string, error),
) error {
	a, h, err := f.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	ids, err := event(a, m.ctx, f.Tenant, issuer.Selection{Document: f.Document, Subject: f.Subject, Offering: f.Offering}, f.Reason)
	if err != nil {
		return err
	}
	if f.JSON {
		return m.json(map[string][]string{done: ids})
	}
	if len(ids) == 0 {
		fmt.Fprintln(m.out, "the person has no document; apps that were granted one get none any more")
	}
	for _, id := range ids {
		fmt.Fprintf(m.out, "%s %s; %s\n", done, id, meaning)
	}
	return nil
}

type issuerRevokeCmd struct{ documentFlags }

// Run revokes.
func (c *issuerRevokeCmd) Run(m *machine) error {
	return c.change(m, "revoked", "the status lists say so from now on", (*issuer.Authority).Revoke)
}

type issuerSuspendCmd struct{ documentFlags }

// Run suspends.
func (c *issuerSuspendCmd) Run(m *machine) error {
	return c.change(m, "suspended", "not accepted any more until it is resumed", (*issuer.Authority).Suspend)
}

type issuerResumeCmd struct{ documentFlags }

// Run resumes.
func (c *issuerResumeCmd) Run(m *machine) error {
	return c.change(m, "resumed", "the holder's app gets new copies if those it has are not good any more", (*issuer.Authority).Resume)
}

type issuerDeleteCmd struct{ documentFlags }

// Run deletes.
func (c *issuerDeleteCmd) Run(m *machine) error {
	return c.change(m, "deleted", "revoked, and nothing says any more whose it was", (*issuer.Authority).Delete)
}

type issuerReviewCmd struct {
	roleFlags
	JSON bool `help:"Print the counts as JSON."`
}

// Run reviews.
func (c *issuerReviewCmd) Run(m *machine) error {
	a, h, err := c.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	var progress func(int)
	if isTerminal(m.err) {
		progress = func(done int) { fmt.Fprintf(m.err, "\r%d documents", done) }
	}
	r, err := a.Review(m.ctx, c.Tenant, progress)
	if progress != nil {
		fmt.Fprintln(m.err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(r)
	}
	fmt.Fprintf(m.out, "documents compared with the register: %d\n", r.Documents)
	fmt.Fprintf(m.out, "  say something else than it since now: %d\n", r.Outdated)
	fmt.Fprintf(m.out, "  did so for too long, copies revoked:  %d\n", r.Ended)
	fmt.Fprintf(m.out, "  revoked, holder died or is gone:      %d\n", r.Revoked)
	if r.Problems > 0 {
		fmt.Fprintf(m.out, "  could not be compared:                %d; the log says why\n", r.Problems)
	}
	return nil
}

type issuerRequestsCmd struct {
	roleFlags
	State string `enum:"waiting,approved,denied" default:"waiting" help:"Which ones: waiting, approved (the app has not come for it yet) or denied."`
	JSON  bool   `help:"Print the list as JSON."`
}

// Run lists requests.
func (c *issuerRequestsCmd) Run(m *machine) error {
	a, h, err := c.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := a.Requests(m.ctx, c.Tenant, issuer.RequestState(c.State))
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []issuer.Request{}
		}
		return m.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintf(m.out, "no requests are %s\n", c.State)
	}
	for _, r := range list {
		fmt.Fprintf(m.out, "%s  %-10s %-10s %d copies, since %s, until %s", r.ID, r.Offering, r.Subject, r.Copies,
			r.Made.Local().Format("2006-01-02 15:04"), r.Expires.Local().Format(time.DateOnly))
		if r.Reason != "" {
			fmt.Fprintf(m.out, "  (%s)", r.Reason)
		}
		fmt.Fprintln(m.out)
	}
	return nil
}

// decisionFlags say what is decided about.
type decisionFlags struct {
	roleFlags
	Request string `arg:"" help:"The request's id; eidos issuer requests lists them."`
	JSON    bool   `help:"Print the request's id as JSON."`
}

func (f decisionFlags) decide(m *machine, approve bool, reason, done, meaning string) error {
	a, h, err := f.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	if err := a.Decide(m.ctx, f.Tenant, f.Request, approve, reason); err != nil {
		return err
	}
	if f.JSON {
		return m.json(map[string]string{done: f.Request})
	}
	fmt.Fprintf(m.out, "%s %s; %s\n", done, f.Request, meaning)
	return nil
}

type issuerApproveCmd struct {
	decisionFlags
	Reason string `help:"For the authority's own books; no personal data."`
}

// Run approves.
func (c *issuerApproveCmd) Run(m *machine) error {
	return c.decide(m, true, c.Reason, "approved", "the app gets the document when it asks again")
}

type issuerDenyCmd struct {
	decisionFlags
	Reason string `required:"" help:"For the authority's own books; no personal data."`
}

// Run denies.
func (c *issuerDenyCmd) Run(m *machine) error {
	return c.decide(m, false, c.Reason, "denied", "the app is told that the authority refuses it")
}
