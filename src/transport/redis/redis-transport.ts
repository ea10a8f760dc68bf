import { tracingChannel } from 'node:diagnostics_channel';
import type { Cluster, Command, Redis } from 'ioredis';
import { refusedByType } from '../all-or-none.ts';
import { SetupError } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import type { Target } from '../address.ts';
import type { Once } from '../marks.ts';
import type { TimedOptions } from '../timed.ts';
import type { SharingOptions } from '../sharing.ts';
import type { InboxOptions } from '../inboxes.ts';
import { TIMINGS, type Timings } from '../timings.ts';
import type { Lanes } from '../lanes.ts';
import { PushSource } from '../push-source.ts';
import type { Delivery, Listener, Report, Source, SourceOptions } from '../source.ts';
import type { GroupState, GroupSummary, ReadGroup } from '../store.ts';
import { groupsOf, removeGroup, seekGroup } from './group-admin.ts';
import { groupStateOf } from './group-state.ts';
import {
  sendOutbound,
  type Outbound,
  type Receipt,
  type StreamFields,
  type Transport,
  type Wish,
} from '../transport.ts';
import { AnswerChannels } from './answer-channels.ts';
import { commandClassOf, type CommandClass } from './commands.ts';
import { Connections, type RedisConnection } from './connections.ts';
import { Departures } from './departures.ts';
import { ListPushes } from './list-pushes.ts';
import { opened, subscribed } from './lost.ts';
import { warnOfEviction } from './eviction.ts';
import { PubSub } from './pubsub.ts';
import { delivery, entries, groupRows, items } from './replies.ts';
import type { Listen } from './group-source.ts';
import { openSource } from './open-source.ts';
import { RedisMarks } from './marks.ts';
import { Readers } from './readers.ts';
import { SendCommands, argumentsOf, nameOf } from './send-command.ts';
import { SendOnce, sentOnce } from './send-once.ts';
import { RedisState } from './server-state.ts';
import { adviceOn } from './advice.ts';
import { RedisTimed } from './timed.ts';

/** The channel on which ioredis publishes the commands that it sends. */
const COMMANDS = tracingChannel('ioredis:command');

/** The transport over a Redis server. */
export class RedisTransport implements Transport {
  readonly countsReceivers: boolean;
  readonly timed: RedisTimed;
  readonly marks: RedisMarks;
  readonly state: RedisState;
  readonly #connections: Connections;
  readonly #client: Redis;
  readonly #readers: Readers;
  readonly #report: Report;
  readonly #commands: CommandClass;
  readonly #sendCommands: SendCommands;
  readonly #sendOnce: SendOnce;
  readonly #listPushes = new ListPushes((name, frames, receipt) => {
    const [frame] = frames as [Buffer];
    const command =
      frames.length === 1
        ? this.#sendCommands.make({ kind: 'list', name }, frame, receipt)
        : this.#sendCommands.makePush(name, frames, receipt);
    void this.#client.sendCommand(command);
  });
  readonly #departures: Departures;
  readonly #pubsub: PubSub;
  /** On a cluster: connections for sharded channels, which must be on the node of their slot, by slot. */
  readonly #pubsubs = new Map<number, PubSub>();
  readonly #answerChannels: AnswerChannels;
  readonly #inboxPrefix: string | undefined;
  readonly #onChannelsRestored = new Set<() => void>();
  #downSince: number | undefined;
  #onConnection: (state: 'up' | 'down') => void = () => {};

  constructor(
    connection: RedisConnection,
    report: Report,
    timings: Timings = TIMINGS,
    options: TimedOptions & SharingOptions & InboxOptions = {},
  ) {
    this.#connections = new Connections(connection, timings);
    this.#readers = new Readers(this.#connections, options);
    this.#client = this.#connections.client;
    this.#departures = new Departures(this.#client);
    this.#commands = commandClassOf(this.#client);
    this.#sendCommands = new SendCommands(this.#commands);
    this.#sendOnce = new SendOnce(this.#client);
    this.marks = new RedisMarks(this.#connections);
    this.state = new RedisState(this.client);
    this.#report = report;
    this.#pubsub = new PubSub(this.#connections, report);
    this.#pubsub.onRestored(this.#channelsRestored);
    this.#answerChannels = new AnswerChannels(this.#connections, report);
    this.#inboxPrefix = options.inboxPrefix;
    this.countsReceivers = !this.#connections.isCluster;
    const { listening } = this.#connections;
    this.timed = new RedisTimed(this.#connections, report, this.listen.bind(this), options);
    listening.on('close', () => {
      if (this.#downSince !== undefined) return;
      this.#downSince = monotonicTime();
      this.#onConnection('down');
    });
    listening.on('ready', () => {
      if (this.#downSince === undefined || this.#connections.isRefused(this.#client)) return;
      this.#downSince = undefined;
      this.timed.wake();
      this.#onConnection('up');
    });
  }

  /** The command connection. */
  get client(): Redis | Cluster {
    return this.#connections.given;
  }

  get address(): string {
    return this.#connections.address;
  }

  get shardsAnswers(): boolean {
    return this.#answerChannels.areSharded;
  }

  get downFor(): number {
    return this.#downSince === undefined ? 0 : monotonicTime() - this.#downSince;
  }

  onConnection(listener: (state: 'up' | 'down') => void): void {
    this.#onConnection = listener;
  }

  async connect(): Promise<void> {
    await this.#connections.connect();
    await Promise.all([
      this.timed.begin(),
      this.#answerChannels.test(this.#client, this.#inboxPrefix),
    ]);
    void warnOfEviction(this.#client, this.#report);
  }

  /** PUBLISH, SPUBLISH, RPUSH or XADD. */
  send(to: Target, frame: Uint8Array | StreamFields): Promise<number | string> {
    if (!(frame instanceof Uint8Array))
      return this.#departures.run(1, () =>
        this.#run('xadd', [to.name, '*', ...(frame as Buffer[])]),
      );
    return new Promise((sent, refused) => this.post(to, frame, { sent, refused }));
  }

  sendOnce(to: Target, frame: Uint8Array, once: Once, wish?: Wish): Promise<string> {
    const send = (): Promise<string> => {
      this.#listPushes.flush();
      return this.#sendOnce.send(to, frame as Buffer, once);
    };
    return this.#departures.run(1, send, wish);
  }

  post(to: Target, frame: Uint8Array, receipt: Receipt): void {
    if (this.#departures.areOpen) return this.#postNow(to, frame, receipt);
    const refused = (error: unknown): void => receipt.refused(error);
    this.#departures.wait(receipt, refused, () => this.#postNow(to, frame, receipt));
  }

  #postNow(to: Target, frame: Uint8Array, receipt: Receipt): void {
    // Where somebody traces ioredis's commands, or ioredis is one that ours do not fit, its own are sent.
    if (COMMANDS.hasSubscribers || !this.#sendCommands.isUsable) {
      this.#run<number | string>(nameOf(to), argumentsOf(to, frame as Buffer)).then(
        (reply) => receipt.sent(reply),
        (error: unknown) => receipt.refused(error),
      );
      return;
    }
    if (to.kind === 'list') return this.#listPushes.add(to.name, frame as Buffer, receipt);
    this.#listPushes.flush();
    void this.#client.sendCommand(
      this.#placed(this.#sendCommands.make(to, frame as Buffer, receipt)),
    );
  }

  /** One RPUSH with all frames, or one PUBLISH or XADD each, written together. */
  async sendBatch(
    to: Target,
    frames: readonly Uint8Array[],
  ): Promise<number | number[] | string[]> {
    if (to.kind === 'list')
      return this.#departures.run(frames.length, () =>
        this.#run<number>('rpush', [to.name, ...(frames as Buffer[])]),
      );
    return Promise.all(frames.map((frame) => this.send(to, frame))) as Promise<number[] | string[]>;
  }

  /** Written together; as a transaction in one MULTI, after a look at the types of the keys (TYPE). */
  async sendAll(
    outbound: readonly Outbound[],
    transaction: boolean,
  ): Promise<PromiseSettledResult<number | string>[]> {
    if (!transaction) return Promise.allSettled(outbound.map((one) => sendOutbound(this, one)));
    if (!this.countsReceivers && outbound.some(({ later }) => later !== undefined)) {
      throw new SetupError(
        "pipeline: on a cluster a transaction cannot have messages with 'delay' or 'at': send them by themselves, or leave 'transaction' out",
      );
    }
    let refused: PromiseRejectedResult[] | undefined;
    const replies = await this.#departures.run(outbound.length, async () => {
      this.#listPushes.flush();
      refused = await refusedByType(outbound, (names) => this.#typesOf(names));
      if (refused !== undefined) return [];
      const multi = this.#client.multi();
      for (const { to, frame, once, later } of outbound) {
        if (later !== undefined) multi.call('eval', ...this.timed.inFull(to, frame, later, once));
        else if (once === undefined) multi.call(nameOf(to), ...argumentsOf(to, frame as Buffer));
        else this.#sendOnce.addTo(multi, to, frame as Buffer, once);
      }
      return (await multi.exec().catch(throwReason)) ?? [];
    });
    if (refused !== undefined) return refused;
    return Promise.allSettled(
      replies.map(async ([error, value], i) => {
        if (error !== null) throw error;
        const { to, once, later } = outbound[i] as Outbound;
        if (later !== undefined) return this.timed.scheduled(to, later, once, value);
        return once === undefined ? (value as number | string) : sentOnce(to, once, value);
      }),
    );
  }

  /** TYPE of each name. Where it is refused (a right is missing), nothing is known of the name. */
  #typesOf(names: readonly string[]): Promise<string[]> {
    return Promise.all(names.map((name) => this.#client.type(name).catch(() => 'none')));
  }

  async open(options: SourceOptions, report: Report, lanes?: Lanes): Promise<Source> {
    // Whether a message has expired is told by the server's clock. A user without the right to ask goes by its own.
    this.timed.clock.ready()?.catch(() => undefined);
    return opened(this.address, options, this.#open(options, report, lanes));
  }

  async #open(options: SourceOptions, report: Report, lanes?: Lanes): Promise<Source> {
    if (options.kind !== 'channel') {
      const listen: Listen = (channel, heard) => this.listen(channel, heard, heard);
      return openSource(this.#readers, options, report, listen, lanes);
    }
    const { name, isPattern, sharded = false } = options;
    const manner = sharded ? 'ssubscribe' : isPattern ? 'psubscribe' : 'subscribe';
    const pubsub = sharded ? this.#pubsubOf(name) : this.#pubsub;
    const push = (frame: Buffer, channel: string): void => source.push(frame, channel);
    const source = new PushSource(
      report,
      () => pubsub.unsubscribe(name, manner, push),
      () => pubsub.problem,
      lanes,
    );
    const refused = (error: unknown): void => source.fail(error);
    await subscribed(this.address, name, pubsub.subscribe(name, manner, push, refused));
    return source;
  }

  listen(
    channel: string,
    onFrame: (frame: Buffer) => void,
    onRestored: () => void,
    isSharded = false,
  ): Promise<Listener> {
    return this.#answerChannels.listen(channel, onFrame, onRestored, isSharded);
  }

  /** XRANGE or LRANGE. */
  async peek(from: Target, after: string | undefined, max: number): Promise<Delivery[]> {
    if (from.kind === 'stream') {
      const start = after === undefined ? '-' : `(${after}`;
      const reply = await this.#client.xrangeBuffer(from.name, start, '+', 'COUNT', max);
      return entries(reply).map((entry) => delivery(from.name, entry, 1));
    }
    const first = after === undefined ? 0 : Number(after) + 1;
    const found = await this.#client.lrangeBuffer(from.name, first, first + max - 1);
    return found.map((frame, i) => ({ frame, name: from.name, id: String(first + i), count: 1 }));
  }

  /** XDEL, or LREM of the first that is equal. */
  async remove(from: Target, { id, frame }: Delivery): Promise<boolean> {
    const removed =
      from.kind === 'stream'
        ? await this.#client.xdel(from.name, id as string)
        : await this.#client.lrem(from.name, 1, frame as Buffer);
    return removed > 0;
  }

  /** XLEN or LLEN. */
  count({ kind, name }: Target): Promise<number> {
    return kind === 'stream' ? this.#client.xlen(name) : this.#client.llen(name);
  }

  /** RPUSH and PEXPIRE in one MULTI, so that nothing is kept without an end. */
  async keep(name: string, frame: Uint8Array, life: number): Promise<void> {
    const multi = this.#client.multi().rpush(name, frame as Buffer);
    await multi.pexpire(name, life).exec();
  }

  /** LRANGE and DEL in one MULTI. */
  async collect(name: string): Promise<Buffer[]> {
    const replies = await this.#client.multi().lrangeBuffer(name, 0, -1).del(name).exec();
    return items(replies?.[0]?.[1]);
  }

  async hasGroups(stream: string): Promise<boolean> {
    return groupRows(await this.#client.xinfo('GROUPS', stream)).length > 0;
  }

  groupState(of: ReadGroup): Promise<GroupState> {
    return groupStateOf(this.#client, of);
  }

  groups(stream: string): Promise<GroupSummary[]> {
    return groupsOf(this.#client, stream);
  }

  seekGroup(stream: string, group: string, id: string): Promise<boolean> {
    return seekGroup(this.#client, stream, group, id);
  }

  removeGroup(stream: string, group: string): Promise<boolean> {
    return removeGroup(this.#client, stream, group);
  }

  adviceOn(error: unknown): string | undefined {
    return adviceOn(error);
  }

  /** Replies come in order: once PING is answered, so is everything that was sent before it. */
  flush(): Promise<void> {
    this.#listPushes.flush();
    return this.#connections.flush();
  }

  onChannelsRestored(restored: () => void): () => void {
    const listener = (): void => restored();
    this.#onChannelsRestored.add(listener);
    return () => void this.#onChannelsRestored.delete(listener);
  }

  async ping(): Promise<void> {
    await this.#client.ping();
  }

  async close(): Promise<void> {
    this.#listPushes.flush();
    await this.timed.close();
    for (const pubsub of [this.#pubsub, ...this.#pubsubs.values()]) pubsub.close();
    this.#answerChannels.close();
    this.marks.close();
    this.#readers.close();
    this.#connections.close();
  }

  #run<T>(name: string, args: (string | number | Buffer)[]): Promise<T> {
    this.#listPushes.flush();
    const command = this.#placed(new this.#commands(name, args, { replyEncoding: 'utf8' }));
    return this.#client.sendCommand(command) as Promise<T>;
  }

  /**
   * Sends a cluster's PUBLISH to the node of the channel's slot. ioredis would choose a node at random,
   * and two messages could change places.
   */
  #placed(command: Command): Command {
    if (!this.countsReceivers && command.name === 'publish')
      Object.assign(command, { slot: this.#connections.slotOf(command.args[0] as string) });
    return command;
  }

  /** The subscriptions on the node of a name's slot; without a cluster, the one set of all subscriptions. */
  #pubsubOf(name: string): PubSub {
    const slot = this.#connections.slotOf(name);
    if (slot === undefined) return this.#pubsub;
    let home = this.#pubsubs.get(slot);
    if (home === undefined) {
      home = new PubSub(this.#connections, this.#report, name);
      home.onRestored(this.#channelsRestored);
      this.#pubsubs.set(slot, home);
    }
    return home;
  }

  readonly #channelsRestored = (): void => {
    for (const restored of this.#onChannelsRestored) restored();
  };
}

/** Throws why a transaction was discarded: EXECABORT does not say so, the refusal of one of its commands does. */
function throwReason(error: unknown): never {
  const { previousErrors = [] } = error as { previousErrors?: readonly unknown[] };
  throw previousErrors[0] ?? error;
}
