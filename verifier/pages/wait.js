// Loads the page again when the transaction has moved on, and asks through the
// browser where it can.
"use strict";
(() => {
	const state = document.getElementById("state");
	if (!state) return;
	let latest = state.dataset.state;
	let sending = false; // what the browser was given: the reply says where to go
	const look = (change) => {
		latest = change.state;
		if (!sending && latest !== state.dataset.state) location.reload();
	};
	const events = new EventSource(state.dataset.watch + "/events");
	events.onmessage = (event) => look(JSON.parse(event.data));
	events.onerror = () => {
		if (events.readyState !== EventSource.CLOSED) return; // it comes back by itself
		setInterval(async () => {
			try {
				const reply = await fetch(state.dataset.watch, { cache: "no-store" });
				if (reply.ok) look(await reply.json());
				else if (reply.status === 404) location.reload();
			} catch {
				// No network for a moment: look again.
			}
		}, 3000);
	};

	const until = document.getElementById("until");
	until.textContent = new Date(until.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }); // of this device

	const button = document.getElementById("digital");
	const kind = globalThis.DigitalCredential;
	if (!button || !kind || !navigator.credentials?.get) return;
	const said = document.getElementById("said");
	button.hidden = false;
	button.onclick = async () => {
		let words = "Nothing came through the browser. Your wallet can answer by link or code, too.";
		button.disabled = true;
		said.textContent = "Your browser asks for your wallet.";
		try {
			const dc = state.dataset.watch + "/dc";
			let { requests } = await (await fetch(dc, { cache: "no-store" })).json();
			requests = requests.filter((r) => kind.userAgentAllowsProtocol?.(r.protocol) ?? true);
			const answer = await navigator.credentials.get({ mediation: "required", digital: { requests } });
			sending = true;
			words = "The answer could not be sent. Please try again.";
			const reply = await fetch(dc, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ protocol: answer.protocol, data: answer.data }) });
			if (reply.ok) {
				const { redirect_uri: next } = await reply.json();
				location.assign(next || location.href);
				return;
			}
			words = "The answer was not accepted. Please try another way.";
		} catch {
			// The words say how far it came.
		}
		sending = false;
		button.disabled = false;
		said.textContent = words;
		look({ state: latest }); // of what came meanwhile
	};
})();
