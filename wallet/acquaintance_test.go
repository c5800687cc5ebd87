package wallet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/wallet"
)

// unknownTo is a verifier under a CA that nobody here trusts.
func (w *world) unknownTo(name string) signer {
	ca := certify(w.t, pki.ServiceCA, w.Now(), "Somebody's CA", nil)
	return certify(w.t, pki.Verifier, w.Now(), name, &ca)
}

// bold goes on also with who shows another key.
func bold(q wallet.Question) (wallet.Answer, error) {
	if q.Topic == wallet.TopicTrust {
		return wallet.Answer{Allow: true}, nil
	}
	return q.Approve(), nil
}

func TestVerifierMetAgain(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	shop := w.relyingParty(w.unknownTo("Shop"))
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	if _, _, err := d.Answer(t.Context(), shop.link(nameAndAge)); !errors.Is(err, wallet.ErrRefused) {
		t.Fatal(err)
	}
	if list, err := d.Pinned(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("refused, and remembered all the same: %+v %v", list, err)
	}
	d.consent.answer = nil
	entry, _, err := d.Answer(t.Context(), shop.link(nameAndAge))
	if err != nil || !entry.Party.Met.IsZero() || !strings.Contains(d.consent.last().Text(), "not met it before") {
		t.Fatalf("%+v %v\n%s", entry, err, d.consent.last().Text())
	}
	first := w.Now()
	w.Pass(24 * time.Hour)
	asked := len(d.consent.asked)
	entry, _, err = d.Answer(t.Context(), shop.link(nameAndAge))
	if err != nil || !entry.Party.Met.Equal(first) || len(d.consent.asked) != asked+1 {
		t.Fatalf("%+v %v, %d questions", entry, err, len(d.consent.asked)-asked)
	}
	if text := d.consent.last().Text(); !strings.Contains(text, "met it before, on 23 November 2026") {
		t.Error(text)
	}
	// The same key on-site: it is the same verifier.
	if len(entry.Party.Key) == 0 || len(entry.Party.Certificate) == 0 {
		t.Errorf("%+v", entry.Party)
	}
	list, err := d.Pinned(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "Shop" || list[0].Purpose != trustlist.Reader || list[0].Changed {
		t.Fatalf("%+v %v", list, err)
	}
	if err := d.Unpin(t.Context(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Unpin(t.Context(), list[0].ID); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("forgotten twice: %v", err)
	}
	if entry, _, err := d.Answer(t.Context(), shop.link(nameAndAge)); err != nil || !entry.Party.Met.IsZero() {
		t.Errorf("forgotten: %+v %v", entry.Party, err)
	}
}

// Another key under a known name, or a known identifier, needs a yes of its own,
// which nothing gives by itself.
func TestVerifierChanged(t *testing.T) {
	for _, named := range []string{"x509_hash", "x509_san_dns"} {
		t.Run(named, func(t *testing.T) {
			w := newWorld(t)
			d, _ := w.holder(nil)
			ask := func(s signer) (wallet.LogEntry, error) {
				v := w.relyingParty(s)
				if named == "x509_san_dns" {
					v.engine.ClientID = oid4vp.X509SANDNSID("verifier.localhost")
				}
				entry, _, err := d.Answer(t.Context(), v.link(nameAndAge))
				return entry, err
			}
			real, other := w.unknownTo("Shop"), w.unknownTo("SHOP")
			if _, err := ask(real); err != nil {
				t.Fatal(err)
			}
			listed, _ := d.Documents(t.Context())
			left := listed[0].Unused
			entry, err := ask(other)
			if !errors.Is(err, wallet.ErrRefused) || entry.Outcome != wallet.OutcomeRefused {
				t.Fatalf("%+v %v", entry, err)
			}
			if q := d.consent.last(); q.Topic != wallet.TopicTrust || !q.Changed || !strings.Contains(q.Text(), "another key") || !strings.Contains(q.Text(), "Nothing is shared yet") {
				t.Errorf("%+v\n%s", q, q.Text())
			}
			if listed, _ = d.Documents(t.Context()); listed[0].Unused != left {
				t.Error("a copy was used")
			}
			if entry, err := ask(real); err != nil || entry.Party.Met.IsZero() {
				t.Errorf("the first one afterwards: %+v %v", entry, err)
			}

			d.consent.answer = func(q wallet.Question) (wallet.Answer, error) {
				return wallet.Answer{Allow: q.Topic == wallet.TopicTrust}, nil
			}
			if _, err := ask(other); !errors.Is(err, wallet.ErrRefused) || !d.consent.last().Changed || !strings.Contains(d.consent.last().Text(), "another key") {
				t.Errorf("listened to, not agreed: %v\n%s", err, d.consent.last().Text())
			}
			d.consent.answer = bold
			asked := len(d.consent.asked)
			if _, err := ask(other); err != nil || len(d.consent.asked) != asked+2 {
				t.Errorf("%v, %d questions", err, len(d.consent.asked)-asked)
			}
			d.consent.answer = nil
			if entry, err := ask(other); err != nil || entry.Party.Met.IsZero() {
				t.Errorf("accepted, and asked about again: %v", err)
			}
			// An identifier has one key; under a name there may be several.
			_, err = ask(real)
			if changed := errors.Is(err, wallet.ErrRefused); changed != (named == "x509_san_dns") {
				t.Errorf("the first one, after the other was accepted: %v", err)
			}
		})
	}
}

// Who was met under one name does not get by with it under the name of somebody
// else who was met.
func TestVerifierUnderTheNameOfAnother(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	ca := certify(t, pki.ServiceCA, w.Clock.Now(), "Somebody's CA", nil)
	named := func(s signer, name string) signer {
		return certifyKey(t, s.Key, pki.Verifier, w.Clock.Now(), name, &ca)
	}
	bank, game := certify(t, pki.Verifier, w.Clock.Now(), "Bank", &ca), certify(t, pki.Verifier, w.Clock.Now(), "Game", &ca)
	for _, s := range []signer{bank, game} {
		if _, _, err := d.Answer(t.Context(), w.relyingParty(s).link(nameAndAge)); err != nil {
			t.Fatal(err)
		}
	}
	// Both ways, since the pins lie in the order of their keys.
	for _, s := range []signer{named(game, "bank"), named(bank, "Game")} {
		entry, _, err := d.Answer(t.Context(), w.relyingParty(s).link(nameAndAge))
		if q := d.consent.last(); !errors.Is(err, wallet.ErrRefused) || !entry.Party.Met.IsZero() || q.Topic != wallet.TopicTrust || !q.Changed {
			t.Errorf("%+v %v\n%s", entry, err, q.Text())
		}
	}
	// Under its own, or a name that nobody else has, it is who it was.
	for _, s := range []signer{bank, named(bank, "bank"), named(game, "Games & Co")} {
		if entry, _, err := d.Answer(t.Context(), w.relyingParty(s).link(nameAndAge)); err != nil || entry.Party.Met.IsZero() {
			t.Errorf("%+v %v", entry, err)
		}
	}
}

// On-site it is the same, by the key alone.
func TestReaderMetAgain(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	ca := certify(t, pki.ReaderCA, w.Now(), "Their CA", nil)
	door, other := certify(t, pki.ReaderAuth, w.Now(), "Club", &ca), certify(t, pki.ReaderAuth, w.Now(), "Club", &ca)
	ask := func(s *signer) wallet.LogEntry {
		entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
			r.ask(r.request(s, wants(mdoc.DocTypeMDL, "age_over_18")))
		})
		if err != nil || len(entries) != 1 {
			t.Fatalf("%+v %v", entries, err)
		}
		return entries[0]
	}
	if e := ask(&door); e.Outcome != wallet.OutcomeDone || e.Party.Standing != assure.ReaderUnknown || !e.Party.Met.IsZero() {
		t.Errorf("%+v", e)
	}
	if e := ask(&door); e.Outcome != wallet.OutcomeDone || e.Party.Met.IsZero() {
		t.Errorf("%+v", e)
	}
	if e := ask(&other); e.Outcome != wallet.OutcomeRefused {
		t.Errorf("%+v", e)
	}
	if e := ask(nil); e.Outcome != wallet.OutcomeDone {
		t.Errorf("anonymous: %+v", e)
	}
	if list, err := d.Pinned(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestRefuseUnknown(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(func(c *wallet.Config, _ *wallet.Deps) { c.RefuseUnknown = true })
	asked := len(d.consent.asked)
	v := w.relyingParty(w.unknownTo("Shop"))
	entry, _, err := d.Answer(t.Context(), v.link(nameAndAge))
	if !errors.Is(err, wallet.ErrRefused) || !errors.Is(err, wallet.ErrUntrusted) || entry.Outcome != wallet.OutcomeRefused || v.got.Error != oid4vp.AccessDenied {
		t.Errorf("%+v %v %+v", entry, err, v.got)
	}
	if _, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		if resp, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "age_over_18"))); resp != nil && len(resp.Documents) > 0 {
			t.Error("an anonymous reader got something")
		}
	}); err != nil {
		t.Error(err)
	}
	if len(d.consent.asked) != asked {
		t.Error("the holder was bothered")
	}
	bank := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	if _, _, err := d.Answer(t.Context(), w.relyingParty(bank).link(nameAndAge)); err != nil {
		t.Errorf("who is vouched for: %v", err)
	}
	if list, err := d.Pinned(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}
