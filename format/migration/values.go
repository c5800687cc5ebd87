package migration

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Time is a time to the second, in UTC: TS10 writes it without a zone.
type Time time.Time

const layout = "2006-01-02T15:04:05"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(t).UTC().Format(layout))
}

// UnmarshalJSON also takes times with a zone.
func (t *Time) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	at, err := time.Parse(layout, s)
	if err != nil {
		at, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return fmt.Errorf("time is not %s (EUDI TS10, 3.1)", layout)
	}
	*t = Time(at.UTC())
	return nil
}

// Text is a name. TS10 has it as a MultiLangString, and as a plain string in
// its example: both are read, and of several the first counts.
type Text string

// MarshalJSON writes the object; the language of names is not known.
func (t Text) MarshalJSON() ([]byte, error) {
	return json.Marshal(LangString{Lang: "und", Content: string(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		return json.Unmarshal(data, (*string)(t))
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil || len(list) == 0 {
			return err
		}
		if list[0][0] == '[' {
			return fmt.Errorf("name is a list of lists")
		}
		return t.UnmarshalJSON(list[0])
	}
	var s LangString
	err := json.Unmarshal(data, &s)
	*t = Text(s.Content)
	return err
}

// Bool is a boolean, which TS10's example writes as a string.
type Bool bool

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bool) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `"`)) {
	case "true":
		*b = true
	case "false":
		*b = false
	default:
		return fmt.Errorf("neither TRUE nor FALSE")
	}
	return nil
}

// Claim is the path of a claim (OpenID4VP 1.0, 7): its steps are strings,
// indexes, or nil for all elements of an array. TS10 has paths as strings: one
// of a single name is that name, others are their JSON.
type Claim []any

// MarshalJSON implements json.Marshaler.
func (c Claim) MarshalJSON() ([]byte, error) {
	if len(c) == 1 {
		if name, ok := c[0].(string); ok && !strings.HasPrefix(name, "[") {
			return json.Marshal(name)
		}
	}
	path, err := json.Marshal([]any(c))
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(path))
}

// UnmarshalJSON also takes the path as a JSON array.
func (c *Claim) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		if !strings.HasPrefix(s, "[") {
			*c = Claim{s}
			return nil
		}
		data = []byte(s)
	}
	var steps []any
	if err := json.Unmarshal(data, &steps); err != nil {
		return fmt.Errorf("path of a claim: %w", err)
	}
	if len(steps) == 0 || len(steps) > 32 {
		return fmt.Errorf("path of a claim with %d steps", len(steps))
	}
	for i, step := range steps {
		switch v := step.(type) {
		case nil, string:
		case float64:
			if v < 0 || v != float64(int(v)) {
				return fmt.Errorf("path of a claim: step %d is no index", i+1)
			}
			steps[i] = int(v)
		default:
			return fmt.Errorf("path of a claim: step %d is neither name nor index (OpenID4VP 1.0, 7)", i+1)
		}
	}
	*c = steps
	return nil
}
