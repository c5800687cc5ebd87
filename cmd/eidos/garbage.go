package main

import "runtime"

// collectLater makes the garbage collector wait until there are tens of
// megabytes to collect, until keep is called. Our heap is a few megabytes, so
// that it would run after every few documents that are issued, each time over
// all goroutines. What it works by is memory that is counted but never touched,
// so that the system gives none for it: unlike a higher GOGC, it costs a process
// with a large heap nothing in proportion.
func collectLater() (keep func()) {
	const room = 32 << 20
	untouched := make([]byte, room)
	return func() { runtime.KeepAlive(untouched) }
}
