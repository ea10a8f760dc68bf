import {
  CancelledError,
  EncodeError,
  HandlerTimeoutError,
  RpcError,
  StreamBrokenError,
  messageOf,
} from '../../errors.ts';
import { iteratorOf } from '../../internal/promises.ts';
import { readable } from '../../internal/thrown.ts';
import { runWithParent, type ParentMessage } from '../parent.ts';
import { logFields } from '../../message/log-fields.ts';
import {
  CALL_KEY,
  FROM_KEY,
  WINDOW_BYTES_KEY,
  WINDOW_KEY,
  type ReceivedMessage,
} from '../../message/message.ts';
import type { Validate } from '../../message/schema.ts';
import type { Report } from '../../transport/source.ts';
import type { Inbox } from '../inbox.ts';
import type { Replier } from './replier.ts';
import { UnreadItems } from './unread-items.ts';

/** Milliseconds without credit after which the caller is asked, again and again, whether it still waits. */
const PROBE_INTERVAL = 2_000;

/**
 * Items that are sent ahead at most, whatever the caller grants. Waiting for credit lets the event
 * loop run: a generator that never waits would otherwise stop everything else in its process.
 */
const MAX_WINDOW = 1_024;

/** A request that is answered with a stream. */
export interface StreamRequest extends ParentMessage {
  readonly message: ReceivedMessage;
  /** Aborts when the caller gives up. Reading it notifies the caller of where its credit and its cancellation go. */
  readonly signal: AbortSignal;
}

interface RunningStream {
  readonly request: StreamRequest;
  readonly replier: Replier;
  readonly window: number;
  readonly unread: UnreadItems;
  /** Items that may be sent, counted from the beginning, and that were sent. */
  granted: number;
  sent: number;
  /** The caller's inbox has no receiver. */
  isGone: boolean;
  /** Why it must end with an error. */
  failure: Error | undefined;
  /** Resolves when the caller was told of the failure; undefined where there is none. Never rejects. */
  told: Promise<void> | undefined;
  /** Ends the wait for credit. */
  wake: (() => void) | undefined;
}

/** Sends the streams that handlers here answer with; no stream sends more items than its caller has granted. */
export class StreamAnswers {
  readonly #inbox: Inbox;
  readonly #report: Report;
  readonly #running = new Map<string, RunningStream>();

  constructor(inbox: Inbox, report: Report) {
    this.#inbox = inbox;
    this.#report = report;
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
    const { replyTo } = message;
    const iterator = iteratorOf(items);
    if (replyTo === undefined || !replier.mayAnswer(message, replyTo))
      return leaveAtFirst(iterator, request);
    const window = message.count(WINDOW_KEY) ?? 0;
    const key = this.#keyOf(replyTo, message.header(CALL_KEY));
    if (window < 1 || key === undefined) return this.#refuse(message, iterator, replier);
    // Another handler here streams for the same call. A caller takes one stream, and cannot tell these apart.
    if (this.#running.has(key)) return void (await iterator.return?.());

    const granted = Math.min(window, MAX_WINDOW);
    const stream: RunningStream = {
      request,
      replier,
      window: granted,
      unread: new UnreadItems(message.count(WINDOW_BYTES_KEY)),
      granted,
      sent: 0,
      isGone: false,
      failure: undefined,
      told: undefined,
      wake: undefined,
    };
    this.#running.set(key, stream);
    const { signal } = request;
    const onAbort = (): void => {
      // At once, and not at the generator's next yield, which may be far away.
      const { reason } = signal as { reason: unknown };
      if (reason instanceof HandlerTimeoutError) this.#fail(stream, reason, true);
      else if (!(reason instanceof CancelledError))
        this.#fail(stream, new StreamBrokenError('the responder was stopped in the middle'), true);
      stream.wake?.();
    };
    signal.addEventListener('abort', onAbort);
    try {
      await this.#send(stream, iterator, validate);
    } catch (error) {
      this.#fail(stream, error, false);
      await stream.told;
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#running.delete(key);
    }
  }

  /** The connection was lost and made again. Credit and cancellations may be lost with it, so every stream ends with an error. */
  interrupted(): void {
    for (const stream of this.#running.values())
      this.#fail(
        stream,
        new StreamBrokenError("the responder's connection was lost in the middle"),
        true,
      );
  }

  /** A caller has taken items and grants as many more. */
  credit(message: ReceivedMessage): void {
    const key = this.#keyOf(message.header(FROM_KEY) ?? '', message.header(CALL_KEY));
    const stream = key === undefined ? undefined : this.#running.get(key);
    const consumed = Number(message.payload.toString('latin1', 0, 16));
    if (stream === undefined || !Number.isSafeInteger(consumed)) return;
    // Nobody can have taken what was not sent.
    const read = Math.min(consumed, stream.sent);
    stream.granted = Math.max(stream.granted, read + stream.window);
    stream.unread.credit(read);
    stream.wake?.();
  }

  async #send(
    stream: RunningStream,
    iterator: AsyncIterator<unknown>,
    validate: Validate | undefined,
  ): Promise<void> {
    const { request, replier } = stream;
    const { message, signal } = request;
    // Every item names this inbox for credit, which would be lost before the inbox is subscribed to.
    await this.#inbox.ready();
    // A caller whose inbox has no receiver is gone.
    const reached = (receivers: unknown): void => {
      if (receivers !== 0) return;
      stream.isGone = true;
      stream.wake?.();
    };
    const failed = (error: unknown): void => this.#fail(stream, error, false);
    let isDone = false;
    try {
      for (;;) {
        while ((stream.sent >= stream.granted || stream.unread.areTooLarge) && !isOver(stream))
          await this.#awaitCredit(stream, reached);
        throwFailure(stream);
        if (isOver(stream)) return;
        const next = await advance(iterator, request);
        if (next.done === true) {
          isDone = true;
          // A generator that ended because it was cancelled has not reached the end of the stream.
          if (signal.reason instanceof CancelledError) return;
          throwFailure(stream);
          await replier.end(message, stream.sent);
          return;
        }
        // Checked, and sent as it is: the caller's schema makes its own output of it.
        if (validate !== undefined) await validate(next.value);
        throwFailure(stream);
        this.#item(stream, next.value).then(reached, failed);
        stream.sent++;
      }
    } finally {
      // Has a generator run its `finally`; one that has ended or thrown ignores this.
      if (!isDone) await iterator.return?.();
    }
  }

  /** Sends one item. Where it cannot be encoded, its caller is told so. */
  #item(stream: RunningStream, value: unknown): Promise<unknown> {
    try {
      const { request, replier, unread, sent } = stream;
      const { bytes, receivers } = replier.item(request.message, value, sent + 1);
      unread.add(bytes);
      return receivers;
    } catch (error) {
      this.#fail(stream, error, true);
      throw error;
    }
  }

  /** Ends a stream with an error, which its caller is told at once. `isOwn`: it is not the handler's. */
  #fail(stream: RunningStream, error: unknown, isOwn: boolean): void {
    if (stream.told !== undefined) return;
    const reason = readable(error);
    stream.failure = reason instanceof Error ? reason : new Error(messageOf(reason));
    stream.told = this.#tell(stream.request.message, reason, stream.replier, isOwn);
    stream.wake?.();
  }

  /** Sends the caller an error. Never rejects: where that fails, the handler's error is what counts. */
  async #tell(
    message: ReceivedMessage,
    error: unknown,
    replier: Replier,
    isOwn: boolean,
  ): Promise<void> {
    try {
      try {
        await replier.refuse(message, error, isOwn);
      } catch (failure) {
        // An error that is too large, say: its caller is told of that instead.
        if (!(failure instanceof EncodeError)) throw failure;
        this.#report('the error of a stream cannot be sent', failure, 'error', {
          fields: logFields(message),
        });
        await replier.refuse(message, failure, true);
      }
    } catch (failure) {
      this.#report('a caller could not be told that its stream failed', failure, 'warn', {
        fields: logFields(message),
      });
    }
  }

  /** Waits for credit; asks every two seconds whether the caller still waits. */
  async #awaitCredit(stream: RunningStream, reached: (receivers: unknown) => void): Promise<void> {
    const { message } = stream.request;
    await new Promise<void>((resolve) => {
      const probe = setInterval(() => {
        const call = message.header(CALL_KEY) as string;
        this.#inbox.notify(message.replyTo as string, 'probe', call).then(reached, () => undefined);
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
    await iterator.return?.();
    const error = new RpcError(
      'STREAM',
      'the handler answers with a stream: call it by broker.requestMany()',
    );
    await this.#tell(message, error, replier, true);
    throw error;
  }

  /** By the inbox and the id of the call; undefined where the caller has no inbox, and so cannot grant anything. */
  #keyOf(replyTo: string, call: string | undefined): string | undefined {
    const home = this.#inbox.homeOf(replyTo);
    return home === undefined || call === undefined ? undefined : `${home} ${call}`;
  }
}

/** Throws why the stream must end with an error, if it must. */
function throwFailure({ failure }: RunningStream): void {
  if (failure !== undefined) throw failure;
}

/** Whether no further item is to be sent. */
function isOver({ failure, isGone, request }: RunningStream): boolean {
  return failure !== undefined || isGone || request.signal.aborted;
}

/** Runs a generator as far as its first item, since nobody takes any. */
async function leaveAtFirst(
  iterator: AsyncIterator<unknown>,
  request: StreamRequest,
): Promise<void> {
  const next = await advance(iterator, request);
  if (next.done !== true) await iterator.return?.();
}

/** Takes the next item. What the generator sends meanwhile inherits from the request. */
function advance(
  iterator: AsyncIterator<unknown>,
  parent: ParentMessage,
): Promise<IteratorResult<unknown>> {
  return runWithParent(parent, true, () => iterator.next());
}
