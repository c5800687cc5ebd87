package monitor

import (
	"cmp"
	"embed"
	"net/http"
	"slices"
	"strings"

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
	mux.Handle("GET /{$}", http.RedirectHandler("/"+m.config.Tenants[0].ID+"/", http.StatusFound))
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
