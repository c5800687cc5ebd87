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
		asks: "Your browser asks for your wallet.",
		other: "Use another way",
		nothing: "Nothing came through the browser. Your wallet can answer here, too.",
		wrong: "The answer was not accepted. Please try another way.",
		again: "Ask through this browser",
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
		if (!reply.ok) throw Object.assign(new Error(`${new URL(url, location.href).pathname} answered ${reply.status}`), { status: reply.status });
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
		#focused; // by keyboard, say: it goes on to what takes the button's place
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
			this.#focused = this.contains(document.activeElement);
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

		// follow stays with a transaction until it ends, whichever way it is
		// answered.
		async #follow(asked, run) {
			const turn = { asked, run, requests: [], ended: false };
			const ended = this.#watch(asked, run);
			this.#offer(turn);
			const state = await ended;
			turn.ended = true;
			turn.call?.abort(); // answered another way, or too late
			const reply = await turn.reply?.catch(() => {});
			if (run.signal.aborted) return;
			this.#end(this.#say(state));
			this.#tell("eidos-done", { state, watch: asked.watch, id: asked.id, result: asked.result, redirect: reply?.redirect_uri });
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

		// offer asks through the browser where it can, and else shows the code.
		async #offer(turn) {
			const kind = globalThis.DigitalCredential;
			if (kind && navigator.credentials?.get && turn.asked.dc) {
				try {
					const { requests } = await json(turn.asked.dc, { signal: turn.run.signal });
					turn.requests = requests.filter((r) => kind.userAgentAllowsProtocol?.(r.protocol) ?? true);
				} catch {
					// Not for pages of this origin.
				}
			}
			if (turn.requests.length) this.#ask(turn);
			else this.#show(turn, "");
		}

		// ask asks through the browser. It may have nobody to ask, and not say so:
		// the other ways stay open meanwhile.
		async #ask(turn) {
			turn.call = new AbortController();
			const { requests, run, call } = turn;
			const signal = AbortSignal.any([run.signal, call.signal]);
			this.#fill(this.#say("asks"), this.#act("other", () => call.abort()), this.#stop(run));
			let answer;
			try {
				answer = await navigator.credentials.get({ mediation: "required", digital: { requests }, signal });
			} catch {
				return this.#show(turn, call.signal.aborted ? "" : "nothing");
			}
			this.#fill(this.#say("wait"));
			turn.reply = post(turn.asked.dc, { protocol: answer.protocol, data: answer.data }, run.signal);
			turn.reply.catch((error) => this.#show(turn, error.status ? "wrong" : "failed"));
		}

		// show offers the link and the code, the likelier one first.
		#show(turn, word) {
			const { asked, run } = turn;
			if (run.signal.aborted || turn.ended) return;
			const phone = matchMedia("(pointer: coarse)").matches;
			const link = make("p", {}, make("a", { href: asked.link, className: "eidos-link" }, this.#say("open")));
			const ways = [link];
			if (asked.qr_path) {
				const code = make("div", {}, make("p", {}, this.#say("scan")), drawing(asked.qr_size, asked.qr_path, this.#say("qr")));
				const other = make("details", {}, make("summary", {}, this.#say(phone ? "there" : "here")), phone ? code : link);
				ways.splice(0, 1, phone ? link : code, other);
			}
			if (turn.requests.length) ways.push(this.#act("again", () => this.#ask(turn)));
			this.#fill(word && this.#say(word), ...ways, this.#stop(run));
		}

		// act is a button below the first one.
		#act(word, onclick) {
			return make("button", { type: "button", className: `eidos-${word}`, onclick }, this.#say(word));
		}

		#stop(run) {
			return this.#act("cancel", () => (run.abort(), this.#end("")));
		}

		// fill shows a text and what can be done. What had the focus may be gone.
		#fill(text, ...children) {
			this.#focused ||= this.#panel.contains(document.activeElement);
			this.#status.textContent = text;
			this.#panel.replaceChildren(...children);
			this.#panel.hidden = !children.length;
			const next = this.#button.disabled ? this.#panel.querySelector("a, summary, button") : this.#button;
			if (!this.#focused || !next) return;
			next.focus();
			this.#focused = false;
		}

		#end(text) {
			this.#button.disabled = false;
			this.#fill(text);
		}
	}
	if (!customElements.get("eidos-verify")) customElements.define("eidos-verify", EidosVerify);
})();
