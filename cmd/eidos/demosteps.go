package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
	"github.com/eidos-id/eidos/wallet"
)

// holder is the person of the demonstration, by her id in the register.
const holder = "ada"

// install puts the app on Ada's phone: with a storage, a secure area and a way
// to the network of its own.
func (d *demo) install(ctx context.Context) (string, error) {
	var err error
	h := *d.servers.house // the same addresses and clock
	h.closers = nil
	h.fetch = d.keep.fetch("wallet", h.network)
	d.phone = &h
	if d.wallet, err = h.wallet(ctx, wallet.AutoApprove{}); err != nil {
		return "", err
	}
	in, err := d.wallet.Install(ctx, h.cfg.Provider.URL+"/default")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("keys in the %s secure area", in.Area), nil
}

// vouched shows what the provider says of the installation.
func (d *demo) vouched(ctx context.Context) (string, error) {
	in, err := d.wallet.Status(ctx)
	if err != nil {
		return "", err
	}
	left := in.Expires.Sub(d.m.now()).Round(time.Hour)
	return fmt.Sprintf("wallet instance attestation, level %s (trust on first use), for %s", in.Level, left), nil
}

// operate runs f as the authority's officer does at the shell: on the
// database, beside the server.
func (d *demo) operate(ctx context.Context, f func(a *issuer.Authority) error) error {
	h := *d.servers.house
	h.closers = nil
	a, _, err := h.issuer(ctx)
	if err != nil {
		return errors.Join(err, h.close())
	}
	return errors.Join(f(a), h.close())
}

// acceptWithPIN has an officer offer a document, and Ada accept it with the PIN
// that she got another way.
func (d *demo) acceptWithPIN(ctx context.Context, offering string) (string, error) {
	var o issuer.Offer
	err := d.operate(ctx, func(a *issuer.Authority) (err error) {
		o, err = a.Offer(ctx, "default", issuer.OfferParams{Offerings: []string{offering}, Subject: holder, TxCode: true})
		return err
	})
	if err != nil {
		return "", err
	}
	return d.accept(ctx, []string{offering}, o.Link, wallet.AcceptOptions{TxCode: o.TxCode})
}

// acceptInBrowser has Ada identify on the authority's page, approve, and come
// back with an authorisation code: what HAIP 1.0, 4 asks of both sides, though
// over http, which is for loopback only.
func (d *demo) acceptInBrowser(ctx context.Context, offerings ...string) (string, error) {
	var o issuer.Offer
	err := d.operate(ctx, func(a *issuer.Authority) (err error) {
		o, err = a.Offer(ctx, "default", issuer.OfferParams{
			Offerings: offerings, Subject: holder, Grant: issuer.AuthorizationCode, Scheme: oid4vci.HAIPOfferScheme,
		})
		return err
	})
	if err != nil {
		return "", err
	}
	code, err := d.phone.enrolmentCode(ctx, holder)
	if err != nil {
		return "", err
	}
	b := &scriptedBrowser{fetch: d.keep.fetch("browser", d.servers.house.network)}
	return d.accept(ctx, offerings, o.Link, wallet.AcceptOptions{Browser: func(ctx context.Context, page string) (string, error) {
		return b.identify(ctx, page, holder, code)
	}})
}

func (d *demo) accept(ctx context.Context, offerings []string, link string, opts wallet.AcceptOptions) (string, error) {
	offer, err := d.wallet.ReadOffer(ctx, link)
	if err != nil {
		return "", err
	}
	docs, err := d.wallet.Accept(ctx, offer, opts)
	if err != nil {
		return "", err
	}
	if len(docs) != len(offerings) {
		return "", fmt.Errorf("%d documents instead of %d", len(docs), len(offerings))
	}
	var formats []string
	for _, doc := range docs {
		d.docs[doc.Configuration] = doc
		formats = append(formats, map[string]string{query.FormatMdoc: "mdoc", query.FormatSDJWT: "SD-JWT VC"}[doc.Format])
		if err := d.keep.documents(ctx, d.wallet, doc); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s by %s, as %s: %d copies, each with a key of its own, valid until %s",
		docs[0].Name, docs[0].Issuer.Name, strings.Join(formats, " and as "), docs[0].Copies, docs[0].ValidUntil.Format("2 January 2006")), nil
}

// reissue gets new copies with what the authority allowed for longer.
func (d *demo) reissue(ctx context.Context, offering string) (string, error) {
	before := d.docs[offering]
	doc, err := d.wallet.Reissue(ctx, before.ID)
	if err != nil {
		return "", err
	}
	d.docs[offering] = doc
	return fmt.Sprintf("%s: %d new copies take the place of those that were left", doc.Name, doc.Unused), nil
}

// pack fetches what the shop's reader needs to verify without a network.
func (d *demo) pack(ctx context.Context) (string, error) {
	if d.till != nil {
		if err := d.till.close(); err != nil {
			return "", err
		}
	}
	h := *d.servers.house
	h.closers = nil
	v, err := h.verifier(ctx, d.keep.fetch("reader", h.network))
	if err != nil {
		return "", errors.Join(err, h.close())
	}
	p, err := v.Pack(ctx, "default")
	if err := errors.Join(err, h.close()); err != nil {
		return "", err
	}
	if len(p.Problems) > 0 {
		return "", errors.New(strings.Join(p.Problems, "; "))
	}
	if err := d.anchors(ctx); err != nil {
		return "", err
	}
	till := *d.servers.house
	till.closers = nil
	d.till = &till
	unplugged, err := till.verifier(ctx, nil)
	if err != nil {
		return "", err
	}
	if d.reader, err = unplugged.Reader("default"); err != nil {
		return "", err
	}
	return packedText(p), nil
}

// anchors keeps the certificates and lists for other software.
func (d *demo) anchors(ctx context.Context) error {
	if d.keep == nil {
		return nil
	}
	h := d.servers.house
	for name, u := range map[string]string{
		"iaca.cer": h.cfg.Issuer.URL + "/default/iaca.cer", "reader-ca.cer": h.cfg.Verifier.URL + "/default/reader-ca.cer",
		"provider-ca.cer": h.cfg.Provider.URL + "/default/ca.cer", "vical.ca.cer": h.cfg.TrustService + "/ca.cer",
		"vical.cbor": h.cfg.TrustService + "/vical", "anchors.jwt": h.cfg.TrustService + "/anchors",
	} {
		resp, err := h.fetch(ctx, fetch.Request{Method: "GET", URL: u})
		if err != nil {
			return err
		}
		if resp.Status != 200 {
			return fmt.Errorf("%s: status %d", u, resp.Status)
		}
		d.keep.write("anchors", name, resp.Body)
	}
	return nil
}

// meet has the phone and the reader meet, both without a network, and returns
// what the reader found and what the phone logged.
func (d *demo) meet(ctx context.Context, ask string) (core.Result, []wallet.LogEntry, error) {
	phone := *d.servers.house
	phone.closers, phone.fetch = nil, offline
	defer phone.close()
	w, err := phone.wallet(ctx, wallet.AutoApprove{})
	if err != nil {
		return core.Result{}, nil, err
	}
	ln, err := tcp.Listen(ctx, "127.0.0.1:0", tcp.Options{})
	if err != nil {
		return core.Result{}, nil, err
	}
	code := make(chan string, 1)
	type shown struct {
		entries []wallet.LogEntry
		err     error
	}
	done := make(chan shown, 1)
	go func() {
		entries, err := w.Present(ctx, wallet.PresentOptions{
			Listener: keptListener{ln, d.keep},
			Show:     func(_ context.Context, qr string) error { code <- qr; return nil },
		})
		done <- shown{entries, err}
	}()
	var qr string
	select {
	case qr = <-code:
	case s := <-done:
		return core.Result{}, nil, fmt.Errorf("phone: %w", s.err)
	}
	res, err := d.reader.Read(ctx, qr, ask, verifier.ReadOptions{})
	s := <-done
	if err != nil {
		return res, s.entries, fmt.Errorf("reader: %w", err)
	}
	if s.err != nil {
		return res, s.entries, fmt.Errorf("phone: %w", s.err)
	}
	return res, s.entries, nil
}

// keptListener keeps the messages of the connection that it accepts.
type keptListener struct {
	*tcp.Listener
	keep *keeper
}

func (l keptListener) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return l.keep.conn(c), nil
}

// askOnSite is the question in the shop: old enough, and is it this person?
const askOnSite = "mdl:age_over_18,portrait"

// showOnSite shows the mDL, and makes sure that only what was asked for left.
func (d *demo) showOnSite(ctx context.Context) (string, error) {
	res, entries, err := d.meet(ctx, askOnSite)
	if err != nil {
		return "", err
	}
	if !res.OK() || len(res.Documents) != 1 {
		return "", fmt.Errorf("the reader found the answer %s: %s", res.Verdict, res.Reason)
	}
	left := elementsOf(res.Documents[0])
	if want := []string{"age_over_18", "portrait"}; !slices.Equal(left, want) {
		return "", fmt.Errorf("%v left the phone, %v was asked for", left, want)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("the phone logged %d sharings", len(entries))
	}
	return fmt.Sprintf("%s: %s, nothing else left the phone; asked by %s (%s)",
		res.Documents[0].Name, strings.Join(texts(res.Documents[0]), ", "), entries[0].Party.Name, entries[0].Party.Standing), nil
}

func elementsOf(doc core.Document) []string {
	var ids []string
	for _, e := range doc.Elements {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

func texts(doc core.Document) []string {
	var out []string
	for _, e := range doc.Elements {
		out = append(out, e.Label+": "+e.Text)
	}
	return out
}

// refusedOnSite shows the mDL again and expects the reader to say revoked.
func (d *demo) refusedOnSite(ctx context.Context) (string, error) {
	if _, err := d.pack(ctx); err != nil {
		return "", err
	}
	res, _, err := d.meet(ctx, askOnSite)
	if err != nil {
		return "", err
	}
	return expectRevoked(res)
}

// revoke withdraws the mDL.
func (d *demo) revoke(ctx context.Context) (string, error) {
	var ids []string
	err := d.operate(ctx, func(a *issuer.Authority) (err error) {
		ids, err = a.Revoke(ctx, "default", issuer.Selection{Subject: holder, Offering: "mdl"}, "licence withdrawn")
		return err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d document, all copies; the status list is published", len(ids)), nil
}

// enrolmentCode is what the authority's letter to a person says.
func (h *house) enrolmentCode(ctx context.Context, id string) (string, error) {
	return readEnrolmentCode(ctx, filepath.Join(h.dir, "register"), id)
}
