package mdoc

import (
	"bytes"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
)

// pieces collects a message that is mostly made of stored parts: those are
// taken as they are, and copied once, when the message is put together.
type pieces struct {
	parts [][]byte
	glue  []byte // what stands between the parts
	start int    // of the glue that is not in parts yet
}

// part adds stored bytes.
func (p *pieces) part(b []byte) {
	p.flush()
	p.parts = append(p.parts, b)
}

// flush makes a part of the glue written since the last. Should the glue move
// to a larger array later, the part stays in the old one.
func (p *pieces) flush() {
	if n := len(p.glue); n > p.start {
		p.parts = append(p.parts, p.glue[p.start:n:n])
		p.start = n
	}
}

// join returns the message.
func (p *pieces) join() []byte {
	p.flush()
	return bytes.Join(p.parts, nil) // allocates once, without clearing first
}

func (p *pieces) text(s string) { p.glue = cbor.AppendText(p.glue, s) }
func (p *pieces) mapOf(n int)   { p.glue = cbor.AppendMap(p.glue, n) }
func (p *pieces) arrayOf(n int) { p.glue = cbor.AppendArray(p.glue, n) }

// EncodeResponse writes the DeviceResponse of finished presentations, version
// "1.0", status 0, maps in the order of the CDDL. Without presentations and
// errors it is an empty response. A presentation without proof is [ErrSyntax].
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2.
func EncodeResponse(documents []*Presentation, errors []DocumentError) ([]byte, error) {
	members, count := 2, 4
	if len(documents) > 0 {
		members++
	}
	if len(errors) > 0 {
		members++
	}
	for i, d := range documents {
		if d.proof == nil {
			return nil, fmt.Errorf("response: %w: document %d has no device signature or MAC", ErrSyntax, i)
		}
		count += 8
		for _, sel := range d.items {
			count += 1 + len(sel.items)
		}
	}
	p := pieces{parts: make([][]byte, 0, count), glue: make([]byte, 0, 512)}
	p.mapOf(members)
	p.text("version")
	p.text("1.0")
	if len(documents) > 0 {
		p.text("documents")
		p.arrayOf(len(documents))
		for _, d := range documents {
			d.encode(&p)
		}
	}
	if len(errors) > 0 {
		p.text("documentErrors")
		p.arrayOf(len(errors))
		for _, e := range errors {
			p.mapOf(1)
			p.text(e.DocType)
			p.glue = cbor.AppendInt(p.glue, e.Code)
		}
	}
	p.text("status")
	p.glue = cbor.AppendUint(p.glue, StatusOK)
	return p.join(), nil
}

// encode writes the Document.
func (d *Presentation) encode(p *pieces) {
	if len(d.errors) > 0 {
		p.mapOf(4)
	} else {
		p.mapOf(3)
	}
	p.text("docType")
	p.text(d.mso.DocType)
	p.text("issuerSigned")
	if len(d.items) > 0 {
		p.mapOf(2)
		p.text("nameSpaces")
		p.mapOf(len(d.items))
		for _, sel := range d.items {
			p.text(sel.name)
			p.arrayOf(len(sel.items))
			for _, item := range sel.items {
				p.part(item.Raw)
			}
		}
	} else {
		p.mapOf(1)
	}
	p.text("issuerAuth")
	p.part(d.issuerAuth)
	p.text("deviceSigned")
	p.mapOf(2)
	p.text("nameSpaces")
	p.part(d.device)
	p.text("deviceAuth")
	p.part(d.proof)
	if len(d.errors) > 0 {
		p.text("errors")
		p.glue = appendErrors(p.glue, d.errors)
	}
}

func appendErrors(b []byte, errs []ElementError) []byte {
	refs, codes := make([]ElementRef, 0, len(errs)), make(map[ElementRef]int64, len(errs))
	for _, e := range errs {
		if _, known := codes[e.ElementRef]; !known {
			refs = append(refs, e.ElementRef)
		}
		codes[e.ElementRef] = e.Code
	}
	names, byName := grouped(refs)
	b = cbor.AppendMap(b, len(names))
	for _, ns := range names {
		b = cbor.AppendMap(cbor.AppendText(b, ns), len(byName[ns]))
		for _, id := range byName[ns] {
			b = cbor.AppendInt(cbor.AppendText(b, id), codes[ElementRef{ns, id}])
		}
	}
	return b
}

// EncodeErrorResponse writes a DeviceResponse without documents and with an
// error status, such as [StatusCBORDecodingError]. ISO/IEC 18013-5:2021, 8.3.2.1.2.3.
func EncodeErrorResponse(status uint64) []byte {
	b := cbor.AppendText(cbor.AppendText(cbor.AppendMap(nil, 2), "version"), "1.0")
	return cbor.AppendUint(cbor.AppendText(b, "status"), status)
}
