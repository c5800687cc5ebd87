// Loads the page again when the transaction has moved on, and asks through the
// browser where it can.
"use strict";
(() => {
	const state = document.getElementById("state");
	if (!state) return;
	let asking = false; // the browser asks: its answer says where to go
	const look = (change) => {
		if (!asking && change.state !== state.dataset.state) location.reload();
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

	const button = document.getElementById("digital");
	const kind = globalThis.DigitalCredential;
	if (!button || !kind || !navigator.credentials?.get) return;
	button.hidden = false;
	button.onclick = async () => {
		asking = true;
		try {
			const dc = state.dataset.watch + "/dc";
			let { requests } = await (await fetch(dc, { cache: "no-store" })).json();
			if (kind.userAgentAllowsProtocol) requests = requests.filter((r) => kind.userAgentAllowsProtocol(r.protocol));
			const answer = await navigator.credentials.get({ mediation: "required", digital: { requests } });
			const reply = await fetch(dc, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ protocol: answer.protocol, data: answer.data }) });
			const { redirect_uri: next } = await reply.json();
			location.assign(next || location.href);
		} catch {
			asking = false;
			button.hidden = true; // no wallet behind the browser: link and code remain
		}
	};
})();
