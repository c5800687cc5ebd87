package wallet_test

import (
	"context"
	"crypto/elliptic"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/transport/loop"
	"github.com/eidos-id/eidos/wallet"
)

// BenchmarkSignature is what the others are measured by.
func BenchmarkSignature(b *testing.B) {
	k := testkit.Signer(b, elliptic.P256())
	message := make([]byte, 500)
	for b.Loop() {
		if _, err := k.Sign(context.Background(), message); err != nil {
			b.Fatal(err)
		}
	}
}

// portraitJPEG is 20 KiB that pass for a portrait: nobody looks inside.
func portraitJPEG() []byte {
	return []byte("\xff\xd8\xff\xe0" + strings.Repeat("portrait", 2560) + "\xff\xd9")
}

// BenchmarkPresent is a whole visit on-site: engagement, session, question,
// copy taken, answer; the reader's part included but for verification. It
// holds two key agreements on either side besides the device signature.
func BenchmarkPresent(b *testing.B) {
	for _, store := range []string{"memory", "sqlite"} {
		b.Run(store, func(b *testing.B) {
			w := newWorld(b)
			w.subject[doctype.Name{Namespace: mdoc.NameSpaceMDL, ID: "portrait"}] = portraitJPEG()
			d, _ := w.holder(func(_ *wallet.Config, deps *wallet.Deps) {
				deps.Consent = wallet.AutoApprove{}
				if store == "sqlite" {
					deps.Storage = open(b, filepath.Join(b.TempDir(), "wallet.db"))
				}
			})
			var request []byte
			for b.Loop() {
				ours, theirs := loop.Pair(0)
				show := func(ctx context.Context, qr string) error {
					r := w.reader(qr, theirs)
					if request == nil {
						request = r.request(nil, wants(mdoc.DocTypeMDL, "family_name", "given_name", "birth_date", "portrait", "document_number", "age_over_18"))
					}
					message, err := r.s.Request(request, w.Now())
					if err != nil {
						return err
					}
					return theirs.Send(ctx, message)
				}
				entries, err := d.Present(context.Background(), wallet.PresentOptions{Listener: loopListener{ours}, Show: show, Once: true})
				if err != nil || entries[0].Outcome != wallet.OutcomeDone {
					b.Fatalf("%+v %v", entries, err)
				}
				theirs.Close()
			}
		})
	}
}
