package outbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
)

const (
	lease       = time.Minute // for one round of an endpoint
	atOnce      = 8           // messages of a round
	endpointsUp = 16          // endpoints that this process delivers to at once
	look        = time.Second // from one look for due messages to the next
	lookIdle    = 10 * time.Second

	firstWait = 5 * time.Second
	longWait  = 6 * time.Hour
	giveUp    = 3 * 24 * time.Hour  // after which an event is not tried any more
	remember  = 30 * 24 * time.Hour // for which it is shown afterwards
	overlap   = 24 * time.Hour      // for which two secrets sign
)

// Run delivers what is due until ctx ends, and waits for what is on its way.
func (o *Outbox) Run(ctx context.Context) error {
	if o.config.Fetch == nil {
		return nil
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, endpointsUp)
	swept := time.Time{}
	for {
		wait := look
		due, idle, err := o.look(ctx)
		if err != nil && ctx.Err() == nil {
			o.config.Log.Error("webhooks: what is due was not found", "error", err.Error())
		}
		if idle {
			wait = lookIdle
		}
		for _, e := range due {
			if !o.begin(e) {
				continue
			}
			select {
			case slots <- struct{}{}:
				wg.Go(func() {
					defer func() { o.end(e); <-slots }()
					o.drain(ctx, e)
				})
			default:
				o.end(e) // its turn comes
			}
		}
		if now := o.config.Now(); now.Sub(swept) > time.Hour && err == nil {
			swept = now
			o.sweep(ctx, now)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		case <-time.After(wait):
		}
	}
}

// look finds endpoints with something due; idle says that there is no endpoint.
func (o *Outbox) look(ctx context.Context) (due []Endpoint, idle bool, err error) {
	now := o.config.Now()
	err = o.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		due, idle, err = work(ctx, tx, now)
		return err
	})
	return due, idle, err
}

func (o *Outbox) begin(e Endpoint) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := e.Tenant + "/" + e.ID
	if o.busy[key] {
		return false
	}
	o.busy[key] = true
	return true
}

func (o *Outbox) end(e Endpoint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.busy, e.Tenant+"/"+e.ID)
}

func (o *Outbox) sweep(ctx context.Context, now time.Time) {
	err := o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return sweep(ctx, tx, now.Add(-giveUp), now.Add(-giveUp-remember))
	})
	if err != nil && ctx.Err() == nil {
		o.config.Log.Error("webhooks: old messages not swept", "error", err.Error())
	}
}

// drain delivers what is due for an endpoint, until there is nothing or one
// message does not arrive: an endpoint that is down is not asked again at once,
// and holds nobody else up.
func (o *Outbox) drain(ctx context.Context, e Endpoint) {
	for ctx.Err() == nil {
		n, err := o.round(ctx, e)
		if err != nil && ctx.Err() == nil {
			o.config.Log.Error("webhooks: delivery not recorded; it is made again", "endpoint", e.ID, "error", err.Error())
		}
		if err != nil || n == 0 {
			return
		}
	}
}

// round leases some messages of an endpoint and delivers them one by one. It
// returns how many have arrived, 0 to stop.
func (o *Outbox) round(ctx context.Context, e Endpoint) (int, error) {
	now := o.config.Now()
	var batch []Message
	err := o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		// Another process may have found it down, or somebody may have changed it.
		if e, err = endpoint(ctx, tx, e.Tenant, e.ID); err != nil || !e.Active || e.Resume.After(now) {
			batch = nil
			return err
		}
		batch, err = take(ctx, tx, e, atOnce, now, now.Add(lease))
		return err
	})
	if errors.Is(err, ErrUnknown) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for i, m := range batch {
		problem, gone := o.send(ctx, e, m)
		// Half of the lease is kept for one more exchange.
		last := problem != "" || o.config.Now().Sub(now) > lease/2
		// What was sent was sent, also if this process is about to end.
		err := o.db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
			if last {
				if err := release(ctx, tx, e, batch[i+1:], now); err != nil {
					return err
				}
			}
			switch problem {
			case "":
				return arrived(ctx, tx, e, m)
			case stopped:
				return release(ctx, tx, e, batch[i:i+1], now)
			}
			return o.notArrived(ctx, tx, e, m, problem, gone)
		})
		if err != nil || problem != "" {
			return 0, err
		}
		if last {
			return i + 1, nil
		}
	}
	return len(batch), nil
}

// stopped is the problem of an exchange that we broke off ourselves.
const stopped = "stopped"

// notArrived says when the message is tried again. An endpoint that is gone for
// good is not asked again.
func (o *Outbox) notArrived(ctx context.Context, tx *db.Tx, e Endpoint, m Message, problem string, gone bool) error {
	now := o.config.Now()
	next := now.Add(backoff(e.Failures))
	given := gone || next.Sub(m.Created) > giveUp
	o.config.Log.Warn("webhook not delivered", "tenant", e.Tenant, "endpoint", e.ID, "message", m.ID, "try", m.Tries, "problem", problem, "given_up", given)
	if err := failed(ctx, tx, e, m, problem, given, next); err != nil || !gone {
		return err
	}
	return switchOff(ctx, tx, e)
}

// backoff doubles with each failure, and differs by up to half so that
// processes and endpoints do not come at the same moment.
func backoff(failures int) time.Duration {
	d := min(firstWait<<min(failures, 13), longWait)
	return d/2 + rand.N(d)
}

// send makes one delivery; problem is empty if it has arrived: any 2xx. gone is
// 410, by which a receiver says that it wants nothing any more.
func (o *Outbox) send(ctx context.Context, e Endpoint, m Message) (problem string, gone bool) {
	now := o.config.Now()
	signature, err := o.sign(ctx, e, m, now)
	if err != nil {
		return "it could not be signed", false
	}
	resp, err := o.config.Fetch(ctx, fetch.Request{Method: http.MethodPost, URL: e.URL, Body: []byte(m.body), Header: map[string]string{
		"content-type": "application/json", "webhook-id": m.ID, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": signature,
	}})
	switch {
	case ctx.Err() != nil:
		return stopped, false
	case errors.Is(err, fetch.ErrForbidden):
		return "the address is not one that may be called", false
	case errors.Is(err, fetch.ErrTooLarge):
		return "the answer is too large", false
	case err != nil:
		return "no answer", false
	case resp.Status/100 == 2:
		return "", false
	}
	return fmt.Sprintf("answered with status %d", resp.Status), resp.Status == http.StatusGone
}

// sign makes webhook-signature: with the current secret, and for a day with the
// one before. Standard Webhooks 1.0, "Signature scheme".
func (o *Outbox) sign(ctx context.Context, e Endpoint, m Message, now time.Time) (string, error) {
	generations := []int64{e.generation}
	if e.generation > 1 && now.Sub(e.Rotated) < overlap {
		generations = append(generations, e.generation-1)
	}
	var all []string
	for _, g := range generations {
		secret, err := o.config.Secret(ctx, e.Tenant, e.ID, g)
		if err != nil {
			return "", err
		}
		all = append(all, signature(secret, m.ID, now.Unix(), m.body))
	}
	return strings.Join(all, " "), nil
}

func signature(secret []byte, id string, timestamp int64, body string) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
