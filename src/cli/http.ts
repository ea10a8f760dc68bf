import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../errors.ts';
import { UsageError } from './failure.ts';
import { logLine } from './output.ts';

/** Bytes of a request. */
const MAX_BODY = 2_000_000;

type Handler = (request: Request) => Promise<Response>;

interface Listening {
  readonly url: string;
  close(): Promise<void>;
}

/** Has a handler answer on this machine. Rejects with `UsageError` where the port is taken. */
export async function listen(handler: Handler, host: string, port: number): Promise<Listening> {
  const server = createServer((request, response) => {
    answer(handler, host, request, response).catch((error: unknown) => {
      logLine(`${request.method} ${request.url}: ${messageOf(error)}`);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE';
      reject(isTaken ? new UsageError(`port ${port} is in use: give another --port`) : error);
    });
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Resolves at the first SIGINT, SIGTERM or SIGHUP. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => resolve());
  });
}

async function answer(
  handler: Handler,
  host: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isOurs(request.headers.host, host)) {
    response.writeHead(421).end('not a name of this server\n');
    return;
  }
  const { method = 'GET', url = '/' } = request;
  const body = method === 'GET' || method === 'HEAD' ? undefined : await bodyOf(request);
  if (body === 'too large') {
    response.writeHead(413).end('too large\n');
    return;
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined) headers.set(name, String(value));
  const target = new URL(url, `http://${request.headers.host}`);
  const answered = await handler(
    new Request(target, { method, headers, ...(body !== undefined && { body }) }),
  );
  response.writeHead(answered.status, Object.fromEntries(answered.headers));
  response.end(method === 'HEAD' ? undefined : Buffer.from(await answered.arrayBuffer()));
}

/** Whether a request names this server: a page elsewhere, whose name was made to lead here, says its own. */
function isOurs(name: string | undefined, host: string): boolean {
  const hostname = (name ?? '').replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
  const isAnywhere = host === '0.0.0.0' || host === '::';
  return isAnywhere || [host, 'localhost', '127.0.0.1', '::1'].includes(hostname);
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array<ArrayBuffer> | 'too large'> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BODY) return 'too large';
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}
