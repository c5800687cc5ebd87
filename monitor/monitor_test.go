package monitor

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/statuslist"
)

const day = 24 * time.Hour

// world is what is watched, and a clock.
type world struct {
	*testkit.Clock
	t     *testing.T
	mu    sync.Mutex
	sites map[string]fetch.Response // by URL
}

func newWorld(t *testing.T) *world {
	return &world{t: t, Clock: testkit.NewClock(), sites: map[string]fetch.Response{}}
}

func (w *world) put(url string, status int, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sites[url] = fetch.Response{Status: status, Body: body}
}

func (w *world) fetch(_ context.Context, r fetch.Request) (fetch.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	resp, ok := w.sites[r.URL]
	if !ok {
		return fetch.Response{}, errors.New("connection refused")
	}
	return resp, nil
}

func (w *world) monitor(dsn string, cfg Config) *Monitor {
	w.t.Helper()
	d, err := db.Open(w.t.Context(), dsn, "monitor", Schema)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	m, err := New(cfg, Deps{DB: d, Fetch: w.fetch, Now: w.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

const site = "https://issuer.example"

var oneTarget = Config{Tenants: []Tenant{{ID: "default", Name: "Test", Targets: []Target{
	{Name: "issuer", URL: site, Tenants: []string{"a"}, Watch: []string{WatchCertificates, WatchStatus}},
}}}}

// healthy puts up an issuer whose certificate ends after some time.
func (w *world) healthy(left time.Duration) {
	w.put(site+"/readyz", 200, []byte(`{"status":"ok"}`))
	certs, err := json.Marshal([]certificate{{Name: "Issuer DS", Purpose: "ds", NotAfter: w.Now().Add(left)}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(site+"/a/certificates", 200, certs)
	w.put(site+"/a/status", 200, []byte(`{"status_lists":["`+site+`/a/status/one"]}`))
	w.publish(site+"/a/status/one", site+"/a/status/one")
}

func (w *world) publish(at, uri string) {
	list, err := status.NewList(1, 1024)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := statuslist.Publish(w.t.Context(), testkit.Signer(w.t, elliptic.P256()), statuslist.Edition{
		URI: uri, List: list, Now: w.Now(), Lifetime: 24 * time.Hour, TTL: time.Minute,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(at, 200, p.JWT)
}

// look checks and returns the level of each subject.
func look(t *testing.T, m *Monitor) (State, map[string]Level) {
	t.Helper()
	if err := m.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := m.State(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]Level{}
	for _, o := range s.Observations {
		levels[o.Subject] = o.Level
	}
	return s, levels
}

func TestStoppedAndBack(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t)
		w.healthy(300 * day)
		m := w.monitor(dsn, oneTarget)
		if s, err := m.State(t.Context(), "default"); err != nil || !s.Checked.IsZero() || s.Level != OK {
			t.Errorf("before the first look: %v %+v", err, s)
		}
		start := w.Now()
		s, _ := look(t, m)
		if s.Level != OK || len(s.Observations) != 5 || !s.Checked.Equal(start) {
			t.Fatalf("healthy: %+v", s)
		}
		w.Pass(time.Hour)
		saved := w.sites
		w.sites = map[string]fetch.Response{}
		s, levels := look(t, m)
		if s.Level != Alarm || levels["health"] != Alarm || levels["status list one"] != OK {
			t.Errorf("stopped: %s %v", s.Level, levels)
		}
		if c := s.Changes[0]; c.From != OK || c.To != Alarm || c.Subject != "health" || !c.At.Equal(w.Now()) || !strings.Contains(c.Seen, "no answer") {
			t.Errorf("change: %+v", c)
		}
		for _, o := range s.Observations {
			if o.Subject != "health" && !o.Checked.Equal(start) {
				t.Errorf("%s of a silent target was checked at %v", o.Subject, o.Checked)
			}
		}
		w.sites = saved
		w.put(site+"/readyz", 503, []byte(`{"status":"failing","failing":["database"]}`))
		w.Pass(time.Minute)
		if s, _ = look(t, m); s.Level != Alarm || s.Changes[0].To != Alarm {
			t.Errorf("not ready: %+v", s)
		}
		if i := slices.IndexFunc(s.Observations, func(o Observation) bool { return o.Subject == "health" }); s.Observations[i].Seen != "not ready: database" ||
			!s.Observations[i].Since.Equal(start.Add(time.Hour)) {
			t.Errorf("not ready: %+v", s.Observations[i])
		}
		w.healthy(300 * day)
		w.Pass(time.Minute)
		if s, _ = look(t, m); s.Level != OK || s.Changes[0].From != Alarm || s.Changes[0].To != OK {
			t.Errorf("back: %+v", s.Changes[0])
		}
		// 5 new, alarm, back.
		if len(s.Changes) != 7 {
			t.Errorf("%d changes", len(s.Changes))
		}
		// What is gone at a target that answers is forgotten, and old changes too.
		w.put(site+"/a/status", 200, []byte(`{"status_lists":[]}`))
		w.Pass(91 * day)
		w.healthyCertificate(300 * day)
		if s, levels = look(t, m); levels["status list one"] != "" || len(s.Changes) != 1 || s.Changes[0].To != "" {
			t.Errorf("gone: %v %+v", levels, s.Changes)
		}
	})
}

func (w *world) healthyCertificate(left time.Duration) {
	w.put(site+"/a/certificates", 200, fmt.Appendf(nil, `[{"name":"Issuer DS","purpose":"ds","notAfter":%q}]`, w.Now().Add(left).Format(time.RFC3339)))
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	m := w.monitor(testkit.SQLite(t), oneTarget)
	for name, c := range map[string]struct {
		before, after time.Duration // of now
		want          Level
	}{
		"far":                     {0, 31 * day, OK},
		"warn":                    {0, 30 * day, Warn},
		"alarm":                   {0, 7 * day, Alarm},
		"over":                    {0, -time.Second, Alarm},
		"long life, 40 days":      {400 * day, 40 * day, OK},
		"long life, 20 days":      {400 * day, 20 * day, Warn},
		"short life, fresh":       {0, 24 * time.Hour, OK},
		"short life, last third":  {17 * time.Hour, 7 * time.Hour, Warn},
		"short life, last tenth":  {22 * time.Hour, 2 * time.Hour, Alarm},
		"short life, almost over": {24 * time.Hour, time.Second, Alarm},
	} {
		cert := certificate{Name: "x", NotAfter: w.Now().Add(c.after)}
		if c.before > 0 || strings.HasPrefix(name, "short") {
			cert.NotBefore = w.Now().Add(-c.before)
		}
		if got := m.judgeCertificate("x", cert, w.Now()); got.Level != c.want {
			t.Errorf("%s: %s, %s", name, got.Level, got.Seen)
		}
	}
	// During a rotation the newer certificate counts.
	w.healthy(300 * day)
	w.put(site+"/a/certificates", 200, fmt.Appendf(nil, `[{"name":"DS","purpose":"ds","notAfter":%q},{"name":"DS","purpose":"ds","notAfter":%q}]`,
		w.Now().Add(5*day).Format(time.RFC3339), w.Now().Add(300*day).Format(time.RFC3339)))
	if _, levels := look(t, m); levels["certificate DS (ds)"] != OK {
		t.Errorf("rotation: %v", levels)
	}
}

func TestLists(t *testing.T) {
	w := newWorld(t)
	w.healthy(300 * day)
	m := w.monitor(testkit.SQLite(t), oneTarget)
	for _, step := range []struct {
		after time.Duration
		want  Level
	}{{15 * time.Hour, OK}, {2 * time.Hour, Warn}, {5 * time.Hour, Alarm}, {3 * time.Hour, Alarm}} {
		w.Pass(step.after)
		if s, levels := look(t, m); levels["status list one"] != step.want {
			t.Errorf("at %v: %v %+v", w.Now(), levels, s)
		}
	}
	// Lists that are elsewhere, another one, nothing, or not there.
	w.publish(site+"/a/status/one", site+"/a/status/two")
	if _, levels := look(t, m); levels["status list one"] != Alarm {
		t.Errorf("another list: %v", levels)
	}
	w.put(site+"/a/status", 200, []byte(`{"status_lists":["http://127.0.0.1/secret"]}`))
	if s, levels := look(t, m); levels["status list secret"] != Alarm || !strings.Contains(fmt.Sprint(s.Observations), "is not below") {
		t.Errorf("elsewhere: %v", levels)
	}
	for _, body := range []string{`{}`, `[]`, `x`} {
		w.put(site+"/a/status", 200, []byte(body))
		if _, levels := look(t, m); levels["status lists"] != Alarm {
			t.Errorf("%s: %v", body, levels)
		}
	}
	w.put(site+"/a/status", 404, nil)
	w.put(site+"/a/certificates", 200, []byte(`[{"name":"x"}]`))
	if _, levels := look(t, m); levels["status lists"] != Alarm || levels["certificates"] != Alarm {
		t.Errorf("not there: %v", levels)
	}
}

// TestRealVICAL judges a list that others publish.
func TestRealVICAL(t *testing.T) {
	w := newWorld(t)
	w.put(site+"/readyz", 200, nil)
	var v struct {
		Hex string `json:"hex"`
	}
	vectors.Load(t, "iso18013-5/thirdparty_vical_aamva_2025_11_18.json", &v)
	w.put(site+"/a/vical", 200, vectors.Hex(t, v.Hex))
	w.put(site+"/a/anchors", 200, []byte("x"))
	m := w.monitor(testkit.SQLite(t), Config{Tenants: []Tenant{{ID: "default", Name: "T", Targets: []Target{
		{Name: "trust", URL: site, Tenants: []string{"a"}, Watch: []string{WatchTrust}},
	}}}})
	s, levels := look(t, m)
	if levels["anchors"] != Alarm {
		t.Errorf("what is no list: %v", levels)
	}
	i := slices.IndexFunc(s.Observations, func(o Observation) bool { return o.Subject == "vical" })
	if i < 0 || s.Observations[i].Level != Alarm || s.Observations[i].Seen != "issue 227602, 14 authorities, signed 369 days ago, ended 368 days ago" {
		t.Errorf("a list of last year: %+v", s.Observations)
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	w.healthy(20 * day)
	m := w.monitor(testkit.SQLite(t), oneTarget)
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://monitor.localhost:8080"+path, nil)
		r.Header.Set("Accept", "text/html")
		rec := httptest.NewRecorder()
		m.Handler().ServeHTTP(rec, r)
		return rec
	}
	if p := get("/default/"); p.Code != 200 || !strings.Contains(p.Body.String(), "Nobody has looked yet") {
		t.Errorf("before the first look: %d", p.Code)
	}
	look(t, m)
	if p := get("/default/"); p.Code != 200 || !strings.Contains(p.Body.String(), "1 of 1 services needs attention") || !strings.Contains(p.Body.String(), "ends in 20 days") {
		t.Errorf("page: %d %s", p.Code, p.Body)
	}
	var s State
	if p := get("/default/state"); p.Code != 200 || json.Unmarshal(p.Body.Bytes(), &s) != nil || s.Level != Warn {
		t.Errorf("state: %d %+v", p.Code, s)
	}
	p := get("/metrics")
	lines := strings.Split(strings.TrimSuffix(p.Body.String(), "\n"), "\n")
	sample := regexp.MustCompile(`^(# (HELP|TYPE) eidos_monitor_\w+ .+|eidos_monitor_\w+\{(\w+="[^"]*",?)+\} [0-9.e+]+)$`)
	for _, l := range lines {
		if !sample.MatchString(l) {
			t.Errorf("metrics: %q", l)
		}
	}
	if !slices.Contains(lines, `eidos_monitor_level{subject="certificate Issuer DS (ds)",target="issuer",target_tenant="a",tenant="default"} 1`) {
		t.Errorf("metrics: %s", p.Body)
	}
	for _, path := range []string{"/nobody/", "/nobody/state"} {
		if p := get(path); p.Code != 404 {
			t.Errorf("%s: %d", path, p.Code)
		}
	}
	w.Pass(time.Hour)
	if p := get("/default/"); !strings.Contains(p.Body.String(), "This picture is old") {
		t.Error("an old picture is shown as new")
	}
}

func TestConfig(t *testing.T) {
	if err := errors.Join((Config{}).Check(), oneTarget.Check()); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]Config{
		"loopback only": {URL: "https://monitor.example"},
		"every":         {Every: time.Millisecond},
		"warn and":      {Warn: time.Hour, Alarm: day},
		"watch":         {Tenants: []Tenant{{ID: "a", Name: "A", Targets: []Target{{Name: "x", URL: site, Watch: []string{"weather"}}}}}},
		"url":           {Tenants: []Tenant{{ID: "a", Name: "A", Targets: []Target{{Name: "x", URL: "http://example.com"}}}}},
		"each name":     {Tenants: []Tenant{{ID: "a", Name: "A", Targets: []Target{{Name: "x", URL: site}, {Name: "x", URL: site}}}}},
		"tenants: \"":   {Tenants: []Tenant{{ID: "a", Name: "A", Targets: []Target{{Name: "x", URL: site, Tenants: []string{"../x"}}}}}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// FuzzAnswers lets a target answer anything: it is judged, and what is kept of
// it fits a line.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"status":"failing","failing":["database"]}`), []byte(`[{"name":"x","purpose":"ds","notAfter":"2027-01-01T00:00:00Z"}]`), []byte(`{"status_lists":["https://issuer.example/a/status/one"]}`))
	f.Add([]byte(`{}`), []byte(`[]`), []byte(`{"status_lists":[]}`))
	d, err := db.Open(f.Context(), "sqlite:"+f.TempDir()+"/fuzz.db", "monitor", Schema)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	f.Fuzz(func(t *testing.T, health, certs, lists []byte) {
		w := newWorld(t)
		w.put(site+"/readyz", 200, health)
		w.put(site+"/a/certificates", 200, certs)
		w.put(site+"/a/status", 200, lists)
		w.put(site+"/a/status/one", 200, lists)
		m, err := New(oneTarget, Deps{DB: d, Fetch: w.fetch, Now: w.Now})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range append(m.look(t.Context(), m.config.Tenants[0]), Observation{Subject: "x", Seen: readFailing(health)}) {
			if o.Seen = sentence(o.Seen); len([]rune(o.Seen)) > 200 || len([]rune(o.Subject)) > 200 || bytes.ContainsAny([]byte(o.Seen+o.Subject), "\n\x00") {
				t.Errorf("%q %q", o.Subject, o.Seen)
			}
		}
	})
}
