package provider

import (
	"embed"
	"net/http"

	"github.com/eidos-id/eidos/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

// servePage answers GET /{tenant}/: what this provider vouches for, for people.
func (t *tenant) servePage(pages *web.Pages, w http.ResponseWriter, _ *http.Request) error {
	m := t.metadata()
	path := "/" + t.config.ID
	pages.Page(w, m.Name, "product.html", map[string]any{
		"Organization": m.Organization, "Link": m.Link, "Support": m.Support, "Evidence": m.Evidence,
		"Lifetime": t.provider.config.AttestationLifetime.String(),
		"Base":     t.base, "Path": path, "Metadata": "/.well-known/eidos-provider" + path,
	})
	return nil
}
