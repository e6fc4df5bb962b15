// Sets up a passkey for whoever is signed in.
"use strict";
document.querySelector("[data-register-passkey]")?.addEventListener("click", async () => {
  const post = (path, body) => fetch(`/api/staff/passkey${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const place = document.querySelector("[data-passkey-made]");
  const texts = JSON.parse(document.querySelector("[data-texts]").textContent);
  try {
    const options = await (await post("/options", {})).json();
    const answer = await post("", { credential: await answerPasskey(options) });
    place.textContent = answer.ok ? place.dataset.passkeyMade : texts["wrong-passkey"];
  } catch {
    place.textContent = texts["wrong-passkey"];
  }
});
