/** A frame of the binary format with any headers, also those that redstart itself would not write. */
export function rawFrame(
  headers: Readonly<Record<string, string | Buffer>>,
  body: string | Buffer = '',
): Buffer {
  const pairs = Object.entries(headers).flatMap(([name, value]) => [sized(name), sized(value)]);
  const block = Buffer.concat(pairs);
  const head = Buffer.alloc(20);
  head.write('\x89BIN\r\n\x1a\n', 'latin1');
  head.writeUInt16BE(1, 8);
  head.writeUInt32BE(18, 10);
  head.writeUInt32BE(20 + block.length, 14);
  head.writeUInt16BE(pairs.length / 2, 18);
  return Buffer.concat([head, block, Buffer.from(body as string)]);
}

function sized(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
