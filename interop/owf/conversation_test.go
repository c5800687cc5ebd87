package owf_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"testing"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/engagement"
)

// conversation is one way in which a reader and a holder can meet.
type conversation struct {
	name       string
	transcript []byte       // as we make it
	told       task         // what the peer is told, to make its own
	reader     *testkit.Key // the reader's ephemeral key; nil if there is none
	device     *testkit.Key // what the document is bound to
}

// agreer is a key of a conversation for key agreement.
func agreer(t testing.TB, k *testkit.Key) *testkit.AgreeKey {
	t.Helper()
	private, err := k.Private().(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	return testkit.ECDH(private)
}

// proximity is a meeting by QR code, or by NFC if there are handover messages.
func proximity(t testing.TB, name string, curve elliptic.Curve, o engagement.Options, handover ...[]byte) conversation {
	t.Helper()
	c := conversation{name: name, reader: testkit.Signer(t, curve), device: testkit.Signer(t, curve)}
	o.EDeviceKey = agreer(t, testkit.Signer(t, curve)).Public()
	e, err := engagement.New(o)
	if err != nil {
		t.Fatal(err)
	}
	readerKey, err := engagement.KeyBytes(agreer(t, c.reader).Public())
	if err != nil {
		t.Fatal(err)
	}
	told := hexes(append([][]byte{e.Raw, readerKey}, handover...)...)
	c.told = task{"flow": "qr", "engagement": told[0], "eReaderKey": told[1]}
	if len(handover) == 0 {
		c.transcript = mdoc.Transcript(e.Raw, readerKey, nil)
		return c
	}
	c.told["flow"], c.told["select"] = "nfc", told[2]
	var request []byte
	if len(handover) == 2 {
		request, c.told["request"] = handover[1], told[3]
	}
	c.transcript = mdoc.Transcript(e.Raw, readerKey, mdoc.NFCHandover(handover[0], request))
	return c
}

// conversations are all ways of meeting that both sides know.
func conversations(t testing.TB) []conversation {
	t.Helper()
	uuid := [16]byte{0x45, 0xef, 0xef, 0x74, 0x2b, 0x2c, 0x48, 0x37, 0xa9, 0xa3, 0xb0, 0xe1, 0xd0, 0x5a, 0x69, 0x17}
	ble := engagement.RetrievalMethod{Type: engagement.TypeBLE, Version: 1, BLE: &engagement.BLEOptions{PeripheralServer: true, PeripheralServerUUID: &uuid}}
	nfc := engagement.RetrievalMethod{Type: engagement.TypeNFC, Version: 1, NFC: &engagement.NFCOptions{MaxCommand: 255, MaxResponse: 65536}}
	second := engagement.Options{
		Retrieval:    []engagement.RetrievalMethod{ble, engagement.TCP("127.0.0.1:4711")},
		Capabilities: &engagement.Capabilities{ReaderAuthAllSupport: true, ExtendedRequest: true},
	}
	const (
		clientID    = "x509_san_dns:verifier.example"
		responseURI = "https://verifier.example/response/Zm9v"
		nonce       = "n-0S6_WzA2Mj-longer-than-it-need-be"
		mdocNonce   = "mdoc-0S6_WzA2Mj"
		origin      = "https://verifier.example"
	)
	sum := sha256.Sum256([]byte("a key"))
	thumbprint := sum[:]
	remote := func(name string, curve elliptic.Curve, transcript []byte, told task) conversation {
		c := conversation{name: name, transcript: transcript, told: told, device: testkit.Ed25519(t)}
		if curve != nil {
			c.device = testkit.Signer(t, curve)
		}
		return c
	}
	return []conversation{
		proximity(t, "QR", elliptic.P256(), engagement.Options{Retrieval: []engagement.RetrievalMethod{ble, nfc}}),
		proximity(t, "QR, second edition", elliptic.P384(), second),
		proximity(t, "NFC, static", elliptic.P256(), engagement.Options{}, []byte("select")),
		proximity(t, "NFC, negotiated", elliptic.P521(), engagement.Options{}, []byte("select"), []byte("request")),
		remote("OpenID4VP", elliptic.P256(), mdoc.TranscriptOpenID4VP(clientID, nonce, nil, responseURI),
			task{"flow": "openid4vp", "clientId": clientID, "nonce": nonce, "responseUri": responseURI}),
		remote("OpenID4VP, encrypted", nil, mdoc.TranscriptOpenID4VP(clientID, nonce, thumbprint, responseURI),
			task{"flow": "openid4vp", "clientId": clientID, "nonce": nonce, "responseUri": responseURI, "thumbprint": hexes(thumbprint)[0]}),
		remote("OpenID4VP, Digital Credentials API", elliptic.P384(), mdoc.TranscriptOpenID4VPDCAPI(origin, nonce, thumbprint),
			task{"flow": "openid4vp-dcapi", "origin": origin, "nonce": nonce, "thumbprint": hexes(thumbprint)[0]}),
		remote("OpenID4VP, draft 18", elliptic.P256(), mdoc.TranscriptOpenID4VPDraft18(clientID, responseURI, nonce, mdocNonce),
			task{"flow": "openid4vp-draft18", "clientId": clientID, "responseUri": responseURI, "nonce": nonce, "mdocNonce": mdocNonce}),
	}
}

// Both sides bind their answers to the same bytes.
func TestTranscripts(t *testing.T) {
	all := conversations(t)
	tasks := make([]task, len(all))
	for i, c := range all {
		tasks[i] = task{"do": "transcript", "transcript": c.told}
	}
	for i, a := range peer.Done(t, tasks...) {
		if want := hexes(all[i].transcript)[0]; a.Transcript != want {
			t.Errorf("%s: theirs\n%s, ours\n%s", all[i].name, a.Transcript, want)
		}
	}
}
