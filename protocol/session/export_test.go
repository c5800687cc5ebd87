package session

// Sessions with given ephemeral keys, for vectors only.
var (
	NewDeviceWithKey = newDevice
	NewReaderWithKey = newReader
)

// AskAgain lets the reader break the rule that a response comes first.
func AskAgain(r *Reader) { r.state = answered }

// DeviceHoldsKeys and ReaderHoldsKeys say whether there is a key left.
func DeviceHoldsKeys(d *Device) bool { return d.private != nil || d.channel != nil }
func ReaderHoldsKeys(r *Reader) bool { return r.private != nil || r.channel != nil }

// SkipMessage acts as if the reader had sent a message that was lost.
func SkipMessage(r *Reader) { r.channel.send.counter++ }
