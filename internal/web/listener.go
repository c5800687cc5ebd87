package web

import (
	"net"
	"sync"
)

// limitListener has no more than a number of connections open at a time; others
// wait until one ends.
type limitListener struct {
	net.Listener
	open chan struct{}
	done chan struct{} // closed with the listener
	once *sync.Once
}

func limitConnections(ln net.Listener, n int) net.Listener {
	return limitListener{ln, make(chan struct{}, n), make(chan struct{}), new(sync.Once)}
}

// Accept implements net.Listener.
func (l limitListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: conn, end: sync.OnceFunc(func() { <-l.open })}, nil
}

// Close implements net.Listener.
func (l limitListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	end func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}
