package transaction

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// lines collects what is said to the holder. What others wrote stands behind a
// colon, so that it cannot pass for what we say.
type lines []string

func (l *lines) say(label, value string) {
	if value != "" {
		*l = append(*l, label+": "+value)
	}
}

func (l *lines) fact(is bool, text string) {
	if is {
		*l = append(*l, text)
	}
}

func (l *lines) date(label string, day time.Time) {
	if !day.IsZero() {
		l.say(label, says(day))
	}
}

// transactionID is in every payload. EUDI TS12 1.0.1, 4.3, and its JSON schemas.
func (l *lines) transactionID(o *object, r *Record) {
	r.ID = o.text("transaction_id", true, 36)
	l.say("number of the transaction", r.ID)
	if s := o.text("date_time", false, 40); s != "" {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			o.fail("date_time", "no date and time (RFC 3339)")
		}
		l.say("begun", s)
	}
}

// provider reads who initiates a payment, or sees an account.
func (l *lines) provider(o *object, member, does string, r *Record) {
	p := o.object(member)
	if p == nil {
		return
	}
	r.Provider = p.text("legal_name", true, maxName)
	brand, domain := p.text("brand_name", true, maxName), p.text("domain_name", true, 253)
	p.end()
	l.say(does, brand)
	l.say("its legal name", r.Provider)
	l.say("its domain", domain)
}

// frequencies are the codes of ISO 20022. EUDI TS12 1.0.1, 4.3.1.
var frequencies = map[string]string{
	"INDA": "several times a day", "DAIL": "daily", "WEEK": "weekly", "TOWK": "every two weeks", "TWMN": "twice a month", "MNTH": "monthly",
	"TOMN": "every two months", "QUTR": "quarterly", "FOMN": "every four months", "SEMI": "twice a year", "YEAR": "yearly", "TYEA": "every two years",
}

// payment is a payment to confirm. EUDI TS12 1.0.1, 4.3.1.
func payment(o *object, now time.Time) Summary {
	var l lines
	s := Summary{Record: Record{Name: "Payment Confirmation"}}
	l.payment(o, now, &s.Record)
	s.Lines = l
	return s
}

func (l *lines) payment(o *object, now time.Time, r *Record) {
	currency := o.currency("currency")
	amount := o.amount("amount", true, currency)
	regular := o.object("recurrence")
	if regular != nil {
		l.say("regular payments of", amount)
	} else {
		l.say("payment of", amount)
	}
	l.fact(o.yes("amount_estimated"), "the amount is an estimate")
	if payee := o.need("payee"); payee != nil {
		r.Payee = payee.text("name", true, maxName)
		l.say("to", r.Payee)
		l.say("whose account or number is", payee.text("id", true, maxName))
		l.say("and whose website is", payee.webAddress("website"))
		payee.text("logo", false, maxLogo) // is not fetched: that would tell who is about to pay
		payee.end()
	}
	l.provider(o, "pisp", "the payment is initiated by", r)
	day := o.day("execution_date")
	if !day.IsZero() && regular != nil {
		o.fail("execution_date", "together with recurrence")
	}
	// Somewhere on earth it is still yesterday.
	if !day.IsZero() && day.Before(now.UTC().Add(-12*time.Hour).Truncate(24*time.Hour)) {
		o.fail("execution_date", "lies in the past")
	}
	l.date("to be paid on", day)
	l.fact(o.yes("amount_earmarked"), "the payee has the amount set aside at once")
	l.fact(o.yes("sct_inst"), "as SEPA instant credit transfer")
	if regular != nil {
		l.recurrence(regular, currency)
	}
	l.transactionID(o, r)
}

func (l *lines) recurrence(o *object, currency string) {
	l.say("how often", o.one("frequency", true, frequencies))
	start, end := o.day("start_date"), o.day("end_date")
	if !start.IsZero() && !end.IsZero() && end.Before(start) {
		o.fail("end_date", "before start_date")
	}
	n := o.count("number", false, 100_000)
	l.date("from", start)
	l.date("until", end)
	if n > 0 {
		l.say("how many payments", fmt.Sprint(n))
	}
	l.fact(end.IsZero() && n == 0, "without an end")
	if m := o.object("mit_options"); m != nil {
		l.fact(m.yes("amount_variable"), "the amount may differ from one payment to the next")
		l.say("each at least", m.amount("min_amount", false, currency))
		l.say("each at most", m.amount("max_amount", false, currency))
		l.say("all together", m.amount("total_amount", false, currency))
		l.say("the first payments", m.amount("initial_amount", false, currency))
		if n := m.count("initial_amount_number", false, 100_000); n > 0 {
			l.say("how many first payments", fmt.Sprint(n))
		}
		if apr := m.number("apr", false); apr != "" {
			l.say("interest, per cent a year", apr)
		}
		m.end()
	}
	o.end()
}

// webAddress is an http or https URL.
func (o *object) webAddress(member string) string {
	s := o.text(member, false, maxURL)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Contains(s, " ") {
		o.fail(member, "no web address")
	}
	return s
}

// login is a log-in or an action that could be abused. EUDI TS12 1.0.1, 4.3.2.
func login(o *object, _ time.Time) Summary {
	var l lines
	s := Summary{Record: Record{Name: "Login, Risk-based Authentication"}}
	l.say("action", o.text("action", true, 140))
	s.Record.Service = o.text("service", false, 100)
	l.say("at", s.Record.Service)
	l.transactionID(o, &s.Record)
	s.Lines = l
	return s
}

// accountAccess lets somebody see an account. EUDI TS12 1.0.1, 4.3.3.
func accountAccess(o *object, _ time.Time) Summary {
	l := lines{"access to the information of your payment account"}
	s := Summary{Record: Record{Name: "Payment Account Information Access"}}
	l.say("what for, in their words", o.text("description", false, 140))
	l.provider(o, "aisp", "seen by", &s.Record)
	l.transactionID(o, &s.Record)
	s.Lines = l
	return s
}

// mandate lets a payee collect payments. EUDI TS12 1.0.1, 4.3.4.
func mandate(o *object, now time.Time) Summary {
	l := lines{"a mandate to collect payments from you"}
	s := Summary{Record: Record{Name: "E-mandate"}}
	purpose, pay := o.text("purpose", false, 1000), o.object("payment_payload")
	if purpose == "" && pay == nil {
		o.fail("purpose", "missing, and no payment_payload in its place")
	}
	l.say("its text", purpose)
	start, end := o.day("start_date"), o.day("end_date")
	if !start.IsZero() && !end.IsZero() && end.Before(start) {
		o.fail("end_date", "before start_date")
	}
	l.fact(start.IsZero(), "valid at once")
	l.date("valid from", start)
	l.fact(end.IsZero(), "without an end")
	l.date("valid until", end)
	l.say("reference of the mandate", o.text("reference_number", false, 50))
	l.say("number of the creditor", o.text("creditor_id", false, 50))
	if pay != nil {
		var of Record
		l.payment(pay, now, &of)
		pay.end()
		s.Record.Payee, s.Record.Provider = of.Payee, of.Provider
	}
	l.transactionID(o, &s.Record)
	s.Lines = l
	return s
}
