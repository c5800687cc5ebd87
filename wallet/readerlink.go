package wallet

import (
	"context"
	"crypto/ecdh"
	"fmt"
	"net/url"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/transport/http"
)

// AnswerReaderLink answers the reader behind a link (mdoc://…) on a website,
// until either side ends the session. domain is the host name of the page that
// the link was followed on, as the platform knows it, for example from the
// referrer, and never from the link; empty if it does not know, and then a
// careful website refuses. It returns one entry per question, as Present does.
//
// ISO/IEC TS 18013-7 (draft N2544), Annex A.
func (w *Wallet) AnswerReaderLink(ctx context.Context, link, domain string) ([]LogEntry, error) {
	to, err := engagement.ParseReaderLink(link)
	if err != nil {
		return nil, fmt.Errorf("link of the reader: %w", err)
	}
	address, err := to.Address()
	if err == nil {
		err = oauth.CheckURL(address)
	}
	if err != nil {
		return nil, fmt.Errorf("link of the reader: %w", err)
	}
	site, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("link of the reader: %w", err)
	}
	curve := ecdh.P256()
	if to.EReaderKey != nil {
		curve = to.EReaderKey.Curve() // A.7, step 1
	}
	v := &visit{w: w, channel: Remote, anchors: w.anchors(ctx), conn: http.Dial(address, w.deps.Fetch)}
	defer v.conn.Close()
	// That the answer goes to this host is certain, whoever signed.
	v.party = func(r assure.Reader) Party { return siteParty(r, site.Scheme+"://"+site.Host) }
	if v.device, err = session.NewDevice(curve); err != nil {
		return nil, err
	}
	eng, err := engagement.New(engagement.Options{
		EDeviceKey: v.device.EDeviceKey(), OriginInfos: []engagement.OriginInfo{engagement.FromDomain(domain)},
	})
	if err != nil {
		return nil, fmt.Errorf("engagement: %w", err)
	}
	if err := v.device.EngageReader(eng, to, w.now()); err != nil {
		return nil, err
	}
	if err := v.conn.Send(ctx, eng.Message()); err != nil {
		return nil, err
	}
	err = v.run(ctx)
	return v.entries, err
}
