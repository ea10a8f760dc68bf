import { SetupError, type RedisBroker } from '../../index.ts';
import { Assets, type Asset } from './assets.ts';
import type { AsyncApiOperation, Written } from './document.ts';
import { htmlOf, type Form } from './html.ts';
import { brokersIn, writerFor, type AsyncApiOptions } from './make.ts';
import { SCRIPT } from './script.ts';
import { sampleOf } from './sample.ts';
import { TryIt, type Trial } from './try-it.ts';

export interface AsyncApiPageOptions extends AsyncApiOptions {
  /**
   * Makes the broker (or brokers) that the form of the page sends to. They run in memory, never on Redis, so they
   * must not be the brokers that serve. Default: the page has no form.
   */
  tryIt?: () => RedisBroker | readonly RedisBroker[];
}

/** A page: answers each request. */
export interface AsyncApiPage {
  (request: Request): Promise<Response>;
  /** Stops the brokers of try-it. */
  stop(): Promise<void>;
}

/** Bytes of a trial. */
const MAX_BODY = 1_000_000;

/**
 * The page of `asyncapi(…brokers, options)`: mount it at any path, for GET and POST. What it loads is
 * served by itself, under its own URL with `?get=`. It shows the document with the optional peer
 * `@asyncapi/react-component` where that is installed, else as plain HTML. Throws `SetupError` as
 * `asyncapi` does.
 */
export function asyncapiPage(
  ...given: [RedisBroker, ...RedisBroker[]] | [RedisBroker, ...RedisBroker[], AsyncApiPageOptions]
): AsyncApiPage {
  const { brokers, options } = brokersIn<AsyncApiPageOptions>(given, 'asyncapiPage');
  const { tryIt, ...rest } = options;
  if (tryIt !== undefined && typeof tryIt !== 'function')
    throw new SetupError("asyncapiPage: 'tryIt' must be a function that makes a broker");
  const make = writerFor(brokers, rest, 'asyncapiPage');
  make(); // a mistake in a registration is found here
  const assets = new Assets();
  const trials = tryIt === undefined ? undefined : new TryIt(tryIt);

  const get = (request: Request): Response => {
    const what = new URL(request.url).searchParams.get('get');
    if (what === null) {
      const written = make();
      const forms = trials === undefined ? {} : formsOf(written);
      return page(htmlOf(written.document, forms, assets.version));
    }
    const accepts = request.headers.get('accept-encoding') ?? '';
    const asset = what === 'script' ? SCRIPT_ASSET : assets.get(what);
    if (what === 'document') return json(200, make().document);
    return asset === undefined ? text(404, `there is no ${what}`) : answerWith(asset, accepts);
  };

  const answer = async (request: Request): Promise<Response> => {
    if (request.method === 'GET' || request.method === 'HEAD') return get(request);
    if (request.method !== 'POST' || trials === undefined)
      return text(405, 'only GET', {
        allow: trials === undefined ? 'GET, HEAD' : 'GET, HEAD, POST',
      });
    if (!isSameOrigin(request)) return text(403, 'only from the page itself');
    const trial = await trialIn(request);
    if (typeof trial === 'string') return text(400, trial);
    const receiver = make().receivers.get(trial.operation);
    if (receiver === undefined) return text(404, `there is no operation ${trial.operation}`);
    try {
      return json(200, await trials.run(trial, receiver));
    } catch (error) {
      if (error instanceof SetupError) return text(409, error.message);
      throw error;
    }
  };
  return Object.assign(answer, { stop: async () => trials?.stop() });
}

/** What the form of try-it begins with, by operation. */
function formsOf({ document, receivers }: Written): Readonly<Record<string, Form>> {
  const { schemas } = document.components;
  const all = [...receivers].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const forms = all.map(([key, one]): [string, Form] => {
    const { messages, channel } = document.operations[key] as AsyncApiOperation;
    const [, channelKey = '', messageKey = ''] =
      /^#\/channels\/(.*)\/messages\/(.*)$/.exec(messages[0]?.$ref ?? channel.$ref) ?? [];
    const payload = document.channels[channelKey]?.messages[messageKey]?.payload ?? {};
    const body = JSON.stringify(sampleOf(payload, schemas), null, 2);
    return [key, { address: one.name.replaceAll(/\{(\w+)\}/g, '$1'), body }];
  });
  return Object.fromEntries(forms);
}

/** The trial in a request, or what is wrong with it. */
async function trialIn(request: Request): Promise<Trial | string> {
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY) return 'too large';
  let given: unknown;
  try {
    const body = await request.text();
    if (body.length > MAX_BODY) return 'too large';
    given = JSON.parse(body);
  } catch {
    return 'not JSON';
  }
  const { operation, address, body, headers = {} } = (given ?? {}) as Partial<Trial>;
  if (typeof operation !== 'string') return 'operation: expected text';
  if (typeof address !== 'string' || address === '') return 'address: expected text';
  if (typeof headers !== 'object' || headers === null || Object.values(headers).some(isNoText))
    return 'headers: expected an object of text';
  return { operation, address, body, headers };
}

function isNoText(value: unknown): boolean {
  return typeof value !== 'string';
}

/** A browser says where a request comes from, and no page elsewhere can say otherwise. */
function isSameOrigin({ headers, url }: Request): boolean {
  const site = headers.get('sec-fetch-site');
  if (site !== null) return site === 'same-origin';
  const origin = headers.get('origin');
  return origin !== null && URL.canParse(origin) && new URL(origin).host === new URL(url).host;
}

/** The renderer makes functions from text (its validator does), and styles. It can reach nobody but this server. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const COMMON = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };

const SCRIPT_ASSET: Asset = {
  type: 'text/javascript; charset=utf-8',
  bytes: Buffer.from(SCRIPT),
  gzipped: undefined,
};

function page(html: string): Response {
  const headers = {
    ...COMMON,
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': POLICY,
    'cache-control': 'no-store',
  };
  return new Response(html, { headers });
}

function answerWith({ type, bytes, gzipped }: Asset, accepts: string): Response {
  const isSmall = gzipped !== undefined && /\bgzip\b/.test(accepts);
  const headers = {
    ...COMMON,
    'content-type': type,
    'cache-control': gzipped === undefined ? 'no-cache' : 'max-age=31536000, immutable',
    vary: 'accept-encoding',
    ...(isSmall && { 'content-encoding': 'gzip' }),
  };
  return new Response(new Uint8Array(isSmall ? gzipped : bytes), { headers });
}

function json(status: number, value: unknown): Response {
  const headers = { ...COMMON, 'content-type': 'application/json', 'cache-control': 'no-store' };
  return new Response(JSON.stringify(value, plain), { status, headers });
}

/** Bytes of an answer, which JSON has no word for. */
function plain(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  return Buffer.isBuffer(original) ? { base64: original.toString('base64') } : value;
}

function text(status: number, message: string, headers: Record<string, string> = {}): Response {
  const all = { ...COMMON, 'content-type': 'text/plain; charset=utf-8', ...headers };
  return new Response(`${message}\n`, { status, headers: all });
}
