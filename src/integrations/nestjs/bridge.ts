/**
 * Talks to services that use Nest's own Redis transport (`Transport.REDIS`), while an app moves from it. Its packets
 * are JSON on the channel that is the pattern; answers come over `<pattern>.reply`.
 */
import {
  DecodeError,
  EncodeError,
  NoRespondersError,
  RemoteError,
  RpcTimeoutError,
  SetupError,
  type Headers,
  type MessageFormat,
  type RedisBroker,
} from '../../index.ts';

// The headers in which redstart keeps what a packet of Nest's says.
const CORRELATION_ID = 'correlation_id';
const CONTENT_TYPE = 'content-type';
const REPLY_TO = 'reply_to';
const CALL = 'redstart-call';
const STATUS = 'redstart-status';

const JSON_TYPE = 'application/json';

/** Milliseconds that a call waits for its answer. */
const TIMEOUT = 30_000;

interface Packet {
  readonly id?: unknown;
  readonly pattern?: unknown;
  readonly data?: unknown;
  /** Of Nest 12: what the sender's `setOnDispatchHook` adds, such as a trace. */
  readonly metadata?: unknown;
  readonly err?: unknown;
  readonly response?: unknown;
  readonly isDisposed?: unknown;
}

/**
 * For subscribers that Nest's `ClientProxy` calls or sends events to: `@subscriber({ channel: 'prices', format:
 * nestFormat })` answers `client.send('prices', …)` and takes `client.emit('prices', …)`. Errors reach the client,
 * too. For a publisher it makes events, for `@EventPattern` methods.
 */
export const nestFormat: MessageFormat = {
  decode(frame) {
    const { id, pattern, data, metadata } = packetIn(frame);
    const headers: Record<string, string> = { ...textsIn(metadata) };
    headers[CONTENT_TYPE] = JSON_TYPE;
    if (typeof id === 'string' && typeof pattern === 'string') {
      headers[CORRELATION_ID] = headers[CALL] = id;
      headers[REPLY_TO] = `${pattern}.reply`;
    }
    return { headers, body: Buffer.from(JSON.stringify(data) ?? '') };
  },

  encode({ headers, body }) {
    const value = valueOf(headers, body);
    const id = headers[CALL];
    if (headers[REPLY_TO] !== undefined)
      throw new EncodeError(
        'nestFormat: a Nest service does not answer at the reply channel of redstart: call it with nestClient(broker)',
      );
    if (id === undefined) return packet({ data: value ?? null });
    const isError = headers[STATUS] === 'error' || headers[STATUS] === 'declined';
    return isError
      ? packet({ id, err: { status: 'error', ...(value as object) }, isDisposed: true })
      : packet({ id, response: value, isDisposed: true });
  },
};

/** What `nestClient` sends: a call, which carries its id. Without `data` Nest would take it for no packet at all. */
const callFormat: MessageFormat = {
  decode: nestFormat.decode.bind(nestFormat),
  encode: ({ headers, body }) =>
    packet({ id: headers[CORRELATION_ID], data: valueOf(headers, body) ?? null }),
};

/** What comes back: the whole packet is the body. */
const answerFormat: MessageFormat = {
  decode: (frame) => ({ headers: { [CONTENT_TYPE]: JSON_TYPE }, body: frame }),
  encode: nestFormat.encode.bind(nestFormat),
};

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
  /** The last value that came. */
  value: unknown;
}

/** Calls services that use Nest's own Redis transport. */
export interface NestClient {
  /**
   * As `client.send(pattern, data)` of Nest's; resolves with the last value that the service sends. Rejects with
   * `RemoteError` where its method fails (`data` is what Nest sends), `NoRespondersError`, `RpcTimeoutError`.
   */
  call(pattern: string, data: unknown, options?: { timeout?: number }): Promise<unknown>;
  /** As `client.emit(pattern, data)`: for `@EventPattern` methods. Resolves with the number of receivers. */
  emit(pattern: string, data: unknown): Promise<number>;
}

/**
 * A client for services that use Nest's own Redis transport. The broker must have been started and have no
 * `prefix`. For each pattern that is called it subscribes to `<pattern>.reply`, over which Nest sends the answers
 * for all clients.
 */
export function nestClient(broker: RedisBroker): NestClient {
  const calls = new Map<unknown, Call>();

  function receive({ id, err, response, isDisposed }: Packet): void {
    const call = calls.get(id);
    if (call === undefined) return; // of another client, or late
    if (response !== undefined) call.value = response;
    const isFailed = err !== undefined && err !== null;
    if (isDisposed !== true && !isFailed) return;
    calls.delete(id);
    clearTimeout(call.timer);
    if (isFailed) call.reject(remoteError(err));
    else call.resolve(call.value);
  }

  const linkTo = remembered((pattern) => ({
    requests: broker.publisher({ channel: pattern }, { format: callFormat }),
    answers: broker.subscriber(
      { channel: `${pattern}.reply`, pattern: false, noReply: true, format: answerFormat },
      { title: `nestClient ${pattern}` },
      receive as (body: unknown) => void,
    ),
  }));
  const eventsTo = remembered((pattern) =>
    broker.publisher({ channel: pattern }, { format: nestFormat }),
  );

  return {
    async call(pattern, data, { timeout = TIMEOUT } = {}) {
      if (!(timeout > 0 && timeout < 2 ** 31))
        throw new SetupError(`nestClient: 'timeout' must be milliseconds, got ${String(timeout)}`);
      const { requests, answers } = linkTo(pattern);
      // Confirmed first: an answer would be lost otherwise.
      await answers.started();
      const id = globalThis.crypto.randomUUID();
      const answer = new Promise<unknown>((resolve, reject) => {
        const timer = setTimeout(() => {
          calls.delete(id);
          reject(new RpcTimeoutError(`channel '${pattern}'`, timeout, id));
        }, timeout);
        calls.set(id, { resolve, reject, timer, value: undefined });
      });
      try {
        const receivers = await requests.publish(data, { correlationId: id });
        if (receivers === 0) throw new NoRespondersError(`channel '${pattern}'`);
      } catch (error) {
        clearTimeout(calls.get(id)?.timer);
        calls.delete(id);
        throw error;
      }
      return answer;
    },
    emit: async (pattern, data) => eventsTo(pattern).publish(data),
  };
}

/** What `make` makes for a pattern, made once. */
function remembered<T>(make: (pattern: string) => T): (pattern: string) => T {
  const known = new Map<string, T>();
  return (pattern) => {
    const found = known.get(pattern) ?? make(pattern);
    known.set(pattern, found);
    return found;
  };
}

/** Nest sends `{ status, message }`, what a RpcException holds, or a text. */
function remoteError(err: unknown): RemoteError {
  if (typeof err !== 'object' || err === null)
    return new RemoteError({ name: 'RpcException', message: String(err), data: err });
  const { name, message, code } = err as { name?: unknown; message?: unknown; code?: unknown };
  return new RemoteError({
    name: typeof name === 'string' ? name : 'RpcException',
    message: typeof message === 'string' ? message : 'the service of Nest failed',
    code: typeof code === 'string' || typeof code === 'number' ? String(code) : undefined,
    data: err,
  });
}

/** A packet, or as with Nest what is none: all of it is the data of an event. */
function packetIn(frame: Buffer): Packet {
  let value: unknown;
  try {
    value = JSON.parse(frame.toString());
  } catch (cause) {
    throw new DecodeError('the message is not a packet of Nest: it is not JSON', { cause });
  }
  const isPacket =
    typeof value === 'object' && value !== null && ('pattern' in value || 'data' in value);
  return isPacket ? (value as Packet) : { data: value };
}

/** The value that redstart has encoded. */
function valueOf(headers: Headers, body: Uint8Array): unknown {
  const type = headers[CONTENT_TYPE];
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  if (text === '') return undefined;
  if (type?.startsWith(JSON_TYPE) === true) return JSON.parse(text) as unknown;
  if (type?.startsWith('text/plain') === true) return text;
  throw new EncodeError("Nest's Redis transport carries JSON: send no bytes over it");
}

function textsIn(metadata: unknown): Record<string, string> {
  if (typeof metadata !== 'object' || metadata === null) return {};
  return Object.fromEntries(
    Object.entries(metadata).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  );
}

function packet(content: Packet): Buffer {
  return Buffer.from(JSON.stringify(content));
}
