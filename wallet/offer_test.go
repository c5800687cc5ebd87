package wallet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/wallet"
)

// An issuer that signs its metadata is known before anything is accepted, if
// a trusted CA vouches for it; it may sign under another, but not wrongly.
func TestSignedMetadata(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	stranger := certify(t, pki.IACARoot, w.Now(), "Nobody's", nil)
	ours := certify(t, pki.CredentialSigner, w.Now(), "Registry of Utopia", &w.iaca)
	theirs := certify(t, pki.CredentialSigner, w.Now(), "Registry of Utopia", &stranger)
	notSigner := certify(t, pki.ReaderAuth, w.Now(), "Reader", &w.readerCA)
	const where = "http://issuer.localhost:8080/.well-known/openid-credential-issuer/default"
	sign := func(by signer, chain [][]byte, change func(*oid4vci.Metadata)) {
		w.more[where] = func(r fetch.Request) (fetch.Response, error) {
			m := w.metadata()
			if change != nil {
				change(&m)
			}
			if !strings.HasPrefix(r.Header["accept"], "application/jwt") {
				t.Errorf("asked for %q", r.Header["accept"])
			}
			token, err := oid4vci.SignMetadata(t.Context(), m, by, chain, w.Now(), w.Now().Add(time.Hour))
			return fetch.Response{Status: 200, Header: map[string]string{"content-type": "application/jwt"}, Body: []byte(token)}, err
		}
	}
	for name, c := range map[string]struct {
		by       signer
		standing assure.Standing
		issuer   string
	}{
		"vouched for":      {ours, assure.ReaderTrusted, "Registry of Utopia"},
		"under another CA": {theirs, assure.ReaderUnknown, "Utopia Registry"},
		"by no signer":     {notSigner, assure.ReaderUnknown, "Utopia Registry"},
	} {
		sign(c.by, c.by.chain(), nil)
		offer, err := d.ReadOffer(t.Context(), w.offer(pin, "mdl"))
		if err != nil || offer.Issuer.Standing != c.standing || offer.Issuer.Name != c.issuer || (offer.Issuer.VouchedBy == "Utopia IACA") != (c.standing == assure.ReaderTrusted) {
			t.Errorf("%s: %+v, %v", name, offer, err)
			continue
		}
		if _, err := d.Accept(t.Context(), offer, wallet.AcceptOptions{TxCode: pin}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	sign(theirs, ours.chain(), nil)
	if _, err := d.ReadOffer(t.Context(), w.offer(pin, "mdl")); err == nil || !strings.Contains(err.Error(), "12.2.3") {
		t.Errorf("signed with another key: %v", err)
	}
	sign(ours, ours.chain(), func(m *oid4vci.Metadata) { m.CredentialIssuer += "x" })
	if _, err := d.ReadOffer(t.Context(), w.offer(pin, "mdl")); err == nil {
		t.Error("metadata of another issuer were taken")
	}
}
