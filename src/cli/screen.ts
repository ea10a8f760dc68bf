import { emitKeypressEvents } from 'node:readline';
import { cut } from './text.ts';

/** What a terminal is told: the other screen without a cursor, and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
// It is emptied first: tmux puts lines of it into the one before, where its size has changed meanwhile.
const LEAVE = '\u001b[H\u001b[J\u001b[?25h\u001b[?1049l';

/** Between these a terminal shows nothing; those that do not know them ignore them. */
const BEGIN = '\u001b[?2026h\u001b[H';
const END = '\u001b[J\u001b[?2026l';

/** A key: `q`, `up`, `pagedown`, `return`, `escape`, `backspace`, or the character itself. */
type OnKey = (key: string) => void;

/**
 * The whole terminal. Its content before is back after `leave`, which also happens when the process
 * ends in any way that it notices: a signal, an error that nobody caught, `process.exit`.
 */
export class Screen {
  readonly #onKey: OnKey;
  readonly #onResize: () => void;
  readonly #leaveAtExit = (): void => this.leave();
  #isOpen = false;

  constructor(onKey: OnKey, onResize: () => void) {
    this.#onKey = onKey;
    this.#onResize = onResize;
  }

  get width(): number {
    return process.stdout.columns || 80;
  }

  get height(): number {
    return process.stdout.rows || 24;
  }

  enter(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    process.once('exit', this.#leaveAtExit);
    // Node prints the error before `exit`: on the other screen nobody would see it.
    process.once('uncaughtExceptionMonitor', this.#leaveAtExit);
    process.stdout.write(ENTER);
    process.stdout.on('resize', this.#onResize);
    if (!process.stdin.isTTY) return;
    emitKeypressEvents(process.stdin);
    process.stdin.setRawMode(true);
    process.stdin.on('keypress', this.#onPress);
    process.stdin.resume();
  }

  leave(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off('exit', this.#leaveAtExit);
    process.off('uncaughtExceptionMonitor', this.#leaveAtExit);
    process.stdout.off('resize', this.#onResize);
    process.stdout.write(LEAVE);
    if (!process.stdin.isTTY) return;
    process.stdin.off('keypress', this.#onPress);
    process.stdin.setRawMode(false);
    process.stdin.pause();
  }

  /** Draws lines from the top; those that do not fit are left out. `marked` is shown inverted. */
  draw(lines: readonly string[], marked: number): void {
    if (!this.#isOpen) return;
    const shown = lines.slice(0, this.height).map((line, i) => {
      const text = cut(line, this.width);
      const blanks = ' '.repeat(Math.max(0, this.width - text.length));
      return i === marked ? `\u001b[7m${text}${blanks}\u001b[0m` : `${text}\u001b[K`;
    });
    process.stdout.write(`${BEGIN}${shown.join('\r\n')}${END}`);
  }

  readonly #onPress = (
    text: string | undefined,
    { name, ctrl = false }: { name?: string; ctrl?: boolean } = {},
  ): void => {
    if (ctrl && name === 'c') this.#onKey('interrupt');
    else if (ctrl && name === 'z') this.#suspend();
    else if (ctrl) return;
    else if (text !== undefined && text.length === 1 && text >= ' ' && text !== '\u007f')
      this.#onKey(text);
    else if (name !== undefined) this.#onKey(name);
  };

  /** Ctrl+Z gives the terminal back until the process is continued. */
  #suspend(): void {
    this.leave();
    process.once('SIGCONT', () => {
      this.enter();
      this.#onResize();
    });
    process.kill(process.pid, 'SIGTSTP');
  }
}
