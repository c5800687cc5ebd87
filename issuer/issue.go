package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// credential answers the credential endpoint. OpenID4VCI 1.0, 8.
//
// Two transactions: the first checks the request and uses up its nonce and
// proofs; then the copies are signed; the second records them. No copy leaves
// before it is recorded.
func (t *tenant) credential(ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
	now := t.authority.now()
	var grant *oauth.Grant
	var request *oid4vci.CredentialRequest
	var refusal *oid4vci.Error
	var reply oauth.Reply
	var answer oid4vci.Answer
	var use string
	err := t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		st := tx.Once(t.config.ID)
		request, refusal = nil, nil
		if grant, reply, err = e.oauth.CheckAccess(ctx, st, r, now); err != nil || grant == nil {
			return err
		}
		if request, refusal, err = e.issuer.Open(ctx, st, grant, r, now); err != nil || refusal != nil {
			return err
		}
		use, answer, refusal, err = t.approved(ctx, tx, e, grant, request, now)
		return err
	})
	if err != nil || grant == nil {
		return t.finish(ctx, reply, err)
	}
	if refusal == nil && answer.Transaction == "" {
		answer, refusal, err = t.issue(ctx, e, grant, request, use, now)
		if errors.Is(err, errTaken) { // at the deferred endpoint, this moment: these are more copies of that document
			answer, refusal, err = t.issue(ctx, e, grant, request, "", now)
		}
	}
	if err != nil {
		return fetch.Response{}, err
	}
	if refusal != nil {
		return t.refuse(ctx, refusal), nil
	}
	return request.Reply(answer)
}

// refuse logs and counts a refusal and returns the answer.
func (t *tenant) refuse(ctx context.Context, refusal *oid4vci.Error) fetch.Response {
	t.refused(string(refusal.Code))
	web.Log(ctx).Info("refused", "code", refusal.Code, "error", refusal.Error())
	return refusal.Response()
}

func denied(description string, err error) *oid4vci.Error {
	return &oid4vci.Error{Code: oid4vci.CodeDenied, Description: description, Err: err}
}

// deniedFor is the refusal of who may not have copies, nil for other errors.
func deniedFor(err error) *oid4vci.Error {
	for _, no := range []error{errTooMany, errRevoked, errSuspended, errOfferUsed} {
		if errors.Is(err, no) {
			return denied(no.Error(), nil)
		}
	}
	return nil
}

// content is what the copies of a batch have in common.
type content struct {
	offering   offering.Offering
	typ        *doctype.Type
	docType    string
	nameSpaces []mdoc.NameSpace
	validity   mdoc.Validity
}

// issue makes and records one copy of a document for each key of the request. It
// uses up the Request with the id use, if there is one; errTaken: it was used.
func (t *tenant) issue(ctx context.Context, e *engines, grant *oauth.Grant, request *oid4vci.CredentialRequest, use string, now time.Time) (answer oid4vci.Answer, refusal *oid4vci.Error, err error) {
	o := t.offerings[request.Configuration]
	purpose, sign := keyring.DocSigner, t.sign
	if o.Format == offering.FormatSDJWT {
		purpose, sign = keyring.Credential, t.signSDJWT
	}
	signer, err := t.ca.Key(ctx, purpose, now)
	if err != nil {
		return answer, nil, err
	}
	cert, err := signer.Certificate()
	if err != nil {
		return answer, nil, err
	}
	level, refusal := enough(o, request)
	if refusal != nil {
		return answer, refusal, nil
	}
	c, refusal, err := t.content(ctx, o, grant.Subject, now)
	if refusal != nil || err != nil {
		return answer, refusal, err
	}
	c.validity.ValidUntil = notPast(c.validity.ValidUntil, cert.NotAfter, instanceStatus(grant).Ends, keyStatus(request).Ends)
	if !c.validity.ValidUntil.After(now) {
		return answer, denied("the status of the wallet or of its keys is not published for long enough", nil), nil
	}
	request.Keys = request.Keys[:min(len(request.Keys), o.Batch)]
	entries, err := t.authority.indexes.Take(ctx, t.pool(o.Format), len(request.Keys))
	if err != nil {
		return answer, nil, fmt.Errorf("issuer: %w", err)
	}
	signed, err := sign(ctx, c, request, entries, signer)
	if err != nil {
		return answer, nil, err
	}
	r := t.batch(e, grant, request, c, cert, level, now)
	if r.offer, err = offerOf(grant); err != nil {
		return answer, nil, err
	}
	for _, entry := range entries {
		r.entries[entry.List] = append(r.entries[entry.List], entry.Index)
	}
	document, err := t.record(ctx, r, use)
	switch refusal := deniedFor(err); {
	case refusal != nil:
		t.denials.Take(denial{grant.ID, o.ID}, 1, now)
		return answer, refusal, nil
	case err != nil:
		return answer, nil, err
	}
	t.authority.metrics.issued.WithLabelValues(t.config.ID, o.ID, o.Format).Inc()
	t.authority.metrics.copies.WithLabelValues(t.config.ID, o.ID, o.Format).Add(float64(r.copies))
	web.Log(ctx).Info("document issued", "tenant", t.config.ID, "document", document, "offering", o.ID, "copies", r.copies)
	signed.Notification = r.batch
	return signed, nil, nil
}

// enough refuses keys that do not reach the level of an offering.
func enough(o offering.Offering, r *oid4vci.CredentialRequest) (assure.Level, *oid4vci.Error) {
	level := levelOf(r.Attestation)
	if level.AtLeast(assure.Level(o.Level)) {
		return level, nil
	}
	return level, &oid4vci.Error{Code: oid4vci.CodeInvalidProof, Description: fmt.Sprintf("keys are of level %s, %s is needed", level, o.Level)}
}

// levelOf is what the keys come to: the weakest of what the attestation states
// and of what its signer is believed about. One that states nothing is low.
func levelOf(a *attestation.KeyAttestation) assure.Level {
	if a == nil {
		return ""
	}
	attester := assure.Level(a.Attester.Level)
	if attester == "" {
		attester = assure.Low
	}
	stated := assure.LevelOfKey(a.KeyStorage, a.UserAuthentication)
	if stated == "" {
		stated = assure.Low
	}
	return assure.Weakest(stated, attester)
}

// content gets the attributes of the person and makes the elements of them.
func (t *tenant) content(ctx context.Context, o offering.Offering, subject string, now time.Time) (*content, *oid4vci.Error, error) {
	typ, ok := t.authority.types.ByDocType(o.DocType)
	if !ok {
		return nil, nil, fmt.Errorf("issuer: offering %s without document type", o.ID)
	}
	p, err := t.person(ctx, subject)
	switch {
	case errors.Is(err, ErrUnknownPerson), errors.Is(err, ErrDeceased):
		return nil, denied("the authority has no data for this document", err), nil
	case errors.Is(err, source.ErrUnfit):
		return nil, t.unfit(ctx, o, err), nil
	case err != nil:
		return nil, nil, err
	}
	from := now.UTC().Truncate(day)
	until, err := o.ValidUntil(typ, p.Attributes, from)
	if errors.Is(err, offering.ErrExpired) {
		return nil, denied("the document has expired", err), nil
	}
	if err != nil {
		return nil, t.unfit(ctx, o, err), nil
	}
	items, err := o.Elements(typ, p.Attributes, from)
	if err != nil {
		return nil, t.unfit(ctx, o, err), nil
	}
	c := &content{offering: o, typ: typ, docType: typ.DocType, validity: mdoc.Validity{Signed: from, ValidFrom: from, ValidUntil: until}}
	for _, ns := range items {
		out := mdoc.NameSpace{Name: ns.Namespace, Elements: make([]mdoc.Element, 0, len(ns.Elements))}
		for _, e := range ns.Elements {
			out.Elements = append(out.Elements, mdoc.Element{ID: e.ID, Value: e.Value})
		}
		c.nameSpaces = append(c.nameSpaces, out)
	}
	return c, nil, nil
}

// unfit refuses a document that cannot be made of what the register holds, and
// tells the operator which element it is about: only they can put it right.
func (t *tenant) unfit(ctx context.Context, o offering.Offering, err error) *oid4vci.Error {
	web.Log(ctx).Warn("the register does not hold what a document needs: correct it, and the app can ask again",
		"tenant", t.config.ID, "offering", o.ID, "error", err)
	return denied("the register does not hold what this document needs", err)
}

// notPast cuts an end of validity to midnight before each limit that is known.
func notPast(until time.Time, limits ...time.Time) time.Time {
	for _, limit := range limits {
		if limit.IsZero() {
			continue
		}
		if midnight := limit.Add(-time.Second).UTC().Truncate(day); until.After(midnight) {
			until = midnight
		}
	}
	return until
}

func instanceStatus(g *oauth.Grant) attestation.Status {
	if g.Instance == nil {
		return attestation.Status{}
	}
	return g.Instance.Status
}

func keyStatus(r *oid4vci.CredentialRequest) attestation.Status {
	if r.Attestation == nil {
		return attestation.Status{}
	}
	return r.Attestation.Status
}

// sign makes the copies, in the order of the keys. The first is looked over
// before anything is recorded: the others differ in salts, key and index only.
func (t *tenant) sign(ctx context.Context, c *content, r *oid4vci.CredentialRequest, entries []statuslist.Entry, signer keyring.Key) (answer oid4vci.Answer, err error) {
	spaces, err := c.filledUp()
	if err != nil {
		return answer, err
	}
	answer.Mdocs = make([][]byte, len(r.Keys))
	for i, pub := range r.Keys {
		signed, err := mdoc.Issue(ctx, mdoc.IssueParams{
			DocType: c.docType, NameSpaces: spaces, DeviceKey: pub, Validity: c.validity,
			Status: &status.Claim{List: &status.ListReference{Index: entries[i].Index, URI: t.board.ListURI(entries[i].List)}},
			Chain:  signer.Record.Chain,
		}, signer)
		if err != nil {
			return answer, fmt.Errorf("issuer: sign: %w", err)
		}
		if i == 0 {
			report := mdoc.Lint(signed)
			if err := report.Err(); err != nil {
				return answer, fmt.Errorf("issuer: a document that we made is not fit for release: %w", err)
			}
		}
		answer.Mdocs[i] = signed
	}
	return answer, nil
}

// filledUp are the name spaces with as many digests as all documents of the
// offering have, those too of which this person has nothing.
func (c *content) filledUp() ([]mdoc.NameSpace, error) {
	room, _, err := c.offering.Room(c.typ)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	var out []mdoc.NameSpace
	for i := range c.typ.Namespaces {
		ns := mdoc.NameSpace{Name: c.typ.Namespaces[i].Name}
		if at := slices.IndexFunc(c.nameSpaces, func(n mdoc.NameSpace) bool { return n.Name == ns.Name }); at >= 0 {
			ns = c.nameSpaces[at]
		}
		if ns.Digests = room[ns.Name]; ns.Digests > 0 || len(ns.Elements) > 0 {
			out = append(out, ns)
		}
	}
	return out, nil
}

// batch is what to record of the copies, still without status entries.
func (t *tenant) batch(e *engines, g *oauth.Grant, r *oid4vci.CredentialRequest, c *content, cert *x509.Certificate, level assure.Level, now time.Time) issued {
	out := issued{
		entitled: t.entitled(e, g, c.offering.ID), format: c.offering.Format, docType: c.docType, subject: g.Subject,
		document: rand.Text(), batch: rand.Text(), now: now, validFrom: c.validity.ValidFrom, validUntil: c.validity.ValidUntil,
		fingerprint: fingerprint(e.fingerprint, c.nameSpaces), signer: serial(cert), level: string(level), client: g.ClientID,
		instance: instanceStatus(g), keys: keyStatus(r), entries: map[string][]uint64{}, copies: len(r.Keys),
	}
	if g.Instance != nil {
		out.wallet, out.walletVersion = g.Instance.WalletName, g.Instance.WalletVersion
	}
	if r.Attestation != nil {
		out.attester = r.Attestation.Attester.Name
	}
	return out
}

// fingerprint is a MAC over all elements: it tells whether something has
// changed, and nothing about what.
func fingerprint(key [32]byte, spaces []mdoc.NameSpace) []byte {
	mac := hmac.New(sha256.New, key[:])
	var n [8]byte
	part := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		mac.Write(n[:])
		mac.Write(b)
	}
	for _, ns := range spaces {
		part([]byte(ns.Name))
		part([]byte(strconv.Itoa(len(ns.Elements))))
		for _, e := range ns.Elements {
			part([]byte(e.ID))
			part(e.Value)
		}
	}
	return mac.Sum(nil)
}

// record writes a batch and its audit event in one transaction. On PostgreSQL
// those of one process wait for each other here: events follow one another in
// one chain, so that of two at a time one would have to begin anew, at its end.
func (t *tenant) record(ctx context.Context, r issued, use string) (document string, err error) {
	if !t.authority.db.OneWriter() {
		select {
		case t.authority.recording <- struct{}{}:
			defer func() { <-t.authority.recording }()
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	err = t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if use != "" {
			if err := takeRequest(ctx, tx, t.config.ID, use); err != nil {
				return err
			}
		}
		if r.offer != "" {
			if err := offerUsed(ctx, tx.Once(t.config.ID), r.offer, r.grant, r.now, r.now.Add(t.authority.config.RefreshLifetime)); err != nil {
				return err
			}
		}
		if document, err = record(ctx, tx, r, t.authority.config.BatchesPerDay); err != nil {
			return err
		}
		if err := t.tell(ctx, tx, EventIssued, map[string]string{
			"document": document, "offering": r.offering, "batch": r.batch, "copies": strconv.Itoa(r.copies),
		}); err != nil {
			return err
		}
		return t.authority.audit.Append(ctx, tx, r.now, audit.Event{
			Tenant: t.config.ID, What: "document issued", Actor: r.grant, Object: document,
			Detail: map[string]string{
				"offering": r.offering, "batch": r.batch, "copies": strconv.Itoa(r.copies), "signer": r.signer, "level": r.level,
				"lists": strings.Join(slices.Sorted(maps.Keys(r.entries)), " "),
			},
		})
	})
	return document, err
}
