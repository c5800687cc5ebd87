package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/tcp"
)

func listen(t *testing.T, o tcp.Options) *tcp.Listener {
	t.Helper()
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(t *testing.T, l *tcp.Listener) transport.Conn {
	t.Helper()
	c, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// raw returns our connection and a peer that speaks whatever it likes.
func raw(t *testing.T, o tcp.Options) (transport.Conn, net.Conn) {
	t.Helper()
	l := listen(t, o)
	peer, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return accept(t, l), peer
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestDialogue(t *testing.T) {
	l := listen(t, tcp.Options{})
	mobile := make(chan error, 1)
	go func() {
		c, err := l.Accept(context.Background())
		for err == nil {
			var m []byte
			if m, err = c.Receive(context.Background()); err == nil {
				err = c.Send(context.Background(), append([]byte("you said "), m...))
			}
		}
		mobile <- err
	}()
	c, err := tcp.Dial(t.Context(), l.Address(), tcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]byte{[]byte("hello"), bytes.Repeat([]byte{7}, 3<<20)} {
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got, err := c.Receive(t.Context())
		if err != nil || !bytes.Equal(got, append([]byte("you said "), m...)) {
			t.Fatalf("%d bytes came back, %v", len(got), err)
		}
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-mobile; !errors.Is(err, transport.ErrClosed) {
		t.Errorf("the other side: %v", err)
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
	if err := c.Send(t.Context(), []byte("x")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

// What is on the wire, so that others can speak it.
func TestFraming(t *testing.T) {
	c, peer := raw(t, tcp.Options{})
	if err := c.Send(t.Context(), []byte{0xa0}); err != nil {
		t.Fatal(err)
	}
	var got [5]byte
	if _, err := peer.Read(got[:]); err != nil || got != [5]byte{0, 0, 0, 1, 0xa0} {
		t.Errorf("%x, %v", got, err)
	}
}

func TestHostileLength(t *testing.T) {
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"4 GiB":               {[]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3}, transport.ErrTooLarge},
		"one above the limit": {[]byte{0, 0, 4, 1, 1, 2, 3}, transport.ErrTooLarge},
		"zero":                {[]byte{0, 0, 0, 0}, transport.ErrFormat},
		"cut length":          {[]byte{0, 0, 0}, transport.ErrFormat},
		"cut message":         {[]byte{0, 0, 0, 9, 1, 2}, transport.ErrFormat},
		"nothing":             {nil, transport.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			conn, peer := raw(t, tcp.Options{MaxMessage: 1024})
			write(t, peer, c.wire)
			peer.(*net.TCPConn).CloseWrite()
			if m, err := conn.Receive(t.Context()); !errors.Is(err, c.want) || m != nil {
				t.Errorf("%x, %v, want %v", m, err, c.want)
			}
			if _, err := conn.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
				t.Errorf("the connection lives on: %v", err)
			}
		})
	}
}

// A length that is announced but not sent costs next to no memory.
func TestAnnouncedOnly(t *testing.T) {
	const size = 1 << 30
	c, peer := raw(t, tcp.Options{MaxMessage: size})
	write(t, peer, []byte{0x40, 0, 0, 0, 1, 2, 3})
	peer.(*net.TCPConn).CloseWrite()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Receive(t.Context())
	runtime.ReadMemStats(&after)
	if !errors.Is(err, transport.ErrFormat) {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated for a message that never came", used)
	}
}

func TestTooLargeToSend(t *testing.T) {
	c, peer := raw(t, tcp.Options{MaxMessage: 10})
	if err := c.Send(t.Context(), make([]byte, 11)); !errors.Is(err, transport.ErrTooLarge) {
		t.Errorf("11 bytes: %v", err)
	}
	if err := c.Send(t.Context(), nil); !errors.Is(err, transport.ErrFormat) {
		t.Errorf("empty: %v", err)
	}
	write(t, peer, []byte{0, 0, 0, 1, 9}) // and the connection is still good
	if m, err := c.Receive(t.Context()); err != nil || !bytes.Equal(m, []byte{9}) {
		t.Errorf("%x, %v", m, err)
	}
}

// A peer may take its time before a message, not inside it.
func TestSlowPeer(t *testing.T) {
	c, peer := raw(t, tcp.Options{Stall: 50 * time.Millisecond})
	go func() {
		time.Sleep(120 * time.Millisecond)
		peer.Write([]byte{0, 0, 0, 1, 9})
		peer.Write([]byte{0, 0}) // and nothing more
	}()
	if m, err := c.Receive(t.Context()); err != nil || !bytes.Equal(m, []byte{9}) {
		t.Fatalf("%x, %v", m, err)
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a peer that stalls: %v", err)
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("the connection lives on: %v", err)
	}
}

// A peer that does not read cannot hold us either.
func TestDeafPeer(t *testing.T) {
	c, _ := raw(t, tcp.Options{Stall: 50 * time.Millisecond})
	var err error
	for n := 0; err == nil && n < 100; n++ {
		err = c.Send(t.Context(), make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// There is one peer: when it is there nobody else can connect.
func TestTwoPeers(t *testing.T) {
	l := listen(t, tcp.Options{})
	first, err := tcp.Dial(t.Context(), l.Address(), tcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := accept(t, l)
	if second, err := net.DialTimeout("tcp", l.Address(), time.Second); err == nil {
		second.Close()
		t.Error("a second peer could connect")
	}
	if _, err := l.Accept(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("second Accept: %v", err)
	}
	if err := first.Send(t.Context(), []byte("still here")); err != nil {
		t.Error(err)
	}
	if m, err := c.Receive(t.Context()); err != nil || string(m) != "still here" {
		t.Errorf("%q, %v", m, err)
	}
}

func TestContext(t *testing.T) {
	soon := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), 30*time.Millisecond)
	}
	ctx, cancel := soon()
	defer cancel()
	if _, err := listen(t, tcp.Options{}).Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Accept: %v", err)
	}
	c, _ := raw(t, tcp.Options{})
	ctx, cancel = soon()
	defer cancel()
	if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive: %v", err)
	}
	if err := c.Send(t.Context(), []byte("x")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("the connection lives on: %v", err)
	}
}

func TestDialNobody(t *testing.T) {
	l := listen(t, tcp.Options{})
	l.Close()
	if _, err := tcp.Dial(t.Context(), l.Address(), tcp.Options{}); err == nil {
		t.Error("connected to nobody")
	}
}
