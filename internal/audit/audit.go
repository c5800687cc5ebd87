// Package audit writes down security decisions in chains of hashes, in the
// database of the role and in the transaction of what was decided. A row that
// is changed, inserted or taken out later breaks its chain; a tail that is cut
// off is noticed by a Head that was kept elsewhere.
//
// A process writes a chain of its own, so that processes do not wait for each
// other. Now and then and when it ends it signs a checkpoint, which names the
// head of its own chain and those of others: whoever can write to the database
// but not use the role's key cannot compute a chain anew up to there. Persons
// appear as ids that mean nothing outside the role.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// ErrBroken is wrapped by Verify's error when a chain is not as it was written.
var ErrBroken = errors.New("audit chain is broken")

// Event is one security decision.
type Event struct {
	Tenant string            `json:"tenant"`
	What   string            `json:"what"`             // in the past tense: "document issued"
	Actor  string            `json:"actor,omitempty"`  // id of who did it
	Object string            `json:"object,omitempty"` // id of what it was done to
	Detail map[string]string `json:"detail,omitempty"` // no personal data, no secrets

	// Checkpoint is there in the rows that Process.Checkpoint writes, and only there.
	Checkpoint *Seal `json:"checkpoint,omitempty"`
}

// Head is the newest row of a chain.
type Head struct {
	Seq  int64             // 0 if the chain is empty
	Hash [sha256.Size]byte // zero if the chain is empty
}

// row is an entry as it is stored.
type row struct {
	seq, time int64
	event     string // JSON
	hash      []byte
}

// Append writes an event at the end of a chain. It is part of the caller's
// transaction: what is rolled back was never decided.
func Append(ctx context.Context, tx *db.Tx, chain string, now time.Time, e Event) (Head, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return Head{}, fmt.Errorf("audit: encode event: %w", err)
	}
	last, err := Newest(ctx, tx, chain)
	if err != nil {
		return Head{}, err
	}
	r := row{seq: last.Seq + 1, time: now.UnixMilli(), event: string(text)}
	sum := r.sum(chain, last.Hash)
	r.hash = sum[:]
	if err := insert(ctx, tx, chain, r); err != nil {
		return Head{}, fmt.Errorf("audit: append: %w", err)
	}
	return Head{r.seq, sum}, nil
}

// Verify walks a chain from its beginning and returns its Head. known is a
// Head that was kept earlier, or the zero Head: the chain must still hold that
// very row. The error wraps ErrBroken and names the first row that is wrong.
func Verify(ctx context.Context, tx *db.Tx, chain string, known Head) (Head, error) {
	var at Head
	err := walk(ctx, tx, chain, func(r row) error {
		if r.seq != at.Seq+1 {
			return fmt.Errorf("%w: row %d is followed by row %d", ErrBroken, at.Seq, r.seq)
		}
		sum := r.sum(chain, at.Hash)
		if string(r.hash) != string(sum[:]) {
			return fmt.Errorf("%w: row %d does not have the hash of its content and of what is before it", ErrBroken, r.seq)
		}
		at = Head{r.seq, sum}
		if at.Seq == known.Seq && at.Hash != known.Hash {
			return fmt.Errorf("%w: row %d is not the one that was known", ErrBroken, r.seq)
		}
		return nil
	})
	if err == nil && at.Seq < known.Seq {
		err = fmt.Errorf("%w: it ends at row %d, and row %d was known", ErrBroken, at.Seq, known.Seq)
	}
	if err != nil {
		return Head{}, fmt.Errorf("audit: chain %s: %w", chain, err)
	}
	return at, nil
}

// sum hashes the row onto the one before. Every part is of fixed length or
// preceded by its length, so that no two rows have the same input.
func (r row) sum(chain string, before [sha256.Size]byte) [sha256.Size]byte {
	b := append([]byte(nil), before[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.seq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.time))
	b = binary.BigEndian.AppendUint64(b, uint64(len(chain)))
	b = append(b, chain...)
	b = append(b, r.event...)
	return sha256.Sum256(b)
}
