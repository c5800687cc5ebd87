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
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
)

// hammerAuthorityCmd is the process that hammer issue loads: the authority of
// the demonstration, which takes orders from whoever reaches it. It listens on
// loopback only, and issues to nobody but invented people.
type hammerAuthorityCmd struct {
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

// Run serves until it is interrupted.
func (c *hammerAuthorityCmd) Run(m *machine) (err error) {
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
	a := &hammered{origin: "https://issuer.localhost:" + port, now: m.now}
	if err := a.open(ctx, dir, c.DB); err != nil {
		return err
	}
	defer a.db.Close()
	ca, tlsFiles, err := hammerTLS(dir, m.now())
	if err != nil {
		return err
	}
	config, err := web.ServerTLS(tlsFiles[0], tlsFiles[1])
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return web.Serve(ctx, ln, a.handler(), web.ServeOptions{TLS: config, Drain: time.Second})
	})
	group.Go(func() error { return a.authority.Run(ctx) })
	if err := m.json(hammerReady{Ready: true, URL: a.origin, CA: string(ca)}); err != nil {
		cancel()
		return errors.Join(err, group.Wait())
	}
	return group.Wait()
}

// hammered is an authority under load.
type hammered struct {
	origin    string
	engine    string // of the database
	now       func() time.Time
	db        *db.DB
	schema    string // on PostgreSQL
	authority *issuer.Authority
	anchors   atomic.Pointer[assure.Anchors] // nil trusts nobody

	mu      sync.Mutex
	profile *bytes.Buffer // nil when none is taken; guarded by mu
}

// open opens the authority of the demonstration in a folder.
func (a *hammered) open(ctx context.Context, dir, dsn string) error {
	register := filepath.Join(dir, "register")
	if err := demodata.Write(register); err != nil {
		return err
	}
	area, err := openArea(ctx, filepath.Join(dir, roleIssuer), roleIssuer)
	if err != nil {
		return err
	}
	schema := roleIssuer
	if a.engine = "postgres"; dsn == "" {
		a.engine = "sqlite"
		dsn = "sqlite:" + filepath.Join(dir, "issuer.db")
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
	if a.db, err = db.Open(ctx, dsn, schema, issuer.Schema); err != nil {
		return err
	}
	// What is logged is part of the work.
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, a.db.Close())
	}
	tenant := issuer.DemoTenant()
	tenant.Source = filepath.Join(register, demodata.Register)
	a.authority, err = issuer.New(issuer.Config{URL: a.origin, Tenants: []issuer.Tenant{tenant}}, issuer.Deps{
		DB: a.db, Area: area, Now: a.now, Log: slog.New(slog.NewTextHandler(log, nil)),
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return a.anchors.Load(), nil },
	})
	if err != nil {
		return errors.Join(err, a.db.Close())
	}
	return nil
}

// handler serves the authority, and below /hammer/ the orders.
func (a *hammered) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.authority.Handler())
	for name, f := range map[string]web.ErrFunc{
		"provider": a.trust, "offers": a.offers, "start": a.start, "stop": a.stop, "usage": a.usage, "raw": a.raw,
	} {
		mux.Handle("POST /hammer/"+name, f)
	}
	return mux
}

// trust makes the certificate in the body the only root of wallet providers.
func (a *hammered) trust(w http.ResponseWriter, r *http.Request) error {
	der, err := web.ReadBody(w, r, web.DefaultBodyLimit)
	if err != nil {
		return err
	}
	root, err := pki.ParseCertificate(der)
	if err != nil {
		return &web.Error{Status: http.StatusBadRequest, Err: err}
	}
	anchors, err := assure.NewAnchors(assure.FromCertificates(trustlist.WalletProvider, "hammer", root)...)
	if err != nil {
		return err
	}
	a.anchors.Store(anchors)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxOffersAtOnce keeps the time of one answer within the limits of servers.
const maxOffersAtOnce = 500

// offers makes ?n= offers of ?offering=.
func (a *hammered) offers(w http.ResponseWriter, r *http.Request) error {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 || n > maxOffersAtOnce {
		return web.Errorf(http.StatusBadRequest, "n is from 1 to %d.", maxOffersAtOnce)
	}
	list := make([]issuer.Offer, n)
	for i := range list {
		p := issuer.OfferParams{Offerings: []string{r.URL.Query().Get("offering")}, Subject: "ada", TxCode: true}
		list[i], err = a.authority.Offer(r.Context(), "default", p)
		if errors.Is(err, issuer.ErrUnknownOffering) {
			return web.Errorf(http.StatusNotFound, "There is no such offering.")
		}
		if err != nil {
			return err
		}
	}
	web.JSON(w, http.StatusOK, list)
	return nil
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

// hammerTLS makes a CA for one run and under it a TLS certificate for the
// loopback names, which it writes into a folder. It returns the CA and the
// names of the files of certificate and key, all PEM.
func hammerTLS(dir string, now time.Time) (ca []byte, files [2]string, err error) {
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
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer.localhost"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		DNSNames: []string{"issuer.localhost"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
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
