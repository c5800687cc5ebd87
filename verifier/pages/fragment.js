// Posts the answer that a wallet put behind "#" to where this page is.
"use strict";
(async () => {
	const state = document.getElementById("state");
	const answer = location.hash.slice(1);
	history.replaceState(null, "", location.pathname); // it stays in no history
	try {
		const reply = await fetch(location.pathname, { method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: answer });
		const said = await reply.json();
		if (reply.ok && said.redirect_uri) return location.replace(said.redirect_uri);
		state.textContent = said.error_description || "That did not work. Start again where you began.";
	} catch {
		state.textContent = "That did not work. Start again where you began.";
	}
})();
