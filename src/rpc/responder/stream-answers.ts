import { CancelledError, RpcError, StreamBrokenError } from '../../errors.ts';
import { runWithParent, type ParentMessage } from '../parent.ts';
import { CALL_KEY, WINDOW_KEY, FROM_KEY, type ReceivedMessage } from '../../message/message.ts';
import type { Validate } from '../../message/schema.ts';
import type { Inbox } from '../inbox.ts';
import type { Replier } from './replier.ts';

/** Milliseconds without credit after which the caller is asked, again and again, whether it still waits. */
const PROBE_INTERVAL = 2_000;

/** A request that is answered with a stream. */
export interface StreamRequest extends ParentMessage {
  readonly message: ReceivedMessage;
  /** Aborts when the caller gives up. Reading it notifies the caller of where its credit and its cancellation go. */
  readonly signal: AbortSignal;
}

interface RunningStream {
  /** Items that may be sent, counted from the beginning. */
  granted: number;
  readonly window: number;
  /** Why it must end with an error. */
  failure: Error | undefined;
  /** Ends the wait for credit. */
  wake: (() => void) | undefined;
}

/** Sends the streams that handlers here answer with; no stream sends more items than its caller has granted. */
export class StreamAnswers {
  readonly #inbox: Inbox;
  readonly #running = new Map<string, RunningStream>();

  constructor(inbox: Inbox) {
    this.#inbox = inbox;
  }

  /**
   * Sends every item, and ends the iteration when the caller gives up. Where the handler or the
   * stream fails, the error is sent to the caller and then thrown.
   */
  async answer(
    request: StreamRequest,
    items: AsyncIterable<unknown>,
    replier: Replier,
    validate: Validate | undefined,
  ): Promise<void> {
    const { message } = request;
    const iterator = items[Symbol.asyncIterator]();
    const window = Number(message.header(WINDOW_KEY));
    if (!(window >= 1)) return this.#refuse(message, iterator, replier);

    const key = keyOf(message.replyTo as string, message.header(CALL_KEY) as string);
    const stream: RunningStream = { granted: window, window, failure: undefined, wake: undefined };
    this.#running.set(key, stream);
    const { signal } = request;
    const ended = (): void => stream.wake?.();
    signal.addEventListener('abort', ended);
    try {
      await this.#send(request, iterator, stream, replier, validate);
    } catch (error) {
      await replier.refuse(message, error);
      throw error;
    } finally {
      signal.removeEventListener('abort', ended);
      this.#running.delete(key);
    }
  }

  /** The connection was lost and made again. Credit and cancellations may be lost with it, so every stream ends with an error. */
  interrupted(): void {
    for (const stream of this.#running.values())
      fail(stream, new StreamBrokenError("the responder's connection was lost in the middle"));
  }

  /** A caller has taken items and grants as many more. */
  credit(message: ReceivedMessage): void {
    const key = keyOf(message.header(FROM_KEY) ?? '', message.header(CALL_KEY) ?? '');
    const stream = this.#running.get(key);
    const consumed = Number(message.payload.toString());
    if (stream === undefined || !Number.isSafeInteger(consumed)) return;
    stream.granted = Math.max(stream.granted, consumed + stream.window);
    stream.wake?.();
  }

  async #send(
    request: StreamRequest,
    iterator: AsyncIterator<unknown>,
    stream: RunningStream,
    replier: Replier,
    validate: Validate | undefined,
  ): Promise<void> {
    const { message, signal } = request;
    // Every item names this inbox for credit, which would be lost before the inbox is subscribed to.
    await this.#inbox.ready();
    let isDone = false;
    let sent = 0;
    // A caller whose inbox has no receiver is gone.
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
          await this.#awaitCredit(message, stream, lost);
        }
        if (stream.failure !== undefined) throw stream.failure;
        if (signal.aborted || isGone) return;
        const next = await advance(iterator, request);
        if (next.done === true) {
          isDone = true;
          // A generator that ended because it was cancelled has not reached the end of the stream.
          if (signal.reason instanceof CancelledError) return;
          await replier.end(message, sent);
          return;
        }
        // Checked, and sent as it is: the caller's schema makes its own output of it.
        if (validate !== undefined) await validate(next.value);
        replier.item(message, next.value, ++sent).then(lost, (error: Error) => fail(stream, error));
      }
    } finally {
      // Has a generator run its `finally`; one that has ended or thrown ignores this.
      if (!isDone) await iterator.return?.();
    }
  }

  /** Waits for credit; asks every two seconds whether the caller still waits. */
  async #awaitCredit(
    message: ReceivedMessage,
    stream: RunningStream,
    lost: (receivers: unknown) => void,
  ): Promise<void> {
    await new Promise<void>((resolve) => {
      const probe = setInterval(() => {
        const call = message.header(CALL_KEY) as string;
        this.#inbox.notify(message.replyTo as string, 'probe', call).then(lost, () => undefined);
      }, PROBE_INTERVAL);
      stream.wake = () => {
        clearInterval(probe);
        resolve();
      };
    });
    stream.wake = undefined;
  }

  /** Answers a request that did not ask for a stream. */
  async #refuse(
    message: ReceivedMessage,
    iterator: AsyncIterator<unknown>,
    replier: Replier,
  ): Promise<void> {
    if (message.replyTo === undefined) {
      // Nobody waits for an answer: the generator is run for what it does.
      for (let next = await iterator.next(); next.done !== true;) next = await iterator.next();
      return;
    }
    await iterator.return?.();
    const error = new RpcError(
      'STREAM',
      'the handler answers with a stream: call it by broker.requestMany()',
    );
    await replier.refuse(message, error);
    throw error;
  }
}

function fail(stream: RunningStream, error: Error): void {
  stream.failure ??= error;
  stream.wake?.();
}

/** Takes the next item. What the generator sends meanwhile inherits from the request. */
function advance(
  iterator: AsyncIterator<unknown>,
  parent: ParentMessage,
): Promise<IteratorResult<unknown>> {
  return runWithParent(parent, true, () => iterator.next());
}

function keyOf(inbox: string, call: string): string {
  return `${inbox} ${call}`;
}
