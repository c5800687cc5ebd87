package trust

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
)

// The number of a list that was published after the backup does not come again,
// and the pins of the sources are still there.
func TestRestore(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, w := t.Context(), newWorld(t, dsn)
		s := w.process(Config{})
		w.demo()
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(dsn, "sqlite:") {
			w.dsn = "sqlite:" + filepath.Join(t.TempDir(), "copy.db")
			if err := s.db.Backup(ctx, strings.TrimPrefix(w.dsn, "sqlite:")); err != nil {
				t.Fatal(err)
			}
		} else {
			w.dsn = testkit.PostgresCopy(t, dsn, "--exclude-table-data=*."+db.TableWithoutData)
		}
		for range 3 {
			w.Pass(4 * day)
			if err := s.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
		}
		last := number(t, testkit.Through(s.Handler()))
		w.Pass(4 * day)
		restored := w.process(Config{})
		if err := restored.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		first := number(t, testkit.Through(restored.Handler()))
		if first <= last {
			t.Errorf("issue %d after %d", first, last)
		}
		w.Pass(4 * day)
		if err := restored.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if next := number(t, testkit.Through(restored.Handler())); next != first+1 {
			t.Errorf("issue %d after %d", next, first)
		}
		anchors, err := restored.Anchors(ctx, "default")
		if err != nil || len(anchors) == 0 || anchors[0].Pinned.IsZero() {
			t.Errorf("pins: %+v, %v", anchors, err)
		}
	})
}
