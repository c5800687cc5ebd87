package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/securearea"
	"golang.org/x/sync/errgroup"
)

// hammerTarget is a process that is loaded, whatever role it plays. It listens
// on loopback only, and takes orders from whoever reaches it.
type hammerTarget struct {
	DB    string `name:"db" placeholder:"DSN" help:"postgres://… to use in place of SQLite. Each run leaves a schema of its own there."`
	Procs int    `default:"1" help:"Processors that it may use at a time."`
	Data  string `type:"path" placeholder:"DIR" help:"Folder of keys, certificates, log and database. Made for the run and removed, if not given."`
	Tied  bool   `hidden:"" help:"End when standard input does."`
}

// hammerReady is what it says when it is ready.
type hammerReady struct {
	Ready bool   `json:"ready"`
	URL   string `json:"url"` // origin
	CA    string `json:"ca"`  // PEM, of the TLS certificate
}

// hammered is what roles under load have in common.
type hammered struct {
	host   string // of the role
	origin string
	ca     *x509.Certificate // of the TLS certificate
	engine string            // of the database
	now    func() time.Time
	db     *db.DB
	schema string // on PostgreSQL
	area   securearea.Area
	log    *slog.Logger

	mu      sync.Mutex
	profile *bytes.Buffer // nil when none is taken; guarded by mu
}

// hammeredRole is a role under load.
type hammeredRole interface {
	// open makes the role in a folder.
	open(ctx context.Context, dir string) error
	handler() http.Handler
	run(ctx context.Context) error
}

// serve serves a role until it is interrupted.
func (c *hammerTarget) serve(m *machine, role string, schema fs.FS, h *hammered, played hammeredRole) (err error) {
	if c.Procs < 1 || c.Procs > runtime.NumCPU() {
		return usage("--procs %d: this machine has %d", c.Procs, runtime.NumCPU())
	}
	runtime.GOMAXPROCS(c.Procs)
	defer collectLater()()
	dir := c.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "eidos-hammer-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	if c.Tied {
		go func() {
			io.Copy(io.Discard, m.in) // returns when whoever started us has ended
			cancel()
		}()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return err
	}
	h.host = role + ".localhost"
	h.origin, h.now = "https://"+h.host+":"+port, m.now
	ca, tlsFiles, err := hammerTLS(dir, h.host, m.now())
	if err != nil {
		return err
	}
	if h.ca, err = certificateOf(string(ca)); err != nil {
		return err
	}
	if err := h.open(ctx, dir, c.DB, role, schema); err != nil {
		return err
	}
	defer h.db.Close()
	if err := played.open(ctx, dir); err != nil {
		return err
	}
	config, err := web.ServerTLS(tlsFiles[0], tlsFiles[1])
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return web.Serve(ctx, ln, h.handler(played.handler()), web.ServeOptions{TLS: config, Drain: time.Second})
	})
	group.Go(func() error { return played.run(ctx) })
	if err := m.json(hammerReady{Ready: true, URL: h.origin, CA: string(ca)}); err != nil {
		cancel()
		return errors.Join(err, group.Wait())
	}
	return group.Wait()
}

// open opens what the role works with in a folder.
func (a *hammered) open(ctx context.Context, dir, dsn, role string, migrations fs.FS) (err error) {
	if a.area, err = openArea(ctx, filepath.Join(dir, role), role); err != nil {
		return err
	}
	schema := role
	if a.engine = "postgres"; dsn == "" {
		a.engine = "sqlite"
		dsn = "sqlite:" + filepath.Join(dir, role+".db")
	} else {
		// Records of another run would name keys that are not here.
		letters := strings.Map(func(r rune) rune {
			if r < 'A' {
				return -1 // the digits
			}
			return r
		}, rand.Text())
		schema = "hammer" + strings.ToLower(letters)
		a.schema = schema
	}
	// What is logged is part of the work.
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	a.log = slog.New(slog.NewTextHandler(log, nil))
	a.db, err = db.Open(ctx, dsn, schema, migrations)
	return err
}

// handler serves the role, and below /hammer/ the orders that all obey.
func (a *hammered) handler(role http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", role)
	for name, f := range map[string]web.ErrFunc{"start": a.start, "stop": a.stop, "usage": a.usage, "raw": a.raw} {
		mux.Handle("POST /hammer/"+name, f)
	}
	return mux
}

// hammerRoot reads a certificate out of the body of an order, as anchors.
func hammerRoot(w http.ResponseWriter, r *http.Request, purpose trustlist.Purpose) (*assure.Anchors, error) {
	der, err := web.ReadBody(w, r, web.DefaultBodyLimit)
	if err != nil {
		return nil, err
	}
	root, err := pki.ParseCertificate(der)
	if err != nil {
		return nil, &web.Error{Status: http.StatusBadRequest, Err: err}
	}
	return assure.NewAnchors(assure.FromCertificates(purpose, "hammer", root)...)
}

// hammerUsage is what the process has used so far.
type hammerUsage struct {
	hammer.Usage
	Procs    int      `json:"procs"`            // GOMAXPROCS
	Engine   string   `json:"engine"`           // of the database: sqlite or postgres
	Schema   string   `json:"schema,omitempty"` // in PostgreSQL
	Database db.Stats `json:"database"`
	Profile  []byte   `json:"profile,omitempty"` // CPU, as runtime/pprof writes it
}

func (a *hammered) used() hammerUsage {
	return hammerUsage{Usage: hammer.Now(), Procs: runtime.GOMAXPROCS(0), Engine: a.engine, Schema: a.schema, Database: a.db.Stats()}
}

func (a *hammered) usage(w http.ResponseWriter, _ *http.Request) error {
	web.JSON(w, http.StatusOK, a.used())
	return nil
}

// start begins a CPU profile.
func (a *hammered) start(w http.ResponseWriter, _ *http.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.profile != nil {
		return web.Errorf(http.StatusConflict, "A profile is being taken.")
	}
	b := &bytes.Buffer{}
	if err := pprof.StartCPUProfile(b); err != nil {
		return err
	}
	a.profile = b
	web.JSON(w, http.StatusOK, a.used())
	return nil
}

// stop ends the profile and returns it.
func (a *hammered) stop(w http.ResponseWriter, _ *http.Request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.profile == nil {
		return web.Errorf(http.StatusConflict, "No profile is being taken.")
	}
	u := a.used()
	pprof.StopCPUProfile()
	u.Profile, a.profile = a.profile.Bytes(), nil
	web.JSON(w, http.StatusOK, u)
	return nil
}

// rawTime is how long raw signing goes on.
const rawTime = 500 * time.Millisecond

func (a *hammered) raw(w http.ResponseWriter, _ *http.Request) error {
	r, err := hammer.Sign(rawTime)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, r)
	return nil
}

// hammerTLS makes a CA for one run and under it a TLS certificate for a
// loopback name, which it writes into a folder. It returns the CA and the
// names of the files of certificate and key, all PEM.
func hammerTLS(dir, host string, now time.Time) (ca []byte, files [2]string, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, files, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, files, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "eidos hammer CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		return nil, files, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		DNSNames: []string{host}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), caKey)
	if err != nil {
		return nil, files, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return nil, files, err
	}
	for i, f := range []struct {
		name, kind string
		der        []byte
	}{{"tls.pem", "CERTIFICATE", leafDER}, {"tls.key", "PRIVATE KEY", keyDER}} {
		files[i] = filepath.Join(dir, f.name)
		if err := writeFile(files[i], pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return nil, files, fmt.Errorf("TLS of the run: %w", err)
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), files, nil
}
