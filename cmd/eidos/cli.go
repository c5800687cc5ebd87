package main

// cli is the grammar of the command line: noun verb.
type cli struct {
	Inspect inspectCmd `cmd:"" help:"Decode anything the system speaks and name its fields by their specification."`
	Verify  verifyCmd  `cmd:"" help:"Verify a document or a response against trust anchors, and say why."`
}
