package session_test

import (
	"bytes"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/session"
)

const (
	sessionURI = "https://api.shop.example/mdoc/1"
	domain     = "shop.example"
)

func website(t testing.TB) *session.Website {
	t.Helper()
	s, err := session.NewWebsite(sessionURI, now.Add(5*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stored is a session after a round trip through the role's storage.
func stored(t testing.TB, s *session.Website) *session.Website {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 2<<10 {
		t.Errorf("%d bytes to keep", len(raw))
	}
	back := new(session.Website)
	if err := json.Unmarshal(raw, back); err != nil {
		t.Fatal(err)
	}
	return back
}

// follow has an mdoc follow the link, and returns its first message.
func follow(t testing.TB, s *session.Website, curve ecdh.Curve, origins ...engagement.OriginInfo) (*session.Device, []byte, *engagement.DeviceEngagement) {
	t.Helper()
	link, err := s.Link()
	if err != nil {
		t.Fatal(err)
	}
	to, err := engagement.ParseReaderLink(link)
	if err != nil {
		t.Fatal(err)
	}
	if uri, err := to.Address(); err != nil || uri != sessionURI {
		t.Errorf("%s %v", uri, err)
	}
	d, err := session.NewDevice(curve)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engagement.New(engagement.Options{EDeviceKey: d.EDeviceKey(), OriginInfos: origins})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.EngageReader(e, to, now); err != nil {
		t.Fatal(err)
	}
	return d, e.Message(), e
}

// A whole conversation, on every curve that the mdoc may have, with the
// website's state stored between the messages.
func TestWebsite(t *testing.T) {
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		s := stored(t, website(t))
		d, message, e := follow(t, s, curve, engagement.FromDomain(domain))
		if derived := d.Transcript() != nil; derived != (curve == ecdh.P256()) {
			t.Errorf("%v: keys derived before the reader spoke: %t", curve, derived)
		}
		r, err := s.Engage(message, domain, now)
		if err != nil {
			t.Fatal(err)
		}
		keyBytes, err := engagement.KeyBytes(r.EReaderKey())
		if err != nil {
			t.Fatal(err)
		}
		if want := mdoc.Transcript(e.Raw, keyBytes, mdoc.WebsiteHandover(s.ReaderEngagement)); !bytes.Equal(r.Transcript(), want) {
			t.Errorf("transcript %x, want %x", r.Transcript(), want)
		}
		request := must(t)(r.Request([]byte("request"), now))
		if bytes.Contains(request, []byte("eReaderKey")) != (curve != ecdh.P256()) {
			t.Errorf("%v: %x", curve, request)
		}
		event, err := d.Receive(request, now)
		if err != nil || string(event.Plaintext) != "request" || !bytes.Equal(d.Transcript(), r.Transcript()) {
			t.Fatalf("%+v %v", event, err)
		}
		response := must(t)(d.Respond([]byte("response"), false, now))
		r, err = stored(t, s).Resume(now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(d.Transcript(), r.Transcript()) {
			t.Error("another transcript after resuming")
		}
		event, err = r.Receive(response, now.Add(time.Minute))
		if err != nil || string(event.Plaintext) != "response" || event.MacKey == nil || event.MacKey.Public().Curve() != curve {
			t.Fatalf("%+v %v", event, err)
		}
		if event, err := d.Receive(must(t)(r.Terminate()), now); err != nil || !event.Ended {
			t.Errorf("%+v %v", event, err)
		}
	}
}

func TestWebsiteRefuses(t *testing.T) {
	good := engagement.FromDomain(domain)
	other := engagement.OriginInfo{Category: 1}
	for name, tc := range map[string]struct {
		origins []engagement.OriginInfo
		want    error
	}{
		"as it should be":     {[]engagement.OriginInfo{good}, nil},
		"in capitals":         {[]engagement.OriginInfo{engagement.FromDomain("Shop.Example")}, nil},
		"with another type":   {[]engagement.OriginInfo{other, good}, nil},
		"from elsewhere":      {[]engagement.OriginInfo{engagement.FromDomain("evil.example")}, session.ErrDomain},
		"from the API's host": {[]engagement.OriginInfo{engagement.FromDomain("api.shop.example")}, session.ErrDomain},
		"not known":           {[]engagement.OriginInfo{engagement.FromDomain("")}, session.ErrDomain},
		"nothing said":        {nil, session.ErrDomain},
		"an empty list":       {[]engagement.OriginInfo{}, session.ErrDomain},
		"another type only":   {[]engagement.OriginInfo{other}, session.ErrDomain},
		"two domains":         {[]engagement.OriginInfo{good, engagement.FromDomain("evil.example")}, session.ErrDomain},
		"delivered":           {[]engagement.OriginInfo{{Category: 2, Type: 1, Domain: domain}}, session.ErrDomain},
	} {
		s := website(t)
		_, message, _ := follow(t, s, ecdh.P256(), tc.origins...)
		if _, err := s.Engage(message, domain, now); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if (len(s.DeviceEngagement) > 0) != (tc.want == nil) {
			t.Errorf("%s: state changed by what was refused, or not by what was not", name)
		}
	}
	s := website(t)
	d, message, e := follow(t, s, ecdh.P256(), good)
	for name, tc := range map[string]struct {
		message []byte
		want    error
	}{
		"empty":               {nil, session.ErrDecoding},
		"no map":              {[]byte{0x80}, session.ErrDecoding},
		"no engagement in it": {[]byte{0xa0}, session.ErrDecoding},
		"engagement alone":    {e.Raw, session.ErrDecoding},
		"cut":                 {message[:len(message)-1], session.ErrDecoding},
		"trailing":            {append(bytes.Clone(message), 0), session.ErrDecoding},
		"of version 2":        {bytes.Replace(message, []byte("1.1"), []byte("2.0"), 1), engagement.ErrUnsupported},
		"huge":                {append(bytes.Clone(message), make([]byte, 1<<20)...), session.ErrDecoding},
	} {
		if _, err := s.Engage(tc.message, domain, now); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Resume(now); !errors.Is(err, session.ErrOrder) {
		t.Errorf("resumed before the engagement: %v", err)
	}
	if _, err := s.Engage(message, domain, s.Expires); !errors.Is(err, session.ErrTimeout) {
		t.Errorf("late engagement: %v", err)
	}
	r, err := s.Engage(message, domain, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Engage(message, domain, now); !errors.Is(err, session.ErrOrder) {
		t.Errorf("engaged twice: %v", err)
	}
	if _, err := s.Resume(s.Expires); !errors.Is(err, session.ErrTimeout) {
		t.Errorf("late response: %v", err)
	}
	// Another session's mdoc cannot answer this one.
	stranger := website(t)
	d2, message2, _ := follow(t, stranger, ecdh.P256(), good)
	r2, err := stranger.Engage(message2, domain, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d2.Receive(must(t)(r.Request([]byte("request"), now)), now); !errors.Is(err, session.ErrEncryption) {
		t.Errorf("request of another session: %v", err)
	}
	if _, err := d.Receive(must(t)(r2.Request([]byte("request"), now)), now); !errors.Is(err, session.ErrEncryption) {
		t.Errorf("request of another session: %v", err)
	}
}

// An mdoc that derived its keys from the link takes no other key.
func TestWebsiteKeyChanges(t *testing.T) {
	s := website(t)
	d, _, e := follow(t, s, ecdh.P256(), engagement.FromDomain(domain))
	r, err := session.NewReader(e, mdoc.WebsiteHandover(s.ReaderEngagement))
	if err != nil {
		t.Fatal(err)
	}
	event, err := d.Receive(must(t)(r.Request([]byte("request"), now)), now)
	if !errors.Is(err, session.ErrEncryption) || !event.Ended || session.DeviceHoldsKeys(d) {
		t.Errorf("%+v %v", event, err)
	}
}

func FuzzWebsiteEngage(f *testing.F) {
	_, message, _ := follow(f, website(f), ecdh.P256(), engagement.FromDomain(domain))
	f.Add(message)
	f.Fuzz(func(t *testing.T, message []byte) {
		s := website(t)
		r, err := s.Engage(message, domain, now)
		if err != nil {
			return
		}
		if _, err := r.Request([]byte("request"), now); err != nil {
			t.Fatal(err)
		}
		if _, err := stored(t, s).Resume(now); err != nil {
			t.Fatal(err)
		}
	})
}
