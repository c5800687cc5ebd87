package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
)

// isReaderLink reports whether a link is that of a reader on a website.
func isReaderLink(link string) bool {
	n := len(engagement.ReaderScheme)
	return len(link) > n && strings.EqualFold(link[:n], engagement.ReaderScheme)
}

// walletAnswerCmd is what a platform does between page and app.
type walletAnswerCmd struct {
	walletFlags
	walletRules
	Origin string `required:"" help:"Origin of the page that asks, such as https://shop.example."`
	Out    string `short:"o" type:"path" placeholder:"FILE" help:"Write the response for the page here; without it, it is printed."`
	Yes    bool   `help:"Share what is asked for without asking; for trying out."`
	JSON   bool   `help:"Print response and log entry as JSON."`
	File   string `arg:"" help:"The requests of the page, as JSON: what it hands to navigator.credentials.get."`
}

// Run answers a page from a file.
func (c *walletAnswerCmd) Run(m *machine) error {
	request, err := m.readInput(c.File)
	if err != nil {
		return err
	}
	w, h, err := c.openBy(m, c.walletRules, c.Yes)
	if err != nil {
		return err
	}
	defer h.close()
	response, entry, err := w.AnswerBrowser(m.ctx, request, c.Origin)
	if response == nil { // the platform tells the page that nothing came
		return err
	}
	if c.Out != "" {
		if errOut := writeFile(c.Out, append(response, '\n'), 0o600); errOut != nil {
			return errors.Join(err, errOut)
		}
	}
	switch {
	case c.JSON:
		err = errors.Join(err, m.json(struct {
			Response json.RawMessage `json:"response"`
			Entry    wallet.LogEntry `json:"entry"`
		}{response, entry}))
	case c.Out == "":
		fmt.Fprintf(m.out, "%s\n", response)
	case err == nil:
		err = printLog(m, []wallet.LogEntry{entry}, false)
	}
	return err
}

// The ways to ask over the internet: what verifierRequestCmd.Way says.
const (
	wayReaderLink = "reader-link"
	wayAnnexB     = "annex-b"
	wayBrowser    = "browser"
)

// agreements reads what the holder is to agree to.
func (c *verifierRequestCmd) agreements(m *machine) ([]verifier.Agreement, error) {
	var list []verifier.Agreement
	for _, name := range c.Agree {
		data, err := m.readInput(name)
		if err != nil {
			return nil, err
		}
		var a verifier.Agreement
		if err := jose.Unmarshal(data, &a, jose.Limits{Token: 64 << 10}); err != nil {
			return nil, usage("%s: %v", name, err)
		}
		list = append(list, a)
	}
	return list, nil
}

// invite is what takes a request to the holder by the way that was chosen: a
// link, or the requests for the page.
func (c *verifierRequestCmd) invite(m *machine, v *verifier.Verifier, tx *verifier.Transaction) (string, error) {
	var err error
	switch c.Way {
	case wayReaderLink:
		tx.Link, err = v.ReaderLink(m.ctx, c.Tenant, tx.ID)
		tx.Code = tx.Link
	case wayAnnexB:
		tx.Link, err = v.AnnexBLink(m.ctx, c.Tenant, tx.ID)
		tx.Code = "" // it is for the device that shows it (ISO/IEC TS 18013-7, B.1.1)
	case wayBrowser:
		list, err := v.DigitalRequests(m.ctx, c.Tenant, tx.ID, c.Origin)
		if err != nil {
			return "", err
		}
		if c.Protocol != "" {
			if list = slices.DeleteFunc(list, func(r dcapi.Request) bool { return r.Protocol != c.Protocol }); len(list) == 0 {
				return "", usage("this cannot be asked by the protocol %s, or not here", c.Protocol)
			}
		}
		requests, err := json.Marshal(list)
		return string(requests), err
	}
	return tx.Link, err
}

// verifierAnswerCmd takes what a browser gave the page.
type verifierAnswerCmd struct {
	roleFlags
	Origin string `required:"" help:"Origin of the page, as it was given to request."`
	JSON   bool   `help:"Print where the browser goes next as JSON."`
	ID     string `arg:"" help:"Id of the request, as request prints it."`
	File   string `arg:"" help:"The response, as JSON with protocol and data."`
}

// Run verifies the answer and ends the request; show says what came of it.
func (c *verifierAnswerCmd) Run(m *machine) error {
	raw, err := m.readInput(c.File)
	if err != nil {
		return err
	}
	response, err := dcapi.ParseResponse(raw)
	if err != nil {
		return err
	}
	v, h, err := c.verifier(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	redirect, err := v.AnswerDigital(m.ctx, c.Tenant, strings.TrimSpace(c.ID), c.Origin, response)
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(map[string]string{"redirect_uri": redirect})
	}
	fmt.Fprintln(m.out, "answered")
	return nil
}
