package session

import (
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
)

// limits of a message. What is encrypted is one byte string to the parser.
var limits = cbor.Limits{Size: MaxMessage, Depth: 16, Items: 256}

// message is a SessionEstablishment or a SessionData: their members differ, so
// one parser reads both and the state machines say what they expect.
//
//	SessionEstablishment = { "eReaderKey": EReaderKeyBytes, "data": bstr }
//	SessionData          = { ? "data": bstr, ? "status": uint }
//
// ISO/IEC 18013-5:2021, 9.1.1.4. Other text keys are reserved and ignored.
type message struct {
	readerKey []byte // #6.24(bstr .cbor COSE_Key), tag included; nil if absent
	key       []byte // the COSE_Key in it
	data      []byte // nil if absent, else not nil
	status    Status // StatusNone if absent
}

func parse(raw []byte) (message, error) {
	var m message
	r := cbor.ReadChecked(raw, limits)
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "eReaderKey":
			m.readerKey, m.key = r.Embedded()
			r.In("eReaderKey")
		case "data":
			m.data = r.Bytes()
			if m.data == nil {
				m.data = []byte{}
			}
			r.In("data")
		case "status":
			m.status = Status(r.Uint())
			if r.Err() == nil && m.status == StatusNone {
				r.Failf("0 is no status code")
			}
			r.In("status")
		default:
			r.Skip()
		}
	})
	if err := r.Done(); err != nil {
		return message{}, fmt.Errorf("%w: %w (ISO/IEC 18013-5:2021, 9.1.1.4)", ErrDecoding, err)
	}
	return m, nil
}

// statusMessage is a SessionData with a status and nothing else.
func statusMessage(s Status) []byte {
	b := cbor.AppendText(cbor.AppendMap(nil, 1), "status")
	return cbor.AppendUint(b, uint64(s))
}
