package session_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/session"
)

var _ key.Agreer = (*session.MacKey)(nil)

// pair returns a device and a reader that saw its QR code.
func pair(t testing.TB, curve ecdh.Curve) (*session.Device, *session.Reader) {
	t.Helper()
	d, err := session.NewDevice(curve)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engagement.New(engagement.Options{EDeviceKey: d.EDeviceKey(), Retrieval: []engagement.RetrievalMethod{engagement.TCP("127.0.0.1:1")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Engage(e, nil, now); err != nil {
		t.Fatal(err)
	}
	seen, err := engagement.ParseQR(e.QR())
	if err != nil {
		t.Fatal(err)
	}
	r, err := session.NewReader(seen, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

func must(t testing.TB) func(message []byte, err error) []byte {
	return func(message []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
}

// established is a session in which the device owes a response.
func established(t testing.TB) (*session.Device, *session.Reader) {
	t.Helper()
	d, r := pair(t, ecdh.P256())
	if _, err := d.Receive(must(t)(r.Request([]byte("request"), now)), now); err != nil {
		t.Fatal(err)
	}
	return d, r
}

func TestCurves(t *testing.T) {
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		t.Run(fmt.Sprint(curve), func(t *testing.T) {
			d, r := pair(t, curve)
			if r.EReaderKey().Curve() != curve {
				t.Fatal("the reader took another curve")
			}
			for i := range 3 { // several requests in one session
				request, response := fmt.Appendf(nil, "request %d", i), fmt.Appendf(nil, "response %d", i)
				event, err := d.Receive(must(t)(r.Request(request, now)), now)
				if err != nil || !bytes.Equal(event.Plaintext, request) {
					t.Fatalf("device: %+v, %v", event, err)
				}
				last := i == 2
				event, err = r.Receive(must(t)(d.Respond(response, last, now)), now)
				if err != nil || !bytes.Equal(event.Plaintext, response) || event.Ended != last {
					t.Fatalf("reader: %+v, %v", event, err)
				}
			}
			gone(t, d, r)
		})
	}
}

// gone checks that every call on both sides says that the session is over.
func gone(t *testing.T, d *session.Device, r *session.Reader) {
	t.Helper()
	check := func(call string, err error) {
		t.Helper()
		if !errors.Is(err, session.ErrTerminated) {
			t.Errorf("%s after the end: %v", call, err)
		}
	}
	if (d != nil && session.DeviceHoldsKeys(d)) || (r != nil && session.ReaderHoldsKeys(r)) {
		t.Error("keys are left after the end")
	}
	if d != nil {
		event, err := d.Receive([]byte{0xa0}, now)
		check("Device.Receive", err)
		if !event.Ended || event.Reply != nil || event.Plaintext != nil {
			t.Errorf("Device.Receive after the end: %+v", event)
		}
		_, err = d.Respond(nil, false, now)
		check("Device.Respond", err)
		_, err = d.Terminate()
		check("Device.Terminate", err)
		_, err = d.Refuse(session.StatusDecodingError)
		check("Device.Refuse", err)
		_, err = d.Tick(now)
		check("Device.Tick", err)
		check("Device.Engage", d.Engage(nil, nil, now))
		if !d.Deadline().IsZero() {
			t.Error("Device has a deadline after the end")
		}
	}
	if r != nil {
		event, err := r.Receive([]byte{0xa0}, now)
		check("Reader.Receive", err)
		if !event.Ended || event.Reply != nil || event.Plaintext != nil || event.MacKey != nil {
			t.Errorf("Reader.Receive after the end: %+v", event)
		}
		_, err = r.Request(nil, now)
		check("Reader.Request", err)
		_, err = r.Terminate()
		check("Reader.Terminate", err)
		_, err = r.Refuse(session.StatusDecodingError)
		check("Reader.Refuse", err)
		_, err = r.Tick(now)
		check("Reader.Tick", err)
		if !r.Deadline().IsZero() {
			t.Error("Reader has a deadline after the end")
		}
	}
}

func statusOf(s session.Status) []byte {
	return append([]byte{0xa1, 0x66, 's', 't', 'a', 't', 'u', 's'}, cbor.AppendUint(nil, uint64(s))...)
}

func dataMessage(data []byte, more ...byte) []byte {
	b := cbor.AppendText(cbor.AppendMap(nil, 1), "data")
	if len(more) > 0 {
		b[0] = 0xa2
	}
	return append(cbor.AppendBytes(b, data), more...)
}

func establishment(t testing.TB, pub *ecdh.PublicKey, data []byte) []byte {
	t.Helper()
	b := cbor.AppendText(cbor.AppendMap(nil, 2), "eReaderKey")
	b = append(b, must(t)(engagement.KeyBytes(pub))...)
	return cbor.AppendBytes(cbor.AppendText(b, "data"), data)
}

// What a device must not accept as the first message.
func TestDeviceRefusesEstablishment(t *testing.T) {
	other, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, r := pair(t, ecdh.P256())
	foreign := must(t)(r.Request([]byte("request"), now)) // of another session
	for name, c := range map[string]struct {
		message func(good []byte) []byte
		want    error
		reply   session.Status
	}{
		"empty":                {func([]byte) []byte { return nil }, session.ErrDecoding, 11},
		"not CBOR":             {func([]byte) []byte { return []byte{0xff} }, session.ErrDecoding, 11},
		"an array":             {func([]byte) []byte { return []byte{0x80} }, session.ErrDecoding, 11},
		"nothing in it":        {func([]byte) []byte { return []byte{0xa0} }, session.ErrDecoding, 11},
		"cut":                  {func(good []byte) []byte { return good[:len(good)-1] }, session.ErrDecoding, 11},
		"trailing":             {func(good []byte) []byte { return append(good, 0) }, session.ErrDecoding, 11},
		"huge":                 {func([]byte) []byte { return dataMessage(make([]byte, session.MaxMessage)) }, session.ErrDecoding, 11},
		"key without data":     {func(good []byte) []byte { return append([]byte{0xa1}, good[1:1+11+79]...) }, session.ErrDecoding, 11},
		"data without a key":   {func([]byte) []byte { return dataMessage(make([]byte, 32)) }, session.ErrDecoding, 11},
		"status 0":             {func([]byte) []byte { return statusOf(0) }, session.ErrDecoding, 11},
		"duplicate key":        {func(good []byte) []byte { g := append(good, 0x64, 'd', 'a', 't', 'a', 0x40); g[0] = 0xa3; return g }, session.ErrDecoding, 11},
		"number as key":        {func([]byte) []byte { return []byte{0xa1, 1, 1} }, session.ErrDecoding, 11},
		"wrong tag":            {func(good []byte) []byte { good[len(good)-1] ^= 1; return good }, session.ErrEncryption, 10},
		"no room for a tag":    {func([]byte) []byte { return establishment(t, r.EReaderKey(), make([]byte, 15)) }, session.ErrEncryption, 10},
		"empty data":           {func([]byte) []byte { return establishment(t, r.EReaderKey(), nil) }, session.ErrEncryption, 10},
		"of another session":   {func([]byte) []byte { return foreign }, session.ErrEncryption, 10},
		"wrong curve":          {func([]byte) []byte { return establishment(t, other.PublicKey(), make([]byte, 32)) }, session.ErrEncryption, 10},
		"point not on a curve": {func(good []byte) []byte { good[1+11+78] ^= 1; return good }, session.ErrEncryption, 10},
	} {
		t.Run(name, func(t *testing.T) {
			d, r := pair(t, ecdh.P256())
			event, err := d.Receive(c.message(must(t)(r.Request([]byte("request"), now))), now)
			if !errors.Is(err, c.want) || !event.Ended || event.Plaintext != nil {
				t.Fatalf("%+v, %v", event, err)
			}
			if !bytes.Equal(event.Reply, statusOf(c.reply)) {
				t.Errorf("reply %x, want status %v", event.Reply, c.reply)
			}
			gone(t, d, nil)
			event, err = r.Receive(event.Reply, now) // and the reader learns of it
			if !errors.Is(err, session.ErrPeer) || event.Status != c.reply || !event.Ended || event.Reply != nil {
				t.Errorf("reader: %+v, %v", event, err)
			}
			gone(t, nil, r)
		})
	}
}

// What a device must not accept once the session is established.
func TestDeviceRefusesData(t *testing.T) {
	respond := func(t *testing.T, d *session.Device, r *session.Reader) {
		t.Helper()
		if _, err := r.Receive(must(t)(d.Respond([]byte("response"), false, now)), now); err != nil {
			t.Fatal(err)
		}
	}
	for name, run := range map[string]func(t *testing.T, d *session.Device, r *session.Reader) []byte{
		"replayed": func(t *testing.T, d *session.Device, r *session.Reader) []byte {
			respond(t, d, r)
			second := must(t)(r.Request([]byte("second"), now))
			if _, err := d.Receive(second, now); err != nil {
				t.Fatal(err)
			}
			respond(t, d, r)
			return second
		},
		"skipped": func(t *testing.T, d *session.Device, r *session.Reader) []byte {
			respond(t, d, r)
			session.SkipMessage(r)
			return must(t)(r.Request([]byte("after a lost one"), now))
		},
		"before the answer": func(t *testing.T, _ *session.Device, r *session.Reader) []byte {
			session.AskAgain(r)
			return must(t)(r.Request([]byte("impatient"), now))
		},
		"second establishment": func(t *testing.T, _ *session.Device, r *session.Reader) []byte {
			return establishment(t, r.EReaderKey(), make([]byte, 40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, r := established(t)
			event, err := d.Receive(run(t, d, r), now)
			if !errors.Is(err, session.ErrEncryption) || !event.Ended || event.Plaintext != nil || !bytes.Equal(event.Reply, statusOf(10)) {
				t.Fatalf("%+v, %v", event, err)
			}
			gone(t, d, nil)
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		message func(good []byte) []byte
		want    error
		reply   []byte
	}{
		"wrong tag":               {func(good []byte) []byte { good[len(good)-1] ^= 1; return good }, session.ErrEncryption, statusOf(10)},
		"cut":                     {func(good []byte) []byte { return good[:len(good)-3] }, session.ErrDecoding, statusOf(11)},
		"nothing in it":           {func([]byte) []byte { return []byte{0xa0} }, session.ErrDecoding, statusOf(11)},
		"an establishment":        {func([]byte) []byte { _, r := pair(t, ecdh.P256()); return must(t)(r.Request(nil, now)) }, session.ErrEncryption, statusOf(10)},
		"data beside status 10":   {func(good []byte) []byte { return append(append([]byte{0xa2}, good[1:]...), statusOf(10)[1:]...) }, session.ErrPeer, nil},
		"data beside status 11":   {func(good []byte) []byte { return append(append([]byte{0xa2}, good[1:]...), statusOf(11)[1:]...) }, session.ErrDecoding, nil},
		"bad data with status 20": {func(good []byte) []byte { return dataMessage(make([]byte, 99), statusOf(20)[1:]...) }, session.ErrEncryption, statusOf(10)},
		"status 10":               {func([]byte) []byte { return statusOf(10) }, session.ErrPeer, nil},
		"status 11":               {func([]byte) []byte { return statusOf(11) }, session.ErrPeer, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, r := established(t)
			event, err := r.Receive(c.message(must(t)(d.Respond([]byte("response"), false, now))), now)
			if !errors.Is(err, c.want) || !event.Ended || event.Plaintext != nil || event.MacKey != nil || !bytes.Equal(event.Reply, c.reply) {
				t.Fatalf("%+v, %v", event, err)
			}
			gone(t, nil, r)
		})
	}
	t.Run("a response twice", func(t *testing.T) {
		d, r := established(t)
		response := must(t)(d.Respond([]byte("response"), false, now))
		if _, err := r.Receive(response, now); err != nil {
			t.Fatal(err)
		}
		event, err := r.Receive(response, now)
		if !errors.Is(err, session.ErrEncryption) || event.Plaintext != nil {
			t.Errorf("%+v, %v", event, err)
		}
		gone(t, nil, r)
	})
}

// Calls out of order are refused, and the session goes on.
func TestOrder(t *testing.T) {
	d, err := session.NewDevice(ecdh.P256())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Receive(nil, now); !errors.Is(err, session.ErrOrder) {
		t.Errorf("Receive before Engage: %v", err)
	}
	stranger, _ := pair(t, ecdh.P256())
	e, err := engagement.New(engagement.Options{EDeviceKey: stranger.EDeviceKey()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Engage(e, nil, now); err == nil {
		t.Error("Engage took an engagement with another key")
	}
	d, r := pair(t, ecdh.P256())
	if err := d.Engage(e, nil, now); !errors.Is(err, session.ErrOrder) {
		t.Errorf("Engage twice: %v", err)
	}
	if _, err := d.Respond(nil, false, now); !errors.Is(err, session.ErrOrder) {
		t.Errorf("Respond before a request: %v", err)
	}
	if _, err := r.Receive(statusOf(20), now); !errors.Is(err, session.ErrOrder) {
		t.Errorf("Reader.Receive before a request: %v", err)
	}
	if _, err := d.Refuse(session.StatusNone); err == nil || errors.Is(err, session.ErrTerminated) {
		t.Errorf("Refuse with no status: %v", err)
	}
	event, err := d.Receive(must(t)(r.Request([]byte("request"), now)), now)
	if err != nil || string(event.Plaintext) != "request" {
		t.Errorf("the session did not go on: %+v, %v", event, err)
	}
	// A status code nobody knows is told and ends nothing; a reserved key is ignored.
	unknown := append([]byte{0xa2}, statusOf(99)[1:]...)
	unknown = append(unknown, 0x61, 'x', 0x80)
	deadline := d.Deadline()
	if event, err := d.Receive(unknown, now.Add(time.Second)); err != nil || event.Ended || event.Status != 99 {
		t.Errorf("status 99: %+v, %v", event, err)
	}
	if !d.Deadline().Equal(deadline) {
		t.Error("a message that anyone could have sent moved the deadline")
	}
	if _, err := d.Respond([]byte("response"), true, now); err != nil {
		t.Error(err)
	}
	gone(t, d, nil)
}

// The reader may end a session while the person still decides.
func TestTerminationWhileAsking(t *testing.T) {
	d, r := established(t)
	event, err := d.Receive(must(t)(r.Terminate()), now)
	if err != nil || !event.Ended || event.Status != session.StatusTermination || event.Reply != nil {
		t.Errorf("%+v, %v", event, err)
	}
	gone(t, d, r)
	if d.Transcript() == nil || d.EReaderKey() == nil {
		t.Error("transcript and reader's key are gone")
	}
}

func TestTimeouts(t *testing.T) {
	d, r := pair(t, ecdh.P256())
	if want := now.Add(session.EstablishTimeout); !d.Deadline().Equal(want) {
		t.Errorf("deadline after the engagement: %v", d.Deadline())
	}
	if !r.Deadline().IsZero() {
		t.Errorf("a reader that asked nothing has a deadline: %v", r.Deadline())
	}
	later := now.Add(200 * time.Second)
	if _, err := d.Receive(must(t)(r.Request([]byte("request"), later)), later); err != nil {
		t.Fatal(err)
	}
	end := later.Add(session.IdleTimeout)
	if !d.Deadline().Equal(end) || !r.Deadline().Equal(end) {
		t.Errorf("deadlines %v and %v, want %v", d.Deadline(), r.Deadline(), end)
	}
	for _, tick := range []func(time.Time) ([]byte, error){d.Tick, r.Tick} {
		if reply, err := tick(end.Add(-1)); err != nil || reply != nil {
			t.Errorf("before the deadline: %x, %v", reply, err)
		}
		reply, err := tick(end)
		if !errors.Is(err, session.ErrTimeout) || !bytes.Equal(reply, statusOf(20)) {
			t.Errorf("at the deadline: %x, %v", reply, err)
		}
	}
	gone(t, d, r)

	// A message that comes too late ends the session without Tick.
	d, r = established(t)
	if reply, err := d.Respond([]byte("late"), false, now.Add(time.Hour)); !errors.Is(err, session.ErrTimeout) || !bytes.Equal(reply, statusOf(20)) {
		t.Errorf("late response: %x, %v", reply, err)
	}
	event, err := r.Receive(statusOf(20), now.Add(time.Hour))
	if !errors.Is(err, session.ErrTimeout) || !event.Ended || !bytes.Equal(event.Reply, statusOf(20)) {
		t.Errorf("late message: %+v, %v", event, err)
	}
	gone(t, d, r)
}

func TestNoSecretInText(t *testing.T) {
	d, r := established(t)
	event, err := r.Receive(must(t)(d.Respond([]byte("response"), false, now)), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %s", event.MacKey, event.MacKey, event.MacKey); got != "[redacted] [redacted] [redacted]" {
		t.Error(got)
	}
	if _, err := event.MacKey.Agree(context.Background(), nil); err == nil {
		t.Error("MacKey agreed with nobody")
	}
}

// Whatever comes in whatever order: no panic, an end is final, and nothing
// that was not sent in this session ever decrypts.
func TestRandomConversations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, r := pair(t, ecdh.P256())
		sent := map[string]bool{}
		wire := [][]byte{{}, {0xa0}, statusOf(10), statusOf(11), statusOf(20), statusOf(77), dataMessage(make([]byte, 40))}
		pick := func() []byte {
			m := bytes.Clone(rapid.SampledFrom(wire).Draw(rt, "message"))
			if len(m) > 0 && rapid.IntRange(0, 3).Draw(rt, "damage") == 0 {
				m[rapid.IntRange(0, len(m)-1).Draw(rt, "at")] ^= byte(1 + rapid.IntRange(0, 254).Draw(rt, "mask"))
			}
			return m
		}
		deviceOver, readerOver := false, false
		judge := func(who string, over *bool, event session.Event, err error) {
			if *over && !errors.Is(err, session.ErrTerminated) {
				rt.Fatalf("%s lives after its end: %+v, %v", who, event, err)
			}
			if event.Plaintext != nil && (err != nil || !sent[string(event.Plaintext)]) {
				rt.Fatalf("%s decrypted %q, %v", who, event.Plaintext, err)
			}
			*over = *over || event.Ended
		}
		for i := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			text := fmt.Sprintf("plaintext %d", i)
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				if m, err := r.Request([]byte(text), now); err == nil {
					wire, sent[text] = append(wire, m), true
				}
			case 1:
				end := rapid.Bool().Draw(rt, "end")
				if m, err := d.Respond([]byte(text), end, now); err == nil {
					wire, sent[text] = append(wire, m), true
					deviceOver = deviceOver || end
				}
			case 2, 3:
				event, err := d.Receive(pick(), now)
				judge("device", &deviceOver, event, err)
			case 4:
				event, err := r.Receive(pick(), now)
				judge("reader", &readerOver, event, err)
			}
		}
	})
}

func FuzzDevice(f *testing.F) {
	establish := vectors.Hex(f, load(f, "d5_1_session_establishment").Hex)
	f.Add(establish, vectors.Hex(f, load(f, "d5_1_session_termination").Hex))
	f.Add(establish, establish)
	f.Add(establish, vectors.Hex(f, load(f, "d5_1_session_data").Hex))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d, _ := both(t)
		event, err := d.Receive(first, now)
		if err != nil && (!event.Ended || event.Plaintext != nil) {
			t.Errorf("an error did not end the session: %+v, %v", event, err)
		}
		again, err := d.Receive(second, now)
		if event.Ended && !errors.Is(err, session.ErrTerminated) {
			t.Errorf("alive after the end: %v", err)
		}
		if again.Plaintext != nil && event.Plaintext != nil {
			t.Error("two requests without a response between them")
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(vectors.Hex(f, load(f, "d5_1_session_data").Hex))
	f.Add(vectors.Hex(f, load(f, "d5_1_session_termination").Hex))
	f.Add(dataMessage(make([]byte, 16), statusOf(20)[1:]...))
	request := vectors.Hex(f, load(f, "d5_1_session_establishment").Expected["plaintext_device_request"])
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, r := both(t)
		if _, err := r.Request(request, now); err != nil {
			t.Fatal(err)
		}
		event, err := r.Receive(raw, now)
		if err != nil && (!event.Ended || event.Plaintext != nil) {
			t.Errorf("%+v, %v", event, err)
		}
		if (event.Plaintext == nil) != (event.MacKey == nil) {
			t.Errorf("plaintext and MacKey come together: %+v", event)
		}
	})
}
