package engagement

// The types of device retrieval methods. ISO/IEC 18013-5:2021, 8.2.1.1.
const (
	TypeNFC  = 1
	TypeBLE  = 2
	TypeWiFi = 3
	// TypeWebsite is the reader's REST API; only in a ReaderEngagement.
	// ISO/IEC TS 18013-7 second edition (N2544), Annex A.
	TypeWebsite = 4
	// TypeTCP is ours alone and for demonstrations only: options
	// {0: "host:port"}, each message a 4-byte big-endian length and the CBOR.
	// No one else understands it; the number is far away from the standard's.
	// See docs/divergences.md.
	TypeTCP = 65280
)

// RetrievalMethod is one way to connect. At most one of the option fields is
// set, and none for a type or version that we do not know.
//
//	DeviceRetrievalMethod = [ uint, uint, RetrievalOptions ]   ; type, version
//
// ISO/IEC 18013-5:2021, 8.2.1.1.
type RetrievalMethod struct {
	Type, Version uint64
	// Raw is the whole array as received; nil in a method to be written.
	Raw []byte

	NFC     *NFCOptions
	BLE     *BLEOptions
	WiFi    *WiFiOptions
	Website *WebsiteOptions
	TCP     *TCPOptions
}

// NFCOptions are the limits of data transfer by NFC, in bytes.
// ISO/IEC 18013-5:2021, 8.2.1.1, table 3.
type NFCOptions struct {
	MaxCommand  uint64 // key 0, 255 to 65535
	MaxResponse uint64 // key 1, 256 to 65536
}

// BLEOptions are for data transfer by Bluetooth Low Energy.
// ISO/IEC 18013-5:2021, 8.2.1.1, table 2; key 21
// ISO/IEC 18013-5 second edition (draft v4), 9.1.
type BLEOptions struct {
	PeripheralServer     bool      // key 0
	CentralClient        bool      // key 1
	PeripheralServerUUID *[16]byte // key 10, network byte order; the mdoc advertises it
	CentralClientUUID    *[16]byte // key 11, network byte order; the reader advertises it
	DeviceAddress        []byte    // key 20, nil if absent
	PSM                  *uint64   // key 21, L2CAP in peripheral mode
}

// WiFiOptions are for data transfer by Wi-Fi Aware.
// ISO/IEC 18013-5:2021, 8.2.1.1, table 4.
type WiFiOptions struct {
	Passphrase     string  // key 0, empty if absent: then derive it (NANPassphrase)
	OperatingClass *uint64 // key 1
	Channel        *uint64 // key 2
	Bands          []byte  // key 3, nil if absent
}

// WebsiteOptions are the reader's address on the web.
// ISO/IEC TS 18013-7 second edition (N2544), Annex A.
type WebsiteOptions struct {
	URI string // key 0
}

// TCPOptions are the address to dial of our private demonstration transport.
type TCPOptions struct {
	Address string // key 0, "host:port"
}

// TCP returns the retrieval method of the demonstration transport.
func TCP(address string) RetrievalMethod {
	return RetrievalMethod{Type: TypeTCP, Version: 1, TCP: &TCPOptions{Address: address}}
}

// Website returns the retrieval method of a reader on the web.
// ISO/IEC TS 18013-7 second edition (N2544), A.6.1.
func Website(uri string) RetrievalMethod {
	return RetrievalMethod{Type: TypeWebsite, Version: 1, Website: &WebsiteOptions{URI: uri}}
}
