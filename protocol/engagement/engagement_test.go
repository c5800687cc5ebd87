package engagement_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/engagement"
)

type vector struct {
	Hex      string            `json:"hex"`
	Keys     map[string]any    `json:"keys"`
	Expected map[string]string `json:"expected"`
}

func load(t testing.TB, name string) vector {
	t.Helper()
	var v vector
	vectors.Load(t, "iso18013-5/"+name+".json", &v)
	return v
}

// The QR engagement of ISO/IEC 18013-5, D.3.1, read, and written again from
// its parts to the byte.
func TestVectorQR(t *testing.T) {
	v := load(t, "d3_1_device_engagement_qr")
	raw := vectors.Hex(t, v.Hex)
	e, err := engagement.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if e.Version != "1.0" || e.ServerRetrieval || e.OriginInfos != nil || e.Capabilities != nil {
		t.Errorf("parsed %+v", e)
	}
	if got := hex.EncodeToString(e.EDeviceKeyBytes); got != v.Expected["EDeviceKeyBytes"] {
		t.Errorf("EDeviceKeyBytes %s", got)
	}
	if len(e.Retrieval) != 1 || e.Retrieval[0].BLE == nil {
		t.Fatalf("retrieval methods %+v", e.Retrieval)
	}
	ble := e.Retrieval[0].BLE
	uuid := strings.ReplaceAll(v.Expected["ble_central_client_uuid"], "-", "")
	if ble.PeripheralServer || !ble.CentralClient || hex.EncodeToString(ble.CentralClientUUID[:]) != uuid {
		t.Errorf("BLE options %+v", ble)
	}
	if got := e.QR(); got != v.Expected["qr_uri_derived"] {
		t.Errorf("QR text %s", got)
	}
	back, err := engagement.ParseQR(v.Expected["qr_uri_derived"])
	if err != nil || !bytes.Equal(back.Raw, raw) {
		t.Errorf("from the QR text: %v", err)
	}
	written, err := engagement.New(engagement.Options{EDeviceKey: e.EDeviceKey, Retrieval: e.Retrieval})
	if err != nil || !bytes.Equal(written.Raw, raw) {
		t.Errorf("written again: %x, %v", written.Raw, err)
	}
}

// The engagement inside the NFC handover of D.3.3 has no retrieval methods.
func TestVectorNFC(t *testing.T) {
	v := load(t, "d3_3_nfc_handover_select")
	e, err := engagement.Parse(vectors.Hex(t, v.Expected["device_engagement"]))
	if err != nil {
		t.Fatal(err)
	}
	if e.EDeviceKey == nil || len(e.Retrieval) != 0 {
		t.Errorf("parsed %+v", e)
	}
}

func TestVectorTransportIdentifiers(t *testing.T) {
	qr := load(t, "d3_1_device_engagement_qr")
	want := load(t, "derived_transport_identifiers").Expected
	e, err := engagement.Parse(vectors.Hex(t, qr.Hex))
	if err != nil {
		t.Fatal(err)
	}
	ident := e.BLEIdent()
	got := map[string]string{
		"ble_ident":        hex.EncodeToString(ident[:]),
		"nan_service_name": e.NANService(),
		"nan_passphrase":   e.NANPassphrase(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func newKey(t testing.TB, c ecdh.Curve) *ecdh.PublicKey {
	t.Helper()
	k, err := c.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k.PublicKey()
}

// Everything that can be written is read back the same.
func TestRoundTrip(t *testing.T) {
	psm, class, channel := uint64(192), uint64(81), uint64(6)
	uuid := [16]byte{1, 2, 3}
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		o := engagement.Options{
			EDeviceKey: newKey(t, curve),
			Retrieval: []engagement.RetrievalMethod{
				engagement.TCP("127.0.0.1:4711"),
				{Type: engagement.TypeBLE, Version: 1, BLE: &engagement.BLEOptions{
					PeripheralServer: true, CentralClient: true, PeripheralServerUUID: &uuid,
					CentralClientUUID: &uuid, DeviceAddress: []byte{1, 2, 3, 4, 5, 6}, PSM: &psm}},
				{Type: engagement.TypeNFC, Version: 1, NFC: &engagement.NFCOptions{MaxCommand: 255, MaxResponse: 65536}},
				{Type: engagement.TypeWiFi, Version: 1, WiFi: &engagement.WiFiOptions{
					Passphrase: "passphrase", OperatingClass: &class, Channel: &channel, Bands: []byte{0x14}}},
			},
			OriginInfos:  []engagement.OriginInfo{{Category: 1, Type: 1, Domain: "example.com"}, {Category: 1, Type: 0}},
			Capabilities: &engagement.Capabilities{MacKeys: true, MacKeysCurves: []int64{1, 4}, HandoverSession: true, ReaderAuthAllSupport: true, ExtendedRequest: true},
		}
		e, err := engagement.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if e.Version != "1.1" || !e.EDeviceKey.Equal(o.EDeviceKey) {
			t.Errorf("%v: version %s", curve, e.Version)
		}
		for i := range e.Retrieval {
			if len(e.Retrieval[i].Raw) == 0 {
				t.Errorf("method %d has no Raw", i)
			}
			e.Retrieval[i].Raw = nil
		}
		if diff := cmp.Diff(o.Retrieval, e.Retrieval); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(o.OriginInfos, e.OriginInfos); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(o.Capabilities, e.Capabilities); diff != "" {
			t.Error(diff)
		}
	}
	e, err := engagement.New(engagement.Options{EDeviceKey: newKey(t, ecdh.P256()), Capabilities: &engagement.Capabilities{}})
	if err != nil || e.OriginInfos == nil || len(e.OriginInfos) != 0 {
		t.Errorf("capabilities without origins: %+v, %v", e, err) // key 5 goes with key 6
	}
}

func TestNewRefuses(t *testing.T) {
	pub := newKey(t, ecdh.P256())
	for name, o := range map[string]engagement.Options{
		"no key":             {},
		"no options":         {EDeviceKey: pub, Retrieval: []engagement.RetrievalMethod{{Type: engagement.TypeBLE, Version: 1}}},
		"BLE without a UUID": {EDeviceKey: pub, Retrieval: []engagement.RetrievalMethod{{Type: engagement.TypeBLE, Version: 1, BLE: &engagement.BLEOptions{CentralClient: true}}}},
		"twice the same":     {EDeviceKey: pub, Retrieval: []engagement.RetrievalMethod{engagement.TCP("a:1"), engagement.TCP("b:1")}},
		"empty address":      {EDeviceKey: pub, Retrieval: []engagement.RetrievalMethod{engagement.TCP("")}},
	} {
		if _, err := engagement.New(o); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// build makes an engagement from members given as encoded pairs.
func build(pairs ...[]byte) []byte {
	b := cbor.AppendMap(nil, len(pairs))
	for _, p := range pairs {
		b = append(b, p...)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func security(t testing.TB, pub *ecdh.PublicKey) []byte {
	t.Helper()
	keyBytes, err := engagement.KeyBytes(pub)
	if err != nil {
		t.Fatal(err)
	}
	return append(unhex(t, "01 82 01"), keyBytes...)
}

// What the standard reserves, and what we do not have, is no error.
func TestIgnored(t *testing.T) {
	version, sec := unhex(t, "00 63312e37"), security(t, newKey(t, ecdh.P256())) // "1.7"
	e, err := engagement.Parse(build(version, sec,
		unhex(t, "03 a1 66 776562417069 80"),         // server retrieval
		unhex(t, "04 f6"),                            // protocol info
		unhex(t, "18 63 82 01 02"),                   // 99, reserved
		unhex(t, "20 a1 01 02"),                      // -1, an extension
		unhex(t, "02 82 83 18 2a 01 a0 83 02 07 a0"), // type 42, and BLE of version 7
		unhex(t, "06 a2 09 01 21 f5"),                // capabilities 9 and -2
	))
	if err != nil {
		t.Fatal(err)
	}
	if !e.ServerRetrieval || e.Version != "1.7" || len(e.Retrieval) != 2 || e.Retrieval[0].Type != 42 || e.Retrieval[1].BLE != nil {
		t.Errorf("parsed %+v", e)
	}
	// A brainpool key (curve 256) parses, and is no key for a session.
	key := unhex(t, "d818 5849 a4 01 02 20 190100 21 5820"+strings.Repeat("11", 32)+"22 5820"+strings.Repeat("22", 32))
	key[3] = byte(len(key) - 4)
	e, err = engagement.Parse(build(version, append(unhex(t, "01 82 01"), key...)))
	if err != nil || e.EDeviceKey != nil {
		t.Errorf("brainpool: %v, %v", e, err)
	}
}

func TestRefused(t *testing.T) {
	version, sec := unhex(t, "00 63312e30"), security(t, newKey(t, ecdh.P256()))
	good := build(version, sec)
	if _, err := engagement.Parse(good); err != nil {
		t.Fatal(err)
	}
	offCurve := bytes.Clone(good)
	offCurve[len(offCurve)-1] ^= 1
	suite := bytes.Replace(sec, []byte{0x82, 0x01}, []byte{0x82, 0x02}, 1)
	method := func(s string) []byte { return build(version, sec, unhex(t, "02 81"+s)) }
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"empty":                 {nil, engagement.ErrMalformed},
		"cut":                   {good[:len(good)-1], engagement.ErrMalformed},
		"trailing":              {append(bytes.Clone(good), 0), engagement.ErrMalformed},
		"not a map":             {unhex(t, "80"), engagement.ErrMalformed},
		"huge":                  {build(version, sec, append(unhex(t, "18 63 59 2000"), make([]byte, 0x2000)...)), engagement.ErrMalformed},
		"duplicate key":         {build(version, sec, version), engagement.ErrMalformed},
		"text key":              {build(version, sec, unhex(t, "61 61 01")), engagement.ErrMalformed},
		"no version":            {build(sec), engagement.ErrMalformed},
		"no security":           {build(version), engagement.ErrMalformed},
		"version 2.0":           {build(unhex(t, "00 63322e30"), sec), engagement.ErrUnsupported},
		"version without dot":   {build(unhex(t, "00 6131"), sec), engagement.ErrMalformed},
		"version as number":     {build(unhex(t, "00 01"), sec), engagement.ErrMalformed},
		"cipher suite 2":        {build(version, suite), engagement.ErrUnsupported},
		"key without tag 24":    {build(version, append(unhex(t, "01 82 01"), sec[5:]...)), engagement.ErrMalformed},
		"point not on curve":    {offCurve, engagement.ErrMalformed},
		"no retrieval method":   {build(version, sec, unhex(t, "02 80")), engagement.ErrMalformed},
		"method of two":         {method("82 02 01"), engagement.ErrMalformed},
		"BLE without modes":     {method("83 02 01 a0"), engagement.ErrMalformed},
		"BLE without UUID":      {method("83 02 01 a2 00f4 01f5"), engagement.ErrMalformed},
		"BLE with a short UUID": {method("83 02 01 a3 00f4 01f5 0b 41 00"), engagement.ErrMalformed},
		"NFC limits":            {method("83 01 01 a2 00 18fe 01 190100"), engagement.ErrMalformed},
		"tcp without address":   {method("83 19ff00 01 a0"), engagement.ErrMalformed},
		"origin without type":   {build(version, sec, unhex(t, "05 81 a1 63 636174 01")), engagement.ErrMalformed},
		"capability not a bool": {build(version, sec, unhex(t, "06 a1 04 01")), engagement.ErrMalformed},
		"deep":                  {build(version, sec, append(append(unhex(t, "18 63"), bytes.Repeat([]byte{0x81}, 100)...), 0)), engagement.ErrMalformed},
	} {
		if _, err := engagement.Parse(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestQRTextIsStrict(t *testing.T) {
	e, err := engagement.New(engagement.Options{EDeviceKey: newKey(t, ecdh.P256())})
	if err != nil {
		t.Fatal(err)
	}
	text := e.QR()
	if _, err := engagement.ParseQR("MDOC:" + text[5:]); err != nil {
		t.Errorf("upper case scheme: %v", err)
	}
	std := base64.StdEncoding.EncodeToString(append([]byte{0xfb, 0xff}, e.Raw...))
	for name, bad := range map[string]string{
		"no scheme":   text[5:],
		"another":     "mdoc-openid4vp:" + text[5:],
		"slashes":     "mdoc://" + text[5:],
		"padding":     text + "=",
		"line break":  text[:20] + "\n" + text[20:],
		"space":       text + " ",
		"plus":        "mdoc:" + std,
		"empty":       "mdoc:",
		"nothing":     "",
		"huge":        "mdoc:" + strings.Repeat("A", 1<<20),
		"one too few": text[:len(text)-1],
	} {
		if _, err := engagement.ParseQR(bad); !errors.Is(err, engagement.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReaderEngagement(t *testing.T) {
	pub := newKey(t, ecdh.P256())
	raw := build(unhex(t, "00 63312e31"), security(t, pub), unhex(t, "02 81 83 04 01 a1 00 6d 68747470733a2f2f612e62 2f78"))
	e, err := engagement.ParseReader(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !e.EReaderKey.Equal(pub) || e.Version != "1.1" || len(e.Retrieval) != 1 || e.Retrieval[0].Website.URI != "https://a.b/x" {
		t.Errorf("parsed %+v", e)
	}
	back, err := engagement.ParseReaderLink(e.Link())
	if err != nil || !bytes.Equal(back.Raw, raw) {
		t.Errorf("link: %v", err)
	}
	written, err := engagement.NewReader(pub, "https://a.b/x")
	if err != nil || !bytes.Equal(written.Raw, raw) {
		t.Errorf("written: %x, %v", written.Raw, err)
	}
	if uri, err := e.Address(); err != nil || uri != "https://a.b/x" {
		t.Errorf("address %q, %v", uri, err)
	}
	later, err := engagement.ParseReader(build(unhex(t, "00 63312e31"), security(t, pub), unhex(t, "02 81 83 04 02 a1 00 6d 68747470733a2f2f612e62 2f78")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.Address(); !errors.Is(err, engagement.ErrUnsupported) {
		t.Errorf("address of a later version: %v", err)
	}
	if _, err := engagement.NewReader(pub, ""); err == nil {
		t.Error("written without an address")
	}
	// In NFC handover it holds the version only.
	if e, err := engagement.ParseReader(unhex(t, "a1 00 63312e30")); err != nil || e.EReaderKey != nil {
		t.Errorf("NFC: %v, %v", e, err)
	}
	for name, bad := range map[string][]byte{"no version": build(security(t, pub)), "empty": nil, "cut": raw[:len(raw)-2]} {
		if _, err := engagement.ParseReader(bad); !errors.Is(err, engagement.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Parse never panics, and what it takes keeps its bytes.
func TestMutations(t *testing.T) {
	raw := vectors.Hex(t, load(t, "d3_1_device_engagement_qr").Hex)
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(raw)
		for range rapid.IntRange(1, 4).Draw(t, "flips") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
		before := bytes.Clone(b)
		if e, err := engagement.Parse(b); err == nil {
			if !bytes.Equal(e.Raw, before) || !bytes.Contains(e.Raw, e.EDeviceKeyBytes) {
				t.Error("the bytes were not kept")
			}
		}
	})
}

func FuzzParseEngagement(f *testing.F) {
	f.Add(vectors.Hex(f, load(f, "d3_1_device_engagement_qr").Hex))
	f.Add(vectors.Hex(f, load(f, "d3_3_nfc_handover_select").Expected["device_engagement"]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := engagement.Parse(raw); err == nil {
			e.BLEIdent()
			back, err := engagement.ParseQR(e.QR())
			if err != nil || !bytes.Equal(back.Raw, raw) {
				t.Errorf("QR round: %v", err)
			}
		}
		if e, err := engagement.ParseMessage(raw); err == nil {
			back, err := engagement.ParseMessage(e.Message())
			if err != nil || !bytes.Equal(back.Raw, e.Raw) {
				t.Errorf("message round: %v", err)
			}
		}
		if e, err := engagement.ParseReader(raw); err == nil {
			if _, err := engagement.ParseReaderLink(e.Link()); err != nil {
				t.Error(err)
			}
		}
	})
}
