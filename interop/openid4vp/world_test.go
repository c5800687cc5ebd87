package openid4vp_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/securearea"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/wallet"
)

const day = 24 * time.Hour

const familyName = "Müller-Thurgau"

// party is a key with its certificate.
type party struct {
	*testkit.Key
	cert *x509.Certificate
}

// certify makes a key and a certificate of a profile under a CA, or a root.
func certify(t testing.TB, p pki.Profile, name string, ca *party) party {
	t.Helper()
	a := party{Key: testkit.Signer(t, elliptic.P256())}
	by := a.Key
	tpl := pki.Template{
		Subject: pki.Name{Country: "UT", Organization: name, CommonName: name}, PublicKey: a.Public(),
		Contact: "ca@utopia.example", CRLURL: "http://crl.utopia.example/1",
	}
	if ca != nil {
		tpl.Issuer, by = ca.cert, ca.Key
	}
	if p == pki.Verifier {
		tpl.DNS, tpl.CRLURL = []string{verifierHost}, ""
	}
	tpl.NotBefore, tpl.NotAfter = pki.Validity(time.Now(), 300*day)
	a.cert = pkitest.Issue(t, p, tpl, by)
	return a
}

func base64s(list ...[]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = base64.StdEncoding.EncodeToString(b)
	}
	return out
}

func publicJWK(t testing.TB, k *testkit.Key) map[string]string {
	t.Helper()
	jwk := k.JWK(t)
	delete(jwk, "d")
	return jwk
}

// jwks is a JWK Set with one key.
func jwks(t testing.TB, k *testkit.Key) string {
	t.Helper()
	set, err := json.Marshal(map[string]any{"keys": []any{publicJWK(t, k)}})
	if err != nil {
		t.Fatal(err)
	}
	return string(set)
}

// utopia has issuing authorities, and a CA and an attester for verifiers.
type utopia struct {
	iaca, ds, serviceCA, signer, readerCA party
	attester                              *testkit.Key // of verifiers
}

func newUtopia(t testing.TB) *utopia {
	t.Helper()
	u := &utopia{attester: testkit.Signer(t, elliptic.P256())}
	u.iaca = certify(t, pki.IACARoot, "Utopia Roads", nil)
	u.ds = certify(t, pki.DocumentSigner, "Utopia Roads signer", &u.iaca)
	u.serviceCA = certify(t, pki.ServiceCA, "Utopia Registry", nil)
	u.signer = certify(t, pki.CredentialSigner, "Utopia Registry signer", &u.serviceCA)
	u.readerCA = certify(t, pki.ReaderCA, "Utopia Readers", nil)
	return u
}

// attest vouches for the name "Bank" of a verifier. OpenID4VP 1.0, 12.
func (u *utopia) attest(t testing.TB, k *testkit.Key) string {
	t.Helper()
	token, err := jose.Sign(t.Context(), u.attester, jose.Header{Typ: oid4vp.AttestationType}, map[string]any{
		"iss": "https://attester.example", "sub": "Bank", "exp": time.Now().Add(day).Unix(), "cnf": map[string]any{"jwk": publicJWK(t, k)}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// anchors are what everybody in Utopia trusts.
func (u *utopia) anchors(context.Context, time.Time) (*assure.Anchors, error) {
	return assure.NewAnchors(append(assure.FromCertificates(trustlist.Issuer, "test", u.iaca.cert, u.serviceCA.cert),
		assure.FromCertificates(trustlist.Verifier, "test", u.readerCA.cert)...)...)
}

// app is our mdoc app with documents in it.
type app struct {
	*wallet.Wallet
	asked []wallet.Question // what the holder was asked
}

// Ask implements wallet.Consent: the holder agrees to everything.
func (a *app) Ask(ctx context.Context, q wallet.Question) (wallet.Answer, error) {
	a.asked = append(a.asked, q)
	return wallet.AutoApprove{}.Ask(ctx, q)
}

// newApp is an app whose network is do, with documents of both formats. How they
// came into it is another conversation: here they are put into the storage.
func (u *utopia) newApp(t testing.TB, do fetch.Func, known ...wallet.KnownVerifier) *app {
	t.Helper()
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	storage, a := wallet.NewMemory(), &app{}
	for _, f := range append(formats(), card()) {
		u.hold(t, storage, area, f)
	}
	a.Wallet, err = wallet.New(wallet.Config{
		Verifiers: known, Attesters: []wallet.Attester{{Issuer: "https://attester.example", Keys: jwks(t, u.attester)}},
	}, wallet.Deps{
		Storage: storage, Area: area, Fetch: do, Anchors: u.anchors, Now: time.Now, Consent: a,
		Transactions: []oid4vp.TransactionType{payment},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// hold puts a document into a storage, as package wallet lays it out, with as many
// copies as a test may need.
func (u *utopia) hold(t testing.TB, s wallet.Storage, area securearea.Area, f *format) {
	t.Helper()
	d := wallet.Document{ID: f.id, Format: f.name, DocType: f.docType}
	d.Added, d.ValidFrom, d.ValidUntil = time.Now(), time.Now().Add(-day), time.Now().Add(14*day)
	keys, err := area.Create(t.Context(), securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign, Count: 30})
	if err != nil {
		t.Fatal(err)
	}
	row, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Tx(t.Context(), func(tx wallet.Txn) error {
		err := tx.Put(t.Context(), "document", d.ID, row)
		for i, k := range keys {
			id := fmt.Sprintf("%s/%04d", d.ID, i)
			err = errors.Join(err, tx.Put(t.Context(), "issued", id, f.issue(u, t, k.Public)),
				tx.Put(t.Context(), "credential", id, fmt.Appendf(nil, `{"key":%q}`, k.ID)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// others are bindings that a presentation must not have.
func (b bound) others(f *format) map[string]bound {
	nonce, client, addressee, key, page := b, b, b, b, b
	nonce.Nonce, client.ClientID, addressee.ResponseURI, key.Thumbprint = "another", "x509_san_dns:other.example", verifierURL, strings.Repeat("00", 32)
	page.Origin = "https://other.example"
	all := map[string]bound{"nonce": nonce, "key": key, "client": client, "addressee": addressee, "page": page}
	if b.Origin != "" { // which stands for both
		delete(all, "client")
		delete(all, "addressee")
	}
	maps.DeleteFunc(all, func(part string, _ bound) bool { return part != "page" && f.refusals[part] == "" })
	return all
}

// binding is made of what the peer says.
func (b bound) binding(t testing.TB) binding {
	t.Helper()
	thumbprint, err := hex.DecodeString(b.Thumbprint)
	if err != nil {
		t.Fatal(err)
	}
	if len(thumbprint) == 0 {
		thumbprint = nil
	}
	if b.Origin != "" { // OpenID4VP 1.0, A.4 and B.2.6.2: signed or not
		return binding{mdoc.TranscriptOpenID4VPDCAPI(b.Origin, b.Nonce, thumbprint), "origin:" + b.Origin, b.Nonce}
	}
	return binding{mdoc.TranscriptOpenID4VP(b.ClientID, b.Nonce, thumbprint, b.ResponseURI), b.ClientID, b.Nonce}
}

// verify verifies a presentation of a format.
func (u *utopia) verify(t testing.TB, f *format, presentation string, b binding) (shown, error) {
	t.Helper()
	anchors, err := u.anchors(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return f.verify(presentation, b, assure.DocumentParams{Now: time.Now(), Anchors: anchors, DocType: f.docType})
}

// expect verifies that a presentation shows what was asked for.
func (u *utopia) expect(t testing.TB, name string, f *format, presentation string, b binding) shown {
	t.Helper()
	got, err := u.verify(t, f, presentation, b)
	if err != nil || !slices.Equal(got.names, slices.Sorted(maps.Keys(f.values))) {
		t.Errorf("%s: %v %v", name, got.names, err)
	}
	return got
}

// flipped is a JWT or JWE with one bit of a part changed, in the middle.
func flipped(token string, part int) string {
	return replaced(token, part, func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
}

// altered is a request object with another state.
func altered(object string) string {
	return replaced(object, 1, func(claims []byte) []byte {
		return bytes.Replace(claims, []byte(`"state":"`), []byte(`"state":"-`), 1)
	})
}

func replaced(token string, part int, change func([]byte) []byte) string {
	parts := strings.Split(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		return ""
	}
	parts[part] = base64.RawURLEncoding.EncodeToString(change(b))
	return strings.Join(parts, ".")
}
