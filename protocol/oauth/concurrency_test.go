package oauth_test

import (
	"encoding/json"
	"net/url"
	"sync"
	"testing"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// race sends the requests at once, each in a transaction of its own, and
// returns how many were granted.
func (w *world) race(requests []fetch.Request) (granted int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, r := range requests {
		wg.Go(func() {
			var rep oauth.Reply
			err := w.store.Tx(func(st once.Store) (err error) {
				rep, err = w.server.Token(w.ctx, st, r, w.Now())
				return err
			})
			if err != nil {
				w.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if rep.Refusal == nil {
				granted++
				var body oauth.Token
				if err := json.Unmarshal(rep.Response.Body, &body); err != nil {
					w.t.Error(err)
				}
				w.granted = append(w.granted, body.AccessToken)
			}
		})
	}
	wg.Wait()
	return granted
}

// tokenRequest is a form with fresh proofs of this client.
func (w *world) tokenRequest(c *oauth.Client, form url.Values) fetch.Request {
	r := fetch.FormRequest(issuer+"/token", form)
	w.attestTo(&r, c)
	r.Header["dpop"] = w.proof(c.DPoP, "POST", r.URL, "")
	return r
}

func TestOneOfManyGetsTheToken(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	a, code := w.authorised(c)
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {code}, "code_verifier": {a.Verifier}}
	var requests []fetch.Request
	for range 8 {
		requests = append(requests, w.tokenRequest(c, form))
	}
	if n := w.race(requests); n != 1 {
		t.Errorf("%d tokens for one code", n)
	}
	again := w.tokenRequest(c, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {w.offer("")}})
	if n := w.race([]fetch.Request{again, again, again}); n != 1 {
		t.Errorf("%d tokens for one request sent thrice", n)
	}
}

func TestTriesAreCountedAcrossRequests(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	code := w.offer("493536")
	try := func(txCode string) fetch.Request {
		return w.tokenRequest(c, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {code}, "tx_code": {txCode}})
	}
	var requests []fetch.Request
	for range oauth.MaxTries {
		requests = append(requests, try("000000"))
	}
	if n := w.race(requests); n != 0 {
		t.Fatalf("%d tokens for wrong codes", n)
	}
	if n := w.race([]fetch.Request{try("493536")}); n != 0 {
		t.Error("the right code after five wrong ones")
	}
}
