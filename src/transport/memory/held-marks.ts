import type { Asker, CallMark, CallRequest, CallState, HandledOnce, Marks } from '../marks.ts';
import type { MemoryMarks } from './marks.ts';

/** Runs a command on the marks of the server once the connection stands. */
type Run = <T>(command: (marks: MemoryMarks) => T) => Promise<T>;

/** The marks as one connection has them: when it closes, it frees those that it holds, as a lease that lapses. */
export class HeldMarks implements Marks {
  readonly #run: Run;
  /** What frees each mark that is held. */
  readonly #held = new Map<string, (marks: MemoryMarks) => void>();

  constructor(run: Run) {
    this.#run = run;
  }

  async takeMark(mark: HandledOnce, owner: string): Promise<number> {
    const wait = await this.#run((marks) => marks.take(mark, owner));
    if (wait === 0) this.#held.set(keyOf(mark, owner), (marks) => marks.free(mark, owner));
    return wait;
  }

  freeMark(mark: HandledOnce, owner: string): Promise<void> {
    this.#held.delete(keyOf(mark, owner));
    return this.#run((marks) => marks.free(mark, owner));
  }

  settledMark(mark: HandledOnce, owner: string): void {
    this.#held.delete(keyOf(mark, owner));
  }

  async beginCall(mark: CallMark, request: CallRequest): Promise<CallState> {
    const { owner } = request;
    const begun = await this.#run((marks) => marks.beginCall(mark, request));
    if (begun.state === 'run') this.#held.set(owner, (marks) => marks.pauseCall(mark, owner));
    return begun;
  }

  endCall(
    mark: CallMark,
    request: CallRequest,
    answer: Buffer | undefined,
    keep: number,
  ): Promise<readonly Asker[]> {
    this.#held.delete(request.owner);
    return this.#run((marks) => marks.endCall(mark, request, answer, keep));
  }

  pauseCall(mark: CallMark, owner: string): Promise<void> {
    this.#held.delete(owner);
    return this.#run((marks) => marks.pauseCall(mark, owner));
  }

  forgetAskers(mark: CallMark, askers: readonly Asker[]): Promise<void> {
    return this.#run((marks) => marks.forgetAskers(mark, askers));
  }

  askCall(mark: CallMark, asker: Asker): Promise<CallState> {
    return this.#run((marks) => marks.askCall(mark, asker));
  }

  /** Frees everything that is held. */
  close(marks: MemoryMarks): void {
    for (const free of this.#held.values()) free(marks);
    this.#held.clear();
  }
}

function keyOf({ name, group, id }: HandledOnce, owner: string): string {
  return JSON.stringify([name, group, id, owner]);
}
