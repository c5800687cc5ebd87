// Loads the page again when the transaction has moved on.
"use strict";
(() => {
	const state = document.getElementById("state");
	if (!state) return;
	const look = async () => {
		try {
			const reply = await fetch(state.dataset.url, { cache: "no-store" });
			if (!reply.ok || (await reply.json()).state !== state.dataset.state) {
				location.reload();
				return;
			}
		} catch {
			// No network for a moment: look again.
		}
		setTimeout(look, 1500);
	};
	setTimeout(look, 1500);
})();
