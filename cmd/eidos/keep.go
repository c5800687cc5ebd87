package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/wallet"
)

// keeper leaves what crosses a wire in a folder, so that anyone can look at it
// with other software:
//
//	messages/NNN-….http   requests and answers over HTTP
//	messages/NNN-….cbor   messages of the on-site session, encrypted as they were
//	documents/NNN.cbor    the issued documents as mdoc (IssuerSigned)
//	documents/NNN.sdjwt   the same as SD-JWT VC
//	anchors/…             the certificates and lists that everything is verified by
//
// A nil keeper keeps nothing.
type keeper struct {
	dir string

	mu  sync.Mutex
	n   map[string]int // of the numbered files, by folder
	err error          // the first that happened
}

func newKeeper(dir string) (*keeper, error) {
	if dir == "" {
		return nil, nil
	}
	for _, sub := range []string{"messages", "documents", "anchors"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	return &keeper{dir: dir, n: make(map[string]int)}, nil
}

// write saves a file, numbered if its name has a verb for the number.
func (k *keeper) write(sub, name string, data []byte) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if strings.Contains(name, "%") {
		k.n[sub]++
		name = fmt.Sprintf(name, k.n[sub])
	}
	if err := os.WriteFile(filepath.Join(k.dir, sub, name), data, 0o600); err != nil && k.err == nil {
		k.err = err
	}
}

// failed is the first error of writing.
func (k *keeper) failed() error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// fetch keeps what goes through do.
func (k *keeper) fetch(who string, do fetch.Func) fetch.Func {
	if k == nil {
		return do
	}
	return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		resp, err := do(ctx, r)
		if err != nil {
			return resp, err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
		writeHeader(&b, r.Header)
		b.Write(r.Body)
		fmt.Fprintf(&b, "\n\n%d\n", resp.Status)
		writeHeader(&b, resp.Header)
		b.Write(resp.Body)
		k.write("messages", "%03d-"+who+".http", []byte(b.String()))
		return resp, nil
	}
}

func writeHeader(b *strings.Builder, header map[string]string) {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(b, "%s: %s\n", name, header[name])
	}
	b.WriteByte('\n')
}

// documents keeps the copies of a document as the wallet has them: on the wire
// they are encrypted.
func (k *keeper) documents(ctx context.Context, w *wallet.Wallet, doc wallet.Document) error {
	if k == nil {
		return nil
	}
	name := "%03d.cbor"
	if doc.Format == query.FormatSDJWT {
		name = "%03d.sdjwt"
	}
	copies, err := w.Copies(ctx, doc.ID)
	for _, raw := range copies {
		k.write("documents", name, raw)
	}
	return err
}

// conn keeps the messages of an on-site session.
func (k *keeper) conn(c transport.Conn) transport.Conn {
	if k == nil {
		return c
	}
	return keptConn{c, k}
}

type keptConn struct {
	transport.Conn
	k *keeper
}

func (c keptConn) Send(ctx context.Context, msg []byte) error {
	c.k.write("messages", "%03d-onsite-from-wallet.cbor", msg)
	return c.Conn.Send(ctx, msg)
}

func (c keptConn) Receive(ctx context.Context) ([]byte, error) {
	msg, err := c.Conn.Receive(ctx)
	if err == nil {
		c.k.write("messages", "%03d-onsite-from-reader.cbor", msg)
	}
	return msg, err
}
