package outbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
)

// The example of the Standard Webhooks libraries.
func TestSignatureVector(t *testing.T) {
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, `{"test": 2432232314}`); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// process is one of several on a database: a pool of connections of its own.
func process(t *testing.T, dsn string, c *testkit.Clock, timeout time.Duration) *Outbox {
	t.Helper()
	schema := fstest.MapFS{"0001_nothing.sql": {Data: []byte("create table thing (id text primary key);")}}
	d, err := db.Open(t.Context(), dsn, "issuer", fs.FS(schema))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	do, err := web.NewClient(web.Options{AllowLoopback: true, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return New(d, Config{Fetch: do, Books: audit.NewProcess(d, "issuer"), Now: c.Now, Log: slog.New(slog.DiscardHandler),
		Secret: func(_ context.Context, tenant, endpoint string, generation int64) ([]byte, error) {
			return []byte(tenant + endpoint + strconv.FormatInt(generation, 10)), nil
		}})
}

// receiver takes webhooks.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    map[string]int // how often by webhook-id
	heads  []http.Header
	bodies []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: 204, got: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[req.Header.Get("Webhook-Id")]++
		r.heads, r.bodies = append(r.heads, req.Header), append(r.bodies, string(body))
		if r.status == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) count() (n, different int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.got {
		n += k
	}
	return n, len(r.got)
}

func write(t *testing.T, o *Outbox, tenant string, events ...Event) {
	t.Helper()
	err := o.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		for _, e := range events {
			if err := o.Write(ctx, tx, tenant, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// deliver does what Run does, once.
func deliver(t *testing.T, o *Outbox) {
	t.Helper()
	due, _, err := o.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range due {
		o.drain(t.Context(), e)
	}
}

func add(t *testing.T, o *Outbox, tenant, address string, kinds ...string) (Endpoint, string) {
	t.Helper()
	e, secret, err := o.Add(t.Context(), tenant, address, kinds, true)
	if err != nil {
		t.Fatal(err)
	}
	return e, secret
}

func waiting(t *testing.T, o *Outbox, e Endpoint) []Message {
	t.Helper()
	list, err := o.Messages(t.Context(), e.Tenant, e.ID, 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDeliver(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c, r, other := testkit.NewClock(), newReceiver(t), newReceiver(t)
		o := process(t, dsn, c, time.Second)
		_, shown := add(t, o, "default", r.URL, "document.issued", "document.revoked")
		add(t, o, "second", other.URL)
		write(t, o, "default", Event{Kind: "document.issued", Data: map[string]string{"document": "d1"}}, Event{Kind: "offer.used"},
			Event{ID: "msg_fixed", Kind: "document.revoked"}, Event{ID: "msg_fixed", Kind: "document.revoked"})
		deliver(t, o)
		if n, different := r.count(); n != 2 || different != 2 {
			t.Fatalf("%d deliveries of %d events", n, different)
		}
		if n, _ := other.count(); n != 0 {
			t.Error("another tenant was told")
		}
		secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(shown, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range r.heads {
			at, _ := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64)
			if want := signature(secret, h.Get("Webhook-Id"), at, r.bodies[i]); h.Get("Webhook-Signature") != want || at != c.Now().Unix() {
				t.Errorf("signature %s, want %s", h.Get("Webhook-Signature"), want)
			}
			var p payload
			d := json.NewDecoder(bytes.NewReader([]byte(r.bodies[i])))
			d.DisallowUnknownFields()
			if err := d.Decode(&p); err != nil || p.Tenant != "default" || !strings.HasPrefix(p.Type, "document.") {
				t.Errorf("payload %s: %v", r.bodies[i], err)
			}
		}
		deliver(t, o)
		if n, _ := r.count(); n != 2 {
			t.Error("what has arrived was sent again")
		}
	})
}

// What is rolled back has not happened.
func TestRolledBack(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		o := process(t, dsn, testkit.NewClock(), time.Second)
		e, _ := add(t, o, "default", newReceiver(t).URL)
		stop := errors.New("stop")
		err := o.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(o.Write(ctx, tx, "default", Event{Kind: "document.issued"}), stop)
		})
		if !errors.Is(err, stop) || len(waiting(t, o, e)) != 0 {
			t.Errorf("%v; %d events", err, len(waiting(t, o, e)))
		}
	})
}

// An endpoint that another process has just added gets the next event, and only
// those that it asked for.
func TestAddedElsewhere(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c := testkit.NewClock()
		here, there := process(t, dsn, c, time.Second), process(t, dsn, c, time.Second)
		write := func(kind string) {
			t.Helper()
			err := here.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				return here.Write(ctx, tx, "default", Event{Kind: kind})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		write("document.issued")
		e, _ := add(t, there, "default", "https://a.example/", "document.revoked")
		write("document.issued")
		write("document.revoked")
		if got := waiting(t, there, e); len(got) != 1 || got[0].Kind != "document.revoked" {
			t.Errorf("waiting: %+v", got)
		}
	})
}

// Of several processes one delivers each event; if it dies another does.
func TestLease(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c, r := testkit.NewClock(), newReceiver(t)
		all := []*Outbox{process(t, dsn, c, 5*time.Second), process(t, dsn, c, 5*time.Second), process(t, dsn, c, 5*time.Second)}
		e, _ := add(t, all[0], "default", r.URL)
		for range 40 {
			write(t, all[0], "default", Event{Kind: "document.issued"})
		}
		var wg sync.WaitGroup
		for _, o := range all {
			wg.Go(func() { o.drain(t.Context(), e) })
		}
		wg.Wait()
		if n, different := r.count(); n != 40 || different != 40 {
			t.Errorf("%d deliveries of %d events, want 40 of 40", n, different)
		}

		// One takes an event and is heard of no more.
		write(t, all[0], "default", Event{ID: "msg_orphan", Kind: "document.issued"})
		now := c.Now()
		err := all[1].db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			list, err := take(ctx, tx, e, 1, now, now.Add(lease))
			if len(list) != 1 {
				t.Errorf("%d taken", len(list))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		deliver(t, all[2])
		if r.got["msg_orphan"] != 0 {
			t.Error("a lease was not respected")
		}
		c.Pass(lease)
		deliver(t, all[2])
		if r.got["msg_orphan"] != 1 {
			t.Error("the event was lost with its process")
		}
	})
}

func TestFailures(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c, r := testkit.NewClock(), newReceiver(t)
		o := process(t, dsn, c, time.Second)
		e, _ := add(t, o, "default", r.URL)
		write(t, o, "default", Event{Kind: "document.issued"}, Event{Kind: "document.issued"})
		for _, status := range []int{500, 302, 404} {
			r.answer(status)
			before, _ := r.count()
			deliver(t, o)
			deliver(t, o) // too early
			if n, _ := r.count(); n != before+1 {
				t.Errorf("%d: %d tries, want one", status, n-before)
			}
			c.Pass(2 * time.Minute)
		}
		tried := Message{}
		for _, m := range waiting(t, o, e) {
			if m.Tries > tried.Tries {
				tried = m
			}
		}
		if tried.GivenUp || !strings.Contains(tried.Problem, "404") && !strings.Contains(tried.Problem, "302") {
			t.Errorf("message: %+v", tried)
		}
		r.answer(200)
		deliver(t, o)
		if left := waiting(t, o, e); len(left) != 0 {
			t.Errorf("%d are left", len(left))
		}
		if e, err := o.Get(t.Context(), "default", e.ID); err != nil || e.Failures != 0 {
			t.Errorf("endpoint %+v, %v", e, err)
		}
	})
}

func TestGivenUp(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c, r := testkit.NewClock(), newReceiver(t)
		o := process(t, dsn, c, time.Second)
		e, _ := add(t, o, "default", r.URL)
		r.answer(503)
		write(t, o, "default", Event{ID: "msg_late", Kind: "document.issued"})
		for range 200 {
			deliver(t, o)
			if list := waiting(t, o, e); list[0].GivenUp {
				break
			}
			c.Pass(longWait)
		}
		list := waiting(t, o, e)
		if len(list) != 1 || !list[0].GivenUp || c.Now().Sub(list[0].Created) > giveUp || list[0].Tries < 5 {
			t.Fatalf("messages %+v", list)
		}
		d, err := o.Depths(t.Context())
		if err != nil || len(d) != 1 || d[0] != (Depth{"default", 0, 1}) {
			t.Errorf("depth %+v, %v", d, err)
		}
		r.answer(200)
		if err := o.Retry(t.Context(), "default", e.ID, "msg_late"); err != nil {
			t.Fatal(err)
		}
		deliver(t, o)
		if list := waiting(t, o, e); len(list) != 0 {
			t.Errorf("messages %+v", list)
		}
		if err := o.Retry(t.Context(), "second", e.ID, "msg_late"); !errors.Is(err, ErrUnknown) {
			t.Errorf("retry: %v", err)
		}
		// What nobody retries is shown for a month, also where no try gave it up.
		write(t, o, "default", Event{Kind: "document.issued"})
		o.sweep(t.Context(), c.Now().Add(giveUp))
		if list := waiting(t, o, e); len(list) != 1 || !list[0].GivenUp {
			t.Errorf("messages %+v", list)
		}
		o.sweep(t.Context(), c.Now().Add(giveUp+remember))
		if list := waiting(t, o, e); len(list) != 0 {
			t.Errorf("messages %+v", list)
		}
	})
}

// 410 ends the endpoint.
func TestGone(t *testing.T) {
	c, r := testkit.NewClock(), newReceiver(t)
	o := process(t, testkit.SQLite(t), c, time.Second)
	e, _ := add(t, o, "default", r.URL)
	r.answer(410)
	write(t, o, "default", Event{Kind: "document.issued"})
	deliver(t, o)
	got, err := o.Get(t.Context(), "default", e.ID)
	if err != nil || got.Active || !waiting(t, o, e)[0].GivenUp {
		t.Errorf("%+v, %v", got, err)
	}
}

// A receiver that hangs holds up nobody but itself, and is left after the
// timeout.
func TestHangingReceiver(t *testing.T) {
	c, r := testkit.NewClock(), newReceiver(t)
	o := process(t, testkit.SQLite(t), c, 300*time.Millisecond)
	free := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	defer hanging.Close()
	defer close(free)
	stuck, _ := add(t, o, "default", hanging.URL)
	add(t, o, "default", r.URL)
	for range 10 {
		write(t, o, "default", Event{Kind: "document.issued"})
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		n, _ := r.count()
		list := waiting(t, o, stuck)
		if n == 10 && len(list) == 10 && problems(list) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 10 arrived elsewhere; waiting %+v", n, list)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func problems(list []Message) (n int) {
	for _, m := range list {
		if m.Problem == "no answer" {
			n++
		}
	}
	return n
}

func TestAddressRules(t *testing.T) {
	c := testkit.NewClock()
	o := process(t, testkit.SQLite(t), c, time.Second)
	for _, wrong := range []string{"", "ftp://a.example/", "http://a.example/", "https://user:pass@a.example/", "https://a.example/#x", "https://a.example/" + strings.Repeat("x", 3000), "//a.example"} {
		if _, _, err := o.Add(t.Context(), "default", wrong, nil, true); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.60s: %v", wrong, err)
		}
	}
	for _, here := range []string{"http://127.0.0.1:1/", "https://localhost/", "https://[::1]/"} {
		if _, _, err := o.Add(t.Context(), "default", here, nil, false); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", here, err)
		}
	}
	for _, kind := range []string{"x", "document.*", "document issued", "document.issued%"} {
		if _, _, err := o.Add(t.Context(), "default", "https://a.example/", []string{kind}, false); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	// A name may lead anywhere: the address is looked at when it is called.
	e, _ := add(t, o, "default", "https://10.0.0.1/hook")
	write(t, o, "default", Event{Kind: "document.issued"})
	deliver(t, o)
	if list := waiting(t, o, e); len(list) != 1 || list[0].Problem != "the address is not one that may be called" {
		t.Errorf("messages %+v", list)
	}
	for i := range maxEndpoints {
		_, _, err := o.Add(t.Context(), "default", "https://a.example/", nil, false)
		if (err != nil) != (i == maxEndpoints-1) {
			t.Errorf("endpoint %d: %v", i+2, err)
		}
	}
}

func TestRotateAndChange(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		c, r := testkit.NewClock(), newReceiver(t)
		o := process(t, dsn, c, time.Second)
		e, before := add(t, o, "default", r.URL)
		_, after, err := o.Rotate(t.Context(), "default", e.ID)
		if err != nil || after == before {
			t.Fatalf("the same secret, %v", err)
		}
		for _, passed := range []time.Duration{overlap, 0} {
			write(t, o, "default", Event{Kind: "document.issued"})
			deliver(t, o)
			c.Pass(passed)
		}
		if n := len(strings.Fields(r.heads[0].Get("Webhook-Signature"))); n != 2 {
			t.Errorf("%d signatures at first", n)
		}
		if n := len(strings.Fields(r.heads[1].Get("Webhook-Signature"))); n != 1 {
			t.Errorf("%d signatures after a day", n)
		}
		off, on := false, true
		if _, err := o.Update(t.Context(), "default", e.ID, Change{Active: &off}, true); err != nil {
			t.Fatal(err)
		}
		write(t, o, "default", Event{Kind: "document.issued"})
		if _, err := o.Update(t.Context(), "default", e.ID, Change{Active: &on, Kinds: []string{"offer.used"}}, true); err != nil {
			t.Fatal(err)
		}
		write(t, o, "default", Event{Kind: "document.issued"}, Event{Kind: "offer.used"})
		deliver(t, o)
		if n, _ := r.count(); n != 3 {
			t.Errorf("%d deliveries, want 3", n)
		}
		for _, err := range []error{o.Remove(t.Context(), "second", e.ID), o.Remove(t.Context(), "default", "")} {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("removed: %v", err)
			}
		}
		if err := o.Remove(t.Context(), "default", e.ID); err != nil {
			t.Error(err)
		}
		if _, err := o.Get(t.Context(), "default", e.ID); !errors.Is(err, ErrUnknown) {
			t.Errorf("after removal: %v", err)
		}
	})
}
