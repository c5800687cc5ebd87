package statuslist_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/statuslist"
)

const (
	childDSN  = "STATUSLIST_TEST_DSN" // makes the test binary a process that takes entries
	childSize = 5000
)

// TestMain lets the test binary be that process.
func TestMain(m *testing.M) {
	if dsn := os.Getenv(childDSN); dsn != "" {
		takeForever(dsn)
	}
	os.Exit(m.Run())
}

// takeForever prints what it takes, a line for each entry, until it is killed.
// An entry counts as handed out when its line is complete.
func takeForever(dsn string) {
	ctx := context.Background()
	d, err := db.Open(ctx, dsn, "role", officeSchema)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	a := statuslist.NewAllocator(statuslist.Records(d.Records()), childSize)
	for {
		entries, err := a.Take(ctx, pool, 7)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, e := range entries {
			fmt.Printf("%s %d\n", e.List, e.Index)
		}
	}
}

// Processes on one database never give an index twice, also when they are
// killed at any moment and others go on.
func TestTakeInProcesses(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		openDB(t, dsn) // makes the tables
		const each = 4000
		lines := make(chan string, 1000)
		for _, enough := range []int{each / 7, each, 50, each} { // when each is killed
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDSN+"="+dsn)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() {
				n := 0
				for s := bufio.NewScanner(out); s.Scan(); n++ {
					lines <- s.Text()
					if n == enough {
						cmd.Process.Kill()
					}
				}
				cmd.Wait()
				lines <- "" // this one has ended
			}()
		}
		seen, lists, longest := map[string]bool{}, map[string]int{}, 0
		for ended := 0; ended < 4; {
			line := <-lines
			if line == "" {
				ended++
				continue
			}
			var e statuslist.Entry
			if _, err := fmt.Sscanf(line, "%s %d", &e.List, &e.Index); err != nil || len(e.List) != 22 {
				continue // cut off
			}
			if seen[line] {
				t.Errorf("given twice: %s", line)
			}
			seen[line] = true
			lists[e.List]++
			longest = max(longest, lists[e.List])
		}
		if len(seen) < 2*each || len(lists) < 2 || longest < childSize/2 {
			t.Errorf("%d entries of %d lists", len(seen), len(lists))
		}
	})
}
