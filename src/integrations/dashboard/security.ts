import type { DashboardAction, Settings } from './options.ts';

/** A request that is refused. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** On every response. */
const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

/** Characters of the name of whoever does something. */
const MAX_WHO = 100;

export function json(status: number, value: unknown, more: Readonly<Record<string, string>> = {}) {
  return new Response(JSON.stringify(value), {
    status,
    headers: { ...HEADERS, 'content-type': 'application/json; charset=utf-8', ...more },
  });
}

/** A page whose only scripts and styles are those with this nonce, and which talks to its own server alone. */
export function html(text: string, nonce: string): Response {
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return new Response(text, {
    headers: {
      ...HEADERS,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy.join('; '),
    },
  });
}

/**
 * Throws for a request that another site has caused. Browsers say where a request comes from in
 * `Sec-Fetch-Site`, over HTTPS and to localhost; elsewhere `Origin` must be the host itself.
 */
export function refuseOtherSites(request: Request): void {
  const site = request.headers.get('sec-fetch-site');
  if (site === 'same-origin') return;
  const origin = request.headers.get('origin');
  const host = request.headers.get('host') ?? new URL(request.url).host;
  if (site === null && origin !== null && hostOf(origin) === host) return;
  throw new Refusal(
    403,
    site === null
      ? 'this request does not say that it comes from this page (Sec-Fetch-Site, Origin)'
      : `this request comes from elsewhere (Sec-Fetch-Site: ${site})`,
  );
}

/** Data is for the page and for programs, never for another site's page. */
export function refuseOtherReaders(request: Request): void {
  const site = request.headers.get('sec-fetch-site');
  if (site === 'cross-site' || site === 'same-site')
    throw new Refusal(403, `this request comes from elsewhere (Sec-Fetch-Site: ${site})`);
}

/** Who is allowed to do something: a name, or an empty text where none is known. Throws where it is refused. */
export async function authorized(
  { authorize, logger }: Settings,
  request: Request,
  action: DashboardAction,
): Promise<string> {
  if (authorize === undefined) return '';
  let allowed: unknown;
  try {
    allowed = await authorize(request, action);
  } catch (error) {
    logger.error({ err: error }, `authorize failed, so '${action}' was refused`);
  }
  if (allowed === true) return '';
  if (typeof allowed === 'string' && allowed !== '')
    return allowed.replaceAll(/\p{C}/gu, '').slice(0, MAX_WHO);
  throw new Refusal(403, `you are not allowed to ${action}`);
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
