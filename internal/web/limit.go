package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxBuckets bounds how many keys Buckets remember.
const maxBuckets = 1 << 16

// Buckets are token buckets, one for each key, in bounded memory of this
// process. They may be used concurrently.
type Buckets[K comparable] struct {
	size  time.Duration // of a bucket: how long an empty one takes to fill
	every time.Duration // of a token

	mu sync.Mutex
	// When the bucket of a key is full again; full buckets need not be known.
	// Once there are many, those that were not asked for since are forgotten: who
	// has so many addresses is not held back by counting them.
	full, before map[K]time.Time // guarded by mu
}

// NewBuckets returns buckets of n tokens, of which an empty one fills within per.
func NewBuckets[K comparable](n int, per time.Duration) *Buckets[K] {
	every := max(1, per/time.Duration(n))
	return &Buckets[K]{size: every * time.Duration(n), every: every, full: map[K]time.Time{}}
}

// Wait is how long it takes until n tokens are there, 0 if they are.
func (b *Buckets[K]) Wait(key K, n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait(key, n, now)
}

// Take takes n tokens, or none and says how long to wait for them.
func (b *Buckets[K]) Take(key K, n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.wait(key, n, now)
	if wait > 0 {
		return wait
	}
	if len(b.full) >= maxBuckets/2 {
		b.full, b.before = map[K]time.Time{}, b.full
	}
	b.full[key] = b.until(key, now).Add(time.Duration(n) * b.every)
	return 0
}

func (b *Buckets[K]) wait(key K, n int, now time.Time) time.Duration {
	return max(0, b.until(key, now).Sub(now)+time.Duration(n)*b.every-b.size)
}

// until is when the bucket of a key is full, now if it is.
func (b *Buckets[K]) until(key K, now time.Time) time.Time {
	at, ok := b.full[key]
	if !ok {
		at = b.before[key]
	}
	if at.Before(now) {
		return now
	}
	return at
}

// Address is who sends a request: an IPv4 address, or the /64 of an IPv6 one,
// which is what one customer has. It is the zero Prefix if that is not known.
func Address(r *http.Request) netip.Prefix { return addressBehind(r, nil) }

// addressBehind is Address where proxies pass requests on: the last address in
// X-Forwarded-For that is none of theirs. Anybody else could write there what
// they like.
func addressBehind(r *http.Request, proxies []netip.Prefix) netip.Prefix {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && ours(ip); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		ip = next.Unmap().WithZone("")
	}
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// GuardOptions are the limits of a Guard, each 1 or more.
type GuardOptions struct {
	PerAddress, PerTenant int            // of what strangers begin, in a minute
	PerClient             int            // requests of one app in a minute
	PerServer             int            // requests of one service that acts for many apps, in a minute
	WrongPerAddress       int            // secrets tried in vain, in an hour
	WrongPerTenant        int            // the same of all addresses
	StayPerAddress        int            // streams and the like that are open at a time
	Proxies               []netip.Prefix // whose X-Forwarded-For is believed
	Now                   func() time.Time
}

// Guard holds back who asks or guesses too often, before anything is written
// for them. It counts in this process, by address and by tenant. A nil Guard
// holds nobody back. It may be used concurrently.
type Guard struct {
	proxies        []netip.Prefix
	now            func() time.Time
	addresses      *Buckets[netip.Prefix]
	tenants        *Buckets[string]
	clients        *Buckets[string]
	servers        *Buckets[string]
	wrong          *Buckets[netip.Prefix]
	wrongOfTenants *Buckets[string]
	perAddress     int // of staying

	mu      sync.Mutex
	staying map[netip.Prefix]int // guarded by mu
}

// NewGuard returns a Guard of one role.
func NewGuard(o GuardOptions) *Guard {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Guard{
		proxies: o.Proxies, now: o.Now,
		addresses: NewBuckets[netip.Prefix](o.PerAddress, time.Minute), tenants: NewBuckets[string](o.PerTenant, time.Minute),
		clients: NewBuckets[string](o.PerClient, time.Minute), servers: NewBuckets[string](o.PerServer, time.Minute),
		wrong: NewBuckets[netip.Prefix](o.WrongPerAddress, time.Hour), wrongOfTenants: NewBuckets[string](o.WrongPerTenant, time.Hour),
		perAddress: o.StayPerAddress, staying: map[netip.Prefix]int{},
	}
}

// Admit counts something that a stranger begins, as cost things, against the
// address and then against the tenant. The error is that of TooMany.
func (g *Guard) Admit(r *http.Request, tenant string, cost int) error {
	if g == nil {
		return nil
	}
	now := g.now()
	wait := g.addresses.Take(addressBehind(r, g.proxies), cost, now)
	if wait == 0 {
		wait = g.tenants.Take(tenant, cost, now)
	}
	return TooMany(wait, "There are too many requests at the moment.")
}

// stayAgain is when who keeps too much open may try again: how soon something of
// theirs ends is not known.
const stayAgain = 5 * time.Second

// Stay counts something of an address that stays open, such as a stream of
// events, until leave is called, once. The error is that of TooMany.
func (g *Guard) Stay(r *http.Request, what string) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	address := addressBehind(r, g.proxies)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.staying[address] >= g.perAddress {
		return nil, TooMany(stayAgain, what)
	}
	g.staying[address]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.staying[address]--; g.staying[address] == 0 {
			delete(g.staying, address)
		}
	}, nil
}

// Guess says whether a secret may be tried; Wrong is told if it was in vain.
// The error is as with Admit.
func (g *Guard) Guess(r *http.Request, tenant string) error {
	if g == nil {
		return nil
	}
	now := g.now()
	wait := max(g.wrong.Wait(addressBehind(r, g.proxies), 1, now), g.wrongOfTenants.Wait(tenant, 1, now))
	return TooMany(wait, "There were too many wrong codes.")
}

// Wrong counts a secret that was tried in vain.
func (g *Guard) Wrong(r *http.Request, tenant string) {
	if g == nil {
		return
	}
	now := g.now()
	g.wrong.Take(addressBehind(r, g.proxies), 1, now)
	g.wrongOfTenants.Take(tenant, 1, now)
}

// Client counts a request of an app that has proved who it is, and says how
// long it has to wait, 0 if it has not.
func (g *Guard) Client(id string) time.Duration {
	if g == nil {
		return 0
	}
	return g.clients.Take(id, 1, g.now())
}

// Server is Client for a service that acts for many apps.
func (g *Guard) Server(id string) time.Duration {
	if g == nil {
		return 0
	}
	return g.servers.Take(id, 1, g.now())
}

// TooMany is the refusal of who has to wait, nil for 0: an *Error with status
// 429. RFC 6585, 4.
func TooMany(wait time.Duration, what string) error {
	if wait == 0 {
		return nil
	}
	again := "Please try again in " + RetryAfter(wait) + " seconds."
	if wait > 2*time.Minute {
		again = fmt.Sprintf("Please try again in %d minutes.", int(wait/time.Minute)+1)
	}
	return &Error{Status: http.StatusTooManyRequests, Message: what + " " + again, Wait: wait}
}

// RetryAfter is a wait as the header of this name has it: whole seconds. RFC
// 9110, 10.2.3.
func RetryAfter(wait time.Duration) string {
	return fmt.Sprint(int((wait + time.Second - 1) / time.Second))
}
