// The Redis of a run: found as the tests find theirs, watched by its own counters, left clean.
import {
  findBinary,
  findRedis,
  freePort,
  HOW_TO_GET_ONE,
  spawnRedis,
} from '../../../scripts/find-redis.mjs';
import { Redis } from './redstart.mjs';

/** A server, what it counts, and names that nobody else uses. */
export class Server {
  #client;
  #stop;
  #prefix = `bench:${process.pid}`;

  /** A server of this run alone, on plain TCP and on TLS; undefined where it cannot be had. */
  static async openSecure({ cert, key }) {
    const binary = findBinary();
    if (binary === undefined) return undefined;
    const tlsPort = await freePort();
    const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no'];
    const args = ['--tls-port', String(tlsPort), ...files];
    // One that was built without TLS refuses these arguments.
    const spawned = await spawnRedis(binary, args).catch(() => undefined);
    if (spawned === undefined) return undefined;
    const server = new Server(spawned.url, spawned.stop);
    server.secureUrl = `rediss://127.0.0.1:${tlsPort}`;
    return server;
  }

  static async open() {
    const found = findRedis();
    if (found?.url === undefined && found?.binary === undefined) throw new Error(HOW_TO_GET_ONE);
    const server = found.url === undefined ? await spawnRedis(found.binary) : found;
    return new Server(server.url, server.stop);
  }

  constructor(url, stop) {
    this.url = url;
    this.#client = new Redis(url);
    this.#stop = stop;
  }

  /** It is no process of ours, so what it uses is found out in another way. */
  get isForeign() {
    return this.#stop === undefined;
  }

  async version() {
    return (await this.#info('server')).redis_version;
  }

  /** A channel, a list and a stream of one contender. */
  names(contender, kinds) {
    return Object.fromEntries(kinds.map((kind) => [kind, this.name(`${contender}:${kind}`)]));
  }

  name(what) {
    return `${this.#prefix}:${what}`;
  }

  /** Connections that are open. */
  async clients() {
    return Number((await this.#info('clients')).connected_clients);
  }

  /** Microseconds of CPU, and bytes sent, so far. */
  async counters() {
    const { used_cpu_sys, used_cpu_user, total_net_output_bytes } = await this.#info();
    const cpu = (Number(used_cpu_sys) + Number(used_cpu_user)) * 1e6;
    return { cpu, sent: Number(total_net_output_bytes) };
  }

  /** A stream keeps what was read: it is emptied between two measurements. */
  async emptyStream(name) {
    await this.#client.xtrim(name, 'MAXLEN', 0);
  }

  /** A group that reads from the start, whatever a contender would choose. */
  async createGroup(stream) {
    await this.#client.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM');
  }

  async remove(...names) {
    await this.#client.unlink(...names);
  }

  async close() {
    if (this.#stop === undefined) {
      for await (const keys of this.#client.scanStream({ match: `*${this.#prefix}:*`, count: 500 }))
        if (keys.length > 0) await this.#client.unlink(...keys);
    }
    this.#client.disconnect();
    await this.#stop?.();
  }

  async #info(section = 'everything') {
    const lines = (await this.#client.info(section)).split('\r\n');
    return Object.fromEntries(lines.map((line) => line.split(':', 2)));
  }
}
