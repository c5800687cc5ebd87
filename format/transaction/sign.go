package transaction

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
)

// qualifiers are the kinds of signature. CSC API 2.1, 11.11.
var qualifiers = map[string]string{
	"eu_eidas_qes": "qualified electronic signature (EU)", "eu_eidas_aes": "advanced electronic signature (EU)",
	"eu_eidas_aesqc": "advanced electronic signature with a qualified certificate (EU)", "eu_eidas_qeseal": "qualified electronic seal (EU)",
	"eu_eidas_aeseal": "advanced electronic seal (EU)", "eu_eidas_aesealqc": "advanced electronic seal with a qualified certificate (EU)",
	"za_ecta_aes": "advanced electronic signature (South Africa)", "za_ecta_oes": "ordinary electronic signature (South Africa)",
}

// digest is a hash algorithm of a document.
type digest struct {
	name string // as in the Named Information Hash Algorithm Registry
	size int
}

// digests by object identifier.
var digests = map[string]digest{
	"2.16.840.1.101.3.4.2.1": {"sha-256", 32}, "2.16.840.1.101.3.4.2.2": {"sha-384", 48}, "2.16.840.1.101.3.4.2.3": {"sha-512", 64},
}

// hashTypes say what a hash is of. CSC Data Model 1.0.0; without one it is that
// of the data to be signed.
var hashTypes = map[string]string{"sodr": "of the document", "dtbsr": "of the data to be signed"}

// accesses are the ways to get at a document.
var accesses = map[string]string{"public": "public", "OTP": "OTP"}

// maxDocuments is how many documents one approval can be about.
const maxDocuments = 32

// signApproval approves that a remote service signs. The list of documents is
// documentDigests, with ETSI TS 119 432, B.6.2, or documentInfos in other
// writings of the same object.
//
// CSC Data Model Bindings 1.0.0, 7.1.
func signApproval(o *object, _ time.Time) Summary {
	var l lines
	s := Summary{Record: Record{Name: "Signature"}}
	n := o.count("numSignatures", true, 1000)
	kind, id := o.one("signatureQualifier", false, qualifiers), o.text("credentialID", false, maxName)
	if kind == "" && id == "" {
		o.fail("signatureQualifier", "missing, and no credentialID in its place")
	}
	l.say("signatures in your name", fmt.Sprint(n))
	l.say("kind", kind)
	l.say("signing key", id)
	alg, ok := digests[o.text("hashAlgorithmOID", true, 64)]
	if !ok {
		o.fail("hashAlgorithmOID", "neither SHA-256, SHA-384 nor SHA-512")
	}
	s.ApprovalHash = alg.name
	member := "documentDigests"
	if _, ok := o.members["documentInfos"]; ok {
		member = "documentInfos"
	}
	o.each(member, maxDocuments, func(d *object) { s.Record.Documents = append(s.Record.Documents, l.document(d, alg)) })
	l.fact(n > len(s.Record.Documents), "more signatures than documents are listed")
	if list, ok := o.take("locations", false); ok {
		for i, where := range o.texts("locations", list) {
			l.say(fmt.Sprintf("signing service %d", i+1), where)
		}
	}
	s.Lines = l
	return s
}

// document is one of those to be signed, and returns what it is called.
func (l *lines) document(d *object, alg digest) string {
	name := d.text("label", false, maxName)
	if name == "" {
		name = "without a name"
	}
	l.say("document", name)
	of := d.one("hashType", false, hashTypes)
	if of == "" {
		of = hashTypes["dtbsr"]
	}
	hash, err := base64.StdEncoding.DecodeString(d.text("hash", true, 100))
	if err != nil || len(hash) != alg.size {
		d.fail("hash", "no %s hash in base64", alg.name)
	}
	l.say(alg.name+" "+of, hex.EncodeToString(hash))
	l.say("to be found at", d.webAddress("href"))
	if a := d.object("access"); a != nil {
		a.one("type", true, accesses)
		l.say("with the one-time password", a.text("oneTimePassword", false, maxName))
		a.end()
	}
	l.checksum(d)
	return name
}

// checksum is that of the file at href: an object, or a text of Subresource
// Integrity.
func (l *lines) checksum(d *object) {
	raw, ok := d.members["checksum"]
	if !ok || len(raw) > 0 && raw[0] == '"' {
		l.say("checksum of what is found there", d.text("checksum", false, maxName))
		return
	}
	c := d.object("checksum")
	if c == nil {
		return
	}
	value := c.text("value", true, 100)
	alg, ok := digests[c.text("algorithmOID", true, 64)]
	if !ok {
		c.fail("algorithmOID", "neither SHA-256, SHA-384 nor SHA-512")
	}
	l.say("checksum of what is found there, "+alg.name, value)
	c.end()
}
