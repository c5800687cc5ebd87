package engagement

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
)

// limits of an engagement; the standard's own nests five levels.
var limits = cbor.Limits{Size: MaxSize, Depth: 16, Items: 1024}

// maxMethods bounds the retrieval methods and origins that are looked at.
const maxMethods = 16

// Parse reads a DeviceEngagement, strictly: one CBOR item within MaxSize, the
// mandatory elements present, no element of a wrong type. Elements that the
// standard reserves are ignored. Parse keeps raw, which must not change.
//
// Errors wrap ErrMalformed, or ErrUnsupported when the engagement is well made
// but of another major version or cipher suite.
func Parse(raw []byte) (*DeviceEngagement, error) {
	e := &DeviceEngagement{Raw: raw}
	var hasVersion, hasSecurity bool
	r := cbor.ReadChecked(raw, limits)
	elements(r, func(key uint64) {
		switch key {
		case 0:
			e.Version, hasVersion = readVersion(r), true
		case 1:
			e.EDeviceKeyBytes, hasSecurity = readSecurity(r), true
		case 2:
			e.Retrieval = readMethods(r)
		case 3:
			e.ServerRetrieval = true
			r.Skip()
		case 5:
			e.OriginInfos = readOrigins(r)
		case 6:
			e.Capabilities = readCapabilities(r)
		default: // 4 was ProtocolInfo once, the others are reserved
			r.Skip()
		}
	})
	if err := r.Done(); err != nil {
		return nil, fail("DeviceEngagement", err)
	}
	if !hasVersion || !hasSecurity {
		return nil, fail("DeviceEngagement", errors.New("version (0) or security (1) is missing"))
	}
	pub, err := readKey(e.EDeviceKeyBytes)
	if err != nil {
		return nil, fail("EDeviceKey", err)
	}
	e.EDeviceKey = pub
	return e, nil
}

// elements takes a map with integer keys. Negative ones are extensions of
// applications and are passed over; read takes the value of any other.
func elements(r *cbor.Reader, read func(key uint64)) {
	r.Map(func() {
		if r.Kind() == cbor.KindNegInt {
			r.Skip()
			r.Skip()
			return
		}
		read(r.Uint())
	})
}

// fail says what is wrong, and keeps apart what is only not supported.
func fail(element string, err error) error {
	if errors.Is(err, ErrUnsupported) {
		return fmt.Errorf("%s: %w (ISO/IEC 18013-5:2021, 8.2.1.1)", element, err)
	}
	return fmt.Errorf("%w: %s: %w (ISO/IEC 18013-5:2021, 8.2.1.1)", ErrMalformed, element, err)
}

// readVersion takes "major.minor". Another minor version is no error, another
// major is. ISO/IEC 18013-5 second edition (draft v4), 8.3.
func readVersion(r *cbor.Reader) string {
	text := r.Text()
	if r.Err() != nil {
		return ""
	}
	major, minor, ok := strings.Cut(text, ".")
	_, bad1 := strconv.ParseUint(major, 10, 16)
	_, bad2 := strconv.ParseUint(minor, 10, 16)
	if !ok || bad1 != nil || bad2 != nil {
		r.Failf("version %q is not major.minor", text)
	} else if major != "1" {
		r.Fail(fmt.Errorf("%w: version %q, we speak 1.x", ErrUnsupported, text))
	}
	return text
}

// readSecurity takes [ 1, #6.24(bstr .cbor COSE_Key) ] and returns the tagged
// item.
func readSecurity(r *cbor.Reader) []byte {
	r.ArrayOf(2)
	suite := r.Int()
	raw, _ := r.Embedded()
	if r.Err() == nil && suite != CipherSuite1 {
		r.Fail(fmt.Errorf("%w: cipher suite %d, we have 1", ErrUnsupported, suite))
	}
	r.In("security (1)")
	return raw
}

// readKey reads #6.24(bstr .cbor COSE_Key). A curve that we do not have gives
// nil and no error; a point that is not on its curve is an error.
func readKey(tagged []byte) (*ecdh.PublicKey, error) {
	r := cbor.NewReader(tagged)
	_, inner := r.Embedded()
	if err := r.Done(); err != nil {
		return nil, err
	}
	pub, err := cose.ParseECDHKey(inner)
	if errors.Is(err, key.ErrUnsupported) {
		return nil, nil
	}
	return pub, err
}

func readOrigins(r *cbor.Reader) []OriginInfo {
	infos := []OriginInfo{}
	r.Array(func(i int) {
		if i >= maxMethods {
			r.Failf("more than %d origins", maxMethods)
			return
		}
		var info OriginInfo
		var hasCat, hasType bool
		r.Map(func() {
			switch string(r.TextBytes()) {
			case "cat":
				info.Category, hasCat = r.Uint(), true
			case "type":
				info.Type, hasType = r.Uint(), true
			case "details":
				if r.Kind() != cbor.KindMap { // types other than domain are open
					r.Skip()
					return
				}
				r.Map(func() {
					if r.Kind() != cbor.KindText {
						r.Skip()
						r.Skip()
						return
					}
					if name := r.Text(); name == "domain" && r.Kind() == cbor.KindText {
						info.Domain = r.Text()
						return
					}
					r.Skip()
				})
			default:
				r.Skip()
			}
		})
		if r.Err() == nil && (!hasCat || !hasType) {
			r.Failf("origin without cat or type (ISO/IEC TS 18013-7 second edition (N2544), A.3)")
		}
		infos = append(infos, info)
	})
	r.In("originInfos (5)")
	return infos
}

func readCapabilities(r *cbor.Reader) *Capabilities {
	c := &Capabilities{}
	elements(r, func(key uint64) {
		switch key {
		case 0:
			c.MacKeys = r.Bool()
		case 1:
			c.MacKeysCurves = []int64{}
			r.Array(func(int) { c.MacKeysCurves = append(c.MacKeysCurves, r.Int()) })
		case 2:
			c.HandoverSession = r.Bool()
		case 3:
			c.ReaderAuthAllSupport = r.Bool()
		case 4:
			c.ExtendedRequest = r.Bool()
		default:
			r.Skip()
		}
	})
	r.In("capabilities (6)")
	return c
}

func readMethods(r *cbor.Reader) []RetrievalMethod {
	var methods []RetrievalMethod
	r.Array(func(i int) {
		if i >= maxMethods {
			r.Failf("more than %d retrieval methods", maxMethods)
			return
		}
		m := parseMethod(r)
		for _, other := range methods {
			if r.Err() == nil && other.Type == m.Type && other.Version == m.Version {
				r.Failf("two retrieval methods of type %d, version %d", m.Type, m.Version)
			}
		}
		methods = append(methods, m)
	})
	if r.Err() == nil && len(methods) == 0 {
		r.Failf("no retrieval method in the array")
	}
	r.In("deviceRetrievalMethods (2)")
	return methods
}

// parseMethod takes one [ type, version, options ].
func parseMethod(r *cbor.Reader) RetrievalMethod {
	raw := r.Raw()
	if r.Err() != nil {
		return RetrievalMethod{}
	}
	in := cbor.NewReader(raw)
	in.ArrayOf(3)
	m := RetrievalMethod{Type: in.Uint(), Version: in.Uint(), Raw: raw}
	if m.Version == 1 {
		switch m.Type {
		case TypeNFC:
			m.NFC = readNFC(in)
		case TypeBLE:
			m.BLE = readBLE(in)
		case TypeWiFi:
			m.WiFi = readWiFi(in)
		case TypeWebsite:
			m.Website = &WebsiteOptions{URI: readOneText(in)}
		case TypeTCP:
			m.TCP = &TCPOptions{Address: readOneText(in)}
		default:
			in.Skip()
		}
	} else {
		in.Skip()
	}
	if err := in.Done(); err != nil {
		r.Fail(fmt.Errorf("retrieval method of type %d: %w", m.Type, err))
	}
	return m
}

// options takes a map with integer keys and calls known for each key that is
// not negative; known reports whether it took the value.
func options(r *cbor.Reader, known func(key uint64) bool) {
	elements(r, func(key uint64) {
		if !known(key) {
			r.Skip()
		}
	})
}

func readNFC(r *cbor.Reader) *NFCOptions {
	var o NFCOptions
	options(r, func(k uint64) bool {
		switch k {
		case 0:
			o.MaxCommand = r.Uint()
		case 1:
			o.MaxResponse = r.Uint()
		default:
			return false
		}
		return true
	})
	if r.Err() == nil && (o.MaxCommand < 255 || o.MaxCommand > 65535 || o.MaxResponse < 256 || o.MaxResponse > 65536) {
		r.Failf("command length %d not in 255..65535, or response length %d not in 256..65536", o.MaxCommand, o.MaxResponse)
	}
	return &o
}

func readBLE(r *cbor.Reader) *BLEOptions {
	var o BLEOptions
	var has0, has1 bool
	options(r, func(k uint64) bool {
		switch k {
		case 0:
			o.PeripheralServer, has0 = r.Bool(), true
		case 1:
			o.CentralClient, has1 = r.Bool(), true
		case 10:
			o.PeripheralServerUUID = readUUID(r)
		case 11:
			o.CentralClientUUID = readUUID(r)
		case 20:
			o.DeviceAddress = r.Bytes()
		case 21:
			psm := r.Uint()
			o.PSM = &psm
		default:
			return false
		}
		return true
	})
	switch {
	case r.Err() != nil:
	case !has0 || !has1:
		r.Failf("BLE modes (0, 1) are missing")
	case o.PeripheralServer && o.PeripheralServerUUID == nil, o.CentralClient && o.CentralClientUUID == nil:
		r.Failf("a BLE mode is supported but its UUID (10, 11) is missing")
	}
	return &o
}

func readUUID(r *cbor.Reader) *[16]byte {
	b := r.Bytes()
	if r.Err() != nil {
		return nil
	}
	if len(b) != 16 {
		r.Failf("UUID of %d bytes", len(b))
		return nil
	}
	return (*[16]byte)(append([]byte(nil), b...))
}

func readWiFi(r *cbor.Reader) *WiFiOptions {
	var o WiFiOptions
	options(r, func(k uint64) bool {
		switch k {
		case 0:
			o.Passphrase = r.Text()
		case 1:
			class := r.Uint()
			o.OperatingClass = &class
		case 2:
			channel := r.Uint()
			o.Channel = &channel
		case 3:
			o.Bands = r.Bytes()
		default:
			return false
		}
		return true
	})
	return &o
}

// readOneText takes {0: tstr}, with the text not empty.
func readOneText(r *cbor.Reader) string {
	var text string
	options(r, func(k uint64) bool {
		if k == 0 {
			text = r.Text()
		}
		return k == 0
	})
	if r.Err() == nil && text == "" {
		r.Failf("option 0 is missing or empty")
	}
	return text
}
