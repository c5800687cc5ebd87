package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// readerCmd is the mdoc reader at the shell.
type readerCmd struct {
	Read readerReadCmd `cmd:"" help:"Read a document nearby and verify it, also without a network."`
	Pack readerPackCmd `cmd:"" help:"Fetch what is needed to verify without a network: anchors, revocation and status lists."`
}

// verifier opens the verifier of the data directory; offline leaves the
// network alone.
func (f roleFlags) verifier(m *machine, offline bool) (*verifier.Verifier, *house, error) {
	h, err := m.shellHouse(f.Config, f.Data)
	if err != nil {
		return nil, nil, err
	}
	var do fetch.Func
	if !offline {
		do = h.fetch
	}
	v, err := h.verifier(m.ctx, do)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return v, h, nil
}

type readerReadCmd struct {
	roleFlags
	QR        string `required:"" placeholder:"URI" help:"Text of the QR code that the phone shows (mdoc:…), or a file that holds it."`
	Ask       string `default:"age18" help:"What to ask: age18, age21, identity, address, driving, or elements such as mdl:age_over_18,portrait."`
	Anonymous bool   `help:"Do not say who asks."`
	Online    bool   `help:"Fetch newer lists where the pack's are old."`
	Report    bool   `help:"Print every check."`
	JSON      bool   `help:"Print the result as JSON."`
	Portrait  string `type:"path" placeholder:"FILE" help:"Write the portrait here, to compare with the face."`
}

// Run reads; status 1 if the answer is not valid or not complete.
func (c *readerReadCmd) Run(m *machine) error {
	qr, err := m.linkOrFile(c.QR)
	if err != nil {
		return err
	}
	v, h, err := c.verifier(m, !c.Online)
	if err != nil {
		return err
	}
	defer h.close()
	r, err := v.Reader(c.Tenant)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.ctx, 5*time.Minute)
	defer cancel()
	res, err := r.Read(ctx, qr, c.Ask, verifier.ReadOptions{
		Anonymous: c.Anonymous, Online: c.Online, Progress: func(what string) { fmt.Fprintf(m.err, "… %s\n", what) },
	})
	if err != nil {
		return err
	}
	return m.result(res, c.JSON, c.Report, c.Portrait)
}

// result prints a verified answer; errSilent if it is not valid.
func (m *machine) result(res core.Result, asJSON, report bool, portrait string) error {
	if portrait != "" {
		for _, d := range res.Documents {
			if d.Portrait != nil {
				if err := writeFile(portrait, d.Portrait, 0o600); err != nil {
					return err
				}
			}
		}
	}
	if asJSON {
		if err := m.json(res); err != nil {
			return err
		}
	} else {
		var text strings.Builder
		if err := res.WriteText(&text, report); err != nil {
			return err
		}
		fmt.Fprint(m.out, visible(text.String()))
	}
	if res.OK() {
		return nil
	}
	if !asJSON {
		fmt.Fprintf(m.err, "eidos: not accepted: %s\n", visible(res.Reason))
	}
	return errSilent
}

type readerPackCmd struct {
	roleFlags
	Refresh bool `help:"Fetch anew what is still current; it is the default." hidden:""`
	JSON    bool `help:"Print what the pack has as JSON."`
}

// Run fetches the pack; status 1 if something could not be had.
func (c *readerPackCmd) Run(m *machine) error {
	v, h, err := c.verifier(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	p, err := v.Pack(m.ctx, c.Tenant)
	if err != nil {
		return hint(err, "are the trust service and the issuer running? eidos serve all starts every role")
	}
	if c.JSON {
		if err := m.json(p); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(m.out, "packed: %s\n", packedText(p))
		for _, problem := range p.Problems {
			fmt.Fprintf(m.out, "  could not be had: %s\n", problem)
		}
	}
	if len(p.Problems) > 0 {
		return errSilent
	}
	return nil
}

// packedText says what a pack has.
func packedText(p verifier.Packed) string {
	return strings.Join([]string{
		count(p.Anchors, "issuing authority", "issuing authorities"),
		count(len(p.Lists), "status list", "status lists"),
		count(len(p.CRLs), "revocation list", "revocation lists"),
	}, ", ")
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// verifierCmd is a relying party at the shell.
type verifierCmd struct {
	Request verifierRequestCmd `cmd:"" help:"Ask a holder over the internet: a link for the same device, a QR code for another."`
	Answer  verifierAnswerCmd  `cmd:"" help:"Take what a browser gave the page (--way browser)."`
	Show    verifierShowCmd    `cmd:"" help:"Show what became of a request."`
	Token   verifierTokenCmd   `cmd:"" help:"Access tokens of the verifier's API and console: create, list, revoke."`
}

type verifierRequestCmd struct {
	roleFlags
	Ask          string   `default:"identity" help:"What to ask: age18, age21, identity, address, driving, or elements such as pid:family_name,birth_date."`
	Purpose      string   `help:"Why, in words for the holder."`
	Way          string   `default:"openid4vp" enum:"openid4vp,browser,annex-b,reader-link" help:"How apps answer: OpenID4VP 1.0 by link, the Digital Credentials API (browser), or by ISO/IEC TS 18013-7 the older OpenID4VP profile or a reader's link."`
	Origin       string   `help:"Origin of the page that asks, for --way browser."`
	Protocol     string   `placeholder:"NAME" help:"Ask by this protocol alone, for --way browser: openid4vp-v1-signed, openid4vp-v1-multisigned, openid4vp-v1-unsigned or org-iso-mdoc."`
	ByValue      bool     `help:"Put the whole request into the link, for the same device."`
	Agree        []string `type:"path" placeholder:"FILE" help:"What the holder is to agree to by answering: JSON with type, data and, where not any may agree, credential_ids. May be repeated."`
	Unsigned     bool     `help:"Ask without proving who asks, where the tenant's compatibility allows it."`
	ResponseMode string   `default:"direct_post.jwt" enum:"direct_post.jwt,direct_post,fragment" help:"How the answer comes; others than direct_post.jwt where the tenant's compatibility allows them."`
	Out          string   `short:"o" type:"path" placeholder:"FILE" help:"Write the link, or the requests for the page, here."`
	QR           string   `type:"path" placeholder:"FILE" help:"Write the link as a QR code (PNG) here."`
	JSON         bool     `help:"Print the request as JSON."`
}

// Run begins a transaction; the server has to run for the wallet to answer.
func (c *verifierRequestCmd) Run(m *machine) error {
	if (c.Way == wayBrowser) != (c.Origin != "") {
		return usage("--origin goes with --way %s: it is that of the page", wayBrowser)
	}
	if c.Protocol != "" && c.Way != wayBrowser {
		return usage("--protocol goes with --way %s", wayBrowser)
	}
	if c.QR != "" && c.Way == wayAnnexB {
		return usage("--qr: a link of --way %s is for the device that shows it, not for another one that scans it", wayAnnexB)
	}
	v, h, err := c.verifier(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	agree, err := c.agreements(m)
	if err != nil {
		return err
	}
	tx, err := v.Begin(m.ctx, c.Tenant, verifier.AskParams{
		Ask: c.Ask, Purpose: c.Purpose, Agree: agree, ByValue: c.ByValue, Unsigned: c.Unsigned, ResponseMode: c.ResponseMode,
	})
	if err != nil {
		return err
	}
	invitation, err := c.invite(m, v, &tx)
	if err != nil {
		return err
	}
	m.noteSilence(h, c.Data)
	if c.Out != "" {
		if err := writeFile(c.Out, []byte(invitation+"\n"), 0o600); err != nil {
			return err
		}
	}
	if c.QR != "" {
		if err := writeQR(c.QR, tx.Code); err != nil {
			return err
		}
	}
	if c.JSON {
		return m.json(tx)
	}
	if isTerminal(m.out) && tx.Code != "" {
		drawQR(m.out, tx.Code)
	}
	fmt.Fprintf(m.out, "link:    %s\npage:    %s\nid:      %s\nexpires: %s\n", tx.Link, tx.Page, tx.ID, tx.Expires.Local().Format("15:04:05"))
	return nil
}

type verifierShowCmd struct {
	roleFlags
	Wait   time.Duration `help:"Wait this long for the holder."`
	Report bool          `help:"Print every check."`
	JSON   bool          `help:"Print the outcome as JSON."`
	ID     string        `arg:"" help:"Id of the request, as request prints it."`
}

// Run shows the outcome; status 1 unless it is a valid result.
func (c *verifierShowCmd) Run(m *machine) error {
	v, h, err := c.verifier(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	out, err := v.Outcome(m.ctx, c.Tenant, strings.TrimSpace(c.ID), "")
	for deadline := m.now().Add(c.Wait); err == nil && (out.State == verifier.Waiting || out.State == verifier.Fetched) && m.now().Before(deadline); {
		select {
		case <-m.ctx.Done():
			return m.ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
		out, err = v.Outcome(m.ctx, c.Tenant, strings.TrimSpace(c.ID), "")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		if err := m.json(out); err != nil {
			return err
		}
		if out.Result == nil || !out.Result.OK() {
			return errSilent
		}
		return nil
	}
	if out.Result == nil {
		fmt.Fprintf(m.out, "%s %s\n", out.State, visible(out.Error))
		return errSilent
	}
	return m.result(*out.Result, false, c.Report, "")
}
