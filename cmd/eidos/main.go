// Command eidos is the whole of a mobile eID system in one binary: every role
// of ISO/IEC 23220-1 as a server, the mdoc app and the reader at the shell,
// and the tools to look into what they say to each other.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
