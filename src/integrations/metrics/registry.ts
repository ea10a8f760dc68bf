// The registry behind a page of metrics: families of counters, gauges and histograms, and how they
// are written in Prometheus' text format 0.0.4. What has not changed since the last page is not
// written anew: a page of 1 000 handlers has tens of thousands of lines.

/** One family, as it is listed in docs/guide/metrics.md. */
export interface Definition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** How the values of several processes become one; without it they are added up. */
  readonly across?: 'max' | 'min';
  /** Upper bounds, ascending, without +Inf. Only of histograms. */
  readonly buckets?: readonly number[];
}

interface Family {
  readonly definition: Definition;
  /** All lines, as they are now. */
  lines(): string;
}

/** The text between the braces: `address="orders",handler="Orders.place"`. */
export function pairs(names: readonly string[], values: readonly string[]): string {
  return names.map((name, i) => `${name}="${escaped(values[i] as string)}"`).join(',');
}

/** A counter's or gauge's value for one set of labels. */
export class Series {
  value: number;
  /** Whether it has a line: false for a gauge that nothing was found out about this time. */
  isThere: boolean;
  readonly #head: string;
  #line: string;
  /** The value in the line; undefined where there is none. */
  #written: number | undefined;

  constructor(head: string) {
    this.value = 0;
    this.isThere = true;
    this.#head = head;
    this.#line = '';
    this.#written = undefined;
  }

  /** Whether the line is as it was when it was last read. */
  get isAsWritten(): boolean {
    return this.#written === (this.isThere ? this.value : undefined);
  }

  get line(): string {
    if (this.isAsWritten) return this.#line;
    this.#written = this.isThere ? this.value : undefined;
    return (this.#line = this.isThere ? `${this.#head} ${text(this.value)}\n` : '');
  }
}

/** Counters or gauges of one name. */
export class Values implements Family {
  readonly definition: Definition;
  readonly #series = new Map<string, Series>();
  #lines = '';
  /** How many series were there when the lines were written. */
  #count = 0;

  constructor(definition: Definition) {
    this.definition = definition;
  }

  /** The series of these labels, given in the definition's order. A new one is 0. */
  at(...values: readonly string[]): Series {
    return this.of(pairs(this.definition.labels, values));
  }

  /** The series of labels that are written already, see {@link pairs}. */
  of(labels: string): Series {
    let series = this.#series.get(labels);
    if (series === undefined) {
      series = new Series(this.definition.name + (labels && `{${labels}}`));
      this.#series.set(labels, series);
    } else if (!series.isThere) {
      series.isThere = true;
      series.value = 0;
    }
    return series;
  }

  /** Begins a new round of a gauge that is asked for at each scrape: only what is asked for again is there. */
  reset(): void {
    for (const [labels, series] of this.#series) {
      if (series.isThere) series.isThere = false;
      else this.#series.delete(labels); // gone for a whole round, as its subscriber is
    }
  }

  lines(): string {
    const all = [...this.#series.values()];
    if (all.length === this.#count && all.every(({ isAsWritten }) => isAsWritten))
      return this.#lines;
    this.#count = all.length;
    return (this.#lines = all.map(({ line }) => line).join(''));
  }
}

/** What all histograms of one name have in common. */
interface Shape {
  readonly name: string;
  readonly buckets: readonly number[];
  /** The ends of the labels of each bucket, +Inf included: `le="0.5"} `. */
  readonly ends: readonly string[];
}

/** A histogram's numbers for one set of labels. */
export class Distribution {
  readonly #shape: Shape;
  readonly #labels: string;
  /** How many values are in each bucket; the last is for those above all bounds. */
  readonly #counts: Float64Array;
  #sum: number;
  /** Its lines; undefined where they have changed. */
  #lines: string | undefined;

  constructor(shape: Shape, labels: string) {
    this.#shape = shape;
    this.#labels = labels;
    this.#counts = new Float64Array(shape.ends.length);
    this.#sum = 0;
    this.#lines = undefined;
  }

  observe(value: number): void {
    const { buckets } = this.#shape;
    let i = 0;
    while (i < buckets.length && value > (buckets[i] as number)) i++;
    this.#counts[i] = (this.#counts[i] as number) + 1;
    this.#sum += value;
    this.#lines = undefined;
  }

  get isAsWritten(): boolean {
    return this.#lines !== undefined;
  }

  get lines(): string {
    return (this.#lines ??= this.#write());
  }

  #write(): string {
    const { name, ends } = this.#shape;
    const labels = this.#labels;
    const head = `${name}_bucket{${labels && `${labels},`}`;
    const braced = labels && `{${labels}}`;
    let count = 0;
    let lines = '';
    for (let i = 0; i < ends.length; i++) {
      count += this.#counts[i] as number;
      lines += `${head}${ends[i] as string}${count}\n`;
    }
    return `${lines}${name}_sum${braced} ${text(this.#sum)}\n${name}_count${braced} ${count}\n`;
  }
}

/** Histograms of one name. */
export class Distributions implements Family {
  readonly definition: Definition;
  readonly #shape: Shape;
  readonly #series = new Map<string, Distribution>();
  #lines = '';
  #count = 0;

  constructor(definition: Definition, le: (bound: number) => string = text) {
    const { name, buckets = [] } = definition;
    this.definition = definition;
    const ends = [...buckets, Infinity].map((bound) => `le="${le(bound)}"} `);
    this.#shape = { name, buckets, ends };
  }

  at(...values: readonly string[]): Distribution {
    return this.of(pairs(this.definition.labels, values));
  }

  of(labels: string): Distribution {
    let series = this.#series.get(labels);
    if (series === undefined) {
      series = new Distribution(this.#shape, labels);
      this.#series.set(labels, series);
    }
    return series;
  }

  lines(): string {
    const all = [...this.#series.values()];
    if (all.length === this.#count && all.every(({ isAsWritten }) => isAsWritten))
      return this.#lines;
    this.#count = all.length;
    return (this.#lines = all.map(({ lines }) => lines).join(''));
  }
}

/** The page: HELP and TYPE once for each family, then its lines. */
export function render(families: readonly Family[]): string {
  const parts = families.map((family) => {
    const { name, type, help } = family.definition;
    return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${family.lines()}`;
  });
  return parts.join('');
}

function escaped(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function text(value: number): string {
  return value === Infinity ? '+Inf' : String(value);
}
