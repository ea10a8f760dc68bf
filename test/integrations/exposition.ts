// A strict reader of Prometheus' text format 0.0.4: what a scraper tolerates is a failure here.

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** The families of a page, by name. Throws for whatever the format does not allow. */
export function parse(page: string): Map<string, Family> {
  if (!page.endsWith('\n')) throw new Error('the page does not end with a newline');
  const families = new Map<string, Family & { samples: Sample[] }>();
  let help: { name: string; text: string } | undefined;
  let current: (Family & { samples: Sample[] }) | undefined;
  for (const line of page.slice(0, -1).split('\n')) {
    if (line.startsWith('# HELP ')) {
      const [, name = '', text = ''] = /^# HELP (\S+) (.+)$/.exec(line) ?? [];
      if (!NAME.test(name)) throw new Error(`not a name: ${line}`);
      help = { name, text };
    } else if (line.startsWith('# TYPE ')) {
      const [, name = '', type = ''] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
      if (help?.name !== name) throw new Error(`no HELP before: ${line}`);
      if (families.has(name)) throw new Error(`a family twice: ${line}`);
      current = { name, type, help: help.text, samples: [] };
      families.set(name, current);
    } else {
      const sample = sampleOf(line);
      if (current === undefined || !belongs(sample.name, current))
        throw new Error(`a sample outside of its family: ${line}`);
      current.samples.push(sample);
    }
  }
  for (const family of families.values()) check(family);
  return families;
}

/** The value of the only sample with these labels, among others. Throws where there is none, or another. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const found = samplesOf(families, name, labels);
  if (found.length !== 1) throw new Error(`${found.length} samples of ${name}`);
  return (found[0] as Sample).value;
}

/** The samples with these labels, among others; of a histogram by the name with its suffix. */
export function samplesOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  if (family === undefined) throw new Error(`no family ${name}`);
  return family.samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
}

function belongs(name: string, { name: family, type }: Family): boolean {
  if (type !== 'histogram') return name === family;
  return ['_bucket', '_sum', '_count'].some((suffix) => name === family + suffix);
}

function sampleOf(line: string): Sample {
  const [, name = '', , inner = '', value = ''] =
    /^([^\s{]+)(\{(.*)\})? (\+Inf|NaN|-?[0-9.e+-]+)$/.exec(line) ?? [];
  if (!NAME.test(name)) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = inner;
  while (rest !== '') {
    const [all = '', label = '', text = ''] =
      /^([^=]+)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,(?=.)|$)/.exec(rest) ?? [];
    if (!LABEL.test(label) || label in labels) throw new Error(`bad labels: ${line}`);
    labels[label] = text.replaceAll(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one));
    rest = rest.slice(all.length);
  }
  const number = value === '+Inf' ? Infinity : Number(value);
  if (value !== 'NaN' && Number.isNaN(number)) throw new Error(`not a number: ${line}`);
  return { name, labels, value: number };
}

function check({ name, type, samples }: Family): void {
  const seen = new Set<string>();
  for (const { name: own, labels, value } of samples) {
    const key = own + JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
    if (seen.has(key)) throw new Error(`a series twice: ${key}`);
    seen.add(key);
    if (type !== 'gauge' && !(value >= 0)) throw new Error(`less than 0: ${key}`);
  }
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`${name}: not _total`);
  if (type !== 'histogram') return;
  const counts = samples.filter((sample) => sample.name === `${name}_count`);
  for (const { labels, value } of counts) {
    const buckets = samples.filter(
      (sample) =>
        sample.name === `${name}_bucket` &&
        Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
    );
    const bounds = buckets.map((one) => Number(one.labels['le']?.replace('+Inf', 'Infinity')));
    if (bounds.at(-1) !== Infinity) throw new Error(`${name}: no +Inf`);
    if (bounds.some((bound, i) => bound <= (bounds[i - 1] ?? -Infinity)))
      throw new Error(`${name}: bounds do not rise`);
    if (buckets.some((bucket, i) => bucket.value < (buckets[i - 1]?.value ?? 0)))
      throw new Error(`${name}: buckets fall`);
    if (buckets.at(-1)?.value !== value) throw new Error(`${name}: +Inf is not the count`);
    const sums = samples.filter((sample) => sample.name === `${name}_sum`);
    if (sums.length !== counts.length) throw new Error(`${name}: sums are missing`);
  }
}
