import type { RedisBroker } from '../index.ts';
import { messageOf } from '../errors.ts';
import { pause } from '../internal/deferred.ts';
import { visible } from '../internal/visible.ts';
import { command, wholeNumber } from './command.ts';
import { JSON_OPTION, PREFIX_OPTION, URL_OPTION, shownUrl, withBroker } from './connection.ts';
import { EXIT } from './failure.ts';
import { interrupted } from './http.ts';
import { logLine, print, printLines } from './output.ts';
import { nothingUnder } from './places.ts';
import { Sampler, type Row, type Sample } from './sample.ts';
import { Screen } from './screen.ts';
import { columns, cutInside, widthOf } from './text.ts';

/** Milliseconds after which a server that does not answer is away. */
const PATIENCE = 3_000;

/** Names and groups are cut to no less than this. */
const MIN_NAME = 12;
const MIN_GROUP = 6;

export const top = command({
  name: 'top',
  operands: [],
  summary: 'show a live table: messages that wait, failures, dead letters',
  text: `A line for each group, list and channel: what waits (WAIT), what is not acknowledged (PEND), who
reads (READ), what is handled and fails a second, dead letters. STATE, RUN and ERR/S are told by
processes with the broker's option 'control' and this prefix. Keys: q ends, arrows and page keys
move, s sorts otherwise, / filters. Into a pipe, with --once or --json it is printed once; then exit
code 1 means that there is nothing.

  redstart top --prefix shop:
  redstart top --once --json`,
  options: {
    refresh: { type: 'string', value: 's', text: 'seconds between two updates (default: 1)' },
    once: { type: 'boolean', text: 'print the table once' },
    ...PREFIX_OPTION,
    ...JSON_OPTION,
    ...URL_OPTION,
  },
  run: (_operands, { refresh, once = false, json = false, prefix = '', url }) => {
    const every = (wholeNumber(refresh, 'refresh') ?? 1) * 1_000;
    const use = async (broker: RedisBroker): Promise<number> => {
      await broker.connect();
      const sampler = new Sampler(broker);
      if (once || json || !process.stdout.isTTY) return printOnce(sampler, every, json, prefix);
      await new View(sampler, every, shownUrl(url), prefix).run();
      return EXIT.ok;
    };
    // What it logs would be written over the screen.
    return withBroker(url, use, { prefix, logger: false });
  },
});

async function printOnce(
  sampler: Sampler,
  every: number,
  json: boolean,
  prefix: string,
): Promise<number> {
  if ((await sampler.take()).rows.length === 0) {
    logLine(nothingUnder(prefix));
    return EXIT.failed;
  }
  await pause(every);
  const { rows, hasMore } = await sampler.take();
  const ordered = rows.toSorted(ORDERS.waiting);
  if (json) for (const row of ordered) print(row);
  else printLines(linesOf(ordered, '  '));
  if (hasMore) logLine('there are more places: give a longer --prefix');
  return EXIT.ok;
}

const HEAD = [
  ...['KIND', 'NAME', 'GROUP', 'STATE', 'WAIT', 'PEND', 'READ', 'RUN'],
  ...['OK/S', 'ERR/S', 'DEAD'],
];

/** Lines that fit into `width` where that is possible: first blanks are left out, then the middle of names and groups. */
function tableOf(rows: readonly Row[], width: number): string[] {
  const whole = linesOf(rows, '  ');
  if (widest(whole) <= width) return whole;
  const narrow = linesOf(rows, ' ');
  const excess = widest(narrow) - width;
  if (excess <= 0) return narrow;
  const shown = rows.map((row) => ({
    ...row,
    name: visible(row.name),
    group: visible(row.group ?? ''),
  }));
  const [names, groups] = [
    widest(shown.map(({ name }) => name)),
    widest(shown.map(({ group }) => group)),
  ];
  const room = names + groups - excess;
  const half = Math.floor(room / 2);
  const forNames = Math.max(MIN_NAME, names <= half ? names : room - Math.min(groups, half));
  const forGroups = Math.max(MIN_GROUP, room - forNames);
  return linesOf(
    shown.map((row) => ({
      ...row,
      name: cutInside(row.name, forNames),
      group: cutInside(row.group, forGroups),
    })),
    ' ',
  );
}

const widest = (texts: readonly string[]): number => Math.max(0, ...texts.map(widthOf));

const linesOf = (rows: readonly Row[], gap: string): string[] =>
  columns([HEAD, ...rows.map(cellsOf)], gap);

function cellsOf(row: Row): (string | number)[] {
  const { kind, name, group, state, waiting, pending, readers, running, handled, failed, dead } =
    row;
  const numbers = [waiting, pending, readers, running, handled, failed, dead];
  return [kind, name, group ?? '', state ?? '', ...numbers.map((one) => one ?? '-')];
}

const byName = (a: Row, b: Row): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : (a.group ?? '') < (b.group ?? '') ? -1 : 1;

const ORDERS = {
  waiting: (a, b) => (b.waiting ?? -1) - (a.waiting ?? -1) || byName(a, b),
  failed: (a, b) => (b.failed ?? -1) - (a.failed ?? -1) || byName(a, b),
  dead: (a, b) => (b.dead ?? -1) - (a.dead ?? -1) || byName(a, b),
  name: byName,
} satisfies Record<string, (a: Row, b: Row) => number>;

type Order = keyof typeof ORDERS;

function plural(count: number, one: string, many: string, hasMore = false): string {
  return `${count}${hasMore ? '+' : ''} ${count === 1 ? one : many}`;
}

/** What is seen, until somebody presses q or a signal comes. */
class View {
  readonly #sampler: Sampler;
  readonly #every: number;
  readonly #url: string;
  /** Is left out of the names. */
  readonly #prefix: string;
  readonly #screen = new Screen(
    (key) => this.#press(key),
    () => this.#draw(),
  );
  /** What waits ends with it at once: the process must not outlive what is seen. */
  readonly #over = new AbortController();
  #sample: Sample | undefined;
  /** Why there is no newer sample. */
  #problem: string | undefined;
  #order: Order = 'waiting';
  #filter = '';
  #isFiltering = false;
  /** The first row that is shown. */
  #from = 0;

  constructor(sampler: Sampler, every: number, url: string, prefix: string) {
    this.#prefix = prefix;
    this.#sampler = sampler;
    this.#every = every;
    this.#url = url;
  }

  async run(): Promise<void> {
    this.#screen.enter();
    void interrupted().then(() => this.#over.abort());
    const { signal } = this.#over;
    try {
      this.#draw();
      let taking: Promise<Sample> | undefined;
      while (!signal.aborted) {
        // One that the server does not answer is waited for, and no other is begun.
        taking ??= this.#sampler.take();
        const looked = taking.then(
          (sample) => this.#look(sample, undefined),
          (error: unknown) => this.#look(undefined, messageOf(error)),
        );
        const late = pause(PATIENCE, signal).then(() => false);
        const isDone = await Promise.race([looked.then(() => true), late]);
        if (isDone) taking = undefined;
        else this.#look(undefined, 'no answer');
        this.#draw();
        await pause(this.#every, signal);
      }
    } finally {
      this.#screen.leave();
    }
  }

  #look(sample: Sample | undefined, problem: string | undefined): void {
    this.#sample = sample ?? this.#sample;
    this.#problem = problem;
  }

  #draw(): void {
    const sample: Partial<Sample> = this.#sample ?? {};
    const { server = 'looking …', rows = [], processes = 0, unwell = 0, hasMore = false } = sample;
    const isEmpty = this.#sample !== undefined && rows.length === 0;
    const shown = this.#rows(rows);
    const room = Math.max(1, this.#screen.height - 4);
    this.#from = Math.max(0, Math.min(this.#from, shown.length - room));
    const page = shown.slice(this.#from, this.#from + room);
    const end = Math.min(this.#from + room, shown.length);
    const lines = [
      `redstart top  ${this.#url}  ${this.#prefix === '' ? '' : `${this.#prefix}*  `}${server}`,
      this.#problem === undefined
        ? isEmpty
          ? nothingUnder(this.#prefix)
          : `${plural(rows.length, 'place', 'places', hasMore)}, ${plural(processes, 'process', 'processes')}${unwell === 0 ? '' : `, ${unwell} not green`}`
        : `Redis is away (${this.#problem}): trying again`,
      ...tableOf(page, this.#screen.width),
      this.#isFiltering
        ? `/${this.#filter}_`
        : `${shown.length === 0 ? 0 : this.#from + 1}-${end} of ${shown.length}${this.#filter === '' ? '' : ` with '${this.#filter}'`}  by ${this.#order}  q end  s sort  / filter`,
    ];
    this.#screen.draw(lines.map(visible), 2);
  }

  #rows(rows: readonly Row[]): Row[] {
    const text = this.#filter.toLowerCase();
    const found = rows.filter(({ name, group }) =>
      `${name} ${group ?? ''}`.toLowerCase().includes(text),
    );
    const sorted = found.toSorted(ORDERS[this.#order]);
    return sorted.map((row) => ({ ...row, name: row.name.slice(this.#prefix.length) }));
  }

  #press(key: string): void {
    if (key === 'interrupt') return this.#over.abort();
    if (this.#isFiltering) this.#type(key);
    else this.#move(key);
    this.#draw();
  }

  #type(key: string): void {
    if (key === 'return' || key === 'enter') this.#isFiltering = false;
    else if (key === 'escape') [this.#isFiltering, this.#filter] = [false, ''];
    else if (key === 'backspace') this.#filter = this.#filter.slice(0, -1);
    else if (key.length === 1) this.#filter += key;
  }

  #move(key: string): void {
    const page = Math.max(1, this.#screen.height - 4);
    const steps: Record<string, number> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -page,
      pagedown: page,
    };
    const orders = Object.keys(ORDERS) as Order[];
    if (key === 'q') this.#over.abort();
    else if (key === 's')
      this.#order = orders[(orders.indexOf(this.#order) + 1) % orders.length] as Order;
    else if (key === '/') [this.#isFiltering, this.#filter] = [true, ''];
    else if (key === 'escape') this.#filter = '';
    else if (key === 'home' || key === 'g') this.#from = 0;
    else if (key === 'end' || key === 'G') this.#from = Infinity;
    else this.#from += steps[key] ?? 0;
  }
}
