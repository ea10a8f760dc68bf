/** Options by which a message or a call is sent, handled and answered once. */
import { SetupError } from '../errors.ts';
import { milliseconds, wrong, type Check, type Checks } from '../internal/checks.ts';
import type { Mistake } from '../internal/mistake.ts';
import { MESSAGE_ID } from '../message/headers.ts';
import { MAX_NAME } from '../message/message.ts';

const EXPECTED = `a string of 1 to ${MAX_NAME} bytes`;

/** Options of a message to a list or a stream. */
export interface IdOptions<Id extends string = string> {
  /**
   * The message is sent once under this id within `idWindow`. A second publish of the same body sends nothing; of
   * another body rejects with `IdConflictError`. `publish` resolves with the id of the first entry in a stream,
   * and with this id for a list. Sent as the header `message_id`. 1 to 1 024 bytes. Default: none.
   */
  id?: Id;
  /** Milliseconds for which the id is remembered, from the first publish on. Default: `idWindow` of the broker, 600 000. */
  idWindow?: [Id] extends [never] ? Mistake<"'idWindow' needs 'id'"> : number;
}

/** Option of a call to a list or a stream. */
export interface CallIdOptions {
  /**
   * The call is handled once under this id. A second call with the same body waits for the first one, or gets its
   * kept answer (`answers.keep` of the broker that answers). A call with another body rejects with
   * `IdConflictError`. 1 to 1 024 bytes. Default: none.
   */
  id?: string;
  idWindow?: Mistake<"'idWindow' is for messages: a call's answer is kept for the broker's 'answers.keep'">;
}

/** For what has no list or stream to remember ids beside. */
export interface NoIdOptions<Text extends string> {
  id?: Mistake<Text>;
  idWindow?: Mistake<Text>;
}

/** For messages to channels. */
export type NoChannelId = NoIdOptions<"'id' needs a list or a stream: a channel remembers nothing">;

/** For calls with many answers. */
export type NoManyId = NoIdOptions<"'id' is for calls with one answer: publish() and request()">;

/** Makes the id of one message of a batch or a pipeline. */
// oxlint-disable-next-line typescript/no-explicit-any -- the bodies that it is called with are the caller's own
export type IdOfEach<Body = any> = (body: Body, index: number) => string;

/** Whether a value can be an id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_NAME;
}

/** The option of a publish, a call, a batch or a pipeline; `where` is the method. */
export const id: Check = (value, key, where, all) => {
  const { channel, headers } = all;
  if (channel !== undefined) {
    throw new SetupError(
      `${where}: '${key}' needs a list or a stream: a channel remembers nothing, and its messages are not sent again`,
    );
  }
  const isBatch = where === 'publishBatch';
  if (typeof value === 'function' && (isBatch || where === 'pipeline')) return;
  if (isBatch) {
    const expected = 'a function (body, index) => string, since each message has an id of its own';
    throw wrong(where, key, expected, value);
  }
  if (!isId(value)) throw wrong(where, key, EXPECTED, value);
  if ((headers as Record<string, unknown> | undefined)?.[MESSAGE_ID] === undefined) return;
  throw new SetupError(
    `${where}: '${key}' is sent as the header '${MESSAGE_ID}': give one or the other`,
  );
};

export const idWindow: Check = (value, key, where, all) => {
  window(value, key, where, all);
  if (all['id'] === undefined) throw new SetupError(`${where}: '${key}' needs 'id'`);
  if (all['rpc'] !== true && where !== 'request') return;
  throw new SetupError(
    `${where}: '${key}' is for messages: a call's answer is kept for the broker's 'answers.keep'`,
  );
};

/** Milliseconds in which the server remembers something: at least one. */
export const window: Check = (value, key, where) => {
  milliseconds(value, key, where);
  if ((value as number) < 1) throw wrong(where, key, 'milliseconds, 1 or more', value, 'number');
};

const noId: Check = (_value, key, where) => {
  throw new SetupError(
    `${where}: '${key}' is an option of publish and request to a list or a stream, which have one answer: leave it out`,
  );
};

/** For calls with many answers. */
export const NO_ID = { id: noId, idWindow: noId };

/** How long answers are kept. */
export interface AnswersOptions {
  /** Milliseconds for which the answer of a call with an `id` is kept in Redis; 0: it is not kept. Default 600 000. */
  keep?: number;
}

export const ANSWERS = { keep: milliseconds } satisfies Checks<AnswersOptions>;

/** Of subscribers whose messages are acknowledged. */
export interface OnceOptions {
  /**
   * Milliseconds for which the ids of handled messages are remembered. A message whose id was handled is
   * acknowledged and not handled again. It works for messages with an `id` or the header `message_id`; other
   * messages and redriven dead letters are handled as usual. Default: nothing is remembered.
   */
  once?: number;
}

/** For subscribers whose messages are not acknowledged. */
export interface NoOnceOptions {
  once?: Mistake<"'once' needs a stream with 'group', or a list with 'reliable: true'">;
}

export const ONCE: Check = (value, key, where, all) => {
  window(value, key, where, all);
  if (all['ackPolicy'] !== 'ack-first') return;
  throw new SetupError(
    `${where}: '${key}' cannot be combined with the ackPolicy 'ack-first', which acknowledges before the message is handled: leave one of them out`,
  );
};
