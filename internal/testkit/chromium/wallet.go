//go:build unix

package chromium

import (
	"encoding/json"
	"fmt"
)

// holding stands between a page and the browser's Digital Credentials API: it
// keeps what the page asks until the test lets it go on to the browser.
const holding = `(() => {
	const get = navigator.credentials.get.bind(navigator.credentials);
	navigator.credentials.get = async (options) => {
		globalThis.heldRequest = JSON.stringify(options.digital.requests);
		await new Promise((resolve) => { globalThis.letGo = resolve; });
		globalThis.heldRequest = "";
		return get(options);
	};
})()`

// HoldRequests has the pages that are opened from now on wait before they ask the
// browser for digital credentials, until Wallet says how it answers.
//
// W3C Digital Credentials (working draft), 4.
func (p *Page) HoldRequests() *Page {
	p.t.Helper()
	p.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": holding})
	return p
}

// Requests waits for a page to ask, and returns the JSON of its list of requests.
func (p *Page) Requests() []byte {
	p.t.Helper()
	p.Until("!!globalThis.heldRequest")
	list, _ := p.Eval("globalThis.heldRequest").(string)
	return []byte(list)
}

// Answers lets the request that is held go on to the browser, whose wallet
// answers it with a response, the JSON of an object with protocol and data.
func (p *Page) Answers(response []byte) *Page {
	p.t.Helper()
	var r struct {
		Protocol string
		Data     map[string]any
	}
	if err := json.Unmarshal(response, &r); err != nil {
		p.t.Fatal(err)
	}
	return p.wallet(map[string]any{"action": "respond", "protocol": r.Protocol, "response": r.Data})
}

// Declines lets the request go on to the browser, whose user says no to it.
func (p *Page) Declines() *Page {
	p.t.Helper()
	return p.wallet(map[string]any{"action": "decline"})
}

// Waits lets the request go on to the browser, where nobody answers it.
func (p *Page) Waits() *Page {
	p.t.Helper()
	return p.wallet(map[string]any{"action": "wait"})
}

func (p *Page) wallet(behavior map[string]any) *Page {
	p.t.Helper()
	p.Requests()
	if p.Call("DigitalCredentials.setVirtualWalletBehavior", behavior) == nil {
		p.t.Fatalf("this browser has no virtual wallet: %v", p.Eval("navigator.userAgent"))
	}
	if failed := p.Call("Runtime.evaluate", map[string]any{"expression": "letGo()", "userGesture": true})["exceptionDetails"]; failed != nil {
		p.t.Fatal(fmt.Sprint(failed))
	}
	return p
}
