package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
)

type verifyCmd struct {
	Anchors    string `required:"" type:"path" placeholder:"PATH" help:"Trusted issuer certificates: a PEM or DER file, a VICAL, or a directory of them."`
	At         string `placeholder:"TIME" help:"Verify as of this time (RFC 3339) instead of now."`
	Transcript string `type:"path" placeholder:"FILE" help:"SessionTranscript of the exchange; with it the device's proof is checked too."`
	Strict     bool   `help:"Fail what is a warning otherwise: certificate profiles not followed to the letter, validity past the signer's."`
	JSON       bool   `help:"Print the report as JSON."`
	File       string `arg:"" help:"DeviceResponse or IssuerSigned, binary, hex or base64; - for standard input."`
}

// verified is one document in the output of verify.
type verified struct {
	DocType  string            `json:"docType"`
	Valid    bool              `json:"valid"`
	Device   string            `json:"deviceAuthentication"`
	Elements []verifiedElement `json:"elements,omitempty"`
	Report   check.Report      `json:"report"`
}

type verifiedElement struct {
	NameSpace string `json:"nameSpace"`
	ID        string `json:"id"`
	Label     string `json:"label"`
	Value     string `json:"value"`
}

// Run verifies and prints. Status 0: all issuer data valid, and the device's
// proof where a transcript is given.
func (c *verifyCmd) Run(m *machine) error {
	at, err := c.time(m)
	if err != nil {
		return err
	}
	anchors, err := loadAnchors(c.Anchors, at)
	if err != nil {
		return err
	}
	data, err := m.readInput(c.File)
	if err != nil {
		return err
	}
	params := assure.DocumentParams{Now: at, Anchors: anchors, Strict: c.Strict}
	if c.Transcript != "" {
		if params.Transcript, err = m.readTranscript(c.Transcript); err != nil {
			return err
		}
		params.RequireDeviceAuth = true
	}
	docs, err := verifyBytes(m.ctx, binary(data), params)
	if err != nil {
		return err
	}
	valid := true
	for _, d := range docs {
		valid = valid && d.Valid
	}
	if err := c.print(m, docs, valid); err != nil {
		return err
	}
	if !valid {
		return errSilent
	}
	return nil
}

func (c *verifyCmd) time(m *machine) (time.Time, error) {
	if c.At == "" {
		return m.now(), nil
	}
	t, err := time.Parse(time.RFC3339, c.At)
	if err != nil {
		return t, usage("--at %q is not a time like 2020-12-01T00:00:00Z", c.At)
	}
	return t, nil
}

func (c *verifyCmd) print(m *machine, docs []verified, valid bool) error {
	if c.JSON {
		return m.json(struct {
			Valid     bool       `json:"valid"`
			Documents []verified `json:"documents"`
		}{valid, docs})
	}
	for _, d := range docs {
		verdict := "VALID"
		if !d.Valid {
			verdict = "NOT VALID"
		}
		fmt.Fprintf(m.out, "%s  %s  (device authentication: %s)\n\n", verdict, visible(d.DocType), d.Device)
		for _, e := range d.Elements {
			fmt.Fprintf(m.out, "  %-28s %s\n", visible(e.Label), indentLines(visible(e.Value), 31))
		}
		fmt.Fprintf(m.out, "\n%s\n", visible(d.Report.String()))
	}
	return nil
}

// readTranscript reads a SessionTranscript, with or without the tag 24 that it
// is hashed with.
func (m *machine) readTranscript(name string) ([]byte, error) {
	data, err := m.readInput(name)
	if err != nil {
		return nil, err
	}
	r := cbor.ReadChecked(binary(data), cbor.Limits{})
	if r.Kind() == cbor.KindTag {
		_, inner := r.Embedded()
		if err := r.Done(); err != nil {
			return nil, usage("%s is not a SessionTranscript: %v", name, err)
		}
		return inner, nil
	}
	if r.Kind() != cbor.KindArray || r.Len() != 3 {
		return nil, usage("%s is not a SessionTranscript, an array of three (ISO/IEC 18013-5:2021, 9.1.5.1)", name)
	}
	raw := r.Raw()
	return raw, r.Done()
}

// verifyBytes verifies every document of a DeviceResponse, or one IssuerSigned.
func verifyBytes(ctx context.Context, data []byte, p assure.DocumentParams) ([]verified, error) {
	resp, err := mdoc.ParseDeviceResponse(data)
	if err != nil {
		signed, issuedErr := mdoc.ParseIssuerSigned(data)
		if issuedErr != nil {
			return nil, hint(errors.Join(fmt.Errorf("not a DeviceResponse: %w", err), fmt.Errorf("nor an IssuerSigned: %w", issuedErr)),
				"eidos inspect says what the file is, and where it breaks")
		}
		if p.RequireDeviceAuth {
			return nil, usage("an IssuerSigned has no device authentication that --transcript could check: it takes a DeviceResponse")
		}
		d, rep := assure.VerifyIssued(ctx, signed, p)
		return []verified{present(d, rep)}, nil
	}
	if len(resp.Documents) == 0 {
		return nil, fmt.Errorf("the response holds no document (status %d)", resp.Status)
	}
	var out []verified
	for i := range resp.Documents {
		d, rep := assure.VerifyDocument(ctx, &resp.Documents[i], p)
		out = append(out, present(d, rep))
	}
	return out, nil
}

// present is a verified document as output shows it.
func present(d assure.Document, rep check.Report) verified {
	v := verified{DocType: d.DocType, Valid: rep.OK(), Device: "not checked", Report: rep}
	if d.DeviceAuth != "" {
		v.Device = d.DeviceAuth
	}
	types := doctype.Builtin()
	for _, ns := range d.NameSpaces {
		for _, e := range ns.Elements {
			label, text := types.Display("en", d.DocType, ns.Name, e.ID, e.Value)
			v.Elements = append(v.Elements, verifiedElement{ns.Name, e.ID, label, text})
		}
	}
	return v
}

// loadAnchors reads issuer anchors from a file or from the files of a
// directory: certificates in PEM or DER, also links from a root to the next, and VICALs, which have to verify
// under a trust-list certificate beside them (files named *.ca.cer or *.ca.pem).
func loadAnchors(path string, at time.Time) (*assure.Anchors, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, &failure{status: exitUsage, err: err}
	}
	names := []string{path}
	if st.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		names = names[:0]
		for _, e := range entries {
			if e.Type().IsRegular() {
				names = append(names, filepath.Join(path, e.Name()))
			}
		}
	}
	var list []assure.Anchor
	var vicals []string
	var roots []*x509.Certificate
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		certs, err := parseCertificates(data)
		switch {
		case err == nil && isListRoot(name):
			roots = append(roots, certs...)
		case err == nil:
			list = append(list, assure.FromCertificates(trustlist.Issuer, "file "+filepath.Base(name), certs...)...)
		default:
			vicals = append(vicals, name)
		}
	}
	for _, name := range vicals {
		anchors, err := loadVICAL(name, roots, at)
		if err != nil {
			if st.IsDir() && len(names) > 1 {
				continue // a directory may hold other things, a README say
			}
			return nil, usage("%s holds neither certificates nor a VICAL: %v", name, err)
		}
		list = append(list, anchors...)
	}
	if !slices.ContainsFunc(list, func(a assure.Anchor) bool { return !a.Link }) {
		return nil, usage("%s holds no trust anchors", path)
	}
	return assure.NewAnchors(list...)
}

// parseCertificates reads PEM, DER, or DER as hex or base64.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	certs, err := pki.ParseBundle(data)
	if err != nil {
		if decoded, otherErr := pki.ParseBundle(binary(data)); otherErr == nil {
			return decoded, nil
		}
	}
	return certs, err
}

// isListRoot reports whether a file holds the CA of list signers.
func isListRoot(name string) bool {
	base := filepath.Base(name)
	for _, suffix := range []string{".ca.cer", ".ca.pem"} {
		if len(base) > len(suffix) && base[len(base)-len(suffix):] == suffix {
			return true
		}
	}
	return false
}

func loadVICAL(name string, roots []*x509.Certificate, at time.Time) ([]assure.Anchor, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	v, err := trustlist.ParseVICAL(binary(data))
	if err != nil {
		return nil, err
	}
	rep := v.Verify(trustlist.VerifyOptions{Now: at, Anchors: pki.NewPool(roots...)})
	if !rep.OK() {
		return nil, rep.Err()
	}
	return assure.FromVICAL(v), nil
}
