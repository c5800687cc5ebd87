package verifier_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/verifier"
)

const (
	issuerURL = "http://issuer.localhost:8080/default"
	trustURL  = "http://trust.localhost:8080/default"
	day       = 24 * time.Hour
)

// world is an issuing authority, a trust service and a verifier, joined by
// functions that stand for the network.
type world struct {
	*testkit.Clock
	t  testing.TB
	mu sync.Mutex

	iaca, ds, listSigner   *x509.Certificate
	iacaKey, dsKey, lstKey *testkit.Key
	trustCA, vicalSigner   *x509.Certificate
	anchorSigner           *x509.Certificate
	trustCAKey, trustKey   *testkit.Key
	before                 *formerRoot // nil until the authority changes its root
	listed                 []*x509.Certificate
	revoked                map[uint64]bool
	list                   func() ([]byte, error) // in the place of the status list
	unplugged              bool
	fetched                []string

	dsn  string
	area *software.Area
	db   *db.DB
	v    *verifier.Verifier
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newWorld(t testing.TB, dsn string, cfg verifier.Config) *world {
	t.Helper()
	w := &world{t: t, Clock: testkit.NewClock(), revoked: map[uint64]bool{}, dsn: dsn}
	w.iacaKey, w.dsKey, w.lstKey = testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	w.trustKey, w.trustCAKey = testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	w.iaca = w.certificate(pki.IACARoot, "Utopia IACA", w.iacaKey, nil, w.iacaKey)
	w.listed = []*x509.Certificate{w.iaca}
	w.ds = w.certificate(pki.DocumentSigner, "Utopia DS", w.dsKey, w.iaca, w.iacaKey)
	w.listSigner = w.certificate(pki.StatusSigner, "Utopia status", w.lstKey, w.iaca, w.iacaKey)
	w.trustCA = w.certificate(pki.ServiceCA, "Trust CA", w.trustCAKey, nil, w.trustCAKey)
	w.vicalSigner = w.certificate(pki.VICALSigner, "VICAL signer", w.trustKey, w.trustCA, w.trustCAKey)
	w.anchorSigner = w.certificate(pki.TrustListSigner, "list signer", w.trustKey, w.trustCA, w.trustCAKey)
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{7}, 32)})
	w.check(err)
	w.area = area
	w.open(cfg)
	return w
}

// open starts a verifier on the world's database, as another process would.
func (w *world) open(cfg verifier.Config) {
	w.t.Helper()
	d, err := db.Open(w.t.Context(), w.dsn, "verifier", verifier.Schema)
	w.check(err)
	w.t.Cleanup(func() { d.Close() })
	w.db = d
	w.v, err = verifier.New(cfg, verifier.Deps{DB: d, Area: w.area, Fetch: w.fetch, Now: w.Now})
	w.check(err)
}

func (w *world) certificate(p pki.Profile, cn string, k *testkit.Key, issuer *x509.Certificate, by *testkit.Key) *x509.Certificate {
	w.t.Helper()
	notBefore, notAfter := pki.Validity(w.Now(), 400*day)
	if issuer == nil {
		notAfter = notBefore.Add(9 * 365 * day)
	}
	t := pki.Template{
		Subject: pki.Name{Country: "UT", Organization: "Utopia", CommonName: cn}, PublicKey: k.Public(), Issuer: issuer,
		NotBefore: notBefore, NotAfter: notAfter, Contact: issuerURL, CRLURL: issuerURL + "/iaca.crl",
	}
	if w.before != nil {
		t.CRLURL = nextCRL
	}
	return pkitest.Issue(w.t, p, t, by)
}

var errUnplugged = errors.New("network is unreachable")

// fetch is the network.
func (w *world) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	w.mu.Lock()
	unplugged := w.unplugged
	w.fetched = append(w.fetched, r.URL)
	w.mu.Unlock()
	if unplugged {
		return fetch.Response{}, errUnplugged
	}
	ok := func(body []byte, err error) (fetch.Response, error) {
		return fetch.Response{Status: 200, Body: body, Header: map[string]string{}}, err
	}
	r.URL = strings.Replace(r.URL, rpTrust, trustURL, 1) // the same for verifiers on the internet
	switch {
	case strings.HasPrefix(r.URL, "http://verifier.localhost:"), strings.HasPrefix(r.URL, rpURL+"/"):
		return w.serve(r), nil
	case r.URL == issuerURL+"/status":
		return ok([]byte(`{"status_lists":["`+issuerURL+`/status/1"]}`), nil)
	case r.URL == issuerURL+"/status/1" && w.list != nil:
		return ok(w.list())
	case r.URL == issuerURL+"/status/1":
		return ok(w.statusList(issuerURL + "/status/1"))
	case r.URL == issuerURL+"/iaca.crl", r.URL == nextCRL:
		root, key := w.iaca, w.iacaKey
		if w.before != nil && r.URL != nextCRL {
			root, key = w.before.root, w.before.key
		}
		return ok(pki.IssueCRL(ctx, pki.CRLTemplate{Issuer: root, Number: big.NewInt(1), ThisUpdate: w.Now(), NextUpdate: w.Now().Add(30 * day)}, key))
	case r.URL == trustURL+"/ca.pem":
		return ok(w.trustCA.Raw, nil)
	case r.URL == trustURL+"/vical":
		v := trustlist.VICAL{Provider: "Utopia Trust", Date: w.Now(), IssueID: 1, NextUpdate: w.Now().Add(30 * day), NotAfter: w.Now().Add(30 * day)}
		for _, root := range w.listed {
			v.Entries = append(v.Entries, trustlist.CertificateInfo{Certificate: root, DocTypes: []string{mdoc.DocTypeMDL}})
		}
		return ok(trustlist.BuildVICAL(ctx, v, []*x509.Certificate{w.vicalSigner}, w.trustKey))
	case r.URL == trustURL+"/anchors":
		token, err := trustlist.BuildList(ctx, trustlist.List{
			Issuer: trustURL, IssuedAt: jose.NewDate(w.Now()), Expires: jose.NewDate(w.Now().Add(30 * day)), Sequence: 1, Entries: []trustlist.Entry{},
		}, []*x509.Certificate{w.anchorSigner}, w.trustKey)
		return ok([]byte(token), err)
	}
	return fetch.Response{Status: 404}, nil
}

// serve gives a request to the verifier's handler.
func (w *world) serve(r fetch.Request) fetch.Response {
	resp, err := testkit.Through(w.v.Handler())(w.t.Context(), r)
	w.check(err)
	return resp
}

func (w *world) statusList(uri string) ([]byte, error) {
	l, err := status.NewList(1, 1024)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	for i := range w.revoked {
		err = errors.Join(err, l.Set(i, status.Invalid))
	}
	w.mu.Unlock()
	c, err2 := l.Compress()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	chain := [][]byte{w.listSigner.Raw}
	if w.before != nil {
		chain = append(chain, w.before.link.Raw)
	}
	return status.SignCWT(context.Background(), w.lstKey, status.Headers{X5Chain: chain},
		status.Claims{URI: uri, Issued: w.Now(), Expires: w.Now().Add(day), TTL: time.Hour}, c)
}

// picture is a small JPEG.
func picture() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 140, 180))
	for y := range 180 {
		for x := range 140 {
			img.Set(x, y, color.RGBA{uint8(60 + x), uint8(200 - y/2), 150, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// secretName is a value that must not be found where it has no business.
const secretName = "Geheimnisvoll-Mustermann"

// holder is a document with its device key: a wallet of one document.
type holder struct {
	w      *world
	key    *testkit.Key
	stored []byte
}

// issue makes a driving licence at an index of the status list.
func (w *world) issue(index uint64, more ...mdoc.Element) *holder {
	w.t.Helper()
	return w.issueFor(index, mdoc.KeyAuthorizations{}, more...)
}

// issueFor is issue with what the device may sign.
func (w *world) issueFor(index uint64, device mdoc.KeyAuthorizations, more ...mdoc.Element) *holder {
	w.t.Helper()
	h := &holder{w: w, key: testkit.Signer(w.t, elliptic.P256())}
	midnight := w.Now().Truncate(day)
	elements := append([]mdoc.Element{
		{ID: "family_name", Value: cbor.AppendText(nil, secretName)}, {ID: "given_name", Value: cbor.AppendText(nil, "Erika")},
		{ID: "portrait", Value: cbor.AppendBytes(nil, picture())}, {ID: "age_over_21", Value: cbor.AppendBool(nil, true)},
		{ID: "expiry_date", Value: cbor.AppendFullDate(nil, cbor.FullDate{Year: 2030, Month: 1, Day: 2})},
	}, more...)
	var err error
	h.stored, err = mdoc.Issue(context.Background(), mdoc.IssueParams{
		DocType: mdoc.DocTypeMDL, NameSpaces: []mdoc.NameSpace{{Name: mdoc.NameSpaceMDL, Elements: elements}},
		DeviceKey: h.key.Public(), KeyAuthorizations: device, Chain: [][]byte{w.ds.Raw},
		Validity: mdoc.Validity{Signed: midnight, ValidFrom: midnight, ValidUntil: midnight.Add(14 * day)},
		Status:   &status.Claim{List: &status.ListReference{Index: index, URI: issuerURL + "/status/1"}},
	}, w.dsKey)
	w.check(err)
	return h
}

// present answers with elements, bound to a transcript.
func (h *holder) present(transcript []byte, ids ...string) []byte {
	h.w.t.Helper()
	return h.presentWith(nil, transcript, ids...)
}

// presentWith is present with elements of the device's own.
func (h *holder) presentWith(device []mdoc.DeviceNameSpace, transcript []byte, ids ...string) []byte {
	h.w.t.Helper()
	return h.shown(ids, func(p *mdoc.Presentation) {
		if device != nil {
			h.w.check(p.SignElements(device))
		}
		h.w.check(p.Sign(context.Background(), transcript, h.key))
	})
}

// shown answers with elements that prove signs.
func (h *holder) shown(ids []string, prove func(p *mdoc.Presentation)) []byte {
	h.w.t.Helper()
	s, err := mdoc.ParseIssuerSigned(h.stored)
	h.w.check(err)
	var refs []mdoc.ElementRef
	for _, id := range ids {
		refs = append(refs, mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: id})
	}
	p, err := s.Select(refs)
	h.w.check(err)
	prove(p)
	raw, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
	h.w.check(err)
	return raw
}

// opened fetches and opens the request of a transaction, as a wallet does.
func (w *world) opened(tr verifier.Transaction) (*oid4vp.Request, error) {
	l, err := oid4vp.ParseLink(tr.Link)
	if err != nil {
		return nil, err
	}
	object, nonce, err := l.Fetch(context.Background(), w.fetch)
	if err != nil {
		return nil, err
	}
	req, rep, err := oid4vp.Open(context.Background(), object, l, nonce, oid4vp.Environment{}, w.Now())
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, rep)
	}
	return req, nil
}

// answer is what a wallet posts with the elements; of the requested ones those
// that it was told to share.
func (h *holder) answer(req *oid4vp.Request, ids ...string) fetch.Request {
	h.w.t.Helper()
	transcript, err := req.Transcript()
	h.w.check(err)
	return h.answerBound(req, transcript, ids...)
}

func (h *holder) answerBound(req *oid4vp.Request, transcript []byte, ids ...string) fetch.Request {
	h.w.t.Helper()
	id := req.Query.Credentials[slices.IndexFunc(req.Query.Credentials, func(c query.Credential) bool {
		return slices.Contains(c.Types, mdoc.DocTypeMDL)
	})].ID
	msg, err := req.Answer(oid4vp.Presentations{id: {oid4vp.EncodeMdoc(h.present(transcript, ids...))}})
	h.w.check(err)
	return msg
}

func (w *world) post(msg fetch.Request) (redirect *url.URL, err error) {
	w.t.Helper()
	resp, err := w.fetch(context.Background(), msg)
	w.check(err)
	s, err := oid4vp.ParseResult(resp)
	if err != nil {
		if resp.Status != http.StatusBadRequest {
			w.t.Errorf("status %d: %s", resp.Status, resp.Body)
		}
		return nil, err
	}
	u, err := url.Parse(s)
	w.check(err)
	return u, nil
}

func (w *world) begin(ask string) verifier.Transaction {
	w.t.Helper()
	tr, err := w.v.Begin(context.Background(), "default", verifier.AskParams{Ask: ask})
	w.check(err)
	return tr
}

func (w *world) outcome(tr verifier.Transaction) verifier.Outcome {
	w.t.Helper()
	o, err := w.v.Outcome(context.Background(), "default", tr.ID, "")
	w.check(err)
	return o
}
