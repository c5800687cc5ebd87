package wallet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/securearea"
)

// Instance is this installation of the app as its provider knows it.
type Instance struct {
	Provider  string            `json:"provider"` // base URL
	ID        string            `json:"instance_id"`
	ClientID  string            `json:"client_id"`
	Level     attestation.Level `json:"assurance_level"`
	Area      string            `json:"secure_area"` // where its key lives
	Installed time.Time         `json:"installed"`
	Expires   time.Time         `json:"expires"` // of the newest attestation; each issuer gets its own
	Links     attestation.Links `json:"links"`
}

// instanceRow is the stored instance.
type instanceRow struct {
	Instance
	Key         string `json:"key"` // id in the secure area
	Attestation string `json:"-"`   // the newest, for whoever asked for it
}

const thisInstance = "this"

// Install makes the instance key and registers the app with the provider at a
// base URL. Installed there already, it renews what the provider vouches for.
//
// ISO/IEC 23220-1:2023, 7.
func (w *Wallet) Install(ctx context.Context, provider string) (Instance, error) {
	provider = strings.TrimSuffix(provider, "/")
	if err := oauth.CheckURL(provider); err != nil {
		return Instance{}, fmt.Errorf("install: provider: %w", err)
	}
	w.sweep(ctx)
	row, err := w.instance(ctx)
	switch {
	case err == nil && row.Provider != provider:
		return Instance{}, fmt.Errorf("install: the app is installed with %s already; uninstall it there first", row.Provider)
	case err == nil:
		row, err = w.renew(ctx, row, nil, 0)
		var refusal *attestation.Error
		if !errors.As(err, &refusal) || refusal.Code != attestation.CodeUnknownInstance {
			return row.Instance, err
		}
		// The provider does not know us any more: begin again.
		if err := w.Uninstall(ctx); err != nil {
			return Instance{}, err
		}
	case !errors.Is(err, ErrNotInstalled):
		return Instance{}, err
	}
	row, err = w.register(ctx, provider)
	if err != nil {
		return Instance{}, fmt.Errorf("install: %w", err)
	}
	w.deps.Log.InfoContext(ctx, "installed", "provider", provider, "level", string(row.Level))
	return row.Instance, nil
}

// register makes a key and has the provider vouch for it.
func (w *Wallet) register(ctx context.Context, provider string) (instanceRow, error) {
	keys, err := w.makeKeys(ctx, 1)
	if err != nil {
		return instanceRow{}, err
	}
	row, err := w.introduce(ctx, provider, keys[0])
	if err == nil {
		err = w.deps.Storage.Tx(ctx, func(t Txn) error {
			if err := t.Delete(ctx, kindOrphan, row.Key); err != nil {
				return err
			}
			return putJSON(ctx, t, kindInstance, thisInstance, row)
		})
	}
	if err != nil {
		w.forget(ctx, keys[0].Info().ID)
		return instanceRow{}, err
	}
	return row, nil
}

// introduce is the conversation with the provider.
func (w *Wallet) introduce(ctx context.Context, provider string, k securearea.Key) (instanceRow, error) {
	signer, err := k.Signer()
	if err != nil {
		return instanceRow{}, err
	}
	client := attestation.Client{Base: provider, Instance: signer, Fetch: w.deps.Fetch}
	now := w.now()
	resp, err := client.Install(ctx, attestation.InstallRequest{
		// No secure area here has evidence that a provider could check yet.
		Format: attestation.EvidenceSoftwareTOFU, App: w.app(), Area: w.area(),
	}, now)
	if err != nil {
		return instanceRow{}, explainProvider(err)
	}
	row := instanceRow{Key: k.Info().ID, Instance: Instance{Provider: provider, Area: w.deps.Area.Info().Name, Installed: now.UTC()}}
	row.take(resp)
	return row, nil
}

// take keeps what the provider answered.
func (r *instanceRow) take(resp *attestation.InstallResponse) {
	r.ID, r.ClientID, r.Level, r.Links = resp.InstanceID, resp.ClientID, resp.Level, resp.Links
	r.Expires, r.Attestation = resp.Expires.UTC(), resp.Attestation
}

// renew has the provider vouch for the instance afresh: for the key next or, if
// that is nil, for the instance key, with a status that is published for a
// period at least; zero leaves that to the provider.
func (w *Wallet) renew(ctx context.Context, row instanceRow, next key.Signer, period time.Duration) (instanceRow, error) {
	client, err := w.provider(ctx, row)
	if err != nil {
		return row, err
	}
	resp, err := client.Renew(ctx, attestation.RenewRequest{InstanceID: row.ID, App: w.app(), StatusPeriod: period}, next, w.now())
	if err != nil {
		return row, explainProvider(err)
	}
	row.take(resp)
	err = w.deps.Storage.Tx(ctx, func(t Txn) error {
		var current instanceRow
		if err := getJSON(ctx, t, kindInstance, thisInstance, &current); err != nil {
			return err
		}
		if current.Key != row.Key {
			return errors.New("the app was installed anew meanwhile; try again")
		}
		return putJSON(ctx, t, kindInstance, thisInstance, row)
	})
	if err != nil {
		return row, fmt.Errorf("renew: %w", err)
	}
	return row, nil
}

// Status is the installation; ErrNotInstalled.
func (w *Wallet) Status(ctx context.Context) (Instance, error) {
	row, err := w.instance(ctx)
	return row.Instance, err
}

// Uninstall forgets the installation and destroys its key. Documents stay, and
// can be shown; new ones cannot be had until the app is installed again.
func (w *Wallet) Uninstall(ctx context.Context) error {
	var row instanceRow
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		if err := getJSON(ctx, t, kindInstance, thisInstance, &row); err != nil {
			return err
		}
		if err := putJSON(ctx, t, kindOrphan, row.Key, orphanRow{}); err != nil {
			return err
		}
		return t.Delete(ctx, kindInstance, thisInstance)
	})
	if errors.Is(err, ErrNotFound) {
		return ErrNotInstalled
	}
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	w.forget(ctx, row.Key)
	return nil
}

// instance reads the stored instance.
func (w *Wallet) instance(ctx context.Context) (instanceRow, error) {
	var row instanceRow
	err := w.deps.Storage.View(ctx, func(t Txn) error { return getJSON(ctx, t, kindInstance, thisInstance, &row) })
	if errors.Is(err, ErrNotFound) {
		return instanceRow{}, advise(ErrNotInstalled, "install it first")
	}
	if err != nil {
		return instanceRow{}, fmt.Errorf("read the installation: %w", err)
	}
	return row, nil
}

// provider is the conversation with the provider of an instance.
func (w *Wallet) provider(ctx context.Context, row instanceRow) (*attestation.Client, error) {
	signer, err := w.signer(ctx, row.Key)
	if err != nil {
		return nil, fmt.Errorf("instance key: %w", err)
	}
	return &attestation.Client{Base: row.Provider, Instance: signer, Fetch: w.deps.Fetch}, nil
}

func (w *Wallet) app() attestation.App {
	return attestation.App{Name: w.cfg.Name, Version: w.cfg.Version, Platform: w.cfg.Platform}
}

func (w *Wallet) area() attestation.Area {
	info := w.deps.Area.Info()
	return attestation.Area{Type: info.Type, Name: info.Name}
}

// explainProvider says what a refusal of the provider means for the person.
func explainProvider(err error) error {
	var refusal *attestation.Error
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Code {
	case attestation.CodeRevoked:
		return advise(fmt.Errorf("%w: %w", ErrRevoked, err), "ask the provider why; uninstall and install to begin again")
	case attestation.CodeUnknownInstance:
		return advise(err, "the provider does not know this app any more: install it again")
	}
	return err
}
