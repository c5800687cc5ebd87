package loop_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/loop"
)

func TestMessagesInOrder(t *testing.T) {
	a, b := loop.Pair(0)
	message := []byte("one")
	for _, m := range [][]byte{message, []byte("two")} {
		if err := a.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	message[0] = 'X' // the sender's slice is its own
	for _, want := range []string{"one", "two"} {
		got, err := b.Receive(t.Context())
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	a, b := loop.Pair(10)
	if err := a.Send(t.Context(), make([]byte, 11)); !errors.Is(err, transport.ErrTooLarge) {
		t.Errorf("11 bytes: %v", err)
	}
	if err := a.Send(t.Context(), nil); !errors.Is(err, transport.ErrFormat) {
		t.Errorf("empty: %v", err)
	}
	if err := a.Send(t.Context(), make([]byte, 10)); err != nil {
		t.Errorf("10 bytes: %v", err)
	}
	if got, err := b.Receive(t.Context()); err != nil || !bytes.Equal(got, make([]byte, 10)) {
		t.Errorf("after refusals: %x, %v", got, err)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := loop.Pair(0)
		if err := a.Send(t.Context(), []byte("last")); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error)
		go func() { _, err := a.Receive(t.Context()); waiting <- err }()
		synctest.Wait()
		for range 2 {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-waiting; !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Receive during Close: %v", err)
		}
		if got, err := b.Receive(t.Context()); err != nil || string(got) != "last" {
			t.Errorf("sent before Close: %q, %v", got, err)
		}
		if _, err := b.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Receive after Close: %v", err)
		}
		if err := b.Send(t.Context(), []byte("x")); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
	})
}

func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := loop.Pair(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive: %v", err)
		}
		if err := b.Send(t.Context(), []byte("x")); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("the connection lives on: %v", err)
		}

		a, _ = loop.Pair(0)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		for n := 0; err == nil && n < 1000; n++ { // nobody receives
			err = a.Send(ctx, []byte("flood"))
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
	})
}
