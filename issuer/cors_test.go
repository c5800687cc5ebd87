package issuer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

// Apps in a browser get at what they need, whatever their origin; pages and all
// that knows a browser by its cookie stay closed.
func TestPagesOfOtherOrigins(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	ask := func(method, path string) http.Header {
		t.Helper()
		r := httptest.NewRequest(method, "http://issuer.localhost:8080"+path, nil)
		r.Header.Set("Origin", "https://wallet.example")
		if method == "OPTIONS" {
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "authorization,content-type,dpop")
		}
		rec := httptest.NewRecorder()
		w.authority.Handler().ServeHTTP(rec, r)
		if method == "OPTIONS" && rec.Header().Get("Access-Control-Allow-Origin") != "" && rec.Code != http.StatusNoContent {
			t.Errorf("%s %s: %d", method, path, rec.Code)
		}
		return rec.Header()
	}
	for path, method := range map[string]string{
		"/.well-known/openid-credential-issuer/default": "GET", "/.well-known/oauth-authorization-server/default": "GET",
		"/default/par": "POST", "/default/token": "POST", "/default/challenge": "POST", "/default/nonce": "POST", "/default/credential": "POST",
		"/default/deferred": "POST", "/default/notification": "POST", "/default/offers/unknown": "GET",
	} {
		pre, h := ask("OPTIONS", path), ask(method, path)
		if pre.Get("Access-Control-Allow-Origin") != "*" || pre.Get("Access-Control-Allow-Methods") != method || pre.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight %s: %v", path, pre)
		}
		for _, name := range []string{"Authorization", "Content-Type", "DPoP", "OAuth-Client-Attestation", "OAuth-Client-Attestation-PoP"} {
			if !strings.Contains(pre.Get("Access-Control-Allow-Headers")+",", name+",") {
				t.Errorf("preflight %s: no %s", path, name)
			}
		}
		for _, name := range []string{"DPoP-Nonce", "OAuth-Client-Attestation-Challenge", "WWW-Authenticate"} {
			if h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
	closed := []string{"/default/authorize", "/default/authorize/consent", "/default/authorize/identify", "/default/authorize/decision", "/default", "/"}
	for _, path := range closed {
		for _, method := range []string{"OPTIONS", "GET", "POST"} {
			if h := ask(method, path); h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s is open: %v", method, path, h)
			}
		}
	}
	w.authority.config.SameOrigin = true
	w.authority.handler = w.authority.routes()
	for _, method := range []string{"OPTIONS", "POST"} {
		if h := ask(method, "/default/nonce"); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s where only pages of its own origin are served: %v", method, h)
		}
	}
}
