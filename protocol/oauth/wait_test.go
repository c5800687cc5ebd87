package oauth_test

import (
	"slices"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// Who asks too often is told when to come back, at every endpoint, and nothing is
// used up: neither the code nor the proofs, which may come again.
func TestWait(t *testing.T) {
	var wait time.Duration
	var asked []string
	w := newWorld(t, func(c *oauth.ServerConfig) {
		c.Wait = func(client, instance string) time.Duration {
			if client != clientID || len(instance) != 43 {
				t.Errorf("asked about %q %q", client, instance)
			}
			asked = append(asked, instance)
			return wait
		}
	})
	c := w.client(clientID)
	a, code := w.authorised(c)
	token := w.token(c)
	if len(asked) != 3 {
		t.Errorf("asked %d times for two pushed requests and a code", len(asked))
	}
	push := fetch.FormRequest(issuer+"/par", parFormOf(c))
	w.attestTo(&push, c)
	access := fetch.Request{Method: "POST", URL: resource, Header: map[string]string{
		"authorization": "DPoP " + token.AccessToken, "dpop": w.proof(c.DPoP, "POST", resource, token.AccessToken),
	}}
	try := func(r fetch.Request) fetch.Response {
		t.Helper()
		rep, err := w.route(w.ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		return rep.Response
	}
	wait = 1500 * time.Millisecond
	for _, r := range []fetch.Request{push, access} {
		if resp := try(r); resp.Status != 429 || resp.Get("retry-after") != "2" || resp.Get("www-authenticate") != "" {
			t.Errorf("%s: %d %v", r.URL, resp.Status, resp.Header)
		}
	}
	if _, err := c.RedeemCode(w.ctx, a, code, w.Now()); err == nil || w.replies[len(w.replies)-1].Status != 429 {
		t.Errorf("token: %v", err)
	}
	wait = 0
	for _, r := range []fetch.Request{push, access} { // with the same proofs
		if resp := try(r); resp.Status >= 400 {
			t.Errorf("%s: %d %s", r.URL, resp.Status, resp.Body)
		}
	}
	if _, err := c.RedeemCode(w.ctx, a, code, w.Now()); err != nil {
		t.Errorf("token afterwards: %v", err)
	}
	if len(slices.Compact(asked)) != 1 {
		t.Error("one instance under several names")
	}
}
