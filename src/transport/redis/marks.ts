import type { Redis } from 'ioredis';
import { Leases } from '../leases.ts';
import {
  MAX_ASKERS,
  UNANSWERED_LIFE,
  type Asker,
  type CallMark,
  type CallRequest,
  type CallState,
  type HandledOnce,
  type Marks,
} from '../marks.ts';
import type { Connections } from './connections.ts';
import { RELEASE } from './group-scripts.ts';
import { insist } from './insist.ts';
import { ListKeys, besideKey } from './list-keys.ts';
import {
  ASK_CALL,
  BEGIN_CALL,
  END_CALL,
  PAUSE_CALL,
  RENEW_CALL,
  TAKE_MARK,
} from './mark-scripts.ts';

/** The key of the mark of a handled message. A group's name has no colon in it, so that no two marks have one key. */
export function handledKey({ name, group = '', id }: HandledOnce): string {
  return `${besideKey('once', name)}:${encodeURIComponent(group)}:${id}`;
}

function callKey({ name, id }: CallMark): string {
  return `${besideKey('answer', name)}:${id}`;
}

/** The marks on a Redis server. */
export class RedisMarks implements Marks {
  readonly #connections: Connections;
  readonly #client: Redis;
  readonly #lease: number;
  readonly #leases: Leases;

  constructor(connections: Connections) {
    this.#connections = connections;
    this.#client = connections.client;
    this.#lease = connections.timings.lease;
    this.#leases = new Leases(this.#lease / 3);
  }

  async takeMark(mark: HandledOnce, owner: string): Promise<number | undefined> {
    const key = handledKey(mark);
    const args = [owner, this.#lease];
    if (mark.group === undefined) args.push(new ListKeys(mark.name).heldBy(''));
    const take = (): Promise<unknown> => TAKE_MARK.run(this.#client, [key], args);
    const taken = await this.#insist(take);
    if (taken === undefined) return undefined;
    const wait = Number(taken.value);
    if (wait === 0) this.#leases.add(`${key} ${owner}`, take);
    return wait;
  }

  async freeMark(mark: HandledOnce, owner: string): Promise<void> {
    const key = handledKey(mark);
    this.#leases.delete(`${key} ${owner}`);
    await RELEASE.run(this.#client, [key], [owner]);
  }

  settledMark(mark: HandledOnce, owner: string): void {
    this.#leases.delete(`${handledKey(mark)} ${owner}`);
  }

  async beginCall(mark: CallMark, request: CallRequest): Promise<CallState | undefined> {
    const key = callKey(mark);
    const { digest, owner, asker, isRepeated, onlyKnown } = request;
    const args = [
      ...[digest, owner, this.#lease, UNANSWERED_LIFE, fieldOf(asker), textOf(asker)],
      ...[isRepeated ? 1 : 0, onlyKnown ? 1 : 0, MAX_ASKERS],
    ];
    const begun = await this.#insist(() => BEGIN_CALL.run(this.#client, [key], args));
    if (begun === undefined) return undefined;
    const state = stateIn(begun.value);
    if (state.state === 'run') {
      const renew = [owner, this.#lease, UNANSWERED_LIFE];
      this.#leases.add(`${key} ${owner}`, () => RENEW_CALL.run(this.#client, [key], renew));
    }
    return state;
  }

  async endCall(
    mark: CallMark,
    { digest, owner, asker }: CallRequest,
    answer: Buffer | undefined,
    keep: number,
  ): Promise<readonly Asker[]> {
    const key = callKey(mark);
    this.#leases.delete(`${key} ${owner}`);
    const args = [
      ...[owner, digest, fieldOf(asker), textOf(asker)],
      ...(answer === undefined || keep < 1 ? [] : [answer, Math.ceil(keep)]),
    ];
    const ended = await this.#insist(() => END_CALL.run(this.#client, [key], args));
    return ended === undefined ? [] : askersIn(ended.value as Buffer[]);
  }

  async pauseCall(mark: CallMark, owner: string): Promise<void> {
    const key = callKey(mark);
    this.#leases.delete(`${key} ${owner}`);
    await PAUSE_CALL.run(this.#client, [key], [owner, UNANSWERED_LIFE]);
  }

  async forgetAskers(mark: CallMark, askers: readonly Asker[]): Promise<void> {
    if (askers.length > 0) await this.#client.hdel(callKey(mark), ...askers.map(fieldOf));
  }

  async askCall(mark: CallMark, asker: Asker): Promise<CallState> {
    const args = [fieldOf(asker), textOf(asker), MAX_ASKERS];
    return stateIn(await ASK_CALL.run(this.#client, [callKey(mark)], args));
  }

  close(): void {
    this.#leases.close();
  }

  /** Until the server has carried it out: what it was told twice it does once. */
  #insist(act: () => Promise<unknown>): Promise<{ readonly value: unknown } | undefined> {
    return insist(this.#connections, act, () => undefined);
  }
}

/** The field of the hash in which an asker stands. */
function fieldOf({ call }: Asker): string {
  return `>${call}`;
}

function textOf({ call, replyTo, correlationId, deadline }: Asker): string {
  return JSON.stringify([call, replyTo, correlationId, deadline ?? null]);
}

function askersIn(texts: readonly Buffer[]): Asker[] {
  return texts.map((text) => {
    const [call, replyTo, correlationId, deadline] = JSON.parse(text.toString()) as [
      ...[call: string, replyTo: string, correlationId: string],
      deadline: number | null,
    ];
    return { call, replyTo, correlationId, deadline: deadline ?? undefined };
  });
}

/** The name of a state; of an answer, also the answer and the askers. */
function stateIn(reply: unknown): CallState {
  const [name, answer, ...askers] = reply as [name: Buffer, ...Buffer[]];
  const state = name.toString() as CallState['state'];
  if (state !== 'answered') return { state };
  return { state, answer: answer as Buffer, askers: askersIn(askers) };
}
