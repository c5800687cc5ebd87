package mdoc_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
)

// m encodes a map of text keys to encoded values.
func m(pairs ...any) []byte {
	b := cbor.AppendMap(nil, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		b = append(cbor.AppendText(b, pairs[i].(string)), pairs[i+1].([]byte)...)
	}
	return b
}

func arr(items ...[]byte) []byte {
	return append(cbor.AppendArray(nil, len(items)), bytes.Join(items, nil)...)
}
func b24(inner []byte) []byte  { return cbor.AppendEmbedded(nil, inner) }
func num(n uint64) []byte      { return cbor.AppendUint(nil, n) }
func nested(n int) []byte      { return append(bytes.Repeat([]byte{0x81}, n), 0) }
func tdate(t time.Time) []byte { return cbor.AppendTDate(nil, t) }
func str(b []byte) []byte      { return cbor.AppendBytes(nil, b) }

// forge signs a mobile security object of any content.
func (a *authority) forge(t testing.TB, mso []byte, h cose.Headers, nameSpaces []byte) []byte {
	t.Helper()
	auth, err := cose.AppendSign1(t.Context(), nil, a.key, h, cose.Content{Payload: b24(mso)})
	if err != nil {
		t.Fatal(err)
	}
	return m("nameSpaces", nameSpaces, "issuerAuth", auth)
}

// parts are the members of a good mobile security object over given items.
func parts(t testing.TB, device *testkit.Key, digests []byte) map[string][]byte {
	t.Helper()
	deviceKey, err := cose.AppendKey(nil, device.Public())
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"version": text("1.0"), "digestAlgorithm": text("SHA-256"), "valueDigests": m(mdoc.NameSpaceMDL, digests),
		"deviceKeyInfo": m("deviceKey", deviceKey), "docType": text(mdoc.DocTypeMDL),
		"validityInfo": m("signed", tdate(demoNow), "validFrom", tdate(demoNow), "validUntil", tdate(demoNow.AddDate(0, 0, 14))),
	}
}

func msoOf(p map[string][]byte) []byte {
	var pairs []any
	for _, k := range []string{"version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo", "status", "x-new"} {
		if v, ok := p[k]; ok {
			pairs = append(pairs, k, v)
		}
	}
	return m(pairs...)
}

func item(id uint64, salt []byte, element string, value []byte) []byte {
	return b24(m("digestID", num(id), "random", str(salt), "elementIdentifier", text(element), "elementValue", value))
}

func TestVerifyRefuses(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	salt := bytes.Repeat([]byte{7}, 32)
	good := item(0, salt, "family_name", text("Doe"))
	twin := item(0, salt, "given_name", text("Doe"))
	country := item(1, salt, "issuing_country", text("XX"))
	digests := func(items ...[]byte) []byte {
		b := cbor.AppendMap(nil, len(items))
		for i, it := range items {
			b = cbor.AppendBytes(cbor.AppendUint(b, uint64(i)), sha(it))
		}
		return b
	}
	chain := cose.Headers{X5Chain: [][]byte{a.signer.Raw}}
	other := newAuthority(t)
	for what, c := range map[string]struct {
		mso    func(p map[string][]byte)
		header cose.Headers
		items  []byte
		params func(p *mdoc.VerifyParams)
		check  string // the one that must fail
	}{
		"nothing wrong":     {},
		"wrong document":    {params: func(p *mdoc.VerifyParams) { p.DocType = "org.example" }, check: "document type"},
		"expired":           {params: func(p *mdoc.VerifyParams) { p.Now = demoNow.AddDate(0, 0, 15) }, check: "valid until"},
		"not yet valid":     {params: func(p *mdoc.VerifyParams) { p.Now = demoNow.Add(-time.Second) }, check: "valid from"},
		"unknown issuer":    {params: func(p *mdoc.VerifyParams) { p.ValidateChain = anchor(t, other.root.Raw) }, check: "issuer chain: path"},
		"no anchors":        {params: func(p *mdoc.VerifyParams) { p.ValidateChain = nil }, check: "issuer chain"},
		"no key from chain": {params: func(p *mdoc.VerifyParams) { p.ValidateChain = keyless }, check: "issuer chain"},
		"no x5chain":        {header: cose.Headers{KeyID: []byte("1")}, check: "issuer chain"},
		"another signer":    {params: func(p *mdoc.VerifyParams) { p.ValidateChain = mistaken(other) }, check: "issuer signature"},
		"signed before the certificate": {mso: func(p map[string][]byte) {
			p["validityInfo"] = m("signed", tdate(demoNow.AddDate(-1, 0, 0)), "validFrom", tdate(demoNow), "validUntil", tdate(demoNow.AddDate(0, 0, 14)))
		}, check: "signing date"},
		"dates in the wrong order": {mso: func(p map[string][]byte) {
			p["validityInfo"] = m("signed", tdate(demoNow.AddDate(0, 0, 1)), "validFrom", tdate(demoNow), "validUntil", tdate(demoNow.AddDate(0, 0, 14)))
		}, check: "validity order"},
		"no such digest":       {items: arr(item(5, salt, "family_name", text("Doe"))), check: "element digest"},
		"no such name space":   {mso: func(p map[string][]byte) { p["valueDigests"] = m("other", digests(good, country)) }, check: "element digest"},
		"another value":        {items: arr(item(0, salt, "family_name", text("Roe"))), check: "element digest"},
		"longer heads":         {items: arr(append([]byte{0xd8, 0x18, 0x59, 0}, good[3:]...)), check: "element digest"},
		"one digest for two":   {items: arr(good, twin), check: "element digest"},
		"country not the DS's": {items: arr(good, country), check: "issuing_country"},
	} {
		p := parts(t, device, digests(good, country))
		if c.mso != nil {
			c.mso(p)
		}
		if c.header.X5Chain == nil && c.header.KeyID == nil {
			c.header = chain
		}
		if c.items == nil {
			c.items = arr(good)
		}
		s, err := mdoc.ParseIssuerSigned(a.forge(t, msoOf(p), c.header, m(mdoc.NameSpaceMDL, c.items)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		vp := a.verify(t, nil)
		if c.params != nil {
			c.params(&vp)
		}
		res, rep := mdoc.VerifyIssuerSigned(s, vp)
		if c.check == "" {
			if !rep.OK() || len(res.NameSpaces) != 1 {
				t.Errorf("%s:\n%s", what, rep)
			}
			continue
		}
		if !slices.ContainsFunc(rep.Failed(), func(f check.Check) bool { return f.Name == c.check && f.Seen != "" }) {
			t.Errorf("%s: %q did not fail:\n%s", what, c.check, rep)
		}
		if res.IssuerVerified || res.NameSpaces != nil {
			t.Errorf("%s: elements are handed out", what)
		}
	}
}

// keyless is a validator of chains with a defect.
func keyless([][]byte, string, time.Time) (mdoc.Issuer, check.Report) {
	return mdoc.Issuer{}, check.Report{}
}

// mistaken returns the key of another signer.
func mistaken(other *authority) mdoc.ChainValidator {
	return func([][]byte, string, time.Time) (mdoc.Issuer, check.Report) {
		return issuerOf(other.signer), check.Report{}
	}
}

// A transcript of another session, another document's proof, and a device that
// says more than it may.
func TestDeviceAuthenticationRefuses(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	ip := a.params(device.Public(), mdoc.Element{ID: "family_name", Value: text("Doe")})
	ip.KeyAuthorizations.NameSpaces = []string{"com.example"}
	stored := a.issue(t, ip)
	wanted := []mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"}}
	response := present(t, stored, device, demoTranscript(), wanted)
	doc := parseResponse(t, response).Documents[0]
	for _, transcript := range [][]byte{mdoc.TranscriptOpenID4VP("x509_san_dns:verifier.example", "other", nil, "https://verifier.example/response"), {0xf6}} {
		if _, rep := mdoc.Verify(t.Context(), &doc, a.verify(t, transcript)); rep.OK() {
			t.Error("another transcript is accepted")
		}
	}
	sign := func(nameSpaces []byte) []byte {
		content := mdoc.DeviceAuthenticationBytes(demoTranscript(), mdoc.DocTypeMDL, nameSpaces)
		b, err := cose.AppendSign1(t.Context(), nil, device, cose.Headers{}, cose.Content{Payload: content, Detached: true})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	respond := func(nameSpaces, auth []byte) []byte {
		return m("version", text("1.0"), "documents", arr(m("docType", text(mdoc.DocTypeMDL), "issuerSigned", doc.IssuerSigned.Raw,
			"deviceSigned", m("nameSpaces", nameSpaces, "deviceAuth", auth))), "status", num(0))
	}
	none := b24(m())
	said := b24(m("com.example", m("level", num(3))))
	unauthorised := b24(m("org.example", m("level", num(3))))
	attached, err := cose.AppendSign1(t.Context(), nil, device, cose.Headers{}, cose.Content{Payload: mdoc.DeviceAuthenticationBytes(demoTranscript(), mdoc.DocTypeMDL, none)})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		response []byte
		ok       bool
		check    string
	}{
		"as it should be":  {response: respond(none, m("deviceSignature", sign(none))), ok: true},
		"authorised":       {response: respond(said, m("deviceSignature", sign(said))), ok: true},
		"not authorised":   {response: respond(unauthorised, m("deviceSignature", sign(unauthorised))), check: "device-signed elements"},
		"added later":      {response: respond(said, m("deviceSignature", sign(none))), check: "device authentication"},
		"attached payload": {response: respond(none, m("deviceSignature", attached)), check: "device authentication"},
		"tagged":           {response: respond(none, m("deviceSignature", append([]byte{0xd2}, sign(none)...))), check: "device authentication"},
		"not COSE":         {response: respond(none, m("deviceSignature", num(1))), check: "device authentication"},
		"MAC not COSE":     {response: respond(none, m("deviceMac", num(1))), check: "device authentication"},
		"MAC is signature": {response: respond(none, m("deviceMac", sign(none))), check: "device authentication"},
	} {
		d, err := mdoc.ParseDeviceResponse(c.response)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		vp := a.verify(t, demoTranscript())
		res, rep := mdoc.Verify(t.Context(), &d.Documents[0], vp)
		if c.ok {
			if !rep.OK() || !res.DeviceVerified {
				t.Errorf("%s:\n%s", what, rep)
			}
			continue
		}
		if failed := rep.Failed(); len(failed) != 1 || failed[0].Name != c.check {
			t.Errorf("%s: %v", what, failed)
		}
		if res.NameSpaces != nil || res.DeviceSigned != nil || res.DeviceVerified {
			t.Errorf("%s: elements are handed out", what)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	salt := bytes.Repeat([]byte{7}, 16)
	good := item(0, salt, "family_name", text("Doe"))
	issued := a.issue(t, a.params(device.Public(), mdoc.Element{ID: "family_name", Value: text("Doe")}))
	s, err := mdoc.ParseIssuerSigned(issued)
	if err != nil {
		t.Fatal(err)
	}
	auth := s.Auth.Sign1.Raw
	with := func(items []byte) []byte { return m("nameSpaces", m("ns", items), "issuerAuth", auth) }
	forged := func(change func(p map[string][]byte)) []byte {
		p := parts(t, device, cbor.AppendBytes(append(cbor.AppendMap(nil, 1), 0), make([]byte, 32)))
		change(p)
		return a.forge(t, msoOf(p), cose.Headers{X5Chain: [][]byte{a.signer.Raw}}, m("ns", arr(good)))
	}
	set := func(k string, v []byte) []byte { return forged(func(p map[string][]byte) { p[k] = v }) }
	many := make([][]byte, 1100)
	for i := range many {
		many[i] = item(uint64(i), salt, "e"+string(rune('a'+i%26))+string(rune('0'+i/26)), num(1))
	}
	for what, c := range map[string]struct {
		data []byte
		err  error // nil: accepted
	}{
		"good":                     {data: with(arr(good))},
		"unknown member":           {data: m("issuerAuth", auth, "x-new", nested(3))},
		"members in another order": {data: with(arr(b24(m("random", str(salt), "elementValue", num(1), "digestID", num(3), "elementIdentifier", text("x"), "x-new", num(1)))))},
		"unknown MSO member":       {data: set("x-new", nested(3))},
		"minor version":            {data: set("version", text("1.9"))},
		"nothing":                  {nil, mdoc.ErrSyntax},
		"empty map":                {m(), mdoc.ErrSyntax},
		"not a map":                {arr(), mdoc.ErrSyntax},
		"trailing byte":            {append(slices.Clone(issued), 0), mdoc.ErrSyntax},
		"duplicate key":            {slices.Concat([]byte{0xa2}, m("issuerAuth", auth)[1:], m("issuerAuth", auth)[1:]), mdoc.ErrSyntax},
		"unknown key twice":        {slices.Concat([]byte{0xa3}, m("issuerAuth", auth)[1:], m("x", num(1))[1:], m("x", num(1))[1:]), mdoc.ErrSyntax},
		"nameSpaces twice":         {slices.Concat([]byte{0xa3}, m("issuerAuth", auth)[1:], m("nameSpaces", m("ns", arr(good)))[1:], m("nameSpaces", m("ns", arr(good)))[1:]), mdoc.ErrSyntax},
		"name space twice":         {m("nameSpaces", slices.Concat([]byte{0xa2}, m("ns", arr(good))[1:], m("ns", arr(good))[1:]), "issuerAuth", auth), mdoc.ErrSyntax},
		"bad text in unknown":      {m("issuerAuth", auth, "x", []byte{0x61, 0xff}), mdoc.ErrSyntax},
		"nested":                   {m("issuerAuth", auth, "x", nested(40)), mdoc.ErrLimit},
		"nested value":             {with(arr(item(0, salt, "x", nested(40)))), mdoc.ErrLimit},
		"too large":                {m("issuerAuth", auth, "x", str(make([]byte, 5<<20))), mdoc.ErrLimit},
		"too many elements":        {with(arr(many...)), mdoc.ErrLimit},
		"empty name space":         {with(arr()), mdoc.ErrSyntax},
		"element twice":            {with(arr(good, item(1, salt, "family_name", text("Roe")))), mdoc.ErrSyntax},
		"item without tag":         {with(arr(good[3:])), mdoc.ErrSyntax},
		"item with another tag":    {with(arr(append([]byte{0xd8, 0x19}, good[2:]...))), mdoc.ErrSyntax},
		"item truncated":           {with(arr(b24(good[4 : len(good)-1]))), mdoc.ErrSyntax},
		"item with a tail":         {with(arr(b24(append(slices.Clone(good[4:]), 0)))), mdoc.ErrSyntax},
		"item with a key twice":    {with(arr(b24(m("digestID", num(0), "digestID", num(1), "random", str(salt), "elementIdentifier", text("x"), "elementValue", num(1))))), mdoc.ErrSyntax},
		"item without random":      {with(arr(b24(m("digestID", num(0), "elementIdentifier", text("x"), "elementValue", num(1))))), mdoc.ErrSyntax},
		"item without name":        {with(arr(item(0, salt, "", num(1)))), mdoc.ErrSyntax},
		"item name not UTF-8":      {with(arr(item(0, salt, "\xff", num(1)))), mdoc.ErrSyntax},
		"value with a key twice":   {with(arr(item(0, salt, "x", []byte{0xa2, 0, 1, 0, 2}))), mdoc.ErrSyntax},
		"digestID of 2^32":         {with(arr(item(1<<32, salt, "x", num(1)))), mdoc.ErrSyntax},
		"negative digestID":        {with(arr(b24(m("digestID", []byte{0x20}, "random", str(salt), "elementIdentifier", text("x"), "elementValue", num(1))))), mdoc.ErrSyntax},
		"no issuerAuth":            {m("nameSpaces", m("ns", arr(good))), mdoc.ErrSyntax},
		"issuerAuth tagged":        {m("issuerAuth", append([]byte{0xd2}, auth...)), mdoc.ErrSyntax},
		"issuerAuth a MAC":         {m("issuerAuth", append([]byte{0xd1}, auth...)), mdoc.ErrSyntax},
		"issuerAuth detached":      {m("issuerAuth", arr(str([]byte{0xa1, 1, 0x26}), m(), []byte{0xf6}, str(make([]byte, 64)))), mdoc.ErrSyntax},
		"issuerAuth without alg":   {m("issuerAuth", arr(str(nil), m(), str(b24(num(1))), str(make([]byte, 64)))), mdoc.ErrSyntax},
		"MSO not embedded":         {m("issuerAuth", arr(str([]byte{0xa1, 1, 0x26}), m(), str(num(1)), str(make([]byte, 64)))), mdoc.ErrSyntax},
		"major version":            {set("version", text("2.0")), mdoc.ErrVersion},
		"no version":               {set("version", text("1")), mdoc.ErrSyntax},
		"digest algorithm":         {set("digestAlgorithm", text("MD5")), mdoc.ErrSyntax},
		"digests of other length":  {set("digestAlgorithm", text("SHA-512")), mdoc.ErrSyntax},
		"digest twice":             {set("valueDigests", m("ns", slices.Concat([]byte{0xa2, 1}, str(make([]byte, 32)), []byte{1}, str(make([]byte, 32))))), mdoc.ErrSyntax},
		"digest name space twice":  {set("valueDigests", slices.Concat([]byte{0xa2}, m("ns", m())[1:], m("ns", m())[1:])), mdoc.ErrSyntax},
		"MSO member twice":         {a.forge(t, slices.Concat([]byte{0xa2}, m("version", text("1.0"))[1:], m("version", text("1.0"))[1:]), cose.Headers{}, m("ns", arr(good))), mdoc.ErrSyntax},
		"no device key":            {set("deviceKeyInfo", m()), mdoc.ErrSyntax},
		"date without tag":         {set("validityInfo", m("signed", text("2026-03-01T00:00:00Z"), "validFrom", tdate(demoNow), "validUntil", tdate(demoNow))), mdoc.ErrSyntax},
		"no such date":             {set("validityInfo", m("signed", slices.Concat([]byte{0xc0}, text("2026-02-30T00:00:00Z")), "validFrom", tdate(demoNow), "validUntil", tdate(demoNow))), mdoc.ErrSyntax},
		"no validUntil":            {set("validityInfo", m("signed", tdate(demoNow), "validFrom", tdate(demoNow))), mdoc.ErrSyntax},
		"status without uri":       {set("status", m("status_list", m("idx", num(1)))), mdoc.ErrSyntax},
		"no docType":               {forged(func(p map[string][]byte) { delete(p, "docType") }), mdoc.ErrSyntax},
	} {
		_, err := mdoc.ParseIssuerSigned(c.data)
		if c.err == nil && err != nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", what, err, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "Doe") {
			t.Errorf("%s: personal data in the error", what)
		}
	}
	for n := range issued {
		if _, err := mdoc.ParseIssuerSigned(issued[:n]); !errors.Is(err, mdoc.ErrSyntax) {
			t.Fatalf("truncated to %d bytes: %v", n, err)
		}
	}
}

func TestParseResponseRefuses(t *testing.T) {
	response, _ := annexD(t)
	doc := parseResponse(t, response).Documents[0]
	issuer, auth := doc.IssuerSigned.Raw, m("deviceMac", doc.DeviceSigned.MAC)
	device := func(ns, auth []byte) []byte { return m("nameSpaces", ns, "deviceAuth", auth) }
	document := func(device []byte) []byte {
		return m("docType", text(mdoc.DocTypeMDL), "issuerSigned", issuer, "deviceSigned", device)
	}
	respond := func(docs []byte) []byte { return m("version", text("1.0"), "documents", docs, "status", num(0)) }
	none := b24(m())
	for what, c := range map[string]struct {
		data []byte
		err  error
	}{
		"good":                     {data: respond(arr(document(device(none, auth))))},
		"empty documents":          {data: respond(arr())},
		"error status":             {data: m("version", text("1.0"), "status", num(11))},
		"documents not understood": {data: m("version", text("1.0"), "zkDocuments", arr(num(1)), "encryptedDocuments", arr(num(1)), "status", num(0))},
		"no version":               {m("status", num(0)), mdoc.ErrSyntax},
		"no status":                {m("version", text("1.0")), mdoc.ErrSyntax},
		"version 2.0":              {m("version", text("2.0"), "status", num(0)), mdoc.ErrVersion},
		"documents and an error":   {m("version", text("1.0"), "documents", arr(document(device(none, auth))), "status", num(10)), mdoc.ErrSyntax},
		"two proofs":               {respond(arr(document(device(none, m("deviceMac", doc.DeviceSigned.MAC, "deviceSignature", doc.DeviceSigned.MAC))))), mdoc.ErrSyntax},
		"no proof":                 {respond(arr(document(device(none, m())))), mdoc.ErrSyntax},
		"no deviceSigned":          {respond(arr(m("docType", text("x"), "issuerSigned", issuer))), mdoc.ErrSyntax},
		"name spaces not embedded": {respond(arr(document(device(m(), auth)))), mdoc.ErrSyntax},
		"signed by both":           {respond(arr(document(device(b24(m(mdoc.NameSpaceMDL, m("portrait", num(1)))), auth)))), mdoc.ErrSyntax},
		"device element twice":     {respond(arr(document(device(b24(m("x", slices.Concat([]byte{0xa2}, m("a", num(1))[1:], m("a", num(2))[1:]))), auth)))), mdoc.ErrSyntax},
		"too many documents":       {respond(arr(slices.Repeat([][]byte{document(device(none, auth))}, 65)...)), mdoc.ErrLimit},
		"key twice":                {slices.Concat([]byte{0xa3}, m("status", num(0))[1:], m("status", num(0))[1:], m("version", text("1.0"))[1:]), mdoc.ErrSyntax},
	} {
		_, err := mdoc.ParseDeviceResponse(c.data)
		if c.err == nil && err != nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", what, err, c.err)
		}
	}
	if _, err := mdoc.ParseDeviceResponseLimits(response, mdoc.Limits{Bytes: len(response) - 1}); !errors.Is(err, mdoc.ErrLimit) {
		t.Errorf("one byte too many: %v", err)
	}
	sameBytes(t, "error response", mdoc.EncodeErrorResponse(mdoc.StatusCBORDecodingError), m("version", text("1.0"), "status", num(11)))
}

func TestParseRequestRefuses(t *testing.T) {
	ns := m("ns", m("a", cbor.AppendBool(nil, true)))
	items := func(pairs ...any) []byte { return m("itemsRequest", b24(m(pairs...))) }
	request := func(docs ...[]byte) []byte { return m("version", text("1.0"), "docRequests", arr(docs...)) }
	info := func(v ...any) []byte { return items("docType", text("x"), "nameSpaces", ns, "requestInfo", m(v...)) }
	ref := func(id string) []byte { return arr(text("ns"), text(id)) }
	useCase := func(sets []byte) []byte {
		return m("version", text("1.1"), "docRequests", arr(items("docType", text("x"), "nameSpaces", ns)),
			"deviceRequestInfo", b24(m("useCases", arr(m("mandatory", cbor.AppendBool(nil, true), "documentSets", sets)))))
	}
	for what, c := range map[string]struct {
		data []byte
		err  error
	}{
		"good":                    {data: request(items("docType", text("x"), "nameSpaces", ns))},
		"extension":               {data: request(info("com.example.docsigninfo", m("document", num(1))))},
		"use case":                {data: useCase(arr(arr(num(0))))},
		"everything":              {data: request(info("maximumResponseSize", num(9), "issuerIdentifiers", arr(str([]byte{1})), "zkRequest", m(), "docResponseEncryption", b24(m())))},
		"use case out of range":   {useCase(arr(arr(num(1)))), mdoc.ErrSyntax},
		"use case far out":        {useCase(arr(arr(num(1 << 40)))), mdoc.ErrSyntax},
		"use case without sets":   {useCase(arr()), mdoc.ErrSyntax},
		"use case with empty set": {useCase(arr(arr())), mdoc.ErrSyntax},
		"no documents":            {request(), mdoc.ErrSyntax},
		"version 2.0":             {m("version", text("2.0"), "docRequests", arr(items("docType", text("x"), "nameSpaces", ns))), mdoc.ErrVersion},
		"no name spaces":          {request(items("docType", text("x"), "nameSpaces", m())), mdoc.ErrSyntax},
		"no elements":             {request(items("docType", text("x"), "nameSpaces", m("ns", m()))), mdoc.ErrSyntax},
		"no docType":              {request(items("nameSpaces", ns)), mdoc.ErrSyntax},
		"intent not a boolean":    {request(items("docType", text("x"), "nameSpaces", m("ns", m("a", num(1))))), mdoc.ErrSyntax},
		"items not embedded":      {request(m("itemsRequest", m("docType", text("x"), "nameSpaces", ns))), mdoc.ErrSyntax},
		"alternative to nothing":  {request(info("alternativeDataElements", arr(m("requestedElement", ref("b"), "alternativeElementSets", arr(arr(ref("c"))))))), mdoc.ErrSyntax},
		"empty alternative":       {request(info("alternativeDataElements", arr(m("requestedElement", ref("a"), "alternativeElementSets", arr(arr()))))), mdoc.ErrSyntax},
		"half a reference":        {request(info("alternativeDataElements", arr(m("requestedElement", arr(text("ns")), "alternativeElementSets", arr())))), mdoc.ErrSyntax},
		"empty readerAuthAll":     {m("version", text("1.1"), "docRequests", arr(items("docType", text("x"), "nameSpaces", ns)), "readerAuthAll", arr()), mdoc.ErrSyntax},
		"too many documents":      {request(slices.Repeat([][]byte{items("docType", text("x"), "nameSpaces", ns)}, 65)...), mdoc.ErrLimit},
		"nested":                  {request(info("x", nested(30))), mdoc.ErrLimit},
	} {
		_, err := mdoc.ParseDeviceRequest(c.data)
		if c.err == nil && err != nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", what, err, c.err)
		}
	}
	for what, p := range map[string]mdoc.RequestParams{
		"nothing":     {},
		"no elements": {Documents: []mdoc.DocRequest{{DocType: "x", NameSpaces: []mdoc.RequestedNameSpace{{Name: "ns"}}}}},
		"bad use case": {Documents: []mdoc.DocRequest{{DocType: "x", NameSpaces: []mdoc.RequestedNameSpace{{Name: "ns", Elements: []mdoc.RequestedElement{{ID: "a"}}}}}},
			Info: &mdoc.DeviceRequestInfo{UseCases: []mdoc.UseCase{{DocumentSets: [][]int{{-1}}}}}},
	} {
		if _, err := mdoc.BuildDeviceRequest(t.Context(), p); !errors.Is(err, mdoc.ErrSyntax) {
			t.Errorf("build %s: %v", what, err)
		}
	}
}
