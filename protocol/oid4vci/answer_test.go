package oid4vci_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// The specification's own answers, as the wallet reads them.
func TestAnswerVectors(t *testing.T) {
	var v struct {
		Data map[string]struct {
			Status int             `json:"status"`
			Body   json.RawMessage `json:"body"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vci/credential_responses.json", &v)
	for name, want := range map[string]oid4vci.Answer{
		"immediate":                  {Credentials: make([]string, 1)},
		"multiple_with_notification": {Credentials: make([]string, 2), Notification: "3fwe98js"},
		"deferred":                   {Transaction: "8xLOxBtZp8", Interval: time.Hour},
		"deferred_ready":             {Credentials: make([]string, 2), Notification: "3fwe98js"},
		"deferred_pending":           {Transaction: "8xLOxBtZp8", Interval: 24 * time.Hour},
	} {
		given, ok := v.Data[name]
		if !ok {
			t.Fatalf("no vector %s", name)
		}
		c := exchange(t, &oid4vci.Metadata{DeferredEndpoint: issuerID + "/deferred"}, func(fetch.Request) (fetch.Response, error) {
			return fetch.Response{Status: given.Status, Header: map[string]string{"content-type": "application/json"}, Body: given.Body}, nil
		})
		got, err := c.Deferred(t.Context(), "8xLOxBtZp8", 2, now)
		if err != nil || len(got.Credentials) != len(want.Credentials) || got.Notification != want.Notification ||
			got.Transaction != want.Transaction || got.Interval != want.Interval {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAnswerRefusals(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":               `{}`,
		"more than keys":        `{"credentials":[{"credential":"a"},{"credential":"b"}]}`,
		"an empty one":          `{"credentials":[{"credential":""}]}`,
		"no interval":           `{"transaction_id":"t"}`,
		"interval below zero":   `{"transaction_id":"t","interval":-1}`,
		"interval no number":    `{"transaction_id":"t","interval":"soon"}`,
		"documents and a later": `{"transaction_id":"t","interval":1,"credentials":[{"credential":"a"}]}`,
		"no JSON":               `[`,
		"the same member twice": `{"credentials":[{"credential":"a"}],"credentials":[{"credential":"b"}]}`,
	} {
		c := exchange(t, &oid4vci.Metadata{}, func(fetch.Request) (fetch.Response, error) {
			return fetch.Response{Status: 200, Header: map[string]string{"content-type": "application/json"}, Body: []byte(body)}, nil
		})
		if a, err := c.Request(t.Context(), "plain", nil, "", "", now); err == nil {
			t.Errorf("%s: accepted as %+v", name, a)
		}
	}
}

// Both ends of the deferred conversation.
func TestDeferred(t *testing.T) {
	a := newAuthority(t)
	a.encrypt(t, true)
	req, resp, err := a.Encryption.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	answers := []oid4vci.Answer{{Transaction: "t1", Interval: 90 * time.Second}, {Credentials: []string{"x"}, Notification: "n"}}
	c := exchange(t, &oid4vci.Metadata{DeferredEndpoint: issuerID + "/deferred", RequestEncryption: req, ResponseEncryption: resp},
		func(r fetch.Request) (fetch.Response, error) {
			d, refusal := a.OpenDeferred(context.Background(), r)
			if refusal != nil {
				return refusal.Response(), nil
			}
			if d.Transaction != "t1" {
				t.Errorf("transaction %q", d.Transaction)
			}
			next := answers[0]
			answers = answers[1:]
			return d.Reply(next)
		})
	if got, err := c.Deferred(t.Context(), "t1", 1, now); err != nil || got.Transaction != "t1" || got.Interval != 90*time.Second {
		t.Errorf("first: %+v, %v", got, err)
	}
	if got, err := c.Deferred(t.Context(), "t1", 1, now); err != nil || len(got.Credentials) != 1 || got.Notification != "n" {
		t.Errorf("second: %+v, %v", got, err)
	}
	var e *oid4vci.Error
	if _, err := c.Deferred(t.Context(), "", 1, now); !errors.As(err, &e) || e.Code != oid4vci.CodeInvalidTransaction {
		t.Errorf("no transaction: %v", err)
	}
	if _, refusal := a.OpenDeferred(t.Context(), jsonRequest(t, map[string]any{"transaction_id": "t1"})); refusal == nil || refusal.Code != oid4vci.CodeInvalidEncryption {
		t.Errorf("in clear: %v", refusal)
	}
}

func TestNotification(t *testing.T) {
	var v struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	vectors.Load(t, "openid4vci/notifications.json", &v)
	a := newAuthority(t)
	for name, raw := range v.Data {
		n, refusal := a.OpenNotification(jsonRequest(t, raw))
		if refusal != nil || n.ID != "3fwe98js" || n.Event == "" {
			t.Errorf("%s: %+v, %v", name, n, refusal)
		}
	}
	for name, c := range map[string]struct{ body, code string }{
		"no id":             {`{"event":"credential_accepted"}`, oid4vci.CodeInvalidNotification},
		"no event":          {`{"notification_id":"x"}`, oid4vci.CodeInvalidNotificationRequest},
		"unknown event":     {`{"notification_id":"x","event":"lost"}`, oid4vci.CodeInvalidNotificationRequest},
		"other case":        {`{"notification_id":"x","event":"CREDENTIAL_ACCEPTED"}`, oid4vci.CodeInvalidNotificationRequest},
		"description":       {`{"notification_id":"x","event":"credential_failure","event_description":"é"}`, oid4vci.CodeInvalidNotificationRequest},
		"member of no type": {`{"notification_id":7,"event":"credential_failure"}`, oid4vci.CodeInvalidNotificationRequest},
		"twice":             {`{"notification_id":"x","notification_id":"y","event":"credential_failure"}`, oid4vci.CodeInvalidNotificationRequest},
	} {
		if n, refusal := a.OpenNotification(jsonRequest(t, json.RawMessage(c.body))); refusal == nil || refusal.Code != c.code {
			t.Errorf("%s: %+v, %v", name, n, refusal)
		}
	}
	var got *oid4vci.Notification
	c := exchange(t, &oid4vci.Metadata{NotificationEndpoint: issuerID + "/notification"}, func(r fetch.Request) (fetch.Response, error) {
		var refusal *oid4vci.Error
		if got, refusal = a.OpenNotification(r); refusal != nil {
			return refusal.Response(), nil
		}
		return oid4vci.NotificationReply(), nil
	})
	if err := c.Notify(t.Context(), oid4vci.Notification{ID: "n", Event: oid4vci.EventFailure, Description: "it said \"no\"\n"}, now); err != nil || got == nil || got.Event != oid4vci.EventFailure {
		t.Errorf("%+v, %v", got, err)
	}
	got = nil
	if err := c.Notify(t.Context(), oid4vci.Notification{Event: oid4vci.EventAccepted}, now); err != nil || got != nil {
		t.Errorf("without an id: %+v, %v", got, err)
	}
	var e *oid4vci.Error
	if err := c.Notify(t.Context(), oid4vci.Notification{ID: "n", Event: "x"}, now); !errors.As(err, &e) || e.Code != oid4vci.CodeInvalidNotificationRequest {
		t.Errorf("refused: %v", err)
	}
}

// The specification's own signed metadata verify with the key in their chain.
func TestSignedMetadataVector(t *testing.T) {
	var v struct {
		Text string `json:"text"`
	}
	vectors.Load(t, "openid4vci/issuer_metadata_signed.json", &v)
	const id = "https://credential-issuer.example.com"
	md, err := oid4vci.ParseSignedMetadata(v.Text, id, leafKey, now)
	if err != nil || md.CredentialIssuer != id || len(md.Configurations) == 0 {
		t.Fatalf("%+v, %v", md, err)
	}
	if _, err := oid4vci.ParseSignedMetadata(v.Text, id+"/", leafKey, now); err == nil {
		t.Error("metadata of another issuer accepted")
	}
}

func leafKey(chain [][]byte) (crypto.PublicKey, error) {
	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	return cert.PublicKey, nil
}

func TestSignedMetadata(t *testing.T) {
	a := newAuthority(t)
	m := oid4vci.Metadata{CredentialIssuer: issuerID, CredentialEndpoint: issuerID + "/credential",
		Configurations: map[string]oid4vci.Configuration{"mdl": {Format: "mso_mdoc"}}}
	chain := [][]byte{a.chain[0].Raw}
	token, err := oid4vci.SignMetadata(t.Context(), m, a.attester, chain, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := oid4vci.ParseSignedMetadata(token, issuerID, leafKey, now); err != nil || got.CredentialEndpoint != m.CredentialEndpoint {
		t.Fatalf("%+v, %v", got, err)
	}
	stranger, err := oid4vci.SignMetadata(t.Context(), m, testkit.Signer(t, elliptic.P256()), chain, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	proof, err := oid4vci.Proof{Issuer: issuerID}.Sign(t.Context(), a.attester, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token, issuer string
		trust         func([][]byte) (crypto.PublicKey, error)
		now           time.Time
	}{
		"another issuer":  {token, issuerID + "2", leafKey, now},
		"another key":     {stranger, issuerID, leafKey, now},
		"expired":         {token, issuerID, leafKey, now.Add(time.Hour)},
		"from the future": {token, issuerID, leafKey, now.Add(-time.Hour)},
		"not trusted":     {token, issuerID, func([][]byte) (crypto.PublicKey, error) { return nil, errors.New("no anchor") }, now},
		"another type":    {proof, issuerID, leafKey, now},
		"changed":         {token[:len(token)-8] + "AAAAAAAA", issuerID, leafKey, now},
		"no token":        {"{}", issuerID, leafKey, now},
	} {
		if got, err := oid4vci.ParseSignedMetadata(c.token, c.issuer, c.trust, c.now); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}
