// Package outbox tells others of events: webhooks. An event is written in the
// transaction that it is about, and delivered afterwards at least once, by one
// of the processes that share the database, until it arrives or is given up.
//
// Messages follow Standard Webhooks 1.0: the headers webhook-id,
// webhook-timestamp and webhook-signature, "v1," and HMAC-SHA-256. They come in
// no order; a receiver knows a repetition by webhook-id.
package outbox

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrUnknown = errors.New("outbox: no such endpoint or message")
	ErrInvalid = errors.New("outbox: endpoint not valid")
)

// Config is what an outbox works with.
type Config struct {
	// Secret returns 32 bytes or more that are always the same for these
	// arguments, in every process, and unknown to others.
	Secret func(ctx context.Context, tenant, endpoint string, generation int64) ([]byte, error)
	// Fetch is the way to the endpoints, with a timeout well below the lease of
	// a minute. Optional: without it this process delivers nothing.
	Fetch fetch.Func
	Books *audit.Process // is told of endpoints that come, change and go
	Now   func() time.Time
	Log   *slog.Logger
}

// Outbox writes and delivers events. It may be used concurrently.
type Outbox struct {
	db     *db.DB
	config Config
	wake   chan struct{} // makes Run look at once

	mu   sync.Mutex
	busy map[string]bool // endpoints that this process delivers to
}

// New returns the outbox in a role's database.
func New(d *db.DB, c Config) *Outbox {
	return &Outbox{db: d, config: c, wake: make(chan struct{}, 1), busy: map[string]bool{}}
}

// Event is something that happened. Data holds ids and no personal data: it goes
// to others, and is kept until it has arrived.
type Event struct {
	// ID is the same for the same event, however often it is written; optional,
	// a random one.
	ID   string
	Kind string            // "document.issued"
	Data map[string]string // becomes the member data
}

// payload is what is sent. Standard Webhooks 1.0, "Payload structure".
type payload struct {
	Type      string            `json:"type"`
	Timestamp time.Time         `json:"timestamp"`
	Tenant    string            `json:"tenant"`
	Data      map[string]string `json:"data"`
}

// Write writes an event for each endpoint of the tenant that wants it, in the
// transaction of what happened.
func (o *Outbox) Write(ctx context.Context, tx *db.Tx, tenant string, e Event) error {
	ids, err := wanting(ctx, tx, tenant, e.Kind)
	if err != nil || len(ids) == 0 {
		return err
	}
	if e.ID == "" {
		e.ID = "msg_" + rand.Text()
	}
	now := o.config.Now()
	body, err := json.Marshal(payload{e.Kind, now.UTC(), tenant, e.Data})
	if err != nil {
		return fmt.Errorf("outbox: encode event: %w", err)
	}
	for _, id := range ids {
		if err := insert(ctx, tx, tenant, id, e, string(body), now); err != nil {
			return err
		}
	}
	return nil
}

// Endpoint is who is told of events.
type Endpoint struct {
	ID, Tenant string
	URL        string
	Kinds      []string // empty for all
	Active     bool
	Created    time.Time
	Rotated    time.Time // when the secret was made
	Failures   int       // one after the other
	Resume     time.Time // when the next try may be made, after failures

	generation int64
}

const (
	maxEndpoints = 20 // of a tenant
	maxURL       = 2048
)

var kindName = regexp.MustCompile(`^[a-z]+(\.[a-z]+)+$`)

// check refuses what cannot be called. loopback allows http to this machine.
func (e Endpoint) check(loopback bool) error {
	u, err := url.Parse(e.URL)
	switch {
	case len(e.URL) > maxURL || err != nil || conf.Address(e.URL) != nil:
		return fmt.Errorf("%w: the address is not https", ErrInvalid)
	case conf.Loopback(e.URL) && !loopback:
		return fmt.Errorf("%w: the address is on this machine", ErrInvalid)
	case strings.ContainsFunc(u.Host+u.Path, func(r rune) bool { return r < ' ' }):
		return fmt.Errorf("%w: control characters in the address", ErrInvalid)
	case len(e.Kinds) > maxEndpoints:
		return fmt.Errorf("%w: too many kinds", ErrInvalid)
	}
	for i, k := range e.Kinds {
		if !kindName.MatchString(k) || len(k) > 64 || slices.Contains(e.Kinds[:i], k) {
			return fmt.Errorf("%w: kind %.40q is malformed or given twice", ErrInvalid, k)
		}
	}
	return nil
}

// Add adds an endpoint and returns it with its secret, which can be had only
// here and from Rotate: "whsec_" and base64. loopback allows http to this
// machine. Error: ErrInvalid.
func (o *Outbox) Add(ctx context.Context, tenant, address string, kinds []string, loopback bool) (Endpoint, string, error) {
	now := o.config.Now()
	e := Endpoint{ID: "ep_" + rand.Text(), Tenant: tenant, URL: address, Kinds: kinds, Active: true, Created: now, Rotated: now, generation: 1}
	if err := e.check(loopback); err != nil {
		return e, "", err
	}
	secret, err := o.secret(ctx, e)
	if err != nil {
		return e, "", err
	}
	err = o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		there, err := endpoints(ctx, tx, tenant, "")
		if err != nil {
			return err
		}
		if len(there) >= maxEndpoints {
			return fmt.Errorf("%w: there are %d, at most %d", ErrInvalid, len(there), maxEndpoints)
		}
		if err := insertEndpoint(ctx, tx, e); err != nil {
			return err
		}
		return o.note(ctx, tx, "webhook added", e)
	})
	o.nudge()
	return e, secret, err
}

// secret is the current one of an endpoint, as it is shown.
func (o *Outbox) secret(ctx context.Context, e Endpoint) (string, error) {
	s, err := o.config.Secret(ctx, e.Tenant, e.ID, e.generation)
	if err != nil {
		return "", fmt.Errorf("outbox: secret: %w", err)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(s), nil
}

// nudge makes Run look at once.
func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// List returns a tenant's endpoints, the oldest first.
func (o *Outbox) List(ctx context.Context, tenant string) (list []Endpoint, err error) {
	err = o.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		list, err = endpoints(ctx, tx, tenant, "")
		return err
	})
	return list, err
}

// Get returns an endpoint. Error: ErrUnknown.
func (o *Outbox) Get(ctx context.Context, tenant, id string) (e Endpoint, err error) {
	err = o.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		e, err = endpoint(ctx, tx, tenant, id)
		return err
	})
	return e, err
}

// Change is what to change of an endpoint; nil leaves it.
type Change struct {
	URL    *string
	Kinds  []string // nil leaves them, empty is all
	Active *bool
}

// Update changes an endpoint and forgets its failures. One that is not active
// gets no events; those that wait for it go on waiting. Errors: ErrUnknown,
// ErrInvalid.
func (o *Outbox) Update(ctx context.Context, tenant, id string, c Change, loopback bool) (e Endpoint, err error) {
	err = o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if e, err = endpoint(ctx, tx, tenant, id); err != nil {
			return err
		}
		if c.URL != nil {
			e.URL = *c.URL
		}
		if c.Kinds != nil {
			e.Kinds = c.Kinds
		}
		if c.Active != nil {
			e.Active = *c.Active
		}
		e.Failures, e.Resume = 0, time.Time{}
		if err := e.check(loopback); err != nil {
			return err
		}
		if err := updateEndpoint(ctx, tx, e); err != nil {
			return err
		}
		return o.note(ctx, tx, "webhook changed", e)
	})
	o.nudge()
	return e, err
}

// Rotate gives an endpoint a new secret. For a day messages are signed with the
// one before, too. Error: ErrUnknown.
func (o *Outbox) Rotate(ctx context.Context, tenant, id string) (e Endpoint, secret string, err error) {
	err = o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if e, err = endpoint(ctx, tx, tenant, id); err != nil {
			return err
		}
		e.generation, e.Rotated = e.generation+1, o.config.Now()
		if err := updateEndpoint(ctx, tx, e); err != nil {
			return err
		}
		return o.note(ctx, tx, "webhook secret made", e)
	})
	if err != nil {
		return e, "", err
	}
	secret, err = o.secret(ctx, e)
	return e, secret, err
}

// Remove forgets an endpoint and what waits for it. Error: ErrUnknown.
func (o *Outbox) Remove(ctx context.Context, tenant, id string) error {
	return o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := removeEndpoint(ctx, tx, tenant, id); err != nil {
			return err
		}
		return o.note(ctx, tx, "webhook removed", Endpoint{Tenant: tenant, ID: id})
	})
}

// note writes what was done to an endpoint into the books. Its address may hold
// a secret of the receiver, and stays out.
func (o *Outbox) note(ctx context.Context, tx *db.Tx, what string, e Endpoint) error {
	return o.config.Books.Append(ctx, tx, o.config.Now(), audit.Event{Tenant: e.Tenant, What: what, Object: e.ID})
}

// Message is an event on its way.
type Message struct {
	ID, Kind string
	Created  time.Time
	Due      time.Time // next try
	Tries    int
	GivenUp  bool   // it is not tried any more
	Problem  string // of the last try
	body     string
}

// Messages returns what waits for an endpoint, and what was given up in the last
// 30 days, the oldest first, at most limit. Error: ErrUnknown.
func (o *Outbox) Messages(ctx context.Context, tenant, id string, limit int) (list []Message, err error) {
	err = o.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if _, err := endpoint(ctx, tx, tenant, id); err != nil {
			return err
		}
		list, err = messages(ctx, tx, tenant, id, limit)
		return err
	})
	return list, err
}

// Retry makes a message due now, also one that was given up: its days begin
// again. Error: ErrUnknown.
func (o *Outbox) Retry(ctx context.Context, tenant, endpoint, message string) error {
	defer o.nudge()
	return o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return retry(ctx, tx, tenant, endpoint, message, o.config.Now())
	})
}

// Depth is how many messages of a tenant wait, and how many were given up.
type Depth struct {
	Tenant           string
	Waiting, GivenUp int64
}

// Depths returns the depth of each tenant that has messages.
func (o *Outbox) Depths(ctx context.Context) (list []Depth, err error) {
	err = o.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		list, err = depths(ctx, tx)
		return err
	})
	return list, err
}
