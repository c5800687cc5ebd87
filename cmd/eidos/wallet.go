package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/wallet"
	"github.com/eidos-id/eidos/wallet/sqlitestore"
)

// walletCmd is the mdoc app at the shell.
type walletCmd struct {
	Install walletInstallCmd `cmd:"" help:"Install the app: its provider registers it and vouches for it."`
	Accept  walletAcceptCmd  `cmd:"" help:"Accept an offer of documents."`
	List    walletListCmd    `cmd:"" help:"List the documents."`
	Show    walletShowCmd    `cmd:"" help:"Show what is in a document."`
	Present walletPresentCmd `cmd:"" help:"Show documents to a reader nearby (--qr) or to a website (a link)."`
	Answer  walletAnswerCmd  `cmd:"" help:"Answer a page that calls the Digital Credentials API, from a file with its requests."`
	Check   walletCheckCmd   `cmd:"" help:"Ask whether a document is still valid."`
	Reissue walletReissueCmd `cmd:"" help:"Get new copies of documents that need some, or of one."`
	Delete  walletDeleteCmd  `cmd:"" help:"Delete a document with all its copies and keys."`
	Log     walletLogCmd     `cmd:"" help:"What was shared with whom, and what was issued."`
	Trusted walletTrustedCmd `cmd:"" help:"Whom you trusted on first use."`
	Export  walletExportCmd  `cmd:"" help:"Write the log and the list of documents into an encrypted file, to take them along."`
	Import  walletImportCmd  `cmd:"" help:"Take over the log of such a file, and list the documents to get again."`
	Status  walletStatusCmd  `cmd:"" help:"Show the installation: who vouches for the app, and for how long."`
}

// walletFlags are common to the commands of the app.
type walletFlags struct {
	Data   string `default:"${data}" type:"path" help:"Folder of databases and keys."`
	Config string `short:"c" type:"path" placeholder:"FILE" help:"Configuration; see eidos config doc."`
}

// walletRules is how a command answers without asking.
type walletRules struct {
	Rules string `type:"existingfile" placeholder:"FILE" help:"Answer by the rules in this file (YAML, docs/automation.md) without asking."`
}

// consent is who answers the app's questions: the rules, if there are some,
// everything with yes if that is said, else the person at the terminal.
func (r walletRules) consent(m *machine, yes bool) (wallet.Consent, error) {
	switch {
	case yes && r.Rules != "":
		return nil, usage("--yes and --rules exclude each other")
	case yes:
		return wallet.AutoApprove{Issuers: true}, nil
	case r.Rules == "":
		return &terminalConsent{in: bufio.NewReader(m.in), out: m.err}, nil
	}
	data, err := m.readInput(r.Rules)
	if err != nil {
		return nil, err
	}
	rules, err := wallet.ParseRules(data)
	if err != nil {
		return nil, usage("%s: %v", r.Rules, err)
	}
	return rules, nil
}

// open opens the app, with a consent that is asked on the terminal unless yes.
func (f walletFlags) open(m *machine, yes bool) (*wallet.Wallet, *house, error) {
	return f.openBy(m, walletRules{}, yes)
}

// openBy opens the app, with the consent that the rules say.
func (f walletFlags) openBy(m *machine, r walletRules, yes bool) (*wallet.Wallet, *house, error) {
	consent, err := r.consent(m, yes)
	if err != nil {
		return nil, nil, err
	}
	h, err := m.shellHouse(f.Config, f.Data)
	if err != nil {
		return nil, nil, err
	}
	w, err := h.wallet(m.ctx, consent)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return w, h, nil
}

// wallet opens the mdoc app of the data directory.
func (h *house) wallet(ctx context.Context, consent wallet.Consent) (*wallet.Wallet, error) {
	dir := filepath.Join(h.dir, "wallet")
	area, err := openArea(ctx, dir, "software")
	if err != nil {
		return nil, err
	}
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "wallet.db"))
	if err != nil {
		return nil, err
	}
	h.closers = append(h.closers, store.Close)
	types, err := doctype.Builtin().WithFiles(os.ReadFile, h.cfg.Wallet.Types...)
	if err != nil {
		return nil, usage("wallet.types: %v", err)
	}
	f := h.followIn(wallet.OnceTx(store))
	return wallet.New(h.cfg.Wallet, wallet.Deps{
		Storage: store, Area: area, Fetch: h.fetch, Anchors: f.Anchors, Refresh: f.Refresh, Now: h.now, Consent: consent,
		Log: h.log, Types: types,
	})
}

type walletInstallCmd struct {
	walletFlags
	Provider string `placeholder:"URL" help:"Base URL of the provider with its product; default the one of this machine."`
	JSON     bool   `help:"Print the installation as JSON."`
}

// Run installs.
func (c *walletInstallCmd) Run(m *machine) error {
	w, h, err := c.open(m, true)
	if err != nil {
		return err
	}
	defer h.close()
	provider := c.Provider
	if provider == "" {
		provider = h.cfg.Provider.URL + "/default"
	}
	in, err := w.Install(m.ctx, provider)
	if err != nil {
		return hint(err, "is the provider running? eidos serve all starts every role")
	}
	return c.print(m, in)
}

func (c *walletInstallCmd) print(m *machine, in wallet.Instance) error {
	if c.JSON {
		return m.json(in)
	}
	fmt.Fprintf(m.out, "installed as %s; %s vouches for it (level %s, keys in %s) until %s\n",
		in.ID, in.Provider, in.Level, in.Area, in.Expires.Local().Format("2 Jan 15:04"))
	return nil
}

type walletStatusCmd struct {
	walletFlags
	JSON bool `help:"Print it as JSON."`
}

// Run shows the installation.
func (c *walletStatusCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	in, err := w.Status(m.ctx)
	if err != nil {
		return err
	}
	return (&walletInstallCmd{JSON: c.JSON}).print(m, in)
}

type walletAcceptCmd struct {
	walletFlags
	walletRules
	Offer string `arg:"" help:"Link of the offer (openid-credential-offer://…), or a file that holds it."`
	PIN   string `help:"The PIN that came another way, if the offer wants one; asked for otherwise."`
	Yes   bool   `help:"Accept issuers that nobody vouches for without asking."`
	// For conformance suites, whose pages ask nobody.
	Follow bool `help:"Open the issuer's page without a browser and follow where it leads; it must not ask for anything."`
	JSON   bool `help:"Print the documents as JSON."`
}

// Run gets the documents.
func (c *walletAcceptCmd) Run(m *machine) error {
	w, h, err := c.openBy(m, c.walletRules, c.Yes)
	if err != nil {
		return err
	}
	defer h.close()
	link, err := m.linkOrFile(c.Offer)
	if err != nil {
		return err
	}
	offer, err := w.ReadOffer(m.ctx, link)
	if err != nil {
		return err
	}
	if offer.TxCode != nil && c.PIN == "" {
		fmt.Fprintf(m.err, "PIN%s: ", visible(inBrackets(offer.TxCode.Description)))
		if _, err := fmt.Fscanln(m.in, &c.PIN); err != nil {
			return usage("the offer wants a PIN: --pin")
		}
	}
	browser := m.browser(h.cfg.Wallet.RedirectURI)
	if c.Follow {
		browser = (&scriptedBrowser{fetch: h.fetch}).follow(h.cfg.Wallet.RedirectURI)
	}
	docs, err := w.Accept(m.ctx, offer, wallet.AcceptOptions{
		TxCode:   c.PIN,
		Browser:  browser,
		Progress: func(s wallet.Step) { fmt.Fprintf(m.err, "… %s\n", s) },
	})
	if err != nil {
		return err
	}
	if err := printPending(m, w); err != nil || len(docs) == 0 && !c.JSON {
		return err
	}
	return printDocuments(m, docs, c.JSON)
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// linkOrFile takes a link as it is, or out of a file.
func (m *machine) linkOrFile(s string) (string, error) {
	if strings.Contains(s, ":/") || strings.HasPrefix(s, "mdoc:") {
		return s, nil
	}
	data, err := m.readInput(s)
	if err != nil {
		return "", err
	}
	if len(data) > maxLink || !isText(data) {
		return "", usage("%s holds no link", s)
	}
	return strings.TrimSpace(string(data)), nil
}

// maxLink is more than any link has.
const maxLink = 64 << 10

// browser has the person open a page and waits on the loopback address of the
// redirect URI for what comes back.
func (m *machine) browser(redirectURI string) func(ctx context.Context, page string) (string, error) {
	return func(ctx context.Context, page string) (string, error) {
		u, err := url.Parse(redirectURI)
		if err != nil {
			return "", err
		}
		ln, err := net.Listen("tcp", u.Host)
		if err != nil {
			return "", fmt.Errorf("wait for the browser: %w", err)
		}
		defer ln.Close()
		back := make(chan string, 1)
		srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != u.Path {
				http.NotFound(w, r)
				return
			}
			select {
			case back <- redirectURI + "?" + r.URL.RawQuery:
			default:
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintln(w, "Thank you. You can close this page; the wallet goes on.")
		})}
		go srv.Serve(ln) // ends with Close below
		defer srv.Close()
		fmt.Fprintf(m.err, "Open this page and identify yourself:\n\n  %s\n\n", visible(page))
		select {
		case redirected := <-back:
			return redirected, nil
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(10 * time.Minute):
			return "", errors.New("nobody came back from the browser within 10 minutes")
		}
	}
}

type walletListCmd struct {
	walletFlags
	JSON bool `help:"Print the documents as JSON."`
}

// Run lists.
func (c *walletListCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	docs, err := w.Documents(m.ctx)
	if err != nil {
		return err
	}
	return printDocuments(m, docs, c.JSON)
}

func printDocuments(m *machine, docs []wallet.Document, asJSON bool) error {
	if asJSON {
		if docs == nil {
			docs = []wallet.Document{}
		}
		return m.json(docs)
	}
	if len(docs) == 0 {
		fmt.Fprintln(m.out, "no documents yet")
		return nil
	}
	for _, d := range docs {
		fmt.Fprintf(m.out, "%s  %-28s by %s, valid until %s, %s\n",
			d.ID, visible(d.Name), visible(d.Issuer.Name), d.ValidUntil.Format(time.DateOnly), d.CopiesLeft())
	}
	return nil
}

type walletShowCmd struct {
	walletFlags
	Document string `arg:"" help:"Id of the document, as list prints it."`
	Images   string `type:"path" placeholder:"DIR" help:"Write pictures, such as the portrait, into this folder."`
	JSON     bool   `help:"Print the document as JSON."`
}

// Run shows a document.
func (c *walletShowCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	doc, elements, err := w.Show(m.ctx, c.Document)
	if err != nil {
		return err
	}
	if c.Images != "" {
		if err := os.MkdirAll(c.Images, 0o700); err != nil {
			return err
		}
		for _, e := range elements {
			if e.Image != nil {
				if err := writeFile(filepath.Join(c.Images, e.ID+".jpg"), e.Image, 0o600); err != nil {
					return err
				}
			}
		}
	}
	if c.JSON {
		return m.json(struct {
			wallet.Document
			Elements []wallet.Element `json:"elements"`
		}{doc, elements})
	}
	fmt.Fprintf(m.out, "%s\nby %s, valid %s to %s\n\n", visible(doc.Name), visible(doc.Issuer.Name),
		doc.ValidFrom.Format(time.DateOnly), doc.ValidUntil.Format(time.DateOnly))
	for _, e := range elements {
		fmt.Fprintf(m.out, "  %-28s %s\n", visible(e.Label), indentLines(visible(e.Text), 31))
	}
	return nil
}

// indentLines keeps the lines of a value under its first.
func indentLines(s string, n int) string {
	return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
}

type walletCheckCmd struct {
	walletFlags
	Document string `arg:"" help:"Id of the document, as list prints it."`
	JSON     bool   `help:"Print the document as JSON."`
}

// Run asks the status lists.
func (c *walletCheckCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	doc, err := w.CheckStatus(m.ctx, c.Document)
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(doc)
	}
	fmt.Fprintf(m.out, "%s: %s\n", doc.Name, doc.Status)
	return nil
}

type walletReissueCmd struct {
	walletFlags
	Document string `arg:"" optional:"" help:"Id of a document, as list prints it; else all whose copies are nearly used up or over, and what issuers were not ready to give."`
	JSON     bool   `help:"Print the documents as JSON."`
}

// Run gets new copies.
func (c *walletReissueCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	var docs []wallet.Document
	if c.Document != "" {
		doc, err := w.Reissue(m.ctx, c.Document)
		if err != nil {
			return err
		}
		docs = append(docs, doc)
	} else if docs, err = w.ReissueDue(m.ctx); err != nil {
		if len(docs) > 0 { // what came is kept
			err = errors.Join(printDocuments(m, docs, c.JSON), err)
		}
		return err
	}
	if len(docs) == 0 && !c.JSON {
		if err := printPending(m, w); err != nil {
			return err
		}
		fmt.Fprintln(m.out, "nothing needs new copies")
		return nil
	}
	return printDocuments(m, docs, c.JSON)
}

// printPending tells what issuers have still to give.
func printPending(m *machine, w *wallet.Wallet) error {
	waiting, err := w.Pending(m.ctx)
	for _, p := range waiting {
		fmt.Fprintf(m.err, "%s by %s is not ready; ask again with wallet reissue after %s\n",
			visible(p.Name), visible(p.Issuer), p.After.Format(time.RFC3339))
	}
	return err
}

type walletDeleteCmd struct {
	walletFlags
	resultFlag
	Document string `arg:"" help:"Id of the document, as list prints it."`
}

// Run deletes.
func (c *walletDeleteCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	if err := w.Delete(m.ctx, c.Document); err != nil {
		return err
	}
	return c.say(m, map[string]string{"deleted": c.Document}, "deleted, with all copies and keys")
}

type walletPresentCmd struct {
	walletFlags
	walletRules
	QR   string `type:"path" placeholder:"FILE" help:"Meet a reader nearby: write the text of the QR code here, and draw it on a terminal."`
	Yes  bool   `help:"Share what is asked for without asking; for trying out."`
	JSON bool   `help:"Print what was shared as JSON."`
	From string `placeholder:"HOST" help:"Host of the page that has the link, for links of a reader (mdoc://…)."`
	// For conformance suites, which wait until somebody comes to their page.
	Follow bool   `help:"Open the page where the verifier sends the browser, without a browser, and follow where it leads."`
	Link   string `arg:"" optional:"" help:"Link of a website's request (openid4vp://…, mdoc://…), or a file that holds it."`
}

// Run presents. On-site it ends when the reader does.
func (c *walletPresentCmd) Run(m *machine) error {
	if (c.QR == "") == (c.Link == "") {
		return usage("either --qr FILE for a reader nearby, or the link of a website's request")
	}
	w, h, err := c.openBy(m, c.walletRules, c.Yes)
	if err != nil {
		return err
	}
	defer h.close()
	if c.Link != "" {
		link, err := m.linkOrFile(c.Link)
		if err != nil {
			return err
		}
		if isReaderLink(link) {
			entries, err := w.AnswerReaderLink(m.ctx, link, c.From)
			if err != nil {
				return err
			}
			return printLog(m, entries, c.JSON)
		}
		return c.answer(m, w, link, &scriptedBrowser{fetch: h.fetch})
	}
	ln, err := tcp.Listen(m.ctx, "127.0.0.1:0", tcp.Options{})
	if err != nil {
		return err
	}
	entries, err := w.Present(m.ctx, wallet.PresentOptions{Listener: ln, Show: func(_ context.Context, qr string) error {
		if isTerminal(m.err) {
			drawQR(m.err, qr)
		}
		return writeFile(c.QR, []byte(qr+"\n"), 0o600)
	}})
	if err != nil {
		return err
	}
	return printLog(m, entries, c.JSON)
}

// answer answers a website. Where it sends the browser is opened after a refusal
// too: the page that began waits for somebody to come back.
func (c *walletPresentCmd) answer(m *machine, w *wallet.Wallet, link string, browser *scriptedBrowser) error {
	entry, redirect, err := w.Answer(m.ctx, link)
	say := m.out
	if c.JSON {
		say = m.err // what is on standard output is one value
	}
	switch {
	case redirect == "":
	case !c.Follow:
		if err == nil {
			fmt.Fprintf(say, "Go on in the browser: %s\n", visible(redirect))
		}
	default:
		at, opened := browser.open(m.ctx, redirect)
		if opened == nil {
			fmt.Fprintf(say, "Opened: %s\n", visible(at))
		}
		err = errors.Join(err, opened)
	}
	if err != nil {
		return err
	}
	return printLog(m, []wallet.LogEntry{entry}, c.JSON)
}
