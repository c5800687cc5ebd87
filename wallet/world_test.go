package wallet_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/nonce"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/securearea"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/wallet"
)

const (
	issuerURL   = "http://issuer.localhost:8080/default"
	providerURL = "http://provider.localhost:8080/default"
	clientID    = "eidos-wallet"
	redirectURI = "http://127.0.0.1:8423/authorized"
	pin         = "493536"
)

// signer is a key with its certificate.
type signer struct {
	*testkit.Key
	cert *x509.Certificate
}

func (s signer) chain() [][]byte { return [][]byte{s.cert.Raw} }

// certify makes a key and a certificate of a profile under a CA, or a root.
func certify(t testing.TB, p pki.Profile, now time.Time, name string, ca *signer) signer {
	t.Helper()
	return certifyKey(t, testkit.Signer(t, elliptic.P256()), p, now, name, ca)
}

// certifyKey is certify for a key that there is already.
func certifyKey(t testing.TB, k *testkit.Key, p pki.Profile, now time.Time, name string, ca *signer) signer {
	t.Helper()
	s := signer{Key: k}
	nb, na := pki.Validity(now, 300*24*time.Hour)
	tpl := pki.Template{Subject: pki.Name{Country: "UT", Organization: name, CommonName: name}, PublicKey: s.Public(), NotBefore: nb, NotAfter: na,
		Contact: "a@b.example", CRLURL: "http://crl.example/crl"}
	by := key.Signer(s.Key)
	if ca != nil {
		tpl.Issuer, by = ca.cert, ca.Key
	}
	if p == pki.Verifier {
		tpl.DNS, tpl.CRLURL = []string{"verifier.localhost"}, ""
	}
	s.cert = pkitest.Issue(t, p, tpl, by)
	return s
}

// world is a provider, an issuing authority and whatever else a test adds,
// behind one fetch function over which only bytes go.
type world struct {
	*testkit.Clock
	vct     string               // of SD-JWT VCs
	vctHash string               // its "vct#integrity"
	servers []string             // authorization_servers of the metadata
	reuse   *oid4vci.ReusePolicy // of the mDL, as the authority wants it
	t       testing.TB

	iaca, ds, sdSigner, statusSigner, attester, readerCA signer
	anchors                                              *assure.Anchors

	mu       sync.Mutex
	store    *once.Memory
	provider attestation.Provider
	instance crypto.PublicKey
	oauth    *oauth.Server
	oid      oid4vci.Issuer
	subject  doctype.Values
	revoked  *status.List
	next     uint64 // status index
	log      []string

	refuse  map[string]fetch.Response // by path: answered instead
	more    map[string]func(fetch.Request) (fetch.Response, error)
	mangle  func(n int, p *mdoc.IssueParams) // changes copies before they are signed
	reverse bool
	renewed []attestation.RenewRequest // of the app's attestation
	keysAsk []attestation.KeyAttestationRequest

	clientPeriod, keysPeriod int64 // for how many seconds the authority would like a status

	later    int               // so often the documents are not ready
	waiting  *deferred         // what was asked for meanwhile
	notified map[string]string // event by notification
}

type deferred struct {
	request *oid4vci.CredentialRequest
	grant   string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	clock := testkit.NewClock()
	now := clock.Now()
	w := &world{t: t, vct: pidVCT, Clock: clock, store: once.NewMemory(), refuse: map[string]fetch.Response{},
		more: map[string]func(fetch.Request) (fetch.Response, error){}, notified: map[string]string{}}
	w.iaca = certify(t, pki.IACARoot, now, "Utopia IACA", nil)
	w.ds = certify(t, pki.DocumentSigner, now, "Utopia Registry", &w.iaca)
	w.sdSigner = certify(t, pki.CredentialSigner, now, "Utopia Registry", &w.iaca)
	w.statusSigner = certify(t, pki.StatusSigner, now, "Utopia Status", &w.iaca)
	w.attester = certify(t, pki.ServiceCA, now, "Provider", nil)
	w.readerCA = certify(t, pki.ReaderCA, now, "Reader CA", nil)
	var err error
	w.anchors, err = assure.NewAnchors(append(assure.FromCertificates(trustlist.Issuer, "test", w.iaca.cert),
		assure.FromCertificates(trustlist.Reader, "test", w.readerCA.cert)...)...)
	if err != nil {
		t.Fatal(err)
	}
	w.provider = attestation.Provider{Base: providerURL, Challenges: nonce.New([32]byte{1}, "install", 5*time.Minute)}
	w.serve(0)
	w.oid = oid4vci.Issuer{Identifier: issuerURL, Nonces: nonce.New([32]byte{1}, "c_nonce", 5*time.Minute), Attesters: w.believe,
		Policy: func(id string) (oid4vci.ProofPolicy, bool) {
			conf, ok := w.metadata().Configurations[id]
			return oid4vci.ProofPolicy{Max: 5, Types: conf.ProofTypes}, ok
		}}
	if w.revoked, err = status.NewList(1, 256); err != nil {
		t.Fatal(err)
	}
	w.subject = person()
	return w
}

// believe trusts the provider's attester.
func (w *world) believe(_ context.Context, chain []*x509.Certificate, _ time.Time) (attestation.Attester, error) {
	if !chain[0].Equal(w.attester.cert) {
		return attestation.Attester{}, errors.New("not on the list")
	}
	return attestation.Attester{Name: "Provider", Level: attestation.LevelLow}, nil
}

// serve makes the authorisation server, which gives refresh tokens that live so
// long; 0 for none.
func (w *world) serve(refresh time.Duration) {
	w.t.Helper()
	var err error
	w.oauth, err = oauth.NewServer(oauth.ServerConfig{
		RefreshLifetime: refresh,
		Issuer:          issuerURL, Clients: oauth.Fixed(oauth.Registration{ID: clientID, Name: "Wallet", RedirectURIs: []string{redirectURI}}),
		Configurations: []oauth.Configuration{{ID: "mdl", Scope: "mdl"}, {ID: "pid"}, {ID: "sd"}},
		Attesters:      w.believe,
		DPoPNonces:     nonce.New([32]byte{1}, "dpop", 10*time.Minute),
		Challenges:     nonce.New([32]byte{1}, "challenge", 10*time.Minute),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// person is what the registry knows, by the names of the mDL.
func person() doctype.Values {
	v := doctype.Values{}
	for id, text := range map[string]string{
		"family_name": "Muster", "given_name": "Erika", "birth_date": "1984-01-26", "issue_date": "2026-01-01", "expiry_date": "2031-01-01",
		"issuing_country": "UT", "issuing_authority": "Utopia Registry", "document_number": "123456789", "un_distinguishing_sign": "UT",
		"driving_privileges": "B,2005-01-26,2031-01-01", "age_over_18": "true", "age_over_21": "true", "age_over_65": "false", "resident_city": "Utopolis",
	} {
		v[doctype.Name{Namespace: mdoc.NameSpaceMDL, ID: id}] = text
	}
	return v
}

func (w *world) metadata() oid4vci.Metadata {
	attested := oid4vci.ProofType{Algorithms: []string{"ES256"}, KeyAttestations: &oid4vci.KeyAttestations{StatusPeriod: w.keysPeriod}}
	return oid4vci.Metadata{
		CredentialIssuer: issuerURL, CredentialEndpoint: issuerURL + "/credential", NonceEndpoint: issuerURL + "/nonce",
		DeferredEndpoint: issuerURL + "/deferred", NotificationEndpoint: issuerURL + "/notification", AuthorizationServers: w.servers,
		ClientStatusPeriod: w.clientPeriod,
		Batch:              &oid4vci.Batch{Size: 5}, Display: []oid4vci.Display{{Name: "Utopia Registry", Locale: "en"}},
		Configurations: map[string]oid4vci.Configuration{
			"mdl": {Format: "mso_mdoc", DocType: mdoc.DocTypeMDL, Scope: "mdl", ProofTypes: map[string]oid4vci.ProofType{oid4vci.ProofJWT: attested, oid4vci.ProofAttestation: attested},
				CredentialMetadata: &oid4vci.CredentialMetadata{ReusePolicy: w.reuse, Display: []oid4vci.Display{{Name: "Driving licence", Locale: "en-GB"}, {Name: "Führerschein", Locale: "de"}}}},
			"pid": {Format: "mso_mdoc", DocType: mdoc.DocTypeMDL, ProofTypes: map[string]oid4vci.ProofType{oid4vci.ProofJWT: {Algorithms: []string{"ES256"}}}},
			"sd":  {Format: "dc+sd-jwt", VCT: w.vct, ProofTypes: map[string]oid4vci.ProofType{oid4vci.ProofJWT: {Algorithms: []string{"ES256"}}}},
		},
	}
}

// fetch is the network.
func (w *world) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	path, _, _ := strings.Cut(r.URL, "?")
	w.log = append(w.log, r.Method+" "+path)
	if resp, ok := w.refuse[path]; ok {
		return resp, nil
	}
	if f, ok := w.more[path]; ok {
		return f(r)
	}
	now := w.Now()
	if rest, ok := strings.CutPrefix(path, providerURL); ok {
		return w.provide(ctx, rest, r.Body)
	}
	reply := func(rep oauth.Reply, err error) (fetch.Response, error) { return rep.Response, err }
	switch path {
	case "http://issuer.localhost:8080/.well-known/openid-credential-issuer/default":
		return fetch.JSONResponse(200, w.metadata()), nil
	case "http://issuer.localhost:8080/.well-known/oauth-authorization-server/default":
		return fetch.JSONResponse(200, w.oauth.Metadata()), nil
	case issuerURL + "/par":
		return reply(w.oauth.Push(ctx, w.store, r, now))
	case issuerURL + "/token":
		return reply(w.oauth.Token(ctx, w.store, r, now))
	case issuerURL + "/challenge":
		return w.oauth.Challenge(r, now).Response, nil
	case issuerURL + "/nonce":
		return w.oid.Nonce(now), nil
	case issuerURL + "/credential":
		return w.credential(ctx, r)
	case issuerURL + "/deferred":
		return w.deferred(ctx, r)
	case issuerURL + "/notification":
		grant, reply, err := w.oauth.CheckAccess(ctx, w.store, r, now)
		if err != nil || grant == nil {
			return reply.Response, err
		}
		n, refusal := w.oid.OpenNotification(r)
		if refusal != nil {
			return refusal.Response(), nil
		}
		w.notified[n.ID] = string(n.Event)
		return oid4vci.NotificationReply(), nil
	case issuerURL + "/status/1":
		return w.status(ctx)
	}
	return fetch.Response{}, errors.New("no route to " + path)
}

func (w *world) provide(ctx context.Context, path string, body []byte) (fetch.Response, error) {
	now := w.Now()
	var err error
	answer := func() (fetch.Response, error) {
		switch path {
		case "/challenge":
			return w.provider.Challenge(now), nil
		case "/instances":
			r, err := w.provider.OpenInstall(ctx, w.store, body, now)
			if err != nil {
				return fetch.Response{}, err
			}
			w.instance = r.Key
			return attestation.InstallReply(w.vouch(r.Key), true), nil
		case "/instances/i1/attestation":
			r, err := w.provider.OpenRenew(ctx, w.store, "i1", w.instance, body, now)
			if err != nil {
				return fetch.Response{}, err
			}
			w.renewed = append(w.renewed, *r)
			if r.NewKey == nil {
				return attestation.InstallReply(w.vouch(w.instance), false), nil
			}
			return attestation.InstallReply(w.vouch(r.NewKey), false), nil
		case "/instances/i1/keys":
			r, err := w.provider.OpenKeyAttestation(ctx, w.store, "i1", w.instance, body, now)
			if err != nil {
				return fetch.Response{}, err
			}
			w.keysAsk = append(w.keysAsk, *r)
			k := attestation.KeyAttestation{IssuedAt: now, Expires: now.Add(time.Hour), Keys: r.Keys, Nonce: r.Nonce, KeyStorage: []string{attestation.ResistanceBasic}}
			token, err := k.Sign(ctx, w.attester, []*x509.Certificate{w.attester.cert})
			return attestation.KeyAttestationReply(attestation.KeyAttestationResponse{KeyAttestation: token, Expires: k.Expires}), err
		}
		return fetch.Response{}, &attestation.Error{Code: attestation.CodeUnknownInstance}
	}
	resp, err := answer()
	var refusal *attestation.Error
	if errors.As(err, &refusal) {
		return refusal.Response(), nil
	}
	return resp, err
}

func (w *world) vouch(pub crypto.PublicKey) attestation.InstallResponse {
	now := w.Now()
	a := attestation.WalletInstance{Issuer: providerURL, ClientID: clientID, Key: pub, IssuedAt: now, Expires: now.Add(12 * time.Hour), Level: attestation.LevelLow, WalletName: "eidos",
		WalletVersion: "1", Status: attestation.Status{Reference: attestation.StatusReference{Index: 1, URI: providerURL + "/status/1"}, Ends: now.Add(31 * 24 * time.Hour)}}
	token, err := a.Sign(context.Background(), w.attester, []*x509.Certificate{w.attester.cert})
	if err != nil {
		w.t.Error(err)
	}
	return attestation.InstallResponse{InstanceID: "i1", Attestation: token, ClientID: clientID, Expires: a.Expires, Level: attestation.LevelLow}
}

func (w *world) credential(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	now := w.Now()
	grant, reply, err := w.oauth.CheckAccess(ctx, w.store, r, now)
	if err != nil || grant == nil {
		return reply.Response, err
	}
	req, refusal, err := w.oid.Open(ctx, w.store, grant, r, now)
	if err != nil {
		return fetch.Response{}, err
	}
	if refusal != nil {
		return refusal.Response(), nil
	}
	if w.later > 0 {
		w.waiting = &deferred{req, grant.ID}
		return req.Reply(oid4vci.Answer{Transaction: "t1", Interval: time.Minute})
	}
	answer, err := w.issue(ctx, req)
	if err != nil {
		return fetch.Response{}, err
	}
	return req.Reply(answer)
}

// deferred answers who asks again.
func (w *world) deferred(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	grant, reply, err := w.oauth.CheckAccess(ctx, w.store, r, w.Now())
	if err != nil || grant == nil {
		return reply.Response, err
	}
	req, refusal := w.oid.OpenDeferred(ctx, r)
	if refusal != nil {
		return refusal.Response(), nil
	}
	if w.waiting == nil || w.waiting.grant != grant.ID || req.Transaction != "t1" {
		return (&oid4vci.Error{Code: oid4vci.CodeInvalidTransaction}).Response(), nil
	}
	if w.later--; w.later > 0 {
		return req.Reply(oid4vci.Answer{Transaction: "t1", Interval: time.Minute})
	}
	answer, err := w.issue(ctx, w.waiting.request)
	if err != nil {
		return fetch.Response{}, err
	}
	w.waiting = nil
	return req.Reply(answer)
}

// issue signs a copy for each key of a request.
func (w *world) issue(ctx context.Context, req *oid4vci.CredentialRequest) (oid4vci.Answer, error) {
	if req.Configuration == "sd" {
		return w.issueSD(ctx, req)
	}
	var out [][]byte
	for n, pub := range req.Keys {
		p := w.params(pub)
		if w.mangle != nil {
			w.mangle(n, &p)
		}
		raw, err := mdoc.Issue(ctx, p, w.ds)
		if err != nil {
			return oid4vci.Answer{}, err
		}
		out = append(out, raw)
	}
	if w.reverse {
		slices.Reverse(out)
	}
	return oid4vci.Answer{Mdocs: out, Notification: fmt.Sprint("n", w.next)}, nil
}

// params is an mDL of the person for a key.
func (w *world) params(pub crypto.PublicKey) mdoc.IssueParams {
	t, _ := doctype.Builtin().ByDocType(mdoc.DocTypeMDL)
	ns := mdoc.NameSpace{Name: mdoc.NameSpaceMDL}
	for name, value := range w.subject {
		el, ok := t.Element(name.Namespace, name.ID)
		if !ok {
			w.t.Errorf("no element %s", name)
		}
		data, err := el.Encode(value)
		if err != nil {
			w.t.Error(err)
		}
		ns.Elements = append(ns.Elements, mdoc.Element{ID: name.ID, Value: data})
	}
	slices.SortFunc(ns.Elements, func(a, b mdoc.Element) int { return strings.Compare(a.ID, b.ID) })
	midnight := w.Now().Truncate(24 * time.Hour)
	w.next++
	return mdoc.IssueParams{DocType: mdoc.DocTypeMDL, NameSpaces: []mdoc.NameSpace{ns}, DeviceKey: pub, Chain: w.ds.chain(),
		Validity: mdoc.Validity{Signed: midnight, ValidFrom: midnight, ValidUntil: midnight.Add(14 * 24 * time.Hour)},
		Status:   &status.Claim{List: &status.ListReference{Index: w.next, URI: issuerURL + "/status/1"}}}
}

func (w *world) status(ctx context.Context) (fetch.Response, error) {
	p, err := statuslist.Publish(ctx, w.statusSigner, statuslist.Edition{URI: issuerURL + "/status/1", List: w.revoked, Now: w.Now(), Lifetime: time.Hour, X5Chain: w.statusSigner.chain()})
	if err != nil {
		return fetch.Response{}, err
	}
	return fetch.Response{Status: 200, Header: map[string]string{"content-type": status.MediaListCWT}, Body: p.CWT}, nil
}

// offer makes an offer with a PIN, or without if it is empty.
func (w *world) offer(code string, configurations ...string) string {
	w.t.Helper()
	a := oauth.Approval{Subject: "p1"}
	for _, id := range configurations {
		a.Credentials = append(a.Credentials, oauth.GrantedCredential{Configuration: id})
	}
	pre, err := w.oauth.Offer(context.Background(), w.store, oauth.Offer{Approval: a, TxCode: code, Expires: w.Now().Add(time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	o := oid4vci.Offer{Issuer: issuerURL, Configurations: configurations, PreAuthorized: &oid4vci.PreAuthorizedGrant{Code: pre}}
	if code != "" {
		o.PreAuthorized.TxCode = &oid4vci.TxCode{Length: len(code), Description: "in the letter"}
	}
	link, err := o.Link(oid4vci.OfferScheme)
	if err != nil {
		w.t.Fatal(err)
	}
	return link
}

// asking is a Consent that a test scripts, and remembers what it was asked.
type asking struct {
	mu     sync.Mutex
	asked  []wallet.Question
	answer func(wallet.Question) (wallet.Answer, error)
}

func (a *asking) Ask(_ context.Context, q wallet.Question) (wallet.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, q)
	if a.answer == nil {
		return wallet.AutoApprove{}.Ask(context.Background(), q)
	}
	return a.answer(q)
}

func (a *asking) last() wallet.Question {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[len(a.asked)-1]
}

// device is an mdoc app with what it stands on.
type device struct {
	*wallet.Wallet
	storage wallet.Storage
	area    *software.Area
	consent *asking
}

func (w *world) device(change func(*wallet.Config, *wallet.Deps)) *device {
	w.t.Helper()
	area, err := software.Open(context.Background(), software.Options{Storage: software.NewMemory(), Secret: make([]byte, 32)})
	if err != nil {
		w.t.Fatal(err)
	}
	d := &device{storage: wallet.NewMemory(), area: area, consent: &asking{}}
	cfg := wallet.Config{}
	deps := wallet.Deps{Storage: d.storage, Area: area, Fetch: w.fetch, Now: w.Now, Consent: d.consent,
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return w.anchors, nil }}
	if change != nil {
		change(&cfg, &deps)
	}
	d.storage = deps.Storage
	if d.Wallet, err = wallet.New(cfg, deps); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// holder is a device with the app installed and an mDL on it.
func (w *world) holder(change func(*wallet.Config, *wallet.Deps)) (*device, wallet.Document) {
	w.t.Helper()
	d := w.device(change)
	if _, err := d.Install(context.Background(), providerURL); err != nil {
		w.t.Fatal(err)
	}
	docs, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d, docs[0]
}

func (d *device) take(link string, o wallet.AcceptOptions) ([]wallet.Document, error) {
	offer, err := d.ReadOffer(context.Background(), link)
	if err != nil {
		return nil, err
	}
	return d.Accept(context.Background(), offer, o)
}

func (d *device) keys(t testing.TB) int {
	t.Helper()
	list, err := d.area.Keys(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// names are the elements of a log entry, as "id".
func names(e wallet.LogEntry) []string {
	var out []string
	for _, d := range e.Documents {
		for _, el := range d.Elements {
			out = append(out, el.Name())
		}
	}
	return out
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(data)
}

var _ securearea.Area = (*software.Area)(nil)

func p256() ecdh.Curve { return ecdh.P256() }

type candidate = query.Candidate
