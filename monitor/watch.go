package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
)

const (
	maxLists = 64  // status lists of one tenant of a target that are looked at
	maxCerts = 256 // certificates of one tenant of a target
	atOnce   = 8   // targets that are looked at at the same time
)

// look asks all targets of a tenant.
func (m *Monitor) look(ctx context.Context, t Tenant) []Observation {
	results := make([][]Observation, len(t.Targets))
	gate := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, target := range t.Targets {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			results[i] = m.target(ctx, target)
		})
	}
	wg.Wait()
	return slices.Concat(results...)
}

// target asks one target. While it does not answer at all, nothing but its
// health is looked at: the rest keeps its last state.
func (m *Monitor) target(ctx context.Context, g Target) []Observation {
	health := m.healthOf(ctx, g)
	list := []Observation{health}
	if health.Level == Alarm {
		return list
	}
	watch := g.Watch
	if len(watch) == 0 {
		watch = []string{WatchCertificates}
	}
	for _, tenant := range g.Tenants {
		var seen []Observation
		base := g.URL + "/" + tenant
		if slices.Contains(watch, WatchCertificates) {
			seen = append(seen, m.certificates(ctx, base)...)
		}
		if slices.Contains(watch, WatchStatus) {
			seen = append(seen, m.statusLists(ctx, base)...)
		}
		if slices.Contains(watch, WatchTrust) {
			seen = append(seen, m.vical(ctx, base+"/vical"), m.anchors(ctx, base+"/anchors"))
		}
		for i := range seen {
			seen[i].Target, seen[i].Tenant = g.Name, tenant
		}
		list = append(list, seen...)
	}
	return list
}

// get fetches what has to be there.
func (m *Monitor) get(ctx context.Context, url, accept string, limit int) ([]byte, error) {
	r := fetch.GetRequest(url, accept)
	r.MaxBytes = limit
	resp, err := m.fetch(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("answered %d", resp.Status)
	}
	return resp.Body, nil
}

func wrong(subject string, err error) Observation {
	return Observation{Subject: subject, Level: Alarm, Seen: sentence(err.Error())}
}

// sentence is text of others for people, of a length that fits a page.
func sentence(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > 200 {
		s = string(r[:199]) + "…"
	}
	return s
}

// healthOf asks /readyz.
func (m *Monitor) healthOf(ctx context.Context, g Target) Observation {
	r := fetch.GetRequest(g.URL+"/readyz", "application/json")
	r.MaxBytes = 64 << 10
	o := Observation{Target: g.Name, Subject: "health", Level: OK, Seen: "ready"}
	resp, err := m.fetch(ctx, r)
	switch {
	case err != nil:
		o.Level, o.Seen = Alarm, sentence("no answer: "+err.Error())
	case resp.Status != 200:
		o.Level, o.Seen = Alarm, fmt.Sprintf("not ready, answered %d", resp.Status)
		if failing := readFailing(resp.Body); failing != "" {
			o.Seen = sentence("not ready: " + failing)
		}
	}
	return o
}

// readFailing reads which checks fail from a health answer.
func readFailing(body []byte) string {
	var h struct {
		Failing []string `json:"failing"`
	}
	if json.Unmarshal(body, &h) != nil {
		return ""
	}
	return strings.Join(h.Failing, ", ")
}

// certificate is an entry of a target's /certificates.
type certificate struct {
	Name      string    `json:"name"`
	Purpose   string    `json:"purpose"`
	NotBefore time.Time `json:"notBefore"` // zero if not told
	NotAfter  time.Time `json:"notAfter"`
}

func readCertificates(body []byte) ([]certificate, error) {
	var list []certificate
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, errors.New("not a list of certificates in JSON")
	}
	if len(list) > maxCerts {
		return nil, fmt.Errorf("%d certificates, more than %d", len(list), maxCerts)
	}
	for _, c := range list {
		if c.Name == "" || c.NotAfter.IsZero() {
			return nil, errors.New("a certificate without name or notAfter")
		}
	}
	return list, nil
}

// certificates judges the ends of a target's certificates. Of several with one
// name and purpose, during a rotation, the last one counts.
func (m *Monitor) certificates(ctx context.Context, base string) []Observation {
	const subject = "certificates"
	body, err := m.get(ctx, base+"/certificates", "application/json", 256<<10)
	if err != nil {
		return []Observation{wrong(subject, err)}
	}
	list, err := readCertificates(body)
	if err != nil {
		return []Observation{wrong(subject, err)}
	}
	if len(list) == 0 {
		return []Observation{{Subject: subject, Level: Warn, Seen: "none"}}
	}
	last := map[string]certificate{}
	for _, c := range list {
		name := sentence("certificate " + c.Name + " (" + c.Purpose + ")")
		if c.NotAfter.After(last[name].NotAfter) {
			last[name] = c
		}
	}
	seen := []Observation{{Subject: subject, Level: OK, Seen: fmt.Sprintf("%d in use", len(last))}}
	for name, c := range last {
		seen = append(seen, m.judgeCertificate(name, c, m.now()))
	}
	slices.SortFunc(seen[1:], func(a, b Observation) int { return cmp.Compare(a.Subject, b.Subject) })
	return seen
}

func (m *Monitor) judgeCertificate(subject string, c certificate, now time.Time) Observation {
	warn, alarm := m.config.Warn, m.config.Alarm
	if !c.NotBefore.IsZero() {
		life := c.NotAfter.Sub(c.NotBefore)
		warn, alarm = min(warn, life/3), min(alarm, life/10)
	}
	return judge(subject, c.NotAfter, warn, alarm, now)
}

// judge compares the end of something with now.
func judge(subject string, end time.Time, warn, alarm time.Duration, now time.Time) Observation {
	o := Observation{Subject: subject, Level: OK, Expires: end.UTC()}
	left := end.Sub(now)
	switch {
	case left <= 0:
		o.Level, o.Seen = Alarm, "ended "+span(-left)+" ago"
		return o
	case left <= alarm:
		o.Level = Alarm
	case left <= warn:
		o.Level = Warn
	}
	o.Seen = "ends in " + span(left)
	return o
}

// span is a duration for people.
func span(d time.Duration) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d >= 2*365*24*time.Hour:
		return count(int(d/(365*24*time.Hour)), "year")
	case d >= 48*time.Hour:
		return count(int(d/(24*time.Hour)), "day")
	case d >= 2*time.Hour:
		return count(int(d/time.Hour), "hour")
	case d >= 2*time.Minute:
		return count(int(d/time.Minute), "minute")
	}
	return count(int(d/time.Second), "second")
}

// judgeList judges a signed list by its own times. Publishers sign anew after
// half of the time: a list in its last third is worth a warning, in its last
// tenth an alarm.
func judgeList(subject string, issued, expires, now time.Time) Observation {
	if expires.IsZero() {
		return Observation{Subject: subject, Level: Warn, Seen: "has no end"}
	}
	life := expires.Sub(issued)
	o := judge(subject, expires, life/3, life/10, now)
	o.Seen = "signed " + span(max(0, now.Sub(issued))) + " ago, " + o.Seen
	return o
}

func readLists(body []byte) ([]string, error) {
	var l struct {
		StatusLists []string `json:"status_lists"`
	}
	if err := json.Unmarshal(body, &l); err != nil || l.StatusLists == nil {
		return nil, errors.New("not a list of status lists in JSON")
	}
	return l.StatusLists, nil
}

// statusLists judges the age of a target's status lists.
func (m *Monitor) statusLists(ctx context.Context, base string) []Observation {
	const subject = "status lists"
	body, err := m.get(ctx, base+"/status", "application/json", 1<<20)
	if err != nil {
		return []Observation{wrong(subject, err)}
	}
	lists, err := readLists(body)
	if err != nil {
		return []Observation{wrong(subject, err)}
	}
	total := len(lists)
	seen := []Observation{{Subject: subject, Level: OK, Seen: fmt.Sprintf("%d published", total)}}
	if total > maxLists {
		seen[0].Seen += fmt.Sprintf(", %d looked at", maxLists)
		lists = lists[:maxLists]
	}
	for _, uri := range lists {
		seen = append(seen, m.statusList(ctx, base, uri))
	}
	return seen
}

// statusList judges one list. It has to be at the target itself, so that a
// target cannot send the monitor elsewhere.
func (m *Monitor) statusList(ctx context.Context, base, uri string) Observation {
	subject := sentence("status list " + uri[strings.LastIndexByte(uri, '/')+1:])
	if u, err := url.Parse(uri); err != nil || u.RawQuery != "" || !strings.HasPrefix(uri, base+"/") {
		return wrong(subject, fmt.Errorf("is not below %s", base))
	}
	body, err := m.get(ctx, uri, status.MediaListJWT, 8<<20)
	if err != nil {
		return wrong(subject, err)
	}
	token, err := status.Parse(body)
	switch {
	case err != nil:
		return wrong(subject, err)
	case token.URI != uri:
		return wrong(subject, errors.New("says that it is another list"))
	}
	return judgeList(subject, token.Issued, token.Expires, m.now())
}

// vical judges the age of a trust service's list of issuers.
func (m *Monitor) vical(ctx context.Context, uri string) Observation {
	const subject = "vical"
	body, err := m.get(ctx, uri, trustlist.MediaTypeVICAL, 4<<20)
	if err != nil {
		return wrong(subject, err)
	}
	v, err := trustlist.ParseVICAL(body)
	if err != nil {
		return wrong(subject, err)
	}
	end := v.NextUpdate
	if end.IsZero() || !v.NotAfter.IsZero() && v.NotAfter.Before(end) {
		end = v.NotAfter
	}
	o := judgeList(subject, v.Date, end, m.now())
	o.Seen = fmt.Sprintf("issue %d, %d authorities, %s", v.IssueID, len(v.Entries), o.Seen)
	return o
}

// anchors judges the age of a trust service's list of other anchors.
func (m *Monitor) anchors(ctx context.Context, uri string) Observation {
	const subject = "anchors"
	body, err := m.get(ctx, uri, trustlist.MediaTypeAnchors, 4<<20)
	if err != nil {
		return wrong(subject, err)
	}
	l, err := trustlist.ParseList(string(body))
	if err != nil {
		return wrong(subject, err)
	}
	o := judgeList(subject, l.IssuedAt.Time(), l.Expires.Time(), m.now())
	o.Seen = fmt.Sprintf("issue %d, %d anchors, %s", l.Sequence, len(l.Entries), o.Seen)
	return o
}
