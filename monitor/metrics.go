package monitor

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/eidos-id/eidos/internal/web"
)

// serveMetrics answers GET /metrics with the states for Prometheus, as they
// are at this moment.
func (m *Monitor) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	of := []string{"tenant", "target", "target_tenant", "subject"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "eidos", Subsystem: "monitor", Name: name, Help: help}, labels)
	}
	level := gauge("level", "How a watched thing stands: 0 in order, 1 warning, 2 alarm.", of...)
	expires := gauge("expires_timestamp_seconds", "When a certificate or signed list ends.", of...)
	checked := gauge("checked_timestamp_seconds", "When everything was looked at last.", "tenant")
	for _, t := range m.config.Tenants {
		s, err := m.State(r.Context(), t.ID)
		if err != nil {
			return err
		}
		for _, o := range s.Observations {
			level.WithLabelValues(t.ID, o.Target, o.Tenant, o.Subject).Set(float64(o.Level.rank()))
			if !o.Expires.IsZero() {
				expires.WithLabelValues(t.ID, o.Target, o.Tenant, o.Subject).Set(float64(o.Expires.Unix()))
			}
		}
		if !s.Checked.IsZero() {
			checked.WithLabelValues(t.ID).Set(float64(s.Checked.Unix()))
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(level, expires, checked)
	web.NoStore(w)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}
