package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/wallet"
	walletweb "github.com/eidos-id/eidos/wallet/web"
)

// pages opens the mdoc app of the data directory with its pages.
func (h *house) pages(ctx context.Context) (*walletweb.App, error) {
	if err := h.cfg.keepsPages(); err != nil {
		return nil, err
	}
	return walletweb.New(h.cfg.WalletPages, walletweb.Deps{
		Wallet: func(consent wallet.Consent, redirectURI string) (*wallet.Wallet, error) {
			at := *h
			at.closers, at.cfg.Wallet.RedirectURI = nil, redirectURI
			w, err := at.wallet(ctx, consent)
			h.closers = append(h.closers, at.closers...)
			return w, err
		},
		Listen: func(ctx context.Context) (wallet.Listener, error) {
			ln, err := tcp.Listen(ctx, "127.0.0.1:0", tcp.Options{})
			if err != nil {
				return nil, err
			}
			return ln, nil
		},
		Invite: h.invite, Now: h.now, Log: h.log,
	})
}

// keepsPages says why the app's pages cannot be served: they are for the holder
// in front of the machine.
func (c Config) keepsPages() error {
	host, _, err := net.SplitHostPort(c.listen())
	switch {
	case err != nil:
		return err
	case !web.IsLoopbackName(host):
		return fmt.Errorf("the app's pages are for the machine that they run on, not for %s: listen on a loopback address", c.listen())
	case c.TLS.Certificate != "":
		return errors.New("the app's pages are plain http on this machine: serve them without tls, in a process of their own")
	}
	return nil
}

// rolesHere are the roles that serve with a configuration, of those named:
// everything but the app's pages where they cannot be.
func (c Config) rolesHere(named []string) []string {
	all := slices.Contains(named, "all")
	return slices.DeleteFunc(allRoles(), func(r string) bool {
		if all {
			return r == roleWallet && c.keepsPages() != nil
		}
		return !slices.Contains(named, r)
	})
}
