package main

// cli is the grammar of the command line: noun verb.
type cli struct {
	Inspect inspectCmd `cmd:"" help:"Decode anything the system speaks and name its fields by their specification."`
	Verify  verifyCmd  `cmd:"" help:"Verify a document or a response against trust anchors, and say why."`
	PKI     pkiCmd     `cmd:"" name:"pki" help:"Make and check certificates and trust lists."`
}

// commandWord is the last word of the command that runs, such as "iaca": for
// commands that share a type.
type commandWord string
