package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/internal/fetch"
)

// authorisesOf is what a fresh document can authorise, by what its issuer
// publishes of its type. It is asked for now, when the issuer knows anyhow that
// the holder has the document, and not when it is shown. Without it the document
// is as good as any, and authorises no payment.
//
// EUDI TS12 1.0.1, 3.2 and 4.1.1.
func (w *Wallet) authorisesOf(ctx context.Context, g obtained) map[string]string {
	if len(g.copies) == 0 || !strings.HasPrefix(g.document.DocType, "https://") {
		return nil
	}
	c, err := read(g.document.Format, g.copies[0].raw)
	if err != nil {
		return nil
	}
	s, ok := c.(*receivedSDJWT)
	if !ok {
		return nil
	}
	m, err := w.typeMetadata(ctx, s.sdjwt())
	if err != nil {
		w.deps.Log.InfoContext(ctx, "no type metadata", "err", err)
		return nil
	}
	out := map[string]string{}
	for name, t := range m.Transactions {
		if known, ok := transaction.Find(t.Schema); ok && (!known.SCA || m.Category == sdjwt.CategorySCA) {
			out[name] = t.Schema
		}
	}
	return out
}

// typeMetadata fetches what is published of a document's type and of those that
// it extends, from the addresses that are their names.
//
// SD-JWT VC draft 18, 4.3.1 and 4.4.
func (w *Wallet) typeMetadata(ctx context.Context, s *sdjwt.SDJWT) (*sdjwt.TypeMetadata, error) {
	p, err := s.Unverified()
	if err != nil {
		return nil, err
	}
	integrity := ""
	if found, err := p.Select(sdjwt.Path{"vct#integrity"}); err == nil && len(found) == 1 {
		if err := json.Unmarshal(found[0].Value, &integrity); err != nil {
			return nil, fmt.Errorf("vct#integrity is no text (SD-JWT VC draft 18, 5)")
		}
	}
	documents := map[string][]byte{}
	for {
		m, err := sdjwt.ResolveType(s.VCT(), integrity, documents)
		var missing *sdjwt.MissingTypeError
		if !errors.As(err, &missing) {
			return m, err
		}
		r := fetch.GetRequest(missing.VCT, "application/json")
		r.MaxBytes = 256 << 10
		resp, err := w.deps.Fetch(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("fetch type metadata: %w", err)
		}
		if resp.Status != 200 {
			return nil, fmt.Errorf("fetch type metadata: the answer was %d (SD-JWT VC draft 18, 4.3.1)", resp.Status)
		}
		documents[missing.VCT] = resp.Body
	}
}
