package verifier_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/verifier"
)

// Whoever asked for it is told, signed, once the holder has answered, and learns
// nothing about the holder.
func TestWebhooks(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		told := make(chan fetch.Request, 4)
		v, err := verifier.New(keeping(), verifier.Deps{DB: w.db, Area: w.area, Fetch: w.fetch, Now: w.Now,
			Webhooks: func(_ context.Context, r fetch.Request) (fetch.Response, error) {
				told <- r
				return fetch.Response{Status: 204}, nil
			}})
		w.check(err)
		w.v = v
		_, _, err = v.Outbox().Add(t.Context(), "default", "https://shop.example/hook", []string{verifier.EventAnswered}, false)
		w.check(err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- v.Run(ctx) }()
		tr := w.shared(w.issue(5), verifier.AskParams{})
		var got fetch.Request
		select {
		case got = <-told:
		case <-ctx.Done():
			t.Fatal("nobody was told")
		}
		var body struct {
			Type string
			Data map[string]string
		}
		w.check(json.Unmarshal(got.Body, &body))
		if body.Type != verifier.EventAnswered || len(body.Data) != 2 || body.Data["transaction"] != tr.Number || body.Data["verdict"] != "valid" ||
			!strings.HasPrefix(got.Header["webhook-signature"], "v1,") {
			t.Errorf("%s %v", got.Body, got.Header)
		}
		cancel()
		w.check(<-ended)
	})
}
