// The processes that contenders run in, and the questions that the run puts to them.
import { fork, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PATIENCE = 60_000;
const file = (name) => fileURLToPath(new URL(name, import.meta.url));

/** A child process that answers `{ id, operation, options }` with `{ id, result }` or `{ id, error }`. */
class Worker {
  #child;
  #write;
  #count = 0;
  #waiting = new Map();
  #ready;
  /** Told how many messages a consumer has had. */
  onProgress = () => undefined;

  constructor(child, write) {
    this.#child = child;
    this.#write = write;
    this.#ready = new Promise((resolve, reject) => this.#waiting.set('ready', { resolve, reject }));
    child.once('exit', (code) => this.#fail(new Error(`a contender's process ended with ${code}`)));
    child.once('error', (error) => this.#fail(error));
  }

  receive({ id, result, error, progress, ready }) {
    if (progress !== undefined) {
      this.onProgress(progress);
      return;
    }
    const waiting = this.#waiting.get(ready ? 'ready' : id);
    this.#waiting.delete(ready ? 'ready' : id);
    if (error === undefined) waiting.resolve(result);
    else waiting.reject(new Error(error));
  }

  async started() {
    await this.#ready;
    return this;
  }

  async ask(operation, options = {}) {
    const id = ++this.#count;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#write({ id, operation, options });
    let timer;
    const late = new Promise((_, reject) => {
      const error = new Error(`'${operation}' took longer than ${PATIENCE / 1_000} s`);
      timer = setTimeout(() => reject(error), PATIENCE);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name) {
    this.#child.kill(name);
  }

  end() {
    this.#child.removeAllListeners('exit');
    this.#child.kill('SIGKILL');
  }

  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function startNode(name, url, env) {
  const options = { execArgv: ['--expose-gc'], env: { ...process.env, ...env } };
  const child = fork(file('./worker.mjs'), [name, url], options);
  const worker = new Worker(child, (message) => child.send(message));
  child.on('message', (message) => worker.receive(message));
  return worker.started();
}

function startPython(python, url) {
  const child = spawn(python, [file('./contenders/faststream_worker.py'), url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const worker = new Worker(child, (message) => child.stdin.write(`${JSON.stringify(message)}\n`));
  createInterface({ input: child.stdout }).on('line', (line) => worker.receive(JSON.parse(line)));
  return worker.started();
}

/** Starts processes for a run, and ends them all. */
export class Workers {
  #url;
  #python;
  #env;
  #started = [];

  /** `env`: variables of those in Node. */
  constructor(url, { python, env } = {}) {
    this.#url = url;
    this.#python = python;
    this.#env = env;
  }

  async start(name, url = this.#url) {
    const worker = await (name === 'faststream'
      ? startPython(this.#python, url)
      : startNode(name, url, this.#env));
    this.#started.push(worker);
    return worker;
  }

  end() {
    for (const worker of this.#started.splice(0)) worker.end();
  }
}
