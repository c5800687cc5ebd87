package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// An open transaction can be answered in more ways: by the browser, with
// OpenID4VP (its annex A) or ISO/IEC TS 18013-7, Annex C; by the older OpenID4VP
// profile (Annex B), and by a link of the reader (Annex A). What a way has to keep between its
// messages is made when somebody asks for it, and kept sealed, as a single-use
// thing, for as long as the request may be answered. Whichever way is first
// ends the transaction.
const (
	wayDigital    = "presentation-digital"
	wayBrowser    = "presentation-browser"
	wayAnnexB     = "presentation-annex-b"
	wayReaderLink = "presentation-reader-link"
)

// openWay finds the open transaction that id begins another way of.
func (v *Verifier) openWay(ctx context.Context, tenant, id string) (*tenant, row, request, error) {
	return v.openNumber(ctx, tenant, once.Hash(id))
}

// openNumber is openWay for a page that waits, which knows the number only.
func (v *Verifier) openNumber(ctx context.Context, tenant, number string) (*tenant, row, request, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, row{}, request{}, err
	}
	r, err := t.row(ctx, byID, number)
	if err != nil {
		return nil, row{}, request{}, err
	}
	if !r.state.open() {
		return nil, row{}, request{}, fmt.Errorf("%w: the request is over", ErrInvalid)
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return nil, row{}, request{}, err
	}
	var req request
	err = sealing.open("request", r.id, r.request, &req)
	return t, r, req, err
}

// isoQuery is what a transaction asks, as a DeviceRequest can carry it best.
func (r *request) isoQuery(extended bool) (query.Query, error) {
	if len(r.OID4VP.Transactions) > 0 {
		return query.Query{}, fmt.Errorf("%w: what is to be agreed to goes by OpenID4VP alone", ErrInvalid)
	}
	q, err := r.asked()
	if err != nil {
		return q, err
	}
	if q, err = core.OnSite(q, extended); err != nil {
		return q, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for i := range q.Credentials {
		q.Credentials[i].Partial, q.Credentials[i].NearestAge = true, true
	}
	q.NonEmpty = true
	return q, nil
}

// deviceRequest signs a DeviceRequest's parts with the tenant's reader key.
func (t *tenant) deviceRequest(ctx context.Context, q query.Query, transcript []byte, all bool) (mdoc.RequestParams, error) {
	documents, info, err := q.DeviceRequest()
	if err != nil {
		return mdoc.RequestParams{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	k, err := t.reader(ctx)
	if err != nil {
		return mdoc.RequestParams{}, err
	}
	return mdoc.RequestParams{Documents: documents, Info: info, Reader: &mdoc.ReaderSigner{
		Key: k, Chain: k.Record.Chain, Transcript: transcript, All: all,
	}}, nil
}

// beginWay keeps what fresh makes, unless somebody asked for this way before:
// then it reads that into state.
func (t *tenant) beginWay(ctx context.Context, way string, r row, state any, fresh func() error) error {
	if err := fresh(); err != nil {
		return err
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return err
	}
	sealed, err := sealing.seal(way, r.id, state)
	if err != nil {
		return err
	}
	var before []byte
	err = t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		things := tx.Once(t.config.ID)
		before, err = things.Get(ctx, way, once.Hash(r.handle), t.v.now())
		if errors.Is(err, once.ErrNotFound) || errors.Is(err, once.ErrExpired) {
			return things.Put(ctx, way, once.Hash(r.handle), sealed, r.expires)
		}
		return err
	})
	if err != nil || before == nil {
		return err
	}
	return sealing.open(way, r.id, before, state)
}

// goOn reads what a way has kept. The bytes are for replace.
func (t *tenant) goOn(ctx context.Context, way string, r row, state any) (sealed []byte, err error) {
	sealing, err := t.sealer(ctx)
	if err != nil {
		return nil, err
	}
	err = t.v.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		sealed, err = tx.Once(t.config.ID).Get(ctx, way, once.Hash(r.handle), t.v.now())
		return err
	})
	if errors.Is(err, once.ErrNotFound) || errors.Is(err, once.ErrExpired) || errors.Is(err, once.ErrClaimed) {
		return nil, &refusal{oid4vp.InvalidRequest, "this was not asked for"}
	}
	if err != nil {
		return nil, err
	}
	return sealed, sealing.open(way, r.id, sealed, state)
}

// replace keeps a new state in the place of the one that was read. Of several
// who come with the same one wins.
func (t *tenant) replace(ctx context.Context, way string, r row, read []byte, state any) error {
	sealing, err := t.sealer(ctx)
	if err != nil {
		return err
	}
	sealed, err := sealing.seal(way, r.id, state)
	if err != nil {
		return err
	}
	err = t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		things := tx.Once(t.config.ID)
		kept, err := things.Claim(ctx, way, once.Hash(r.handle), t.v.now())
		if err != nil {
			return err
		}
		if string(kept) != string(read) {
			return &refusal{oid4vp.InvalidRequest, "somebody else was first; start again at the verifier"}
		}
		if err := things.Put(ctx, way, once.Hash(r.handle), sealed, r.expires); err != nil {
			return err
		}
		return markFetched(ctx, tx, t.config.ID, r.id)
	})
	if err == nil {
		t.v.hub.tell(watched{t.config.ID, r.id}, Change{Fetched, r.expires})
	}
	return err
}

// isoAnswer is a DeviceResponse that came one of the ways.
type isoAnswer struct {
	response, transcript []byte
	mac                  key.Agreer // may be nil
	refused              string     // why there is none, in words
	received             []Field    // what came on the wire, where it is kept
}

// conclude verifies an answer and ends the transaction, once. It returns where
// the browser goes next.
func (t *tenant) conclude(ctx context.Context, r row, req *request, q query.Query, a isoAnswer, now time.Time) (redirect string, err error) {
	end := ending{row: r, asked: req, error: a.refused, code: secret()}
	got := Evidence{Transcript: a.transcript, Received: a.received}
	if a.refused == "" {
		result, known, err := t.judge(ctx, now, func(p core.VerifyParams) (core.Result, error) {
			p.Asked, p.Transcript, p.EReaderKey = q, a.transcript, a.mac
			return core.Verify(ctx, a.response, p)
		})
		if err != nil {
			return "", err
		}
		got.Presentations = []Presented{{Presentations: []string{oid4vp.EncodeMdoc(a.response)}}} // of all credentials at once
		if result.Verdict == core.Empty {
			end.error = refusedText(&oid4vp.Answer{Error: oid4vp.AccessDenied})
		} else {
			end.result, end.lists, got.Result = &result, known, &result
		}
	}
	end.row.state = Done
	if end.result == nil {
		end.row.state = Refused
	}
	return t.end(ctx, end, got, now)
}
