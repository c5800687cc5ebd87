package oid4vp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// TestDCAPIVectors: the requests of OpenID4VP 1.0, A.3.
func TestDCAPIVectors(t *testing.T) {
	var f struct {
		Data struct {
			Unsigned struct {
				Protocol string          `json:"protocol"`
				Data     json.RawMessage `json:"data"`
			} `json:"unsigned"`
			Signed map[string]any `json:"signed_payload"`
			Multi  map[string]any `json:"multisigned_payload"`
			Error  any            `json:"error"`
		} `json:"data"`
		Expected struct {
			Origins []struct {
				Origin string `json:"origin"`
				Match  bool   `json:"match"`
			} `json:"origin_cases"`
			Audience map[string]string `json:"kb_aud_for_origin"`
		} `json:"expected"`
	}
	vectors.Load(t, "openid4vp/dcapi_requests.json", &f)
	req, rep, err := oid4vp.OpenDC(t.Context(), f.Data.Unsigned.Protocol, f.Data.Unsigned.Data, origin, oid4vp.Environment{}, now)
	if err != nil || req.Nonce != "n-0S6_WzA2Mj" || req.Encrypted {
		t.Fatalf("unsigned: %v\n%s", err, rep)
	}
	for o, aud := range f.Expected.Audience {
		req, _, err := oid4vp.OpenDC(t.Context(), f.Data.Unsigned.Protocol, f.Data.Unsigned.Data, o, oid4vp.Environment{}, now)
		if err != nil || req.Audience() != aud {
			t.Errorf("audience of %s: %v", o, err)
		}
	}
	v, _ := newVerifier(t, "rp.example.com")
	v.ClientID = oid4vp.X509SANDNSID("rp.example.com")
	object, err := jose.Sign(t.Context(), v.Key, jose.Header{Typ: oid4vp.RequestObjectType, X5C: v.Chain}, f.Data.Signed)
	check(t, err)
	signed := encode(t, map[string]any{"request": object})
	client, err := json.Marshal(v.ClientID)
	check(t, err)
	multi := multisigned(t, f.Data.Multi, signature{v, jose.Header{X5C: v.Chain, Raw: map[string]json.RawMessage{"client_id": client}}})
	for _, c := range f.Expected.Origins {
		for protocol, data := range map[string][]byte{oid4vp.ProtocolSigned: signed, oid4vp.ProtocolMultisigned: multi} {
			_, _, err := oid4vp.OpenDC(t.Context(), protocol, data, c.Origin, oid4vp.Environment{}, now)
			if (err == nil) != c.Match || err != nil && (oid4vp.CodeOf(err) != oid4vp.InvalidRequest || !strings.Contains(err.Error(), "origin")) {
				t.Errorf("%s from %s: %v", protocol, c.Origin, err)
			}
		}
	}
	if got := oid4vp.DCError(oid4vp.InvalidRequest); string(got) != string(encode(t, f.Data.Error)) {
		t.Errorf("error %s", got)
	}
}

// TestHandoverVectors: the transcripts of OpenID4VP 1.0, B.2.6.2, from a
// request with their key and nonce.
func TestHandoverVectors(t *testing.T) {
	for name, mode := range map[string]string{"b2_6_2_handover_dcapi": oid4vp.DCAPIJWT, "derived_handover_dcapi_null": oid4vp.DCAPI} {
		var f struct {
			Data struct {
				Origin string          `json:"origin"`
				Nonce  string          `json:"nonce"`
				JWK    json.RawMessage `json:"jwk"`
			} `json:"data"`
			Hex string `json:"hex"`
		}
		vectors.Load(t, "openid4vp/"+name+".json", &f)
		m := map[string]any{"response_type": "vp_token", "response_mode": mode, "nonce": f.Data.Nonce,
			"dcql_query": json.RawMessage(`{"credentials":[{"id":"a","format":"mso_mdoc","meta":{"doctype_value":"x"}}]}`)}
		if mode == oid4vp.DCAPIJWT {
			m["client_metadata"] = map[string]any{"jwks": map[string]any{"keys": []any{f.Data.JWK}}}
		}
		req, _, err := oid4vp.OpenDC(t.Context(), oid4vp.ProtocolUnsigned, encode(t, m), f.Data.Origin, oid4vp.Environment{}, now)
		check(t, err)
		if got, err := req.Transcript(); err != nil || !bytes.Equal(got, vectors.Hex(t, f.Hex)) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	check(t, err)
	return b
}

// signature is one of several: the key of a verifier, and the header.
type signature struct {
	v *oid4vp.Verifier
	h jose.Header
}

// multisigned is a request in the JSON serialisation of JWS.
func multisigned(t testing.TB, claims map[string]any, signatures ...signature) []byte {
	t.Helper()
	payload, list := "", []map[string]string{}
	for _, s := range signatures {
		one, err := jose.Sign(t.Context(), s.v.Key, s.h, claims)
		check(t, err)
		parts := strings.Split(one, ".")
		payload = parts[1]
		list = append(list, map[string]string{"protected": parts[0], "signature": parts[2]})
	}
	return encode(t, map[string]any{"request": map[string]any{"payload": payload, "signatures": list}})
}

// TestMultisigned: several names at once, of which some are good.
func TestMultisigned(t *testing.T) {
	n := newNames(t)
	v := n.verifiers["x509_hash"]
	v.Also = []*oid4vp.Verifier{n.verifiers["did:jwk"], n.verifiers["verifier_attestation"]}
	v.Info = []oid4vp.VerifierInfo{{Format: "registration", Data: json.RawMessage(`"eyJ"`)}}
	v.Also[0].Info = []oid4vp.VerifierInfo{{Format: "jwt", Data: json.RawMessage(`{"a":1}`), CredentialIDs: []string{"pid"}}}
	tx, err := v.Begin(oid4vp.Params{Query: pidQuery(t), Info: []oid4vp.VerifierInfo{{Format: "policy", Data: json.RawMessage(`"x"`)}}}, now)
	check(t, err)
	requests, err := v.DCRequests(t.Context(), tx, []string{origin}, now)
	check(t, err)
	data := requests[1].Data
	req, _, err := oid4vp.OpenDC(t.Context(), requests[1].Protocol, data, origin, n.env, now)
	check(t, err)
	if req.ClientID != v.ClientID || len(req.Others) != 2 || len(req.Info) != 2 || len(req.Others[0].Info) != 1 || req.Others[1].Proof != oid4vp.ProofAttestation {
		t.Errorf("opened as %+v", req)
	}
	if signed, _, err := oid4vp.OpenDC(t.Context(), requests[0].Protocol, requests[0].Data, origin, n.env, now); err != nil || len(signed.Info) != 2 || signed.Info[1].Format != "policy" {
		t.Errorf("signed once: %+v, %v", signed, err)
	}
	// A wallet that trusts no attester passes its signature over.
	if req, rep, err := oid4vp.OpenDC(t.Context(), requests[1].Protocol, data, origin, oid4vp.Environment{}, now); err != nil || len(req.Others) != 1 || !rep.OK() {
		t.Errorf("without attesters: %v", err)
	}
	var w struct {
		Request struct {
			Payload    string              `json:"payload"`
			Signatures []map[string]string `json:"signatures"`
		} `json:"request"`
	}
	check(t, json.Unmarshal(data, &w))
	// As some verifiers send it.
	if req, _, err := oid4vp.OpenDC(t.Context(), requests[1].Protocol, encode(t, w.Request), origin, n.env, now); err != nil || len(req.Others) != 2 {
		t.Errorf("not in request: %v", err)
	}
	for i, s := range w.Request.Signatures {
		s["signature"] = strings.Repeat("A", len(s["signature"]))
		broken := encode(t, w)
		req, _, err := oid4vp.OpenDC(t.Context(), requests[1].Protocol, broken, origin, n.env, now)
		if last := i == len(w.Request.Signatures)-1; (err != nil) != last || err == nil && len(req.Others) != 1-i {
			t.Errorf("%d signatures broken: %v", i+1, err)
		}
	}
}

// TestLookups: a request does not make the wallet fetch without end.
func TestLookups(t *testing.T) {
	n := newNames(t)
	v := n.verifiers["did:web"]
	for range 14 {
		v.Also = append(v.Also, n.verifiers["did:web"])
	}
	tx, err := v.Begin(oid4vp.Params{Query: pidQuery(t)}, now)
	check(t, err)
	requests, err := v.DCRequests(t.Context(), tx, []string{origin}, now)
	check(t, err)
	fetched, inner := 0, n.env.Fetch
	n.env.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		fetched++
		return inner(ctx, r)
	}
	req, _, err := oid4vp.OpenDC(t.Context(), requests[1].Protocol, requests[1].Data, origin, n.env, now)
	check(t, err)
	if fetched != 3 || len(req.Others) != 2 {
		t.Errorf("%d lookups, %d names", fetched, 1+len(req.Others))
	}
}

// TestOpenDCRefuses: what a wallet must not answer through the Digital
// Credentials API.
func TestOpenDCRefuses(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	tx, err := v.Begin(oid4vp.Params{Query: pidQuery(t)}, now)
	check(t, err)
	requests, err := v.DCRequests(t.Context(), tx, []string{origin}, now)
	check(t, err)
	signed, multi, unsigned := requests[0].Data, requests[1].Data, requests[2].Data
	change := func(f func(m map[string]any)) []byte {
		var m map[string]any
		check(t, json.Unmarshal(unsigned, &m))
		f(m)
		return encode(t, m)
	}
	claims := func() map[string]any {
		var m map[string]any
		check(t, json.Unmarshal(unsigned, &m))
		m["client_id"], m["expected_origins"] = v.ClientID, []string{origin}
		return m
	}
	sign := func(f func(m map[string]any)) []byte {
		m := claims()
		f(m)
		object, err := jose.Sign(t.Context(), v.Key, jose.Header{Typ: oid4vp.RequestObjectType, X5C: v.Chain}, m)
		check(t, err)
		return encode(t, map[string]string{"request": object})
	}
	header := jose.Header{X5C: v.Chain, Raw: map[string]json.RawMessage{"client_id": encode(t, v.ClientID)}}
	for _, c := range []struct {
		name, protocol string
		data           []byte
		origin, seen   string
	}{
		{"unsigned", oid4vp.ProtocolUnsigned, unsigned, origin, ""},
		{"unsigned, with what is to be ignored", oid4vp.ProtocolUnsigned, change(func(m map[string]any) {
			m["client_id"], m["expected_origins"], m["state"], m["x"] = "x509_san_dns:bank.example", []string{"https://bank.example"}, "s", 1
		}), origin, ""},
		{"signed", oid4vp.ProtocolSigned, sign(func(map[string]any) {}), origin, ""},
		{"no origin", oid4vp.ProtocolUnsigned, unsigned, "", "origin"},
		{"protocol of others", "openid4vp-v2-signed", signed, origin, "protocol"},
		{"signed as unsigned", oid4vp.ProtocolUnsigned, signed, origin, "response_mode"},
		{"unsigned as signed", oid4vp.ProtocolSigned, unsigned, origin, "JWS"},
		{"multi-signed as signed", oid4vp.ProtocolSigned, multi, origin, "malformed"},
		{"signed as multi-signed", oid4vp.ProtocolMultisigned, signed, origin, "JWS"},
		{"another origin", oid4vp.ProtocolSigned, signed, "https://evil.example", "origin"},
		{"another origin, multi-signed", oid4vp.ProtocolMultisigned, multi, "https://evil.example", "origin"},
		{"no expected_origins", oid4vp.ProtocolSigned, sign(func(m map[string]any) { delete(m, "expected_origins") }), origin, "expected_origins"},
		{"no client_id", oid4vp.ProtocolSigned, sign(func(m map[string]any) { delete(m, "client_id") }), origin, "client_id"},
		{"reserved prefix", oid4vp.ProtocolSigned, sign(func(m map[string]any) { m["client_id"] = "origin:" + origin }), origin, "reserved"},
		{"redirect_uri prefix", oid4vp.ProtocolSigned, sign(func(m map[string]any) { m["client_id"] = "redirect_uri:https://shop.example/" }), origin, "cannot be signed"},
		{"mode of links", oid4vp.ProtocolUnsigned, change(func(m map[string]any) { m["response_mode"] = "direct_post" }), origin, "response_mode"},
		{"no nonce", oid4vp.ProtocolUnsigned, change(func(m map[string]any) { delete(m, "nonce") }), origin, "nonce"},
		{"no query", oid4vp.ProtocolUnsigned, change(func(m map[string]any) { delete(m, "dcql_query") }), origin, "dcql_query"},
		{"no key", oid4vp.ProtocolUnsigned, change(func(m map[string]any) { delete(m, "client_metadata") }), origin, "keys"},
		{"huge", oid4vp.ProtocolUnsigned, change(func(m map[string]any) { m["x"] = strings.Repeat("x", 300<<10) }), origin, "limit"},
		{"no JSON", oid4vp.ProtocolUnsigned, []byte("{"), origin, "JSON"},
		{"client_id in the payload", oid4vp.ProtocolMultisigned, multisigned(t, claims(), signature{v, header}), origin, "payload"},
		{"client_id in no header", oid4vp.ProtocolMultisigned, multisigned(t, without(claims(), "client_id"), signature{v, jose.Header{X5C: v.Chain}}), origin, "client_id"},
		{"other typ", oid4vp.ProtocolMultisigned, multisigned(t, without(claims(), "client_id"), signature{v, jose.Header{Typ: "JWT", X5C: v.Chain, Raw: header.Raw}}), origin, "typ"},
	} {
		req, rep, err := oid4vp.OpenDC(t.Context(), c.protocol, c.data, c.origin, oid4vp.Environment{}, now)
		if c.seen == "" {
			if err != nil || !rep.OK() || req.State != "" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || rep.OK() || req != nil || !strings.Contains(err.Error(), c.seen) {
			t.Errorf("%s: %v, want %q", c.name, err, c.seen)
		}
		if e, ok := errors.AsType[*oid4vp.Error](err); !ok || e.Tell != nil || e.Code != oid4vp.InvalidRequest {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func without(m map[string]any, name string) map[string]any {
	delete(m, name)
	return m
}

// TestAnswerDCRefuses: what a verifier must not take through the Digital
// Credentials API.
func TestAnswerDCRefuses(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	tx := begin(t, v)
	requests, err := v.DCRequests(t.Context(), tx, []string{origin}, now)
	check(t, err)
	req, _, err := oid4vp.OpenDC(t.Context(), requests[0].Protocol, requests[0].Data, origin, oid4vp.Environment{}, now)
	check(t, err)
	good, err := req.AnswerDC(presented)
	check(t, err)
	other := begin(t, v)
	plain, err := v.Begin(oid4vp.Params{Query: pidQuery(t), Mode: oid4vp.DirectPost}, now)
	check(t, err)
	for _, data := range []string{`{"vp_token":{"pid":["AAAA"]},"x":1}`, `{"vp_token":{"pid":"AAAA"}}`} {
		if a, err := plain.OpenDC(t.Context(), []byte(data), origin, now); err != nil || len(a.Presentations["pid"]) != 1 {
			t.Errorf("%s: %v", data, err)
		}
	}
	for name, c := range map[string]struct {
		tx     *oid4vp.Transaction
		data   string
		origin string
	}{
		"in the clear":           {tx, `{"vp_token":{"pid":["AAAA"]}}`, origin},
		"as no error":            {tx, `{"error":"","vp_token":{"pid":["AAAA"]}}`, origin},
		"of another transaction": {other, string(good), origin},
		"without origin":         {tx, string(good), ""},
		"empty":                  {tx, `{}`, origin},
		"no object":              {tx, `"x"`, origin},
		"presentations twice":    {plain, `{"vp_token":{"pid":["AAAA"],"pid":["BBBB"]}}`, origin},
		"presentation no string": {plain, `{"vp_token":{"pid":[{}]}}`, origin},
		"presentation empty":     {plain, `{"vp_token":{"pid":""}}`, origin},
		"presentation null":      {plain, `{"vp_token":{"pid":null}}`, origin},
		"vp_token null":          {plain, `{"vp_token":null}`, origin},
		"damaged":                {tx, string(good[:len(good)/2]) + `"}`, origin},
		"huge":                   {tx, `{"response":"` + strings.Repeat("A", 13<<20) + `"}`, origin},
	} {
		if a, err := c.tx.OpenDC(t.Context(), []byte(c.data), c.origin, now); err == nil {
			t.Errorf("%s: accepted as %+v", name, a)
		}
	}
	if _, err := tx.OpenDC(t.Context(), good, origin, tx.Expires); err == nil {
		t.Error("a late answer is accepted")
	}
	a, err := tx.OpenDC(t.Context(), good, "https://other.example", now)
	check(t, err)
	if transcript, err := req.Transcript(); err != nil || bytes.Equal(a.Transcript, transcript) || a.Audience == req.Audience() {
		t.Error("an answer for one origin is bound to another")
	}
	if _, err := req.Answer(presented); err == nil {
		t.Error("a request of the browser is answered over HTTP")
	}
	if _, err := v.DCRequests(t.Context(), tx, nil, now); err == nil {
		t.Error("a request for no origin")
	}
	if _, err := v.DCRequests(t.Context(), tx, []string{origin}, tx.Expires); err == nil {
		t.Error("an expired request")
	}
}

// FuzzOpenDC: no data makes OpenDC panic, and what it accepts is bound to the
// origin it was given.
func FuzzOpenDC(f *testing.F) {
	v, _ := newVerifier(f, "shop.example")
	tx := begin(f, v)
	requests, err := v.DCRequests(context.Background(), tx, []string{origin}, now)
	check(f, err)
	for i, r := range requests {
		f.Add(uint8(i), []byte(r.Data))
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		protocol := requests[int(i)%len(requests)].Protocol
		req, _, err := oid4vp.OpenDC(t.Context(), protocol, data, origin, oid4vp.Environment{}, now)
		if err == nil && req.Audience() != "origin:"+origin {
			t.Fatal("opened for another origin")
		}
	})
}

// FuzzAnswerDC: no data makes Transaction.OpenDC panic.
func FuzzAnswerDC(f *testing.F) {
	v, _ := newVerifier(f, "shop.example")
	tx, err := v.Begin(oid4vp.Params{Query: pidQuery(f), Mode: oid4vp.DirectPost}, now)
	check(f, err)
	f.Add([]byte(`{"vp_token":{"pid":["AAAA"]}}`))
	f.Add([]byte(`{"response":"x"}`))
	f.Add(oid4vp.DCError(oid4vp.AccessDenied))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := tx.OpenDC(t.Context(), data, origin, now); err == nil && a.Error == "" && len(a.Presentations) == 0 {
			t.Fatal("an answer without presentation and error")
		}
	})
}
