package issuer

import (
	"context"
	"crypto/elliptic"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// killsVariable says how often a long run kills the authority.
const killsVariable = "EIDOS_TEST_KILLS"

// kills is how often to kill on each engine.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killsVariable)
	if text == "" {
		if testing.Short() {
			return 10
		}
		return 75
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// crash is a wallet, a clerk and a person in front of a browser, whose
// authority is killed and started again.
type crash struct {
	*world
	proc  *process
	books *db.DB // the authority's, for reading
	kills int
	armed bool
}

// Whenever the authority is killed, and wherever: after it is started again on
// the same database the wallet gets its document with the offer or the token
// that it has; what it was ever given verifies, is recorded and can be revoked;
// a revocation that was acknowledged stands; and no request counts twice.
func TestKilled(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c := newCrash(t, dsn)
		c.open()
		conversations := []func(*crash){(*crash).preAuthorized, (*crash).byBrowser}
		var points []begin
		for _, converse := range conversations {
			c.begin(begin{})
			converse(c)
			seen := map[string]int{}
			if err := c.proc.desk("seen", nil, &seen); err != nil {
				t.Fatal(err)
			}
			for _, kind := range testkit.KillPoints(!strings.HasPrefix(dsn, "sqlite:")) {
				if seen[kind] == 0 {
					t.Fatalf("no point %s", kind)
				}
				for n := range seen[kind] {
					points = append(points, begin{Point: kind, At: n + 1, conversation: converse})
				}
			}
		}
		order := rand.New(rand.NewPCG(7, 7)).Perm(len(points))
		wanted := kills(t)
		for i := 0; c.kills < wanted; i++ {
			p := points[order[i%len(points)]]
			c.begin(p)
			p.conversation(c)
			if t.Failed() {
				t.Fatalf("killed %s, the %dth", p.Point, p.At)
			}
		}
		c.proc.stop()
		c.final()
		t.Logf("killed %d times, at %d different points", c.kills, min(c.kills, len(points)))
	})
}

// Killed while it starts for the first time, in migrations and while it makes
// its keys.
func TestKilledAtStart(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		kinds := testkit.KillPoints(!strings.HasPrefix(dsn, "sqlite:"))[:2]
		random := rand.New(rand.NewPCG(8, 8))
		c := newCrash(t, dsn)
		for n := 1; ; n += 1 + random.IntN(1+2000/(kills(t)+1)) {
			started, ready := c.start(begin{Point: kinds[random.IntN(2)], At: n})
			if ready {
				started.stop()
				break
			}
			c.kills++
			c.endLeases()
		}
		c.open()
		c.begin(begin{})
		c.preAuthorized()
		c.proc.stop()
		c.final()
		t.Logf("killed %d times", c.kills)
	})
}

func newCrash(t *testing.T, dsn string) *crash {
	t.Helper()
	c := &crash{world: newOutside(t, dsn)}
	c.remote = func(ctx context.Context, r fetch.Request) (resp fetch.Response, err error) {
		c.step(r.URL, func() error {
			resp, err = c.send(ctx, r)
			return err
		})
		return resp, nil
	}
	t.Cleanup(func() { c.proc.stop() })
	return c
}

// open opens the books.
func (c *crash) open() {
	c.t.Helper()
	var err error
	if c.books, err = db.Open(context.Background(), c.dsn, "issuer", Schema); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { c.books.Close() })
}

// endLeases lets half a minute pass for the leases of a process that was
// killed, if there is a table of them yet.
func (c *crash) endLeases() {
	c.t.Helper()
	driver, source := "pgx", c.dsn
	if path, ok := strings.CutPrefix(c.dsn, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	} else {
		source += "&search_path=issuer"
	}
	raw, err := sql.Open(driver, source)
	if err != nil {
		c.t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(`update lease set ends = 0`); err != nil && !strings.Contains(err.Error(), "lease") {
		c.t.Fatal(err)
	}
}

// begin begins a conversation, a minute after the last, with a point at which
// the authority will be killed.
func (c *crash) begin(b begin) {
	c.t.Helper()
	c.Pass(time.Minute)
	b.Now = c.Now()
	if c.proc == nil {
		c.proc, _ = c.start(begin{})
	}
	c.desk("begin", b, &struct{}{}) // killed after the last answer, it is found out here
	c.armed = b.At > 0
}

// again starts the authority after it was killed, which is wanted once.
func (c *crash) again() {
	c.t.Helper()
	if !c.armed {
		c.t.Fatalf("the authority ended by itself: %s", c.proc.stderr)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.proc.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		c.t.Fatal("an answer was lost, but the authority lives")
	}
	c.kills++
	c.armed = false
	c.proc, _ = c.start(begin{})
}

// step does something until its answer arrives.
func (c *crash) step(what string, f func() error) {
	c.t.Helper()
	err := errLost
	for range 3 {
		if err = f(); !errors.Is(err, errLost) {
			break
		}
	}
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

func (c *crash) desk(what string, request, answer any) {
	c.t.Helper()
	c.step(what, func() error {
		err := c.proc.desk(what, request, answer)
		if errors.Is(err, errLost) {
			c.again()
		}
		return err
	})
}

// send is the network. When an answer is lost the authority is started again
// and gets the same bytes twice more; of the three, one may count.
func (c *crash) send(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	once := strings.HasSuffix(r.URL, "/token") || strings.HasSuffix(r.URL, "/credential")
	before := 0
	if once && c.armed {
		before = c.effects()
	}
	resp, err := c.proc.fetch(ctx, r)
	if !errors.Is(err, errLost) {
		return resp, err
	}
	c.again()
	if once {
		_, first := c.proc.fetch(ctx, r)
		second, err := c.proc.fetch(ctx, r)
		if first != nil || err != nil || second.Status/100 != 4 {
			c.t.Errorf("%s replayed twice: %v; %d, %v", r.URL, first, second.Status, err)
		}
		if n := c.effects() - before; n > 1 {
			c.t.Errorf("%s counted %d times", r.URL, n)
		}
	}
	return fetch.Response{}, errLost
}

// effects is how many tokens and batches there are.
func (c *crash) effects() (n int) {
	c.read(func(ctx context.Context, tx *db.Tx) error {
		return tx.QueryRow(ctx, `select (select count(*) from once where kind = 'oauth-access') + (select count(*) from batch)`).Scan(&n)
	})
	return n
}

func (c *crash) read(f func(ctx context.Context, tx *db.Tx) error) {
	c.t.Helper()
	if err := c.books.View(context.Background(), f); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crash) app() (p *app) {
	c.t.Helper()
	c.step("install", func() (err error) {
		p, err = c.install(c.send)
		return err
	})
	return p
}

// refusedWith is nil if an answer was a refusal with this code.
func refusedWith(err error, code string) error {
	var refusal *oauth.Error
	if errors.Is(err, errLost) || errors.As(err, &refusal) && refusal.Code == code {
		if errors.Is(err, errLost) {
			return errLost
		}
		return nil
	}
	return fmt.Errorf("%w, wanted %s", err, code)
}

// preAuthorized is a conversation about an offer with a PIN, up to the
// revocation of what was got.
func (c *crash) preAuthorized() {
	var o Offer
	c.desk("offer", OfferParams{Offerings: []string{"mdl", "pid-sd-jwt"}, Subject: "ada", TxCode: true}, &o)
	p := c.app()
	var offer *oid4vci.Offer
	c.step("read the offer", func() (err error) {
		resolved, err := oid4vci.ReadOffer(context.Background(), p.fetch, o.Link)
		if err == nil {
			offer = resolved
		}
		return err
	})
	code := offer.PreAuthorized.Code
	redeem := func(client *oauth.Client, pin string) (*oauth.Token, error) {
		return client.RedeemPreAuthorized(context.Background(), code, pin, nil, c.Now())
	}
	c.step("wrong PIN", func() error {
		_, err := redeem(p.oauth, "none")
		return refusedWith(err, oauth.CodeInvalidGrant)
	})
	var token *oauth.Token
	c.step("redeem", func() (err error) {
		token, err = redeem(p.oauth, o.TxCode)
		return err
	})
	stranger := *p.oauth
	stranger.DPoP = testkit.Signer(c.t, elliptic.P256())
	c.step("a stranger redeems", func() error {
		_, err := redeem(&stranger, o.TxCode)
		return refusedWith(err, oauth.CodeInvalidGrant)
	})
	all := append(c.batch(p, token, "mdl"), c.batch(p, token, "pid-sd-jwt")...)
	c.step("redeem once more", func() error {
		_, err := redeem(p.oauth, o.TxCode)
		return refusedWith(err, oauth.CodeInvalidGrant)
	})
	var next *oauth.Token
	c.step("refresh", func() (err error) {
		next, err = p.oauth.Refresh(context.Background(), token.RefreshToken, c.Now())
		return err
	})
	c.check(append(all, c.batch(p, next, "mdl")...), "mdl", "pid-sd-jwt")
}

// byBrowser is a conversation about an offer for which the person has to show
// who it is. When an answer is lost, the person begins again with the same offer.
func (c *crash) byBrowser() {
	var o Offer
	c.desk("offer", OfferParams{Offerings: []string{"pid"}, Subject: "ada", Grant: AuthorizationCode}, &o)
	p := c.app()
	var issuerState string
	c.step("read the offer", func() error {
		offer, err := oid4vci.ReadOffer(context.Background(), p.fetch, o.Link)
		if err == nil {
			issuerState = offer.Code.IssuerState
		}
		return err
	})
	var token *oauth.Token
	c.step("get a token by browser", func() error {
		authorization, err := p.oauth.Push(context.Background(), oauth.AuthorizationRequest{Scope: "pid", IssuerState: issuerState}, c.Now())
		if err != nil {
			return err
		}
		location, err := c.browse(authorization)
		if err != nil {
			return err
		}
		code, err := authorization.Code(location)
		if err != nil {
			return err
		}
		token, err = p.oauth.RedeemCode(context.Background(), authorization, code, c.Now())
		return err
	})
	c.check(c.batch(p, token, "pid"), "pid")
}

// browse says who it is, and yes.
func (c *crash) browse(a *oauth.Authorization) (string, error) {
	b := &browser{t: c.t, handler: c.proc.handler(), cookies: map[string]string{}, header: http.Header{}}
	for _, do := range []func(){
		func() { b.open(a.URL) },
		func() { b.identify("ada", adasCode) },
		func() { b.decide("approve") },
	} {
		if do(); b.status == http.StatusBadGateway {
			c.again()
			return "", errLost
		}
		if b.status >= 400 {
			return "", fmt.Errorf("page with status %d: %s", b.status, b.page)
		}
	}
	return b.location, nil
}

// held is what the wallet was given.
type held struct {
	credential string
	keys       []key.Signer
}

// batch gets two copies with a token.
func (c *crash) batch(p *app, token *oauth.Token, configuration string) (all []held) {
	c.t.Helper()
	c.step("get "+configuration, func() error {
		credentials, keys, err := p.get(token, configuration, 2)
		for _, credential := range credentials {
			all = append(all, held{credential, keys})
		}
		return err
	})
	if len(all) != 2 {
		c.t.Fatalf("%d copies of %s", len(all), configuration)
	}
	return all
}

// state verifies a copy and returns where it stands and what is published.
func (c *crash) state(h held) (place string, s status.Status) {
	c.t.Helper()
	if !strings.Contains(h.credential, "~") {
		d, s := c.verify(h.credential, h.keys)
		return fmt.Sprint(d.Result.Status.List.URI, " ", d.Result.Status.List.Index), s
	}
	parsed, err := sdjwt.Parse(h.credential, sdjwt.Limits{})
	if err != nil {
		c.t.Fatal(err)
	}
	d, report := assure.VerifyIssuedSDJWT(context.Background(), parsed, assure.DocumentParams{Now: c.Now(), Anchors: c.anchors(), Strict: true})
	if !report.OK() {
		c.t.Fatal(report)
	}
	return fmt.Sprint(d.Status.List.URI, " ", d.Status.List.Index), c.publishedAt(d.Status, d.Signer, false)
}

// check looks at what the wallet was given in a conversation and at the books,
// and revokes the documents: there is one of each offering.
func (c *crash) check(all []held, offerings ...string) {
	c.t.Helper()
	documents := map[string]string{} // ids by offering
	places := map[string]bool{}
	var found int
	look := func() (invalid int) {
		found = 0
		c.read(func(ctx context.Context, tx *db.Tx) error {
			clear(documents)
			found, invalid = 0, 0
			rows, err := tx.Query(ctx, `select d.id, d.offering, e.list, e.indexes, e.invalid from document d
				join batch b on b.tenant = d.tenant and b.document = d.id join batch_entry e on e.tenant = b.tenant and e.batch = b.id where d.created = $1`, db.Millis(c.Now()))
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, offering, list string
				var indexes []byte
				var ended bool
				if err := rows.Scan(&id, &offering, &list, &indexes, &ended); err != nil {
					return err
				}
				if other, ok := documents[offering]; ok && other != id {
					c.t.Errorf("two documents of %s for one offer", offering)
				}
				documents[offering] = id
				for ; len(indexes) >= 4; indexes = indexes[4:] {
					places[fmt.Sprint(base+"/status/"+list, " ", binary.BigEndian.Uint32(indexes))] = true
					found++
					if ended {
						invalid++
					}
				}
			}
			return rows.Err()
		})
		return invalid
	}
	if n := look(); n != 0 || len(documents) != len(offerings) || len(places) != found {
		c.t.Fatalf("%d documents, %d of %d places different, %d invalid", len(documents), len(places), found, n)
	}
	if found > len(all)+2 { // one batch may have been lost
		c.t.Errorf("%d places for %d copies", found, len(all))
	}
	for _, h := range all {
		if place, s := c.state(h); s != status.Valid || !places[place] {
			c.t.Errorf("a copy is %v, recorded: %v", s, places[place])
		}
	}
	for _, offering := range offerings {
		var ids []string
		c.desk("revoke", Selection{Document: documents[offering]}, &ids)
		if len(ids) != 1 {
			c.t.Errorf("revoked %v", ids)
		}
	}
	for _, h := range all {
		if _, s := c.state(h); s != status.Invalid {
			c.t.Errorf("a copy is %v after its document was revoked", s)
		}
	}
	if n := look(); n != found {
		c.t.Errorf("%d of %d places are invalid", n, found)
	}
}

// final looks at all that was ever recorded: no place was given twice, no
// revocation was forgotten, and the chains of audit are whole.
func (c *crash) final() {
	c.t.Helper()
	c.read(func(ctx context.Context, tx *db.Tx) error {
		var open int
		if err := tx.QueryRow(ctx, `select count(*) from batch_entry where not invalid`).Scan(&open); err != nil || open != 0 {
			c.t.Errorf("%d batches are still valid, %v", open, err)
		}
		rows, err := tx.Query(ctx, `select list, indexes from batch_entry`)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for rows.Next() {
			var list string
			var indexes []byte
			if err := rows.Scan(&list, &indexes); err != nil {
				return err
			}
			for ; len(indexes) >= 4; indexes = indexes[4:] {
				place := fmt.Sprint(list, binary.BigEndian.Uint32(indexes))
				if seen[place] {
					c.t.Errorf("place %s was given twice", place)
				}
				seen[place] = true
			}
		}
		rows.Close()
		chains, err := audit.Chains(ctx, tx)
		for _, chain := range chains {
			if _, err := audit.Verify(ctx, tx, chain, audit.Head{}); err != nil {
				return err
			}
		}
		return err
	})
}
