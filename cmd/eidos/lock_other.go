//go:build !unix

package main

import "os"

// lock does nothing here: what Windows has for it is outside the standard
// library. Two processes that serve one folder then overwrite each other's
// addresses, and nothing else: SQLite itself is locked.
func lock(*os.File) error { return nil }
