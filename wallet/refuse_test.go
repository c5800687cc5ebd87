package wallet_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/wallet"
)

// A message that came before, or one after another that never came, ends the
// session with status 10. ISO/IEC 18013-5:2021, 9.1.1.4 and 9.1.1.5. What was
// shared by then stays shared, and nothing else is.
func TestCountersOnSite(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	unused := func(want int) {
		t.Helper()
		if docs, err := d.Documents(t.Context()); err != nil || docs[0].Unused != want {
			t.Errorf("%+v %v, want %d copies left", docs, err, want)
		}
	}

	says := func(what string, err error, words string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", what, err, words)
		}
	}

	asked := len(d.consent.asked)
	_, err := w.meet(d, wallet.PresentOptions{}, func(r *reader) {
		first, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))
		r.verify(first)
		again, err := r.s.Request(r.request(nil, wants(mdoc.DocTypeMDL, "given_name")), w.Now())
		if err != nil {
			t.Fatal(err)
		}
		resp, _ := r.exchange(again)
		r.verify(resp)
		if resp, event := r.exchange(again); resp != nil || event.Status != session.StatusEncryptionError {
			t.Errorf("replayed message: %+v", event)
		}
	})
	says("replayed", err, "message 3 does not decrypt (ISO/IEC 18013-5:2021, 9.1.1.5)")
	if n := len(d.consent.asked) - asked; n != 2 {
		t.Errorf("asked %d times", n)
	}
	unused(3)

	asked = len(d.consent.asked)
	_, err = w.meet(d, wallet.PresentOptions{}, func(r *reader) {
		if err := r.conn.Send(t.Context(), establish(t, r.s.Transcript(), 2, r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))); err != nil {
			t.Fatal(err)
		}
		if raw, err := r.conn.Receive(t.Context()); err != nil || !bytes.Equal(raw, append([]byte{0xa1, 0x66}, "status\x0a"...)) {
			t.Errorf("first message as the second: %x %v", raw, err)
		}
	})
	says("skipped", err, "message 1 does not decrypt (ISO/IEC 18013-5:2021, 9.1.1.5)")
	if len(d.consent.asked) != asked {
		t.Error("the holder was asked")
	}
	unused(3)

	// The same with the right counter is answered.
	_, err = w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		if err := r.conn.Send(t.Context(), establish(t, r.s.Transcript(), 1, r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))); err != nil {
			t.Fatal(err)
		}
		if raw, err := r.conn.Receive(t.Context()); err != nil || len(raw) < 500 {
			t.Errorf("%x %v", raw, err)
		}
	})
	if err != nil || len(d.consent.asked) != asked+1 {
		t.Errorf("asked %d times: %v", len(d.consent.asked)-asked, err)
	}
	unused(2)
}

// establish is the SessionEstablishment of a reader that counts as it likes.
func establish(t *testing.T, transcript []byte, counter byte, request []byte) []byte {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := cbor.NewReader(transcript)
	r.ArrayOf(3)
	_, raw := r.Embedded()
	eng, err := engagement.Parse(raw)
	must(err)
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	must(err)
	key, err := engagement.KeyBytes(private.PublicKey())
	must(err)
	z, err := private.ECDH(eng.EDeviceKey)
	must(err)
	salt := sha256.Sum256(cbor.AppendEmbedded(nil, mdoc.Transcript(raw, key, nil)))
	sk, err := hkdf.Key(sha256.New, z, salt[:], "SKReader", 32)
	must(err)
	block, err := aes.NewCipher(sk)
	must(err)
	gcm, err := cipher.NewGCM(block)
	must(err)
	iv := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, counter}
	b := append(cbor.AppendText(cbor.AppendMap(nil, 2), "eReaderKey"), key...)
	return cbor.AppendBytes(cbor.AppendText(b, "data"), gcm.Seal(nil, iv, request, nil))
}
