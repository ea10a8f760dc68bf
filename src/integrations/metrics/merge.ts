import { DEFINITIONS } from './definitions.ts';
import type { Definition } from './registry.ts';

/** Gauges that are not added up. */
const RULES = new Map(
  (Object.values(DEFINITIONS) as readonly Definition[]).map(({ name, across }) => [name, across]),
);

interface Family {
  /** The lines `# HELP` and `# TYPE`. */
  readonly head: string;
  readonly isGauge: boolean;
  /** By name and labels, as they are written. */
  readonly values: Map<string, number>;
}

/**
 * One page of the pages of several processes that do the same work. Counters, histograms and most
 * gauges are added up; see {@link Definition.across} for the others.
 */
export class MergedPages {
  readonly #families = new Map<string, Family>();

  /** `countersOnly`: of a process that has ended. Its counters stay, or the sums would shrink; its gauges do not. */
  add(page: string, countersOnly = false): this {
    let help = '';
    let name = '';
    let family: Family | undefined;
    for (const line of page.split('\n')) {
      if (line.startsWith('# HELP ')) help = line;
      else if (line.startsWith('# TYPE ')) {
        name = line.slice(7, line.lastIndexOf(' '));
        family = this.#family(name, `${help}\n${line}\n`, line.endsWith(' gauge'));
      } else if (family !== undefined && line !== '' && !(countersOnly && family.isGauge)) {
        const end = line.lastIndexOf(' ');
        const series = line.slice(0, end);
        const value = Number(line.slice(end + 1));
        const before = family.values.get(series);
        family.values.set(series, before === undefined ? value : together(name, before, value));
      }
    }
    return this;
  }

  toString(): string {
    let page = '';
    for (const { head, values } of this.#families.values()) {
      page += head;
      for (const [series, value] of values) page += `${series} ${value}\n`;
    }
    return page;
  }

  #family(name: string, head: string, isGauge: boolean): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = { head, isGauge, values: new Map() };
      this.#families.set(name, family);
    }
    return family;
  }
}

function together(name: string, a: number, b: number): number {
  const rule = RULES.get(name);
  if (rule === 'max') return Math.max(a, b);
  return rule === 'min' ? Math.min(a, b) : a + b;
}
