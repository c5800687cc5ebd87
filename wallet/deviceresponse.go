package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/protocol/rights"
)

// errTooLarge: the reader said how much it takes, and the answer is more.
var errTooLarge = errors.New("the answer is too large for the reader")

// deviceResponse is the answer to a DeviceRequest, or to what is one in
// another form: the documents of the selection, each signed over the
// transcript, and for each one asked for and not shown that it is not returned.
// The error is errTooLarge, or why a copy cannot be shown.
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2; second edition (draft v4), 10.2.4.
func (m *matter) deviceResponse(ctx context.Context, s query.Selection, transcript []byte) ([]byte, error) {
	copies, err := m.take(ctx, s)
	if err != nil {
		return nil, err
	}
	var shown []*mdoc.Presentation
	for _, t := range copies {
		p, err := m.proveMdoc(ctx, t, transcript)
		if err != nil {
			return nil, err
		}
		shown = append(shown, p)
	}
	response, err := mdoc.EncodeResponse(shown, unanswered(m.plan.Query, s))
	if err != nil {
		return nil, err
	}
	for _, c := range s {
		if limit := m.plan.Query.Credentials[c.Credential].MaxResponse; limit > 0 && uint64(len(response)) > limit {
			return nil, fmt.Errorf("%w: it takes at most %d bytes, the answer has %d (ISO/IEC 18013-5 second edition (draft v4), 10.2.4)", errTooLarge, limit, len(response))
		}
	}
	if len(shown) > 0 {
		m.entry.Receipts = []string{rights.Receipt(response)}
	}
	return response, nil
}

// remoteReader finds out who signed a DeviceRequest that came over the
// internet. A wrong signature is an error: somebody who is honest has none.
func (w *Wallet) remoteReader(ctx context.Context, req *mdoc.DeviceRequest, transcript []byte) (assure.Reader, error) {
	for try := 1; ; try++ {
		reader, rep := assure.VerifyReaderAuth(req, transcript, w.anchors(ctx), w.now(), assure.ChainOptions{})
		if !rep.OK() {
			return reader, fmt.Errorf("the verifier's signature is wrong: %w", rep.Err())
		}
		if reader.Standing != assure.ReaderUnknown || try > 1 || w.deps.Refresh == nil || w.deps.Refresh(ctx, w.now()) != nil {
			return reader, nil
		}
	}
}
