// What people and machines that operate the shop look at: probes, metrics, and the dashboard.
import { createServer, type Server } from 'node:http';
import type { RedisBroker } from 'redstart';
import { dashboard, toNode } from 'redstart/dashboard';
import { metrics } from 'redstart/metrics';

/**
 * Answers GET /live (503: restart this process), /ready (503: send it no work), /metrics (Prometheus) and
 * /dashboard. It is for the inside: whoever reaches the dashboard can read messages.
 */
export function newOperations(brokers: readonly [RedisBroker, ...RedisBroker[]]): Server {
  const page = metrics(...brokers);
  const board = toNode(dashboard(brokers[0], { title: 'shop' }));

  async function health(): Promise<{ live: boolean; ready: boolean; problems: string[] }> {
    const all = await Promise.all(brokers.map((broker) => broker.health()));
    return {
      live: all.every(({ live }) => live),
      ready: all.every(({ ready }) => ready),
      problems: all.flatMap(({ problems }) => problems),
    };
  }

  return createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const { pathname } = new URL(request.url ?? '/', 'http://shop');
      if (pathname === '/dashboard') {
        board(request, response);
      } else if (pathname === '/metrics') {
        const text = await page();
        response.writeHead(200, { 'content-type': page.contentType }).end(text);
      } else if (pathname === '/live' || pathname === '/ready') {
        const { live, ready, problems } = await health();
        response
          .writeHead((pathname === '/live' ? live : ready) ? 200 : 503)
          .end(problems.join('\n'));
      } else {
        response.writeHead(404).end();
      }
    };
    answer().catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
}
