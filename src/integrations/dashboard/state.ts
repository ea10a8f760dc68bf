import type { FleetProcess, RedisBroker } from '../../index.ts';
import type { Kind, Place, Settings } from './options.ts';
import { withoutSecretsIn } from './redact.ts';
import { grouped, memoryFacts, rowOf, rowsOf, type Row, type Told } from './rows.ts';
import { Server, type ServerFacts } from './server.ts';

/** Milliseconds for which one look is told to everybody who asks. */
const KEPT = 900;

/** Milliseconds that a look may take. */
const PATIENCE = 4_000;

/** Rows of the page. */
const MAX_ROWS = 500;

/** A place of dead letters. */
interface DeadRow {
  readonly kind: Kind;
  readonly name: string;
  readonly count: number | null;
  readonly maxlen: number | null;
  /** Whose dead letters they are, as far as processes tell. */
  readonly from: readonly string[];
}

/** Everything that the page shows at once. */
export interface State {
  readonly at: number;
  /** Why there is nothing else: Redis is away. */
  readonly away: string | null;
  readonly server: ServerFacts | null;
  readonly processes: readonly object[];
  readonly rows: readonly Row[];
  readonly dead: readonly DeadRow[];
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

/** Looks at processes and Redis, when it is asked, and once for all who ask at the same time. */
export class Look {
  readonly #broker: RedisBroker;
  readonly #settings: Settings;
  readonly #server: Server | undefined;
  #last: { readonly at: number; readonly state: Promise<State> } | undefined;
  /** Places of dead letters in the last look. */
  #dead: readonly Place[] = [];

  constructor(broker: RedisBroker, settings: Settings) {
    this.#broker = broker;
    this.#settings = settings;
    this.#server = hasClient(broker) ? new Server(() => broker.client, broker.prefix) : undefined;
  }

  /** Undefined on `memory://`. */
  get server(): Server | undefined {
    return this.#server;
  }

  now(): Promise<State> {
    const now = performance.now();
    if (this.#last === undefined || now - this.#last.at > KEPT)
      this.#last = { at: now, state: this.#look() };
    return this.#last.state;
  }

  /** The next look is a new one: something was changed. */
  forget(): void {
    this.#last = undefined;
  }

  /** Whether dead letters are there, as far as is known: only there they are redriven and removed. */
  async isDead({ kind, name }: Place): Promise<boolean> {
    const isIn = (places: readonly Place[]): boolean =>
      places.some((one) => one.kind === kind && one.name === name);
    if (isIn(this.#settings.deadLetters) || isIn(this.#dead)) return true;
    await this.now();
    return isIn(this.#dead);
  }

  async #look(): Promise<State> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error('Redis does not answer')), PATIENCE);
      });
      return await Promise.race([this.#whole(), late]);
    } catch (error) {
      const away = withoutSecretsIn(error instanceof Error ? error.message : String(error));
      const none = { server: null, processes: [], rows: [], dead: [], problems: [], notes: [] };
      return { at: Date.now(), away, ...none };
    } finally {
      clearTimeout(timer);
    }
  }

  async #whole(): Promise<State> {
    const processes = (await this.#broker.fleet.status()).filter(
      ({ total, health }) => total > 0 || health.ready,
    );
    const told = processes.flatMap((process) =>
      process.subscribers.map((subscriber) => ({ process, subscriber })),
    );
    const notes: string[] = [];
    const buried = buriedIn(told, this.#settings.deadLetters);
    const seen =
      this.#server === undefined
        ? await this.#inMemory(told, buried)
        : await this.#onServer(this.#server, told, buried);
    this.#dead = seen.dead;
    if (seen.rows.length > MAX_ROWS)
      notes.push(`${seen.rows.length - MAX_ROWS} more places are not shown.`);
    const cut = processes.filter(({ total, subscribers }) => total > subscribers.length);
    if (cut.length > 0)
      notes.push(
        `Not all subscribers are shown: a process tells of 500 at most, and ${cut.length} of ${processes.length} have more.`,
      );
    for (const refused of this.#server?.takeRefused() ?? [])
      notes.push(`Redis refused to tell something: ${refused}`);
    return {
      at: Date.now(),
      away: null,
      server: seen.server,
      processes: processes.map(shownProcess),
      rows: seen.rows.slice(0, MAX_ROWS),
      dead: seen.dead,
      problems: processes.flatMap(({ health, host, pid }) =>
        health.problems.map((problem) => `${host} ${pid}: ${withoutSecretsIn(problem)}`),
      ),
      notes,
    };
  }

  /** Without a server that could be asked, this process says what there is. */
  async #inMemory(told: readonly Told[], buried: readonly Buried[]) {
    const { subscribers } = await this.#broker.health();
    const rows = grouped(told).map((readers) => {
      const [{ subscriber }] = readers as [Told];
      const health = subscribers.find(
        ({ address, title }) => address === subscriber.address && title === subscriber.title,
      );
      return rowOf(readers, memoryFacts(health));
    });
    const dead = await Promise.all(
      buried.map(async ({ kind, name, ...rest }) => {
        const address = addressOf({ kind, name }, this.#broker.prefix);
        const count =
          address === undefined ? null : await this.#broker.deadLetters(address).count();
        return { kind, name, count, ...rest };
      }),
    );
    return { server: null, rows, dead };
  }

  async #onServer(server: Server, told: readonly Told[], buried: readonly Buried[]) {
    const { discover, places } = this.#settings;
    const [facts, found, channels, now] = await Promise.all([
      server.facts(),
      discover ? server.places() : [],
      discover ? server.channels() : new Map<string, number>(),
      server.now(),
    ]);
    const dead = withFound(buried, found);
    const isDead = ({ kind, name }: Place): boolean =>
      dead.some((one) => one.kind === kind && one.name === name);
    const known: Place[] = [...told.map(({ subscriber }) => subscriber), ...places];
    const all = [...known, ...found.filter((place) => !isDead(place))];
    const named = (kind: Kind): string[] => [
      ...new Set(all.filter((place) => place.kind === kind).map(({ name }) => name)),
    ];
    const [streams, lists, counts] = await Promise.all([
      server.streams(named('stream'), now),
      Promise.all(named('list').map(async (name) => [name, await server.list(name)] as const)),
      Promise.all(
        dead.map(({ kind, name }) => (kind === 'list' ? server.list(name) : server.length(name))),
      ),
    ]);
    const rows = rowsOf(told, streams, new Map(lists), channels, named('channel'));
    return {
      server: facts,
      rows,
      dead: dead.map((one, i) => ({ ...one, count: counts[i] ?? null })),
    };
  }
}

/** An address for `broker.deadLetters` and the like, which put the prefix before it; undefined for a name without the prefix. */
export function addressOf(
  { kind, name }: Place,
  prefix: string,
): { stream: string } | { list: string } | undefined {
  if (!name.startsWith(prefix) || name.length === prefix.length || kind === 'channel')
    return undefined;
  const own = name.slice(prefix.length);
  return kind === 'list' ? { list: own } : { stream: own };
}

type Buried = Omit<DeadRow, 'count'>;

/** Where the dead letters are of those who answer, and where the options say. */
function buriedIn(told: readonly Told[], places: readonly Place[]): Buried[] {
  const all = new Map<string, Buried & { from: string[] }>();
  const add = (kind: Kind, name: string, maxlen: number | null, from?: string): void => {
    const key = `${kind} ${name}`;
    const one = all.get(key) ?? { kind, name, maxlen, from: [] };
    all.set(key, one);
    if (from !== undefined && !one.from.includes(from)) one.from.push(from);
  };
  for (const { subscriber } of told) {
    const { buriesIn, kind, name } = subscriber;
    if (buriesIn !== null) add(buriesIn.kind, buriesIn.name, buriesIn.maxlen, `${kind} ${name}`);
  }
  for (const { kind, name } of places) add(kind, name, null);
  return [...all.values()];
}

function withFound(buried: readonly Buried[], found: readonly Place[]): Buried[] {
  const known = new Set(buried.map(({ kind, name }) => `${kind} ${name}`));
  const more = found.filter(
    ({ kind, name }) => name.endsWith(':dead') && !known.has(`${kind} ${name}`),
  );
  return [...buried, ...more.map(({ kind, name }) => ({ kind, name, maxlen: null, from: [] }))];
}

function shownProcess({
  id,
  host,
  pid,
  since,
  memory,
  stats,
  health,
  total,
  subscribers,
}: FleetProcess): object {
  return {
    ...{ id, host, pid, since, memory, total, status: health.status, ready: health.ready },
    pendingCalls: stats.pendingCalls,
    running: subscribers.reduce((sum, { running }) => sum + running, 0),
    reads: subscribers.map(({ kind, name, group, state, title }) => ({
      kind,
      name,
      group,
      state,
      title,
    })),
  };
}

function hasClient(broker: RedisBroker): boolean {
  try {
    return broker.client !== undefined;
  } catch {
    return false; // memory://
  }
}
