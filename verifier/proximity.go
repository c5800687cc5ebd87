package verifier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/verifier/core"
)

// Errors of reading on-site, to be told apart with errors.Is.
var (
	ErrNoTransport = errors.New("verifier: the engagement offers no way to connect that this reader has")
	ErrAddress     = errors.New("verifier: the engagement names an address that this reader does not call")
	ErrVanished    = errors.New("verifier: the holder's device went away before it answered")
	ErrNoAnswer    = errors.New("verifier: the holder's device ended the session without an answer; the holder did not agree, or stopped it")
	ErrSession     = errors.New("verifier: the session broke")
	ErrTimeout     = errors.New("verifier: the holder's device did not answer in time")
)

// Reader reads documents on-site for one tenant. It may be used concurrently.
type Reader struct{ t *tenant }

// Reader returns the tenant's reader. Error: ErrUnknownTenant.
func (v *Verifier) Reader(tenant string) (*Reader, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return &Reader{t}, nil
}

// ReadOptions refine a reading. The zero value is good.
type ReadOptions struct {
	// Anonymous sends the request without reader authentication.
	Anonymous bool
	// Online asks for newer status lists than the pack has. Otherwise
	// nothing is fetched but trust lists that have become too old.
	Online bool
	// Dial connects to the address of a tcp retrieval method. Optional, a
	// dialler that calls loopback and private addresses only: the address
	// comes from a QR code, so it is anyone's.
	Dial func(ctx context.Context, address string) (transport.Conn, error)
	// Progress is told what happens, in a few words. Optional.
	Progress func(what string)
}

// Read connects to the mdoc that shows the QR code with this text, asks, and
// verifies the answer offline against the pack (Verifier.Pack). An answer that
// is not valid is a Result, not an error. Errors: those above,
// engagement.ErrMalformed, engagement.ErrUnsupported, ErrInvalid.
//
// ISO/IEC 18013-5:2021, 8.2.2.3 and 8.3.
func (r *Reader) Read(ctx context.Context, qr, ask string, o ReadOptions) (core.Result, error) {
	e, err := engagement.ParseQR(strings.TrimSpace(qr))
	if err != nil {
		return core.Result{}, fmt.Errorf("verifier: %w", err)
	}
	address, err := tcpAddress(e)
	if err != nil {
		return core.Result{}, err
	}
	if _, err := r.t.onSite(ask); err != nil { // before anybody is bothered
		return core.Result{}, err
	}
	dial := o.Dial
	if dial == nil {
		dial = Dial
	}
	conn, err := dial(ctx, address)
	if err != nil {
		return core.Result{}, fmt.Errorf("verifier: connect to the holder's device: %w", err)
	}
	return r.ReadConn(ctx, conn, e, ask, o)
}

// tcpAddress finds the address of the demonstration transport.
func tcpAddress(e *engagement.DeviceEngagement) (string, error) {
	var offers []string
	for _, m := range e.Retrieval {
		if m.TCP != nil {
			return m.TCP.Address, nil
		}
		offers = append(offers, methodName(m.Type))
	}
	if len(offers) == 0 {
		offers = []string{"nothing"}
	}
	return "", fmt.Errorf("%w: it offers %s, we have tcp (type %d)", ErrNoTransport, strings.Join(offers, ", "), engagement.TypeTCP)
}

func methodName(t uint64) string {
	switch t {
	case engagement.TypeNFC:
		return "NFC"
	case engagement.TypeBLE:
		return "Bluetooth Low Energy"
	case engagement.TypeWiFi:
		return "Wi-Fi Aware"
	case engagement.TypeTCP:
		return "tcp in a version we do not know"
	}
	return "type " + strconv.FormatUint(t, 10)
}

// Dial connects to the address of a tcp retrieval method if it is a loopback
// or private one, given as an address, on a port that no system service has.
func Dial(ctx context.Context, address string) (transport.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: not host:port", ErrAddress)
	}
	ip := net.ParseIP(host)
	if ip == nil && web.IsLoopbackName(host) {
		ip = net.IPv4(127, 0, 0, 1)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case ip == nil:
		return nil, fmt.Errorf("%w: a name; only addresses are called", ErrAddress)
	case !ip.IsLoopback() && !ip.IsPrivate():
		return nil, fmt.Errorf("%w: %s is neither loopback nor private", ErrAddress, ip)
	case err != nil || n < 1024:
		return nil, fmt.Errorf("%w: port %.8q is a system's", ErrAddress, port)
	}
	return tcp.Dial(ctx, net.JoinHostPort(ip.String(), port), tcp.Options{})
}

// ReadConn is Read over a connection that is there already; it closes it.
func (r *Reader) ReadConn(ctx context.Context, conn transport.Conn, e *engagement.DeviceEngagement, ask string, o ReadOptions) (core.Result, error) {
	defer conn.Close()
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	asked, err := r.t.onSite(ask)
	if err != nil {
		return core.Result{}, err
	}
	q, err := core.OnSite(asked.Query, e.Capabilities != nil && e.Capabilities.ExtendedRequest)
	if err != nil {
		return core.Result{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s, err := session.NewReader(e, nil)
	if err != nil {
		return core.Result{}, fmt.Errorf("verifier: %w", err)
	}
	x := exchange{r: r, conn: conn, session: s, progress: o.Progress}
	answer, err := x.ask(ctx, e, q, o)
	if err != nil {
		return core.Result{}, err
	}
	o.Progress("verifying")
	result, lists, err := r.verify(ctx, answer, s.Transcript(), q, o)
	if err != nil {
		x.refuse(ctx, answer)
		return core.Result{}, err
	}
	if err := x.end(ctx, answer); err != nil {
		result.Report.Warn("termination", clauseSession, err.Error(), "nothing to do; the answer was complete")
	}
	return result, r.record(ctx, q, &result, lists)
}

const clauseSession = "ISO/IEC 18013-5:2021, 9.1.1.4"

// exchange is one session over one connection.
type exchange struct {
	r        *Reader
	conn     transport.Conn
	session  *session.Reader
	progress func(string)
}

// ask sends the request and waits for the answer.
func (x *exchange) ask(ctx context.Context, e *engagement.DeviceEngagement, q query.Query, o ReadOptions) (session.Event, error) {
	request, err := x.r.request(ctx, x.session.Transcript(), e, q, o)
	if err != nil {
		return session.Event{}, err
	}
	now := x.r.t.v.now()
	message, err := x.session.Request(request, now)
	if err != nil {
		return session.Event{}, fmt.Errorf("%w: %w", ErrSession, err)
	}
	if err := x.conn.Send(ctx, message); err != nil {
		return session.Event{}, fmt.Errorf("%w: %w", ErrVanished, err)
	}
	x.progress("asked; waiting for the holder")
	wait, cancel := context.WithTimeout(ctx, x.session.Deadline().Sub(now))
	defer cancel()
	raw, err := x.conn.Receive(wait)
	switch {
	case ctx.Err() != nil:
		return session.Event{}, ctx.Err()
	case wait.Err() != nil:
		return session.Event{}, fmt.Errorf("%w (%s)", ErrTimeout, session.IdleTimeout)
	case errors.Is(err, transport.ErrClosed):
		return session.Event{}, ErrVanished
	case err != nil:
		return session.Event{}, fmt.Errorf("%w: %w", ErrVanished, err)
	}
	event, err := x.session.Receive(raw, x.r.t.v.now())
	if event.Reply != nil {
		// The session is over already; whether the peer still hears it is no matter.
		err = errors.Join(err, x.conn.Send(ctx, event.Reply))
	}
	return event, explain(event, err)
}

// explain says what an event without an answer means.
func explain(event session.Event, err error) error {
	switch {
	case errors.Is(err, session.ErrEncryption):
		return fmt.Errorf("%w: the answer does not decrypt: it belongs to another session or was changed on the way: %w", ErrSession, err)
	case errors.Is(err, session.ErrPeer) && event.Status == session.StatusEncryptionError:
		return fmt.Errorf("%w: the holder's device could not decrypt our request: its QR code may be of an earlier session; have it shown again: %w", ErrSession, err)
	case errors.Is(err, session.ErrPeer) && event.Status == session.StatusDecodingError:
		return fmt.Errorf("%w: the holder's device did not understand our request: %w", ErrSession, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrSession, err)
	case event.Plaintext == nil:
		return ErrNoAnswer
	}
	return nil
}

// refuse tells the device that its response was no CBOR, if the session is
// still on.
func (x *exchange) refuse(ctx context.Context, answer session.Event) {
	if answer.Ended {
		return
	}
	if message, err := x.session.Refuse(session.StatusDecodingError); err == nil {
		_ = x.conn.Send(ctx, message) // the session is over either way, and there is an error to report
	}
}

// end terminates the session, unless the device did.
func (x *exchange) end(ctx context.Context, answer session.Event) error {
	if answer.Ended {
		return nil
	}
	message, err := x.session.Terminate()
	if err != nil {
		return err
	}
	return x.conn.Send(ctx, message)
}

// request encodes the DeviceRequest, signed by the reader.
//
// ISO/IEC 18013-5:2021, 9.1.4.
func (r *Reader) request(ctx context.Context, transcript []byte, e *engagement.DeviceEngagement, q query.Query, o ReadOptions) ([]byte, error) {
	documents, info, err := q.DeviceRequest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	p := mdoc.RequestParams{Documents: documents, Info: info}
	if !o.Anonymous {
		k, err := r.t.reader(ctx)
		if err != nil {
			return nil, err
		}
		p.Reader = &mdoc.ReaderSigner{
			Key: k, Chain: k.Record.Chain, Transcript: transcript,
			All: e.Capabilities != nil && e.Capabilities.ReaderAuthAllSupport,
		}
	}
	request, err := mdoc.BuildDeviceRequest(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("verifier: request: %w", err)
	}
	return request, nil
}

// verify judges the response against the pack.
func (r *Reader) verify(ctx context.Context, answer session.Event, transcript []byte, q query.Query, o ReadOptions) (core.Result, []knownList, error) {
	t := r.t
	now := t.v.now()
	p, err := t.params(ctx, now)
	if err != nil {
		return core.Result{}, nil, fmt.Errorf("%w (fetch the offline pack while there is a network)", err)
	}
	items, err := t.items(ctx)
	if err != nil {
		return core.Result{}, nil, err
	}
	if p.CRLs, err = parseCRLs(items); err != nil {
		return core.Result{}, nil, err
	}
	seen := &witness{ask: t.offline(items, p.Anchors, o.Online)}
	p.Asked, p.Transcript, p.Status = q, transcript, seen
	if answer.MacKey != nil {
		p.EReaderKey = answer.MacKey
	}
	result, err := core.Verify(ctx, answer.Plaintext, p)
	if err != nil {
		return core.Result{}, nil, fmt.Errorf("verifier: the holder's device answered with something else than a DeviceResponse: %w", err)
	}
	t.statePack(&result, items, now)
	return result, seen.lists, nil
}

// offline is a source of status that has the pack, and with online the network.
func (t *tenant) offline(items []item, anchors *assure.Anchors, online bool) *statuslist.Fetcher {
	opts := statuslist.Options{MaxCopies: maxKnownLists}
	fetch := t.v.fetch
	if online {
		opts.MaxTTL = t.v.config.StatusMaxAge
	} else {
		fetch = nil
	}
	f := statuslist.NewFetcher(fetch, assure.StatusTrust(trustlist.Issuer, anchors.Snapshot), opts)
	for _, i := range items {
		if i.kind == itemStatus {
			if err := f.Preload(statuslist.Copy{Token: i.body, Fetched: i.fetched}); err != nil {
				t.v.log.Warn("a status list in the pack cannot be read", "role", "verifier", "error", err.Error())
			}
		}
	}
	return f
}

// statePack says how old the lists are that the verdict rests on; each
// document says it of its status list.
func (t *tenant) statePack(result *core.Result, items []item, now time.Time) {
	if t.follower != nil {
		result.Report.Pass("trust lists", "ISO/IEC 18013-5 second edition (draft v4), C.1.8", "fetched "+core.Age(now.Sub(t.follower.Fetched()))+" ago")
	}
	n, oldest := 0, now
	for _, i := range items {
		if i.kind == itemCRL {
			n++
			if i.fetched.Before(oldest) {
				oldest = i.fetched
			}
		}
	}
	const name, clause = "certificate revocation lists", "ISO/IEC 18013-5 second edition (draft v4), B.3"
	if n == 0 {
		result.Report.Skip(name, clause, "the pack has none")
		return
	}
	result.Report.Pass(name, clause, fmt.Sprintf("%d, the oldest fetched %s ago", n, core.Age(now.Sub(oldest))))
}

// record notes that something was read, and nothing of what.
func (r *Reader) record(ctx context.Context, q query.Query, result *core.Result, lists []knownList) error {
	v := r.t.v
	now := v.now()
	return v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := rememberLists(ctx, tx, r.t.config.ID, lists, now); err != nil {
			return err
		}
		return v.audit.Append(ctx, tx, now, audit.Event{Tenant: r.t.config.ID, What: "documents read on-site", Detail: map[string]string{
			"asked": elementNames(q), "verdict": string(result.Verdict),
		}})
	})
}
