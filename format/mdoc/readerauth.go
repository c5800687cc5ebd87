package mdoc

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/cose"
)

// ReaderVerdict is what reader authentication came to. Whether the chain leads
// to a trusted reader CA is the caller's question.
type ReaderVerdict string

const (
	// ReaderNone: the request, or a part of it, is not signed.
	ReaderNone ReaderVerdict = "none"
	// ReaderValid: every signature verifies and every document is covered.
	ReaderValid ReaderVerdict = "valid"
	// ReaderInvalid: a signature is there and does not verify.
	ReaderInvalid ReaderVerdict = "invalid"
)

// ReaderAuthentication is the outcome of [VerifyReader].
type ReaderAuthentication struct {
	// Verdict is for the request as a whole.
	Verdict ReaderVerdict
	// Chain is the x5chain to show and to validate, DER, leaf first: that of
	// the first readerAuthAll if present, else that of the documents. nil
	// unless Verdict is [ReaderValid].
	Chain [][]byte
	// Others are the chains of further readerAuthAll signatures: the same
	// request vouched for under other reader CAs.
	Others [][][]byte
	// Documents are the verdicts by DocRequestID.
	Documents []ReaderVerdict
	// Report has one check per signature.
	Report check.Report
}

const (
	clauseReader    = "ISO/IEC 18013-5:2021, 9.1.4"
	clauseReaderAll = "ISO/IEC 18013-5 second edition (draft v4), 12.5"
)

// VerifyReader verifies every reader signature in a request against the
// transcript that the mdoc app built itself. publicKey takes the key out of a
// DER certificate; nil means crypto/x509. Documents that are signed one by one
// must be signed with the same certificate: a person is shown one name.
//
// ISO/IEC 18013-5:2021, 9.1.4; second edition (draft v4), 12.5.
func VerifyReader(req *DeviceRequest, transcript []byte, publicKey func(der []byte) (crypto.PublicKey, error)) ReaderAuthentication {
	if publicKey == nil {
		publicKey = certificateKey
	}
	v := readerVerification{publicKey: publicKey}
	v.all(req, transcript)
	v.documents(req, transcript)
	return v.out
}

type readerVerification struct {
	publicKey func(der []byte) (crypto.PublicKey, error)
	out       ReaderAuthentication
	covered   bool // a readerAuthAll verified
}

// one verifies one signature and returns its chain.
func (v *readerVerification) one(raw, content []byte) ([][]byte, error) {
	sign1, err := cose.ReadSign1(cbor.NewReader(raw))
	if err != nil {
		return nil, err
	}
	switch {
	case sign1.Tagged || sign1.Payload != nil:
		return nil, fmt.Errorf("%w: it must be untagged and its payload detached", ErrSyntax)
	case len(sign1.X5Chain) == 0:
		return nil, fmt.Errorf("%w: no x5chain", ErrSyntax)
	case len(sign1.X5Chain) > DefaultLimits().Chain:
		return nil, fmt.Errorf("%w: %d certificates in x5chain", ErrLimit, len(sign1.X5Chain))
	}
	pub, err := v.publicKey(sign1.X5Chain[0])
	if err != nil {
		return nil, fmt.Errorf("%w: reader certificate: %w", ErrKey, err)
	}
	if err := sign1.Verify(pub, content, nil); err != nil {
		return nil, err
	}
	return sign1.X5Chain, nil
}

const readerAdvice = "treat the reader as unknown, and say so to the holder"

func (v *readerVerification) all(req *DeviceRequest, transcript []byte) {
	if len(req.ReaderAuthAll) == 0 {
		return
	}
	items := make([][]byte, len(req.Documents))
	for i := range req.Documents {
		items[i] = req.Documents[i].Raw
	}
	var info []byte
	if req.Info != nil {
		info = req.Info.Raw
	}
	content := ReaderAuthenticationAllBytes(transcript, items, info)
	for _, raw := range req.ReaderAuthAll {
		chain, err := v.one(raw, content)
		if err != nil {
			v.out.Report.Fail("reader authentication of the request", clauseReaderAll, err.Error(), readerAdvice)
			continue
		}
		v.out.Report.Pass("reader authentication of the request", clauseReaderAll, "")
		if v.covered {
			v.out.Others = append(v.out.Others, chain)
			continue
		}
		v.covered, v.out.Chain = true, chain
	}
}

// documents looks at each document's own signature and sums up.
func (v *readerVerification) documents(req *DeviceRequest, transcript []byte) {
	v.out.Documents = make([]ReaderVerdict, len(req.Documents))
	var own [][]byte
	unsigned := false
	for i := range req.Documents {
		d := &req.Documents[i]
		if d.ReaderAuth == nil {
			v.out.Documents[i] = ReaderNone
			unsigned = true
			continue
		}
		name := fmt.Sprintf("reader authentication of document %d", i)
		chain, err := v.one(d.ReaderAuth, ReaderAuthenticationBytes(transcript, d.Raw))
		if err == nil && own != nil && !bytes.Equal(own[0], chain[0]) {
			err = fmt.Errorf("%w: signed with another certificate than the document before", ErrKey)
		}
		if err != nil {
			v.out.Documents[i] = ReaderInvalid
			v.out.Report.Fail(name, clauseReader, err.Error(), readerAdvice)
			continue
		}
		own = chain
		v.out.Documents[i] = ReaderValid
		v.out.Report.Pass(name, clauseReader, "")
	}
	switch {
	case !v.out.Report.OK():
		v.out.Verdict, v.out.Chain, v.out.Others = ReaderInvalid, nil, nil
		if len(req.ReaderAuthAll) > 0 && !v.covered {
			for i := range v.out.Documents {
				v.out.Documents[i] = ReaderInvalid
			}
		}
	case v.covered:
		v.out.Verdict = ReaderValid
		for i := range v.out.Documents {
			v.out.Documents[i] = ReaderValid
		}
	case unsigned || len(req.Documents) == 0:
		v.out.Verdict = ReaderNone
	default:
		v.out.Verdict, v.out.Chain = ReaderValid, own
	}
	if len(v.out.Report.Checks) == 0 {
		v.out.Report.Skip("reader authentication", clauseReader, "the request is not signed")
	}
}

func certificateKey(der []byte) (crypto.PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return cert.PublicKey, nil
}
