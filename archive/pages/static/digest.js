// SHA-256 of a file of any size, in Base64. The browser's own digest holds the whole file in memory and is only there on
// https and localhost; larger files, and pages on plain http, take the one written out here (FIPS 180-4).
"use strict";
const sha256Of = (() => {
  const AT_ONCE_BYTES = 64 << 20, SLICE_BYTES = 4 << 20;
  const firstBits = (value) => ((value - Math.floor(value)) * 2 ** 32) >>> 0;
  const primes = [];
  for (let number = 2; primes.length < 64; number++) if (primes.every((prime) => number % prime)) primes.push(number);
  const K = Uint32Array.from(primes, (prime) => firstBits(Math.cbrt(prime)));
  const START = primes.slice(0, 8).map((prime) => firstBits(Math.sqrt(prime)));
  const words = new Uint32Array(64);
  const turned = (word, by) => (word >>> by) | (word << (32 - by));

  const take = (state, view, offset) => {
    for (let i = 0; i < 16; i++) words[i] = view.getUint32(offset + 4 * i);
    for (let i = 16; i < 64; i++) {
      const before = words[i - 15], last = words[i - 2];
      words[i] = words[i - 16] + (turned(before, 7) ^ turned(before, 18) ^ (before >>> 3))
        + words[i - 7] + (turned(last, 17) ^ turned(last, 19) ^ (last >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
      const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => { state[i] = (state[i] + value) | 0; });
  };
  const ownDigest = async (blob) => {
    const state = Int32Array.from(START);
    for (let start = 0; start + 64 <= blob.size; start += SLICE_BYTES) {
      const view = new DataView(await blob.slice(start, Math.min(start + SLICE_BYTES, blob.size)).arrayBuffer());
      for (let offset = 0; offset + 64 <= view.byteLength; offset += 64) take(state, view, offset);
    }
    const rest = new Uint8Array(await blob.slice(blob.size - (blob.size % 64)).arrayBuffer());
    const last = new DataView(new ArrayBuffer(rest.length < 56 ? 64 : 128));
    new Uint8Array(last.buffer).set(rest);
    last.setUint8(rest.length, 0x80);
    last.setBigUint64(last.byteLength - 8, BigInt(blob.size) * 8n);
    for (let offset = 0; offset < last.byteLength; offset += 64) take(state, last, offset);
    const digest = new DataView(new ArrayBuffer(32));
    state.forEach((word, i) => digest.setInt32(4 * i, word));
    return digest.buffer;
  };

  return async (blob) => {
    const small = globalThis.crypto && crypto.subtle && blob.size <= AT_ONCE_BYTES;
    const digest = small ? await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()) : await ownDigest(blob);
    return btoa(String.fromCharCode(...new Uint8Array(digest)));
  };
})();
