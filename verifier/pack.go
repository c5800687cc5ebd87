package verifier

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/statuslist"
)

var errNoNetwork = errors.New("no network is configured")

func noNetwork(context.Context, fetch.Request) (fetch.Response, error) {
	return fetch.Response{}, errNoNetwork
}

// witness notes which status lists documents refer to, so that the offline
// pack will have them.
type witness struct {
	ask   assure.StatusChecker
	mu    sync.Mutex
	lists []knownList
}

// Check implements assure.StatusChecker.
func (w *witness) Check(ctx context.Context, q statuslist.Question, now time.Time) (statuslist.Verdict, check.Report) {
	verdict, report := w.ask.Check(ctx, q, now)
	if verdict.Outcome != statuslist.Unknown && q.Claim.List != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lists = append(w.lists, knownList{uri: q.Claim.List.URI, issuer: q.Issuer})
	}
	return verdict, report
}

// notedLists are the lists that were stored a short while ago, so that not every
// document leads to its list being stored again.
type notedLists struct {
	mu    sync.Mutex
	lists map[string]notedList
}

type notedList struct {
	signer []byte // certificate of the documents' signer, DER
	at     time.Time
}

const notedFor = time.Hour

// news are those of the lists that are to be stored.
func (n *notedLists) news(lists []knownList, now time.Time) (news []knownList) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range lists {
		before, ok := n.lists[l.uri]
		if !ok || now.Sub(before.at) >= notedFor || !bytes.Equal(before.signer, l.signer()) {
			news = append(news, l)
		}
	}
	return news
}

// note notes lists that were stored.
func (n *notedLists) note(lists []knownList, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range lists {
		if n.lists == nil || len(n.lists) >= maxKnownLists {
			n.lists = map[string]notedList{}
		}
		n.lists[l.uri] = notedList{l.signer(), now}
	}
}

// Packed is what an offline pack has.
type Packed struct {
	At       time.Time    `json:"at"`
	Anchors  int          `json:"anchors"` // issuing authorities that are trusted
	Trust    time.Time    `json:"trust"`   // when the trust lists were fetched; zero if they come from elsewhere
	Lists    []PackedList `json:"lists"`
	CRLs     []PackedList `json:"crls"`
	Problems []string     `json:"problems,omitempty"` // what could not be had, in words
}

// PackedList is one signed list in a pack.
type PackedList struct {
	URI     string    `json:"uri"`
	Fetched time.Time `json:"fetched"`
}

// Limits of a pack.
const (
	maxAggregation = 1 << 20 // bytes of a list of lists
	maxListsEach   = 512     // lists of one issuer
)

// Pack fetches what readers need to verify offline into the tenant's store:
// the trust lists, the revocation lists of the issuing authorities, and all
// status lists that these publish or documents have referred to. What cannot
// be had is named in Problems, and what was there before stays. The error is
// for a pack that cannot be used at all. Errors: ErrUnknownTenant.
func (v *Verifier) Pack(ctx context.Context, tenant string) (Packed, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Packed{}, err
	}
	now := v.now()
	if v.fetch == nil {
		return Packed{}, fmt.Errorf("verifier: pack: %w", errNoNetwork)
	}
	done := Packed{At: now.UTC(), Lists: []PackedList{}, CRLs: []PackedList{}}
	if t.follower != nil {
		if err := t.follower.Refresh(ctx, now); err != nil && now.Sub(t.follower.Fetched()) > time.Minute {
			done.Problems = append(done.Problems, err.Error())
		}
	}
	anchors, err := t.anchors(ctx, now)
	if err != nil {
		return done, fmt.Errorf("verifier: pack: %w", err)
	}
	if t.follower != nil {
		done.Trust = t.follower.Fetched().UTC()
	}
	p := packing{t: t, now: now, anchors: anchors, done: &done}
	if err := p.before(ctx); err != nil {
		return done, err
	}
	issuers := anchors.For(trustlist.Issuer)
	done.Anchors = len(issuers)
	for _, a := range issuers {
		p.crl(ctx, a.Certificate)
	}
	p.statusLists(ctx)
	return done, p.save(ctx)
}

// packing is a pack in the making.
type packing struct {
	t       *tenant
	now     time.Time
	anchors *assure.Anchors
	done    *Packed
	crls    map[string]item // by address
	named   map[string]bool // addresses of CRLs that anchors name
	fetcher *statuslist.Fetcher
	known   []knownList
}

// before starts from the pack that there is.
func (p *packing) before(ctx context.Context) error {
	p.crls, p.named = map[string]item{}, map[string]bool{}
	// A tiny limit makes every list due, so that each is asked for anew.
	p.fetcher = statuslist.NewFetcher(p.t.v.fetch, assure.StatusTrust(trustlist.Issuer, p.anchors.Snapshot),
		statuslist.Options{MaxTTL: time.Nanosecond, MaxCopies: maxKnownLists})
	return p.t.v.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		items, err := readItems(ctx, tx, p.t.config.ID)
		if err != nil {
			return err
		}
		for _, i := range items {
			switch i.kind {
			case itemCRL:
				p.crls[i.name] = i
			case itemStatus:
				if err := p.fetcher.Preload(statuslist.Copy{Token: i.body, Fetched: i.fetched}); err != nil {
					return err
				}
			}
		}
		p.known, err = readKnownLists(ctx, tx, p.t.config.ID)
		return err
	})
}

func (p *packing) problem(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(p.done.Problems, s) {
		p.done.Problems = append(p.done.Problems, s)
	}
}

// crl fetches the revocation lists that an IACA names, on which document
// signers would be revoked.
func (p *packing) crl(ctx context.Context, root *x509.Certificate) {
	for _, uri := range root.CRLDistributionPoints {
		if !httpURL(uri) {
			continue
		}
		p.named[uri] = true
		resp, err := p.t.v.fetch(ctx, fetch.Request{Method: "GET", URL: uri, MaxBytes: pki.MaxCRLSize})
		if err == nil && resp.Status != 200 {
			err = fmt.Errorf("the server answered %d", resp.Status)
		}
		if err != nil {
			p.problem("revocation list of %s: %v", root.Subject.CommonName, err)
			continue
		}
		list, err := pki.ParseCRL(resp.Body)
		if err != nil {
			p.problem("revocation list of %s: %v", root.Subject.CommonName, err)
			continue
		}
		if state, rep := list.Check(root, root, p.now); state == pki.Undetermined {
			p.problem("revocation list of %s: %s", root.Subject.CommonName, lastSeen(rep))
			continue
		}
		if p.older(list, root, p.crls[uri]) {
			p.problem("revocation list of %s: older than the one at hand, which stays", root.Subject.CommonName)
			continue
		}
		p.crls[uri] = item{kind: itemCRL, name: uri, body: resp.Body, fetched: p.now}
	}
}

// older reports whether a revocation list was issued before the one at hand: a
// cache that still has it would bring back who was revoked.
func (p *packing) older(list *pki.CRL, root *x509.Certificate, held item) bool {
	at, err := pki.ParseCRL(held.body)
	if err != nil { // there is none, or none that counts
		return false
	}
	state, _ := at.Check(root, root, at.ThisUpdate()) // it is the same issuer's, whether it has ended or not
	return state != pki.Undetermined && list.ThisUpdate().Before(at.ThisUpdate())
}

// statusLists fetches all lists that are known of, each for its issuer.
func (p *packing) statusLists(ctx context.Context) {
	todo := map[string]knownList{}
	for _, l := range p.known {
		todo[l.uri] = l
	}
	for _, s := range p.sources() {
		uris, err := p.aggregation(ctx, s.uri)
		if err != nil {
			if !s.guess {
				p.problem("status lists of %s: %v", s.name, err)
			}
			continue
		}
		for _, uri := range uris {
			if _, known := todo[uri]; !known {
				todo[uri] = knownList{uri: uri, issuer: s.issuer}
			}
		}
	}
	for _, l := range sorted(todo) {
		claim := status.Claim{List: &status.ListReference{URI: l.uri}}
		verdict, rep := p.fetcher.Check(ctx, statuslist.Question{Claim: claim, MSO: true, Issuer: l.issuer}, p.now)
		if bits, ok := rep.Find("bits"); ok && bits.Outcome == check.Fail && !slices.ContainsFunc(p.known, func(k knownList) bool { return k.uri == l.uri }) {
			continue // a list for SD-JWT VCs, which are not shown on-site
		}
		if verdict.Outcome == statuslist.Unknown {
			p.problem("status list %s: %s", l.uri, lastSeen(rep))
		}
	}
}

func sorted(m map[string]knownList) []knownList {
	list := make([]knownList, 0, len(m))
	for _, l := range m {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b knownList) int { return cmp.Compare(a.uri, b.uri) })
	return list
}

// lastSeen is the reason in a report of the status fetcher.
func lastSeen(r check.Report) string {
	for _, c := range slices.Backward(r.Checks) {
		if c.Outcome != check.Pass {
			return c.Name + ": " + c.Seen
		}
	}
	return "nothing could be found out"
}

// source is an address of a list of status lists. Token Status List, 9.3.
type source struct {
	name   string
	uri    string
	issuer [][]byte // whose documents the lists are about
	guess  bool     // nobody said that there is something
}

// sources are those that the configuration and the anchors name, and, where
// the contact of an issuing authority is a web address, what we publish below
// it ourselves.
func (p *packing) sources() []source {
	var list []source
	add := func(s source) {
		if httpURL(s.uri) && !slices.ContainsFunc(list, func(o source) bool { return o.uri == s.uri && slices.EqualFunc(o.issuer, s.issuer, slices.Equal) }) {
			list = append(list, s)
		}
	}
	issuers := p.anchors.For(trustlist.Issuer)
	for _, a := range issuers {
		chain := [][]byte{a.Certificate.Raw}
		if a.StatusService != "" {
			add(source{a.Name, a.StatusService, chain, false})
		}
		for _, contact := range pki.Contacts(a.Certificate) {
			add(source{a.Name, strings.TrimSuffix(contact, "/") + "/status", chain, true})
		}
	}
	for _, base := range p.t.config.Issuers {
		for _, a := range issuers { // which of them it is, the signature on the list tells
			if len(issuers) == 1 || slices.ContainsFunc(a.Certificate.CRLDistributionPoints, func(u string) bool { return strings.HasPrefix(u, strings.TrimSuffix(base, "/")+"/") }) {
				add(source{a.Name, strings.TrimSuffix(base, "/") + "/status", [][]byte{a.Certificate.Raw}, false})
			}
		}
	}
	for _, a := range p.anchors.For(trustlist.Status) {
		if a.StatusService != "" {
			add(source{a.Name, a.StatusService, nil, false})
		}
	}
	return list
}

// aggregation reads a list of lists. Token Status List, 9.3.
func (p *packing) aggregation(ctx context.Context, uri string) ([]string, error) {
	req := fetch.GetRequest(uri, "application/json")
	req.MaxBytes = maxAggregation
	resp, err := p.t.v.fetch(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("the server answered %d", resp.Status)
	}
	var body struct {
		Lists []string `json:"status_lists"`
	}
	if err := json.Unmarshal(resp.Body, &body); err != nil {
		return nil, fmt.Errorf("malformed: %w", err)
	}
	if len(body.Lists) > maxListsEach {
		return nil, fmt.Errorf("%d lists, at most %d", len(body.Lists), maxListsEach)
	}
	for _, u := range body.Lists {
		if !httpURL(u) {
			return nil, errors.New("an entry is no web address")
		}
	}
	return body.Lists, nil
}

func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// save replaces the pack in the store and in this process.
func (p *packing) save(ctx context.Context) error {
	var items []item
	for _, c := range p.fetcher.Copies() {
		token, err := status.Parse(c.Token)
		if err != nil {
			continue
		}
		items = append(items, item{kind: itemStatus, name: token.URI, body: c.Token, fetched: c.Fetched})
		p.done.Lists = append(p.done.Lists, PackedList{URI: token.URI, Fetched: c.Fetched.UTC()})
		if err := p.t.status.Preload(c); err != nil {
			return err
		}
	}
	for _, i := range p.crls {
		if !p.named[i.name] {
			continue
		}
		items = append(items, i)
		p.done.CRLs = append(p.done.CRLs, PackedList{URI: i.name, Fetched: i.fetched.UTC()})
	}
	slices.SortFunc(p.done.CRLs, func(a, b PackedList) int { return cmp.Compare(a.URI, b.URI) })
	crls, err := parseCRLs(items)
	if err != nil {
		return err
	}
	err = p.t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return replaceItems(ctx, tx, p.t.config.ID, items) })
	if err != nil {
		return fmt.Errorf("verifier: pack: %w", err)
	}
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.t.packed, p.t.crls, p.t.loaded = p.now, crls, true
	return nil
}

func parseCRLs(items []item) ([]*pki.CRL, error) {
	var crls []*pki.CRL
	for _, i := range items {
		if i.kind != itemCRL {
			continue
		}
		list, err := pki.ParseCRL(i.body)
		if err != nil {
			return nil, fmt.Errorf("verifier: offline pack: %w", err)
		}
		crls = append(crls, list)
	}
	return crls, nil
}

// revocationLists are the CRLs of the pack.
func (t *tenant) revocationLists(ctx context.Context) ([]*pki.CRL, error) {
	t.mu.Lock()
	crls, loaded := t.crls, t.loaded
	t.mu.Unlock()
	if loaded {
		return crls, nil
	}
	items, err := t.items(ctx)
	if err != nil {
		return nil, err
	}
	if crls, err = parseCRLs(items); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.crls, t.loaded = crls, true
	return crls, nil
}

func (t *tenant) items(ctx context.Context) (items []item, err error) {
	err = t.v.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		items, err = readItems(ctx, tx, t.config.ID)
		return err
	})
	return items, err
}
