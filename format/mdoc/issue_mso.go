package mdoc

import (
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
)

// mso encodes MobileSecurityObjectBytes.
func (p *IssueParams) mso(all []nameSpaceDigests) ([]byte, error) {
	size, n := 768, digestSize(p.DigestAlgorithm)
	for i := range all {
		size += len(p.NameSpaces[i].Name) + 16 + len(all[i].values) + 8*all[i].n
	}
	members := 6
	if p.Status != nil {
		members = 7
	}
	b := cbor.AppendMap(make([]byte, 0, size), members)
	b = cbor.AppendText(cbor.AppendText(b, "version"), "1.0")
	b = cbor.AppendText(cbor.AppendText(b, "digestAlgorithm"), p.DigestAlgorithm)
	b = cbor.AppendMap(cbor.AppendText(b, "valueDigests"), len(all))
	for i := range all {
		b = cbor.AppendMap(cbor.AppendText(b, p.NameSpaces[i].Name), all[i].n)
		for id := range all[i].n {
			b = cbor.AppendBytes(cbor.AppendUint(b, uint64(id)), all[i].values[id*n:(id+1)*n])
		}
	}
	b, err := p.deviceKeyInfo(cbor.AppendText(b, "deviceKeyInfo"))
	if err != nil {
		return nil, err
	}
	b = cbor.AppendText(cbor.AppendText(b, "docType"), p.DocType)
	b = appendValidity(cbor.AppendText(b, "validityInfo"), &p.Validity)
	if p.Status != nil {
		b = p.Status.AppendCBOR(cbor.AppendText(b, "status"))
	}
	return cbor.AppendEmbedded(make([]byte, 0, len(b)+8), b), nil
}

func (p *IssueParams) deviceKeyInfo(b []byte) ([]byte, error) {
	k := &p.KeyAuthorizations
	members := 1
	if len(k.NameSpaces)+len(k.Elements) > 0 {
		members = 2
	}
	b = cbor.AppendText(cbor.AppendMap(b, members), "deviceKey")
	b, err := cose.AppendKey(b, p.DeviceKey)
	if err != nil {
		return nil, fmt.Errorf("device key: %w: %w", ErrKey, err)
	}
	if members == 1 {
		return b, nil
	}
	members = 0
	if len(k.NameSpaces) > 0 {
		members++
	}
	if len(k.Elements) > 0 {
		members++
	}
	b = cbor.AppendMap(cbor.AppendText(b, "keyAuthorizations"), members)
	if len(k.NameSpaces) > 0 {
		b = cbor.AppendArray(cbor.AppendText(b, "nameSpaces"), len(k.NameSpaces))
		for _, ns := range k.NameSpaces {
			b = cbor.AppendText(b, ns)
		}
	}
	if len(k.Elements) > 0 {
		names, byName := grouped(k.Elements)
		b = cbor.AppendMap(cbor.AppendText(b, "dataElements"), len(names))
		for _, ns := range names {
			b = cbor.AppendArray(cbor.AppendText(b, ns), len(byName[ns]))
			for _, id := range byName[ns] {
				b = cbor.AppendText(b, id)
			}
		}
	}
	return b, nil
}

// grouped sorts references by name space, first come first.
func grouped(refs []ElementRef) (names []string, byName map[string][]string) {
	byName = make(map[string][]string)
	for _, ref := range refs {
		if _, known := byName[ref.NameSpace]; !known {
			names = append(names, ref.NameSpace)
		}
		byName[ref.NameSpace] = append(byName[ref.NameSpace], ref.ID)
	}
	return names, byName
}

func appendValidity(b []byte, v *Validity) []byte {
	members := 3
	if !v.ExpectedUpdate.IsZero() {
		members = 4
	}
	b = cbor.AppendTDate(cbor.AppendText(cbor.AppendMap(b, members), "signed"), v.Signed)
	b = cbor.AppendTDate(cbor.AppendText(b, "validFrom"), v.ValidFrom)
	b = cbor.AppendTDate(cbor.AppendText(b, "validUntil"), v.ValidUntil)
	if members == 4 {
		b = cbor.AppendTDate(cbor.AppendText(b, "expectedUpdate"), v.ExpectedUpdate)
	}
	return b
}
