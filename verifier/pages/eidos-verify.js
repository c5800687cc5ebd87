// <eidos-verify>: a button "verify with your mobile ID" for any web page.
//
//   <script src="https://verifier.example/default/eidos-verify.js" defer></script>
//   <eidos-verify start="/start-verification"></eidos-verify>
//
// start is an address of your own system: it is sent a POST and answers with the
// member "button" of what the verifier's API answered to it. Without a system of
// your own, and where the verifier knows the origin of the page:
//
//   <eidos-verify verifier="https://verifier.example/default" ask="age18"></eidos-verify>
//
// The element says how it went with the event "eidos-done": detail.state is done,
// refused or expired, and detail.result, without a system of your own, the address
// of the answer; detail.redirect, after an answer by the browser, is where the
// verifier would send it, with the response_code. "eidos-state" comes with every state, "eidos-error" when nothing
// could be begun. Give it your own words with the property texts. It has no style
// but what your page gives it, by the classes that begin with eidos-.
"use strict";
(() => {
	const words = {
		label: "Verify with your mobile ID",
		wait: "One moment …",
		scan: "Scan this code with your wallet app.",
		qr: "QR code for your wallet app",
		open: "Open your wallet app",
		here: "My wallet is on this device",
		there: "My wallet is on another device",
		fetched: "Your wallet has the request. Decide there.",
		done: "Your answer has arrived.",
		refused: "Nothing was shared.",
		expired: "Nobody answered in time.",
		failed: "That did not work. Please try again.",
		cancel: "Cancel",
	};
	const svgSpace = "http://www.w3.org/2000/svg";
	const open = (state) => state === "waiting" || state === "fetched";

	// make makes an element with properties and children.
	const make = (name, properties, ...children) => {
		const e = Object.assign(document.createElement(name), properties);
		e.append(...children);
		return e;
	};

	// json asks and returns what is answered, or fails.
	const json = async (url, options) => {
		const reply = await fetch(url, { cache: "no-store", ...options });
		if (!reply.ok) throw new Error(`${new URL(url, location.href).pathname} answered ${reply.status}`);
		return reply.json();
	};
	const post = (url, body, signal) =>
		json(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

	// drawing is a QR code without an image to load.
	const drawing = (size, path, label) => {
		const svg = document.createElementNS(svgSpace, "svg");
		const set = (e, attributes) => Object.entries(attributes).forEach(([name, value]) => e.setAttribute(name, value));
		set(svg, { viewBox: `0 0 ${size} ${size}`, width: 280, height: 280, role: "img", "aria-label": label, "shape-rendering": "crispEdges", class: "eidos-qr" });
		for (const [d, fill] of [[`M0 0h${size}v${size}H0z`, "#fff"], [path, "#000"]]) {
			const p = document.createElementNS(svgSpace, "path");
			set(p, { d, fill });
			svg.append(p);
		}
		return svg;
	};

	class EidosVerify extends HTMLElement {
		#run; // AbortController of what is under way
		#status;
		#panel;
		#button;
		texts = {};

		connectedCallback() {
			if (this.#button) return;
			this.#button = make("button", { type: "button", className: "eidos-button", onclick: () => this.begin() }, this.getAttribute("label") || this.#say("label"));
			this.#status = make("p", { className: "eidos-status" });
			this.#status.setAttribute("role", "status");
			this.#panel = make("div", { className: "eidos-panel", hidden: true });
			this.append(this.#button, this.#status, this.#panel);
		}

		disconnectedCallback() {
			this.#run?.abort();
		}

		#say(word) {
			return this.texts[word] || words[word];
		}

		#tell(name, detail) {
			this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
		}

		// begin starts a transaction and stays with it until it ends.
		async begin() {
			this.#run?.abort();
			const run = (this.#run = new AbortController());
			this.#button.disabled = true;
			this.#status.textContent = this.#say("wait");
			try {
				const asked = await this.#start(run.signal);
				await this.#follow(asked, run);
			} catch (error) {
				if (run.signal.aborted) return;
				this.#end(this.#say("failed"));
				this.#tell("eidos-error", { message: String(error.message || error) });
			}
		}

		#start(signal) {
			const own = this.getAttribute("start");
			if (own) return post(own, {}, signal);
			return post(`${this.getAttribute("verifier")}/transactions`, { ask: this.getAttribute("ask") }, signal);
		}

		async #follow(asked, run) {
			const ended = this.#watch(asked, run);
			const answered = await this.#digital(asked, run);
			if (!answered) this.#show(asked, run);
			const state = await ended;
			this.#end(this.#say(state));
			this.#tell("eidos-done", { state, watch: asked.watch, id: asked.id, result: asked.result, redirect: answered?.redirect_uri });
		}

		// watch resolves with the state in which the transaction ends.
		#watch(asked, run) {
			return new Promise((resolve) => {
				const events = new EventSource(`${asked.watch}/events`);
				let timer;
				const stop = () => (events.close(), clearInterval(timer));
				run.signal.addEventListener("abort", stop);
				const see = ({ state }) => {
					if (state === "fetched") this.#status.textContent = this.#say("fetched");
					this.#tell("eidos-state", { state });
					if (open(state)) return;
					stop();
					resolve(state);
				};
				events.onmessage = (event) => see(JSON.parse(event.data));
				events.onerror = () => {
					if (events.readyState !== EventSource.CLOSED || timer) return;
					timer = setInterval(async () => {
						if (Date.now() > Date.parse(asked.expires) + 60000) return see({ state: "expired" });
						try {
							see(await json(asked.watch));
						} catch {
							// No network for a moment: look again.
						}
					}, 3000);
				};
			});
		}

		// digital asks through the browser where it can, and returns what the
		// verifier says to the answer; false if none went out.
		async #digital(asked, run) {
			const kind = globalThis.DigitalCredential;
			if (!kind || !navigator.credentials?.get || !asked.dc) return false;
			try {
				let { requests } = await json(asked.dc, { signal: run.signal });
				if (kind.userAgentAllowsProtocol) requests = requests.filter((r) => kind.userAgentAllowsProtocol(r.protocol));
				if (!requests.length) return false;
				const answer = await navigator.credentials.get({ mediation: "required", digital: { requests }, signal: run.signal });
				return await post(asked.dc, { protocol: answer.protocol, data: answer.data }, run.signal);
			} catch {
				return false; // no wallet here, or the person went back: the code remains
			}
		}

		// show offers the link and the code, the likelier one first.
		#show(asked, run) {
			if (run.signal.aborted || !this.#button.disabled) return;
			const phone = matchMedia("(pointer: coarse)").matches;
			const link = make("p", {}, make("a", { href: asked.link, className: "eidos-link" }, this.#say("open")));
			const code = make("div", {}, make("p", {}, this.#say("scan")), drawing(asked.qr_size, asked.qr_path, this.#say("qr")));
			const other = make("details", {}, make("summary", {}, this.#say(phone ? "there" : "here")), phone ? code : link);
			const cancel = make("button", { type: "button", className: "eidos-cancel", onclick: () => (run.abort(), this.#end("")) }, this.#say("cancel"));
			this.#status.textContent = "";
			this.#panel.replaceChildren(phone ? link : code, other, cancel);
			this.#panel.hidden = false;
		}

		#end(text) {
			const inside = this.#panel.contains(document.activeElement);
			this.#panel.replaceChildren();
			this.#panel.hidden = true;
			this.#button.disabled = false;
			this.#status.textContent = text;
			if (inside) this.#button.focus(); // what had it is gone
		}
	}
	if (!customElements.get("eidos-verify")) customElements.define("eidos-verify", EidosVerify);
})();
