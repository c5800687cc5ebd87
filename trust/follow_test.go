package trust

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
)

// Whoever asks while a trust service does not answer goes on with the lists there
// are; only the one who asked it waits.
func TestFollowWhileNobodyAnswers(t *testing.T) {
	ctx := t.Context()
	w, s := published(t)
	ask, hanging, answer := testkit.Through(s.Handler()), make(chan struct{}), make(chan struct{})
	f := follow(func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		select {
		case hanging <- struct{}{}:
			<-answer
			return fetch.Response{}, errors.New("there was no complete answer")
		case <-answer:
		}
		return ask(ctx, r)
	}, once.NewMemory(), "")
	close(answer)
	set, err := f.Anchors(ctx, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	answer = make(chan struct{})
	w.Pass(2 * time.Hour)
	first := make(chan error, 1)
	go func() {
		_, err := f.Anchors(ctx, w.Now())
		first <- err
	}()
	<-hanging
	second := make(chan error, 1)
	go func() {
		got, err := f.Anchors(ctx, w.Now())
		if err == nil && got != set {
			err = errors.New("other anchors")
		}
		second <- err
	}()
	select {
	case err := <-second:
		if err != nil {
			t.Error(err)
		}
	case err := <-first:
		t.Errorf("the first one was answered: %v", err)
	case <-time.After(5 * time.Second):
		t.Error("who has good lists waits for the trust service")
	}
	close(answer)
	if err := <-first; err != nil {
		t.Errorf("the one who asked: %v", err)
	}
}

// A list that was signed before the one in use brings nobody back whom that left
// out, however valid it still is: caches and mirrors may have it.
func TestFollowNothingOlder(t *testing.T) {
	ctx := t.Context()
	w, s := published(t)
	ask, before, replay := testkit.Through(s.Handler()), map[string]fetch.Response{}, map[string]bool{}
	served := func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if replay[r.URL] {
			return before[r.URL], nil
		}
		resp, err := ask(ctx, r)
		if _, kept := before[r.URL]; !kept {
			before[r.URL] = resp
		}
		return resp, err
	}
	store := once.NewMemory()
	f := follow(served, store, "")
	if _, err := f.Anchors(ctx, w.Now()); err != nil {
		t.Fatal(err)
	}
	w.Pass(4 * day)
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	set, err := f.Anchors(ctx, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{assure.PathVICAL, assure.PathAnchors} {
		replay = map[string]bool{base + path: true}
		w.Pass(2 * time.Hour)
		if err := f.Refresh(ctx, w.Now()); err == nil || !strings.Contains(err.Error(), "older") {
			t.Errorf("%s: %v", path, err)
		}
		if got, err := f.Anchors(ctx, w.Now()); err != nil || got != set {
			t.Errorf("%s: other anchors, %v", path, err)
		}
		// Nor after a restart, from the store.
		again := follow(served, store, "")
		if _, err := again.Anchors(ctx, w.Now()); err != nil || again.Fetched().After(f.Fetched()) {
			t.Errorf("%s: after a restart %v, fetched %v", path, err, again.Fetched())
		}
	}
	replay = nil
	w.Pass(time.Minute)
	if err := f.Refresh(ctx, w.Now()); err != nil {
		t.Errorf("the same lists again: %v", err)
	}
}
