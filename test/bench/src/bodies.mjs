// What is sent: the same values for every contender, as JSON close to the size that they are named by.
const small = {
  sku: 'A-1',
  quantity: 2,
  note: 'leave it at the door, please, as ever',
  price: 12.5,
  ok: true,
};

const line = (i) => ({ sku: `A-${i}`, quantity: i, price: i * 1.25, note: 'as ever', ok: i % 2 });

/** An object of about so many bytes: a flat one, or an order with many lines. */
export function bodyOf(bytes) {
  if (bytes <= 128) return small;
  const body = { ...small, lines: [] };
  while (JSON.stringify(body).length < bytes - 32) body.lines.push(line(body.lines.length));
  return body;
}
