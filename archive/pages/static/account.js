// Sets up a passkey for whoever is signed in; the button says at which API.
"use strict";
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-register-passkey]");
  if (!button) return;
  const post = (path, body) => fetch(`${button.dataset.registerPasskey}${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const place = document.querySelector("[data-passkey-made]");
  const texts = JSON.parse(document.querySelector("[data-texts]").textContent);
  try {
    const options = await (await post("/options", {})).json();
    const answer = await post("", { credential: await answerPasskey(options) });
    place.textContent = answer.ok ? place.dataset.passkeyMade : texts["wrong-passkey"];
    if (answer.ok) button.dispatchEvent(new CustomEvent("changed", { bubbles: true }));
  } catch {
    place.textContent = texts["wrong-passkey"];
  }
});
