//go:build unix

// Package chromium drives a headless browser in tests, over a pipe by the Chrome
// DevTools Protocol.
package chromium

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Page is a page of a browser of its own. Its methods fail the test that opened
// it.
type Page struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader // each message is JSON with a zero byte behind it
	n       int
	session string
}

// Open opens an empty page of a browser with more flags, which is closed with the
// test, or skips the test where there is no browser.
func Open(t *testing.T, flags ...string) *Page {
	t.Helper()
	name, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here to show pages in (Debian package chromium)")
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	flags = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--remote-debugging-pipe", "--user-data-dir=" + profile}, flags...)
	cmd := exec.CommandContext(t.Context(), name, append(flags, "about:blank")...)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	cmd.Env = append(os.Environ(), "TMPDIR="+profile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its helpers too
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	t.Cleanup(func() {
		ourOut.Close()
		cmd.Wait()
		ourIn.Close()
		discard(t, profile)
	})
	if err := ourIn.SetReadDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	p := &Page{t: t, to: ourOut, from: bufio.NewReader(ourIn)}
	target := p.Call("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	p.session, _ = p.Call("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	p.Call("Page.enable", nil)
	return p
}

// discard removes a browser's profile. Its helper processes may outlive it for a
// moment and still write there.
func discard(t *testing.T, profile string) {
	for range 100 {
		if os.RemoveAll(profile) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%s could not be removed", profile)
}

// Call calls a method and returns its result.
func (p *Page) Call(method string, params map[string]any) map[string]any {
	p.t.Helper()
	p.n++
	message := map[string]any{"id": p.n, "method": method}
	if params != nil {
		message["params"] = params
	}
	if p.session != "" {
		message["sessionId"] = p.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.to.Write(append(data, 0)); err != nil {
		p.t.Fatal(err)
	}
	for {
		answer, err := p.from.ReadBytes(0)
		if err != nil {
			p.t.Fatalf("%s: %v", method, err)
		}
		var m struct {
			ID     int
			Result map[string]any
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(answer[:len(answer)-1], &m); err != nil {
			p.t.Fatal(err)
		}
		if m.ID != p.n {
			continue // an event
		}
		if m.Error != nil {
			p.t.Logf("%s: %s", method, m.Error.Message)
		}
		return m.Result
	}
}

// Go goes to an address.
func (p *Page) Go(address string) *Page {
	p.t.Helper()
	if failed, _ := p.Call("Page.navigate", map[string]any{"url": address})["errorText"].(string); failed != "" {
		p.t.Fatalf("%s: %s", address, failed)
	}
	return p
}

// Eval is what an expression of JavaScript comes to in the page; nil while the
// page changes.
func (p *Page) Eval(expression string) any {
	p.t.Helper()
	result, _ := p.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})["result"].(map[string]any)
	return result["value"]
}

// Until waits for an expression to be true.
func (p *Page) Until(expression string) *Page {
	p.t.Helper()
	for range 600 {
		if p.Eval(expression) == true {
			return p
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("never %s at %v:\n%v", expression, p.Eval("location.href"), p.Eval("document.body.innerText"))
	return nil
}

// Says waits for words on the page.
func (p *Page) Says(words ...string) *Page {
	p.t.Helper()
	for _, w := range words {
		p.Until(fmt.Sprintf("document.readyState === 'complete' && document.body.innerText.includes(%q)", w))
	}
	return p
}

// Press clicks on what a selector finds first, as a person: once it can be seen,
// and so that the browser lets scripts ask wallets for a while after (HTML
// Standard, 6.4.1).
func (p *Page) Press(selector string) *Page {
	p.t.Helper()
	p.Until(fmt.Sprintf("document.readyState === 'complete' && !!document.querySelector(%[1]q)?.checkVisibility() && !document.querySelector(%[1]q).disabled", selector))
	p.Call("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf("document.querySelector(%q).click()", selector), "userGesture": true})
	return p
}

// Fill types into a field.
func (p *Page) Fill(selector, text string) *Page {
	p.t.Helper()
	p.Until(fmt.Sprintf("!!document.querySelector(%q)", selector))
	p.Eval(fmt.Sprintf("document.querySelector(%q).value = %q", selector, text))
	return p
}

// Fits fails if the page is wider than a phone, and reports what sticks out.
func (p *Page) Fits() *Page {
	p.t.Helper()
	p.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": false})
	wide, _ := p.Eval("document.documentElement.scrollWidth").(float64)
	if wide > 390 {
		p.t.Errorf("%v is %v pixels wide on a phone of 390: %v", p.Eval("location.pathname"), wide,
			p.Eval("[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 391).map(e => e.tagName + '.' + e.className).join(' ')"))
	}
	p.Call("Emulation.clearDeviceMetricsOverride", nil)
	return p
}

// Text is the text of what a selector finds.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	text, _ := p.Eval(fmt.Sprintf("document.querySelector(%q)?.innerText", selector)).(string)
	return strings.TrimSpace(text)
}
