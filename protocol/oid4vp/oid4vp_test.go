package oid4vp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newVerifier is named by the hash of its certificate.
func newVerifier(t testing.TB, dns string) (*oid4vp.Verifier, []byte) {
	t.Helper()
	v := certified(t, dns)
	v.ClientID = oid4vp.X509HashID(v.Chain[0])
	return v, v.Chain[0]
}

func pidQuery(t testing.TB) query.Query {
	t.Helper()
	q, err := query.ParseDCQL([]byte(`{"credentials":[{"id":"pid","format":"mso_mdoc","meta":{"doctype_value":"eu.europa.ec.eudi.pid.1"},
		"claims":[{"path":["eu.europa.ec.eudi.pid.1","family_name"]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func begin(t testing.TB, v *oid4vp.Verifier) *oid4vp.Transaction {
	t.Helper()
	tx, err := v.Begin(oid4vp.Params{
		Query: pidQuery(t), RequestURI: "https://shop.example/request/1", ResponseURI: "https://shop.example/response/1",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// open plays the wallet up to the opened request.
func open(t testing.TB, v *oid4vp.Verifier, tx *oid4vp.Transaction) *oid4vp.Request {
	t.Helper()
	l, err := oid4vp.ParseLink(tx.Link("openid4vp"))
	if err != nil {
		t.Fatal(err)
	}
	object, nonce, err := l.Fetch(t.Context(), func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if r.Method != "GET" || r.URL != tx.RequestURI {
			t.Errorf("wallet asks %s %s", r.Method, r.URL)
		}
		o, err := v.RequestObject(ctx, tx, oid4vp.WalletPost{}, now)
		return fetch.Response{Status: 200, Body: []byte(o)}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	req, rep, err := oid4vp.Open(t.Context(), object, l, nonce, oid4vp.Environment{}, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep)
	}
	return req
}

func TestConversation(t *testing.T) {
	v, der := newVerifier(t, "shop.example")
	for _, id := range []string{oid4vp.X509HashID(der), oid4vp.X509SANDNSID("shop.example")} {
		v.ClientID = id
		tx := begin(t, v)

		// The role stores the transaction between the calls.
		stored, err := json.Marshal(tx)
		if err != nil {
			t.Fatal(err)
		}
		tx = new(oid4vp.Transaction)
		if err := json.Unmarshal(stored, tx); err != nil {
			t.Fatal(err)
		}

		req := open(t, v, tx)
		if req.ClientID != id || !req.Encrypted || len(req.Query.Credentials) != 1 {
			t.Errorf("request opened as %+v", req)
		}
		msg, err := req.Answer(oid4vp.Presentations{"pid": {oid4vp.EncodeMdoc([]byte("a response"))}})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(msg.Body), "vp_token") || msg.URL != tx.ResponseURI {
			t.Errorf("the answer is not encrypted or goes elsewhere: %s", msg.URL)
		}
		form, err := url.ParseQuery(string(msg.Body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := tx.Open(t.Context(), form, now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		docs, err := answer.Presentations.Mdoc("pid")
		if err != nil || len(docs) != 1 || string(docs[0]) != "a response" {
			t.Errorf("presentation came back as %q, %v", docs, err)
		}
		want, err := req.Transcript()
		if err != nil || !bytes.Equal(want, answer.Transcript) {
			t.Errorf("transcripts differ: %x, %x", want, answer.Transcript)
		}
	}
}

func TestRefusal(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	tx := begin(t, v)
	msg, err := open(t, v, tx).Refuse(oid4vp.AccessDenied, "the holder declined")
	if err != nil {
		t.Fatal(err)
	}
	form, _ := url.ParseQuery(string(msg.Body))
	a, err := tx.Open(t.Context(), form, now)
	if err != nil || a.Error != oid4vp.AccessDenied || a.Presentations != nil {
		t.Errorf("refusal opened as %+v, %v", a, err)
	}
}

// TestOpenRefuses: what a wallet must not answer. Each case changes the claims
// or the link of a good request.
func TestOpenRefuses(t *testing.T) {
	v, der := newVerifier(t, "shop.example")
	_, otherDER := newVerifier(t, "other.example")
	good := begin(t, v)
	object, err := v.RequestObject(t.Context(), good, oid4vp.WalletPost{Nonce: "wn"}, now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(object, jose.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(m map[string]any, h *jose.Header, l *oid4vp.Link)
		code   string
		seen   string
	}{
		{"as it is", func(map[string]any, *jose.Header, *oid4vp.Link) {}, "", ""},
		{"other client_id in the link", func(_ map[string]any, _ *jose.Header, l *oid4vp.Link) { l.ClientID = oid4vp.X509HashID(otherDER) }, oid4vp.InvalidRequest, "differs"},
		{"hash of another certificate", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"] = oid4vp.X509HashID(otherDER)
			l.ClientID = oid4vp.X509HashID(otherDER)
		}, oid4vp.InvalidRequest, "not the hash"},
		{"prefix of unsigned requests", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"] = "redirect_uri:https://shop.example"
			l.ClientID = "redirect_uri:https://shop.example"
		}, oid4vp.InvalidRequest, "cannot be signed"},
		{"reserved prefix", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"], l.ClientID = "origin:https://shop.example", "origin:https://shop.example"
		}, oid4vp.InvalidRequest, "reserved"},
		{"DNS name not in the certificate", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"], l.ClientID = "x509_san_dns:bank.example", "x509_san_dns:bank.example"
		}, oid4vp.InvalidRequest, "no DNS name"},
		{"response to a foreign host", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"], l.ClientID = "x509_san_dns:shop.example", "x509_san_dns:shop.example"
			m["response_uri"] = "https://evil.example/response"
		}, oid4vp.InvalidRequest, "host of response_uri"},
		{"no nonce", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { delete(m, "nonce") }, oid4vp.InvalidRequest, "nonce"},
		{"nonce with a blank", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["nonce"] = "a b" }, oid4vp.InvalidRequest, "URL-safe"},
		{"other wallet_nonce", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["wallet_nonce"] = "x" }, oid4vp.InvalidRequest, "wallet_nonce"},
		{"redirect_uri with direct_post", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			m["redirect_uri"] = "https://shop.example/"
		}, oid4vp.InvalidRequest, "redirect_uri"},
		{"response_mode query", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["response_mode"] = "query" }, oid4vp.InvalidRequest, "response_mode"},
		{"response_mode of the browser", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["response_mode"] = "dc_api.jwt" }, oid4vp.InvalidRequest, "response_mode"},
		{"response_mode fragment without redirect_uri", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["response_mode"] = "fragment" }, oid4vp.InvalidRequest, "redirect_uri"},
		{"federation", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"], l.ClientID = "openid_federation:https://shop.example", "openid_federation:https://shop.example"
		}, oid4vp.InvalidRequest, "openid_federation is not supported"},
		{"unknown prefix", func(m map[string]any, _ *jose.Header, l *oid4vp.Link) {
			m["client_id"], l.ClientID = "invalid_prefix:shop", "invalid_prefix:shop"
		}, oid4vp.InvalidRequest, "client_id_prefix"},
		{"request inside", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["request_uri"] = "https://shop.example/r" }, oid4vp.InvalidRequest, "inside"},
		{"query and scope", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["scope"] = "pid" }, oid4vp.InvalidRequest, "both"},
		{"scope", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { delete(m, "dcql_query"); m["scope"] = "pid" }, oid4vp.InvalidScope, "scope"},
		{"plain http", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["response_uri"] = "http://shop.example/r" }, oid4vp.InvalidRequest, "https"},
		{"transaction data", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["transaction_data"] = []string{"e30"} }, oid4vp.InvalidTransactionData, "transaction_data"},
		{"no query", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { delete(m, "dcql_query") }, oid4vp.InvalidRequest, "dcql_query"},
		{"no response_type", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { delete(m, "response_type") }, oid4vp.InvalidRequest, "response_type"},
		{"algorithms of nobody", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			m["client_metadata"].(map[string]any)["vp_formats_supported"] = map[string]any{"mso_mdoc": map[string]any{"deviceauth_alg_values": []int{-50}}}
		}, oid4vp.FormatsNotSupported, "algorithms"},
		{"content encryption of nobody", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			m["client_metadata"].(map[string]any)["encrypted_response_enc_values_supported"] = []string{"A128CBC-HS256"}
		}, oid4vp.InvalidRequest, "content encryption"},
		{"empty verifier_info", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["verifier_info"] = []any{} }, oid4vp.InvalidRequest, "verifier_info"},
		{"verifier_info about nothing", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			m["verifier_info"] = []any{map[string]any{"format": "jwt", "data": "ey", "credential_ids": []string{"mdl"}}}
		}, oid4vp.InvalidRequest, "not asked for"},
		{"verifier_info without data", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			m["verifier_info"] = []any{map[string]any{"format": "jwt", "data": 1}}
		}, oid4vp.InvalidRequest, "data"},
		{"format not supported by itself", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			m["client_metadata"].(map[string]any)["vp_formats_supported"] = map[string]any{"dc+sd-jwt": map[string]any{}}
		}, oid4vp.FormatsNotSupported, "mso_mdoc"},
		{"no encryption key", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) {
			delete(m["client_metadata"].(map[string]any), "jwks")
		}, oid4vp.InvalidRequest, "without keys"},
		{"expired", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["exp"] = now.Add(-10 * time.Minute).Unix() }, oid4vp.InvalidRequest, "expired"},
		{"from the future", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["iat"] = now.Add(time.Hour).Unix() }, oid4vp.InvalidRequest, "not yet valid"},
		{"other typ", func(_ map[string]any, h *jose.Header, _ *oid4vp.Link) { h.Typ = "JWT" }, oid4vp.InvalidRequest, "typ"},
		{"no certificate", func(_ map[string]any, h *jose.Header, _ *oid4vp.Link) { h.X5C = nil }, oid4vp.InvalidRequest, "x5c"},
		{"certificate of somebody else", func(_ map[string]any, h *jose.Header, _ *oid4vp.Link) { h.X5C = [][]byte{otherDER} }, oid4vp.InvalidRequest, "signature"},
		{"response_type code", func(m map[string]any, _ *jose.Header, _ *oid4vp.Link) { m["response_type"] = "code" }, oid4vp.UnsupportedResponseType, "response_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m map[string]any
			if err := json.Unmarshal(token.Payload, &m); err != nil {
				t.Fatal(err)
			}
			h := jose.Header{Typ: oid4vp.RequestObjectType, X5C: [][]byte{der}}
			l := oid4vp.Link{ClientID: v.ClientID, RequestURI: good.RequestURI}
			c.change(m, &h, &l)
			signed, err := jose.Sign(t.Context(), v.Key, h, m)
			if err != nil {
				t.Fatal(err)
			}
			req, rep, err := oid4vp.Open(t.Context(), signed, l, "wn", oid4vp.Environment{}, now)
			if c.code == "" {
				if err != nil || req == nil || !rep.OK() {
					t.Fatalf("the good request is refused: %v", err)
				}
				return
			}
			if err == nil || rep.OK() || req != nil {
				t.Fatal("accepted")
			}
			if e, ok := errors.AsType[*oid4vp.Error](err); !ok || e.Tell != nil && !told(t, good, e) {
				t.Errorf("the verifier is not told as it should be: %v", err)
			}
			if oid4vp.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.seen) {
				t.Errorf("refused as %v, want code %s and %q", err, c.code, c.seen)
			}
		})
	}
	if _, _, err := oid4vp.Open(t.Context(), object[:len(object)-4]+"AAAA", oid4vp.Link{ClientID: v.ClientID}, "wn", oid4vp.Environment{}, now); err == nil {
		t.Error("accepted with a broken signature")
	}
}

// told reports whether the transaction takes what an error tells its verifier.
func told(t *testing.T, tx *oid4vp.Transaction, e *oid4vp.Error) bool {
	t.Helper()
	msg, err := e.Tell.Refuse(e.Code, e.Err.Error())
	if err != nil || msg.URL != tx.ResponseURI {
		t.Errorf("told at %s: %v", msg.URL, err)
		return false
	}
	form, err := url.ParseQuery(string(msg.Body))
	if err != nil {
		t.Fatal(err)
	}
	a, err := tx.Open(t.Context(), form, now)
	return err == nil && a.Error == e.Code
}

// TestTell: who is told what is wrong. Only a verifier that is known to be the
// one that asks, at an address that is known to be its own.
func TestTell(t *testing.T) {
	v, der := newVerifier(t, "shop.example")
	tx := begin(t, v)
	p, err := v.RequestObject(t.Context(), tx, oid4vp.WalletPost{}, now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(p, jose.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(m map[string]any, l *oid4vp.Link)
		tell   bool
	}{
		"no nonce":             {func(m map[string]any, _ *oid4vp.Link) { delete(m, "nonce") }, true},
		"redirect_uri beside":  {func(m map[string]any, _ *oid4vp.Link) { m["redirect_uri"] = "https://shop.example/" }, true},
		"unknown transaction":  {func(m map[string]any, _ *oid4vp.Link) { m["transaction_data"] = []string{"e30"} }, true},
		"no key to encrypt to": {func(m map[string]any, _ *oid4vp.Link) { delete(m, "client_metadata") }, true},
		"expired":              {func(m map[string]any, _ *oid4vp.Link) { m["exp"] = now.Add(-time.Hour).Unix() }, false},
		"another client":       {func(m map[string]any, _ *oid4vp.Link) { m["client_id"] = "x509_san_dns:shop.example" }, false},
		"signed by somebody else": {func(m map[string]any, l *oid4vp.Link) {
			m["client_id"], l.ClientID = "x509_hash:AAAA", "x509_hash:AAAA"
		}, false},
		"response mode not known":   {func(m map[string]any, _ *oid4vp.Link) { m["response_mode"] = "post" }, false},
		"address of somebody else":  {func(m map[string]any, _ *oid4vp.Link) { m["response_uri"] = "https://evil.example/" }, false},
		"address that is no secure": {func(m map[string]any, _ *oid4vp.Link) { m["response_uri"] = "http://shop.example/" }, false},
	} {
		var m map[string]any
		if err := json.Unmarshal(token.Payload, &m); err != nil {
			t.Fatal(err)
		}
		l := oid4vp.Link{ClientID: oid4vp.X509SANDNSID("shop.example")}
		m["client_id"] = l.ClientID
		if name == "another client" {
			l.ClientID = oid4vp.X509HashID(der)
		}
		c.change(m, &l)
		signed, err := jose.Sign(t.Context(), v.Key, jose.Header{Typ: oid4vp.RequestObjectType, X5C: v.Chain}, m)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = oid4vp.Open(t.Context(), signed, l, "", oid4vp.Environment{}, now)
		e, ok := errors.AsType[*oid4vp.Error](err)
		if !ok || (e.Tell != nil) != c.tell {
			t.Errorf("%s: %v, told: %v", name, err, ok && e.Tell != nil)
		}
		if ok && e.Tell != nil && !told(t, tx, e) {
			t.Errorf("%s: the verifier does not understand", name)
		}
	}
}

// TestAnswerRefuses: what a verifier must not take.
func TestAnswerRefuses(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	tx := begin(t, v)
	req := open(t, v, tx)
	form := func(p oid4vp.Presentations) url.Values {
		msg, err := req.Answer(p)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := url.ParseQuery(string(msg.Body))
		return f
	}
	good := form(oid4vp.Presentations{"pid": {"AAAA"}})
	if _, err := tx.Open(t.Context(), good, now); err != nil {
		t.Fatal(err)
	}
	otherTx := begin(t, v)
	for name, c := range map[string]struct {
		tx   *oid4vp.Transaction
		form url.Values
		at   time.Time
	}{
		"expired":                  {tx, good, tx.Expires},
		"of another transaction":   {otherTx, good, now},
		"in the clear":             {tx, url.Values{"vp_token": {`{"pid":["AAAA"]}`}, "state": {tx.State}}, now},
		"not asked":                {tx, form(oid4vp.Presentations{"mdl": {"AAAA"}}), now},
		"two for one":              {tx, form(oid4vp.Presentations{"pid": {"AAAA", "AAAA"}}), now},
		"none":                     {tx, form(oid4vp.Presentations{"pid": {}}), now},
		"error with foreign state": {tx, url.Values{"error": {"access_denied"}, "state": {"x"}}, now},
		"damaged":                  {tx, url.Values{"response": {good.Get("response")[:100]}}, now},
		"empty":                    {tx, url.Values{}, now},
	} {
		if a, err := c.tx.Open(t.Context(), c.form, c.at); err == nil {
			t.Errorf("%s: accepted as %+v", name, a)
		}
	}
	if _, err := v.RequestObject(t.Context(), tx, oid4vp.WalletPost{}, tx.Expires); err == nil {
		t.Error("an expired request is still served")
	}
}

func TestClientIDVectors(t *testing.T) {
	var f struct {
		Data struct {
			Cases []struct {
				ClientID string  `json:"client_id"`
				Prefix   *string `json:"prefix"`
				Original string  `json:"original"`
				Reject   bool    `json:"reject"`
			} `json:"cases"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vp/client_id_prefixes.json", &f)
	for _, c := range f.Data.Cases {
		prefix, rest, err := oid4vp.SplitClientID(c.ClientID)
		if c.Reject {
			if err == nil {
				t.Errorf("%s accepted", c.ClientID)
			}
			continue
		}
		want := ""
		if c.Prefix != nil {
			want = *c.Prefix
		}
		if err != nil || prefix != want || rest != c.Original {
			t.Errorf("%s: %q, %q, %v", c.ClientID, prefix, rest, err)
		}
	}
	var h struct {
		Data struct {
			Cases []struct {
				X5C      string `json:"x5c_0"`
				ClientID string `json:"client_id"`
			} `json:"cases"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vp/derived_x509_hash.json", &h)
	for _, c := range h.Data.Cases {
		der, err := base64.StdEncoding.DecodeString(c.X5C)
		if err != nil || oid4vp.X509HashID(der) != c.ClientID {
			t.Errorf("%s: %s, %v", c.ClientID, oid4vp.X509HashID(der), err)
		}
	}
	if len(f.Data.Cases) == 0 || len(h.Data.Cases) == 0 {
		t.Fatal("no cases")
	}
}

func TestParseLink(t *testing.T) {
	for link, ok := range map[string]bool{
		"openid4vp://?client_id=x&request_uri=https%3A%2F%2Fa.example%2Fr":                                    true,
		"haip-vp://?client_id=x&request_uri=https%3A%2F%2Fa.example%2Fr&request_uri_method=post":              true,
		"openid4vp://authorize?client_id=x&request_uri=http%3A%2F%2Fverifier.localhost%3A8080%2Fr":            true,
		"openid4vp://?client_id=x&request_uri=http%3A%2F%2Fa.example%2Fr":                                     false,
		"openid4vp://?client_id=x&request_uri=https%3A%2F%2Fa.example%2Fr%23f":                                false,
		"openid4vp://?client_id=x&client_id=y&request_uri=https%3A%2F%2Fa.example%2Fr":                        false,
		"openid4vp://?client_id=x&request_uri=https%3A%2F%2Fa.example%2Fr&request_uri_method=put":             false,
		"openid4vp://?client_id=x&request=eyJ":                                                                true,
		"openid4vp://?client_id=x&request=eyJ&request_uri=https%3A%2F%2Fa.example%2Fr":                        false,
		"openid4vp://?request_uri=https%3A%2F%2Fa.example%2Fr":                                                false,
		"openid4vp://?nonce=1&x=2&response_type=vp_token&client_id=redirect_uri%3Ahttps%3A%2F%2Fa.example%2F": true,
		"openid4vp://?client_id=x&dcql_query=%7B":                                                             false,
		"openid4vp://?client_id=x&request_uri=https%3A%2F%2Fuser%40a.example%2Fr":                             false,
		"openid4vp://?client_id=x&request_uri=file%3A%2F%2F%2Fetc%2Fpasswd":                                   false,
		"openid4vp://?client_id=x&request_uri=https%3A%2F%2Fa.example%2F" + strings.Repeat("a", 20<<10):       false,
		"%zz": false,
	} {
		if _, err := oid4vp.ParseLink(link); (err == nil) != ok {
			t.Errorf("%.90s: %v", link, err)
		}
	}
}

// FuzzOpen: no request object makes Open panic, and what it accepts is bound
// to the client identifier of the link.
func FuzzOpen(f *testing.F) {
	v, _ := newVerifier(f, "shop.example")
	tx := begin(f, v)
	object, err := v.RequestObject(context.Background(), tx, oid4vp.WalletPost{}, now)
	if err != nil {
		f.Fatal(err)
	}
	var jar struct {
		Text string `json:"text"`
	}
	vectors.Load(f, "iso18013-5/p7_b6_3_authorization_request_jar.json", &jar)
	f.Add(object)
	f.Add(jar.Text)
	f.Fuzz(func(t *testing.T, s string) {
		req, _, err := oid4vp.Open(t.Context(), s, oid4vp.Link{ClientID: v.ClientID}, "", oid4vp.Environment{}, now)
		if err == nil && req.ClientID != v.ClientID {
			t.Fatal("opened for another client")
		}
	})
}

// FuzzAnswer: no form makes Transaction.Open panic.
func FuzzAnswer(f *testing.F) {
	v, _ := newVerifier(f, "shop.example")
	tx := begin(f, v)
	msg, err := open(f, v, tx).Answer(oid4vp.Presentations{"pid": {"AAAA"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(msg.Body))
	f.Add("error=access_denied&state=" + tx.State)
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if a, err := tx.Open(context.Background(), form, now); err == nil && a.Error == "" && len(a.Presentations) == 0 {
			t.Fatal("an answer without presentation and error")
		}
	})
}
