// The entry `redstart/dashboard`.
import { randomBytes } from 'node:crypto';
import { SetupError, type RedisBroker } from '../../index.ts';
import { lettersIn, settleLetters } from './letters.ts';
import { messagesIn } from './messages.ts';
import {
  settingsOf,
  type Dashboard,
  type DashboardOptions,
  type Kind,
  type Place,
  type Settings,
} from './options.ts';
import { page } from './page.ts';
import { withoutSecretsIn } from './redact.ts';
import {
  Refusal,
  authorized,
  html,
  json,
  refuseOtherReaders,
  refuseOtherSites,
} from './security.ts';
import { Look, addressOf } from './state.ts';

export { toNode, type NodeHandler } from './node.ts';
export type { Dashboard, DashboardAction, DashboardOptions, DashboardPlace } from './options.ts';
export type { Redact, ShownMessage } from './redact.ts';

/**
 * A live page of what reads what, how far behind it is, what fails and what is dead, for one broker and
 * the processes that share its prefix. Nothing runs while nobody looks. Throws `SetupError` for what is
 * no broker or no option, and for `actions` without `authorize`.
 */
export function dashboard(broker: RedisBroker, options: DashboardOptions = {}): Dashboard {
  if (typeof (broker as Partial<RedisBroker> | undefined)?.fleet?.status !== 'function')
    throw new SetupError('dashboard: expected a RedisBroker');
  const settings = settingsOf(options, broker.prefix);
  const handler = new Handler(broker, settings);
  return async (request) => {
    try {
      return await handler.answer(request);
    } catch (error) {
      return refusalOf(error, settings);
    }
  };
}

/** Characters of a name in a request. */
const MAX_NAME = 1_000;

const ACTIONS = ['pause', 'resume', 'redrive', 'remove'] as const;

class Handler {
  readonly #broker: RedisBroker;
  readonly #settings: Settings;
  readonly #look: Look;

  constructor(broker: RedisBroker, settings: Settings) {
    this.#broker = broker;
    this.#settings = settings;
    this.#look = new Look(broker, settings);
  }

  async answer(request: Request): Promise<Response> {
    const { method } = request;
    // The path is the user's: only the query says what is wanted, so that no base path can be wrong.
    const { searchParams: query } = new URL(request.url);
    if (method === 'POST') return this.#act(request, query);
    if (method !== 'GET' && method !== 'HEAD')
      throw new Refusal(405, `${method} is nothing here`, { allow: this.#allow });
    const view = query.get('view');
    if (view !== null) refuseOtherReaders(request);
    const who = await authorized(this.#settings, request, 'look');
    if (view === null) {
      const nonce = randomBytes(16).toString('base64');
      return html(page(nonce, this.#settings.title), nonce);
    }
    const found = await this.#view(view, query);
    const about = {
      who,
      actions: this.#settings.actions ? ACTIONS : [],
      prefix: this.#broker.prefix,
    };
    return json(200, view === 'state' ? { ...found, ...about } : found);
  }

  get #allow(): string {
    return this.#settings.actions ? 'GET, HEAD, POST' : 'GET, HEAD';
  }

  async #view(view: string, query: URLSearchParams): Promise<object> {
    if (view === 'state') return this.#look.now();
    const place = this.#placeIn(query);
    const { server } = this.#look;
    if (view === 'messages')
      return messagesIn(
        this.#broker,
        server,
        place,
        query.get('order') !== 'oldest',
        this.#settings,
      );
    if (view === 'letters') {
      await this.#refuseLiving(place);
      const group = query.get('group') ?? undefined;
      return lettersIn(this.#boxAt(place), place, group, this.#settings);
    }
    const group = query.get('group');
    if (view === 'group' && place.kind === 'stream' && group !== null)
      return (await server?.group(place.name, group)) ?? {};
    throw new Refusal(404, 'there is nothing of this name');
  }

  async #act(request: Request, query: URLSearchParams): Promise<Response> {
    if (!this.#settings.actions)
      throw new Refusal(405, 'this dashboard is for looking only', { allow: this.#allow });
    refuseOtherSites(request);
    const action = ACTIONS.find((one) => one === query.get('do'));
    if (action === undefined) throw new Refusal(400, `'do' must be one of ${ACTIONS.join(', ')}`);
    const who = await authorized(this.#settings, request, action);
    const place = this.#placeIn(query);
    const done =
      action === 'pause' || action === 'resume'
        ? await this.#steer(action, place, query, who)
        : await this.#settle(action, place, query);
    this.#look.forget();
    const by = who === '' ? 'somebody' : who;
    this.#settings.logger.info(
      { action, by, ...place, ...Object.fromEntries(query), result: done },
      `${by}: ${action} at ${place.kind} '${place.name}'`,
    );
    return json(200, done);
  }

  async #steer(action: 'pause' | 'resume', place: Place, query: URLSearchParams, who: string) {
    const name = place.name.slice(this.#broker.prefix.length);
    const group = query.get('group');
    const id = query.get('process');
    const where =
      place.kind === 'stream'
        ? { stream: name, ...(group === null ? {} : { group }) }
        : place.kind === 'list'
          ? { list: name }
          : { channel: name };
    const by = `${who === '' ? 'somebody' : who} (dashboard)`;
    return this.#broker.fleet[action]({ ...where, by, ...(id === null ? {} : { process: id }) });
  }

  async #settle(action: 'redrive' | 'remove', place: Place, query: URLSearchParams) {
    await this.#refuseLiving(place);
    const [id, mark, group, all] = ['id', 'mark', 'group', 'all'].map((key) => query.get(key));
    if (id === null && group === null && all !== 'yes')
      throw new Refusal(400, "say which dead letters: 'id' and 'mark', 'group', or 'all=yes'");
    return settleLetters(this.#boxAt(place), action, {
      ...{ id: id ?? undefined, mark: mark ?? undefined, group: group ?? undefined },
    });
  }

  /** Throws where a place has no dead letters: what lies there is work that waits. */
  async #refuseLiving(place: Place): Promise<void> {
    if (await this.#look.isDead(place)) return;
    throw new Refusal(
      404,
      `${place.kind} '${place.name}' is no place of dead letters, as far as is known`,
    );
  }

  #boxAt(place: Place) {
    const address = addressOf(place, this.#broker.prefix);
    if (address === undefined) throw new Refusal(404, 'a channel has no dead letters');
    return this.#broker.deadLetters(address);
  }

  /** The place that a request names. Throws for one outside of the broker's prefix. */
  #placeIn(query: URLSearchParams): Place {
    const [kind, name] = [query.get('kind'), query.get('name')];
    const isKind = kind === 'channel' || kind === 'list' || kind === 'stream';
    if (!isKind || name === null || name === '' || name.length > MAX_NAME)
      throw new Refusal(400, "expected 'kind' (channel, list or stream) and 'name'");
    const { prefix } = this.#broker;
    if (!name.startsWith(prefix) || name.length === prefix.length)
      throw new Refusal(404, `there is nothing of this name under '${prefix}'`);
    return { kind: kind satisfies Kind, name };
  }
}

function refusalOf(error: unknown, { logger }: Settings): Response {
  if (error instanceof Refusal) return json(error.status, { error: error.message }, error.headers);
  logger.warn({ err: error }, 'a request failed');
  const text = error instanceof Error ? error.message : String(error);
  return json(503, { error: withoutSecretsIn(text) });
}
