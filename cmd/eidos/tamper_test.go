package main

import (
	"database/sql"

	"github.com/rogpeppe/go-internal/testscript"
)

// tamper runs a statement on a database file behind the roles' backs: "tamper
// FILE STATEMENT".
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tamper FILE STATEMENT")
	}
	d, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer d.Close()
	r, err := d.Exec(args[1])
	ts.Check(err)
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("%d rows were changed, error %v", n, err)
	}
}
