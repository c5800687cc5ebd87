package trust

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
)

// Whoever asks while a trust service does not answer goes on with the lists there
// are; only the one who asked it waits.
func TestFollowWhileNobodyAnswers(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, testkit.SQLite(t))
	s := w.process(Config{})
	w.demo()
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	ask, hanging, answer := through(s.Handler()), make(chan struct{}), make(chan struct{})
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
	set, err := f.Anchors(ctx, w.now())
	if err != nil {
		t.Fatal(err)
	}
	answer = make(chan struct{})
	w.pass(2 * time.Hour)
	first := make(chan error, 1)
	go func() {
		_, err := f.Anchors(ctx, w.now())
		first <- err
	}()
	<-hanging
	second := make(chan error, 1)
	go func() {
		got, err := f.Anchors(ctx, w.now())
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
