package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
)

const (
	wayURL  = "https://rp.example" // of the verifier: did:web is for https only
	wayPage = "https://shop.example"
)

// ways are relying parties of one verifier and a holder with a document in each
// format, joined by what stands for the network.
type ways struct {
	t *testing.T
	s *hosted
	v *verifier.Verifier
	w *wallet.Wallet
}

// way is how a transaction is answered. It returns where the browser goes next.
type way func(x *ways, tenant string, tr verifier.Transaction) string

// newWays has the holder get documents from the demonstration's authority. The
// configurations may still be changed, before verifier and app are made.
func newWays(t *testing.T, cfg verifier.Config, app wallet.Config, deps wallet.Deps) *ways {
	t.Helper()
	x := &ways{t: t, s: host(t)}
	follower := x.s.house.followIn(wallet.OnceTx(wallet.NewMemory()))
	cfg.URL, cfg.Trust = wayURL, "https://trust.example/default"
	d, err := db.Open(t.Context(), testkit.SQLite(t), "verifier", verifier.Schema)
	x.check(err)
	t.Cleanup(func() { d.Close() })
	x.v, err = verifier.New(cfg, verifier.Deps{DB: d, Area: x.area(1), Fetch: x.fetch, Anchors: follower.Anchors, Now: time.Now})
	x.check(err)
	deps.Storage, deps.Area, deps.Fetch, deps.Refresh = wallet.NewMemory(), x.area(2), x.fetch, follower.Refresh
	deps.Now, deps.Consent = time.Now, wallet.AutoApprove{Issuers: true}
	var readers []assure.Anchor // somebody vouches for those with a certificate
	for _, tenant := range x.v.Tenants() {
		ca, err := x.v.ReaderCA(t.Context(), tenant)
		x.check(err)
		readers = append(readers, assure.FromCertificates(trustlist.Reader, "test", ca)...)
	}
	deps.Anchors = func(ctx context.Context, now time.Time) (*assure.Anchors, error) {
		a, err := follower.Anchors(ctx, now)
		if err != nil {
			return nil, err
		}
		return a.With(readers...)
	}
	x.w, err = wallet.New(app, deps)
	x.check(err)
	_, err = x.w.Install(t.Context(), x.s.urls[roleProvider]+"/default")
	x.check(err)
	for _, offering := range []string{"mdl", "pid-sd-jwt"} {
		made := x.s.offer(t, offering, issuer.OfferParams{TxCode: true})
		offer, err := x.w.ReadOffer(t.Context(), made.Link)
		x.check(err)
		_, err = x.w.Accept(t.Context(), offer, wallet.AcceptOptions{TxCode: made.TxCode})
		x.check(err)
	}
	return x
}

func (x *ways) check(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *ways) area(secret byte) *software.Area {
	x.t.Helper()
	area, err := software.Open(x.t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{secret}, 32)})
	x.check(err)
	return area
}

// fetch is the network: the verifier is at hand, the others are the
// demonstration's.
func (x *ways) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	if !strings.HasPrefix(r.URL, wayURL+"/") {
		return x.s.house.fetch(ctx, r)
	}
	rec := x.serve(r)
	resp := fetch.Response{Status: rec.Code, Body: rec.Body.Bytes(), Header: map[string]string{}}
	for name := range rec.Header() {
		resp.Header[strings.ToLower(name)] = rec.Header().Get(name)
	}
	return resp, nil
}

func (x *ways) serve(r fetch.Request) *httptest.ResponseRecorder {
	req := httptest.NewRequest(r.Method, r.URL, bytes.NewReader(r.Body))
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	x.v.Handler().ServeHTTP(rec, req)
	return rec
}

// page is what a page of the relying party's own gets from the verifier.
func (x *ways) page(method, url string, body []byte) []byte {
	x.t.Helper()
	rec := x.serve(fetch.Request{Method: method, URL: url, Body: body, Header: map[string]string{"origin": wayPage, "content-type": "application/json"}})
	if rec.Code != http.StatusOK {
		x.t.Fatalf("%s %s: %d %s", method, url, rec.Code, rec.Body)
	}
	return rec.Body.Bytes()
}

// byLink has the holder answer the link of a transaction.
func (x *ways) byLink(_ string, tr verifier.Transaction) string {
	x.t.Helper()
	_, redirect, err := x.w.Answer(x.t.Context(), tr.Link)
	x.check(err)
	return redirect
}

// byBrowser has a page ask by one protocol of the Digital Credentials API, and
// hand on the answer.
func byBrowser(protocol string) way {
	return func(x *ways, _ string, tr verifier.Transaction) string {
		x.t.Helper()
		requests, err := dcapi.ParseRequests(x.page("GET", tr.Watch+"/dc", nil))
		x.check(err)
		var list []dcapi.Request
		for _, r := range requests {
			if r.Protocol == protocol {
				list = append(list, r)
			}
		}
		asked, err := json.Marshal(list)
		x.check(err)
		response, _, err := x.w.AnswerBrowser(x.t.Context(), asked, wayPage)
		x.check(err)
		var said struct {
			RedirectURI string `json:"redirect_uri"`
		}
		x.check(json.Unmarshal(x.page("POST", tr.Watch+"/dc", response), &said))
		return said.RedirectURI
	}
}

// byAnnexB has the holder answer by the older profile.
func (x *ways) byAnnexB(tenant string, tr verifier.Transaction) string {
	x.t.Helper()
	link, err := x.v.AnnexBLink(x.t.Context(), tenant, tr.ID)
	x.check(err)
	_, redirect, err := x.w.Answer(x.t.Context(), link)
	x.check(err)
	return redirect
}

// byReaderLink has the holder follow a reader's link; nothing brings the browser
// back.
func (x *ways) byReaderLink(tenant string, tr verifier.Transaction) string {
	x.t.Helper()
	link, err := x.v.ReaderLink(x.t.Context(), tenant, tr.ID)
	x.check(err)
	_, err = x.w.AnswerReaderLink(x.t.Context(), link, "rp.example")
	x.check(err)
	return wayURL + "/" + tenant + "/done?response_code=none"
}

// shares checks that a question gets its answer in a way.
func (x *ways) shares(name, tenant string, p verifier.AskParams, way way) {
	formats := map[string]string{"mso_mdoc": "mdl:family_name,age_over_18", "dc+sd-jwt": "pid@sd-jwt:family_name,birth_date"}
	if strings.HasPrefix(name, "ISO ") {
		delete(formats, "dc+sd-jwt") // a DeviceRequest asks for mdocs
	}
	for format, ask := range formats {
		x.t.Run(tenant+" "+name+" "+format, func(t *testing.T) {
			at := *x
			at.t = t
			p.Ask = ask
			tr, err := x.v.Begin(t.Context(), tenant, p)
			at.check(err)
			if back := way(&at, tenant, tr); !strings.HasPrefix(back, wayURL+"/"+tenant+"/done?response_code=") {
				t.Errorf("the browser goes to %s", back)
			}
			o, err := x.v.Outcome(t.Context(), tenant, tr.ID, "")
			at.check(err)
			if o.State != verifier.Done || !o.Result.OK() || len(o.Result.Documents) != 1 {
				t.Fatalf("%+v %+v", o, o.Result)
			}
			if doc := o.Result.Documents[0]; doc.Format != format || doc.Device != "signature" || doc.Elements[0].Text != "Sommerfeld" || len(doc.Elements) != 2 {
				t.Errorf("%+v", doc)
			}
		})
	}
}

// TestWays: our verifier and our app, over HTTP, by every client identifier
// prefix, in every way a request and its answer go, in both formats.
func TestWays(t *testing.T) {
	tenants := []verifier.Tenant{
		{ID: "hash", ClientID: verifier.ClientX509Hash}, {ID: "san", ClientID: verifier.ClientX509SANDNS},
	}
	for i := range tenants {
		tenants[i].Name, tenants[i].Origins = "Shop "+tenants[i].ID, []string{wayPage}
	}
	x := newWays(t, verifier.Config{Tenants: tenants}, wallet.Config{}, wallet.Deps{})
	for _, tenant := range tenants {
		x.shares("by reference", tenant.ID, verifier.AskParams{}, (*ways).byLink)
		for _, protocol := range []string{oid4vp.ProtocolSigned, oid4vp.ProtocolUnsigned} {
			x.shares(protocol, tenant.ID, verifier.AskParams{}, byBrowser(protocol))
		}
		x.shares("ISO Annex A", tenant.ID, verifier.AskParams{}, (*ways).byReaderLink)
		x.shares("ISO Annex B", tenant.ID, verifier.AskParams{}, (*ways).byAnnexB)
		x.shares("ISO Annex C", tenant.ID, verifier.AskParams{}, byBrowser(dcapi.ProtocolMdoc))
	}
}
