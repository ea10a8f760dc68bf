import { BrokerClosedError } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import { detached } from '../internal/detached.ts';
import type { Session } from '../rpc/session.ts';
import type { Transport } from '../transport/transport.ts';

/** Milliseconds that `close` waits for the server to confirm what was sent last. */
const FLUSH_PATIENCE = 1_000;

/** Milliseconds that `ping` waits. */
const PING_PATIENCE = 3_000;

export interface ConnectionOptions {
  /** Makes a transport. Opens no socket. */
  readonly transport: () => Transport;
  /** Makes what calls need on a transport that is connected. */
  readonly session: (transport: Transport) => Session;
}

/**
 * The one connection of a broker: idle → connecting → open → closed. The first message opens it;
 * once closed, it stays closed until `reopen`.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #transport: Transport | undefined;
  #session: Session | undefined;
  #connecting: Promise<Session> | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The transport, made where there is none yet. It need not be connected. */
  get transport(): Transport {
    return (this.#transport ??= this.#options.transport());
  }

  /** Undefined unless it is open. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** Undefined unless it is being opened. */
  get connecting(): Promise<unknown> | undefined {
    return this.#connecting;
  }

  /** The session where it is open, a promise of it where it is not. Throws `BrokerClosedError` where it was closed. */
  get(): Session | Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    if (this.#isClosed) throw new BrokerClosedError();
    return this.open();
  }

  /** Whether the server answers PING within {@link PING_PATIENCE}. Connects where nothing is connected. */
  async ping(): Promise<boolean> {
    try {
      const { transport } = await this.get();
      return await settledWithin(transport.ping(), PING_PATIENCE);
    } catch {
      return false; // it cannot even be connected to, which is the answer
    }
  }

  /** Allows connecting again after `close`. */
  reopen(): void {
    this.#isClosed = false;
  }

  /** Connects. Rejects with `ConnectionError`, which names the server and the cause. */
  open(): Promise<Session> {
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    if (this.#connecting !== undefined) return this.#connecting;
    const connecting = detached(() => this.#connect()).finally(() => {
      if (this.#connecting === connecting) this.#connecting = undefined;
    });
    return (this.#connecting = connecting);
  }

  /** Ends calls, waits for what was sent, and closes. Resolves with how each step ended. */
  async close(): Promise<PromiseSettledResult<unknown>[]> {
    const session = this.#session;
    const results: PromiseSettledResult<unknown>[] = [];
    this.#isClosed = true;
    this.#session = undefined;
    if (session !== undefined) {
      results.push(...(await Promise.allSettled([session.close()])));
      await settledWithin(session.transport.flush(), FLUSH_PATIENCE);
    }
    results.push(...(await this.discard()));
    // What is still being opened fails by itself; it must not be taken for what is opened next.
    this.#connecting = undefined;
    return results;
  }

  /** Closes the transport, so that the next one is made anew. */
  async discard(): Promise<PromiseSettledResult<unknown>[]> {
    const transport = this.#transport;
    const results = await Promise.allSettled([transport?.close()]);
    this.#transport = undefined;
    return results;
  }

  async #connect(): Promise<Session> {
    const { transport } = this;
    try {
      await transport.connect();
    } catch (error) {
      if (this.#transport === transport) this.#transport = undefined;
      await transport.close();
      throw error;
    }
    if (this.#transport !== transport) {
      // Closed meanwhile.
      await transport.close();
      throw new BrokerClosedError();
    }
    return (this.#session = this.#options.session(transport));
  }
}
