import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { App, RedisBroker } from '../index.ts';
import { UsageError } from './failure.ts';
import { logLine } from './output.ts';

/** Where `--metrics` serves its page. */
export interface MetricsAddress {
  /** Undefined: on all interfaces. */
  readonly host: string | undefined;
  readonly port: number;
}

/** The address in `9464` or `127.0.0.1:9464`; port 0 is any that is free. Throws `UsageError` for anything else. */
export function metricsAddress(text: string | undefined): MetricsAddress | undefined {
  if (text === undefined) return undefined;
  const [, host, port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535)
    throw new UsageError(`--metrics: expected a port or host:port, such as 9464, got '${text}'`);
  return { host: host?.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** The page of metrics of an app that runs in this process. */
export async function pageOf({ brokers }: App): Promise<() => Promise<string>> {
  const { metrics } = await import('../integrations/metrics/index.ts');
  return metrics(...(brokers as readonly [RedisBroker, ...RedisBroker[]]));
}

/** Serves a page of metrics at `/metrics` until the process ends. Rejects where the address is taken. */
export async function serveMetrics(
  { host, port }: MetricsAddress,
  page: () => Promise<string>,
): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end('metrics are at /metrics\n');
      return;
    }
    page().then(
      (text) => {
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
        response.end(text);
      },
      (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new UsageError(`--metrics: cannot listen on port ${port}: ${error.message}`)),
    );
    server.listen(port, host, resolve);
  });
  server.unref();
  const at = server.address() as AddressInfo;
  logLine(`metrics are at http://${host ?? 'localhost'}:${at.port}/metrics`);
  return server;
}
