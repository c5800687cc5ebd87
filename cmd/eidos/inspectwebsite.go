package main

import (
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/jose"
)

// The shapes of ISO/IEC TS 18013-7.

func readerEngagementShape() *shape {
	security := &shape{items: []field{{"cipher suite", nil}, {"EReaderKeyBytes", &shape{inner: coseKeyShape()}}}}
	options := &shape{fields: map[string]field{"0": {"URI of the website", nil}}}
	method := &shape{items: []field{{"type (4 website)", nil}, {"version", nil}, {"options", options}}}
	return &shape{name: "ReaderEngagement", clause: "ISO/IEC TS 18013-7 (draft N2544), A.1", fields: map[string]field{
		"0": {"version", nil}, "1": {"security", security}, "2": {"deviceRetrievalMethods", &shape{each: method}}}}
}

func engagementMessageShape() *shape {
	return &shape{name: "DeviceEngagementMessage", clause: "ISO/IEC TS 18013-7 (draft N2544), A.7", fields: map[string]field{
		"deviceEngagementBytes": {"", &shape{inner: engagementShape()}}}}
}

// dcapiShape is what goes with a request, or with a response, of the Digital
// Credentials API: an array that begins with the name "dcapi".
func dcapiShape(data []byte) *shape {
	r := cbor.NewReader(data)
	r.ArrayOf(2)
	if r.Kind() != cbor.KindText || r.Text() != "dcapi" || r.Kind() != cbor.KindMap {
		return nil
	}
	request := false
	r.Map(func() {
		request = keyName(r) == "recipientPublicKey" || request
		r.Skip()
	})
	if request {
		return &shape{name: "EncryptionInfo", clause: "ISO/IEC TS 18013-7 (draft N2544), C.2", items: []field{{"", nil},
			{"EncryptionParameters", &shape{fields: map[string]field{"recipientPublicKey": {"", coseKeyShape()}}}}}}
	}
	return &shape{name: "EncryptedResponse", clause: "ISO/IEC TS 18013-7 (draft N2544), C.3", items: []field{{"", nil},
		{"EncryptedResponseData", &shape{fields: map[string]field{"cipherText": {"(encrypted)", nil}}}}}}
}

// embeddedCBOR decodes a member of JSON that holds CBOR in base64url.
func embeddedCBOR(name, value string) (node, bool) {
	switch name {
	case "deviceRequest", "encryptionInfo", "response", "Response":
	default:
		return node{}, false
	}
	raw, err := jose.Decode(value)
	if err != nil {
		return node{}, false
	}
	n, err := inspectCBOR(raw)
	if err != nil {
		return node{}, false
	}
	return node{Name: name, Children: []node{n}}, true
}
