package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/once"
	site "github.com/eidos-id/eidos/internal/web"
)

const (
	cookieName = "wallet-session"
	// maxSessions bounds the browsers that are let in; the one unused longest goes.
	maxSessions = 8
)

// visitor is a browser that was let in.
type visitor struct{ used time.Time }

type sessionKey struct{}

// sessionOf is the hash of the session that a request belongs to.
func sessionOf(r *http.Request) string {
	s, _ := r.Context().Value(sessionKey{}).(string)
	return s
}

// newSecret is 32 random bytes in base64url.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isPublic reports whether a page shows nothing of the holder's and changes
// nothing, so that it needs no session. Those where others send the browser to
// cannot ask for one: the cookie does not come along from elsewhere.
func isPublic(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.URL.Path {
	case "/app.css", "/app.js", "/livez", "/readyz", "/healthz":
		return true
	}
	return isArrival(r.URL.Path)
}

func isArrival(path string) bool {
	return path == "/offer" || path == "/request" || path == CallbackPath
}

// gate lets only the holder in front of this machine through: from a loopback
// address; under the pages' own name, so that no other name can be bound to
// them; not from other sites, but for pages that are made for it; posting from
// our own pages only; in a browser that came with the start link.
func (a *App) gate(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site.NoStore(w)
		// With no-referrer a browser would not say that a form is our own.
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err != nil || !isLoopback(host) {
			site.Fail(w, r, site.Errorf(http.StatusForbidden, "These pages are for the machine that they run on."))
			return
		}
		if !strings.EqualFold(r.Host, a.host) {
			site.Fail(w, r, site.Errorf(http.StatusMisdirectedRequest, "There is nothing at this host name."))
			return
		}
		if foreign(r) {
			site.Fail(w, r, site.Errorf(http.StatusForbidden, "Another website may not do this here."))
			return
		}
		if key := r.URL.Query().Get("key"); r.URL.Path == "/" && r.Method == http.MethodGet && key != "" {
			a.enter(w, r, key)
			return
		}
		if isPublic(r) {
			next.ServeHTTP(w, r)
			return
		}
		id, ok := a.session(r)
		if !ok {
			a.locked(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, id)))
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// foreign reports whether another site's page makes the request, except that it
// may lead a person to where a person can be led.
//
// Fetch Metadata Request Headers, W3C Working Draft, 2.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	leads := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !leads || r.URL.Path != "/" && !isArrival(r.URL.Path)
}

// enter lets a browser in that brings the key, which works once.
func (a *App) enter(w http.ResponseWriter, r *http.Request, key string) {
	given := once.Hash(key)
	a.mu.Lock()
	ok := a.key != "" && subtle.ConstantTimeCompare([]byte(given), []byte(a.key)) == 1
	if ok {
		a.key = ""
	}
	a.mu.Unlock()
	if !ok {
		if _, in := a.session(r); in { // the same link again, in the browser that used it
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		a.locked(w)
		return
	}
	secret := newSecret()
	a.mu.Lock()
	a.sessions[once.Hash(secret)] = visitor{used: a.deps.Now()}
	a.dropOldest()
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	a.invite()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// dropOldest keeps the number of sessions bounded; a.mu is held.
func (a *App) dropOldest() {
	for len(a.sessions) > maxSessions {
		oldest := ""
		for id, s := range a.sessions {
			if oldest == "" || s.used.Before(a.sessions[oldest].used) {
				oldest = id
			}
		}
		delete(a.sessions, oldest)
		a.endFlows(oldest)
	}
}

// session finds the session of a request's cookie and keeps it alive. It is
// looked up by its hash, so that the time taken tells nothing about it.
func (a *App) session(r *http.Request) (id string, ok bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	id, now := once.Hash(c.Value), a.deps.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[id]
	if !ok || now.Sub(s.used) > a.cfg.SessionLifetime {
		return "", false
	}
	a.sessions[id] = visitor{used: now}
	return id, true
}

// locked says how to get in.
func (a *App) locked(w http.ResponseWriter) {
	a.pages.Render(w, http.StatusUnauthorized, "locked.html", site.PageData{Title: "This wallet is locked"})
}

// serveLock ends a session with everything that runs in it.
func (a *App) serveLock(w http.ResponseWriter, r *http.Request) error {
	a.mu.Lock()
	delete(a.sessions, sessionOf(r))
	a.endFlows(sessionOf(r))
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
