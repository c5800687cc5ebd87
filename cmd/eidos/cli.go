package main

// cli is the grammar of the command line: noun verb.
type cli struct {
	Demo     demoCmd     `cmd:"" help:"Play the whole life of a mobile document, then stay up for people to try."`
	Serve    serveCmd    `cmd:"" help:"Serve one role, several, or all."`
	Config   configCmd   `cmd:"" help:"Check a configuration, or print its manual."`
	Issuer   issuerCmd   `cmd:"" help:"The issuing authority's officer: offer, list, revoke."`
	Provider providerCmd `cmd:"" help:"The mdoc app provider's operator: list and revoke installations."`
	Trust    trustCmd    `cmd:"" help:"The trust service's operator: list the anchors, accept a changed key."`
	Wallet   walletCmd   `cmd:"" help:"The mdoc app: install, accept, show, present."`
	Reader   readerCmd   `cmd:"" help:"The mdoc reader: read nearby, also offline."`
	Verifier verifierCmd `cmd:"" help:"The relying party: ask over the internet."`
	Inspect  inspectCmd  `cmd:"" help:"Decode anything the system speaks and name its fields by their specification."`
	Verify   verifyCmd   `cmd:"" help:"Verify a document or a response against trust anchors, and say why."`
	PKI      pkiCmd      `cmd:"" name:"pki" help:"Make and check certificates and trust lists."`
	DB       dbCmd       `cmd:"" name:"db" help:"Back up the databases of the roles; say that they were restored."`
	Hammer   hammerCmd   `cmd:"" help:"Load our own servers and say what they bear."`
	Audit    auditCmd    `cmd:"" help:"What roles have decided, and whether the books were changed since."`
}

// commandWord is the second word of the command that runs, such as "iaca" of
// "pki iaca import": for commands that share a type.
type commandWord string

// commandNoun is its first word, which names a role, for commands that roles
// share.
type commandNoun string
