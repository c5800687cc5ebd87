package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
)

// hammerAuthorityCmd is the process that hammer issue loads: the authority of
// the demonstration, which takes orders from whoever reaches it and issues to
// nobody but invented people.
type hammerAuthorityCmd struct {
	hammerTarget
}

// Run serves until it is interrupted.
func (c *hammerAuthorityCmd) Run(m *machine) error {
	a := &hammeredAuthority{}
	return c.serve(m, roleIssuer, issuer.Schema, &a.hammered, a)
}

// hammeredAuthority is an authority under load.
type hammeredAuthority struct {
	hammered
	authority *issuer.Authority
	anchors   atomic.Pointer[assure.Anchors] // nil trusts nobody
}

// open opens the authority of the demonstration.
func (a *hammeredAuthority) open(_ context.Context, dir string) (err error) {
	register := filepath.Join(dir, "register")
	if err := demodata.Write(register); err != nil {
		return err
	}
	tenant := issuer.DemoTenant()
	tenant.Source = filepath.Join(register, demodata.Register)
	a.authority, err = issuer.New(issuer.Config{URL: a.origin, Tenants: []issuer.Tenant{tenant}}, issuer.Deps{
		DB: a.db, Area: a.area, Now: a.now, Log: a.log,
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return a.anchors.Load(), nil },
	})
	return err
}

func (a *hammeredAuthority) run(ctx context.Context) error { return a.authority.Run(ctx) }

// handler serves the authority, and its orders.
func (a *hammeredAuthority) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.authority.Handler())
	mux.Handle("POST /hammer/provider", web.ErrFunc(a.trust))
	mux.Handle("POST /hammer/offers", web.ErrFunc(a.offers))
	return mux
}

// trust makes the certificate in the body the only root of wallet providers.
func (a *hammeredAuthority) trust(w http.ResponseWriter, r *http.Request) error {
	anchors, err := hammerRoot(w, r, trustlist.WalletProvider)
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
func (a *hammeredAuthority) offers(w http.ResponseWriter, r *http.Request) error {
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
