package session_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/session"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type vectorKey struct{ D, X, Y string }

type vector struct {
	Hex      string            `json:"hex"`
	Expected map[string]string `json:"expected"`
}

func load(t testing.TB, name string) vector {
	t.Helper()
	var v vector
	vectors.Load(t, "iso18013-5/"+name+".json", &v)
	return v
}

// keys are the ephemeral keys, and the static one, that the standard prints.
func keys(t testing.TB) (device, reader, static *ecdh.PrivateKey) {
	t.Helper()
	var v struct{ Keys map[string]vectorKey }
	vectors.Load(t, "iso18013-5/d5_1_session_keys.json", &v)
	read := func(name string) *ecdh.PrivateKey {
		k, err := ecdh.P256().NewPrivateKey(vectors.Hex(t, v.Keys[name].D))
		if err != nil {
			t.Fatal(err)
		}
		if want := "04" + v.Keys[name].X + v.Keys[name].Y; hex.EncodeToString(k.PublicKey().Bytes()) != want {
			t.Fatalf("%s: the printed point is not that of the printed key", name)
		}
		return k
	}
	return read("ephemeral_device_key"), read("ephemeral_reader_key"), read("static_device_key")
}

func parse(t testing.TB, raw []byte) *engagement.DeviceEngagement {
	t.Helper()
	e, err := engagement.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// both returns the two sides of the session in D.5.1: negotiated NFC handover.
func both(t testing.TB) (*session.Device, *session.Reader) {
	t.Helper()
	hs := load(t, "d3_3_nfc_handover_select")
	handover := mdoc.NFCHandover(vectors.Hex(t, hs.Hex), vectors.Hex(t, load(t, "d3_2_nfc_handover_request").Hex))
	e := parse(t, vectors.Hex(t, hs.Expected["device_engagement"]))
	dk, rk, _ := keys(t)
	d := session.NewDeviceWithKey(dk)
	if err := d.Engage(e, handover, now); err != nil {
		t.Fatal(err)
	}
	r, err := session.NewReaderWithKey(e, handover, rk)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

func same(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s is\n%x, want\n%s", what, got, want)
	}
}

// The whole session of ISO/IEC 18013-5, D.5.1: both sides accept the printed
// messages, and write them to the byte from the printed keys.
func TestVectorSession(t *testing.T) {
	establishment, data := load(t, "d5_1_session_establishment"), load(t, "d5_1_session_data")
	script := load(t, "d5_1_session_transcript")
	request := vectors.Hex(t, establishment.Expected["plaintext_device_request"])
	response := vectors.Hex(t, data.Expected["plaintext_device_response"])
	d, r := both(t)

	message, err := r.Request(request, now)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "SessionEstablishment", message, establishment.Hex)
	event, err := d.Receive(vectors.Hex(t, establishment.Hex), now)
	if err != nil || event.Ended || event.Reply != nil || event.MacKey != nil || !bytes.Equal(event.Plaintext, request) {
		t.Fatalf("device: %+v, %v", event, err)
	}
	same(t, "the device's transcript", d.Transcript(), script.Expected["session_transcript_untagged"])
	same(t, "the reader's transcript", r.Transcript(), script.Expected["session_transcript_untagged"])
	if !d.EReaderKey().Equal(r.EReaderKey()) {
		t.Error("the two sides hold different reader keys")
	}

	message, err = d.Respond(response, false, now)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "SessionData", message, data.Hex)
	event, err = r.Receive(vectors.Hex(t, data.Hex), now)
	if err != nil || event.Ended || !bytes.Equal(event.Plaintext, response) {
		t.Fatalf("reader: %+v, %v", event, err)
	}

	goodbye, err := r.Terminate()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "termination", goodbye, load(t, "d5_1_session_termination").Hex)
	event, err = d.Receive(goodbye, now)
	if err != nil || !event.Ended || event.Status != session.StatusTermination || event.Reply != nil {
		t.Fatalf("device, termination: %+v, %v", event, err)
	}
}

// The MacKey of a response gives the EMacKey of D.5.1 and D.5.3, also when the
// response ended the session.
func TestVectorMacKey(t *testing.T) {
	var v struct {
		Expected map[string]string `json:"expected"`
	}
	vectors.Load(t, "iso18013-5/d5_1_session_keys.json", &v)
	_, _, static := keys(t)
	d, r := both(t)
	message, err := r.Request([]byte("request"), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Receive(message, now); err != nil {
		t.Fatal(err)
	}
	message, err = d.Respond([]byte("response"), true, now)
	if err != nil {
		t.Fatal(err)
	}
	event, err := r.Receive(message, now)
	if err != nil || !event.Ended || event.MacKey == nil {
		t.Fatalf("%+v, %v", event, err)
	}
	z, err := event.MacKey.Agree(context.Background(), static.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Zab", z, v.Expected["Zab_emac"])
	same(t, "SessionTranscriptBytes", cbor.AppendEmbedded(nil, r.Transcript()), v.Expected["SessionTranscriptBytes"])
	salt := sha256.Sum256(cbor.AppendEmbedded(nil, r.Transcript()))
	mac, err := hkdf.Key(sha256.New, z, salt[:], "EMacKey", 32)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "EMacKey", mac, v.Expected["EMacKey"])
	if !event.MacKey.Public().Equal(r.EReaderKey()) {
		t.Error("MacKey is another key than EReaderKey")
	}
}

// After a QR code the handover is null.
func TestVectorTranscriptQR(t *testing.T) {
	want := load(t, "derived_session_transcript_qr")
	e := parse(t, vectors.Hex(t, load(t, "d3_1_device_engagement_qr").Hex))
	dk, rk, _ := keys(t)
	r, err := session.NewReaderWithKey(e, nil, rk)
	if err != nil {
		t.Fatal(err)
	}
	tagged := cbor.AppendEmbedded(nil, r.Transcript())
	same(t, "SessionTranscriptBytes", tagged, want.Hex)
	salt := sha256.Sum256(tagged)
	same(t, "salt", salt[:], want.Expected["sha256_salt"])

	// The device comes to the same transcript and keys.
	d := session.NewDeviceWithKey(dk)
	if err := d.Engage(e, nil, now); err != nil {
		t.Fatal(err)
	}
	message, err := r.Request([]byte("request"), now)
	if err != nil {
		t.Fatal(err)
	}
	event, err := d.Receive(message, now)
	if err != nil || string(event.Plaintext) != "request" || !bytes.Equal(d.Transcript(), r.Transcript()) {
		t.Errorf("device: %+v, %v", event, err)
	}
}
