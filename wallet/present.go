package wallet

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/transport"
)

const (
	// anchorsWait is how long a presentation waits for trust anchors: the
	// device may be offline, and the person stands in front of a reader.
	anchorsWait = 2 * time.Second
	// maxRequests bounds how often one reader may ask in one session.
	maxRequests = 32
	// goodbyeWait is how long the last message may take.
	goodbyeWait = 2 * time.Second
)

// Listener waits for the one reader that saw the engagement; *tcp.Listener is
// one.
type Listener interface {
	// Address goes into the engagement.
	Address() string
	// Accept waits for the reader.
	Accept(ctx context.Context) (transport.Conn, error)
	// Close stops waiting; a connection that was accepted goes on.
	Close() error
}

// PresentOptions say how to meet the reader.
type PresentOptions struct {
	Listener Listener
	// Retrieval are the ways to connect to write into the engagement;
	// optional, engagement.TCP of the listener's address.
	Retrieval []engagement.RetrievalMethod
	// Show shows the text of the QR code and returns.
	Show func(ctx context.Context, qr string) error
	// Once ends the session with the first answer.
	Once bool
}

// Present shows an engagement and answers the reader that connects, until
// either side ends the session. It returns one entry per question, as it
// stands in the log, also with an error; that the holder refused, or has no
// such document, is no error but an outcome. It closes the listener.
//
// Nothing is fetched but trust anchors that are due, before the engagement is
// shown.
//
// ISO/IEC 18013-5:2021, 6.3, 8.2.2.3 and 9.1.
func (w *Wallet) Present(ctx context.Context, o PresentOptions) ([]LogEntry, error) {
	defer o.Listener.Close()
	quick, cancel := context.WithTimeout(ctx, anchorsWait)
	v := &visit{w: w, once: o.Once, anchors: w.anchors(quick)}
	cancel()
	var err error
	if v.device, err = session.NewDevice(ecdh.P256()); err != nil {
		return nil, err
	}
	if len(o.Retrieval) == 0 {
		o.Retrieval = []engagement.RetrievalMethod{engagement.TCP(o.Listener.Address())}
	}
	eng, err := engagement.New(engagement.Options{EDeviceKey: v.device.EDeviceKey(), Retrieval: o.Retrieval})
	if err != nil {
		return nil, fmt.Errorf("engagement: %w", err)
	}
	if err := v.device.Engage(eng, nil, w.now()); err != nil {
		return nil, err
	}
	if err := o.Show(ctx, eng.QR()); err != nil {
		return nil, fmt.Errorf("show the engagement: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, v.left())
	v.conn, err = o.Listener.Accept(wait)
	cancel()
	if err != nil {
		if ctx.Err() == nil && wait.Err() != nil {
			err = fmt.Errorf("%w: no reader came", session.ErrTimeout)
		}
		return nil, fmt.Errorf("wait for a reader: %w", err)
	}
	defer v.conn.Close()
	err = v.run(ctx)
	return v.entries, err
}

// visit is one session with one reader.
type visit struct {
	w       *Wallet
	device  *session.Device
	conn    transport.Conn
	anchors *assure.Anchors
	once    bool
	entries []LogEntry
}

// left is the time until the session ends by itself.
func (v *visit) left() time.Duration { return v.device.Deadline().Sub(v.w.now()) }

func (v *visit) run(ctx context.Context) error {
	for range maxRequests {
		raw, err := v.receive(ctx)
		if errors.Is(err, transport.ErrClosed) && len(v.entries) > 0 {
			return nil // it has its answers, and went without a word
		}
		if err != nil {
			return err
		}
		event, err := v.device.Receive(raw, v.w.now())
		if event.Reply != nil {
			err = errors.Join(err, v.conn.Send(ctx, event.Reply))
		}
		if err != nil {
			return fmt.Errorf("message of the reader: %w", err)
		}
		if event.Ended {
			return nil
		}
		if event.Plaintext == nil {
			continue // a status that is not ours to act on
		}
		if over, err := v.answer(ctx, event.Plaintext); over || err != nil {
			return err
		}
	}
	v.goodbye(ctx)
	return fmt.Errorf("the reader asked %d times; the session was ended", maxRequests)
}

// receive waits for a message. When the time is over, or ctx, the reader is
// told.
func (v *visit) receive(ctx context.Context) ([]byte, error) {
	type message struct {
		raw []byte
		err error
	}
	got := make(chan message, 1)
	// Not with ctx: when a context ends the connection closes, and nothing
	// could be said any more. Closing it at the end ends the goroutine.
	go func() {
		raw, err := v.conn.Receive(context.WithoutCancel(ctx))
		got <- message{raw, err}
	}()
	timer := time.NewTimer(v.left())
	defer timer.Stop()
	select {
	case m := <-got:
		if m.err != nil {
			return nil, fmt.Errorf("reader: %w", m.err)
		}
		return m.raw, nil
	case <-timer.C:
		v.goodbye(ctx)
		return nil, fmt.Errorf("%w: the reader said nothing", session.ErrTimeout)
	case <-ctx.Done():
		v.goodbye(ctx)
		return nil, ctx.Err()
	}
}

// goodbye ends the session in good order, if the reader still listens.
func (v *visit) goodbye(ctx context.Context) {
	last, err := v.device.Terminate()
	if err != nil {
		return // it is over already
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeWait)
	defer cancel()
	if err := v.conn.Send(ctx, last); err != nil {
		v.w.deps.Log.DebugContext(ctx, "termination not sent", "err", err)
	}
}

// answer answers one request. over says that the session has ended in order.
func (v *visit) answer(ctx context.Context, plaintext []byte) (over bool, err error) {
	req, err := mdoc.ParseDeviceRequest(plaintext)
	if err != nil {
		status := uint64(mdoc.StatusCBORValidationError)
		if cbor.Check(plaintext, cbor.Limits{}) != nil {
			status = mdoc.StatusCBORDecodingError
		}
		return true, v.refuse(ctx, status, fmt.Errorf("request of the reader: %w", err))
	}
	reader, rep := assure.VerifyReaderAuth(req, v.device.Transcript(), v.anchors, v.w.now(), assure.ChainOptions{})
	q, err := query.FromDeviceRequest(req)
	if err != nil {
		return true, v.refuse(ctx, mdoc.StatusCBORValidationError, fmt.Errorf("request of the reader: %w", err))
	}
	m, err := v.w.consider(ctx, q, OnSite, readerParty(reader))
	if err != nil {
		return true, v.refuse(ctx, mdoc.StatusGeneralError, err)
	}
	if !rep.OK() {
		err := fmt.Errorf("the reader's signature is wrong, nothing was shown: %w", rep.Err())
		return true, errors.Join(v.refuse(ctx, mdoc.StatusGeneralError, err), v.end(ctx, m, err))
	}
	response, failed := v.respond(ctx, m)
	if response == nil {
		return true, errors.Join(v.refuse(ctx, mdoc.StatusGeneralError, failed), v.end(ctx, m, failed))
	}
	sealed, err := v.device.Respond(response, v.once, v.w.now())
	if sealed != nil {
		if sent := v.conn.Send(ctx, sealed); sent != nil {
			err = errors.Join(err, fmt.Errorf("the answer may not have arrived: %w", sent))
		}
	}
	if err != nil {
		err = fmt.Errorf("answer the reader: %w", err)
		return true, errors.Join(err, v.end(ctx, m, err))
	}
	return v.once, v.end(ctx, m, failed)
}

// end records the matter and keeps its entry for the caller.
func (v *visit) end(ctx context.Context, m *matter, cause error) error {
	err := m.end(ctx, cause)
	v.entries = append(v.entries, m.entry)
	return err
}

// refuse ends the session with an error status in place of an answer, and
// returns the cause.
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.3.
func (v *visit) refuse(ctx context.Context, status uint64, cause error) error {
	sealed, err := v.device.Respond(mdoc.EncodeErrorResponse(status), true, v.w.now())
	if sealed != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeWait)
		defer cancel()
		err = errors.Join(err, v.conn.Send(ctx, sealed))
	}
	if err != nil {
		v.w.deps.Log.DebugContext(ctx, "refusal not sent", "err", err)
	}
	return cause
}

// respond asks the holder and makes the response. Without a document to show,
// the response says so of each one asked for, in the same words whether the
// holder refused or has none. Without a response, something went wrong.
func (v *visit) respond(ctx context.Context, m *matter) ([]byte, error) {
	asking, cancel := context.WithTimeout(ctx, v.left())
	selection, cause := m.ask(asking)
	cancel()
	var shown []*mdoc.Presentation
	if cause == nil {
		copies, err := m.take(ctx, selection)
		if err != nil {
			return nil, err
		}
		transcript := v.device.Transcript()
		for _, t := range copies {
			p, err := m.proveMdoc(ctx, t, transcript)
			if err != nil {
				return nil, err
			}
			shown = append(shown, p)
		}
	}
	response, err := mdoc.EncodeResponse(shown, unanswered(m.plan.Query, selection))
	if err != nil {
		return nil, err
	}
	for _, c := range selection {
		if limit := m.plan.Query.Credentials[c.Credential].MaxResponse; limit > 0 && uint64(len(response)) > limit {
			cause = fmt.Errorf("the reader takes at most %d bytes, the answer has %d (ISO/IEC 18013-5 second edition (draft v4), 10.2.4)", limit, len(response))
			response, err = mdoc.EncodeResponse(nil, unanswered(m.plan.Query, nil))
			return response, errors.Join(cause, err)
		}
	}
	return response, cause
}

// unanswered are the document errors for what is not in the selection: "data
// not returned". ISO/IEC 18013-5:2021, 8.3.2.1.2.3.
func unanswered(q query.Query, s query.Selection) []mdoc.DocumentError {
	given := map[string]bool{}
	for _, c := range s {
		for _, t := range q.Credentials[c.Credential].Types {
			given[t] = true
		}
	}
	var out []mdoc.DocumentError
	for _, c := range q.Credentials {
		for _, t := range c.Types {
			if !given[t] && !slices.ContainsFunc(out, func(e mdoc.DocumentError) bool { return e.DocType == t }) {
				out = append(out, mdoc.DocumentError{DocType: t})
			}
		}
	}
	return out
}

// readerParty is the reader for people and the log.
func readerParty(r assure.Reader) Party {
	p := Party{Standing: r.Standing, Name: oneLine(r.Name, 120)}
	if r.Leaf != nil {
		p.Fingerprint = fingerprint(r.Leaf)
	}
	if r.Standing == assure.ReaderTrusted {
		p.VouchedBy, p.Identity = oneLine(r.Signer.Organisation(), 120), identity(r.Leaf)
	}
	return p
}
