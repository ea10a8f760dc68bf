import { declaredError, isContract, type Contract } from '../api/contract.ts';
import { composePublish, type PublishCommand, type PublishMiddleware } from '../api/middleware.ts';
import type { GatherResult, Publishing } from '../api/publishing.ts';
import type { Sending } from '../api/sending.ts';
import { SetupError } from '../errors.ts';
import { uniqueId } from '../internal/ids.ts';
import type { Outgoing } from '../message/encoder.ts';
import { validator } from '../message/schema.ts';
import type { CallCommand } from '../rpc/caller/call.ts';
import type { GatherCommand } from '../rpc/caller/gather-call.ts';
import type { StreamCommand } from '../rpc/caller/stream-call.ts';
import { observed, observedCall, observedStream } from '../rpc/observed.ts';
import { parentMessage, type ParentMessage } from '../rpc/parent.ts';
import type { Session } from '../rpc/session.ts';
import type { Outbound, Transport } from '../transport/transport.ts';
import { answerOf } from './answers.ts';
import {
  GATHER_CHECKS,
  STREAM_CHECKS,
  checkCall,
  checked,
  endsBy,
  forbidCall,
  isCall,
  timeLeft,
  type AnyOptions,
} from './check.ts';
import {
  checkBody,
  clientFor,
  optionsOf,
  sendByContract,
  withDeclaredErrors,
  type Verb,
} from './contracts.ts';
import { asDeclared, bodyOf, type Command, type SenderOptions } from './command.ts';
import { DelayedBox } from './delayed-box.ts';
import { onceOf } from './identity.ts';
import { forbidKeyFunction, keyIn, keyed } from './keys.ts';
import { LazyStream } from './lazy-stream.ts';
import { isLimited, limited, transmit } from './patience.ts';
import { replyAddressIn, targetIn } from './places.ts';
import { extrasOf, headersOf, knowTime, laterOf } from './schedule.ts';
import type { CollectedMessage } from './collected.ts';
import {
  PublishPipeline,
  asSendError,
  sendBatchFrames,
  sendFrames,
  sendTogether,
  type PublishPipelineOptions,
  type Results,
} from './pipeline.ts';

/** Makes commands of values and options, runs the publish middleware and sends them. */
export class Sender implements Publishing {
  readonly #options: SenderOptions;
  #cachedMiddlewares: readonly PublishMiddleware[] | undefined;
  #sendThroughMiddleware: ((command: Command) => Promise<unknown>) | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  publish(body: unknown, to: unknown, more?: object): Promise<never> {
    return asDeclared(this.#publishOrCall('publish', body, to, more, parentMessage()));
  }

  /** Sends for a message that is being handled: `ctx.publish` and its kin. */
  from(parent: ParentMessage): Sending {
    const sending: Sending = {
      publish: (body: unknown, to: unknown, more?: object) =>
        asDeclared(this.#publishOrCall('publish', body, to, more, parent)),
      request: (body: unknown, to: unknown, more?: object) =>
        asDeclared(this.#publishOrCall('request', body, to, more, parent)),
      requestMany: (body: unknown, to: unknown, more?: object) =>
        asDeclared(this.#requestMany(body, to, more, parent)),
      gather: (body: unknown, to: unknown, more?: object) =>
        asDeclared(this.#gather(body, to, more, parent)),
      clientFor: (contracts) => clientFor(sending, contracts),
    };
    return sending;
  }

  request(body: unknown, to: unknown, more?: object): Promise<never> {
    return asDeclared(this.#publishOrCall('request', body, to, more, parentMessage()));
  }

  answer(id: unknown, of: unknown, more?: object): Promise<never> {
    return asDeclared(answerOf(this.#options, id, of, more));
  }

  publishBatch(bodies: readonly unknown[], to: unknown, more?: object): Promise<never> {
    return asDeclared(this.#publishBatch(bodies, to, more));
  }

  /** Calls a handler that answers with a stream. The request is sent when the first item is read. */
  requestMany(body: unknown, to: unknown, more?: object): AsyncIterableIterator<never, undefined> {
    return asDeclared(this.#requestMany(body, to, more, parentMessage()));
  }

  /** Sends a request to all subscribers of a channel, and collects their answers. */
  gather(body: unknown, to: unknown, more?: object): Promise<GatherResult<never>> {
    return asDeclared(this.#gather(body, to, more, parentMessage()));
  }

  /** Throws `EncodeError` for a message that can never be sent. Nothing is known where middleware may change it. */
  checkSendable(message: Outgoing): void {
    if (this.#options.middlewares().length === 0) this.#options.encoder.encode(message);
  }

  /** What is not sent yet to one place. */
  delayed(to: unknown, where: string): DelayedBox {
    const { prefix, encoder, session } = this.#options;
    return new DelayedBox({ to, where, prefix, encoder, session });
  }

  /** Makes a pipeline, which sends its messages in one round trip. */
  pipeline(options: PublishPipelineOptions = {}): PublishPipeline {
    return new PublishPipeline(options, this.#options.prefix, (messages, transaction) =>
      this.#sendCollected(messages, transaction),
    );
  }

  // Not `async`, to save promises: this runs for every message.
  #publishOrCall(
    verb: 'publish' | 'request',
    body: unknown,
    to: unknown,
    more: object | undefined,
    parent: ParentMessage | undefined,
  ): Promise<unknown> {
    try {
      const given = optionsOf(to, verb, more);
      // NaN is not equal to itself.
      if (!Object.is(given, to)) {
        return sendByContract(to as Contract, body, () =>
          this.#publishOrCall(verb, body, keyed(given, to as Contract, body), undefined, parent),
        );
      }
      const options = checked(given, verb);
      forbidKeyFunction(options.key, verb);
      if (isCall(verb, options)) checkCall(options, verb);
      else {
        forbidCall(options, verb);
        if (isLimited(options))
          return limited(
            this.#command(verb, body, options, parent),
            options,
            this.#options.session,
            (session, command) => this.#send(session, command),
          );
      }
      const session = this.#options.session();
      if (session instanceof Promise) {
        return session.then((open) => this.#sendOn(open, verb, body, options, parent));
      }
      return this.#sendOn(session, verb, body, options, parent);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #sendOn(
    session: Session,
    verb: 'publish' | 'request',
    body: unknown,
    options: AnyOptions,
    parent: ParentMessage | undefined,
  ): Promise<unknown> {
    if (!isCall(verb, options)) {
      return this.#send(session, this.#command(verb, body, options, parent));
    }
    const command = this.#callCommand(verb, body, options, parent);
    const answer = this.#send(session, command);
    return verb === 'publish' && command.whole ? answer.then(bodyOf) : answer;
  }

  async #publishBatch(
    bodies: readonly unknown[],
    to: unknown,
    more: object | undefined,
  ): Promise<unknown> {
    const verb = 'publishBatch';
    const parent = parentMessage();
    const options = checked(optionsOf(to, verb, more), verb);
    if (!Array.isArray(bodies)) {
      throw new SetupError(`publishBatch: expected an array of messages, got ${typeof bodies}`);
    }
    forbidCall(options, verb);
    if (isContract(to)) await Promise.all(bodies.map((body) => checkBody(to, body)));
    const { transport } = await this.#options.session();
    const commands = bodies.map((body, i) => this.#command(verb, body, options, parent, i));
    await knowTime(commands, transport.timed.clock);
    const target = targetIn(options, verb, this.#options.prefix);
    if (commands.length === 0) return target.kind === 'list' ? 0 : [];
    const isPlain = options.id === undefined && commands[0]?.extras?.handle === undefined;
    if (isPlain && this.#middlewares.length === 0 && this.#options.observers.active === undefined) {
      const frames = commands.map((command) => this.#encode(command, transport));
      return transport.sendBatch(target, frames).catch((error: unknown) => {
        throw asSendError(target, error);
      });
    }
    const results = await this.#sendTogether(commands, transport, (outbound) =>
      sendBatchFrames(transport, target, outbound),
    );
    const sent = results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
    return target.kind === 'list' && isPlain ? sent.at(-1) : sent;
  }

  async #sendCollected(
    messages: readonly CollectedMessage[],
    transaction: boolean,
  ): Promise<Results> {
    const verb = 'pipeline';
    const parent = parentMessage();
    const plain = messages.map(({ body, to, more }) => {
      const options = checked(optionsOf(to, verb, more), verb);
      forbidCall(options, verb);
      return { body, options };
    });
    await Promise.all(
      messages.map(async ({ body, to, check }) =>
        isContract(to) ? checkBody(to, body) : check?.(),
      ),
    );
    const { transport } = await this.#options.session();
    const commands = plain.map((one, i) => this.#command(verb, one.body, one.options, parent, i));
    await knowTime(commands, transport.timed.clock);
    return this.#sendTogether(commands, transport, (outbound) =>
      sendFrames(transport, outbound, transaction),
    );
  }

  #sendTogether(
    commands: readonly PublishCommand[],
    transport: Transport,
    send: Parameters<typeof sendTogether>[3],
  ): Promise<Results> {
    const middlewares =
      this.#options.observers.active === undefined
        ? this.#middlewares
        : [...this.#middlewares, this.#observe];
    return sendTogether(
      commands,
      middlewares,
      (command) => this.#prepare(command, transport),
      send,
    );
  }

  #requestMany(
    body: unknown,
    to: unknown,
    more: object | undefined,
    parent: ParentMessage | undefined,
  ): LazyStream {
    const verb = 'requestMany';
    const contract = isContract(to) ? to : undefined;
    const options = checked(optionsOf(to, verb, more), verb, STREAM_CHECKS);
    if (contract?.key === undefined) forbidKeyFunction(options.key, verb);
    const { window = 64, itemTimeout = this.#options.timeout, timeout = null } = options;
    return new LazyStream(
      async () => {
        if (contract !== undefined) await checkBody(contract, body);
        const session = await this.#options.session();
        const call = this.#callCommand(verb, body, { ...options, timeout }, parent);
        const command: StreamCommand = { ...call, itemTimeout, window };
        return (await this.#send(session, command)) as AsyncIterator<unknown, undefined>;
      },
      contract && ((error) => declaredError(contract, error)),
    );
  }

  async #gather(
    body: unknown,
    to: unknown,
    more: object | undefined,
    parent: ParentMessage | undefined,
  ): Promise<unknown> {
    const verb = 'gather';
    const options = checked(optionsOf(to, verb, more), verb, GATHER_CHECKS);
    const contract = isContract(to) ? to : undefined;
    if (contract !== undefined) await checkBody(contract, body);
    const session = await this.#options.session();
    const call = this.#callCommand(verb, body, options, parent);
    const command: GatherCommand = { ...call, max: options.max ?? Infinity };
    const result = await this.#send(session, command);
    return contract === undefined ? result : withDeclaredErrors(contract, result);
  }

  #command(
    verb: Verb,
    body: unknown,
    options: AnyOptions,
    parent: ParentMessage | undefined,
    index = 0,
  ): PublishCommand {
    const { prefix } = this.#options;
    return {
      type: 'publish',
      to: targetIn(options, verb, prefix),
      body,
      headers: options.headers,
      key: keyIn(options.key, body, index, verb),
      correlationId: options.correlationId ?? parent?.correlationId ?? uniqueId(),
      replyTo: replyAddressIn(options.replyTo, verb, prefix),
      extras: extrasOf(options, body, index, verb),
    };
  }

  #callCommand(
    verb: Verb,
    body: unknown,
    options: AnyOptions,
    parent: ParentMessage | undefined,
  ): CallCommand {
    const call = uniqueId();
    return {
      type: 'request',
      to: targetIn(options, verb, this.#options.prefix),
      body,
      headers: options.headers,
      key: keyIn(options.key, body, 0, verb),
      correlationId: options.correlationId ?? parent?.correlationId ?? call,
      replyTo: undefined,
      extras: extrasOf(options, body, 0, verb),
      call,
      timeout: timeLeft(
        options.timeout === undefined ? this.#options.timeout : options.timeout,
        parent?.deadline,
      ),
      endsBy: endsBy(parent?.deadline),
      signal: options.signal,
      validate: options.reply === undefined ? undefined : validator(options.reply, 'the answer'),
      encoder: this.#options.encoder,
      // Middleware gets the whole answer, even if the caller gets only its body.
      whole: verb !== 'publish' || this.#middlewares.length > 0,
      dedicated: options.replyChannel === 'dedicated',
    };
  }

  /** Runs the middleware, if any, and sends the command. */
  #send(session: Session, command: Command): Promise<unknown> {
    if (this.#middlewares.length === 0) return this.#carryOut(session, command);
    // Opens the session again: the broker may have stopped and started while middleware ran.
    this.#sendThroughMiddleware ??= composePublish(this.#middlewares, async (last: Command) =>
      this.#carryOut(await this.#options.session(), last),
    );
    return this.#sendThroughMiddleware(command);
  }

  #carryOut(session: Session, command: Command): Promise<unknown> {
    const observers = this.#options.observers.active;
    if (observers === undefined) return this.#sendNow(session, command);
    if (!('call' in command) || 'max' in command)
      return observed(observers, command, () => this.#sendNow(session, command));
    if (!('window' in command))
      return observedCall(observers, command, (end) => session.calls.call(command, end));
    return observedStream(observers, command, async () => session.multiCalls.stream(command));
  }

  readonly #observe: PublishMiddleware = (command, next) => {
    const observers = this.#options.observers.active;
    return observers === undefined ? next() : observed(observers, command, next);
  };

  #sendNow({ transport, calls, multiCalls }: Session, command: Command): Promise<unknown> {
    if (!('call' in command))
      return transmit(transport, command, () => this.#prepare(command, transport));
    if ('window' in command) return Promise.resolve(multiCalls.stream(command));
    if ('max' in command) return multiCalls.gather(command);
    return calls.call(command);
  }

  /** A message as the transport sends it, with its extras. */
  #prepare(command: PublishCommand, transport: Transport): Outbound {
    const frame = this.#encode(command, transport);
    const { to, extras } = command;
    if (extras === undefined) return { to, frame };
    const { encoder, idWindow } = this.#options;
    const once = onceOf(extras, to, frame, encoder.format, idWindow);
    return { to, frame, once, later: laterOf(extras), turn: extras.turn };
  }

  #encode(command: PublishCommand, { timed }: Transport): Uint8Array {
    const { extras, replyTo } = command;
    return this.#options.encoder.encode(command, replyTo, extras && headersOf(extras, timed.clock));
  }

  get #middlewares(): readonly PublishMiddleware[] {
    return (this.#cachedMiddlewares ??= this.#options.middlewares());
  }
}
