package engagement

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"

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
	elements(r, func(key uint64) {
		switch key {
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

// NewReader writes the ReaderEngagement of a website: the key is fresh, and the
// path of the URI tells the sessions apart.
//
// ISO/IEC TS 18013-7 second edition (N2544), A.1 and A.6.1.
func NewReader(eReaderKey *ecdh.PublicKey, uri string) (*ReaderEngagement, error) {
	keyBytes, err := KeyBytes(eReaderKey)
	if err != nil {
		return nil, err
	}
	b := cbor.AppendMap(make([]byte, 0, 160+len(uri)), 3)
	b = cbor.AppendText(cbor.AppendUint(b, 0), "1.1")
	b = cbor.AppendUint(cbor.AppendArray(cbor.AppendUint(b, 1), 2), CipherSuite1)
	b = append(b, keyBytes...)
	b = cbor.AppendArray(cbor.AppendUint(b, 2), 1)
	if b, err = Website(uri).append(b); err != nil {
		return nil, err
	}
	return ParseReader(b)
}

// Address is the URI of the website's REST API, the first if there are several;
// ErrUnsupported if there is none of a version that we know.
//
// ISO/IEC TS 18013-7 second edition (N2544), A.6.1.
func (e *ReaderEngagement) Address() (string, error) {
	for _, m := range e.Retrieval {
		if m.Website != nil {
			return m.Website.URI, nil
		}
	}
	return "", fmt.Errorf("%w: the reader names no website to answer at (ISO/IEC TS 18013-7, A.6.1)", ErrUnsupported)
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
