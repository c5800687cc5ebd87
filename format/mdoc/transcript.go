package mdoc

// A SessionTranscript binds what is signed to one conversation.
//
//	SessionTranscript = [ DeviceEngagementBytes / null, EReaderKeyBytes / null, Handover ]
//
// The functions below return the encoded array, without tag 24: the form that
// device and reader authentication embed and that HPKE takes as info. Session
// keys are derived from [SessionTranscriptBytes].
//
// ISO/IEC 18013-5:2021, 9.1.5.1.

// TranscriptQR is the transcript after QR engagement. engagement is the
// DeviceEngagement as it stood in the QR code, without tag 24; eReaderKey is
// the EReaderKeyBytes of the SessionEstablishment, tag 24 included; both as
// received. ISO/IEC 18013-5:2021, 9.1.5.1.
func TranscriptQR(engagement, eReaderKey []byte) []byte { panic("stub") }

// TranscriptNFC is the transcript after NFC engagement. handoverSelect and
// handoverRequest are the NDEF messages as exchanged; a nil request is static
// handover. The others are as in [TranscriptQR]. ISO/IEC 18013-5:2021, 9.1.5.1.
func TranscriptNFC(engagement, eReaderKey, handoverSelect, handoverRequest []byte) []byte {
	panic("stub")
}

// TranscriptOpenID4VP is the transcript of a redirect-based OpenID4VP request.
// clientID includes its prefix; jwkThumbprint is the raw SHA-256 thumbprint of
// the key that the response is encrypted to, nil if it is not.
// OpenID4VP 1.0, B.2.6.1.
func TranscriptOpenID4VP(clientID, nonce string, jwkThumbprint []byte, responseURI string) []byte {
	panic("stub")
}

// TranscriptOpenID4VPDCAPI is the transcript of OpenID4VP over the Digital
// Credentials API. origin is without prefix and trailing slash; jwkThumbprint
// is as in [TranscriptOpenID4VP]. OpenID4VP 1.0, B.2.6.2.
func TranscriptOpenID4VPDCAPI(origin, nonce string, jwkThumbprint []byte) []byte { panic("stub") }

// TranscriptWebsite is the transcript of device retrieval to a website.
// readerEngagement is the ReaderEngagement as it stood in the link, without
// tag 24. ISO/IEC TS 18013-7 (draft N2544), A.8.
func TranscriptWebsite(engagement, eReaderKey, readerEngagement []byte) []byte { panic("stub") }

// TranscriptOpenID4VPDraft18 is the transcript of the OpenID4VP profile on
// draft 18. ISO/IEC TS 18013-7 (draft N2544), B.4.4.
func TranscriptOpenID4VPDraft18(clientID, responseURI, nonce, mdocGeneratedNonce string) []byte {
	panic("stub")
}

// TranscriptDCAPI is the transcript of the native protocol over the Digital
// Credentials API. encryptionInfo is the base64url string as received, origin
// the serialised origin. ISO/IEC TS 18013-7 (draft N2544), C.5.
func TranscriptDCAPI(encryptionInfo, origin string) []byte { panic("stub") }

// SessionTranscriptBytes is #6.24(bstr .cbor SessionTranscript), of which the
// SHA-256 hash salts the session keys. ISO/IEC 18013-5:2021, 9.1.1.5.
func SessionTranscriptBytes(transcript []byte) []byte { panic("stub") }

// DeviceAuthenticationBytes is what a device signs or authenticates.
// nameSpaces is the DeviceNameSpacesBytes, tag 24 included.
//
//	DeviceAuthentication = [ "DeviceAuthentication", SessionTranscript, DocType, DeviceNameSpacesBytes ]
//
// ISO/IEC 18013-5:2021, 9.1.3.4.
func DeviceAuthenticationBytes(transcript []byte, docType string, nameSpaces []byte) []byte {
	panic("stub")
}

// ReaderAuthenticationBytes is what a reader signs per document. itemsRequest
// is the ItemsRequestBytes, tag 24 included.
//
//	ReaderAuthentication = [ "ReaderAuthentication", SessionTranscript, ItemsRequestBytes ]
//
// ISO/IEC 18013-5:2021, 9.1.4.5.
func ReaderAuthenticationBytes(transcript, itemsRequest []byte) []byte { panic("stub") }

// ReaderAuthenticationAllBytes is what a reader signs for the whole request.
// info is the DeviceRequestInfoBytes, tag 24 included, or nil.
//
//	ReaderAuthenticationAll = [ "ReaderAuthenticationAll", SessionTranscript,
//	  [ * ItemsRequestBytes ], DeviceRequestInfoBytes / null ]
//
// ISO/IEC 18013-5 second edition (draft v4), 12.5.
func ReaderAuthenticationAllBytes(transcript []byte, itemsRequests [][]byte, info []byte) []byte {
	panic("stub")
}
