package dcapi

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
)

// The names of the protocol of ISO/IEC TS 18013-7, Annex C.
const (
	// ProtocolMdoc is what browsers and wallets call it.
	ProtocolMdoc = "org-iso-mdoc"
	// ProtocolMdocDraft is what N2544, C.1 calls it: read, never written.
	ProtocolMdocDraft = "org.iso.mdoc"
)

// encryptionName begins what is about encryption. C.2 and C.3.
const encryptionName = "dcapi"

const (
	// minNonce is the entropy that a nonce has to have, in bytes. C.2.
	minNonce = 16
	maxNonce = 512
	// encSize is the size of an uncompressed point on P-256. RFC 9180, 7.1.
	encSize = 65
	// tagSize is that of AES-GCM.
	tagSize = 16
	// maxInfo is the largest EncryptionInfo in bytes.
	maxInfo = 16 << 10
)

// mdocRequest is the data of a request. The strings are base64url without
// padding.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2.
type mdocRequest struct {
	DeviceRequest  string `json:"deviceRequest"`
	EncryptionInfo string `json:"encryptionInfo"`
}

// mdocResponse is the data of a response, base64url without padding. N2544
// prints the member with a capital letter, everybody writes it without; the
// decoder takes both.
//
// ISO/IEC TS 18013-7 (draft N2544), C.3.
type mdocResponse struct {
	Response string `json:"response"`
}

// encryptionInfo says to whom the response is encrypted.
//
//	EncryptionInfo = [ "dcapi", { "nonce": bstr, "recipientPublicKey": COSE_Key } ]
//
// Other members are ignored: later editions have more.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2.
type encryptionInfo struct {
	nonce     []byte
	recipient *ecdh.PublicKey
}

func (e encryptionInfo) append(b []byte) ([]byte, error) {
	b = cbor.AppendText(cbor.AppendArray(b, 2), encryptionName)
	b = cbor.AppendBytes(cbor.AppendText(cbor.AppendMap(b, 2), "nonce"), e.nonce)
	return cose.AppendKey(cbor.AppendText(b, "recipientPublicKey"), e.recipient)
}

func parseEncryptionInfo(raw []byte) (encryptionInfo, error) {
	var info encryptionInfo
	var pub []byte
	err := readNamed(raw, cbor.Limits{Size: maxInfo, Depth: 16, Items: 1024}, func(r *cbor.Reader, member string) {
		switch member {
		case "nonce":
			info.nonce = r.Bytes()
		case "recipientPublicKey":
			pub = r.Raw()
		default:
			r.Skip()
		}
	})
	switch {
	case err != nil:
	case len(info.nonce) < minNonce || len(info.nonce) > maxNonce:
		err = fmt.Errorf("nonce of %d bytes, from %d to %d", len(info.nonce), minNonce, maxNonce)
	default:
		info.recipient, err = cose.ParseECDHKey(pub)
		if err == nil && info.recipient.Curve() != ecdh.P256() {
			err = errors.New("recipientPublicKey is not on P-256 (C.4)")
		}
	}
	if err != nil {
		return encryptionInfo{}, fmt.Errorf("%w: encryptionInfo: %w (ISO/IEC TS 18013-7, C.2)", ErrMalformed, err)
	}
	return info, nil
}

// encryptedResponse is the DeviceResponse, encrypted.
//
//	EncryptedResponse = [ "dcapi", { "enc": bstr, "cipherText": bstr } ]
//
// ISO/IEC TS 18013-7 (draft N2544), C.3.
type encryptedResponse struct{ enc, cipherText []byte }

func (e encryptedResponse) append(b []byte) []byte {
	b = cbor.AppendText(cbor.AppendArray(b, 2), encryptionName)
	b = cbor.AppendBytes(cbor.AppendText(cbor.AppendMap(b, 2), "enc"), e.enc)
	return cbor.AppendBytes(cbor.AppendText(b, "cipherText"), e.cipherText)
}

func parseEncryptedResponse(raw []byte) (encryptedResponse, error) {
	var e encryptedResponse
	err := readNamed(raw, cbor.Limits{Size: MaxResponse, Depth: 8, Items: 256}, func(r *cbor.Reader, member string) {
		switch member {
		case "enc":
			e.enc = r.Bytes()
		case "cipherText":
			e.cipherText = r.Bytes()
		default:
			r.Skip()
		}
	})
	if err == nil && (len(e.enc) != encSize || len(e.cipherText) < tagSize) {
		err = fmt.Errorf("enc of %d bytes, not %d, or cipherText of %d, less than %d", len(e.enc), encSize, len(e.cipherText), tagSize)
	}
	if err != nil {
		return e, fmt.Errorf("%w: response: %w (ISO/IEC TS 18013-7, C.3)", ErrMalformed, err)
	}
	return e, nil
}

// readNamed reads ["dcapi", {…}] and calls member for each member of the map,
// to take its value.
func readNamed(raw []byte, lim cbor.Limits, member func(r *cbor.Reader, name string)) error {
	r := cbor.ReadChecked(raw, lim)
	r.ArrayOf(2)
	if name := r.Text(); r.Err() == nil && name != encryptionName {
		r.Failf("begins with %.40q, not %q", name, encryptionName)
	}
	r.Map(func() { member(r, r.Text()) })
	return r.Done()
}

// seal encrypts a DeviceResponse, and open decrypts it. The transcript binds it
// to request and origin.
//
// ISO/IEC TS 18013-7 (draft N2544), C.4: HPKE in base mode with DHKEM(P-256,
// HKDF-SHA256), HKDF-SHA256 and AES-128-GCM, no additional data.
func seal(recipient *ecdh.PublicKey, transcript, deviceResponse []byte) (encryptedResponse, error) {
	pub, err := hpke.NewDHKEMPublicKey(recipient)
	if err != nil {
		return encryptedResponse{}, err
	}
	sealed, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES128GCM(), transcript, deviceResponse)
	if err != nil {
		return encryptedResponse{}, err
	}
	return encryptedResponse{enc: sealed[:encSize], cipherText: sealed[encSize:]}, nil
}

func open(private *ecdh.PrivateKey, transcript []byte, e encryptedResponse) ([]byte, error) {
	k, err := hpke.NewDHKEMPrivateKey(private)
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(k, hpke.HKDFSHA256(), hpke.AES128GCM(), transcript, slices.Concat(e.enc, e.cipherText))
	if err != nil {
		return nil, fmt.Errorf("%w: it answers another request, or was made for another origin, or was changed on its way (ISO/IEC TS 18013-7, C.4)", ErrDecrypt)
	}
	return plain, nil
}
