// Loads the page again when the transaction has moved on.
"use strict";
(() => {
	const state = document.getElementById("state");
	if (!state) return;
	const look = (change) => {
		if (change.state !== state.dataset.state) location.reload();
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
})();
