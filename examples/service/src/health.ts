import { createServer, type Server } from 'node:http';
import type { RedisBroker } from 'redstart';
import { metrics } from 'redstart/metrics';

/**
 * Answers GET /live (503: restart this process), GET /ready (503: send it no work) and GET /metrics
 * (Prometheus).
 */
export function healthServer(broker: RedisBroker): Server {
  const page = metrics(broker);
  return createServer((request, response) => {
    const answer = async (): Promise<void> => {
      if (request.url === '/metrics') {
        const text = await page();
        response.writeHead(200, { 'content-type': page.contentType }).end(text);
        return;
      }
      if (request.url !== '/live' && request.url !== '/ready') {
        response.writeHead(404).end();
        return;
      }
      const health = await broker.health();
      const isWell = request.url === '/live' ? health.live : health.ready;
      response.writeHead(isWell ? 200 : 503, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ status: health.status, problems: health.problems }));
    };
    answer().catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
}
