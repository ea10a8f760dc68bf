import type { ChildProcess } from 'node:child_process';
import { MergedPages } from '../integrations/metrics/merge.ts';

/** Milliseconds that a worker has for its page; asking Redis takes it 6 s at most. */
const PATIENCE = 7_000;

/** Asks a worker for its page, which it sends back as a {@link PageMessage} with the same number. */
export interface ScrapeMessage {
  readonly scrape: number;
}

/** A worker's page; without a number its last one, before it ends. */
export interface PageMessage {
  readonly page: string;
  readonly scrape?: number;
}

/** One page of the pages of all workers, collected over IPC. */
export class WorkerPages {
  /** The counters of processes that have ended. */
  readonly #past = new MergedPages();
  /** The newest page of each process. */
  readonly #newest = new Map<ChildProcess, string>();
  readonly #waiting = new Map<number, (page: string) => void>();
  readonly #wanted: number;
  #scrapes = 0;
  #ended = 0;

  /** `wanted`: how many workers are to run. */
  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  /** Takes a page that a worker has sent. */
  received(worker: ChildProcess, { page, scrape }: PageMessage): void {
    this.#newest.set(worker, page);
    if (scrape !== undefined) this.#waiting.get(scrape)?.(page);
  }

  /** What a process has counted stays when it has ended: else its sums would shrink. */
  ended(worker: ChildProcess): void {
    this.#ended++;
    const page = this.#newest.get(worker);
    this.#newest.delete(worker);
    if (page !== undefined) this.#past.add(page, true);
  }

  /** Of a worker that does not answer in time, the counters of its newest page are there. */
  async page(workers: readonly ChildProcess[]): Promise<string> {
    const pages = await Promise.all(workers.map((worker) => this.#ask(worker)));
    const merged = new MergedPages().add(this.#past.toString());
    let up = 0;
    for (const [i, page] of pages.entries()) {
      if (page !== undefined) up++;
      const known = page ?? this.#newest.get(workers[i] as ChildProcess);
      if (known !== undefined) merged.add(known, page === undefined);
    }
    return `${merged.toString()}${this.#own(up)}`;
  }

  #ask(worker: ChildProcess): Promise<string | undefined> {
    const scrape = ++this.#scrapes;
    return new Promise((resolve) => {
      const end = (page?: string): void => {
        clearTimeout(timer);
        this.#waiting.delete(scrape);
        resolve(page);
      };
      const timer = setTimeout(end, PATIENCE);
      this.#waiting.set(scrape, end);
      worker.send({ scrape } satisfies ScrapeMessage, (error) => {
        if (error !== null) end(); // it has just ended
      });
    });
  }

  #own(up: number): string {
    return `# HELP redstart_workers Processes that are to run.
# TYPE redstart_workers gauge
redstart_workers ${this.#wanted}
# HELP redstart_workers_up Processes that answered for this page.
# TYPE redstart_workers_up gauge
redstart_workers_up ${up}
# HELP redstart_worker_exits_total Processes that have ended.
# TYPE redstart_worker_exits_total counter
redstart_worker_exits_total ${this.#ended}
`;
  }
}
