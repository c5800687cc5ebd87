package trustlist

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
)

const (
	clauseVICAL = "ISO/IEC 18013-5 second edition (draft v4), C.1.7.1"
	clauseUse   = "ISO/IEC 18013-5 second edition (draft v4), C.1.8"

	// profileIACA is the certificateProfile of an IACA root.
	profileIACA = "urn:oid:1.0.18013.5.1.7"
)

// MediaTypeVICAL is the content type of a published VICAL.
// ISO/IEC 18013-5 second edition (draft v4), C.1.7.3.
const MediaTypeVICAL = "application/cwt"

// VICAL is a verified issuer certificate authority list.
//
//	VICAL = { "version": tstr, "vicalProvider": tstr, "date": tdate, ? "vicalIssueID": uint,
//	          ? "nextUpdate": tdate, ? "notAfter": tdate, "certificateInfos": [* CertificateInfo],
//	          ? "extensions": {* tstr => Ext}, ? "vicalURL": tstr }
//
// ISO/IEC 18013-5 second edition (draft v4), C.1.7.1.
type VICAL struct {
	Version    string // "1.0"; BuildVICAL fills it in
	Provider   string
	Date       time.Time
	IssueID    uint64    // grows with each issue; zero if absent
	NextUpdate time.Time // zero if absent
	NotAfter   time.Time // zero if absent
	URL        string    // where the next issue will be; empty if absent
	Entries    []CertificateInfo

	signed *cose.Sign1
}

// CertificateInfo is one CA of a VICAL. When built, Certificate and DocTypes
// are needed and the fields below them that the certificate has are taken
// from it.
// ISO/IEC 18013-5 second edition (draft v4), C.1.7.1.
type CertificateInfo struct {
	DER         []byte            // as listed
	Certificate *x509.Certificate // nil if it could not be parsed, see Problem
	Problem     string            // why it could not

	DocTypes            []string // that documents under this CA may have
	Profiles            []string // URNs; that of an IACA root is urn:oid:1.0.18013.5.1.7
	IssuingAuthority    string
	IssuingCountry      string
	StateOrProvinceName string

	SerialNumber *big.Int // as listed; see Deviations
	SKI          []byte   // as listed, without a DER wrapping

	wrappedSKI, paddedSerial bool
}

// Deviations says how the entry departs from the structure or from its own
// certificate, whose word counts.
func (c *CertificateInfo) Deviations() []string {
	var d []string
	if c.wrappedSKI {
		d = append(d, "ski is wrapped in DER")
	}
	if c.paddedSerial {
		d = append(d, "serialNumber has leading zeros")
	}
	if c.Certificate == nil {
		return d
	}
	if c.SerialNumber == nil || c.SerialNumber.Cmp(c.Certificate.SerialNumber) != 0 {
		d = append(d, "serialNumber is not the certificate's")
	}
	if !bytes.Equal(c.SKI, c.Certificate.SubjectKeyId) {
		d = append(d, "ski is not the certificate's")
	}
	return d
}

// Lists reports whether documents of that type are expected under the CA.
func (c *CertificateInfo) Lists(docType string) bool {
	for _, d := range c.DocTypes {
		if d == docType {
			return true
		}
	}
	return false
}

// ParseVICAL reads a VICAL, tagged or not, of at most 4 MiB and 4096 entries.
// It is lenient where lists in the field are wrong (ski wrapped in DER, serial
// numbers with leading zeros, unknown members) and keeps a list whose entries
// it cannot read in part. The result holds windows into raw. The error is
// ErrMalformed.
func ParseVICAL(raw []byte) (*VICAL, error) {
	signed, err := cose.ParseSign1(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: VICAL: %w", ErrMalformed, err)
	}
	v := &VICAL{signed: signed}
	r := cbor.ReadChecked(signed.Payload, cbor.Limits{Depth: 16, Items: 64 * maxEntries})
	seen := map[string]bool{}
	r.Map(func() {
		name := r.Text()
		seen[name] = true
		v.member(r, name)
		r.In(name)
	})
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: VICAL: %w (%s)", ErrMalformed, err, clauseVICAL)
	}
	for _, name := range []string{"version", "vicalProvider", "date", "certificateInfos"} {
		if !seen[name] {
			return nil, fmt.Errorf("%w: VICAL without %s (%s)", ErrMalformed, name, clauseVICAL)
		}
	}
	if !strings.HasPrefix(v.Version, "1.") {
		return nil, fmt.Errorf("%w: VICAL of version %.16q, this is for 1.x (%s)", ErrMalformed, v.Version, clauseVICAL)
	}
	return v, nil
}

func (v *VICAL) member(r *cbor.Reader, name string) {
	switch name {
	case "version":
		v.Version = r.Text()
	case "vicalProvider":
		v.Provider = r.Text()
	case "date":
		v.Date, _ = r.TDate()
	case "vicalIssueID":
		v.IssueID = r.Uint()
	case "nextUpdate":
		v.NextUpdate, _ = r.TDate()
	case "notAfter":
		v.NotAfter, _ = r.TDate()
	case "vicalURL", "vicalURI": // the draft has both, C.1.7.1 and C.1.7.3
		v.URL = r.Text()
	case "certificateInfos":
		if r.Len() > maxEntries {
			r.Failf("%d entries, more than %d", r.Len(), maxEntries)
			return
		}
		r.Array(func(i int) {
			if i == maxEntries {
				r.Failf("more than %d entries", maxEntries)
				return
			}
			v.Entries = append(v.Entries, readInfo(r))
			r.In(fmt.Sprintf("entry %d", i))
		})
	default:
		r.Skip()
	}
}

func readInfo(r *cbor.Reader) CertificateInfo {
	var c CertificateInfo
	r.Map(func() {
		switch name := r.Text(); name {
		case "certificate":
			c.DER = r.Bytes()
		case "serialNumber":
			c.readSerial(r)
		case "ski":
			c.SKI = r.Bytes()
		case "docType":
			c.DocTypes = texts(r)
		case "certificateProfile":
			c.Profiles = texts(r)
		case "issuingAuthority":
			c.IssuingAuthority = r.Text()
		case "issuingCountry":
			c.IssuingCountry = r.Text()
		case "stateOrProvinceName":
			c.StateOrProvinceName = r.Text()
		default: // issuer, subject and dates are read from the certificate
			r.Skip()
		}
	})
	if r.Err() != nil {
		return c
	}
	cert, err := pki.ParseCertificate(c.DER)
	if err != nil {
		c.Problem = err.Error()
	} else {
		c.Certificate = cert
		c.unwrapSKI()
	}
	return c
}

// unwrapSKI takes off the OCTET STRING headers, one or two, under which lists
// in the field put the key identifier: they copy the extension as it stands in
// the certificate.
func (c *CertificateInfo) unwrapSKI() {
	ski := c.SKI
	for range 2 {
		if bytes.Equal(ski, c.Certificate.SubjectKeyId) || len(ski) < 2 || ski[0] != 0x04 || int(ski[1]) != len(ski)-2 {
			break
		}
		ski = ski[2:]
	}
	if bytes.Equal(ski, c.Certificate.SubjectKeyId) && len(ski) != len(c.SKI) {
		c.SKI, c.wrappedSKI = ski, true
	}
}

// readSerial takes a bignum, or the unsigned integer that preferred
// serialisation makes of a small one.
func (c *CertificateInfo) readSerial(r *cbor.Reader) {
	if r.Kind() == cbor.KindTag {
		r.Tag(2)
		b := r.Bytes()
		c.paddedSerial = len(b) > 0 && b[0] == 0
		c.SerialNumber = new(big.Int).SetBytes(b)
		return
	}
	c.SerialNumber = new(big.Int).SetUint64(r.Uint())
}

func texts(r *cbor.Reader) []string {
	var list []string
	r.Array(func(i int) {
		if i == 256 {
			r.Failf("more than 256 texts")
			return
		}
		list = append(list, r.Text())
	})
	return list
}

// BuildVICAL signs a list. chain is the signer's certificate and those of the
// CAs above it but the root; it goes into the unprotected header.
// ISO/IEC 18013-5 second edition (draft v4), C.1.7.
func BuildVICAL(ctx context.Context, v VICAL, chain []*x509.Certificate, signer key.Signer) ([]byte, error) {
	if v.Provider == "" || v.Date.IsZero() || len(chain) == 0 || len(v.Entries) > maxEntries {
		return nil, fmt.Errorf("%w: VICAL needs a provider, a date, a signer certificate and at most %d entries", ErrContent, maxEntries)
	}
	if !v.NextUpdate.IsZero() && !v.NextUpdate.After(v.Date) {
		return nil, fmt.Errorf("%w: VICAL with nextUpdate not after its date (%s)", ErrContent, clauseVICAL)
	}
	n := 4
	for _, there := range []bool{v.IssueID != 0, !v.NextUpdate.IsZero(), !v.NotAfter.IsZero(), v.URL != ""} {
		if there {
			n++
		}
	}
	b := cbor.AppendMap(nil, n)
	b = cbor.AppendText(cbor.AppendText(b, "version"), "1.0")
	b = cbor.AppendText(cbor.AppendText(b, "vicalProvider"), v.Provider)
	b = cbor.AppendTDate(cbor.AppendText(b, "date"), v.Date)
	if v.IssueID != 0 {
		b = cbor.AppendUint(cbor.AppendText(b, "vicalIssueID"), v.IssueID)
	}
	if !v.NextUpdate.IsZero() {
		b = cbor.AppendTDate(cbor.AppendText(b, "nextUpdate"), v.NextUpdate)
	}
	if !v.NotAfter.IsZero() {
		b = cbor.AppendTDate(cbor.AppendText(b, "notAfter"), v.NotAfter)
	}
	b = cbor.AppendArray(cbor.AppendText(b, "certificateInfos"), len(v.Entries))
	var err error
	for i := range v.Entries {
		if b, err = v.Entries[i].append(b); err != nil {
			return nil, fmt.Errorf("VICAL entry %d: %w", i, err)
		}
	}
	if v.URL != "" {
		b = cbor.AppendText(cbor.AppendText(b, "vicalURL"), v.URL)
	}
	if !key.Equal(chain[0].PublicKey, signer.Public()) {
		return nil, fmt.Errorf("%w: the first certificate is not the signer's", ErrContent)
	}
	return cose.AppendSign1(ctx, nil, signer, cose.Headers{X5Chain: ders(chain)}, cose.Content{Payload: b})
}

func ders(chain []*x509.Certificate) [][]byte {
	out := make([][]byte, len(chain))
	for i, c := range chain {
		out[i] = c.Raw
	}
	return out
}

// append writes the CertificateInfo in the order of the CDDL.
func (c *CertificateInfo) append(b []byte) ([]byte, error) {
	cert := c.Certificate
	if cert == nil || len(cert.SubjectKeyId) == 0 || len(c.DocTypes) == 0 {
		return nil, fmt.Errorf("%w: certificate, its key identifier or document types missing (%s)", ErrContent, clauseVICAL)
	}
	profiles := c.Profiles
	if len(profiles) == 0 {
		profiles = []string{profileIACA}
	}
	country := c.IssuingCountry
	if country == "" && len(cert.Subject.Country) > 0 {
		country = cert.Subject.Country[0]
	}
	state := c.StateOrProvinceName
	if state == "" && len(cert.Subject.Province) > 0 {
		state = cert.Subject.Province[0]
	}
	optional := []struct{ name, value string }{{"issuingAuthority", c.IssuingAuthority}, {"issuingCountry", country}, {"stateOrProvinceName", state}}
	n := 9
	for _, o := range optional {
		if o.value != "" {
			n++
		}
	}
	b = cbor.AppendMap(b, n)
	b = cbor.AppendBytes(cbor.AppendText(b, "certificate"), cert.Raw)
	b = cbor.AppendBytes(cbor.AppendTag(cbor.AppendText(b, "serialNumber"), 2), cert.SerialNumber.Bytes())
	b = cbor.AppendBytes(cbor.AppendText(b, "ski"), cert.SubjectKeyId)
	b = appendTexts(cbor.AppendText(b, "docType"), c.DocTypes)
	b = appendTexts(cbor.AppendText(b, "certificateProfile"), profiles)
	for _, o := range optional {
		if o.value != "" {
			b = cbor.AppendText(cbor.AppendText(b, o.name), o.value)
		}
	}
	b = cbor.AppendBytes(cbor.AppendText(b, "issuer"), cert.RawIssuer)
	b = cbor.AppendBytes(cbor.AppendText(b, "subject"), cert.RawSubject)
	b = cbor.AppendTDate(cbor.AppendText(b, "notBefore"), cert.NotBefore)
	b = cbor.AppendTDate(cbor.AppendText(b, "notAfter"), cert.NotAfter)
	return b, nil
}

func appendTexts(b []byte, list []string) []byte {
	b = cbor.AppendArray(b, len(list))
	for _, s := range list {
		b = cbor.AppendText(b, s)
	}
	return b
}
