package main

import (
	"github.com/eidos-id/eidos/format/pki"
)

// The shapes of ISO/IEC 18013-5 and of what lies around it, by the keys that
// give them away.

type known struct {
	keys  []string
	shape *shape
}

// shapes are tried in order.
func shapes() []known {
	return []known{
		{[]string{"docRequests", "version"}, requestShape()},
		{[]string{"status", "version"}, responseShape()},
		{[]string{"issuerAuth"}, issuerSignedShape()},
		{[]string{"digestAlgorithm", "valueDigests"}, msoShape()},
		{[]string{"eReaderKey", "data"}, &shape{name: "SessionEstablishment", clause: "ISO/IEC 18013-5:2021, 9.1.1.4",
			fields: map[string]field{"eReaderKey": {"", &shape{inner: coseKeyShape()}}}}},
		{[]string{"deviceEngagementBytes"}, engagementMessageShape()},
		{[]string{"vicalProvider"}, vicalShape()},
		{[]string{"digestID", "random"}, itemShape()},
		{[]string{"0", "1"}, engagementShape()},
		{[]string{"1", "-1"}, coseKeyShape()},
		{[]string{"65533"}, statusClaimsShape()},
		{[]string{"65530"}, statusClaimsShape()},
		{[]string{"status"}, sessionDataShape()},
		{[]string{"data"}, sessionDataShape()},
	}
}

func sessionDataShape() *shape {
	return &shape{name: "SessionData", clause: "ISO/IEC 18013-5:2021, 9.1.1.4", fields: map[string]field{
		"data": {"(encrypted)", nil}, "status": {"(10 encryption error, 11 decoding error, 20 termination)", nil}}}
}

func requestShape() *shape {
	items := &shape{name: "ItemsRequest", clause: "ISO/IEC 18013-5:2021, 8.3.2.1.2.1", fields: map[string]field{
		"nameSpaces": {"(element: intent to retain)", nil}}}
	doc := &shape{fields: map[string]field{
		"itemsRequest": {"", &shape{inner: items}}, "readerAuth": {"", sign1Shape(nil)}}}
	return &shape{name: "DeviceRequest", clause: "ISO/IEC 18013-5:2021, 8.3.2.1.2.1", fields: map[string]field{
		"docRequests": {"", &shape{each: doc}}, "readerAuthAll": {"", &shape{each: sign1Shape(nil)}},
		"deviceRequestInfo": {"", &shape{inner: &shape{name: "DeviceRequestInfo", clause: "ISO/IEC 18013-5 second edition (draft v4), 10.2.5"}}}}}
}

func responseShape() *shape {
	deviceSigned := &shape{fields: map[string]field{
		"nameSpaces": {"", &shape{inner: &shape{name: "DeviceNameSpaces"}}},
		"deviceAuth": {"", &shape{fields: map[string]field{
			"deviceSignature": {"", sign1Shape(nil)}, "deviceMac": {"", mac0Shape()}}}}}}
	doc := &shape{fields: map[string]field{"issuerSigned": {"", issuerSignedShape()}, "deviceSigned": {"", deviceSigned}}}
	return &shape{name: "DeviceResponse", clause: "ISO/IEC 18013-5:2021, 8.3.2.1.2.2", fields: map[string]field{
		"documents": {"", &shape{each: doc}},
		"status":    {"(0 OK, 10 general error, 11 decoding error, 12 validation error)", nil}}}
}

func issuerSignedShape() *shape {
	return &shape{name: "IssuerSigned", clause: "ISO/IEC 18013-5:2021, 8.3.2.1.2.2", fields: map[string]field{
		"nameSpaces": {"", &shape{each: &shape{each: &shape{inner: itemShape()}}}},
		"issuerAuth": {"", sign1Shape(&shape{inner: msoShape()})}}}
}

func itemShape() *shape { return &shape{name: "IssuerSignedItem"} }

func msoShape() *shape {
	return &shape{name: "MobileSecurityObject", clause: "ISO/IEC 18013-5:2021, 9.1.2.4", fields: map[string]field{
		"deviceKeyInfo": {"", &shape{fields: map[string]field{"deviceKey": {"", coseKeyShape()}}}}}}
}

// sign1Shape is a COSE_Sign1 whose payload has a known shape.
func sign1Shape(payload *shape) *shape {
	if payload == nil {
		payload = &shape{guess: true}
	} else {
		payload = &shape{inner: payload}
	}
	return &shape{name: "COSE_Sign1", clause: "RFC 9052, 4.2", items: []field{
		{"protected", &shape{inner: headerShape()}}, {"unprotected", headerShape()},
		{"payload", payload}, {"signature", nil}}}
}

func mac0Shape() *shape {
	return &shape{name: "COSE_Mac0", clause: "RFC 9052, 6.2", items: []field{
		{"protected", &shape{inner: headerShape()}}, {"unprotected", headerShape()}, {"payload", nil}, {"tag", nil}}}
}

func headerShape() *shape {
	return &shape{fields: map[string]field{
		"1": {"alg", nil}, "2": {"crit", nil}, "3": {"content type", nil}, "4": {"kid", nil}, "16": {"typ", nil},
		"33": {"x5chain", &shape{show: showCertificate, each: &shape{show: showCertificate}}}, "34": {"x5t", nil}}}
}

// showCertificate renders a certificate in one line.
func showCertificate(b []byte) (node, bool) {
	cert, err := pki.ParseCertificate(b)
	if err != nil {
		return node{}, false
	}
	return certificateLine(cert), true
}

func coseKeyShape() *shape {
	return &shape{name: "COSE_Key", clause: "RFC 9052, 7", fields: map[string]field{
		"1": {"kty", nil}, "2": {"kid", nil}, "3": {"alg", nil}, "-1": {"crv", nil}, "-2": {"x", nil}, "-3": {"y", nil}}}
}

func engagementShape() *shape {
	security := &shape{items: []field{{"cipher suite", nil}, {"EDeviceKeyBytes", &shape{inner: coseKeyShape()}}}}
	method := &shape{items: []field{{"type (1 NFC, 2 BLE, 3 Wi-Fi Aware, 65280 tcp, ours)", nil}, {"version", nil}, {"options", nil}}}
	return &shape{name: "DeviceEngagement", clause: "ISO/IEC 18013-5:2021, 8.2.1.1", fields: map[string]field{
		"0": {"version", nil}, "1": {"security", security}, "2": {"deviceRetrievalMethods", &shape{each: method}},
		"3": {"serverRetrievalMethods", nil}, "4": {"protocolInfo", nil}, "5": {"originInfos", nil}, "6": {"capabilities", nil}}}
}

func transcriptShape() *shape {
	return &shape{name: "SessionTranscript", clause: "ISO/IEC 18013-5:2021, 9.1.5.1", items: []field{
		{"DeviceEngagementBytes", &shape{inner: engagementShape()}}, {"EReaderKeyBytes", &shape{inner: coseKeyShape()}}, {"Handover", nil}}}
}

func vicalShape() *shape {
	info := &shape{fields: map[string]field{"certificate": {"", &shape{show: showCertificate}}}}
	return &shape{name: "VICAL", clause: "ISO/IEC 18013-5 second edition (draft v4), C.1.7.1",
		fields: map[string]field{"certificateInfos": {"", &shape{each: info}}}}
}

func statusClaimsShape() *shape {
	return &shape{name: "status list claims", clause: "ISO/IEC 18013-5 second edition (draft v4), 12.3.6", fields: map[string]field{
		"2": {"sub", nil}, "4": {"exp", nil}, "6": {"iat", nil}, "65534": {"ttl", nil},
		"65533": {"status_list", nil}, "65530": {"identifier_list", nil}}}
}
