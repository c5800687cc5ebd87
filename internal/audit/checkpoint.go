package audit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// Signer signs a checkpoint with a key of the role and names the key. now is
// when.
type Signer func(ctx context.Context, now time.Time, message []byte) (key string, signature []byte, err error)

// Seal is a signed checkpoint as its row has it.
type Seal struct {
	Statement string `json:"statement"` // JSON of a Statement, as it was signed
	Key       string `json:"key"`
	Signature []byte `json:"signature"`
}

// signedPrefix keeps what is signed here from being anything else.
const signedPrefix = "eidos audit checkpoint 1\n"

func (s Seal) message() []byte { return []byte(signedPrefix + s.Statement) }

// Statement is what a checkpoint says: these rows were there at that time. A
// hash stands for all rows of its chain up to its own.
type Statement struct {
	Chain string    `json:"chain"`
	Seq   int64     `json:"seq"` // a row before the checkpoint's own; 0 if there is none
	Hash  []byte    `json:"hash"`
	Time  time.Time `json:"time"`
	// Heads are rows of other chains, of processes that run or have ended:
	// those that no other checkpoint has named yet.
	Heads []NamedHead `json:"heads,omitempty"`
	// Final says that the process has ended in order: no row follows.
	Final bool `json:"final,omitempty"`
}

// NamedHead is a row of a chain, by its hash.
type NamedHead struct {
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  []byte `json:"hash"`
}

const (
	checkpoint = "checkpoint" // Event.What
	everyRows  = 1000
	everyTime  = 5 * time.Minute
	maxHeads   = 64 // other chains that one checkpoint looks at, the newest
)

// SignWith has the process write checkpoints signed by sign. It is called
// before the first Append.
func (p *Process) SignWith(sign Signer) { p.sign = sign }

// Checkpoint writes a checkpoint if one is due: at first, after a thousand rows,
// and five minutes after the last one if there are rows since. A role calls it
// in its upkeep; Append does nothing for it but count.
func (p *Process) Checkpoint(ctx context.Context, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows := p.rows.Load()
	first := p.last.IsZero()
	if !first && rows < everyRows && (rows == 0 || now.Sub(p.last) < everyTime) {
		return nil
	}
	return p.write(ctx, now, false)
}

// Close writes the last checkpoint of the chain, if there are rows since the one
// before. Nothing is appended afterwards.
func (p *Process) Close(ctx context.Context, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rows.Load() == 0 {
		return nil
	}
	return p.write(ctx, now, true)
}

// write reads what there is, signs it, and then appends the row, so that no
// transaction waits for the signature.
func (p *Process) write(ctx context.Context, now time.Time, final bool) error {
	if p.sign == nil {
		return nil
	}
	rows := p.rows.Load()
	s := Statement{Chain: p.chain, Time: now.UTC().Truncate(time.Millisecond), Final: final}
	err := p.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		own, err := Newest(ctx, tx, p.chain)
		if err != nil {
			return err
		}
		s.Seq, s.Hash = own.Seq, own.Hash[:]
		s.Heads, err = unsealed(ctx, tx, p.chain)
		return err
	})
	if err != nil {
		return fmt.Errorf("audit: checkpoint: %w", err)
	}
	if rows == 0 && len(s.Heads) == 0 {
		p.last = now
		return nil
	}
	event, err := p.seal(ctx, now, s)
	if err != nil {
		return fmt.Errorf("audit: checkpoint: %w", err)
	}
	err = p.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := Append(ctx, tx, p.chain, now, event); err != nil {
			return err
		}
		for _, h := range append(s.Heads, NamedHead{Chain: p.chain, Seq: s.Seq}) {
			if err := putSealed(ctx, tx, h.Chain, h.Seq, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("audit: checkpoint: %w", err)
	}
	p.rows.Add(-rows)
	p.last = now
	return nil
}

func (p *Process) seal(ctx context.Context, now time.Time, s Statement) (Event, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return Event{}, err
	}
	out := Seal{Statement: string(text)}
	if out.Key, out.Signature, err = p.sign(ctx, now, out.message()); err != nil {
		return Event{}, err
	}
	return Event{What: checkpoint, Checkpoint: &out}, nil
}

// readSeal reads the checkpoint of a row.
func readSeal(event string) (Seal, Statement, error) {
	var e Event
	var s Statement
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		return Seal{}, s, err
	}
	if e.Checkpoint == nil {
		return Seal{}, s, errors.New("no statement in it")
	}
	if err := json.Unmarshal([]byte(e.Checkpoint.Statement), &s); err != nil {
		return Seal{}, s, err
	}
	for _, h := range append(s.Heads, NamedHead{Hash: s.Hash}) {
		if len(h.Hash) != sha256.Size {
			return Seal{}, s, fmt.Errorf("a hash of %d bytes", len(h.Hash))
		}
	}
	return *e.Checkpoint, s, nil
}
