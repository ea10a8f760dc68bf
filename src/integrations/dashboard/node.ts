import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dashboard } from './options.ts';

/** What `node:http`, Express and Connect call. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** The dashboard for `node:http`, Express, and the raw request and response of Fastify. */
export function toNode(handler: Dashboard): NodeHandler {
  return (incoming, outgoing) => {
    // Every request says all in its URL and headers: a body, which a framework may have read, is not needed.
    incoming.resume();
    void answer(handler, incoming, outgoing);
  };
}

async function answer(
  handler: Dashboard,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers))
    if (value !== undefined && !name.startsWith(':'))
      headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  // Only the query counts; a path such as `//x` would be taken for a host.
  const { url = '/' } = incoming;
  const at = url.indexOf('?');
  const host = incoming.headers.host ?? 'localhost';
  let request: Request;
  try {
    const { method = 'GET' } = incoming;
    request = new Request(`http://${host}/${at < 0 ? '' : url.slice(at)}`, { method, headers });
  } catch {
    outgoing.writeHead(400).end();
    return;
  }
  const response = await handler(request);
  const body = incoming.method === 'HEAD' ? '' : await response.text();
  outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(body);
}
