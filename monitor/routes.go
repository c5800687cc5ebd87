package monitor

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

// routes are all public addresses.
func (m *Monitor) routes() http.Handler {
	mux := http.NewServeMux()
	m.health.Register(mux)
	get := func(pattern string, f func(w http.ResponseWriter, r *http.Request, s State) error) {
		mux.Handle(pattern, web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
			tenant := r.PathValue("tenant")
			if !m.has(tenant) {
				return web.Errorf(http.StatusNotFound, "Nothing is watched under this name.")
			}
			s, err := m.State(r.Context(), tenant)
			if err != nil {
				return err
			}
			return f(w, r, s)
		}))
	}
	pages := web.MustPages("eidos monitor", nil, pageFiles, "pages/*.html")
	get("GET /{tenant}/state", func(w http.ResponseWriter, _ *http.Request, s State) error {
		web.JSON(w, http.StatusOK, s)
		return nil
	})
	get("GET /{tenant}/{$}", func(w http.ResponseWriter, r *http.Request, s State) error {
		m.servePage(pages, w, r.PathValue("tenant"), s)
		return nil
	})
	mux.Handle("GET /metrics", web.ErrFunc(m.serveMetrics))
	return web.Wrap(mux, web.WrapOptions{Log: m.log, Role: "monitor", HTTPS: strings.HasPrefix(m.config.URL, "https:")})
}

// group is what is known of one target, for the page.
type group struct {
	Target       string
	Level        Level
	Silent       bool // the target did not answer: the rest is older
	Several      bool // tenants of it are watched
	Observations []Observation
}

// servePage shows people the picture.
func (m *Monitor) servePage(pages *web.Pages, w http.ResponseWriter, tenant string, s State) {
	data := struct {
		State
		Path        string
		Groups      []group
		Good, Wrong int
		Old         bool // nobody has looked for a while
	}{State: s, Path: "/" + tenant, Old: !s.Checked.IsZero() && m.now().Sub(s.Checked) > 3*m.config.Every}
	var config Tenant
	for _, t := range m.config.Tenants {
		if t.ID == tenant {
			config = t
		}
	}
	for _, g := range config.Targets {
		group := group{Target: g.Name, Level: OK, Several: len(g.Tenants) > 1}
		for _, o := range s.Observations {
			if o.Target != g.Name {
				continue
			}
			if o.Level.rank() > group.Level.rank() {
				group.Level = o.Level
			}
			group.Silent = group.Silent || o.Subject == "health" && o.Level == Alarm
			group.Observations = append(group.Observations, o)
		}
		slices.SortStableFunc(group.Observations, func(a, b Observation) int { // the worst first, then its health
			return cmp.Or(cmp.Compare(b.Level.rank(), a.Level.rank()), strings.Compare(orderOf(a), orderOf(b)))
		})
		if len(group.Observations) == 0 {
			continue
		}
		if group.Level == OK {
			data.Good++
		} else {
			data.Wrong++
		}
		data.Groups = append(data.Groups, group)
	}
	pages.Page(w, config.Name, "state.html", data)
}

// orderOf sorts health before everything else, and a whole before its parts.
func orderOf(o Observation) string {
	switch o.Subject {
	case "health":
		return "0"
	case "certificates", "status lists":
		return "1" + o.Tenant + strings.TrimSuffix(o.Subject, "s")
	}
	return "1" + o.Tenant + o.Subject
}

// Label is the level for people.
func (l Level) Label() string {
	switch l {
	case OK:
		return "in order"
	case Warn:
		return "warning"
	case Alarm:
		return "alarm"
	}
	return "nothing"
}

// Class is the name of the level in the style sheet.
func (l Level) Class() string {
	switch l {
	case OK:
		return "good"
	case Warn:
		return "warn"
	case Alarm:
		return "bad"
	}
	return "quiet"
}

// serveMetrics writes the states in the text format of Prometheus, 0.0.4.
func (m *Monitor) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	var level, expires, checked bytes.Buffer
	for _, t := range m.config.Tenants {
		s, err := m.State(r.Context(), t.ID)
		if err != nil {
			return err
		}
		var last time.Time
		for _, o := range s.Observations {
			labels := fmt.Sprintf("{tenant=%s,target=%s,target_tenant=%s,subject=%s}", label(t.ID), label(o.Target), label(o.Tenant), label(o.Subject))
			fmt.Fprintf(&level, "eidos_monitor_level%s %d\n", labels, o.Level.rank())
			if !o.Expires.IsZero() {
				fmt.Fprintf(&expires, "eidos_monitor_expires_timestamp_seconds%s %d\n", labels, o.Expires.Unix())
			}
			if o.Checked.After(last) {
				last = o.Checked
			}
		}
		if !last.IsZero() {
			fmt.Fprintf(&checked, "eidos_monitor_checked_timestamp_seconds{tenant=%s} %d\n", label(t.ID), last.Unix())
		}
	}
	var out bytes.Buffer
	for _, metric := range []struct {
		name, help string
		samples    *bytes.Buffer
	}{
		{"eidos_monitor_level", "How a watched thing stands: 0 in order, 1 warning, 2 alarm.", &level},
		{"eidos_monitor_expires_timestamp_seconds", "When a certificate or signed list ends.", &expires},
		{"eidos_monitor_checked_timestamp_seconds", "When everything was looked at last.", &checked},
	} {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s gauge\n%s", metric.name, metric.help, metric.name, metric.samples.Bytes())
	}
	web.Reply(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", out.Bytes())
	return nil
}

// label quotes a label's value as the format wants it.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
