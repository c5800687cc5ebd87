package issuer

import (
	"embed"
	"net/http"

	"github.com/eidos-id/eidos/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

func newPages() *web.Pages { return web.MustPages("eidos issuer", nil, pageFiles, "pages/*.html") }

// page shows a page of the tenant.
func (t *tenant) page(w http.ResponseWriter, status int, name, title string, data any) {
	t.authority.pages.Render(w, status, name, web.PageData{Title: title, Site: t.config.Name, Data: data})
}

// serveFront answers GET /{tenant}: who this is and what can be had.
func (t *tenant) serveFront(w http.ResponseWriter, _ *http.Request) error {
	all, err := t.authority.Offerings(t.config.ID)
	if err != nil {
		return err
	}
	t.page(w, http.StatusOK, "front.html", t.config.Name, map[string]any{"Base": t.base, "Path": "/" + t.config.ID, "Offerings": all})
	return nil
}

// serveOrigin answers GET / with the authorities that issue here.
func (a *Authority) serveOrigin(w http.ResponseWriter, r *http.Request) error {
	if len(a.config.Tenants) == 1 {
		http.Redirect(w, r, "/"+a.config.Tenants[0].ID, http.StatusFound)
		return nil
	}
	a.pages.Page(w, "Authorities", "origin.html", a.config.Tenants)
	return nil
}
