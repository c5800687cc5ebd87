package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"rsc.io/qr"

	"github.com/eidos-id/eidos/issuer"
)

// issuerCmd is the operator of an issuing authority at the shell. It works on
// the authority's database, beside the server or without it.
type issuerCmd struct {
	Offer  issuerOfferCmd  `cmd:"" help:"Offer documents to a person: a link, and a PIN that goes another way."`
	Types  issuerTypesCmd  `cmd:"" help:"List what the authority issues."`
	List   issuerListCmd   `cmd:"" help:"List the documents that were issued."`
	Revoke issuerRevokeCmd `cmd:"" help:"Revoke documents for good."`
	Token  issuerTokenCmd  `cmd:"" help:"Access tokens of the authority's API: create, list, revoke."`
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
	p := issuer.OfferParams{Offerings: c.Offering, Subject: c.Subject, TxCode: !c.NoPIN && !c.Identify}
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
	code, err := qr.Encode(text, qr.M)
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
		fmt.Fprintf(m.out, "%s  %-8s %-10s %-8s %d copies, valid until %s", d.ID, d.Offering, d.Subject, d.State, d.Copies, d.ValidUntil.Format(time.DateOnly))
		if d.Reason != "" {
			fmt.Fprintf(m.out, "  (%s)", d.Reason)
		}
		fmt.Fprintln(m.out)
	}
	return nil
}

type issuerRevokeCmd struct {
	roleFlags
	Document string `placeholder:"ID" help:"This document; or"`
	Subject  string `placeholder:"ID" help:"all documents of this person,"`
	Offering string `placeholder:"ID" help:"of this offering only."`
	Reason   string `required:"" help:"For the authority's own books; no personal data."`
	JSON     bool   `help:"Print the documents' ids as JSON."`
}

// Run revokes.
func (c *issuerRevokeCmd) Run(m *machine) error {
	a, h, err := c.issuer(m)
	if err != nil {
		return err
	}
	defer h.close()
	ids, err := a.Revoke(m.ctx, c.Tenant, issuer.Selection{Document: c.Document, Subject: c.Subject, Offering: c.Offering}, c.Reason)
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(struct {
			Revoked []string `json:"revoked"`
		}{ids})
	}
	for _, id := range ids {
		fmt.Fprintf(m.out, "revoked %s; the status lists say so from now on\n", id)
	}
	return nil
}
