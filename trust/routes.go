package trust

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/publish"
)

//go:embed pages/*.html
var pageFiles embed.FS

// servedFile is a list in memory.
type servedFile struct {
	sequence int64
	file     *web.File
	expires  time.Time
}

// routes are all public addresses.
func (s *Service) routes() http.Handler {
	mux := http.NewServeMux()
	s.health.Register(mux)
	get := func(pattern string, f func(t *tenant, w http.ResponseWriter, r *http.Request) error) {
		mux.Handle("GET /{tenant}"+pattern, web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
			t, err := s.tenant(r.PathValue("tenant"))
			if err != nil {
				return web.Errorf(http.StatusNotFound, "There are no such lists here.")
			}
			return f(t, w, r)
		}))
	}
	ca := func(f func(http.ResponseWriter, *http.Request, *keyring.CA, time.Time) error) func(*tenant, http.ResponseWriter, *http.Request) error {
		return func(t *tenant, w http.ResponseWriter, r *http.Request) error { return f(w, r, t.ca, s.now()) }
	}
	list := func(kind, mediaType string) func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		return func(t *tenant, w http.ResponseWriter, r *http.Request) error {
			return t.serveList(w, r, kind, mediaType)
		}
	}
	get(assure.PathVICAL, list(kindVICAL, trustlist.MediaTypeVICAL))
	get(assure.PathAnchors, list(kindAnchors, trustlist.MediaTypeAnchors))
	get("/ca.crl", ca(publish.CRL))
	get("/ca.crl/{root}", ca(publish.CRL))
	get(assure.PathRoots, ca(publish.Roots))
	get(assure.PathCA, ca(publish.Root))
	get("/certificates", ca(publish.Certificates))
	pages := web.MustPages("eidos trust", nil, pageFiles, "pages/*.html")
	get("/{$}", func(t *tenant, w http.ResponseWriter, r *http.Request) error { return t.servePage(pages, w, r) })
	mux.Handle("GET /{$}", http.RedirectHandler("/"+s.config.Tenants[0].ID+"/", http.StatusFound))
	return web.Wrap(mux, web.WrapOptions{Log: s.log, Role: "trust", HTTPS: strings.HasPrefix(s.config.URL, "https:")})
}

// serveList answers with the newest list of a kind. One that is over is signed
// again first, for the case that Run does not run.
func (t *tenant) serveList(w http.ResponseWriter, r *http.Request, kind, mediaType string) error {
	now := t.service.now()
	f, err := t.file(r.Context(), kind, mediaType)
	if err == nil && (f.file == nil || !now.Before(f.expires)) {
		if err = t.publish(r.Context(), kind); err == nil {
			f, err = t.file(r.Context(), kind, mediaType)
		}
	}
	if err != nil {
		return err
	}
	if f.file == nil {
		return web.Errorf(http.StatusServiceUnavailable, "No source has answered yet, so there is nothing to list.")
	}
	f.file.Serve(w, r, min(t.service.config.MaxAge, f.expires.Sub(now)))
	return nil
}

// file returns the newest list of a kind, from memory if it is there already;
// without a file if there is none.
func (t *tenant) file(ctx context.Context, kind, mediaType string) (servedFile, error) {
	var p publication
	err := t.service.db.ViewOne(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		p, err = newest(ctx, tx, t.config.ID, kind)
		return err
	})
	if err != nil || p.sequence == 0 {
		return servedFile{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.files[kind]; f.sequence == p.sequence {
		return f, nil
	}
	f := servedFile{p.sequence, web.NewFile(mediaType, p.body), p.expires}
	t.files[kind] = f
	return f, nil
}

// pageAnchor is an anchor as the page shows it.
type pageAnchor struct {
	Anchor
	Purpose string
}

// pageList is a published list as the page shows it.
type pageList struct {
	Name, URL, Number string
	Issued, Expires   time.Time
}

// servePage shows people what is listed and what waits.
func (t *tenant) servePage(pages *web.Pages, w http.ResponseWriter, r *http.Request) error {
	anchors, err := t.service.Anchors(r.Context(), t.config.ID)
	if err != nil {
		return err
	}
	root, err := t.ca.Root(r.Context(), t.service.now())
	if err != nil {
		return err
	}
	data := struct {
		Path, Fingerprint string
		Pending           int
		Lists             []pageList
		Anchors           []pageAnchor
	}{Path: "/" + t.config.ID, Fingerprint: grouped(hexSum(root.Raw))}
	for _, a := range anchors {
		a.Fingerprint, a.Pending = grouped(a.Fingerprint), grouped(a.Pending)
		if a.Pending != "" {
			data.Pending++
		}
		data.Anchors = append(data.Anchors, pageAnchor{a, purposeText(a.Source.Purpose)})
	}
	err = t.service.db.View(r.Context(), func(ctx context.Context, tx *db.Tx) error {
		data.Lists = nil
		for _, l := range []struct{ kind, name, path string }{
			{kindVICAL, "Issuing authorities (VICAL)", assure.PathVICAL}, {kindAnchors, "All other anchors", assure.PathAnchors},
		} {
			p, err := newest(ctx, tx, t.config.ID, l.kind)
			if err != nil {
				return err
			}
			if p.sequence != 0 {
				data.Lists = append(data.Lists, pageList{l.name, data.Path + l.path, fmt.Sprint(p.sequence), p.issued, p.expires})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	pages.Page(w, "Whom "+t.config.Name+" trusts", "anchors.html", data)
	return nil
}

// purposeText says for people what an anchor is trusted for.
func purposeText(p trustlist.Purpose) string {
	switch p {
	case trustlist.Issuer:
		return "issues documents"
	case trustlist.Reader:
		return "reads documents on-site"
	case trustlist.Verifier:
		return "asks for documents over the internet"
	case trustlist.WalletProvider:
		return "vouches for apps and their keys"
	case trustlist.Status:
		return "publishes status lists"
	case trustlist.Registrar:
		return "registers who asks, and for what"
	}
	return string(p)
}

// grouped sets a fingerprint in groups that people can compare.
func grouped(hex string) string {
	var b strings.Builder
	for i, c := range hex {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}
