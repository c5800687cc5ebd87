package provider

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// resistance is what a key attestation claims for keys and user authentication
// of an instance at the lowest level, the only one so far: the least attack
// potential that can be named. There is no evidence for more, whatever the app
// says about its secure area. OpenID4VCI 1.0, D.2.
func resistance() []string { return []string{attestation.ResistanceBasic} }

// challenge answers POST BASE/challenge.
func (t *tenant) challenge(ctx context.Context, _ string, _ fetch.Request) (fetch.Response, error) {
	c, err := t.conversation(ctx)
	if err != nil {
		return fetch.Response{}, err
	}
	return c.Challenge(t.provider.now()), nil
}

// settle runs a step of a conversation in a transaction that is committed also
// when the step refuses, because a challenge was used up. ok is false if it
// refused; resp is the refusal then.
func (t *tenant) settle(ctx context.Context, f func(ctx context.Context, tx *db.Tx) error) (resp fetch.Response, ok bool, err error) {
	var refusal *attestation.Error
	err = t.provider.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		refusal = nil
		err := f(ctx, tx)
		if e, is := errors.AsType[*attestation.Error](err); is {
			refusal = e
			return nil
		}
		return err
	})
	if err != nil {
		return fetch.Response{}, false, err
	}
	if refusal != nil {
		web.Log(ctx).Info("instance refused", "tenant", t.config.ID, "code", refusal.Code, "error", refusal.Error())
		return refusal.Response(), false, nil
	}
	return fetch.Response{}, true, nil
}

// install answers POST BASE/instances. The first transaction uses the
// challenge up and refuses what must be refused before anything is spent on
// it; the second registers, and only then is anything handed out.
func (t *tenant) install(ctx context.Context, _ string, r fetch.Request) (fetch.Response, error) {
	now := t.provider.now()
	engine, err := t.conversation(ctx)
	if err != nil {
		return fetch.Response{}, err
	}
	var req *attestation.InstallRequest
	var thumb string
	resp, ok, err := t.settle(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if req, err = engine.OpenInstall(ctx, tx.Once(t.config.ID), r.Body, now); err != nil {
			return err
		}
		if req.Format != attestation.EvidenceSoftwareTOFU || t.config.RefuseTOFU {
			return &attestation.Error{Code: attestation.CodeEvidence, Description: "this provider does not accept evidence of this format"}
		}
		if thumb, err = jose.ThumbprintString(req.Key); err != nil {
			return &attestation.Error{Code: attestation.CodeInvalidProof, Description: "the instance key has no thumbprint", Err: err}
		}
		return refuseKnown(ctx, tx, t.config.ID, thumb)
	})
	if err != nil || !ok {
		return resp, err
	}
	jwk, err := json.Marshal(jose.JWK{Key: req.Key})
	if err != nil {
		return fetch.Response{}, err
	}
	in := instance{
		id: newID(), thumbprint: thumb, jwk: jwk, app: req.App, area: req.Area,
		evidence: req.Format, level: attestation.LevelLow, created: now, lastSeen: now,
	}
	e, err := t.entry(ctx, in, kindInstance, thumb, now, t.instanceEnds(now, 0))
	if err != nil {
		return fetch.Response{}, err
	}
	answer, err := t.vouch(ctx, in, req.Key, e, now)
	if err != nil {
		return fetch.Response{}, err
	}
	resp, ok, err = t.settle(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := refuseKnown(ctx, tx, t.config.ID, thumb); err != nil {
			return err
		}
		if err := putInstance(ctx, tx, t.config.ID, in); err != nil {
			return err
		}
		if err := putEntry(ctx, tx, t.config.ID, e); err != nil {
			return err
		}
		return t.provider.audit.Append(ctx, tx, now, audit.Event{
			Tenant: t.config.ID, What: "instance registered", Object: in.id,
			Detail: map[string]string{"evidence": in.evidence, "level": string(in.level)},
		})
	})
	if err != nil || !ok {
		return resp, err
	}
	return attestation.InstallReply(answer, true), nil
}

// refuseKnown refuses a key that is registered already.
func refuseKnown(ctx context.Context, tx *db.Tx, tenant, thumb string) error {
	in, ok, err := instanceByKey(ctx, tx, tenant, thumb)
	switch {
	case err != nil:
		return err
	case ok && !in.revoked.IsZero():
		return refuseRevoked()
	case ok:
		return &attestation.Error{Code: attestation.CodeDuplicate, Description: "this key is registered already; make a new one"}
	}
	return nil
}

func refuseRevoked() error {
	return &attestation.Error{Code: attestation.CodeRevoked, Description: "this instance was revoked"}
}

// known returns a registered instance and its key.
func known(ctx context.Context, tx *db.Tx, tenant, id string) (in instance, pub crypto.PublicKey, err error) {
	in, ok, err := instanceByID(ctx, tx, tenant, id)
	if err != nil {
		return in, nil, err
	}
	if !ok {
		return in, nil, &attestation.Error{Code: attestation.CodeUnknownInstance, Description: "this instance is not registered here"}
	}
	jwk, err := jose.ParseJWK(in.jwk)
	if err != nil {
		return in, nil, fmt.Errorf("provider: key of instance %s: %w", id, err)
	}
	return in, jwk.Key, nil
}

// admit refuses an instance that asks too often. It is no refusal of the
// conversation, so that nothing is written, not even that a challenge was used.
func (t *tenant) admit(id string) error {
	return web.TooMany(t.provider.guard.Client(t.config.ID+" "+id), "This installation of the app asks too often.")
}

// keep writes down, before it is handed out, what an instance was vouched for:
// unless that was revoked since it was looked at.
func (t *tenant) keep(ctx context.Context, in instance, e entry, put func(context.Context, *db.Tx, string, entry) error, now time.Time) (fetch.Response, bool, error) {
	return t.settle(ctx, func(ctx context.Context, tx *db.Tx) error {
		current, ok, err := instanceByID(ctx, tx, t.config.ID, in.id)
		if err != nil {
			return err
		}
		if !ok || !current.revoked.IsZero() {
			return refuseRevoked()
		}
		if err := touchInstance(ctx, tx, t.config.ID, in.id, in.app, now); err != nil {
			return err
		}
		return put(ctx, tx, t.config.ID, e)
	})
}

// renew answers POST BASE/instances/ID/attestation. Every key of an instance
// has a place of its own in the status lists, so that issuers who were shown
// different keys cannot compare them.
func (t *tenant) renew(ctx context.Context, id string, r fetch.Request) (fetch.Response, error) {
	now := t.provider.now()
	engine, err := t.conversation(ctx)
	if err != nil {
		return fetch.Response{}, err
	}
	var in instance
	var pub crypto.PublicKey
	var thumb string
	var e entry
	var ends time.Time
	var found bool
	resp, ok, err := t.settle(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		var registered crypto.PublicKey
		if in, registered, err = known(ctx, tx, t.config.ID, id); err != nil {
			return err
		}
		req, err := engine.OpenRenew(ctx, tx.Once(t.config.ID), id, registered, r.Body, now)
		if err != nil {
			return err
		}
		if !in.revoked.IsZero() {
			return refuseRevoked()
		}
		if err := t.admit(id); err != nil {
			return err
		}
		in.app, pub, ends = req.App, registered, t.instanceEnds(now, req.StatusPeriod)
		if req.NewKey != nil {
			pub = req.NewKey
		}
		if thumb, err = jose.ThumbprintString(pub); err != nil {
			return &attestation.Error{Code: attestation.CodeInvalidProof, Description: "the key has no thumbprint", Err: err}
		}
		e, found, err = entryByName(ctx, tx, t.config.ID, id, kindInstance, thumb)
		return err
	})
	if err != nil || !ok {
		return resp, err
	}
	if !found {
		if e, err = t.entry(ctx, in, kindInstance, thumb, now, ends); err != nil {
			return fetch.Response{}, err
		}
	}
	e.ends, e.appVersion = ends, in.app.Version
	answer, err := t.vouch(ctx, in, pub, e, now)
	if err != nil {
		return fetch.Response{}, err
	}
	put := putEntry
	if found {
		put = extendEntry
	}
	resp, ok, err = t.keep(ctx, in, e, put, now)
	if err != nil || !ok {
		return resp, err
	}
	return attestation.InstallReply(answer, false), nil
}

// attestKeys answers POST BASE/instances/ID/keys.
func (t *tenant) attestKeys(ctx context.Context, id string, r fetch.Request) (fetch.Response, error) {
	now := t.provider.now()
	engine, err := t.conversation(ctx)
	if err != nil {
		return fetch.Response{}, err
	}
	var in instance
	var req *attestation.KeyAttestationRequest
	resp, ok, err := t.settle(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		var registered crypto.PublicKey
		if in, registered, err = known(ctx, tx, t.config.ID, id); err != nil {
			return err
		}
		if req, err = engine.OpenKeyAttestation(ctx, tx.Once(t.config.ID), id, registered, r.Body, now); err != nil {
			return err
		}
		if !in.revoked.IsZero() {
			return refuseRevoked()
		}
		return t.admit(id)
	})
	if err != nil || !ok {
		return resp, err
	}
	e, err := t.entry(ctx, in, kindKeys, newID(), now, t.statusEnds(now, req.StatusPeriod, t.provider.config.KeyAttestationLifetime))
	if err != nil {
		return fetch.Response{}, err
	}
	e.keys, e.areaType = len(req.Keys), req.Area.Type
	signer, chain, err := t.signer(ctx, now)
	if err != nil {
		return fetch.Response{}, err
	}
	answer := attestation.KeyAttestationResponse{Expires: now.Add(t.provider.config.KeyAttestationLifetime).Truncate(time.Second)}
	answer.KeyAttestation, err = attestation.KeyAttestation{
		Issuer: t.base, IssuedAt: now, Expires: answer.Expires, Keys: req.Keys, KeyStorage: resistance(), UserAuthentication: resistance(),
		Nonce: req.Nonce, Status: t.status(e),
	}.Sign(ctx, signer, chain)
	if err != nil {
		return fetch.Response{}, err
	}
	resp, ok, err = t.keep(ctx, in, e, putEntry, now)
	if err != nil || !ok {
		return resp, err
	}
	return attestation.KeyAttestationReply(answer), nil
}

// entry takes a fresh place in a status list.
func (t *tenant) entry(ctx context.Context, in instance, kind, name string, now, ends time.Time) (entry, error) {
	places, err := t.provider.indexes.Take(ctx, t.pool(), 1)
	if err != nil {
		return entry{}, fmt.Errorf("provider: %w", err)
	}
	return entry{
		list: places[0].List, index: places[0].Index, instance: in.id, kind: kind, name: name,
		areaType: in.area.Type, level: in.level, appVersion: in.app.Version, created: now, ends: ends,
	}, nil
}

// leastStatusPeriod is what issuers can count on. EUDI TS3 1.5, 2.4.2.
const leastStatusPeriod = 31 * day

// statusEnds is until when an entry is kept up to date: for as long as an issuer
// prefers, within limits, after the last moment at which the attestation is
// shown. It is a midnight, so that attestations of one day look alike.
//
// EUDI TS3 1.5, 2.4.1 and 2.4.2.
func (t *tenant) statusEnds(now time.Time, preferred, lifetime time.Duration) time.Time {
	c := t.provider.config
	period := c.StatusPeriod
	if preferred > 0 {
		period = min(max(preferred, leastStatusPeriod), c.MaxStatusPeriod)
	}
	return now.UTC().Add(period + lifetime).Truncate(day).Add(day)
}

// instanceEnds is statusEnds of a wallet instance attestation.
func (t *tenant) instanceEnds(now time.Time, preferred time.Duration) time.Time {
	return t.statusEnds(now, preferred, t.provider.config.AttestationLifetime)
}

func (t *tenant) status(e entry) attestation.Status {
	return attestation.Status{Reference: attestation.StatusReference{Index: e.index, URI: t.board.ListURI(e.list)}, Ends: e.ends}
}

// signer is the key that signs attestations, with its certificates.
func (t *tenant) signer(ctx context.Context, now time.Time) (keyring.Key, []*x509.Certificate, error) {
	k, err := t.ca.Key(ctx, keyring.Attestation, now)
	if err != nil {
		return keyring.Key{}, nil, err
	}
	chain, err := pki.ParseChain(k.Record.Chain)
	return k, chain, err
}

// vouch signs the wallet instance attestation for one of the instance's keys.
func (t *tenant) vouch(ctx context.Context, in instance, pub crypto.PublicKey, e entry, now time.Time) (attestation.InstallResponse, error) {
	signer, chain, err := t.signer(ctx, now)
	if err != nil {
		return attestation.InstallResponse{}, err
	}
	expires := now.Add(t.provider.config.AttestationLifetime).Truncate(time.Second)
	token, err := attestation.WalletInstance{
		Issuer: t.base, ClientID: t.config.ClientID, Key: pub, IssuedAt: now, Expires: expires,
		WalletName: t.config.Name, WalletLink: t.config.Link, WalletVersion: in.app.Version,
		Level: in.level, Status: t.status(e),
	}.Sign(ctx, signer, chain)
	return attestation.InstallResponse{
		InstanceID: in.id, Attestation: token, ClientID: t.config.ClientID, Expires: expires, Level: in.level,
		Links: attestation.Links{Support: t.config.Support, Revoke: t.config.RevokeLink},
	}, err
}

// newID is 16 random bytes: enough for what is no secret.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
