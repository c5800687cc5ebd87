package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// chromium is a headless browser, driven over a pipe by the Chrome DevTools
// Protocol: each message is JSON with a zero byte behind it.
type chromium struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	n       int
	session string // of the page
}

// newChromium opens a page, or skips the test where there is no browser.
func newChromium(t *testing.T) *chromium {
	t.Helper()
	name, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here to show the pages in (Debian package chromium)")
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	t.Cleanup(func() {
		ourOut.Close()
		cmd.Process.Kill()
		cmd.Wait()
		ourIn.Close()
	})
	if err := ourIn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &chromium{t: t, to: ourOut, from: bufio.NewReader(ourIn)}
	target := c.call("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	c.session, _ = c.call("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	c.call("Page.enable", nil)
	return c
}

// call calls a method and returns its result.
func (c *chromium) call(method string, params map[string]any) map[string]any {
	c.t.Helper()
	c.n++
	message := map[string]any{"id": c.n, "method": method}
	if params != nil {
		message["params"] = params
	}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.to.Write(append(data, 0)); err != nil {
		c.t.Fatal(err)
	}
	for {
		answer, err := c.from.ReadBytes(0)
		if err != nil {
			c.t.Fatalf("%s: %v", method, err)
		}
		var m struct {
			ID     int
			Result map[string]any
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(answer[:len(answer)-1], &m); err != nil {
			c.t.Fatal(err)
		}
		if m.ID != c.n {
			continue // an event
		}
		if m.Error != nil {
			c.t.Logf("%s: %s", method, m.Error.Message)
		}
		return m.Result
	}
}

// open goes to an address.
func (c *chromium) open(address string) *chromium {
	c.t.Helper()
	if failed, _ := c.call("Page.navigate", map[string]any{"url": address})["errorText"].(string); failed != "" {
		c.t.Fatalf("%s: %s", address, failed)
	}
	return c
}

// eval is what an expression of JavaScript comes to in the page; nil while the
// page changes.
func (c *chromium) eval(expression string) any {
	c.t.Helper()
	result, _ := c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true})["result"].(map[string]any)
	return result["value"]
}

// until waits for an expression to be true.
func (c *chromium) until(expression string) *chromium {
	c.t.Helper()
	for range 300 {
		if c.eval(expression) == true {
			return c
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatalf("never %s at %v:\n%v", expression, c.eval("location.href"), c.eval("document.body.innerText"))
	return nil
}

// says waits for words on the page.
func (c *chromium) says(words ...string) *chromium {
	c.t.Helper()
	for _, w := range words {
		c.until(fmt.Sprintf("document.readyState === 'complete' && document.body.innerText.includes(%q)", w))
	}
	return c
}

// press clicks on what a selector finds first.
func (c *chromium) press(selector string) *chromium {
	c.t.Helper()
	c.until(fmt.Sprintf("!!document.querySelector(%q)", selector))
	c.eval(fmt.Sprintf("document.querySelector(%q).click()", selector))
	return c
}

// fill types into a field.
func (c *chromium) fill(selector, text string) *chromium {
	c.t.Helper()
	c.until(fmt.Sprintf("!!document.querySelector(%q)", selector))
	c.eval(fmt.Sprintf("document.querySelector(%q).value = %q", selector, text))
	return c
}

// fits fails if the page is wider than a phone, and reports what sticks out.
func (c *chromium) fits() *chromium {
	c.t.Helper()
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": false})
	wide, _ := c.eval("document.documentElement.scrollWidth").(float64)
	if wide > 390 {
		c.t.Errorf("%v is %v pixels wide on a phone of 390: %v", c.eval("location.pathname"), wide,
			c.eval("[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 391).map(e => e.tagName + '.' + e.className).join(' ')"))
	}
	c.call("Emulation.clearDeviceMetricsOverride", nil)
	return c
}

// trimmed is the text of what a selector finds.
func (c *chromium) trimmed(selector string) string {
	c.t.Helper()
	text, _ := c.eval(fmt.Sprintf("document.querySelector(%q)?.innerText", selector)).(string)
	return strings.TrimSpace(text)
}
