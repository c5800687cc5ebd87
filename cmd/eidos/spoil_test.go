package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/rogpeppe/go-internal/testscript"
)

// spoil makes bad input of good: "spoil IN OUT HOW [ARGUMENT…]", hex in and
// out. HOW is one of
//
//	cut N          without the last N bytes
//	replace A B    the first text A is B
//	twice          the map has its last key a second time
//	tag            the first embedded item has tag 25 instead of 24
//	nest N         the map has one more key, with N arrays in each other
//	grow N         a file of N bytes, whatever IN is
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: spoil IN OUT HOW [ARGUMENT…]")
	}
	out := ts.MkAbs(args[1])
	argument := func(i int) string {
		if len(args) <= 3+i {
			ts.Fatalf("%s wants more arguments", args[2])
		}
		return args[3+i]
	}
	number := func() int {
		n, err := strconv.Atoi(argument(0))
		ts.Check(err)
		return n
	}
	if args[2] == "grow" {
		ts.Check(os.WriteFile(out, []byte("a0"), 0o600))
		ts.Check(os.Truncate(out, int64(number())))
		return
	}
	data, err := hex.DecodeString(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	good := bytes.Clone(data)
	switch args[2] {
	case "cut":
		data = data[:len(data)-number()]
	case "replace":
		data = bytes.Replace(data, []byte(argument(0)), []byte(argument(1)), 1)
	case "twice":
		data = append(data, "\x66status\x00"...)
		data[0]++
	case "tag":
		data = bytes.Replace(data, []byte{0xd8, 24}, []byte{0xd8, 25}, 1)
	case "nest":
		data = append(append(data, "\x64deep"...), append(bytes.Repeat([]byte{0x81}, number()), 0)...)
		data[0]++
	default:
		ts.Fatalf("spoil does not know %s", args[2])
	}
	if bytes.Equal(data, good) {
		ts.Fatalf("%s changes nothing in %s", args[2], args[0])
	}
	ts.Check(os.WriteFile(out, []byte(hex.EncodeToString(data)), 0o600))
}

// request is a stranger at the servers: "http METHOD URL [FORM]". Standard
// output gets status, headers and body. FORM is as it goes over the wire; "@N"
// is N bytes of nothing.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [FORM]")
	}
	do, err := web.NewClient(web.Options{AllowLoopback: true})
	ts.Check(err)
	r := fetch.Request{Method: args[0], URL: args[1], Header: map[string]string{}}
	if len(args) > 2 {
		r.Header["content-type"] = "application/x-www-form-urlencoded"
		r.Body = []byte(args[2])
		if n, ok := strings.CutPrefix(args[2], "@"); ok {
			size, err := strconv.Atoi(n)
			ts.Check(err)
			r.Body = bytes.Repeat([]byte("a"), size)
		}
	}
	resp, err := do(context.Background(), r)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n", resp.Status)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, resp.Header[name])
	}
	fmt.Fprintf(ts.Stdout(), "\n%s\n", resp.Body)
}

// part takes a parameter out of a link in a file into an environment variable,
// perhaps with one piece of it changed: "part VARIABLE FILE PARAMETER [OLD NEW]".
func part(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 && len(args) != 5 {
		ts.Fatalf("usage: part VARIABLE FILE PARAMETER [OLD NEW]")
	}
	u, err := url.Parse(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	v := u.Query().Get(args[2])
	if v == "" {
		ts.Fatalf("no parameter %s in %s", args[2], u)
	}
	if len(args) == 5 {
		v = strings.Replace(v, args[3], args[4], 1)
	}
	ts.Setenv(args[0], v)
}
