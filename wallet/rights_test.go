package wallet_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/migration"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/rights"
	"github.com/eidos-id/eidos/wallet"
)

// supported is a trusted verifier whose certificate names addresses for help.
func (w *world) supported(name string, uris ...string) signer {
	w.t.Helper()
	s := signer{Key: testkit.Signer(w.t, elliptic.P256())}
	nb, na := pki.Validity(w.clock.Now(), 300*24*time.Hour)
	der, err := pki.Issue(context.Background(), pki.ReaderAuth, pki.Template{
		Subject: pki.Name{Country: "UT", Organization: name, CommonName: name}, PublicKey: s.Public(), NotBefore: nb, NotAfter: na,
		CRLURL: "http://crl.example/crl", URIs: uris, Issuer: w.readerCA.cert,
	}, key.Signer(w.readerCA.Key))
	if err != nil {
		w.t.Fatal(err)
	}
	if s.cert, err = pki.ParseCertificate(der); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// desk is a relying party's service for requests to delete, over real HTTP.
type desk struct {
	got    [][]byte
	answer func(w http.ResponseWriter, d rights.Deletion)
}

func (w *world) desk() (*desk, string) {
	d := &desk{answer: func(w http.ResponseWriter, d rights.Deletion) { reply(w, rights.Acknowledgement{ID: "case 7"}.Reply()) }}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		d.got = append(d.got, body)
		m, err := rights.ParseDeletion(body)
		if err != nil || r.Method != http.MethodPost {
			w.t.Errorf("%s: %v", r.Method, err)
		}
		d.answer(rw, m)
	}))
	w.t.Cleanup(srv.Close)
	at := srv.URL + "/deletion"
	w.more[at] = func(r fetch.Request) (fetch.Response, error) {
		req, err := http.NewRequest(r.Method, r.URL, bytes.NewReader(r.Body))
		if err != nil {
			return fetch.Response{}, err
		}
		req.Header.Set("Content-Type", r.Get("content-type"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fetch.Response{}, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return fetch.Response{Status: resp.StatusCode, Header: map[string]string{"content-type": resp.Header.Get("Content-Type")}, Body: body}, err
	}
	return d, at
}

func reply(w http.ResponseWriter, r fetch.Response) {
	for name, v := range r.Header {
		w.Header().Set(name, v)
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body)
}

func TestRequestDeletion(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	desk, at := w.desk()
	v := w.relyingParty(w.supported("Bank", at, "mailto:privacy@bank.example?subject=x", "tel:+43-1-234567", "javascript:alert(1)"))
	entry, _, err := d.Answer(t.Context(), v.link(nameAndAge))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wallet.Contact{Websites: []string{at}, Emails: []string{"privacy@bank.example"}, Phones: []string{"+431234567"}}, entry.Party.Contact); diff != "" {
		t.Error(diff)
	}
	presented := v.got.Presentations["licence"]
	if len(entry.Receipts) != 1 || len(presented) != 1 || entry.Receipts[0] != rights.Receipt([]byte(presented[0])) {
		t.Errorf("receipts %v of %d", entry.Receipts, len(presented))
	}

	got, err := d.RequestDeletion(t.Context(), entry.ID)
	if err != nil || got.State != wallet.DeletionSent || got.To != at || got.Number != "case 7" || !got.At.Equal(w.clock.Now()) {
		t.Fatalf("%+v %v", got, err)
	}
	m, err := rights.ParseDeletion(desk.got[0])
	want := rights.Deletion{ID: got.ID, ResponseURI: verifierURL + "/response/1", ClientID: entry.Party.ID, Shared: entry.At, Receipts: entry.Receipts,
		Elements: []string{"org.iso.18013.5.1.mDL org.iso.18013.5.1.family_name", "org.iso.18013.5.1.mDL org.iso.18013.5.1.age_over_18"}}
	if diff := cmp.Diff(want, m); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if strings.Contains(string(desk.got[0]), "Muster") || strings.Contains(got.Body, "Muster") {
		t.Error("a value is told")
	}
	// Again: it has arrived, so nothing is sent.
	w.clock.Add(time.Hour)
	again, err := d.RequestDeletion(t.Context(), entry.ID)
	if diff := cmp.Diff(got, again); err != nil || diff != "" || len(desk.got) != 1 {
		t.Errorf("%v, %d messages: %s", err, len(desk.got), diff)
	}
	if shown, err := d.Deletion(t.Context(), entry.ID); err != nil || !cmp.Equal(shown, got) {
		t.Errorf("%+v %v", shown, err)
	}
	if e, err := d.Entry(t.Context(), entry.ID); err != nil || e.Deletion == nil || e.Deletion.Number != "case 7" {
		t.Errorf("%+v %v", e, err)
	}
	for _, part := range []string{"Article 17", "Family name (to be kept, you said)", "23 November 2026", entry.Receipts[0], "to open an account"} {
		if !strings.Contains(got.Body, part) {
			t.Errorf("the letter does not say %q:\n%s", part, got.Body)
		}
	}
	u, err := url.Parse(got.Mailto(got.Email))
	if err != nil || u.Opaque != "privacy@bank.example" || !strings.Contains(u.Query().Get("subject"), "erasure") || u.Query().Get("body") != strings.ReplaceAll(got.Body, "\n", "\r\n") {
		t.Errorf("%v %v", u, err)
	}
}

// Where no machine takes the message the holder goes on; where it fails, it is
// the same message the next time.
func TestRequestDeletionOtherwise(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	desk, at := w.desk()
	share := func(s signer) wallet.LogEntry {
		entry, _, err := d.Answer(t.Context(), w.relyingParty(s).link(nameAndAge))
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
	bank := share(w.supported("Bank", at))
	desk.answer = func(w http.ResponseWriter, _ rights.Deletion) { http.Error(w, "try later", http.StatusBadGateway) }
	if got, err := d.RequestDeletion(t.Context(), bank.ID); err != nil || got.State != wallet.DeletionOpen || got.Website != at {
		t.Errorf("a page: %+v %v", got, err)
	}
	desk.answer = func(w http.ResponseWriter, _ rights.Deletion) {
		reply(w, fetch.JSONResponse(503, map[string]string{"error": "busy"}))
	}
	if got, err := d.RequestDeletion(t.Context(), bank.ID); err == nil || !strings.Contains(err.Error(), "busy") || got.Website != at || got.Body == "" {
		t.Errorf("refused: %+v %v", got, err)
	}
	desk.answer = func(w http.ResponseWriter, _ rights.Deletion) { reply(w, rights.Acknowledgement{ID: "7"}.Reply()) }
	if got, err := d.RequestDeletion(t.Context(), bank.ID); err != nil || got.State != wallet.DeletionSent {
		t.Errorf("%+v %v", got, err)
	}
	if len(desk.got) != 3 || !bytes.Equal(desk.got[0], desk.got[2]) {
		t.Errorf("%d messages, not all the same", len(desk.got))
	}
	if got, err := d.RequestDeletion(t.Context(), share(w.supported("Mail only", "mailto:dpo@rp.example")).ID); err != nil || got.State != wallet.DeletionOpen || got.Email != "dpo@rp.example" || got.Website != "" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := d.RequestDeletion(t.Context(), share(w.supported("Silent")).ID); err != nil || got.Website != "http://verifier.localhost:8080/" {
		t.Errorf("%+v %v", got, err)
	}

	log, err := d.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issued := log[len(log)-1].ID
	if _, err := d.RequestDeletion(t.Context(), issued); !errors.Is(err, wallet.ErrNothingShared) {
		t.Errorf("an issuance: %v", err)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	refused, _, _ := d.Answer(t.Context(), w.relyingParty(w.supported("Nosy", at)).link(nameAndAge))
	if _, err := d.RequestDeletion(t.Context(), refused.ID); !errors.Is(err, wallet.ErrNothingShared) {
		t.Errorf("refused: %v", err)
	}
	if _, err := d.RequestDeletion(t.Context(), "x"); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("no entry: %v", err)
	}
	if _, err := d.Deletion(t.Context(), refused.ID); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("nobody was asked: %v", err)
	}
}

func TestReport(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(func(c *wallet.Config, _ *wallet.Deps) { c.Authority = "dpa@authority.example" })
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	nosy := w.unknownTo("Nosy")
	entry, _, err := d.Answer(t.Context(), w.relyingParty(nosy).link(nameAndAge))
	if !errors.Is(err, wallet.ErrRefused) {
		t.Fatal(err)
	}
	r, err := d.Report(t.Context(), entry.ID, "A lottery does not need my name.")
	if err != nil || !cmp.Equal(r.Authorities, []string{"dpa@authority.example"}) || r.Subject != "Reporting an allegedly unlawful or suspicious request received from Nosy" {
		t.Fatalf("%+v %v", r, err)
	}
	for _, part := range []string{"A lottery", "got nothing of", "Family name", "nobody that the app trusts", entry.Party.Fingerprint, "to open an account"} {
		if !strings.Contains(r.Body, part) {
			t.Errorf("the report does not say %q:\n%s", part, r.Body)
		}
	}
	f := r.Facts
	if p := f.Transaction.Presentation; p == nil || f.Transaction.Result != migration.NotCompleted || p.Requested[0].Credential != mdoc.DocTypeMDL || len(p.Presented) != 0 ||
		!bytes.Equal(f.Certificate, nosy.cert.Raw) || f.Complaint == "" || len(f.Retained) != 1 || len(f.Retained[0].Claims) != 1 || f.Transaction.Eidos != nil {
		t.Errorf("%s", mustJSON(f))
	}
	if _, err := d.Report(t.Context(), entry.ID, strings.Repeat("x", 5000)); err == nil {
		t.Error("a complaint without end")
	}
	for range 20 {
		if _, err := d.Report(t.Context(), entry.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := d.Entry(t.Context(), entry.ID); err != nil || len(e.Reports) != 16 || e.Reports[0].To != "dpa@authority.example" {
		t.Errorf("%+v %v", e.Reports, err)
	}
	log, _ := d.Log(t.Context())
	for _, e := range log {
		if _, err := d.Report(t.Context(), e.ID, ""); (err == nil) != (e.Event == wallet.EventSharing) {
			t.Errorf("%s: %v", e.Event, err)
		}
	}
}

const passphrase = "six words are better than one"

// TestExport: the log is the same in another app, which is told what documents
// there were; there is no key and no value in the file.
func TestExport(t *testing.T) {
	w := newWorld(t)
	d, doc := w.holder(nil)
	_, at := w.desk()
	entry, _, err := d.Answer(t.Context(), w.relyingParty(w.supported("Bank", at)).link(nameAndAge))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.RequestDeletion(t.Context(), entry.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Report(t.Context(), entry.ID, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Export(t.Context(), "short"); !errors.Is(err, wallet.ErrPassphrase) {
		t.Errorf("a short passphrase: %v", err)
	}
	file, err := d.Export(t.Context(), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := jose.DecryptWithPassword(file, passphrase)
	if err != nil || bytes.Contains(plain, []byte("Muster")) || bytes.Contains(plain, []byte("Utopolis")) {
		t.Errorf("%v\n%s", err, plain)
	}
	data, err := migration.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	var types []migration.Type
	for _, line := range data.TransactionLog {
		types = append(types, line.Type)
	}
	if diff := cmp.Diff([]migration.Type{migration.TypeIssuance, migration.TypePresentation, migration.TypeDeletionRequest, migration.TypeReport}, types); diff != "" {
		t.Error(diff)
	}
	if p := data.TransactionLog[1].Presentation; p == nil || p.Name != "Bank" || len(p.Requested) != 1 || len(p.Presented) != 1 || !cmp.Equal(p.Contact, []string{at}) {
		t.Errorf("%+v", p)
	}

	other := w.device(nil)
	if _, err := other.Import(t.Context(), file, "six words are better than two"); !errors.Is(err, jose.ErrDecrypt) {
		t.Errorf("another passphrase: %v", err)
	}
	in, err := other.Import(t.Context(), file, passphrase)
	want := wallet.Imported{Entries: 2, Documents: []wallet.Wanted{{DocType: mdoc.DocTypeMDL, Format: "mso_mdoc", Issuer: doc.Issuer.Name, URL: issuerURL}}}
	want.Documents[0].Name = in.Documents[0].Name
	if diff := cmp.Diff(want, in); err != nil || diff != "" || in.Documents[0].Name == mdoc.DocTypeMDL {
		t.Error(err, diff)
	}
	ours, _ := d.Log(t.Context())
	theirs, err := other.Log(t.Context())
	for i := range ours {
		ours[i].Imported, ours[i].Party.Identity = true, ""
	}
	if diff := cmp.Diff(ours, theirs); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if in, err := other.Import(t.Context(), file, passphrase); err != nil || in.Entries != 0 || in.Known != 2 {
		t.Errorf("again: %+v %v", in, err)
	}
	if in, err := d.Import(t.Context(), file, passphrase); err != nil || in.Entries != 0 || !in.Documents[0].Held {
		t.Errorf("at home: %+v %v", in, err)
	}
	// From the imported log the holder's rights can be exercised too.
	if again, err := other.RequestDeletion(t.Context(), entry.ID); err != nil || again.State != wallet.DeletionSent {
		t.Errorf("%+v %v", again, err)
	}
}

// What another app wrote is taken over as far as there is a place for it.
func TestImportForeign(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	forged := wallet.LogEntry{ID: "../../etc", At: w.clock.Now(), Event: wallet.EventSharing}
	raw, err := json.Marshal(forged)
	if err != nil {
		t.Fatal(err)
	}
	line := func(id string, set func(*migration.Transaction)) migration.Transaction {
		x := migration.Transaction{ID: id, Time: migration.Time(w.clock.Now()), Type: "Presentation", Result: migration.Completed}
		set(&x)
		return x
	}
	claims := []migration.ClaimInfo{{Credential: "urn:eudi:pid:de:1", Claims: []migration.Claim{{"name"}, {"address", nil, 1}}}}
	file, err := migration.Data{
		TransactionLog: []migration.Transaction{
			line("1", func(x *migration.Transaction) {
				x.Presentation = &migration.Presentation{Name: "Shop\x1b[2J", Requested: claims, Presented: claims,
					Contact: []string{"PL", "info@shop.example", "javascript:x", "https://shop.example/help"}, DPAContact: []string{"dpa@pl.example"}}
			}),
			line("2", func(x *migration.Transaction) { x.Type, x.Other = "SigningSealing", nil }),
			line("3", func(x *migration.Transaction) { x.Eidos = raw }),
			line("4", func(x *migration.Transaction) { x.Type, x.DPAReport = migration.TypeReport, &migration.Report{} }),
		},
		NonDeviceBound: []migration.NonDeviceBound{{Format: "dc+sd-jwt", Credential: "x"}},
	}.Seal(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	in, err := d.Import(t.Context(), file, passphrase)
	if diff := cmp.Diff(wallet.Imported{Entries: 1, Skipped: 2, Unbound: 1, Documents: []wallet.Wanted{}}, in); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	log, err := d.Log(t.Context())
	if err != nil || len(log) != 1 {
		t.Fatal(log, err)
	}
	e := log[0]
	if diff := cmp.Diff(&wallet.Contact{Websites: []string{"https://shop.example/help"}, Emails: []string{"info@shop.example"}, Authorities: []string{"dpa@pl.example"}}, e.Party.Contact); diff != "" {
		t.Error(diff)
	}
	if strings.ContainsRune(e.Party.Name, '\x1b') || !cmp.Equal(names(e), []string{"name", "address.*.1"}) || !e.Imported {
		t.Errorf("%+v", e)
	}
	if r, err := d.Report(t.Context(), e.ID, ""); err != nil || !cmp.Equal(r.Authorities, []string{"dpa@pl.example"}) {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := d.Import(t.Context(), "no.such.file", passphrase); !errors.Is(err, jose.ErrMalformed) {
		t.Error(err)
	}
}
