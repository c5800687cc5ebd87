// Package engagement is how an mdoc and a reader first hear of each other: the
// DeviceEngagement that an mdoc shows as a QR code or hands over by NFC, and
// the ReaderEngagement with which a website asks (ISO/IEC TS 18013-7, Annex A).
package engagement

import (
	"crypto/ecdh"
	"errors"
)

// Sentinels; they come wrapped with the element, the clause and what was seen.
var (
	// ErrMalformed: the bytes or the text are not an engagement.
	ErrMalformed = errors.New("malformed engagement")
	// ErrUnsupported: it is of another major version or cipher suite.
	ErrUnsupported = errors.New("engagement not supported")
)

// CipherSuite1 is the only cipher suite: ECDH, HKDF-SHA256, AES-256-GCM,
// HMAC 256/256. ISO/IEC 18013-5:2021, 9.1.5.2.
const CipherSuite1 = 1

// MaxSize is the largest engagement accepted, in bytes of CBOR. A QR code holds
// less than 3 KiB.
const MaxSize = 8 << 10

// DeviceEngagement is the first message of an mdoc.
//
//	DeviceEngagement = {
//	  0: tstr,                              ; version
//	  1: [ int, EDeviceKeyBytes ],          ; security
//	  ? 2: [ + DeviceRetrievalMethod ],
//	  ? 3: ServerRetrievalMethods,          ; 2021 only, ignored
//	  ? 5: OriginInfos,
//	  ? 6: Capabilities,
//	  * uint => RFU, * nint => Ext          ; ignored
//	}
//
// ISO/IEC 18013-5:2021, 8.2.1.1; keys 5 and 6 ISO/IEC 18013-5 second edition
// (draft v4), 9.1.
type DeviceEngagement struct {
	// Raw is the engagement exactly as received or first written; the session
	// transcript is made of it. Nobody may change it.
	Raw []byte
	// Version is "1.0" or "1.1", or a later minor version when received.
	Version string
	// EDeviceKeyBytes is #6.24(bstr .cbor COSE_Key), tag included, a part of Raw.
	EDeviceKeyBytes []byte
	// EDeviceKey is the key in it. Nil if it is on a curve we do not have; then
	// a session cannot be established.
	EDeviceKey *ecdh.PublicKey
	// Retrieval are the ways to connect, in the mdoc's order; empty after NFC.
	Retrieval []RetrievalMethod
	// ServerRetrieval says that key 3 was there. We do not offer it.
	ServerRetrieval bool
	// OriginInfos is key 5; nil if absent, empty if the array was empty.
	OriginInfos []OriginInfo
	// Capabilities is key 6; nil if absent.
	Capabilities *Capabilities
}

// Capabilities are what an mdoc says it understands beyond the first edition.
// Keys that are not known are ignored.
//
// ISO/IEC 18013-5 second edition (draft v4), 9.1; keys 0 and 1
// ISO/IEC TS 18013-7 second edition (N2544), A.2.
type Capabilities struct {
	MacKeys              bool    // key 0: MacKeysSupport
	MacKeysCurves        []int64 // key 1: COSE curves, nil if absent
	HandoverSession      bool    // key 2: HandoverSessionEstablishmentSupport
	ReaderAuthAllSupport bool    // key 3
	ExtendedRequest      bool    // key 4: ExtendedRequestSupport
}

// OriginInfo says where an engagement came from.
//
// ISO/IEC TS 18013-7 second edition (N2544), A.3.
type OriginInfo struct {
	Category uint64 // "cat": 1 is received by the mdoc
	Type     uint64 // "type": 1 is a domain, 0 is other
	// Domain is details.domain when Type is 1; empty if not known.
	Domain string
}

// Options say what to write into a new DeviceEngagement.
type Options struct {
	// EDeviceKey is the session's ephemeral key (session.Device.EDeviceKey).
	EDeviceKey *ecdh.PublicKey
	// Retrieval are the ways to connect; none for NFC engagement.
	Retrieval []RetrievalMethod
	// OriginInfos and Capabilities are written if not nil, which makes the
	// version 1.1. With Capabilities, OriginInfos is written in any case.
	OriginInfos  []OriginInfo
	Capabilities *Capabilities
}
