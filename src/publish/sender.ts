import { unixTime } from '../internal/clock.ts';
import { PublishPipeline, type Collected, type PipelineOptions } from './pipeline.ts';
import { isContract, isRpc, placeOf, rethrow, type Contract } from '../api/contract.ts';
import { RedstartError, SendError, SetupError } from '../errors.ts';
import { currentScope } from '../rpc/deadline.ts';
import { Message } from '../message/message.ts';
import { validator } from '../message/schema.ts';
import {
  composePublish,
  type PublishCommand,
  type PublishMiddleware,
  type ReplyAddress,
} from '../api/command.ts';
import type { Encoder } from '../message/encoder.ts';
import type { Gathered, Publishing } from '../api/publishing.ts';
import type { Line } from '../rpc/session.ts';
import { sendTogether, type Replies } from './together.ts';
import { LateStream } from './lazy-stream.ts';
import type { Calls } from '../rpc/caller/calls.ts';
import type { CallCommand } from '../rpc/caller/call.ts';
import type { GatherCommand } from '../rpc/caller/gather-call.ts';
import type { StreamCommand } from '../rpc/caller/stream-call.ts';
import { GATHER_CHECKS, STREAM_CHECKS, checked, forbidCall, type AnyOptions } from './check.ts';
import { describe, targetOf, type Target } from '../transport/address.ts';
import type { Outbound, Transport } from '../transport/transport.ts';

export interface SenderOptions {
  /** The line where it is open, a promise of it where it is not. Throws or rejects when there will be none. */
  readonly line: () => Line | Promise<Line>;
  readonly encoder: Encoder;
  readonly prefix: string;
  /** Outermost first; read once, at the first message. */
  readonly middlewares: () => readonly PublishMiddleware[];
  /** Default of a call's `timeout`. */
  readonly timeout: number | null;
}

/** A call that middleware runs around resolves with the whole message; a plain one may ask for the body alone. */
type Call = CallCommand;

/** Turns values and options into commands, runs them through middleware and sends them. */
export class Sender implements Publishing {
  readonly #options: SenderOptions;
  #composed: Composed | null | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  // One signature for the overloads that Publishing declares; what comes back follows from the options.
  publish(body: unknown, to: unknown, more?: object): Promise<never> {
    return this.dispatch(body, to, undefined, more) as Promise<never>;
  }

  request(body: unknown, to: unknown, more?: object): Promise<never> {
    if (isContract(to)) {
      return byContract(to, body, (valid) =>
        this.request(valid, { ...expand(to, 'request'), ...more, rpc: undefined }),
      );
    }
    try {
      const options = checked(to, 'request');
      if (options.rpc !== undefined)
        throw new SetupError("request: leave out 'rpc', a request is one");
      return this.#call(body, options, undefined, true) as Promise<never>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async publishBatch(bodies: readonly unknown[], to: unknown): Promise<never> {
    const options = checked(to, 'publishBatch');
    if (!Array.isArray(bodies)) {
      throw new SetupError(`publishBatch: expected an array of messages, got ${typeof bodies}`);
    }
    forbidCall(options, 'publishBatch');
    const { transport, calls } = await this.#options.line();
    const commands = bodies.map((body) =>
      this.#command(calls, body, options, undefined, 'publishBatch'),
    );
    const target = this.#target(options, 'publishBatch');
    if (commands.length === 0) return (target.kind === 'list' ? 0 : []) as never;
    const { encoder } = this.#options;
    const through = this.#middleware()?.send;
    if (through === undefined) {
      const frames = commands.map((command) => encoder.encode(command, command.replyTo));
      return (await transport
        .sendBatch(target, frames)
        .catch((error: unknown) => refused(target, error))) as never;
    }
    // Middleware may send each elsewhere, or not at all: they go one by one.
    const sent: unknown[] = [];
    for (const command of commands) sent.push(await through(command));
    return (target.kind === 'list' ? sent.at(-1) : sent) as never;
  }

  /** Calls a handler that answers with a stream. Nothing is sent before the first item is asked for. */
  stream(body: unknown, to: unknown, more?: object): AsyncIterableIterator<never, undefined> {
    if (isContract(to)) {
      const options = { ...expand(to, 'stream'), ...more, rpc: undefined };
      return new LateStream(async () => this.stream(await validated(to, body), options));
    }
    const options = checked(to, 'stream', STREAM_CHECKS);
    const { window = 64, itemTimeout = this.#options.timeout, timeout = null } = options;
    return new LateStream(async () => {
      const { calls, conversations } = await this.#options.line();
      const base = this.#callCommand(calls, body, { ...options, timeout }, undefined, true);
      const command: StreamCommand = { ...base, itemTimeout, window };
      const through = this.#middleware()?.stream;
      if (through === undefined) return conversations.stream(command);
      return (await through(command)) as AsyncIterator<unknown, undefined>;
    });
  }

  /** Asks everybody on a channel. */
  async gather(body: unknown, to: unknown): Promise<Gathered<never>> {
    const options = checked(to, 'gather', GATHER_CHECKS);
    const { calls, conversations } = await this.#options.line();
    const base = this.#callCommand(calls, body, options, undefined, true);
    const command: GatherCommand = { ...base, max: options.max ?? Infinity };
    const through = this.#middleware()?.gather;
    const gathered = through === undefined ? conversations.gather(command) : through(command);
    return (await gathered) as Gathered<never>;
  }

  /** Collects messages, to be sent in one go. */
  pipeline(options: PipelineOptions = {}): PublishPipeline {
    return new PublishPipeline(options, (messages, transaction) =>
      this.#sendAll(messages, transaction),
    );
  }

  async #sendAll(messages: readonly Collected[], transaction: boolean): Promise<Replies> {
    const plain = await Promise.all(
      messages.map(async ({ body, to, more }) => {
        if (!isContract(to)) return { body, options: checked(to, 'pipeline') };
        const options = checked({ ...expand(to, 'publish'), ...more }, 'pipeline');
        return { body: await validated(to, body), options };
      }),
    );
    for (const { options } of plain) forbidCall(options, 'pipeline');
    const { transport, calls } = await this.#options.line();
    return sendTogether(
      plain.map(({ body, options }) => this.#command(calls, body, options, undefined, 'pipeline')),
      this.#options.middlewares(),
      (command) => ({
        to: command.to,
        frame: this.#options.encoder.encode(command, command.replyTo),
      }),
      async (outbound) => {
        const replies = await transport.sendAll(outbound, transaction);
        return replies.map((reply, i) =>
          reply.status === 'fulfilled'
            ? reply
            : {
                status: 'rejected',
                reason: asSendError((outbound[i] as Outbound).to, reply.reason),
              },
        );
      },
    );
  }

  /** `publish`, with the correlation id of the message that is being handled. */
  dispatch(
    body: unknown,
    to: unknown,
    correlationId: string | undefined,
    more?: object,
  ): Promise<unknown> {
    if (isContract(to)) {
      return byContract(to, body, (valid) =>
        this.dispatch(valid, { ...expand(to, 'publish'), ...more }, correlationId),
      );
    }
    try {
      const options = checked(to, 'publish');
      if (options.rpc === true) return this.#call(body, options, correlationId, false);
      forbidCall(options, 'publish');
      const line = this.#options.line();
      if (line instanceof Promise) {
        return line.then((open) => this.#send(open, body, options, correlationId));
      }
      return this.#send(line, body, options, correlationId);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #send(
    { transport, calls }: Line,
    body: unknown,
    options: AnyOptions,
    correlationId: string | undefined,
  ): Promise<unknown> {
    const command = this.#command(calls, body, options, correlationId, 'publish');
    const through = this.#middleware()?.send;
    if (through !== undefined) return through(command);
    return this.#transmit(transport, command);
  }

  #transmit(transport: Transport, command: PublishCommand): Promise<number | string> {
    const frame = this.#options.encoder.encode(command, command.replyTo);
    return transport.send(command.to, frame).catch((error: unknown) => refused(command.to, error));
  }

  #command(
    calls: Calls,
    body: unknown,
    options: AnyOptions,
    correlationId: string | undefined,
    where: string,
  ): PublishCommand {
    return {
      type: 'publish',
      to: this.#target(options, where),
      body,
      headers: options.headers,
      correlationId: options.correlationId ?? correlationId ?? calls.correlationId(calls.reserve()),
      replyTo:
        options.replyTo === undefined ? undefined : this.#replyAddress(options.replyTo, where),
    };
  }

  #call(
    body: unknown,
    options: AnyOptions,
    correlationId: string | undefined,
    whole: boolean,
  ): Promise<unknown> {
    const where = whole ? 'request' : 'publish';
    if (options.replyTo !== undefined) {
      throw new SetupError(
        `${where}: 'replyTo' sends the answer elsewhere, a call waits for it: give one or the other`,
      );
    }
    const line = this.#options.line();
    if (line instanceof Promise) {
      return line.then((open) => this.#callOn(open, body, options, correlationId, whole));
    }
    return this.#callOn(line, body, options, correlationId, whole);
  }

  #callOn(
    { calls }: Line,
    body: unknown,
    options: AnyOptions,
    correlationId: string | undefined,
    whole: boolean,
  ): Promise<unknown> {
    const through = this.#middleware()?.call;
    const isWhole = whole || through !== undefined;
    const command = this.#callCommand(calls, body, options, correlationId, isWhole);
    if (through === undefined) return calls.call(command);
    const answer = through(command);
    // Middleware may have put something else in the message's place.
    return whole
      ? answer
      : answer.then((message) => (message instanceof Message ? message.body : message));
  }

  #callCommand(
    calls: Calls,
    body: unknown,
    options: AnyOptions,
    correlationId: string | undefined,
    whole: boolean,
  ): Call {
    const call = calls.reserve();
    return {
      type: 'request',
      to: this.#target(options, 'call'),
      body,
      headers: options.headers,
      correlationId: options.correlationId ?? correlationId ?? calls.correlationId(call),
      replyTo: undefined,
      call,
      timeout: timeLeft(options.timeout === undefined ? this.#options.timeout : options.timeout),
      signal: options.signal,
      validate: options.reply === undefined ? undefined : validator(options.reply, 'the answer'),
      encoder: this.#options.encoder,
      whole,
    };
  }

  #target(options: AnyOptions, where: string): Target {
    const target = targetOf(options, where);
    const { prefix } = this.#options;
    if (prefix === '' && options.maxlen === undefined) return target;
    if (options.maxlen !== undefined && target.kind !== 'stream') {
      throw new SetupError(
        `${where}: 'maxlen' only means something for a stream, not for a ${target.kind}`,
      );
    }
    return { ...target, name: prefix + target.name, maxlen: options.maxlen };
  }

  #replyAddress(replyTo: unknown, where: string): ReplyAddress {
    const given = typeof replyTo === 'string' ? { channel: replyTo } : (replyTo as object);
    const { kind, name, sharded } = targetOf(given, `${where}: replyTo`);
    if (sharded) throw new SetupError(`${where}: an answer cannot go to a sharded channel`);
    return { kind, name: this.#options.prefix + name };
  }

  /** Composed once; null where there is none. */
  #middleware(): Composed | null {
    if (this.#composed !== undefined) return this.#composed;
    const middlewares = this.#options.middlewares();
    if (middlewares.length === 0) return (this.#composed = null);
    const { line } = this.#options;
    return (this.#composed = {
      send: composePublish(middlewares, async (command) =>
        this.#transmit((await line()).transport, command),
      ),
      call: composePublish(middlewares, async (command) => (await line()).calls.call(command)),
      stream: composePublish(middlewares, async (command) =>
        (await line()).conversations.stream(command),
      ),
      gather: composePublish(middlewares, async (command) =>
        (await line()).conversations.gather(command),
      ),
    });
  }
}

/** A call's own time, or what is left of the call that its handler answers, whichever is less. */
function timeLeft(timeout: number | null): number | null {
  const deadline = currentScope()?.deadline;
  if (deadline === undefined) return timeout;
  return Math.max(0, Math.min(timeout ?? Infinity, deadline - unixTime()));
}

/** A contract as plain options. */
function expand(contract: Contract, how: 'publish' | 'request' | 'stream'): object {
  const { group: _, ...address } = contract.address;
  if (!isRpc(contract)) return address;
  if (contract.streams !== (how === 'stream')) {
    const advice = contract.streams
      ? 'it is answered with a stream: use stream()'
      : 'it is answered once: use publish() or request()';
    throw new SetupError(
      `${how}: the contract of ${placeOf(contract)} does not allow it, ${advice}`,
    );
  }
  return { ...address, rpc: true, reply: contract.reply };
}

async function validated(contract: Contract, body: unknown): Promise<unknown> {
  return validator(contract.schema, `the request to ${placeOf(contract)}`)(body);
}

/** Checks what is sent, and the data of the errors that come back. */
async function byContract(
  contract: Contract,
  body: unknown,
  call: (valid: unknown) => Promise<unknown>,
): Promise<never> {
  const valid = await validated(contract, body);
  return (await call(valid).catch((error: unknown) => rethrow(contract, error))) as never;
}

type Through<C> = (command: C) => Promise<unknown>;

/** Middleware around each way of sending. */
interface Composed {
  readonly send: Through<PublishCommand>;
  readonly call: Through<Call>;
  readonly stream: Through<StreamCommand>;
  readonly gather: Through<GatherCommand>;
}

function refused(to: Target, error: unknown): never {
  throw asSendError(to, error);
}

function asSendError(to: Target, error: unknown): RedstartError {
  return error instanceof RedstartError ? error : new SendError(describe(to), error);
}
