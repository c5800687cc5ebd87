package issuer

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// Whatever an app has sent, sent once more it gets nothing, also from another
// process of the authority: codes, nonces and proofs are used up together with
// what they brought. RFC 9449, 11.1; OpenID4VCI 1.0, 7.
func TestReplayedRequests(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p, b := w.newApp(w.authority), w.browser(t, w.authority)
		var sent []fetch.Request
		p.oauth.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
			resp, err := p.fetch(ctx, r)
			if resp.Status < 300 {
				sent = append(sent, r)
			}
			return resp, err
		}
		authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
		b.identify("ada", adasCode)
		token := b.approve(p, authorization)
		if _, _, err := p.get(token, "mdl", 2); err != nil {
			t.Fatal(err)
		}
		before, err := w.authority.List(t.Context(), "default", Filter{})
		if err != nil {
			t.Fatal(err)
		}
		other, replayed := via(w.open()), map[string]bool{}
		for _, r := range sent {
			u, err := url.Parse(r.URL)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(u.Path, "/nonce") || strings.HasSuffix(u.Path, "/challenge") {
				continue // they bring a number, to anybody
			}
			replayed[u.Path[strings.LastIndexByte(u.Path, '/'):]] = true
			for name, do := range map[string]fetch.Func{"": p.fetch, " at another process": other} {
				if resp, err := do(t.Context(), r); err != nil || resp.Status < 400 || resp.Status >= 500 || resp.Refusal() == "" {
					t.Errorf("%s replayed%s: %d %s %v", u.Path, name, resp.Status, resp.Body, err)
				}
			}
		}
		for _, path := range []string{"/par", "/token", "/credential"} {
			if !replayed[path] {
				t.Errorf("%s was not tried", path)
			}
		}
		after, err := w.authority.List(t.Context(), "default", Filter{})
		if err != nil || len(before) != 1 || len(after) != 1 || after[0].Copies != before[0].Copies {
			t.Errorf("%+v became %+v, %v", before, after, err)
		}
	})
}
