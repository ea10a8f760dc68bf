import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisBroker } from '../index.ts';
import { messageOf } from '../errors.ts';
import { command, wholeNumber } from './command.ts';
import { JSON_OPTION, PREFIX_OPTION, URL_OPTION, shownUrl, withBroker } from './connection.ts';
import { EXIT } from './failure.ts';
import { interrupted } from './http.ts';
import { logLine, print, printLines } from './output.ts';
import { Sampler, type Row, type Sample } from './sample.ts';
import { Screen } from './screen.ts';
import { columns, cut, visible, widthOf } from './text.ts';

/** Milliseconds after which a server that does not answer is away. */
const PATIENCE = 3_000;

/** Names are cut to no less than this. */
const MIN_NAME = 12;

export const top = command({
  name: 'top',
  operands: [],
  summary: 'show a live table: messages that wait, failures, dead letters',
  text: `A line for each group, list and channel: what waits (WAIT), what is not acknowledged (PEND), who
reads (READ), what is handled and fails a second, dead letters. STATE, RUN and ERR/S are told by
processes with the broker's option 'control' and this prefix. Keys: q ends, arrows and page keys
move, s sorts otherwise, / filters. Into a pipe, with --once or --json it is printed once.

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
    const pause = (wholeNumber(refresh, 'refresh') ?? 1) * 1_000;
    const use = async (broker: RedisBroker): Promise<number> => {
      await broker.connect();
      const sampler = new Sampler(broker);
      if (once || json || !process.stdout.isTTY) return printOnce(sampler, pause, json);
      await new View(sampler, pause, shownUrl(url), prefix).run();
      return EXIT.ok;
    };
    // What it logs would be written over the screen.
    return withBroker(url, use, { prefix, logger: false });
  },
});

async function printOnce(sampler: Sampler, pause: number, json: boolean): Promise<number> {
  await sampler.take();
  await sleep(pause);
  const { rows, hasMore } = await sampler.take();
  const ordered = rows.toSorted(ORDERS.waiting);
  if (json) for (const row of ordered) print(row);
  else printLines(columns([HEAD, ...ordered.map(cellsOf)]));
  if (hasMore) logLine('there are more places: give a longer --prefix');
  return EXIT.ok;
}

const HEAD = [
  ...['KIND', 'NAME', 'GROUP', 'STATE', 'WAIT', 'PEND', 'READ', 'RUN'],
  ...['OK/S', 'ERR/S', 'DEAD'],
];

/** Lines that are `width` wide where names can be cut for it. */
function tableOf(rows: readonly Row[], width: number): string[] {
  const lines = columns([HEAD, ...rows.map(cellsOf)]);
  const excess = Math.max(...lines.map(widthOf)) - width;
  if (excess <= 0) return lines;
  const longest = Math.max(...rows.map(({ name }) => widthOf(visible(name))));
  const room = Math.max(MIN_NAME, longest - excess);
  const short = rows.map((row) => ({ ...row, name: cut(visible(row.name), room) }));
  return columns([HEAD, ...short.map(cellsOf)]);
}

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

/** What is seen, until somebody presses q or a signal comes. */
class View {
  readonly #sampler: Sampler;
  readonly #pause: number;
  readonly #url: string;
  /** Is left out of the names. */
  readonly #prefix: string;
  readonly #screen = new Screen(
    (key) => this.#press(key),
    () => this.#draw(),
  );
  readonly #end: Promise<void>;
  #quit: () => void = () => undefined;
  #isOver = false;
  #sample: Sample | undefined;
  /** Why there is no newer sample. */
  #problem: string | undefined;
  #order: Order = 'waiting';
  #filter = '';
  #isFiltering = false;
  /** The first row that is shown. */
  #from = 0;

  constructor(sampler: Sampler, pause: number, url: string, prefix: string) {
    this.#prefix = prefix;
    this.#sampler = sampler;
    this.#pause = pause;
    this.#url = url;
    this.#end = new Promise((resolve) => {
      this.#quit = resolve;
    });
  }

  async run(): Promise<void> {
    this.#screen.enter();
    const over = Promise.race([this.#end, interrupted()]).then(() => (this.#isOver = true));
    try {
      this.#draw();
      let taking: Promise<Sample> | undefined;
      while (!this.#isOver) {
        // One that the server does not answer is waited for, and no other is begun.
        taking ??= this.#sampler.take();
        const looked = taking.then(
          (sample) => this.#look(sample, undefined),
          (error: unknown) => this.#look(undefined, messageOf(error)),
        );
        const isDone = await Promise.race([looked.then(() => true), over, sleep(PATIENCE, false)]);
        if (isDone) taking = undefined;
        else this.#look(undefined, 'no answer');
        this.#draw();
        await Promise.race([over, sleep(this.#pause)]);
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
    const { server = 'looking …', rows = [], processes = 0, unwell = 0 } = this.#sample ?? {};
    const shown = this.#rows(rows);
    const room = Math.max(1, this.#screen.height - 4);
    this.#from = Math.max(0, Math.min(this.#from, shown.length - room));
    const page = shown.slice(this.#from, this.#from + room);
    const end = Math.min(this.#from + room, shown.length);
    const lines = [
      `redstart top  ${this.#url}  ${this.#prefix === '' ? '' : `${this.#prefix}*  `}${server}`,
      this.#problem === undefined
        ? `${rows.length} places, ${processes} processes${unwell === 0 ? '' : `, ${unwell} not green`}`
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
    if (key === 'interrupt') return this.#quit();
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
    if (key === 'q') this.#quit();
    else if (key === 's')
      this.#order = orders[(orders.indexOf(this.#order) + 1) % orders.length] as Order;
    else if (key === '/') [this.#isFiltering, this.#filter] = [true, ''];
    else if (key === 'escape') this.#filter = '';
    else if (key === 'home' || key === 'g') this.#from = 0;
    else if (key === 'end' || key === 'G') this.#from = Infinity;
    else this.#from += steps[key] ?? 0;
  }
}
