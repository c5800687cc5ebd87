package engagement

import (
	"errors"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
)

// Categories and types of OriginInfo. ISO/IEC TS 18013-7 second edition
// (N2544), A.3.
const (
	categoryReceived = 1
	originDomain     = 1
)

// FromDomain says that the engagement answers one that came from a page of a
// domain, which the platform has told; empty if it has not.
//
// ISO/IEC TS 18013-7 second edition (N2544), A.3.2.
func FromDomain(domain string) OriginInfo {
	return OriginInfo{Category: categoryReceived, Type: originDomain, Domain: domain}
}

// CameFrom reports whether the mdoc says that it received the reader's
// engagement from a page of the domain. An mdoc that does not know says no:
// whoever passed on the link would not be noticed.
//
// ISO/IEC TS 18013-7 second edition (N2544), A.3.2 and 6.4.4.3.
func (e *DeviceEngagement) CameFrom(domain string) bool {
	said := 0
	for _, o := range e.OriginInfos {
		if o.Type != originDomain {
			continue
		}
		if said++; said > 1 || o.Category != categoryReceived || o.Domain == "" || !strings.EqualFold(o.Domain, domain) {
			return false
		}
	}
	return said == 1
}

// Message is how an mdoc sends its engagement to a website.
//
//	DeviceEngagementMessage = { "deviceEngagementBytes": DeviceEngagementBytes }
//
// ISO/IEC TS 18013-7 second edition (N2544), A.7.
func (e *DeviceEngagement) Message() []byte {
	b := cbor.AppendText(cbor.AppendMap(make([]byte, 0, len(e.Raw)+32), 1), "deviceEngagementBytes")
	return cbor.AppendEmbedded(b, e.Raw)
}

// ParseMessage reads a DeviceEngagementMessage, as strictly as Parse. Other
// members are ignored.
//
// ISO/IEC TS 18013-7 second edition (N2544), A.7.
func ParseMessage(raw []byte) (*DeviceEngagement, error) {
	var inner []byte
	r := cbor.ReadChecked(raw, cbor.Limits{Size: MaxSize + 1<<10, Depth: limits.Depth, Items: limits.Items})
	r.Map(func() {
		if string(r.TextBytes()) != "deviceEngagementBytes" {
			r.Skip()
			return
		}
		_, inner = r.Embedded()
		r.In("deviceEngagementBytes")
	})
	err := r.Done()
	if err == nil && inner == nil {
		err = errors.New("deviceEngagementBytes is missing")
	}
	if err != nil {
		return nil, fail("DeviceEngagementMessage", err)
	}
	return Parse(inner)
}
