package testkit

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	sqlitedriver "modernc.org/sqlite"
)

// The kinds of points at which a process can be killed.
const (
	BeforeRow       = "before a row"          // SQLite: a row is about to change
	BeforeCommit    = "before a commit"       // SQLite
	DuringCommit    = "during a commit"       // SQLite: a moment after it began
	BeforeStatement = "before a statement"    // PostgreSQL: not yet sent
	AfterStatement  = "after a statement"     // PostgreSQL: carried out, the process does not know
	BeforeAnswer    = "before an answer"      // of the server that the process is
	AmidAnswer      = "in the middle of one"  // half of it is written
	AfterAnswer     = "right after an answer" // it is written
)

// KillPoints are the kinds that a database engine has: SQLite or PostgreSQL.
func KillPoints(postgres bool) []string {
	if postgres {
		return []string{BeforeStatement, AfterStatement, BeforeAnswer, AmidAnswer, AfterAnswer}
	}
	return []string{BeforeRow, BeforeCommit, DuringCommit, BeforeAnswer, AmidAnswer, AfterAnswer}
}

// Killer kills its own process with SIGKILL when it passes a point for the n-th
// time. It sits around the process: below the SQLite driver, between it and
// PostgreSQL, and in the connections of its server.
type Killer struct{ point atomic.Pointer[killPoint] }

type killPoint struct {
	kind string
	at   int64
	seen map[string]*atomic.Int64
}

// Arm makes the Killer wait for the at-th point of a kind from now on; it only
// counts if at is 0.
func (k *Killer) Arm(kind string, at int) {
	p := &killPoint{kind: kind, at: int64(at), seen: map[string]*atomic.Int64{}}
	for _, kind := range append(KillPoints(true), KillPoints(false)...) {
		p.seen[kind] = &atomic.Int64{}
	}
	k.point.Store(p)
}

// Seen is how often each kind of point was passed since Arm.
func (k *Killer) Seen() map[string]int {
	all := map[string]int{}
	for kind, n := range k.point.Load().seen {
		all[kind] = int(n.Load())
	}
	return all
}

// here reports whether it is time to end.
func (k *Killer) here(kind string) bool {
	p := k.point.Load()
	return p != nil && p.seen[kind].Add(1) == p.at && kind == p.kind
}

func (k *Killer) pass(kind string) {
	if k.here(kind) {
		die()
	}
}

// die does not return.
func die() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// SQLite puts the Killer below every SQLite connection that is opened later.
func (k *Killer) SQLite() {
	sqlitedriver.RegisterConnectionHook(func(conn sqlitedriver.ExecQuerierContext, _ string) error {
		hooks, ok := conn.(sqlitedriver.HookRegisterer)
		if !ok {
			return errors.New("testkit: the SQLite driver has no hooks")
		}
		hooks.RegisterPreUpdateHook(func(sqlitedriver.SQLitePreUpdateData) { k.pass(BeforeRow) })
		hooks.RegisterCommitHook(func() int32 {
			k.pass(BeforeCommit)
			if k.here(DuringCommit) {
				late := rand.N(400 * time.Microsecond) // about as long as a commit takes
				go func() {
					time.Sleep(late)
					die()
				}()
			}
			return 0
		})
		return nil
	})
}

// Postgres puts the Killer between the process and a server that Postgres has
// started: it returns the address of a go-between with its socket in dir.
func (k *Killer) Postgres(dsn, dir string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	const socket = ".s.PGSQL.5432"
	q := u.Query()
	server := filepath.Join(q.Get("host"), socket)
	ln, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		return "", err
	}
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			go k.between(client, server)
		}
	}()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func (k *Killer) between(client net.Conn, address string) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		k.carry(client, server, AfterStatement)
	}()
	k.carry(server, client, BeforeStatement)
}

func (k *Killer) carry(to io.Writer, from io.Reader, kind string) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		k.pass(kind)
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Listener puts the Killer into the connections that a listener accepts.
func (k *Killer) Listener(ln net.Listener) net.Listener { return killListener{ln, k} }

type killListener struct {
	net.Listener
	killer *Killer
}

func (l killListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return killConn{c, l.killer}, nil
}

type killConn struct {
	net.Conn
	killer *Killer
}

func (c killConn) Write(b []byte) (int, error) {
	c.killer.pass(BeforeAnswer)
	if c.killer.here(AmidAnswer) {
		if _, err := c.Conn.Write(b[:len(b)/2]); err == nil {
			die()
		}
	}
	n, err := c.Conn.Write(b)
	c.killer.pass(AfterAnswer)
	return n, err
}
