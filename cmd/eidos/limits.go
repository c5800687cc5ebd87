package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/internal/web"
)

// complete returns the limits with everything filled in that was left out.
func (l Limits) complete() Limits {
	conf.Default(&l.PerAddress, 300)
	conf.Default(&l.PerTenant, 3000)
	conf.Default(&l.PerApp, 240)
	conf.Default(&l.PerService, 6000)
	conf.Default(&l.WrongCodes, 60)
	conf.Default(&l.WrongCodesPerTenant, 600)
	conf.Default(&l.WaitingPerAddress, 512)
	conf.Default(&l.Connections, 4096)
	return l
}

// maxLimit is where a limit is none any more.
const maxLimit = 1_000_000

func (l Limits) check() error {
	l = l.complete()
	var problems []error
	for _, n := range []struct {
		key        string
		value, low int
	}{
		{"perAddress", l.PerAddress, 10}, {"perTenant", l.PerTenant, 10}, {"perApp", l.PerApp, 1}, {"perService", l.PerService, 1},
		{"wrongCodes", l.WrongCodes, 1},
		{"wrongCodesPerTenant", l.WrongCodesPerTenant, 1}, {"waitingPerAddress", l.WaitingPerAddress, 1}, {"connections", l.Connections, 1},
	} {
		if n.value < n.low || n.value > maxLimit {
			problems = append(problems, fmt.Errorf("%s: wanted %d to %d", n.key, n.low, maxLimit))
		}
	}
	_, err := l.proxies()
	return errors.Join(append(problems, err)...)
}

func (l Limits) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range l.Proxies {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("proxies: %.40q: wanted a network such as 10.0.0.0/8, or 192.0.2.1/32 for one address", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// guard counts for one role. It is nil where the limits are off.
func (l Limits) guard(now func() time.Time) (*web.Guard, error) {
	if l.Off {
		return nil, nil
	}
	l = l.complete()
	proxies, err := l.proxies()
	return web.NewGuard(web.GuardOptions{
		PerAddress: l.PerAddress, PerTenant: l.PerTenant, PerClient: l.PerApp, PerServer: l.PerService,
		WrongPerAddress: l.WrongCodes, WrongPerTenant: l.WrongCodesPerTenant, StayPerAddress: l.WaitingPerAddress, Proxies: proxies, Now: now,
	}), err
}
