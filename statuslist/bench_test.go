package statuslist_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/statuslist"
)

// BenchmarkPublish revokes a thousand of a million documents, of which one in a
// hundred is revoked already, on SQLite, and publishes the list: "change" is
// the role's own transaction, "publish" from reading the rows to the stored
// edition. Half of the time per operation is taking it back.
func BenchmarkPublish(b *testing.B) {
	const size, change = 1_000_000, 1000
	ctx, o := b.Context(), newOffice(b, testkit.SQLite(b))
	entry, err := statuslist.NewAllocator(statuslist.Records(o.db.Records()), size).Take(ctx, pool, 1)
	if err != nil {
		b.Fatal(err)
	}
	list := entry[0].List
	err = o.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		const q = `
			with recursive n(i) as (select 0 union all select i + 1 from n where i < $2 - 1)
			insert into entry (list, idx, value) select $1, i, case when abs(random()) % 100 = 0 then 1 else 0 end from n`
		_, err := tx.Exec(ctx, q, list, size)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	board, _ := o.board()
	now := start
	var changing, publishing time.Duration
	for b.Loop() {
		now = now.Add(time.Second)
		entries := make([]statuslist.Entry, change)
		for i := range entries {
			entries[i] = statuslist.Entry{List: list, Index: rand.Uint64N(size)}
		}
		t0 := time.Now()
		o.set(status.Invalid, entries...)
		t1 := time.Now()
		if _, err := board.Publish(ctx, list, now); err != nil {
			b.Fatal(err)
		}
		changing, publishing = changing+t1.Sub(t0), publishing+time.Since(t1)
		o.set(status.Valid, entries...)
	}
	b.ReportMetric(changing.Seconds()*1000/float64(b.N), "change-ms")
	b.ReportMetric(publishing.Seconds()*1000/float64(b.N), "publish-ms")
}

// BenchmarkCurrent answers what a GET of a list asks.
func BenchmarkCurrent(b *testing.B) {
	o := newOffice(b, testkit.SQLite(b))
	board, _ := o.board()
	list := o.take(pool, 1)[0].List
	b.ReportAllocs()
	for b.Loop() {
		if _, err := board.Current(b.Context(), list, start); err != nil {
			b.Fatal(err)
		}
	}
}
