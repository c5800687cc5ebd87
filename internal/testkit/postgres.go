//go:build unix

package testkit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Postgres returns the address of a new, empty database on a PostgreSQL server
// of this test binary's own, which is started at the first call and ends with
// the process. It skips the test, naming the package that is missing, where
// PostgreSQL is not installed.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := server()
	if skip, ok := errors.AsType[skipError](err); ok {
		t.Skip(string(skip))
	}
	if err != nil {
		t.Fatalf("testkit: start PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("test%d", databases.Add(1))
	if out, err := s.command("psql", "-q", "-h", s.dir, "-U", "postgres", "-c", "create database "+name).CombinedOutput(); err != nil {
		t.Fatalf("testkit: create database: %v: %s", err, out)
	}
	q := url.Values{"host": {s.dir}, "user": {"postgres"}}
	return "postgres:///" + name + "?" + q.Encode()
}

// serverOf is the server of a database that Postgres has made, and its name.
func serverOf(t testing.TB, dsn string) (*pgServer, string) {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return s, strings.TrimPrefix(u.Path, "/")
}

// PostgresCopy dumps a database that Postgres has made, with further arguments
// for pg_dump, restores it into a new one, and returns its address.
func PostgresCopy(t testing.TB, dsn string, args ...string) string {
	t.Helper()
	s, name := serverOf(t, dsn)
	dump, err := s.command("pg_dump", append(args, "-h", s.dir, "-U", "postgres", name)...).Output()
	if err != nil {
		t.Fatalf("testkit: pg_dump: %v", err)
	}
	restored := Postgres(t)
	_, name = serverOf(t, restored)
	cmd := s.command("psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", s.dir, "-U", "postgres", name)
	cmd.Stdin = bytes.NewReader(dump)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("testkit: restore: %v: %s", err, out)
	}
	return restored
}

// pgServer is a running server. It listens on a socket in dir only.
type pgServer struct {
	bin  string // Debian's /usr/lib/postgresql/NN/bin
	dir  string
	cred *syscall.Credential // of the user postgres if we are root, else nil

	// keepAlive ends the server when the process ends and it is closed with it.
	keepAlive *os.File
}

// skipError says why there can be no server here.
type skipError string

func (e skipError) Error() string { return string(e) }

var (
	server    = sync.OnceValues(startPostgres)
	databases atomic.Int64
)

func startPostgres() (*pgServer, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(bins) == 0 {
		return nil, skipError("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/initdb (Debian package postgresql); `make test` installs it when run as root")
	}
	s := &pgServer{bin: filepath.Dir(bins[len(bins)-1])}
	if _, err := os.Stat(filepath.Join(s.bin, "psql")); err != nil {
		return nil, skipError("PostgreSQL's psql is not installed: no " + s.bin + "/psql (Debian package postgresql-client)")
	}
	if s.dir, err = os.MkdirTemp("", "eidos-pg-"); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // the server refuses to run as root
		if err := s.becomePostgres(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(s.dir))
		}
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *pgServer) becomePostgres() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return skipError("there is no user postgres to run PostgreSQL as (Debian package postgresql makes it)")
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

// start makes a database cluster and a server on it. The script outlives us
// by as long as it takes to stop the server and to remove the directory: its
// standard input ends when we do, however we end.
func (s *pgServer) start() error {
	const script = `
		trap 'rm -rf "$1"' EXIT
		initdb -D "$1/data" -U postgres -A trust -E UTF8 --locale=C -N >"$1/log" 2>&1 || { tail -n 5 "$1/log"; exit 1; }
		postgres -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c full_page_writes=off \
			-c synchronous_commit=off -c shared_buffers=32MB -c max_connections=200 \
			-c max_wal_size=64MB -c min_wal_size=32MB >"$1/log" 2>&1 </dev/null &
		server=$!
		n=0
		until pg_isready -q -h "$1"; do
			n=$((n + 1))
			if [ $n -gt 600 ] || ! kill -0 $server; then tail -n 5 "$1/log"; kill -QUIT $server; exit 1; fi
			sleep 0.1
		done
		echo ready
		read _
		kill -INT $server
		wait $server`
	cmd := s.command("sh", "-c", script, "sh", s.dir)
	cmd.Dir = s.dir
	cmd.SysProcAttr.Setpgid = true // an interrupt at the terminal is for us, and reaches it through us
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		return errors.Join(err, w.Close())
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			s.keepAlive = w
			return nil
		}
		said = append(said, lines.Text())
	}
	return fmt.Errorf("%v: %s", errors.Join(cmd.Wait(), w.Close()), strings.Join(said, "; "))
}

// command prepares one of PostgreSQL's programs as the server's user.
func (s *pgServer) command(name string, args ...string) *exec.Cmd {
	if path := filepath.Join(s.bin, name); name != "sh" {
		name = path
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "LC_ALL=C", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

// PostgresStored returns what is on disk of a database that Postgres has made: a
// dump of it, the server's log of writes, and all of its files but those of other
// databases.
func PostgresStored(t testing.TB, dsn string) (dump, files []byte) {
	t.Helper()
	s, name := serverOf(t, dsn)
	run := func(program string, args ...string) []byte {
		t.Helper()
		out, err := s.command(program, append(args, "-h", s.dir, "-U", "postgres", name)...).Output()
		if err != nil {
			t.Fatalf("testkit: %s: %v", program, err)
		}
		return out
	}
	data := filepath.Join(s.dir, "data")
	writes, base := filepath.Join(data, "pg_wal"), filepath.Join(data, "base")
	files = appendFiles(t, nil, writes) // before a checkpoint lets go of it
	run("psql", "-q", "-c", "checkpoint")
	own := strings.TrimSpace(string(run("psql", "-q", "-At", "-c", "select oid from pg_database where datname = current_database()")))
	files = appendFiles(t, files, data, writes, base)
	return run("pg_dump"), appendFiles(t, files, filepath.Join(base, own))
}

// appendFiles appends the contents of all files below a folder, but for those
// below others.
func appendFiles(t testing.TB, to []byte, dir string, but ...string) []byte {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist): // the server makes and removes files as it likes
			return nil
		case err != nil:
			return err
		case slices.Contains(but, path):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		to = append(to, data...)
		return err
	})
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return to
}
