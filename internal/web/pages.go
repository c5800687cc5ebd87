package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

const assetPrefix = "/-/"

// PageData is what the layout and a page's template see: {{.Title}} and
// {{.Data}}.
type PageData struct {
	Title string
	Site  string // whose page it is, shown in the header
	Lang  string // BCP 47. Optional, "en" if empty
	Nav   []Link // Optional
	Data  any
}

// Link is an entry of a page's navigation.
type Link struct {
	Text, URL string
	Here      bool // this is the page shown
}

// Pages are the templates of a role, each put into the layout that all roles
// share. They may be used concurrently.
type Pages struct {
	site  string
	nav   []Link
	pages map[string]*template.Template
}

// shared are the pages of this package.
var shared = MustPages("eidos", nil, assets, "assets/pages/*.html")

// MustPages parses a role's templates: each file that matches a pattern is one
// page and defines the template "main". site and nav are the defaults of
// PageData. It panics if they do not parse: they are embedded.
//
// Beyond html/template's own functions there are date and datetime, which
// write a time.Time in UTC; the template "checks" shows the checks of a report.
func MustPages(site string, nav []Link, fsys fs.FS, patterns ...string) *Pages {
	p := &Pages{site: site, nav: nav, pages: map[string]*template.Template{}}
	for _, pattern := range patterns {
		names, err := fs.Glob(fsys, pattern)
		if err != nil || len(names) == 0 {
			panic(fmt.Sprintf("web: no pages match %q", pattern))
		}
		for _, name := range names {
			t := template.New("layout.html").Funcs(template.FuncMap{
				"date":     func(t time.Time) string { return t.UTC().Format("2 January 2006") },
				"datetime": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
				"asset":    assetURL,
			})
			t = template.Must(t.ParseFS(assets, "assets/layout.html"))
			t = template.Must(t.ParseFS(fsys, name))
			if t.Lookup("main") == nil {
				panic(fmt.Sprintf("web: page %s does not define the template main", name))
			}
			p.pages[name[strings.LastIndexByte(name, '/')+1:]] = t
		}
	}
	return p
}

// Page answers 200 with a page: the template of that file name with its data,
// under a title.
func (p *Pages) Page(w http.ResponseWriter, title, name string, data any) {
	p.Render(w, http.StatusOK, name, PageData{Title: title, Data: data})
}

// Render answers with a page and a status. It panics if there is no such page
// or its template fails, which is a mistake in our own code; Wrap then answers
// 500, because nothing has been written yet.
func (p *Pages) Render(w http.ResponseWriter, status int, name string, d PageData) {
	if d.Site == "" {
		d.Site = p.site
	}
	if d.Nav == nil {
		d.Nav = p.nav
	}
	p.render(w, status, name, d)
}

func (p *Pages) render(w http.ResponseWriter, status int, name string, d PageData) {
	if d.Site == "" {
		d.Site = p.site
	}
	if d.Lang == "" {
		d.Lang = "en"
	}
	t := p.pages[name]
	if t == nil {
		panic("web: no page " + name)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, d); err != nil {
		panic(fmt.Sprintf("web: page %s: %v", name, err))
	}
	Reply(w, status, "text/html; charset=utf-8", b.Bytes())
}

// assetURL returns the address of an asset, which changes with its content so
// that caches may keep it for good.
func assetURL(name string) (string, error) {
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return assetPrefix + name + "?v=" + hex.EncodeToString(sum[:6]), nil
}

// assetHandler serves the assets, without their templates.
func assetHandler() http.Handler {
	sub, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // a constant of this package
	}
	files := http.StripPrefix(assetPrefix, http.FileServerFS(sub))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") || strings.HasSuffix(r.URL.Path, ".html") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		files.ServeHTTP(w, r)
	})
}
