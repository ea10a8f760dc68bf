// FastStream's binary frame as one would write it by hand: what the floors put on the wire.
const MAGIC = Buffer.from('\x89BIN\r\n\x1a\n', 'latin1');
const HEADERS_START = 18;
const PAIRS_START = 20;

const uint16 = (value) => String.fromCharCode(value >> 8, value & 255);

/** `headers` are ASCII. */
export function encode(headers, body) {
  const text = JSON.stringify(body);
  let pairs = '';
  let count = 0;
  for (const key in headers) {
    const value = headers[key];
    pairs += uint16(key.length) + key + uint16(value.length) + value;
    count++;
  }
  const start = PAIRS_START + pairs.length;
  const frame = Buffer.allocUnsafe(start + Buffer.byteLength(text));
  MAGIC.copy(frame);
  frame.writeUInt16BE(1, 8);
  frame.writeUInt32BE(HEADERS_START, 10);
  frame.writeUInt32BE(start, 14);
  frame.writeUInt16BE(count, HEADERS_START);
  frame.latin1Write(pairs, PAIRS_START);
  frame.utf8Write(text, start);
  return frame;
}

/** All headers, and the body as a value. */
export function decode(frame) {
  const start = frame.readUInt32BE(14);
  const count = frame.readUInt16BE(HEADERS_START);
  const headers = {};
  let at = PAIRS_START;
  for (let i = 0; i < count; i++) {
    const keyEnd = at + 2 + frame.readUInt16BE(at);
    const valueEnd = keyEnd + 2 + frame.readUInt16BE(keyEnd);
    headers[frame.latin1Slice(at + 2, keyEnd)] = frame.latin1Slice(keyEnd + 2, valueEnd);
    at = valueEnd;
  }
  return { headers, body: JSON.parse(frame.utf8Slice(start)) };
}
