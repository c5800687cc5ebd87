package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ServerTLS returns the TLS settings of a server: TLS 1.3, or 1.2 with forward
// secrecy and AES-GCM, with the certificate chain and key of two PEM files.
// Within a minute after the files change, new connections get the new ones; if
// those cannot be read, the old stay in use.
func ServerTLS(certFile, keyFile string) (*tls.Config, error) {
	f := &certificateFiles{cert: certFile, key: keyFile}
	if err := f.load(time.Now()); err != nil {
		return nil, err
	}
	c := ClientTLS()
	c.NextProtos = []string{"h2", "http/1.1"}
	c.GetCertificate = f.get
	return c, nil
}

// certificateFiles is a certificate that follows its files.
type certificateFiles struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate // guarded by mu, as is all below
	changed [2]time.Time     // of cert and key when they were loaded
	looked  time.Time
}

// recheck is how often the files are looked at.
const recheck = time.Minute

func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= recheck {
		// A pair half written does not load; the next look will find it whole.
		if err := f.load(now); err != nil && f.loaded == nil {
			return nil, err
		}
	}
	return f.loaded, nil
}

// load reads the files if they have changed.
func (f *certificateFiles) load(now time.Time) error {
	f.looked = now
	ci, err1 := os.Stat(f.cert)
	ki, err2 := os.Stat(f.key)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("web: certificate: %w", err)
	}
	changed := [2]time.Time{ci.ModTime(), ki.ModTime()}
	if f.loaded != nil && changed == f.changed {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("web: certificate: %w", err)
	}
	f.loaded, f.changed = &pair, changed
	return nil
}
