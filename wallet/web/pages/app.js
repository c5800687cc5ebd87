// Loads a waiting page again when there is something new, and brings what an
// issuer's page sent back to the app. Every page works without it.
"use strict";
(() => {
	const back = document.getElementById("back");
	if (back) {
		back.submit();
		return;
	}
	const wait = document.getElementById("wait");
	if (!wait) return;
	const look = async () => {
		let pause = 1500;
		try {
			const reply = await fetch(wait.dataset.state, { cache: "no-store" });
			if (!reply.ok || String((await reply.json()).version) !== wait.dataset.seen) {
				location.replace(wait.dataset.page);
				return;
			}
			pause = 50; // it waited there for something new
		} catch {
			// The app does not answer for a moment: look again.
		}
		setTimeout(look, pause);
	};
	look();
})();
