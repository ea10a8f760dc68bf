import { channel } from 'node:diagnostics_channel';
import { unawaited } from '../internal/promises.ts';
import type { Headers, HeadersInput } from '../message/headers.ts';
import type { Target } from '../transport/address.ts';
import type { Message } from './message.ts';
import type { SubscriberInfo } from './subscriber-info.ts';

/**
 * A message was read from Redis. Nothing has been done with it yet. With `once`, a message that waits because one
 * with its id is being handled is received when its wait has ended.
 */
export interface ReceivedEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
}

/** The messages that are about to be handled: one, or all of a batch. */
export interface HandleEvent {
  readonly subscriber: SubscriberInfo;
  readonly messages: readonly Message[];
}

/** Where a message failed: before its handler, in it, or after too many deliveries. */
export type FailureStage =
  | 'decode'
  | 'validate'
  | 'match'
  | 'filter'
  | 'handler'
  | 'timeout'
  | 'exhausted'
  | 'forward';

/** A message has its outcome. It is not answered and not settled yet. */
export interface HandledEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
  /**
   * - `ok`: the handler returned.
   * - `failed`: see `stage` and `error`.
   * - `expired`: its caller had stopped waiting, so it was not handled.
   * - `skipped`: a channel name that does not fit the template.
   */
  readonly outcome: 'ok' | 'failed' | 'expired' | 'skipped';
  /** What the handler returned. */
  readonly result: unknown;
  readonly error: unknown;
  /** Only of failures. */
  readonly stage: FailureStage | undefined;
  /** From the start of its handling until now; of a batch, of the whole batch. */
  readonly milliseconds: number;
}

/** A message of a group or reliable list was settled. */
export interface SettledEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
  /** `ack`: acknowledged. `nack`: delivered again later. `reject`: given up. `pending`: left to the user (`manual`). */
  readonly how: 'ack' | 'nack' | 'reject' | 'pending';
}

/** A message failed and is going to be delivered again. */
export interface RetriedEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
  /** Deliveries so far, this one included. */
  readonly delivery: number;
  /** Deliveries at most; undefined where there is no limit. */
  readonly maxDeliveries: number | undefined;
  /** Milliseconds until the next delivery. */
  readonly delay: number;
  /** Undefined where the handler called `ctx.nack()`. */
  readonly error: unknown;
}

/** A message was sent to its dead letters. */
export interface BuriedEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
  /** Where the dead letter is. */
  readonly to: Target;
  readonly error: unknown;
}

/** The result of a handler was sent to all its publishers (`@publisher`), or one of them failed. */
export interface ForwardedEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
  /** Why it could not be sent. The message has failed then, although `handled` said `ok`. */
  readonly error: unknown;
}

/** Whether a subscriber handles messages (`closed`), none (`open`), or one that decides (`trial`). */
export type BreakerState = 'closed' | 'open' | 'trial';

/** A subscriber with the option `pause` has paused because its messages fail in a row, or goes on. */
export interface BreakerEvent {
  readonly subscriber: SubscriberInfo;
  readonly state: BreakerState;
}

/** Redis refused acknowledgements. They are sent again until it accepts them. */
export interface UnacknowledgedEvent {
  readonly subscriber: SubscriberInfo;
  /** How many messages. */
  readonly count: number;
  readonly error: unknown;
}

/** An answer was sent, or could not be sent. */
export interface AnsweredEvent {
  readonly subscriber: SubscriberInfo;
  readonly message: Message;
  /** Receivers of the answer; 0 where nobody was there. Undefined where it could not be sent. */
  readonly receivers: number | undefined;
  /** Why it could not be sent. */
  readonly error: unknown;
}

/** One message on its way out. */
export interface SendEvent {
  /** `publish`: nobody waits. `request`: an answer comes back. `reply`: this is one. */
  readonly type: 'publish' | 'request' | 'reply';
  /** The same object in the event of the end ({@link PublishedEvent}, {@link CalledEvent}), and in no other message's. */
  readonly to: Target;
  readonly body: unknown;
  readonly correlationId: string;
  /** The headers of the user's. */
  readonly headers: HeadersInput | undefined;
  /** Adds headers to the message. The user's own win. Throws, and adds none, for one that cannot be sent or that changes the message. They count for `maxBytes`. */
  addHeaders(headers: Headers): void;
}

/** A message was sent, or could not be sent. */
export interface PublishedEvent {
  readonly type: 'publish' | 'reply';
  readonly to: Target;
  readonly body: unknown;
  readonly correlationId: string;
  readonly headers: HeadersInput | undefined;
  readonly error: unknown;
  readonly milliseconds: number;
}

/** A call has ended. */
export interface CalledEvent {
  readonly to: Target;
  readonly body: unknown;
  readonly correlationId: string;
  readonly headers: HeadersInput | undefined;
  /** Undefined where an answer came; else what the call rejected with. */
  readonly error: unknown;
  readonly milliseconds: number;
}

/** The connection to Redis was lost, or is there again. */
export interface ConnectionEvent {
  readonly state: 'up' | 'down';
}

/** Something went wrong that no caller waits for, or is over. The same is logged. */
export interface TroubleEvent {
  /** The subscriber's address and title, `calls` or `subscriptions`. */
  readonly where: string;
  readonly problem: string;
  readonly error: unknown;
  readonly level: 'info' | 'warn' | 'error';
}

/**
 * Sees the whole life of messages: give it to a broker by `observers: [observer]` or
 * `broker.observe(observer)`. Every method is optional, and looked for when the observer is given. An
 * observer changes no message: what it throws is logged once and has no effect.
 */
export interface Observer {
  /**
   * False while the observer has nothing to do, such as tracing without an SDK: where all say so, no
   * event is made. Asked once or twice for each message, so it must be cheap. Default true.
   */
  readonly enabled?: boolean;
  received?(event: ReceivedEvent): void;
  /**
   * Runs the handling of messages: handler, answer and settlement. Call `next` once, at once, and
   * return what it returns; all that is done runs inside, so an AsyncLocalStorage can be entered here.
   */
  handle?<T>(event: HandleEvent, next: () => T): T;
  handled?(event: HandledEvent): void;
  settled?(event: SettledEvent): void;
  retried?(event: RetriedEvent): void;
  buried?(event: BuriedEvent): void;
  answered?(event: AnsweredEvent): void;
  forwarded?(event: ForwardedEvent): void;
  breaker?(event: BreakerEvent): void;
  unacknowledged?(event: UnacknowledgedEvent): void;
  /** Runs the sending of one message, as {@link Observer.handle} runs the handling. `addHeaders` comes before `next`. */
  send?<T>(event: SendEvent, next: () => T): T;
  published?(event: PublishedEvent): void;
  called?(event: CalledEvent): void;
  connection?(event: ConnectionEvent): void;
  trouble?(event: TroubleEvent): void;
}

/** The events without a `next`, by the name of their method. */
interface Events {
  readonly received: ReceivedEvent;
  readonly handled: HandledEvent;
  readonly settled: SettledEvent;
  readonly retried: RetriedEvent;
  readonly buried: BuriedEvent;
  readonly answered: AnsweredEvent;
  readonly forwarded: ForwardedEvent;
  readonly breaker: BreakerEvent;
  readonly unacknowledged: UnacknowledgedEvent;
  readonly published: PublishedEvent;
  readonly called: CalledEvent;
  readonly connection: ConnectionEvent;
  readonly trouble: TroubleEvent;
}

/** Every event goes to this channel of `node:diagnostics_channel`, too, as `{ name, event }`. */
const diagnostics = channel('redstart');

/** The methods of an observer, and a row for each. */
const METHODS: Readonly<Record<keyof Events | 'handle' | 'send', true>> = {
  ...{ received: true, handle: true, handled: true, settled: true, retried: true, buried: true },
  ...{ answered: true, forwarded: true, breaker: true, unacknowledged: true },
  ...{ send: true, published: true, called: true, connection: true, trouble: true },
};

type Method = keyof typeof METHODS;

/** The names of all methods that an observer may have. */
export const OBSERVER_METHODS = Object.keys(METHODS) as readonly Method[];

/** The observers of one broker. What none of them has a method for costs next to nothing. */
export class Observers {
  #observers: readonly Observer[] = [];
  /** Those that have a method, by its name; undefined where none has it. */
  #having: Readonly<Partial<Record<Method, readonly Observer[]>>> = {};
  /** Whether all observers are enabled for ever, so that none has to be asked. */
  #areOn = true;
  /** Whether one was enabled when {@link active} was last read. */
  #isOn = true;
  readonly #onError: (method: string, error: unknown) => void;
  /** Methods whose error was reported: each is reported once. */
  readonly #reported = new Map<Observer, Set<string>>();

  constructor(onError: (method: string, error: unknown) => void) {
    this.#onError = onError;
  }

  /** Adds an observer. The result removes it. Its methods are looked for now. */
  add(observer: Observer): () => void {
    this.#set([...this.#observers, observer]);
    let isThere = true;
    return () => {
      if (isThere) this.#set(this.#observers.toSpliced(this.#observers.lastIndexOf(observer), 1));
      isThere = false;
    };
  }

  /** This, while somebody listens: an enabled observer, or the diagnostics channel. Asks the observers: read once for each message. */
  get active(): Observers | undefined {
    if (this.#observers.length > 0) {
      this.#isOn = this.#areOn || this.#observers.some(isEnabled);
      if (this.#isOn) return this;
    }
    return diagnostics.hasSubscribers ? this : undefined;
  }

  /** The same by what {@link active} has found: for what follows from a message. */
  get known(): Observers | undefined {
    if (this.#isOn && this.#observers.length > 0) return this;
    return diagnostics.hasSubscribers ? this : undefined;
  }

  /** The same for one method, by what {@link active} has found. Called before an event is made. */
  for(method: Method): Observers | undefined {
    if (this.#isOn && this.#having[method] !== undefined) return this;
    return diagnostics.hasSubscribers ? this : undefined;
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const having = this.#having[name];
    if (having !== undefined)
      for (const observer of having) {
        try {
          const told = observer[name] as ((event: Events[Name]) => unknown) | undefined;
          const result = told?.call(observer, event);
          if (result !== undefined)
            unawaited(result, (error) => this.#report(observer, name, error));
        } catch (error) {
          this.#report(observer, name, error);
        }
      }
    if (diagnostics.hasSubscribers) diagnostics.publish({ name, event });
  }

  handle<T>(event: HandleEvent, next: () => T): T {
    return this.#around('handle', event, next);
  }

  send<T>(event: SendEvent, next: () => T): T {
    return this.#around('send', event, next);
  }

  /** Runs `next` inside all observers, exactly once whatever they do, and returns or throws what it does. */
  #around<T>(method: 'handle' | 'send', event: HandleEvent | SendEvent, next: () => T): T {
    const having = this.#having[method];
    if (having === undefined) return next();
    if (having.length === 1) return this.#inside(having[0] as Observer, method, event, next);
    let run = next;
    for (const observer of having.toReversed()) {
      const inner = run;
      run = () => this.#inside(observer, method, event, inner);
    }
    return run();
  }

  /** Runs `next` inside one observer. */
  #inside<T>(
    observer: Observer,
    method: 'handle' | 'send',
    event: HandleEvent | SendEvent,
    next: () => T,
  ): T {
    let state: 'waiting' | 'returned' | 'threw' = 'waiting';
    let value!: T;
    let thrown: unknown;
    const once = (): T => {
      if (state === 'waiting') {
        state = 'returned'; // now: an observer may call it again from inside, by another method
        try {
          value = next();
        } catch (error) {
          thrown = error;
          state = 'threw';
        }
      }
      if (state === 'threw') throw thrown;
      return value;
    };
    try {
      const around = observer[method] as (event: unknown, next: () => T) => T;
      const result = around.call(observer, event, once);
      // Nobody waits for an observer that is asynchronous.
      if (result !== value && result !== undefined)
        unawaited(result, (error) => void this.#reportUnlessOf(value, observer, method, error));
    } catch (error) {
      // What `next` threw goes on below.
      if ((state as string) !== 'threw' || error !== thrown) this.#report(observer, method, error);
    }
    // It may not have called `next`: the message is handled or sent all the same.
    return once();
  }

  /** An observer that waits for `next` fails with what that fails with, which is not its own failure. */
  async #reportUnlessOf(
    value: unknown,
    observer: Observer,
    method: string,
    error: unknown,
  ): Promise<void> {
    try {
      await value;
    } catch (own) {
      if (own === error) return;
    }
    this.#report(observer, method, error);
  }

  /** A list is replaced, never changed: an observer may be removed while an event is passed on. */
  #set(observers: readonly Observer[]): void {
    this.#observers = observers;
    this.#areOn = observers.every((observer) => !('enabled' in observer));
    this.#isOn = true;
    const having: Partial<Record<Method, readonly Observer[]>> = {};
    for (const method of OBSERVER_METHODS) {
      const all = observers.filter((observer) => observer[method] !== undefined);
      if (all.length > 0) having[method] = all;
    }
    this.#having = having;
  }

  #report(observer: Observer, method: string, error: unknown): void {
    const reported = this.#reported.get(observer) ?? new Set();
    this.#reported.set(observer, reported);
    if (reported.has(method)) return;
    reported.add(method);
    this.#onError(method, error);
  }
}

function isEnabled(observer: Observer): boolean {
  try {
    return observer.enabled !== false;
  } catch {
    return true; // a getter that throws
  }
}
