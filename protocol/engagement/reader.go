package engagement

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"

	"github.com/eidos-id/eidos/format/cbor"
)

// ReaderScheme is what the link on a website begins with.
// ISO/IEC TS 18013-7 second edition (N2544), Annex A.
const ReaderScheme = "mdoc://"

// ReaderEngagement is the first message of a reader on a website, or an almost
// empty one in negotiated NFC handover.
//
//	ReaderEngagement = {
//	  0: tstr,                              ; version
//	  ? 1: [ int, EReaderKeyBytes ],        ; security
//	  ? 2: [ + RetrievalMethod ]            ; type 4
//	}
//
// ISO/IEC TS 18013-7 second edition (N2544), A.2;
// ISO/IEC 18013-5 second edition (draft v4), 9.2.1.
type ReaderEngagement struct {
	// Raw is the engagement exactly as received or first written; the session
	// transcript is made of it. Nobody may change it.
	Raw     []byte
	Version string
	// EReaderKeyBytes is #6.24(bstr .cbor COSE_Key), tag included; nil if absent.
	EReaderKeyBytes []byte
	// EReaderKey is the key in it; nil if absent or on a curve we do not have.
	EReaderKey *ecdh.PublicKey
	// Retrieval are the ways to reach the reader.
	Retrieval []RetrievalMethod
}

// ParseReader reads a ReaderEngagement as strictly as Parse. It keeps raw.
func ParseReader(raw []byte) (*ReaderEngagement, error) {
	e := &ReaderEngagement{Raw: raw}
	hasVersion := false
	r := cbor.ReadChecked(raw, limits)
	r.Map(func() {
		if r.Kind() == cbor.KindNegInt {
			r.Skip()
			r.Skip()
			return
		}
		switch r.Uint() {
		case 0:
			e.Version, hasVersion = readVersion(r), true
		case 1:
			e.EReaderKeyBytes = readSecurity(r)
		case 2:
			e.Retrieval = readMethods(r)
		default:
			r.Skip()
		}
	})
	if err := r.Done(); err != nil {
		return nil, fail("ReaderEngagement", err)
	}
	if !hasVersion {
		return nil, fail("ReaderEngagement", errors.New("version (0) is missing"))
	}
	if e.EReaderKeyBytes != nil {
		pub, err := readKey(e.EReaderKeyBytes)
		if err != nil {
			return nil, fail("EReaderKey", err)
		}
		e.EReaderKey = pub
	}
	return e, nil
}

// ParseReaderLink reads the link of a website.
func ParseReaderLink(text string) (*ReaderEngagement, error) {
	raw, err := decodeText(text, ReaderScheme)
	if err != nil {
		return nil, err
	}
	return ParseReader(raw)
}

// Link returns the text of the link: "mdoc://" and base64url without padding.
func (e *ReaderEngagement) Link() string {
	return ReaderScheme + base64.RawURLEncoding.EncodeToString(e.Raw)
}
