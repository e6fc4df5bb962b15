// The files of a ZIP, read in the browser within bounds and one at a time; nothing of it is sent before it is unpacked.
"use strict";
const readZip = (() => {
  const MAXIMUM_FILES = 50000, DIRECTORY_BYTES = 32 << 20, FILE_BYTES = 2 ** 31, RATIO = 500, RATIO_FROM_BYTES = 16 << 20;
  const viewOf = async (file, start, end) => new DataView(await file.slice(start, end).arrayBuffer());
  const nameOf = (bytes) => {
    try { return new TextDecoder("utf-8", { fatal: true }).decode(bytes); } catch { return new TextDecoder("windows-1252").decode(bytes); }
  };
  const wide = (view, offset) => Number(view.getBigUint64(offset, true));

  const findDirectory = async (file) => {
    const start = Math.max(0, file.size - 65557), tail = await viewOf(file, start, file.size);
    let at = tail.byteLength - 22;
    while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at--;
    if (at < 0) throw new Error("damaged");
    let length = tail.getUint32(at + 12, true), offset = tail.getUint32(at + 16, true);
    if (offset === 0xffffffff || length === 0xffffffff || tail.getUint16(at + 10, true) === 0xffff) {
      const locator = await viewOf(file, start + at - 20, start + at);
      if (locator.byteLength === 20 && locator.getUint32(0, true) === 0x07064b50) {
        const record = await viewOf(file, wide(locator, 8), wide(locator, 8) + 56);
        length = wide(record, 40);
        offset = wide(record, 48);
      }
    }
    if (length > DIRECTORY_BYTES || offset + length > file.size) throw new Error("damaged");
    return viewOf(file, offset, offset + length);
  };
  const widened = (view, start, end, entry) => {
    for (let at = start; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
      if (view.getUint16(at, true) !== 1) continue;
      let field = at + 4;
      for (const name of ["size", "packed", "offset"]) if (entry[name] === 0xffffffff) { entry[name] = wide(view, field); field += 8; }
    }
  };
  const problemOf = (entry) => {
    if (entry.flags & 1) return "encrypted-zip";
    if (entry.method !== 0 && entry.method !== 8) return "packed";
    if (entry.size > FILE_BYTES || (entry.size > RATIO_FROM_BYTES && entry.size > entry.packed * RATIO)) return "zip-bomb";
    return "";
  };
  const unpacked = async (file, entry, length) => {
    const head = await viewOf(file, entry.offset, entry.offset + 30);
    if (head.getUint32(0, true) !== 0x04034b50) throw new Error("damaged");
    const start = entry.offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
    const packed = file.slice(start, start + entry.packed);
    if (entry.method === 0) return packed.slice(0, length);
    const reader = packed.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    const parts = [];
    let total = 0;
    while (total < length) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      total += value.length;
    }
    if (total >= length && length < entry.size) await reader.cancel();
    if (total > entry.size || (total < length)) throw new Error("damaged");
    return new Blob(parts).slice(0, length);
  };

  return async (file) => {
    const view = await findDirectory(file), found = [];
    let at = 0;
    while (at + 46 <= view.byteLength && view.getUint32(at, true) === 0x02014b50) {
      const nameLength = view.getUint16(at + 28, true), extraLength = view.getUint16(at + 30, true);
      const entry = {
        flags: view.getUint16(at + 8, true), method: view.getUint16(at + 10, true), packed: view.getUint32(at + 20, true),
        size: view.getUint32(at + 24, true), offset: view.getUint32(at + 42, true),
      };
      const name = nameOf(new Uint8Array(view.buffer, at + 46, nameLength));
      widened(view, at + 46 + nameLength, at + 46 + nameLength + extraLength, entry);
      if (!name.endsWith("/")) {
        found.push({
          path: `${file.name}/${name}`, size: entry.size, problem: problemOf(entry),
          head: (length) => unpacked(file, entry, Math.min(length, entry.size)), blob: () => unpacked(file, entry, entry.size),
        });
      }
      if (found.length > MAXIMUM_FILES) throw new Error("damaged");
      at += 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    }
    return found;
  };
})();
