// Frames that anybody may send: headers of redstart with values that make no sense, damaged and cut frames.
import { rawFrame } from './frames.ts';

const STATUSES = [
  ...['error', 'declined', 'taken', 'cancel', 'kept', 'item', 'end', 'credit'],
  ...['probe', 'gap', 'lost', 'constructor', '__proto__'],
];

const NAMES = [
  ...['redstart-call', 'correlation_id', 'redstart-from', 'redstart-sequence', 'redstart-name'],
  ...['redstart-deadline', 'content-type', 'reply_to', 'redstart-again', 'redstart-window'],
  ...['redstart-gather', 'redstart-for', 'redstart-key', 'redstart-redriven', 'traceparent'],
  ...['redstart-reply-kind', 'redstart-origin', 'redstart-origin-form', 'message_id'],
];

const VALUES: readonly (string | Buffer)[] = [
  ...['', '1', '-1', 'NaN', '1e308', '\0', '{}', 'application/json', 'list', 'stream', 'raw'],
  ...[Buffer.alloc(40_000, 0xff), Buffer.alloc(200, 0xfe)],
];

const BODIES = ['', '1', '{"name":1}', '[', 'x '.repeat(5_000)];

/** Makes one frame after the other, always the same ones. `places` are names that they mention. */
export function hostileFrames(places: readonly string[]): () => Buffer {
  let random = 1;
  const next = (max: number): number => (random = (random * 48_271) % 0x7fffffff) % max;
  const one = <T>(of: readonly T[]): T => of[next(of.length)] as T;
  const values = [...VALUES, ...places];
  return () => {
    const headers: Record<string, string | Buffer> = {};
    if (next(5) > 0) headers['redstart-status'] = one(STATUSES);
    for (let n = next(6); n > 0; n--) headers[one(NAMES)] = one(values);
    const frame = Buffer.from(rawFrame(headers, one(BODIES)));
    const kind = next(10);
    if (kind === 0) return frame.subarray(0, next(frame.length));
    // A byte of it is another one.
    if (kind === 1) frame[next(frame.length)] = next(256);
    return frame;
  };
}
