package mdoc

import (
	"crypto/sha256"

	"github.com/eidos-id/eidos/format/cbor"
)

// A SessionTranscript binds what is signed to one conversation.
//
//	SessionTranscript = [ DeviceEngagementBytes / null, EReaderKeyBytes / null, Handover ]
//
// The Transcript functions return the encoded array, without tag 24: the form
// that device and reader authentication embed and that HPKE takes as info.
// Session keys are derived from SessionTranscriptBytes.
//
// ISO/IEC 18013-5:2021, 9.1.5.1.

// Transcript is the transcript of device retrieval, in the proximity or by a
// website. engagement is the DeviceEngagement as it stood in the QR code, without
// tag 24; eReaderKey is the EReaderKeyBytes of the SessionEstablishment, tag 24
// included; both as received. handover is nil after engagement by QR code, else
// NFCHandover or WebsiteHandover.
//
//	SessionTranscript = [ DeviceEngagementBytes, EReaderKeyBytes, Handover ]
//
// ISO/IEC 18013-5:2021, 9.1.5.1.
func Transcript(engagement, eReaderKey, handover []byte) []byte {
	t := make([]byte, 0, 24+len(engagement)+len(eReaderKey)+len(handover))
	t = cbor.AppendEmbedded(cbor.AppendArray(t, 3), engagement)
	t = append(t, eReaderKey...)
	if handover == nil {
		return cbor.AppendNull(t)
	}
	return append(t, handover...)
}

// NFCHandover encodes the Handover of NFC engagement from the Handover Select
// message and, if it was negotiated, the Handover Request message; else nil.
// Both are the bytes as they crossed the field.
//
//	NFCHandover = [ bstr, bstr / nil ]
//
// ISO/IEC 18013-5:2021, 9.1.5.1.
func NFCHandover(handoverSelect, handoverRequest []byte) []byte {
	b := make([]byte, 0, len(handoverSelect)+len(handoverRequest)+16)
	b = cbor.AppendBytes(cbor.AppendArray(b, 2), handoverSelect)
	if handoverRequest == nil {
		return cbor.AppendNull(b)
	}
	return cbor.AppendBytes(b, handoverRequest)
}

// WebsiteHandover encodes the Handover of engagement by a website: the hash of
// the ReaderEngagement as it stood in the link.
//
//	Handover = bstr   ; SHA-256 of #6.24(bstr .cbor ReaderEngagement)
//
// ISO/IEC TS 18013-7 (draft N2544), A.8.
func WebsiteHandover(readerEngagement []byte) []byte {
	hash := sha256.Sum256(cbor.AppendEmbedded(nil, readerEngagement))
	return cbor.AppendBytes(nil, hash[:])
}

// TranscriptOpenID4VP is the transcript of a redirect-based OpenID4VP request.
// clientID includes its prefix; jwkThumbprint is the raw SHA-256 thumbprint of
// the key that the response is encrypted to, nil if it is not.
// OpenID4VP 1.0, B.2.6.1.
func TranscriptOpenID4VP(clientID, nonce string, jwkThumbprint []byte, responseURI string) []byte {
	info := cbor.AppendText(cbor.AppendArray(nil, 4), clientID)
	info = cbor.AppendText(info, nonce)
	info = appendBytesOrNull(info, jwkThumbprint)
	info = cbor.AppendText(info, responseURI)
	return remoteNamed("OpenID4VPHandover", info)
}

// TranscriptOpenID4VPDCAPI is the transcript of OpenID4VP over the Digital
// Credentials API. origin is without prefix and trailing slash; jwkThumbprint
// is as in [TranscriptOpenID4VP]. OpenID4VP 1.0, B.2.6.2.
func TranscriptOpenID4VPDCAPI(origin, nonce string, jwkThumbprint []byte) []byte {
	info := cbor.AppendText(cbor.AppendArray(nil, 3), origin)
	info = cbor.AppendText(info, nonce)
	info = appendBytesOrNull(info, jwkThumbprint)
	return remoteNamed("OpenID4VPDCAPIHandover", info)
}

// TranscriptDCAPI is the transcript of the native protocol over the Digital
// Credentials API. encryptionInfo is the base64url string as received, origin
// the serialised origin. ISO/IEC TS 18013-7 (draft N2544), C.5.
func TranscriptDCAPI(encryptionInfo, origin string) []byte {
	info := cbor.AppendText(cbor.AppendArray(nil, 2), encryptionInfo)
	info = cbor.AppendText(info, origin)
	return remoteNamed("dcapi", info)
}

// TranscriptOpenID4VPDraft18 is the transcript of the OpenID4VP profile on
// draft 18. ISO/IEC TS 18013-7 (draft N2544), B.4.4.
func TranscriptOpenID4VPDraft18(clientID, responseURI, nonce, mdocGeneratedNonce string) []byte {
	t := cbor.AppendArray(remote(), 3)
	for _, s := range []string{clientID, responseURI} {
		hash := sha256.Sum256(cbor.AppendText(cbor.AppendText(cbor.AppendArray(nil, 2), s), mdocGeneratedNonce))
		t = cbor.AppendBytes(t, hash[:])
	}
	return cbor.AppendText(t, nonce)
}

// remote writes the transcript of a flow without engagement up to the handover.
func remote() []byte { return append(make([]byte, 0, 128), 0x83, 0xf6, 0xf6) }

// remoteNamed is the transcript with the handover [name, SHA-256(info)].
func remoteNamed(name string, info []byte) []byte {
	hash := sha256.Sum256(info)
	return cbor.AppendBytes(cbor.AppendText(cbor.AppendArray(remote(), 2), name), hash[:])
}

func appendBytesOrNull(dst, b []byte) []byte {
	if b == nil {
		return cbor.AppendNull(dst)
	}
	return cbor.AppendBytes(dst, b)
}

// SessionTranscriptBytes is #6.24(bstr .cbor SessionTranscript), of which the
// SHA-256 hash salts the session keys. ISO/IEC 18013-5:2021, 9.1.1.5.
func SessionTranscriptBytes(transcript []byte) []byte {
	return cbor.AppendEmbedded(make([]byte, 0, 8+len(transcript)), transcript)
}

// DeviceAuthenticationBytes is what a device signs or authenticates.
// nameSpaces is the DeviceNameSpacesBytes, tag 24 included.
//
//	DeviceAuthentication = [ "DeviceAuthentication", SessionTranscript, DocType, DeviceNameSpacesBytes ]
//
// ISO/IEC 18013-5:2021, 9.1.3.4.
func DeviceAuthenticationBytes(transcript []byte, docType string, nameSpaces []byte) []byte {
	const name = "DeviceAuthentication"
	n := 1 + 1 + len(name) + len(transcript) + cbor.HeadSize(uint64(len(docType))) + len(docType) + len(nameSpaces)
	b := authentication(n, 4, name, transcript)
	return append(cbor.AppendText(b, docType), nameSpaces...)
}

// ReaderAuthenticationBytes is what a reader signs per document. itemsRequest
// is the ItemsRequestBytes, tag 24 included.
//
//	ReaderAuthentication = [ "ReaderAuthentication", SessionTranscript, ItemsRequestBytes ]
//
// ISO/IEC 18013-5:2021, 9.1.4.5.
func ReaderAuthenticationBytes(transcript, itemsRequest []byte) []byte {
	const name = "ReaderAuthentication"
	b := authentication(1+1+len(name)+len(transcript)+len(itemsRequest), 3, name, transcript)
	return append(b, itemsRequest...)
}

// ReaderAuthenticationAllBytes is what a reader signs for the whole request.
// info is the DeviceRequestInfoBytes, tag 24 included, or nil.
//
//	ReaderAuthenticationAll = [ "ReaderAuthenticationAll", SessionTranscript,
//	  [ * ItemsRequestBytes ], DeviceRequestInfoBytes / null ]
//
// ISO/IEC 18013-5 second edition (draft v4), 12.5.
func ReaderAuthenticationAllBytes(transcript []byte, itemsRequests [][]byte, info []byte) []byte {
	const name = "ReaderAuthenticationAll"
	if info == nil {
		info = []byte{0xf6}
	}
	n := 1 + 1 + len(name) + len(transcript) + cbor.HeadSize(uint64(len(itemsRequests))) + len(info)
	for _, r := range itemsRequests {
		n += len(r)
	}
	b := cbor.AppendArray(authentication(n, 4, name, transcript), len(itemsRequests))
	for _, r := range itemsRequests {
		b = append(b, r...)
	}
	return append(b, info...)
}

// authentication starts #6.24(bstr .cbor [name, transcript, …]) of n bytes
// inside. name is at most 23 bytes long: its head is one byte.
func authentication(n, items int, name string, transcript []byte) []byte {
	b := make([]byte, 0, 2+9+n)
	b = cbor.AppendBytesHead(cbor.AppendTag(b, cbor.TagEmbedded), n)
	b = cbor.AppendText(cbor.AppendArray(b, items), name)
	return append(b, transcript...)
}
