// What the server asks of an authenticator → what the browser is asked → the answer as the server takes it.
"use strict";
const answerPasskey = async (options) => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const listed = (descriptors) => (descriptors || []).map((one) => ({ ...one, id: bytes(one.id) }));
  const wish = options.create || options.get;
  const publicKey = { ...wish, challenge: bytes(wish.challenge) };
  let made;
  if (options.create) {
    publicKey.user = { ...wish.user, id: bytes(wish.user.id) };
    publicKey.excludeCredentials = listed(wish.excludeCredentials);
    made = await navigator.credentials.create({ publicKey });
  } else {
    publicKey.allowCredentials = listed(wish.allowCredentials);
    made = await navigator.credentials.get({ publicKey });
  }
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (made.response[name]) response[name] = text(made.response[name]);
  }
  return { id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} };
};
