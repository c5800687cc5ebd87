package issuer

import (
	"context"
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// What the app tells is kept with the batch, once; nobody else's.
func TestNotification(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p, token := w.accept("ada", "mdl")
		if _, _, err := p.get(token, "mdl", 2); err != nil {
			t.Fatal(err)
		}
		id := p.answer.Notification
		stored := func() (event string) {
			err := w.authority.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				return tx.QueryRow(ctx, `select event from batch where tenant = $1 and id = $2`, "default", id).Scan(&event)
			})
			if err != nil {
				t.Fatal(err)
			}
			return event
		}
		tell := func(p *app, token *oauth.Token, id string, event oid4vci.Event) error {
			c := &oid4vci.Client{Metadata: p.metadata, OAuth: p.oauth, Token: token}
			return c.Notify(t.Context(), oid4vci.Notification{ID: id, Event: event}, w.Now())
		}
		if id == "" || stored() != "" {
			t.Fatalf("batch %q, event %q", id, stored())
		}
		for _, event := range []oid4vci.Event{oid4vci.EventAccepted, oid4vci.EventAccepted, oid4vci.EventDeleted} {
			if err := tell(p, token, id, event); err != nil || stored() != string(event) {
				t.Errorf("%s: %v, stored %q", event, err, stored())
			}
		}
		other, foreign := w.accept("jonas", "mdl")
		wantCode(t, "another's", tell(other, foreign, id, oid4vci.EventFailure), oid4vci.CodeInvalidNotification)
		wantCode(t, "unknown", tell(p, token, "unknown", oid4vci.EventFailure), oid4vci.CodeInvalidNotification)
		if stored() != string(oid4vci.EventDeleted) {
			t.Errorf("changed by another: %q", stored())
		}
		if err := tell(other, token, id, oid4vci.EventFailure); err == nil {
			t.Error("told with a stolen token")
		}
	})
}

// New copies come with a refresh token, to the same document, as often as a day
// allows; not after it was revoked.
func TestRefreshedCopies(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, o := w.newApp(w.authority), w.offer("ada", "mdl")
	token, _, err := p.redeem(o, o.TxCode)
	if err != nil || token.RefreshToken == "" {
		t.Fatalf("%+v, %v", token, err)
	}
	if _, _, err := p.get(token, "mdl", 3); err != nil {
		t.Fatal(err)
	}
	w.Pass(30 * time.Minute)
	if token, err = p.oauth.Refresh(t.Context(), token.RefreshToken, w.Now()); err != nil {
		t.Fatal(err)
	}
	credentials, signers, err := p.get(token, "mdl", 3)
	if err != nil {
		t.Fatal(err)
	}
	if doc, _ := w.verify(credentials[0], signers); !doc.IssuerVerified {
		t.Error("new copies do not verify")
	}
	list, err := w.authority.List(t.Context(), "default", Filter{Subject: "ada"})
	if err != nil || len(list) != 1 || list[0].Batches != 2 || list[0].Copies != 6 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := w.authority.Revoke(t.Context(), "default", Selection{Document: list[0].ID}, "lost"); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.get(token, "mdl", 1)
	wantCode(t, "revoked", err, oid4vci.CodeDenied)
}

// Everything of the credential endpoint also goes encrypted, which our own app
// does wherever it is offered.
func TestEncrypted(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, token := w.accept("ada", "mdl")
	var sent, got string
	inner := p.oauth.Fetch
	p.oauth.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		resp, err := inner(ctx, r)
		if strings.HasSuffix(r.URL, "/credential") {
			sent, got = r.Get("content-type"), resp.Get("content-type")
		}
		return resp, err
	}
	if _, _, err := p.get(token, "mdl", 1); err != nil || sent != "application/jwt" || got != "application/jwt" {
		t.Errorf("request %s, answer %s, %v", sent, got, err)
	}
	w.authority.config.RequireEncryption = true
	w.authority.tenants["default"].engine = nil
	plain := *p.metadata
	plain.RequestEncryption, plain.ResponseEncryption = nil, nil
	p.metadata = &plain
	_, _, err := p.get(token, "mdl", 1)
	wantCode(t, "in clear where encryption is required", err, oid4vci.CodeInvalidEncryption)
}

// Signed metadata are for those who would rather have them, by a key under the
// authority's root.
func TestSignedMetadata(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	get := func(accept string) fetch.Response {
		t.Helper()
		resp, err := via(w.authority)(t.Context(), fetch.GetRequest("http://issuer.localhost:8080/.well-known/openid-credential-issuer/default", accept))
		if err != nil || resp.Status != 200 {
			t.Fatalf("%d, %v", resp.Status, err)
		}
		return resp
	}
	if resp := get("application/json"); resp.MediaType() != "application/json" {
		t.Errorf("metadata as %s", resp.MediaType())
	}
	if resp := get("*/*"); resp.MediaType() != "application/json" {
		t.Errorf("metadata as %s", resp.MediaType())
	}
	resp := get("application/jwt")
	root, err := w.authority.tenants["default"].ca.Root(t.Context(), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	trust := func(chain [][]byte) (crypto.PublicKey, error) {
		path, report := pki.VerifyDER(chain, pki.NewPool(root), pki.VerifyOptions{Now: w.Now(), Profile: pki.CredentialSigner, Strict: true})
		return path.Signer.Key, report.Err()
	}
	m, err := oid4vci.ParseSignedMetadata(string(resp.Body), base, trust, w.Now())
	if err != nil || m.NotificationEndpoint == "" || m.RequestEncryption == nil {
		t.Errorf("%+v, %v", m, err)
	}
	if string(get("application/jwt").Body) != string(resp.Body) {
		t.Error("signed anew for each request")
	}
	w.Pass(90 * time.Minute)
	if string(get("application/jwt").Body) == string(resp.Body) {
		t.Error("not signed anew after an hour and a half")
	}
}
