package verifier_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// arena is a verifier behind a server, whom a holder of both formats attacks
// with our own protocol engine.
type arena struct {
	*world
	log    *testkit.Log
	server fetch.Func

	mdl    *holder
	sdKey  *testkit.Key // of the issuer of SD-JWT VCs
	sdCert *x509.Certificate
	sdHold *testkit.Key
}

func newArena(t *testing.T, dsn string) *arena {
	t.Helper()
	a := &arena{world: newWorld(t, dsn, verifier.Config{}), log: &testkit.Log{}, sdKey: testkit.Signer(t, elliptic.P256()), sdHold: testkit.Signer(t, elliptic.P256())}
	a.sdCert = a.certificate(pki.CredentialSigner, "Utopia PID", a.sdKey, a.iaca, a.iacaKey)
	a.mdl = a.issue(5)
	a.v = a.another(verifier.Config{})
	a.server = testkit.OverHTTP(t, a.v.Handler())
	return a
}

// another is a verifier on the arena's database that trusts its root for all
// types of documents.
func (a *arena) another(cfg verifier.Config) *verifier.Verifier {
	a.t.Helper()
	anchors := func(context.Context, time.Time) (*assure.Anchors, error) {
		return assure.NewAnchors(assure.FromCertificates(trustlist.Issuer, "test", a.listed...)...)
	}
	v, err := verifier.New(cfg, verifier.Deps{DB: a.db, Area: a.area, Fetch: a.fetch, Anchors: anchors, Now: a.Now,
		Log: slog.New(slog.NewJSONHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	a.check(err)
	return v
}

// fetched begins a transaction and gets its request over HTTP.
func (a *arena) fetched(ask string) (verifier.Transaction, *oid4vp.Request) {
	a.t.Helper()
	tr := a.begin(ask)
	l, err := oid4vp.ParseLink(tr.Link)
	a.check(err)
	object, nonce, err := l.Fetch(a.t.Context(), a.server)
	a.check(err)
	req, rep, err := oid4vp.Open(a.t.Context(), object, l, nonce, oid4vp.Environment{}, a.Now())
	if err != nil {
		a.t.Fatalf("%v\n%s", err, rep)
	}
	return tr, req
}

const (
	askMdoc = "mdl:family_name,portrait"
	askSD   = "pid@sd-jwt:family_name,birthdate"
)

// mdoc is an honest DeviceResponse, but for its transcript and who signs it.
func (a *arena) mdoc(transcript []byte, by key.Signer) string {
	a.t.Helper()
	s, err := mdoc.ParseIssuerSigned(a.mdl.stored)
	a.check(err)
	p, err := s.Select([]mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"}, {NameSpace: mdoc.NameSpaceMDL, ID: "portrait"}})
	a.check(err)
	a.check(p.Sign(a.t.Context(), transcript, by))
	raw, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
	a.check(err)
	return oid4vp.EncodeMdoc(raw)
}

// sd is an honest SD-JWT VC, but for its key binding and who signs it.
func (a *arena) sd(kb sdjwt.KeyBinding, by key.Signer) string {
	a.t.Helper()
	midnight := a.Now().Truncate(day)
	leaf := func(name, value string) sdjwt.Node {
		return sdjwt.Node{Name: name, SD: sdjwt.Always, Value: json.RawMessage(`"` + value + `"`)}
	}
	stored, err := sdjwt.Issue(a.t.Context(), sdjwt.IssueParams{VCT: "urn:eudi:pid:1", IssuedAt: midnight, Expires: midnight.Add(14 * day), HolderKey: a.sdHold.Public(),
		Claims: []sdjwt.Node{leaf("family_name", secretName), leaf("birthdate", secretBirth)}, Chain: [][]byte{a.sdCert.Raw},
		Status: &status.Claim{List: &status.ListReference{Index: 5, URI: issuerURL + "/status/1"}}}, a.sdKey)
	a.check(err)
	s, err := sdjwt.Select(stored, []sdjwt.Path{{"family_name"}, {"birthdate"}})
	a.check(err)
	a.check(s.Sign(a.t.Context(), kb, by))
	return s.String()
}

// impostor says that it is one key and signs with another, which our own engine
// would refuse to do.
type impostor struct{ key, by *testkit.Key }

func (i impostor) Public() crypto.PublicKey { return i.key.Public() }

func (i impostor) Sign(ctx context.Context, message []byte) ([]byte, error) {
	return i.by.Sign(ctx, message)
}

const secretBirth = "1984-07-29"

// binding is what an honest holder signs.
func (a *arena) binding(req *oid4vp.Request) sdjwt.KeyBinding {
	return sdjwt.KeyBinding{Audience: req.Audience(), Nonce: req.Nonce, IssuedAt: a.Now()}
}

// send posts presentations, encrypted as asked.
func (a *arena) send(req *oid4vp.Request, presentations ...string) fetch.Response {
	a.t.Helper()
	msg, err := req.Answer(oid4vp.Presentations{req.Query.Credentials[0].ID: presentations})
	a.check(err)
	resp, err := a.server(a.t.Context(), msg)
	a.check(err)
	return resp
}

// private looks for what is about the holder, or secret, where it must not be.
// An entry of a status list is one document's.
func (a *arena) private(where string, data []byte, secrets ...string) {
	a.t.Helper()
	for _, s := range append([]string{secretName, secretName[:12], secretBirth, "29 July 1984", string(picture()[100:140]), "index 5 of "}, secrets...) {
		if s != "" && contains(data, []byte(s)) {
			a.t.Errorf("%s has %q", where, s)
		}
	}
}

// judged checks what the relying party reads of a transaction that was answered
// badly: the check and its clause, and nothing about anybody.
func (a *arena) judged(tr verifier.Transaction, resp fetch.Response, name, clause string) {
	a.t.Helper()
	o := a.outcome(tr)
	if o.State != verifier.Done || o.Result == nil || o.Result.Verdict != core.Invalid {
		a.t.Fatalf("%s %+v", o.State, o.Result)
	}
	past, err := a.v.Past(a.t.Context(), "default", tr.Number)
	a.check(err)
	checks := slices.Clone(past.Report.Checks)
	for _, d := range past.Documents {
		checks = append(checks, d.Report.Checks...)
	}
	if !slices.ContainsFunc(checks, func(c check.Check) bool {
		return c.Outcome == check.Fail && strings.Contains(c.Name, name) && strings.Contains(c.Clause, clause) && c.Seen != "" && c.Advice != ""
	}) {
		a.t.Errorf("no failure of %q by %q with what was seen and what to do:\n%s", name, clause, check.Report{Checks: checks})
	}
	for _, c := range checks {
		if c.Clause == "" {
			a.t.Errorf("%s cites no clause", c.Name)
		}
	}
	for _, d := range o.Result.Documents {
		if d.Elements != nil || d.Portrait != nil {
			a.t.Errorf("shows %+v", d)
		}
	}
	if resp.Status != http.StatusBadRequest || !strings.HasPrefix(resp.Refusal(), oid4vp.InvalidRequest+": ") {
		a.t.Errorf("the app is told %d %s", resp.Status, resp.Body)
	}
	history, err := json.Marshal(past)
	a.check(err)
	result := a.serve(fetch.GetRequest("http://verifier.localhost:8080/default/result/"+tr.ID, ""))
	page := a.serve(fetch.GetRequest("http://verifier.localhost:8080/default/t/"+tr.ID, ""))
	for where, data := range map[string][]byte{"the report": history, "the answer to the app": resp.Body, "the result": result.Body, "the page": page.Body} {
		a.private(where, data)
	}
}

// What is bound to something else, or changed, is refused over HTTP, in each
// format; the relying party reads which check failed, by which clause.
func TestBadAnswers(t *testing.T) {
	a := newArena(t, testkit.SQLite(t))
	stranger := testkit.Signer(t, elliptic.P256())
	_, other := a.fetched(askMdoc)
	_, otherSD := a.fetched(askSD)
	bound := func(clientID, nonce string, thumb []byte, uri string) string {
		return a.mdoc(mdoc.TranscriptOpenID4VP(clientID, nonce, thumb, uri), a.mdl.key)
	}
	transcript := func(req *oid4vp.Request) []byte {
		b, err := req.Transcript()
		a.check(err)
		return b
	}
	swap := func(text, old, with string) string { // in the bytes of an mdoc
		raw, err := jose.Decode(text)
		a.check(err)
		changed := bytes.Replace(raw, []byte(old), []byte(with), 1)
		if bytes.Equal(raw, changed) {
			a.t.Fatal("nothing was changed")
		}
		return oid4vp.EncodeMdoc(changed)
	}
	part := func(text string, n int, f func(string) string) string { // of an SD-JWT
		parts := strings.Split(text, "~")
		parts[n] = f(parts[n])
		return strings.Join(parts, "~")
	}
	bent := func(s string) string { return s[:len(s)-6] + "AAAAAA" }
	kb := func(req *oid4vp.Request, f func(*sdjwt.KeyBinding)) string {
		b := a.binding(req)
		f(&b)
		return a.sd(b, a.sdHold)
	}
	const device, holderProof = "9.1.3", "RFC 9901, 7.3"
	for _, tc := range []struct {
		name, ask, check, clause string
		text                     func(req *oid4vp.Request) string
	}{
		{"mdoc: wrong nonce", askMdoc, "device authentication", device, func(r *oid4vp.Request) string { return bound(r.ClientID, "another", thumb(a.t, r), r.ResponseURI) }},
		{"mdoc: wrong audience", askMdoc, "device authentication", device, func(r *oid4vp.Request) string {
			return bound("x509_san_dns:evil.example", r.Nonce, thumb(a.t, r), r.ResponseURI)
		}},
		{"mdoc: another response_uri", askMdoc, "device authentication", device, func(r *oid4vp.Request) string {
			return bound(r.ClientID, r.Nonce, thumb(a.t, r), "https://evil.example/response/1")
		}},
		{"mdoc: another encryption key", askMdoc, "device authentication", device, func(r *oid4vp.Request) string { return bound(r.ClientID, r.Nonce, thumb(a.t, other), r.ResponseURI) }},
		{"mdoc: wrong origin", askMdoc, "device authentication", device, func(r *oid4vp.Request) string {
			return a.mdoc(mdoc.TranscriptOpenID4VPDCAPI("https://evil.example", r.Nonce, thumb(a.t, r)), a.mdl.key)
		}},
		{"mdoc: response for another transaction", askMdoc, "device authentication", device, func(*oid4vp.Request) string { return a.mdoc(transcript(other), a.mdl.key) }},
		{"mdoc: another device's key", askMdoc, "device authentication", device, func(r *oid4vp.Request) string { return a.mdoc(transcript(r), impostor{a.mdl.key, stranger}) }},
		{"mdoc: changed value", askMdoc, "element digest", "9.1.2.5", func(r *oid4vp.Request) string {
			return swap(a.mdoc(transcript(r), a.mdl.key), "Geheimnis", "Bekanntes")
		}},
		{"mdoc: another status list", askMdoc, "issuer signature", "9.1.2.4", func(r *oid4vp.Request) string {
			return swap(a.mdoc(transcript(r), a.mdl.key), "/status/1", "/status/2")
		}},
		{"SD-JWT: wrong nonce", askSD, "nonce", holderProof, func(r *oid4vp.Request) string { return kb(r, func(b *sdjwt.KeyBinding) { b.Nonce = otherSD.Nonce }) }},
		{"SD-JWT: wrong audience", askSD, "audience", holderProof, func(r *oid4vp.Request) string {
			return kb(r, func(b *sdjwt.KeyBinding) { b.Audience = "x509_san_dns:evil.example" })
		}},
		{"SD-JWT: wrong origin", askSD, "audience", holderProof, func(r *oid4vp.Request) string {
			return kb(r, func(b *sdjwt.KeyBinding) { b.Audience = "origin:https://evil.example" })
		}},
		{"SD-JWT: signed long ago", askSD, "key binding time", holderProof, func(r *oid4vp.Request) string {
			return kb(r, func(b *sdjwt.KeyBinding) { b.IssuedAt = a.Now().Add(-time.Hour) })
		}},
		{"SD-JWT: signed in the future", askSD, "key binding time", holderProof, func(r *oid4vp.Request) string {
			return kb(r, func(b *sdjwt.KeyBinding) { b.IssuedAt = a.Now().Add(time.Hour) })
		}},
		{"SD-JWT: response for another transaction", askSD, "nonce", holderProof, func(*oid4vp.Request) string { return a.sd(a.binding(otherSD), a.sdHold) }},
		{"SD-JWT: another holder's key", askSD, "holder signature", holderProof, func(r *oid4vp.Request) string {
			return a.sd(a.binding(r), impostor{a.sdHold, stranger})
		}},
		{"SD-JWT: no key binding", askSD, "key binding", holderProof, func(r *oid4vp.Request) string {
			return part(a.sd(a.binding(r), a.sdHold), 3, func(string) string { return "" })
		}},
		{"SD-JWT: sd_hash of more than is shown", askSD, "presentation hash", holderProof, func(r *oid4vp.Request) string {
			parts := strings.Split(a.sd(a.binding(r), a.sdHold), "~")
			return strings.Join(slices.Delete(parts, 1, 2), "~")
		}},
		{"SD-JWT: changed disclosure", askSD, "disclosures", "RFC 9901, 7.1", func(r *oid4vp.Request) string {
			return part(a.sd(a.binding(r), a.sdHold), 1, func(string) string { return jose.Encode([]byte(`["salt","family_name","Bekannt"]`)) })
		}},
		{"SD-JWT: changed by somebody", askSD, "issuer signature", "", func(r *oid4vp.Request) string { return part(a.sd(a.binding(r), a.sdHold), 0, bent) }},
		{"SD-JWT: transaction data that nobody asked for", askSD, "transaction data", "OpenID4VP 1.0, 8.4", func(r *oid4vp.Request) string {
			return kb(r, func(b *sdjwt.KeyBinding) { b.Transactions.Values = []string{jose.Encode(make([]byte, 32))} })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.world.t = t
			tr, req := a.fetched(tc.ask)
			resp := a.send(req, tc.text(req))
			a.judged(tr, resp, tc.check, tc.clause)
			if again := a.send(req, tc.text(req)); again.Status != http.StatusBadRequest || !strings.Contains(again.Refusal(), "finished") {
				t.Errorf("a second try: %d %s", again.Status, again.Body)
			}
			a.private("the log", []byte(a.log.String()), req.Nonce, req.State, tr.ID)
		})
	}
	a.world.t = t
	// What is in order passes, and is not in the log either.
	for ask, text := range map[string]func(*oid4vp.Request) string{
		askMdoc: func(r *oid4vp.Request) string { return a.mdoc(transcript(r), a.mdl.key) },
		askSD:   func(r *oid4vp.Request) string { return a.sd(a.binding(r), a.sdHold) },
	} {
		tr, req := a.fetched(ask)
		if resp := a.send(req, text(req)); resp.Status != http.StatusOK || !a.outcome(tr).Result.OK() {
			t.Errorf("%s: %d %s %+v", ask, resp.Status, resp.Body, a.outcome(tr).Result)
		}
		a.private("the log", []byte(a.log.String()), req.Nonce, req.State, tr.ID)
	}
	if !strings.Contains(a.log.String(), "/default/response/") && !strings.Contains(a.log.String(), "POST") {
		t.Errorf("the log has nothing at all: %s", a.log.String())
	}
}

// responseKey is what the answer to a request is encrypted to.
func responseKey(t testing.TB, req *oid4vp.Request) jose.JWK {
	t.Helper()
	payload, err := jose.Decode(strings.Split(req.Object, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Metadata struct {
			JWKS jose.Set `json:"jwks"`
		} `json:"client_metadata"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Metadata.JWKS.Keys[0]
}

func thumb(t testing.TB, req *oid4vp.Request) []byte {
	t.Helper()
	sum, err := jose.Thumbprint(responseKey(t, req).Key)
	if err != nil {
		t.Fatal(err)
	}
	return sum[:]
}
