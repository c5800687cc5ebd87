package verifier

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// How a relying party is named to wallets: by one of the client identifier
// prefixes of OpenID4VP 1.0, 5.9.3, always with the key of its reader certificate.

// clientIDs are the values of Tenant.ClientID.
var clientIDs = []string{ClientX509Hash, ClientX509SANDNS, ClientDIDWeb, ClientDIDJWK, ClientAttestation, ClientRegistered}

// named reports whether the relying party goes by such a name, among others.
func (t Tenant) named(kind string) bool {
	return t.ClientID == kind || slices.Contains(t.AlsoNamed, kind)
}

// answersAtOneAddress reports whether wallets know the address of answers
// beforehand: from their registration, or from the attestation.
func (t Tenant) answersAtOneAddress() bool {
	return t.ClientID == ClientRegistered || t.ClientID == ClientAttestation
}

// checkNames notes what is wrong with the names. base is the public origin.
func (t Tenant) checkNames(p *conf.Problems, base string) {
	for i, kind := range append([]string{t.ClientID}, t.AlsoNamed...) {
		key := "clientID"
		if i > 0 {
			key = "alsoNamed"
		}
		switch {
		case !slices.Contains(clientIDs, kind):
			p.Add("%s: %.40q, wanted one of %s", key, kind, strings.Join(clientIDs, ", "))
		case i > 0 && (kind == t.ClientID || slices.Contains(t.AlsoNamed[:i-1], kind)):
			p.Add("alsoNamed: %s is there twice", kind)
		case kind == ClientDIDWeb && !strings.HasPrefix(base, "https:"):
			p.Add("%s: did:web is looked up by https: the url has to be https", key)
		}
	}
	prefix, _, err := oid4vp.SplitClientID(t.RegisteredAs)
	switch {
	case t.named(ClientRegistered) != (t.RegisteredAs != ""):
		p.Add("registeredAs: goes with the client id %s, which needs it", ClientRegistered)
	case prefix != "" || err != nil || len(t.RegisteredAs) > 256:
		p.Add("registeredAs: wanted an identifier of at most 256 characters without a prefix of OpenID4VP 1.0, 5.9.3")
	}
	if t.named(ClientAttestation) != (t.Attestation != "") {
		p.Add("attestation: goes with the client id %s, which needs it", ClientAttestation)
	}
	if t.Attestation != "" {
		_, err := os.ReadFile(t.Attestation)
		p.AddError("attestation", err)
	}
	_, err = t.verifierInfo()
	p.AddError("info", err)
}

// verifierInfo is what others say of the relying party. It is read each time, so
// that a certificate that was renewed is the one that goes out.
func (t Tenant) verifierInfo() ([]oid4vp.VerifierInfo, error) {
	var list []oid4vp.VerifierInfo
	for _, i := range t.Info {
		data, err := os.ReadFile(i.File)
		if err != nil {
			return nil, err
		}
		info := oid4vp.VerifierInfo{Format: i.Format, Data: data}
		if text := strings.TrimSpace(string(data)); !strings.HasPrefix(text, "{") {
			if info.Data, err = json.Marshal(text); err != nil {
				return nil, err
			}
		}
		if i.Format == "" || len(data) > maxInfoFile || jose.CheckJSON(info.Data, jose.Limits{Token: 2 * maxInfoFile}) != nil {
			return nil, fmt.Errorf("%s: wanted a format, and a JSON object or a text of at most %d bytes", i.File, maxInfoFile)
		}
		list = append(list, info)
	}
	return list, nil
}

// maxInfoFile bounds what is said of a relying party: it goes with every request.
const maxInfoFile = 32 << 10

// engine is the OpenID4VP side of the tenant, under its first name; Also has the
// others.
func (t *tenant) engine(ctx context.Context) (*oid4vp.Verifier, error) {
	k, err := t.reader(ctx)
	if err != nil {
		return nil, err
	}
	info, err := t.config.verifierInfo()
	if err != nil {
		return nil, fmt.Errorf("verifier: info: %w", err)
	}
	engine, err := t.engineAs(t.config.ClientID, k, info)
	if err != nil {
		return nil, err
	}
	for _, kind := range t.config.AlsoNamed {
		other, err := t.engineAs(kind, k, info)
		if err != nil {
			return nil, err
		}
		engine.Also = append(engine.Also, other)
	}
	return engine, nil
}

// engineAs is the engine under one name.
//
// OpenID4VP 1.0, 5.9.3.
func (t *tenant) engineAs(kind string, k keyring.Key, info []oid4vp.VerifierInfo) (*oid4vp.Verifier, error) {
	e := &oid4vp.Verifier{Key: k, Info: info}
	var err error
	switch kind {
	case ClientX509Hash:
		e.ClientID, e.Chain = oid4vp.X509HashID(k.Record.Chain[0]), k.Record.Chain
	case ClientX509SANDNS:
		e.ClientID, e.Chain = oid4vp.X509SANDNSID(t.host), k.Record.Chain
	case ClientDIDWeb:
		var did string
		did, e.KeyID, err = t.didWeb(k)
		e.ClientID = oid4vp.DIDID(did)
	case ClientDIDJWK:
		var did string
		did, err = oid4vp.DIDJWK(k.Public())
		e.ClientID, e.KeyID = oid4vp.DIDID(did), did+"#0"
	case ClientAttestation:
		var text []byte
		if text, err = os.ReadFile(t.config.Attestation); err != nil {
			break
		}
		e.Attestation = strings.TrimSpace(string(text))
		var subject string
		subject, err = oid4vp.CheckAttestation(e.Attestation, k.Public(), t.v.now())
		e.ClientID = oid4vp.AttestationID(subject)
	case ClientRegistered:
		e.ClientID = t.config.RegisteredAs
		e.KeyID, err = jose.ThumbprintString(k.Public())
	default:
		err = fmt.Errorf("%.40q is no name for a relying party", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("verifier: client id: %w", err)
	}
	return e, nil
}

// certified is the engine by its certificate, whatever else it is called.
func (t *tenant) certified(ctx context.Context) (*oid4vp.Verifier, error) {
	k, err := t.reader(ctx)
	if err != nil {
		return nil, err
	}
	return t.engineAs(ClientX509Hash, k, nil)
}

// didWeb is the DID of the tenant's address, and the name of its key.
func (t *tenant) didWeb(k keyring.Key) (did, kid string, err error) {
	if did, err = oid4vp.DIDWeb(t.base); err != nil {
		return "", "", err
	}
	thumb, err := jose.ThumbprintString(k.Public())
	return did, did + "#" + thumb, err
}

// didAge is how long a DID document may be kept: a new key signs at once.
const didAge = time.Minute

// serveDID publishes the DID document of a relying party that goes by did:web.
//
// did:web method specification, 3.2.
func (t *tenant) serveDID(w http.ResponseWriter, r *http.Request) error {
	if !t.config.named(ClientDIDWeb) {
		return web.Errorf(http.StatusNotFound, "This relying party has no DID.")
	}
	k, err := t.reader(r.Context())
	if err != nil {
		return err
	}
	did, kid, err := t.didWeb(k)
	if err != nil {
		return err
	}
	document, err := oid4vp.DIDDocument(did, kid, k.Public())
	if err != nil {
		return err
	}
	web.NewFile("application/did+json", document).Serve(w, r, didAge)
	return nil
}
