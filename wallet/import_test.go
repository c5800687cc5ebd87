package wallet_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/migration"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/wallet"
)

// An entry in a file may say anything: it steers no terminal, and leads nowhere
// but to websites.
func TestImportHostile(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	const bad = "x\x1b[2J\u202ey"
	documents := []wallet.LoggedDocument{{ID: bad, DocType: bad, Elements: []wallet.LoggedElement{{NameSpace: bad, ID: bad}, {Path: sdjwt.Path{bad, nil, 1}}}}}
	hostile := wallet.LogEntry{
		ID: "0000000000000001-AAAAAAAA", At: w.Clock.Now(), Event: wallet.EventSharing, Outcome: bad, Reason: bad, Channel: bad, Purposes: []string{bad},
		Party:     wallet.Party{Standing: bad, Name: bad, VouchedBy: bad, ID: bad, Fingerprint: bad},
		Documents: documents, Requested: documents, ResponseURI: "javascript://\u2028alert(1)\u2028<!--", Receipts: []string{bad},
		Deletion: &wallet.Deletion{ID: bad, At: w.Clock.Now(), State: bad, To: bad, Number: bad}, Reports: []wallet.Reported{{To: bad}},
	}
	raw, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	file, err := migration.Data{TransactionLog: []migration.Transaction{{ID: "1", Time: migration.Time(w.Clock.Now()), Type: "Presentation", Result: migration.Completed, Eidos: raw}}}.Seal(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if in, err := d.Import(t.Context(), file, passphrase); err != nil || in.Entries != 1 {
		t.Fatal(in, err)
	}
	log, err := d.Log(t.Context())
	if err != nil || len(log) != 1 {
		t.Fatal(log, err)
	}
	if kept := mustJSON(log[0]); strings.Contains(kept, `\u001b`) || strings.Contains(kept, "\u202e") || strings.Contains(kept, "javascript") {
		t.Error(kept)
	}
	if r, err := d.Deletion(t.Context(), log[0].ID); err != nil || r.Website != "" {
		t.Errorf("%+v %v", r, err)
	}
}
