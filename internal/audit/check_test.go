package audit_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
)

// trail is a role whose processes write checkpoints.
type trail struct {
	t    *testing.T
	d    *db.DB
	keys map[string]*testkit.Key
	sign string // which key signs
}

func newTrail(t *testing.T, dsn string) *trail {
	return &trail{t: t, d: open(t, dsn), keys: map[string]*testkit.Key{"ours": testkit.Signer(t, elliptic.P256())}, sign: "ours"}
}

func (l *trail) process(role string) *audit.Process {
	p := audit.NewProcess(l.d, role)
	p.SignWith(func(ctx context.Context, _ time.Time, message []byte) (string, []byte, error) {
		signature, err := l.keys[l.sign].Sign(ctx, message)
		return l.sign, signature, err
	})
	return p
}

func (l *trail) verify(_ context.Context, id string, message, signature []byte) error {
	if id != "ours" {
		return errors.New("no key of the role")
	}
	return key.Verify(l.keys[id].Public(), message, signature)
}

func (l *trail) write(p *audit.Process, n int, at time.Time) {
	l.t.Helper()
	for i := range n {
		if err := p.Write(l.t.Context(), at, audit.Event{Tenant: "default", What: "document issued", Object: fmt.Sprint(i)}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *trail) do(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *trail) check(at time.Time, known audit.Heads) audit.Report {
	l.t.Helper()
	r, err := audit.Check(l.t.Context(), l.d, audit.CheckOptions{Now: at, Verify: l.verify, Known: known})
	l.do(err)
	return r
}

func (l *trail) exec(q string, args ...any) {
	l.t.Helper()
	l.do(l.d.Tx(l.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.Exec(ctx, q, args...)
		if err == nil && n == 0 {
			l.t.Errorf("%s: nothing was changed", q)
		}
		return err
	}))
}

// chainOf is the name of the only chain that begins with role.
func (l *trail) chainOf(role string) (name string) {
	l.t.Helper()
	l.do(l.d.View(l.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		all, err := audit.Chains(ctx, tx)
		for _, c := range all {
			if strings.HasPrefix(c, role+"-") {
				name = c
			}
		}
		return err
	}))
	return name
}

// compute gives all rows of a chain from one on the hashes that they should
// have, as somebody does who knows how it is done.
func (l *trail) compute(chain string, from int64) {
	l.t.Helper()
	l.do(l.d.Tx(l.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		type row struct {
			seq, time int64
			event     string
			hash      []byte
		}
		rows, err := tx.Query(ctx, `select seq, time, event, hash from audit where chain = $1 order by seq`, chain)
		if err != nil {
			return err
		}
		var all []row
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.seq, &r.time, &r.event, &r.hash); err != nil {
				return err
			}
			all = append(all, r)
		}
		rows.Close()
		before := make([]byte, 32)
		for _, r := range all {
			if r.seq >= from {
				b := append([]byte(nil), before...)
				b = binary.BigEndian.AppendUint64(b, uint64(r.seq))
				b = binary.BigEndian.AppendUint64(b, uint64(r.time))
				b = binary.BigEndian.AppendUint64(b, uint64(len(chain)))
				sum := sha256.Sum256(append(append(b, chain...), r.event...))
				r.hash = sum[:]
				if _, err := tx.Exec(ctx, `update audit set hash = $3 where chain = $1 and seq = $2`, chain, r.seq, r.hash); err != nil {
					return err
				}
			}
			before = r.hash
		}
		return rows.Err()
	}))
}

// life is one process that has ended, one that was killed, and one that runs:
//
//	alpha: 1 2 3 (checkpoint 4) 5 6 (last checkpoint 7)
//	beta:  1 2 (checkpoint 3) 4 5, killed
//	gamma: 1 2 (checkpoint 3: of itself, alpha to 7, beta to 5), runs
func life(t *testing.T, dsn string) *trail {
	l := newTrail(t, dsn)
	ctx := t.Context()
	alpha, beta, gamma := l.process("alpha"), l.process("beta"), l.process("gamma")
	l.write(alpha, 3, now)
	l.do(alpha.Checkpoint(ctx, now))
	l.write(alpha, 2, now.Add(time.Second))
	l.do(alpha.Checkpoint(ctx, now.Add(time.Minute))) // not due
	l.write(beta, 2, now)
	l.do(beta.Checkpoint(ctx, now.Add(time.Second)))
	l.write(beta, 2, now.Add(2*time.Second))
	l.do(alpha.Close(ctx, now.Add(2*time.Minute)))
	l.do(alpha.Close(ctx, now.Add(2*time.Minute))) // twice is once
	l.write(gamma, 2, now.Add(3*time.Minute))
	l.do(gamma.Checkpoint(ctx, now.Add(3*time.Minute)))
	return l
}

func TestCheckpoints(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		l := life(t, dsn)
		r := l.check(now.Add(24*time.Hour), audit.Heads{})
		if len(r.Problems) != 0 || r.Checkpoints != 4 || !r.Signatures || len(r.Chains) != 3 {
			t.Fatalf("%+v", r)
		}
		want := map[string][2]int64{"alpha": {7, 7}, "beta": {5, 5}, "gamma": {3, 2}} // rows, sealed
		for _, c := range r.Chains {
			role, _, _ := strings.Cut(c.Name, "-")
			if got := [2]int64{c.Rows, c.Sealed}; got != want[role] || c.Ended != (role == "alpha") {
				t.Errorf("%+v, want %v", c, want[role])
			}
		}
		// What was kept still holds when more is written.
		p := l.process("delta")
		l.do(p.Checkpoint(t.Context(), now.Add(25*time.Hour))) // first of all it names what nobody has: gamma's checkpoint
		if again := l.check(now.Add(48*time.Hour), r.Heads); len(again.Problems) != 0 || again.Checkpoints != 5 {
			t.Errorf("%+v", again)
		}
		// A process that has nothing to say says nothing.
		idle := l.process("idle")
		l.do(idle.Checkpoint(t.Context(), now.Add(26*time.Hour))) // names delta's
		l.do(idle.Checkpoint(t.Context(), now.Add(40*time.Hour)))
		l.do(idle.Close(t.Context(), now.Add(41*time.Hour)))
		if again := l.check(now.Add(48*time.Hour), r.Heads); again.Checkpoints != 6 || len(again.Problems) != 0 {
			t.Errorf("%+v", again)
		}
		if unchecked, err := audit.Check(t.Context(), l.d, audit.CheckOptions{Now: now}); err != nil || unchecked.Signatures || len(unchecked.Problems) != 0 {
			t.Errorf("without keys: %+v, %v", unchecked, err)
		}
	})
}

// Every way to change what was written is noticed, at the right place.
func TestCheckTamper(t *testing.T) {
	const insert = `insert into audit (chain, seq, time, event, hash) select chain, $2, time, event, hash from audit where chain = $1 and seq = 1`
	shift := func(l *trail, chain string) { // an event in the middle, the others moved on
		for _, q := range []string{`update audit set seq = -seq - 1 where chain = $1 and seq >= 3`, `update audit set seq = -seq where chain = $1 and seq < 0`} {
			l.exec(q, chain)
		}
		l.exec(insert, chain, int64(3))
	}
	later := now.Add(24 * time.Hour)
	for name, tt := range map[string]struct {
		do    func(l *trail, chain func(string) string)
		chain string // where it shows
		row   int64
		what  string
	}{
		"changed": {func(l *trail, c func(string) string) {
			l.exec(`update audit set event = replace(event, 'issued', 'denied') where chain = $1 and seq = 2`, c("alpha"))
		}, "alpha", 2, "changed or inserted"},
		"changed, hashes computed": {func(l *trail, c func(string) string) {
			l.exec(`update audit set event = replace(event, 'issued', 'denied') where chain = $1 and seq = 2`, c("alpha"))
			l.compute(c("alpha"), 2)
		}, "alpha", 3, "is not the one that the checkpoint at row 4"},
		"inserted":                  {func(l *trail, c func(string) string) { shift(l, c("alpha")) }, "alpha", 3, "changed or inserted"},
		"inserted, hashes computed": {func(l *trail, c func(string) string) { shift(l, c("alpha")); l.compute(c("alpha"), 3) }, "alpha", 3, "is not the one that the checkpoint"},
		"inserted after the end": {func(l *trail, c func(string) string) {
			l.exec(insert, c("alpha"), int64(8))
			l.compute(c("alpha"), 8)
		}, "alpha", 8, "ended in order at row 7"},
		"added to a killed one": {func(l *trail, c func(string) string) {
			l.exec(insert, c("beta"), int64(6))
			l.compute(c("beta"), 6)
		}, "beta", 6, "under no checkpoint"},
		"missing": {func(l *trail, c func(string) string) {
			l.exec(`delete from audit where chain = $1 and seq = 2`, c("alpha"))
		}, "alpha", 3, "row 2 is missing"},
		"several missing": {func(l *trail, c func(string) string) {
			l.exec(`delete from audit where chain = $1 and seq < 3`, c("alpha"))
		}, "alpha", 3, "rows 1 to 2 are missing"},
		"missing, renumbered": {func(l *trail, c func(string) string) {
			l.exec(`delete from audit where chain = $1 and seq = 2`, c("alpha"))
			for _, q := range []string{`update audit set seq = -seq where chain = $1 and seq > 2`, `update audit set seq = -seq - 1 where chain = $1 and seq < 0`} {
				l.exec(q, c("alpha"))
			}
			l.compute(c("alpha"), 2)
		}, "alpha", 3, "was made for row 3"},
		"tail cut": {func(l *trail, c func(string) string) {
			l.exec(`delete from audit where chain = $1 and seq > 5`, c("alpha"))
		}, "alpha", 5, "its end was cut off"},
		"tail of a killed": {func(l *trail, c func(string) string) {
			l.exec(`delete from audit where chain = $1 and seq > 3`, c("beta"))
		}, "beta", 3, "its end was cut off"},
		"chain gone":        {func(l *trail, c func(string) string) { l.exec(`delete from audit where chain = $1`, c("beta")) }, "beta", 5, "the whole chain is gone"},
		"newest chain gone": {func(l *trail, c func(string) string) { l.exec(`delete from audit where chain = $1`, c("gamma")) }, "gamma", 3, "the whole chain is gone, though what was kept"},
		"tail of the newest": {func(l *trail, c func(string) string) {
			l.exec(`delete from audit where chain = $1 and seq = 3`, c("gamma"))
		}, "gamma", 2, "what was kept"},
		"checkpoint by another key": {func(l *trail, c func(string) string) {
			l.keys["theirs"], l.sign = testkit.Signer(l.t, elliptic.P256()), "theirs"
			p := l.process("eve")
			l.write(p, 1, now)
			l.do(p.Checkpoint(l.t.Context(), now))
		}, "eve", 2, "is not signed with a key of the role"},
		"checkpoint changed": {func(l *trail, c func(string) string) {
			l.exec(`update audit set event = replace(event, '\"seq\":2', '\"seq\":1') where chain = $1 and seq = 3`, c("gamma"))
			l.compute(c("gamma"), 3)
		}, "gamma", 3, "is not signed with a key of the role"},
		"checkpoint of elsewhere": {func(l *trail, c func(string) string) {
			l.exec(`update audit set event = (select event from audit where chain = $2 and seq = 4) where chain = $1 and seq = 3`, c("gamma"), c("alpha"))
			l.compute(c("gamma"), 3)
		}, "gamma", 3, "it was moved here"},
		"checkpoint spoilt": {func(l *trail, c func(string) string) {
			l.exec(`update audit set event = replace(event, 'statement', 'state') where chain = $1 and seq = 3`, c("gamma"))
			l.compute(c("gamma"), 3)
		}, "gamma", 3, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.DBs(t, func(t *testing.T, dsn string) {
				l := life(t, dsn)
				known := l.check(later, audit.Heads{}).Heads
				names := map[string]string{"alpha": l.chainOf("alpha"), "beta": l.chainOf("beta"), "gamma": l.chainOf("gamma")}
				tt.do(l, func(role string) string { return names[role] })
				r := l.check(later, known)
				for _, p := range r.Problems {
					if strings.HasPrefix(p.Chain, tt.chain+"-") && p.Row == tt.row && strings.Contains(p.What, tt.what) {
						return
					}
				}
				t.Errorf("no problem at row %d of %s with %q in %+v", tt.row, tt.chain, tt.what, r.Problems)
			})
		})
	}
}

func TestEvents(t *testing.T) {
	l := life(t, testkit.SQLite(t))
	var all, some []audit.Entry
	l.do(l.d.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		if all, err = audit.Events(ctx, tx, audit.Filter{}); err == nil {
			some, err = audit.Events(ctx, tx, audit.Filter{What: "document issued", Object: "1", Since: now.Add(time.Second), Limit: 2})
		}
		return err
	}))
	if len(all) != 15 || all[0].Time.After(all[14].Time) {
		t.Errorf("%d events, from %s to %s", len(all), all[0].Time, all[len(all)-1].Time)
	}
	if len(some) != 2 || some[0].Object != "1" || some[1].Time.Before(some[0].Time) || !strings.HasPrefix(some[1].Chain, "gamma-") {
		t.Errorf("%+v", some)
	}
}

// Checkpoints while others append: every one of them holds.
func TestCheckpointsTogether(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		l := newTrail(t, dsn)
		done := make(chan error, 3)
		for i := range 3 {
			p := l.process("role")
			go func() {
				var problems []error
				for n := range 20 {
					at := now.Add(time.Duration(n) * 10 * time.Minute)
					problems = append(problems, p.Write(t.Context(), at, audit.Event{Tenant: "default", What: "x", Object: fmt.Sprint(i)}), p.Checkpoint(t.Context(), at))
				}
				done <- errors.Join(append(problems, p.Close(t.Context(), now))...)
			}()
		}
		for range 3 {
			l.do(<-done)
		}
		if r := l.check(now.Add(time.Hour), audit.Heads{}); len(r.Problems) != 0 || r.Checkpoints != 60 {
			t.Errorf("%+v", r)
		}
	})
}

// BenchmarkAppend is what the audit costs in a transaction, as a multiple of a
// transaction that inserts a row of the same size.
func BenchmarkAppend(b *testing.B) {
	d, err := db.Open(b.Context(), testkit.SQLite(b), "issuer", plain())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	p := audit.NewProcess(d, "issuer")
	e := audit.Event{Tenant: "default", What: "document issued", Object: "x", Detail: map[string]string{"type": "mdl"}}
	for b.Loop() {
		if err := p.Write(b.Context(), now, e); err != nil {
			b.Fatal(err)
		}
	}
	one := float64(b.Elapsed()) / float64(b.N)
	start, n := time.Now(), 500
	for i := range n {
		err := d.Tx(b.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into x (id) values ($1)`, fmt.Sprint(i)+string(bytes.Repeat([]byte("x"), 100)))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(one*float64(n)/float64(time.Since(start)), "plain-inserts")
}
