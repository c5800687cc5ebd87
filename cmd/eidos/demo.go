package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
)

type demoCmd struct {
	Once   bool   `help:"End after the steps instead of staying up."`
	JSON   bool   `help:"Print one JSON object for each step."`
	Keep   string `type:"path" placeholder:"DIR" help:"Leave every message that crossed a wire, the documents and the anchors as files."`
	Data   string `type:"path" placeholder:"DIR" help:"Folder of databases and keys; default a new temporary one."`
	Listen string `placeholder:"ADDR" help:"Listen here; default 127.0.0.1:8080, with --once a free port."`
}

// statusMaxAge is how late the website of the demonstration notices a revocation.
const statusMaxAge = 200 * time.Millisecond

// The phases of ISO/IEC 23220-1:2023, 6.1, the operational one by place.
const (
	phaseInstallation = "installation"
	phaseIssuing      = "issuing"
	phaseOnSite       = "on-site"
	phaseRemote       = "remote"
)

// Run plays the whole life of a mobile document.
func (c *demoCmd) Run(m *machine) error {
	if c.Data == "" {
		dir, err := os.MkdirTemp("", "eidos-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.Data = dir
	}
	if c.Listen == "" && c.Once {
		c.Listen = "127.0.0.1:0"
	}
	keep, err := newKeeper(c.Keep)
	if err != nil {
		return err
	}
	m.keep = keep
	d := &demo{m: m, json: c.JSON, keep: keep, ok: true}
	defer d.close()
	if !c.JSON {
		fmt.Fprintf(m.out, "The whole life of a mobile document (ISO/IEC 23220-1), over real sockets on this machine.\n")
	}
	d.play(m.ctx, demoConfig(c.Listen), c.Data)
	if err := keep.failed(); err != nil {
		return fmt.Errorf("keep the messages: %w", err)
	}
	if !d.ok {
		return errSilent
	}
	if c.Once {
		return nil
	}
	d.invite(c.Data)
	for {
		select {
		case link := <-d.link:
			if !c.JSON {
				fmt.Fprintf(m.out, "\nAda's phone, in one browser, once: %s\n", link)
			}
		case <-m.ctx.Done():
			return nil
		}
	}
}

// demoConfig is the zero configuration, but that a revocation is seen at once:
// outside a demonstration lists are kept for minutes, so that caches spare
// everybody. And the verifier's API is open, for the shop and the console.
func demoConfig(listen string) Config {
	return Config{Listen: listen, Verifier: verifier.Config{StatusMaxAge: statusMaxAge, API: verifier.API{Listen: "127.0.0.1:0"}}}
}

// demo is one play of the demonstration: the people in it and what they hold.
type demo struct {
	m     *machine
	json  bool
	keep  *keeper
	ok    bool
	phase string // printed last

	servers *running         // all roles
	link    chan string      // takes the newest link to the pages of Ada's app
	wallet  *wallet.Wallet   // Ada's phone
	phone   *house           // what it runs on
	reader  *verifier.Reader // the shop's reader, a machine of its own
	till    *house           // what that runs on
	docs    map[string]wallet.Document
}

func (d *demo) close() {
	for _, h := range []*house{d.phone, d.till} {
		if h != nil {
			if err := h.close(); err != nil {
				d.m.report(err)
			}
		}
	}
	if d.servers != nil {
		if err := d.servers.stop(); err != nil && !errors.Is(err, context.Canceled) {
			d.m.report(err)
		}
	}
}

// step plays one step and prints what came of it. Once a step has failed the
// rest is not played: they build on each other.
func (d *demo) step(phase, name string, f func() (detail string, err error)) {
	if !d.ok {
		return
	}
	start := time.Now()
	detail, err := f()
	ms := time.Since(start).Milliseconds()
	if err != nil {
		d.ok = false
		detail = err.Error()
	}
	if d.json {
		if err := d.m.json(struct {
			Phase  string `json:"phase"`
			Step   string `json:"step"`
			OK     bool   `json:"ok"`
			MS     int64  `json:"ms"`
			Detail string `json:"detail"`
		}{phase, name, d.ok, ms, detail}); err != nil {
			d.ok = false
		}
		return
	}
	if phase != d.phase {
		fmt.Fprintf(d.m.out, "\n%s\n", phase)
		d.phase = phase
	}
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	fmt.Fprintf(d.m.out, "  %s %-46s %5d ms  %s\n", mark, name, ms, indentLines(detail, 62))
}

// play is the life of a mobile document.
func (d *demo) play(ctx context.Context, cfg Config, dir string) {
	d.prepare(ctx, cfg, dir)
	d.present(ctx)
}

// prepare brings everything up and documents onto the phone.
func (d *demo) prepare(ctx context.Context, cfg Config, dir string) {
	d.docs = make(map[string]wallet.Document)
	d.link = make(chan string, 1)

	d.step(phaseInstallation, "start all roles", func() (string, error) { return d.start(ctx, cfg, dir) })
	d.step(phaseInstallation, "install the mdoc app", func() (string, error) { return d.install(ctx) })
	d.step(phaseInstallation, "the provider vouches for it", func() (string, error) { return d.vouched(ctx) })

	d.step(phaseIssuing, "mDL by HAIP: identified in the browser", func() (string, error) { return d.acceptInBrowser(ctx, "mdl") })
	d.step(phaseIssuing, "PID by HAIP: identified in the browser", func() (string, error) { return d.acceptInBrowser(ctx, "pid", "pid-sd-jwt") })
	d.step(phaseIssuing, "Photo ID: offer and PIN from the officer", func() (string, error) { return d.acceptWithPIN(ctx, "photoid") })
}

// present shows the documents in every way, and what happens when one is
// withdrawn.
func (d *demo) present(ctx context.Context) {
	d.step(phaseOnSite, "the reader packs lists for offline use", func() (string, error) { return d.pack(ctx) })
	d.step(phaseOnSite, "both offline: the shop asks for age and photo", func() (string, error) { return d.showOnSite(ctx) })

	d.step(phaseRemote, "QR code on a shop's page, scanned by the phone", func() (string, error) { return d.showAcrossDevices(ctx) })
	d.step(phaseRemote, "link on the phone itself, and back with a code", func() (string, error) { return d.showSameDevice(ctx) })
	d.step(phaseRemote, "through the browser: Digital Credentials API", func() (string, error) { return d.showByBrowser(ctx, query.FormatMdoc, dcapi.ProtocolMdoc) })
	d.step(phaseRemote, "the same by OpenID4VP, as SD-JWT VC", func() (string, error) { return d.showByBrowser(ctx, query.FormatSDJWT, oid4vp.ProtocolSigned) })
	d.step(phaseRemote, "the holder refuses another request", func() (string, error) { return d.refuseRemotely(ctx) })

	d.step(phaseIssuing, "new copies of the PID, without the holder", func() (string, error) { return d.reissue(ctx, "pid") })
	d.step(phaseIssuing, "the authority revokes the mDL", func() (string, error) { return d.revoke(ctx) })
	d.step(phaseOnSite, "the reader, lists renewed, refuses the mDL", func() (string, error) { return d.refusedOnSite(ctx) })
	d.step(phaseRemote, "the website refuses the mDL", func() (string, error) { return d.refusedRemotely(ctx) })
	d.step(phaseRemote, "the phone learns it too, and offers it no more", func() (string, error) { return d.learnRevoked(ctx) })
	d.step(phaseRemote, "the PID still verifies, with a fresh copy", func() (string, error) { return d.showRemotely(ctx) })
}

// invite says what to try by hand.
func (d *demo) invite(dir string) {
	if d.json {
		return
	}
	w := d.m.out
	fmt.Fprintf(w, "\nAll roles stay up. Open their pages in a browser on this machine:\n")
	fmt.Fprintf(w, "  %-9s %s/   a website of somebody else's, which asks whether you are over 18\n", "shop", d.servers.house.shop.origin)
	for _, role := range allRoles() {
		if role != roleWallet {
			fmt.Fprintf(w, "  %-9s %s/default/\n", role, d.servers.urls[role])
		}
	}
	fmt.Fprintf(w, "  %-9s %s/console/   what became of all these requests; log in with what is in\n            %s\n",
		"console", d.servers.house.apiURL, filepath.Join(dir, roleVerifier, verifierTokenFile))
	fmt.Fprintf(w, `
Try it by hand, in a second terminal:

  export EIDOS_DATA=%s
  eidos wallet list
  eidos issuer offer mdl --subject mei -o offer.txt      # prints a PIN
  eidos wallet accept offer.txt
  eidos wallet present --qr qr.txt &                     # the phone shows a QR code
  eidos reader read --qr "$(cat qr.txt)" --ask age18     # the reader scans it
  eidos wallet log

Interrupt to end; everything is deleted then.
`, dir)
}

// offline is a network that is unplugged.
func offline(context.Context, fetch.Request) (fetch.Response, error) {
	return fetch.Response{}, errors.New("the network is unplugged")
}

// start brings all roles up.
func (d *demo) start(ctx context.Context, cfg Config, dir string) (string, error) {
	var err error
	d.m.shop = true
	if d.servers, err = d.m.start(ctx, cfg, dir, cfg.rolesHere([]string{"all"}), slog.New(slog.DiscardHandler), d.invited); err != nil {
		return "", err
	}
	return strings.Join(cfg.rolesHere([]string{"all"}), ", ") + " on " + d.servers.address, nil
}

// invited keeps the newest link, until somebody is there to read it.
func (d *demo) invited(link string) {
	for {
		select {
		case d.link <- link:
			return
		default:
		}
		select {
		case <-d.link: // nobody looked at the one before
		default:
		}
	}
}
