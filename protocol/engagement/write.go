package engagement

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
)

// Scheme is what the text of a QR code begins with. ISO/IEC 18013-5:2021, 8.2.2.3.
const Scheme = "mdoc:"

// New writes a DeviceEngagement, members in the order of their keys. It reads
// back what it wrote, so that options which no one could parse are an error.
func New(o Options) (*DeviceEngagement, error) {
	if o.EDeviceKey == nil {
		return nil, errors.New("engagement: no EDeviceKey")
	}
	inner, err := cose.AppendKey(nil, o.EDeviceKey)
	if err != nil {
		return nil, fmt.Errorf("engagement: EDeviceKey: %w", err)
	}
	version, members := "1.0", 2
	if len(o.Retrieval) > 0 {
		members++
	}
	if o.Capabilities != nil {
		members++
	}
	newer := o.OriginInfos != nil || o.Capabilities != nil
	if newer {
		version = "1.1" // keys 5 and 6 go together, 5 may be empty
		members++
	}
	b := cbor.AppendMap(make([]byte, 0, 256), members)
	b = cbor.AppendText(cbor.AppendUint(b, 0), version)
	b = cbor.AppendArray(cbor.AppendUint(b, 1), 2)
	b = cbor.AppendEmbedded(cbor.AppendUint(b, CipherSuite1), inner)
	if len(o.Retrieval) > 0 {
		b = cbor.AppendArray(cbor.AppendUint(b, 2), len(o.Retrieval))
		for _, m := range o.Retrieval {
			if b, err = m.append(b); err != nil {
				return nil, err
			}
		}
	}
	if newer {
		b = cbor.AppendArray(cbor.AppendUint(b, 5), len(o.OriginInfos))
		for _, info := range o.OriginInfos {
			b = info.append(b)
		}
	}
	if o.Capabilities != nil {
		b = o.Capabilities.append(cbor.AppendUint(b, 6))
	}
	return Parse(b)
}

// QR returns the text of the QR code: "mdoc:" and base64url without padding.
//
// ISO/IEC 18013-5:2021, 8.2.2.3.
func (e *DeviceEngagement) QR() string {
	return Scheme + base64.RawURLEncoding.EncodeToString(e.Raw)
}

// ParseQR reads the text of a QR code, strictly: the scheme in lower or upper
// case (RFC 3986, 3.1), base64url without padding, line breaks or spare bits.
func ParseQR(text string) (*DeviceEngagement, error) {
	raw, err := decodeText(text, Scheme)
	if err != nil {
		return nil, err
	}
	return Parse(raw)
}

func decodeText(text, scheme string) ([]byte, error) {
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return nil, fmt.Errorf("%w: the text does not begin with %q (ISO/IEC 18013-5:2021, 8.2.2.3)", ErrMalformed, scheme)
	}
	encoded := text[len(scheme):]
	if base64.RawURLEncoding.DecodedLen(len(encoded)) > MaxSize {
		return nil, fmt.Errorf("%w: %d characters, an engagement has at most %d bytes", ErrMalformed, len(encoded), MaxSize)
	}
	// The decoder passes over line breaks even when strict.
	if strings.ContainsAny(encoded, "\r\n") {
		return nil, fmt.Errorf("%w: line break inside the text", ErrMalformed)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url without padding (RFC 4648, 5): %w", ErrMalformed, err)
	}
	return raw, nil
}

func (c *Capabilities) append(b []byte) []byte {
	n := 0
	for _, present := range []bool{c.MacKeys, c.MacKeysCurves != nil, c.HandoverSession, c.ReaderAuthAllSupport, c.ExtendedRequest} {
		if present {
			n++
		}
	}
	b = cbor.AppendMap(b, n)
	flag := func(key uint64, set bool) {
		if set {
			b = cbor.AppendBool(cbor.AppendUint(b, key), true)
		}
	}
	flag(0, c.MacKeys)
	if c.MacKeysCurves != nil {
		b = cbor.AppendArray(cbor.AppendUint(b, 1), len(c.MacKeysCurves))
		for _, curve := range c.MacKeysCurves {
			b = cbor.AppendInt(b, curve)
		}
	}
	flag(2, c.HandoverSession)
	flag(3, c.ReaderAuthAllSupport)
	flag(4, c.ExtendedRequest)
	return b
}

func (o OriginInfo) append(b []byte) []byte {
	b = cbor.AppendMap(b, 3)
	b = cbor.AppendUint(cbor.AppendText(b, "cat"), o.Category)
	b = cbor.AppendUint(cbor.AppendText(b, "type"), o.Type)
	b = cbor.AppendText(b, "details")
	if o.Type != 1 {
		return cbor.AppendMap(b, 0)
	}
	b = cbor.AppendMap(b, 1)
	return cbor.AppendText(cbor.AppendText(b, "domain"), o.Domain)
}

func (m RetrievalMethod) append(b []byte) ([]byte, error) {
	b = cbor.AppendArray(b, 3)
	b = cbor.AppendUint(b, m.Type)
	b = cbor.AppendUint(b, m.Version)
	switch {
	case m.Type == TypeNFC && m.NFC != nil:
		b = cbor.AppendMap(b, 2)
		b = cbor.AppendUint(cbor.AppendUint(b, 0), m.NFC.MaxCommand)
		b = cbor.AppendUint(cbor.AppendUint(b, 1), m.NFC.MaxResponse)
	case m.Type == TypeBLE && m.BLE != nil:
		b = m.BLE.append(b)
	case m.Type == TypeWiFi && m.WiFi != nil:
		b = m.WiFi.append(b)
	case m.Type == TypeWebsite && m.Website != nil:
		b = cbor.AppendText(cbor.AppendUint(cbor.AppendMap(b, 1), 0), m.Website.URI)
	case m.Type == TypeTCP && m.TCP != nil:
		b = cbor.AppendText(cbor.AppendUint(cbor.AppendMap(b, 1), 0), m.TCP.Address)
	default:
		return nil, fmt.Errorf("engagement: retrieval method of type %d without its options", m.Type)
	}
	return b, nil
}

func (o *BLEOptions) append(b []byte) []byte {
	n := 2
	for _, present := range []bool{o.PeripheralServerUUID != nil, o.CentralClientUUID != nil, o.DeviceAddress != nil, o.PSM != nil} {
		if present {
			n++
		}
	}
	b = cbor.AppendMap(b, n)
	b = cbor.AppendBool(cbor.AppendUint(b, 0), o.PeripheralServer)
	b = cbor.AppendBool(cbor.AppendUint(b, 1), o.CentralClient)
	if o.PeripheralServerUUID != nil {
		b = cbor.AppendBytes(cbor.AppendUint(b, 10), o.PeripheralServerUUID[:])
	}
	if o.CentralClientUUID != nil {
		b = cbor.AppendBytes(cbor.AppendUint(b, 11), o.CentralClientUUID[:])
	}
	if o.DeviceAddress != nil {
		b = cbor.AppendBytes(cbor.AppendUint(b, 20), o.DeviceAddress)
	}
	if o.PSM != nil {
		b = cbor.AppendUint(cbor.AppendUint(b, 21), *o.PSM)
	}
	return b
}

func (o *WiFiOptions) append(b []byte) []byte {
	n := 0
	for _, present := range []bool{o.Passphrase != "", o.OperatingClass != nil, o.Channel != nil, o.Bands != nil} {
		if present {
			n++
		}
	}
	b = cbor.AppendMap(b, n)
	if o.Passphrase != "" {
		b = cbor.AppendText(cbor.AppendUint(b, 0), o.Passphrase)
	}
	if o.OperatingClass != nil {
		b = cbor.AppendUint(cbor.AppendUint(b, 1), *o.OperatingClass)
	}
	if o.Channel != nil {
		b = cbor.AppendUint(cbor.AppendUint(b, 2), *o.Channel)
	}
	if o.Bands != nil {
		b = cbor.AppendBytes(cbor.AppendUint(b, 3), o.Bands)
	}
	return b
}

// KeyBytes returns #6.24(bstr .cbor COSE_Key) for an ephemeral key.
func KeyBytes(pub *ecdh.PublicKey) ([]byte, error) {
	inner, err := cose.AppendKey(nil, pub)
	if err != nil {
		return nil, fmt.Errorf("ephemeral key: %w", err)
	}
	return cbor.AppendEmbedded(nil, inner), nil
}
