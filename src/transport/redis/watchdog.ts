import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import type { Timings } from '../timings.ts';
import { Patience } from './patience.ts';
import { Progress } from './progress.ts';

/**
 * Notices a connection that is open and dead: the other end vanished without closing it, which TCP
 * reports only after minutes. The watchdog destroys its socket, and ioredis reconnects. A connection that
 * is slow is alive: while bytes arrive or leave, it waits. Bytes that were written and not answered may
 * move where no process can see it, in the buffers of the system and of the network: they are given time.
 */
class Watchdog implements Watched {
  /** When the server last answered on this connection. */
  #answered = monotonicTime();
  /** When what it last answered was sent: a busy process reads an answer late. */
  #asked = monotonicTime();
  #deadline: NodeJS.Timeout | undefined;
  /** Bytes written on this connection before the last PING that the server has answered. */
  #written = 0;
  readonly #client: Redis;
  readonly #timings: Timings;
  readonly #interval: NodeJS.Timeout;
  readonly #patience = new Patience();
  readonly #progress = new Progress();

  constructor(client: Redis, timings: Timings) {
    this.#client = client;
    this.#timings = timings;
    this.#interval = setInterval(() => this.#look(), timings.ping).unref();
    client.on('connect', () => {
      this.#written = 0;
      this.#expectAnswer();
    });
    client.on('ready', () => {
      // Not all that is written by now is answered: ioredis has sent again what waited for this connection.
      this.#hearNow();
      this.#asked = monotonicTime();
    });
    client.on('close', () => this.#clearDeadline());
    client.on('end', () => clearInterval(this.#interval));
  }

  /** Whether the server has answered a PING recently; false also while the server process is stopped. */
  get isAlive(): boolean {
    return this.silence < this.#timings.ping + this.#timings.pong / 2;
  }

  /** Milliseconds since the server last answered. */
  get silence(): number {
    return monotonicTime() - this.#answered;
  }

  get unheard(): number {
    return monotonicTime() - this.#asked;
  }

  #look(): void {
    if (this.#deadline === undefined) this.#ping();
    else if (this.#progress.look(this.#client.stream)) this.#expectAnswer();
  }

  #ping(): void {
    if (this.#client.status !== 'ready') return;
    this.#expectAnswer();
    const asked = monotonicTime();
    const before = this.#unanswered;
    const { stream } = this.#client;
    const { bytesWritten } = stream;
    const answered = (): void => {
      this.#patience.answered(before, monotonicTime() - asked);
      this.#hearNow();
      this.#asked = asked;
      if (stream === this.#client.stream) this.#written = bytesWritten;
    };
    this.#client.ping().then(answered, () => {
      // An error reply (LOADING, BUSY, NOPERM) is an answer. A broken connection has emitted `close`.
      if (this.#client.status === 'ready') answered();
    });
  }

  /** Bytes that were written and whose arrival is not known. */
  get #unanswered(): number {
    return Math.max(0, this.#client.stream.bytesWritten - this.#written);
  }

  #expectAnswer(): void {
    clearTimeout(this.#deadline);
    this.#progress.look(this.#client.stream);
    const wait = this.#timings.pong + this.#patience.with(this.#unanswered);
    const deadline = setTimeout(() => {
      // After a long tick of this process timers run before sockets are read: read them first.
      setImmediate(() => {
        if (this.#deadline !== deadline) return; // answered, or given more time
        if (this.#progress.look(this.#client.stream)) this.#expectAnswer();
        else this.#giveUp();
      });
    }, wait).unref();
    this.#deadline = deadline;
  }

  #giveUp(): void {
    this.#patience.gaveUp(this.#unanswered);
    this.#client.stream.destroy();
  }

  #hearNow(): void {
    this.#answered = monotonicTime();
    this.#clearDeadline();
  }

  #clearDeadline(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }
}

/** What is known of a connection that is watched. */
export interface Watched {
  /** Whether the server has answered a PING recently; false also while the server process is stopped. */
  readonly isAlive: boolean;
  /** Milliseconds since the server last answered. */
  readonly silence: number;
  /** Milliseconds for which it is not known that all that the server had sent was read: since the PING that it last answered. */
  readonly unheard: number;
}

/** Watches a connection until it ends. */
export function watch(client: Redis, timings: Timings): Watched {
  return new Watchdog(client, timings);
}
