// What contenders and structures are called where people read it.

export const LABELS = {
  redstart: 'redstart',
  coalesced: 'ioredis by hand, coalesced',
  plain: 'ioredis by hand, plain',
  moleculer: 'Moleculer',
  nestjs: 'NestJS',
  nats: 'NATS',
  bullmq: 'BullMQ',
  faststream: 'FastStream (Python)',
  bare: 'plain path',
  equipped: 'schema, five middlewares, deadline',
  unobserved: 'nothing',
  observed: 'an observer of six empty methods',
  metered: '`redstart/metrics`',
  untraced: '`redstart/otel` without an SDK',
  unsampled: '`redstart/otel`, 0 % sampled',
  traced: '`redstart/otel`, 100 % sampled',
};

/** How messages are sent that are sent and handled. */
export const WAYS = {
  plain: 'plain',
  id: 'sent once: `id`, `deduplication`',
  delay: 'after 20 ms: `delay`',
  key: 'in order: `key`, `ordered`',
};

/** What is sent to 300 subscribers. */
export const SPREADS = {
  all: '300 messages/s to all 300 at random',
  busy: '300 messages/s to the same 16',
  pressed: '3 000 messages/s to all 300 at random',
  full: '300 messages/s to 299, and a full list',
};

/** What works in a process. */
export const SIDES = {
  requester: 'calls, requester',
  responder: 'calls, responder',
  consumer: 'consumption',
};

/** Where its time goes. */
export const PARTS = {
  redstart: 'redstart',
  bench: 'the program',
  ioredis: 'ioredis',
  node: 'Node',
  system: 'V8, the system',
  gc: 'GC',
};

export const TRANSPORTS = { tcp: 'plain TCP', tls: 'TLS' };

export const OUTCOMES = { pass: 'PASS', miss: 'MISS', unsure: 'UNSURE' };

export const STRUCTURES = { channel: 'channel', list: 'list', stream: 'stream group' };

export const sizeLabel = (bytes) => (bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KiB`);

/** 512 · 1 530 · 51.2 k · 1.20 M */
export function short(value) {
  if (value === 0) return '0';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  if (value >= 100) return value.toFixed(0).replace(/(\d)(\d{3})$/, '$1 $2');
  return value.toFixed(value < 10 ? 1 : 0);
}

/** Milliseconds, of microseconds: 0.25 · 1.4 · 12 · 1 530 */
export function milliseconds(microseconds) {
  const value = microseconds / 1_000;
  if (value < 1) return value.toFixed(2);
  return value < 10 ? value.toFixed(1) : short(value);
}

/** A ratio: two digits behind the point where they matter. */
export const times = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(2));
