package issuer

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// twins is an authority that runs in two processes at once.
type twins struct {
	*crash
	both [2]*process
	dead bool // the second
}

// Every request is sent to two processes at the same moment, byte by byte the
// same, and one of them is killed in the middle of one: of each, one counts,
// and the app gets on.
func TestTwoProcessesAndOneKilled(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c := newCrash(t, dsn)
		c.open()
		c.begin(begin{})
		w := &twins{crash: c, both: [2]*process{c.proc, nil}}
		w.both[1], _ = c.start(begin{})
		t.Cleanup(func() { w.both[1].stop() })
		kinds := testkit.KillPoints(!strings.HasPrefix(dsn, "sqlite:"))
		random := rand.New(rand.NewPCG(9, 10))
		killed := 0
		for range max(4, kills(t)/8) {
			c.Pass(time.Minute)
			mortal := begin{Now: c.Now(), Point: kinds[random.IntN(len(kinds))], At: 1 + random.IntN(20)}
			for i, b := range []begin{{Now: c.Now()}, mortal} {
				if err := w.both[i].desk("begin", b, &struct{}{}); err != nil {
					t.Fatal(err)
				}
			}
			w.converse(t)
			if w.both[1].ended() {
				killed++
				w.both[1], _ = c.start(begin{})
				w.dead = false
			}
			if t.Failed() {
				t.Fatalf("killed %s, the %dth", mortal.Point, mortal.At)
			}
		}
		c.final()
		t.Logf("killed %d times", killed)
	})
}

// ended reports whether a process ends within a moment, being killed.
func (p *process) ended() bool {
	return errors.Is(p.desk("seen", struct{}{}, &map[string]int{}), errLost)
}

// send sends a request to both and returns the answer that counts. Requests
// that are for one use only may not be granted twice.
func (w *twins) send(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	before := w.effects()
	var wg sync.WaitGroup
	var answers [2]fetch.Response
	var lost [2]error
	for i, p := range w.both {
		if i == 0 || !w.dead {
			wg.Go(func() { answers[i], lost[i] = p.fetch(ctx, r) })
		}
	}
	wg.Wait()
	if w.dead {
		return answers[0], lost[0]
	}
	w.dead = lost[1] != nil
	if lost[0] != nil {
		w.t.Fatal(lost[0]) // it is the other that is killed
	}
	granted := [2]bool{answers[0].Status < 300, lost[1] == nil && answers[1].Status < 300}
	if strings.HasSuffix(r.URL, "/token") || strings.HasSuffix(r.URL, "/credential") {
		if n := w.effects() - before; n > 1 || granted[0] && granted[1] {
			w.t.Errorf("%s counted %d times, answered %d and %d", r.URL, n, answers[0].Status, answers[1].Status)
		}
	}
	switch {
	case granted[0]:
		return answers[0], nil
	case granted[1]:
		return answers[1], nil
	case lost[1] != nil: // it may have been the one that counted
		return fetch.Response{}, errLost
	}
	if strings.Contains(string(answers[0].Body), "used before") { // the other was first
		return answers[1], nil
	}
	return answers[0], nil
}

// converse is a conversation of an app with both.
func (w *twins) converse(t *testing.T) {
	w.remote = w.both[0].fetch
	var o Offer
	request := OfferParams{Offerings: []string{"mdl"}, Subject: "ada", TxCode: true}
	if err := w.both[0].desk("offer", request, &o); err != nil {
		t.Fatal(err)
	}
	p, err := w.install(w.remote)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := oid4vci.ReadOffer(t.Context(), w.remote, o.Link)
	if err != nil {
		t.Fatal(err)
	}
	p.oauth.Fetch = w.send
	redeem := func(pin string) (*oauth.Token, error) {
		return p.oauth.RedeemPreAuthorized(t.Context(), offer.PreAuthorized.Code, pin, nil, w.Now())
	}
	w.step("wrong PIN", func() error {
		_, err := redeem("none")
		return refusedWith(err, oauth.CodeInvalidGrant)
	})
	var token, next *oauth.Token
	w.step("redeem", func() (err error) {
		token, err = redeem(o.TxCode)
		return err
	})
	all := w.batch(p, token, "mdl")
	w.step("refresh", func() (err error) {
		next, err = p.oauth.Refresh(t.Context(), token.RefreshToken, w.Now())
		return err
	})
	all = append(all, w.batch(p, next, "mdl")...)
	w.proc = w.both[0]
	w.check(all, "mdl")
	w.tries(t)
}

// tries wrong PINs at both: together they have as many as one.
func (w *twins) tries(t *testing.T) {
	var o Offer
	if err := w.both[0].desk("offer", OfferParams{Offerings: []string{"mdl"}, Subject: "ada", TxCode: true}, &o); err != nil {
		t.Fatal(err)
	}
	offer, err := oid4vci.ReadOffer(t.Context(), w.remote, o.Link)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, process := range w.both {
		p, err := w.install(w.remote)
		if err != nil {
			t.Fatal(err)
		}
		p.oauth.Fetch = process.fetch
		wg.Go(func() {
			for range oauth.MaxTries {
				_, err := p.oauth.RedeemPreAuthorized(t.Context(), offer.PreAuthorized.Code, "none", nil, w.Now())
				if err == nil {
					t.Error("a token for a wrong PIN")
				}
			}
		})
	}
	wg.Wait()
	p, err := w.install(w.remote)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.oauth.RedeemPreAuthorized(t.Context(), offer.PreAuthorized.Code, o.TxCode, nil, w.Now())
	if err := refusedWith(err, oauth.CodeInvalidGrant); err != nil {
		t.Errorf("the right PIN after %d wrong ones: %v", oauth.MaxTries, err)
	}
	w.read(func(ctx context.Context, tx *db.Tx) error {
		var open int
		if err := tx.QueryRow(ctx, `select count(*) from once where kind = 'oauth-offer' and claimed is null`).Scan(&open); err != nil || open != 0 {
			t.Errorf("%d offers are open, %v", open, err)
		}
		return nil
	})
}
