import { CancelledError, RpcError, StreamBrokenError } from '../../errors.ts';
import { failed, ok, type Outcome } from '../../consume/outcome.ts';
import { runInScope } from '../deadline.ts';
import { CALL_KEY, WINDOW_KEY, FROM_KEY, type Message } from '../../message/message.ts';
import type { Validate } from '../../message/schema.ts';
import type { Inbox } from '../inbox.ts';
import type { Replier } from './replier.ts';

/** Milliseconds without a word from a caller after which it is asked whether it is still there. */
const PROBE_INTERVAL = 2_000;

/** What a stream of answers needs of the message's context. */
interface Answering {
  readonly message: Message;
  readonly signal: AbortSignal;
  readonly deadline: number | undefined;
}

interface RunningStream {
  /** Items that the caller has room for, since the beginning. */
  granted: number;
  readonly window: number;
  /** Why it cannot go on. */
  failure: Error | undefined;
  wake: (() => void) | undefined;
}

/** The streams that handlers here answer with: each sends as many items as its caller has room for. */
export class StreamAnswers {
  readonly #inbox: Inbox;
  readonly #running = new Map<string, RunningStream>();

  constructor(inbox: Inbox) {
    this.#inbox = inbox;
    inbox.on('credit', (message) => this.#grant(message));
    inbox.onRestored(() => this.#break());
  }

  /** Answers with every item, and ends the iteration when the caller does. The outcome is the handler's. */
  async answer(
    context: Answering,
    items: AsyncIterable<unknown>,
    replier: Replier,
    validate: Validate | undefined,
  ): Promise<Outcome> {
    const { message } = context;
    const iterator = items[Symbol.asyncIterator]();
    const window = Number(message.header(WINDOW_KEY));
    if (!(window >= 1)) return this.#refuse(message, iterator, replier);

    const key = keyOf(message.replyTo as string, message.header(CALL_KEY) as string);
    const stream: RunningStream = { granted: window, window, failure: undefined, wake: undefined };
    this.#running.set(key, stream);
    // Asking for the signal tells the caller where its credits and its cancellation go.
    const { signal } = context;
    const ended = (): void => stream.wake?.();
    signal.addEventListener('abort', ended);
    try {
      await this.#send(context, iterator, stream, replier, validate);
      return ok(undefined);
    } catch (error) {
      await replier.reply(message, failed(error));
      return failed(error);
    } finally {
      signal.removeEventListener('abort', ended);
      this.#running.delete(key);
    }
  }

  async #send(
    { message, signal, deadline }: Answering,
    iterator: AsyncIterator<unknown>,
    stream: RunningStream,
    replier: Replier,
    validate: Validate | undefined,
  ): Promise<void> {
    // Every item says where credits go: they would be lost where nobody listens yet.
    await this.#inbox.ready();
    let isDone = false;
    let sent = 0;
    // A caller that reached nobody's ears any more is as good as one that said so.
    const lost = (receivers: unknown): void => {
      if (receivers !== 0) return;
      stream.granted = 0;
      isGone = true;
      stream.wake?.();
    };
    let isGone = false;
    try {
      for (;;) {
        while (
          sent >= stream.granted &&
          !signal.aborted &&
          !isGone &&
          stream.failure === undefined
        ) {
          await this.#credit(message, stream, lost);
        }
        if (stream.failure !== undefined) throw stream.failure;
        if (signal.aborted || isGone) return;
        const next = await advance(iterator, deadline);
        if (next.done === true) {
          isDone = true;
          // Ended because its caller's time was over, which is no end of the stream for the caller.
          if (signal.reason instanceof CancelledError) return;
          await replier.end(message, sent);
          return;
        }
        const value = validate === undefined ? next.value : await validate(next.value);
        replier.item(message, value, ++sent).then(lost, (error: Error) => fail(stream, error));
      }
    } finally {
      // Lets a generator run its `finally`; one that has ended by itself, or thrown, ignores it.
      if (!isDone) await iterator.return?.();
    }
  }

  /** Waits for room; asks now and then whether anybody is there. */
  async #credit(
    message: Message,
    stream: RunningStream,
    lost: (receivers: unknown) => void,
  ): Promise<void> {
    await new Promise<void>((resolve) => {
      const probe = setInterval(() => {
        const call = message.header(CALL_KEY) as string;
        this.#inbox.tell(message.replyTo as string, 'probe', call).then(lost, () => undefined);
      }, PROBE_INTERVAL);
      stream.wake = () => {
        clearInterval(probe);
        resolve();
      };
    });
    stream.wake = undefined;
  }

  /** Credits and cancellations may have been lost with the connection: what runs cannot be trusted to end. */
  #break(): void {
    for (const stream of this.#running.values())
      fail(stream, new StreamBrokenError("the responder's connection was lost in the middle"));
  }

  #grant(message: Message): void {
    const key = keyOf(message.header(FROM_KEY) ?? '', message.header(CALL_KEY) ?? '');
    const stream = this.#running.get(key);
    const consumed = Number(message.payload.toString());
    if (stream === undefined || !Number.isSafeInteger(consumed)) return;
    stream.granted = Math.max(stream.granted, consumed + stream.window);
    stream.wake?.();
  }

  /** A stream for somebody who waits for one value, or for nothing. */
  async #refuse(
    message: Message,
    iterator: AsyncIterator<unknown>,
    replier: Replier,
  ): Promise<Outcome> {
    if (message.replyTo === undefined) {
      // Nobody waits, so only the work itself is wanted.
      try {
        for (let next = await iterator.next(); next.done !== true;) next = await iterator.next();
        return ok(undefined);
      } catch (error) {
        return failed(error);
      }
    }
    await iterator.return?.();
    const error = new RpcError(
      'STREAM',
      'the handler answers with a stream: call it by broker.stream()',
    );
    await replier.reply(message, failed(error));
    return failed(error);
  }
}

function fail(stream: RunningStream, error: Error): void {
  stream.failure ??= error;
  stream.wake?.();
}

/** The next item; what the generator calls inherits what is left of the caller's time. */
function advance(
  iterator: AsyncIterator<unknown>,
  deadline: number | undefined,
): Promise<IteratorResult<unknown>> {
  if (deadline === undefined) return iterator.next();
  return runInScope({ deadline }, true, () => iterator.next());
}

function keyOf(inbox: string, call: string): string {
  return `${inbox} ${call}`;
}
