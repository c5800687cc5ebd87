package assure

import (
	"crypto/x509"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
)

// Standing is what a holder can be told about the reader that asks.
type Standing string

// The standings. Only ReaderForged is a failure; the others are for the holder
// to judge.
const (
	ReaderAnonymous Standing = "anonymous" // it did not say who it is
	ReaderUnknown   Standing = "unknown"   // it proved a name that nobody here vouches for
	ReaderTrusted   Standing = "trusted"   // a trusted CA vouches for the name
	ReaderForged    Standing = "forged"    // a signature is wrong
)

// Reader is who asks.
type Reader struct {
	Standing Standing
	Name     string            // of the certificate; empty if anonymous or forged
	Signer   Signer            // only if trusted
	Leaf     *x509.Certificate // what it showed; nil if anonymous or forged
}

const clauseReader = "ISO/IEC 18013-5:2021, 9.1.4"

// VerifyReaderAuth verifies who sent a request. Its report fails only for a
// forged signature; what keeps a reader unknown are warnings.
//
// ISO/IEC 18013-5:2021, 9.1.4; second edition (draft v4), 12.5 and 12.8.3.
func VerifyReaderAuth(req *mdoc.DeviceRequest, transcript []byte, anchors *Anchors, now time.Time, o ChainOptions) (Reader, check.Report) {
	auth := mdoc.VerifyReader(req, transcript, nil)
	report := auth.Report
	switch auth.Verdict {
	case mdoc.ReaderNone:
		return Reader{Standing: ReaderAnonymous}, report
	case mdoc.ReaderValid:
	default:
		return Reader{Standing: ReaderForged}, report
	}
	reader := Reader{Standing: ReaderUnknown}
	for i, chain := range append([][][]byte{auth.Chain}, auth.Others...) {
		leaf, err := pki.ParseCertificate(chain[0])
		if err != nil { // mdoc.VerifyReader took its key out of it
			report.Fail("reader certificate", clauseReader, err.Error(), "treat the reader as unknown")
			return Reader{Standing: ReaderForged}, report
		}
		signer, rep := anchors.VerifyChain(chain, trustlist.Reader, now, o)
		if rep.OK() {
			report.Add("reader chain", rep)
			return Reader{Standing: ReaderTrusted, Name: readerName(leaf), Signer: signer, Leaf: leaf}, report
		}
		report.Add("reader chain", soften(rep))
		if i == 0 {
			reader.Leaf, reader.Name = leaf, readerName(leaf)
		}
	}
	return reader, report
}

// readerName is what to show: the organisation if the certificate names one.
func readerName(cert *x509.Certificate) string {
	return firstOf(firstOf(cert.Subject.Organization...), cert.Subject.CommonName)
}
