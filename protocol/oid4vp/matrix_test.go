package oid4vp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

const origin = "https://shop.example"

// names are verifiers by each client identifier prefix, and a wallet's
// environment that knows all of them.
type names struct {
	verifiers map[string]*oid4vp.Verifier // by prefix; did:web and did:jwk apart
	env       oid4vp.Environment
	attester  key.Signer
}

func newNames(t testing.TB) *names {
	t.Helper()
	certified, der := newVerifier(t, "shop.example")
	n := &names{verifiers: map[string]*oid4vp.Verifier{}, attester: testkit.Signer(t, elliptic.P256())}
	signer := func() key.Signer { return testkit.Signer(t, elliptic.P256()) }

	n.verifiers["x509_hash"] = certified
	n.verifiers["x509_san_dns"] = &oid4vp.Verifier{ClientID: oid4vp.X509SANDNSID("shop.example"), Key: certified.Key, Chain: [][]byte{der}}

	k := signer()
	did, err := oid4vp.DIDJWK(k.Public())
	check(t, err)
	n.verifiers["did:jwk"] = &oid4vp.Verifier{ClientID: oid4vp.DIDID(did), Key: k, KeyID: did + "#0"}

	k = signer()
	web, err := oid4vp.DIDWeb("https://shop.example:8443/rp")
	check(t, err)
	doc, err := oid4vp.DIDDocument(web, web+"#1", k.Public())
	check(t, err)
	n.verifiers["did:web"] = &oid4vp.Verifier{ClientID: oid4vp.DIDID(web), Key: k, KeyID: web + "#1"}
	n.env.Fetch = func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		if r.Method != "GET" || r.URL != "https://shop.example:8443/rp/did.json" || r.MaxBytes == 0 {
			return fetch.Response{}, fmt.Errorf("the wallet asks %s %s", r.Method, r.URL)
		}
		return fetch.Response{Status: 200, Body: doc}, nil
	}

	k = signer()
	n.verifiers["verifier_attestation"] = &oid4vp.Verifier{ClientID: oid4vp.AttestationID("shop"), Key: k, Attestation: n.attest(t, k.Public(), nil)}
	n.env.Attester = func(_ context.Context, issuer string, _ jose.Header) (crypto.PublicKey, error) {
		if issuer != "https://attester.example" {
			return nil, errors.New("somebody else")
		}
		return n.attester.Public(), nil
	}

	k = signer()
	n.verifiers["pre-registered"] = &oid4vp.Verifier{ClientID: "shop", Key: k, KeyID: "k1"}
	n.env.Registered = func(_ context.Context, id string) (oid4vp.Registered, bool) {
		return oid4vp.Registered{Name: "The shop", URIs: []string{"https://shop.example/response/1", "https://shop.example/cb"},
			Keys: jose.Set{Keys: []jose.JWK{{Key: k.Public(), KID: "k1"}}}}, id == "shop"
	}
	return n
}

// attest makes a verifier attestation, with claims changed.
func (n *names) attest(t testing.TB, pub crypto.PublicKey, change func(m map[string]any)) string {
	t.Helper()
	m := map[string]any{"iss": "https://attester.example", "sub": "shop", "exp": now.Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": jose.JWK{Key: pub}},
		"redirect_uris": []string{"https://shop.example/response/1", "https://shop.example/cb"}}
	h := jose.Header{Typ: oid4vp.AttestationType}
	if change != nil {
		change(m)
	}
	s, err := jose.Sign(t.Context(), n.attester, h, m)
	check(t, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// received plays the wallet from the link to the opened request.
func (n *names) received(t *testing.T, v *oid4vp.Verifier, tx *oid4vp.Transaction, link string, polite bool) *oid4vp.Request {
	t.Helper()
	l, err := oid4vp.ParseLink(link)
	check(t, err)
	object, nonce, err := l.Fetch(t.Context(), func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		var post oid4vp.WalletPost
		if r.Method == "POST" {
			if !polite {
				return fetch.Response{Status: 405}, nil
			}
			form, err := r.Form()
			check(t, err)
			if post, err = oid4vp.ParseWalletPost(form); post.Nonce == "" {
				t.Error("no wallet_nonce")
			}
			check(t, err)
		}
		o, err := v.RequestObject(ctx, tx, post, now)
		return fetch.Response{Status: 200, Body: []byte(o)}, err
	})
	check(t, err)
	req, rep, err := oid4vp.Open(t.Context(), object, l, nonce, n.env, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep)
	}
	return req
}

// exchanged is what the verifier gets when the wallet answers.
func exchanged(t *testing.T, tx *oid4vp.Transaction, req *oid4vp.Request, msg fetch.Request) *oid4vp.Answer {
	t.Helper()
	var posted string
	next, err := req.Send(t.Context(), func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		if r.Method != "POST" || r.URL != tx.ResponseURI {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		posted = string(r.Body)
		return fetch.Response{Status: 200, Body: []byte(`{"redirect_uri":"https://shop.example/done"}`)}, nil
	}, msg)
	check(t, err)
	if req.Mode == oid4vp.Fragment {
		ok := false
		if next, posted, ok = strings.Cut(next, "#"); !ok || next != tx.RedirectURI {
			t.Errorf("the browser is sent to %s", next)
		}
	} else if next != "https://shop.example/done" {
		t.Errorf("the browser is sent to %s", next)
	}
	if strings.Contains(posted, "state=") == req.Encrypted {
		t.Errorf("encrypted: %v, sent: %s", req.Encrypted, posted)
	}
	form, err := url.ParseQuery(posted)
	check(t, err)
	stored, err := json.Marshal(tx) // as the role does between the calls
	check(t, err)
	again := new(oid4vp.Transaction)
	check(t, json.Unmarshal(stored, again))
	a, err := again.Open(t.Context(), form, now)
	check(t, err)
	return a
}

// bound checks that both ends bind presentations to the same.
func bound(t *testing.T, req *oid4vp.Request, a *oid4vp.Answer) {
	t.Helper()
	transcript, err := req.Transcript()
	check(t, err)
	if !bytes.Equal(transcript, a.Transcript) || req.Audience() != a.Audience || req.Nonce != a.Nonce {
		t.Errorf("wallet: %x %s %s\nverifier: %x %s %s", transcript, req.Audience(), req.Nonce, a.Transcript, a.Audience, a.Nonce)
	}
	if docs, err := a.Presentations.Mdoc("pid"); err != nil || len(docs) != 1 || string(docs[0]) != "a response" {
		t.Errorf("presentation came back as %q, %v", docs, err)
	}
}

var presented = oid4vp.Presentations{"pid": {oid4vp.EncodeMdoc([]byte("a response"))}}

// TestMatrix: every client identifier prefix, in every way a request comes by
// link, with every response mode, between both ends.
func TestMatrix(t *testing.T) {
	n := newNames(t)
	proofs := map[string]oid4vp.Proof{
		"x509_hash": oid4vp.ProofCertificate, "x509_san_dns": oid4vp.ProofCertificate, "did:jwk": oid4vp.ProofKey, "did:web": oid4vp.ProofKey,
		"verifier_attestation": oid4vp.ProofAttestation, "pre-registered": oid4vp.ProofRegistration, "redirect_uri": oid4vp.ProofNone,
	}
	for name, proof := range proofs {
		for _, mode := range []string{oid4vp.DirectPostJWT, oid4vp.DirectPost, oid4vp.Fragment} {
			for _, way := range []string{"GET", "POST", "POST, then GET", "by value"} {
				t.Run(name+" "+mode+" "+way, func(t *testing.T) {
					v, unsigned := n.verifiers[name], name == "redirect_uri"
					if unsigned {
						v = new(oid4vp.Verifier)
					}
					p := oid4vp.Params{Query: pidQuery(t), Mode: mode, Unsigned: unsigned, RequestURI: "https://shop.example/request/1", ResponseURI: "https://shop.example/response/1"}
					if mode == oid4vp.Fragment {
						p.ResponseURI, p.RedirectURI = "", "https://shop.example/cb"
					}
					tx, err := v.Begin(p, now)
					check(t, err)
					link := tx.Link("openid4vp")
					switch way {
					case "POST", "POST, then GET":
						link += "&request_uri_method=post"
					case "by value":
						link, err = v.LinkByValue(t.Context(), tx, "https://wallet.example/authorize", now)
						check(t, err)
					}
					req := n.received(t, v, tx, link, way == "POST")
					if req.Proof != proof || req.ClientID != tx.ClientID || req.Mode != mode || (req.Key == nil) != unsigned || (len(req.Chain) > 0) != strings.HasPrefix(name, "x509") {
						t.Errorf("opened as %+v", req)
					}
					msg, err := req.Answer(presented)
					check(t, err)
					bound(t, req, exchanged(t, tx, req, msg))
					msg, err = req.Refuse(oid4vp.AccessDenied, `no "way"`)
					check(t, err)
					if a := exchanged(t, tx, req, msg); a.Error != oid4vp.AccessDenied || a.Presentations != nil || a.Description != "no ?way?" {
						t.Errorf("refusal opened as %+v", a)
					}
				})
			}
		}
	}
}

// TestMatrixDCAPI: every client identifier prefix that can sign, signed,
// multi-signed and unsigned, with and without encryption.
func TestMatrixDCAPI(t *testing.T) {
	n := newNames(t)
	for name, v := range n.verifiers {
		for _, mode := range []string{oid4vp.DirectPostJWT, oid4vp.DirectPost} {
			tx, err := v.Begin(oid4vp.Params{Query: pidQuery(t), Mode: mode}, now)
			check(t, err)
			requests, err := v.DCRequests(t.Context(), tx, []string{"https://other.example", origin}, now)
			check(t, err)
			if len(requests) != 3 {
				t.Fatalf("%d requests", len(requests))
			}
			for _, r := range requests {
				t.Run(name+" "+mode+" "+r.Protocol, func(t *testing.T) {
					req, rep, err := oid4vp.OpenDC(t.Context(), r.Protocol, r.Data, origin, n.env, now)
					if err != nil {
						t.Fatalf("%v\n%s", err, rep)
					}
					want, encrypted := v.ClientID, mode == oid4vp.DirectPostJWT
					if r.Protocol == oid4vp.ProtocolUnsigned {
						want = "origin:" + origin
					}
					if req.ClientID != want || req.Audience() != "origin:"+origin || req.Encrypted != encrypted || req.Origin != origin {
						t.Errorf("opened as %+v", req)
					}
					data, err := req.AnswerDC(presented)
					check(t, err)
					if bytes.Contains(data, []byte("vp_token")) == encrypted || bytes.Contains(data, []byte("state")) {
						t.Errorf("answer %s", data)
					}
					a, err := tx.OpenDC(t.Context(), data, origin, now)
					check(t, err)
					bound(t, req, a)
					if a, err := tx.OpenDC(t.Context(), oid4vp.DCError(oid4vp.AccessDenied), origin, now); err != nil || a.Error != oid4vp.AccessDenied {
						t.Errorf("refusal opened as %+v, %v", a, err)
					}
				})
			}
		}
	}
}
