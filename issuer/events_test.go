package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// Each thing that happens is told once, by ids.
func TestEvents(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		endpoint, _, err := w.authority.Outbox().Add(t.Context(), "default", "https://a.example/", nil, false)
		if err != nil {
			t.Fatal(err)
		}
		p := w.newApp(w.authority)
		o := w.offer("ada", "mdl", "pid-sd-jwt")
		token, _, err := p.redeem(o, o.TxCode)
		if err != nil {
			t.Fatal(err)
		}
		for _, configuration := range []string{"mdl", "pid-sd-jwt"} {
			if _, _, err := p.get(token, configuration, 3); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := p.get(token, "photoid", 1); err == nil {
			t.Error("a document that was not offered is issued")
		}
		for range 2 {
			if _, err := w.authority.Revoke(t.Context(), "default", Selection{Subject: "ada"}, "lost"); err != nil {
				t.Fatal(err)
			}
		}
		now := w.Now()
		for range 2 {
			if err := w.authority.tenants["default"].tellNotice(t.Context(), "do something", now); err != nil {
				t.Fatal(err)
			}
		}
		list, err := w.authority.Outbox().Messages(t.Context(), "default", endpoint.ID, 100)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, m := range list {
			kinds = append(kinds, m.Kind)
		}
		slices.Sort(kinds)
		if want := []string{EventCertificate, EventIssued, EventIssued, EventRevoked, EventRevoked, EventOfferUsed}; !slices.Equal(kinds, want) {
			t.Errorf("events %v, want %v", kinds, want)
		}
		var bodies []string
		err = w.authority.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			bodies, err = tx.Texts(ctx, `select body from outbox_message`)
			return err
		})
		if err != nil || len(bodies) != len(list) {
			t.Fatal(len(bodies), err)
		}
		for _, secret := range []string{`"ada"`, "Sommerfeld", "1984", "lost", o.TxCode, strings.TrimPrefix(o.URI, base+"/offers/")} {
			if strings.Contains(strings.Join(bodies, ""), secret) {
				t.Errorf("the events hold %q", secret)
			}
		}
		rec := httptest.NewRecorder()
		if err := w.authority.ServeMetrics(rec, httptest.NewRequest("GET", "/metrics", nil)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`eidos_issuer_issued_total{format="mso_mdoc",offering="mdl",tenant="default"} 1`,
			`eidos_issuer_issued_copies_total{format="dc+sd-jwt",offering="pid-sd-jwt",tenant="default"} 3`,
			`eidos_issuer_refusals_total{code="unknown_credential_configuration",tenant="default"} 1`,
			`eidos_issuer_requests_total{listener="public",route="POST /{tenant}/credential",status="200"} 2`,
			`eidos_issuer_outbox_messages{state="waiting",tenant="default"} 6`,
		} {
			if !strings.Contains(rec.Body.String(), want) {
				t.Errorf("no %s in\n%s", want, rec.Body)
			}
		}
	})
}

// Run delivers, signed under the secret that was shown.
func TestEventsAreDelivered(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	do, err := web.NewClient(web.Options{AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	w.authority.outbox = w.authority.newOutbox(Deps{Webhooks: do})
	type delivery struct {
		header http.Header
		body   []byte
	}
	got := make(chan delivery, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{r.Header, body}
	}))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.authority.Run(ctx) }()
	_, secret, err := w.authority.Outbox().Add(ctx, "default", server.URL, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) != 32 {
		t.Fatalf("secret of %d bytes, %v", len(key), err)
	}
	if err := w.authority.tenants["default"].tellNotice(ctx, "do something", w.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-got:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(d.header.Get("Webhook-Id") + "." + d.header.Get("Webhook-Timestamp") + "."))
		mac.Write(d.body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); d.header.Get("Webhook-Signature") != want {
			t.Errorf("signature %s, want %s", d.header.Get("Webhook-Signature"), want)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing came")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The end of an offer that nobody took up is told once, whatever number of
// processes look; one that was taken up has none.
func TestExpiredOfferIsTold(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		endpoint, _, err := w.authority.Outbox().Add(t.Context(), "default", "https://a.example/", []string{EventOfferExpired}, false)
		if err != nil {
			t.Fatal(err)
		}
		p, taken, left := w.newApp(w.authority), w.offer("ada", "mdl"), w.offer("jonas", "mdl")
		if _, _, err := p.redeem(taken, taken.TxCode); err != nil {
			t.Fatal(err)
		}
		b := w.browser(t, w.authority)
		byCode, err := w.authority.Offer(t.Context(), "default", OfferParams{Offerings: []string{"mdl"}, Subject: "ada", Grant: AuthorizationCode})
		if err != nil {
			t.Fatal(err)
		}
		w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl", IssuerState: byCode.ID})
		b.identify("ada", adasCode)
		b.decide("approve")
		w.Pass(23 * time.Hour)
		told := func() (offers []string) {
			t.Helper()
			for _, a := range []*Authority{w.authority, w.open()} {
				if err := a.maintain(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			list, err := w.authority.Outbox().Messages(t.Context(), "default", endpoint.ID, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				offers = append(offers, m.Kind)
			}
			return offers
		}
		if got := told(); len(got) > 0 {
			t.Errorf("told too early: %v", got)
		}
		w.Pass(time.Hour)
		if got := told(); !slices.Equal(got, []string{EventOfferExpired}) {
			t.Errorf("told: %v", got)
		}
		var audited, waiting []string
		err = w.authority.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			if audited, err = tx.Texts(ctx, `select event from audit where event like '%offer expired%'`); err != nil {
				return err
			}
			waiting, err = tx.Texts(ctx, `select id from offer`)
			return err
		})
		if err != nil || len(audited) != 1 || !strings.Contains(audited[0], left.ID) || len(waiting) > 0 {
			t.Errorf("audit %v, left %v, %v", audited, waiting, err)
		}
	})
}
