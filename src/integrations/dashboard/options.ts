import { SetupError, type Logger } from '../../index.ts';
import type { Redact } from './redact.ts';

/** Answers requests for the page and for what the page asks, all under one URL: mount it anywhere. Never rejects. */
export type Dashboard = (request: Request) => Promise<Response>;

/** What somebody wants to do. `look`: see anything at all. */
export type DashboardAction = 'look' | 'pause' | 'resume' | 'redrive' | 'remove';

/** A place to be shown though no process that answers reads it. Its name is without the broker's prefix. */
export type DashboardPlace = { channel: string } | { list: string } | { stream: string };

export interface DashboardOptions {
  /** Whether people can pause and resume subscribers, and redrive and remove dead letters. Needs `authorize`. Default `false`. */
  actions?: boolean;
  /**
   * Says who may do what. It is called before each request, also to look. `true` allows; a text allows and names
   * the user in the log; anything else refuses, and so does an error, which is logged. Default: everybody may
   * look.
   */
  authorize?: (
    request: Request,
    action: DashboardAction,
  ) => boolean | string | Promise<boolean | string>;
  /**
   * Hides more than what has the name or the form of a secret; `false` hides nothing. If it throws, the message is
   * not shown. Default: names and forms of secrets are hidden.
   */
  redact?: Redact | false;
  /** Whether the bodies of messages are shown. Default `true`. */
  bodies?: boolean;
  /**
   * Whether the page looks for lists and streams that no answering process reads, such as those of FastStream
   * (SCAN, 500 keys at a time, while somebody looks). Default `true`.
   */
  discover?: boolean;
  /** Channels, lists and streams that are always shown. Default: none. */
  places?: readonly DashboardPlace[];
  /** Lists and streams of dead letters, besides those of answering processes and names that end with `:dead`. Default: none. */
  deadLetters?: readonly ({ list: string } | { stream: string })[];
  /** The title of the page. Default `redstart`. */
  title?: string;
  /** Where actions and failures of `authorize` are logged; `false`: nowhere. Default: lines on stderr. */
  logger?: Logger | false;
}

/** Options as they are used. */
export interface Settings {
  readonly actions: boolean;
  readonly authorize: DashboardOptions['authorize'];
  readonly redact: Redact | false | undefined;
  readonly bodies: boolean;
  readonly discover: boolean;
  readonly places: readonly Place[];
  readonly deadLetters: readonly Place[];
  readonly title: string;
  readonly logger: Logger;
}

export interface Place {
  readonly kind: Kind;
  /** With prefix. */
  readonly name: string;
}

export type Kind = 'channel' | 'list' | 'stream';

const KINDS = ['channel', 'list', 'stream'] as const;

const KNOWN = [
  ...(['actions', 'authorize', 'redact', 'bodies', 'discover'] as const),
  ...(['places', 'deadLetters', 'title', 'logger'] as const),
] satisfies readonly (keyof DashboardOptions)[];

/** Throws `SetupError` for the first mistake. */
export function settingsOf(options: unknown, prefix: string): Settings {
  if (typeof options !== 'object' || options === null)
    throw new SetupError(`dashboard: options must be an object, got ${String(options)}`);
  const unknown = Object.keys(options).find((key) => !(KNOWN as readonly string[]).includes(key));
  if (unknown !== undefined)
    throw new SetupError(`dashboard: there is no option '${unknown}', only ${KNOWN.join(', ')}`);
  const given = options as DashboardOptions;
  const { actions = false, bodies = true, discover = true } = given;
  for (const [key, value] of Object.entries({ actions, bodies, discover }))
    if (typeof value !== 'boolean') throw wrong(key, 'a boolean', value);
  const { authorize, redact, title = 'redstart', logger } = given;
  if (authorize !== undefined && typeof authorize !== 'function')
    throw wrong('authorize', 'a function of the request and the action', authorize);
  if (redact !== undefined && redact !== false && typeof redact !== 'function')
    throw wrong('redact', 'a function of the message, or false', redact);
  if (typeof title !== 'string') throw wrong('title', 'a string', title);
  if (actions && authorize === undefined)
    throw new SetupError(
      "dashboard: 'actions' needs 'authorize', a function that says who may do what: without it, whoever reaches the page could remove messages",
    );
  return {
    ...{ actions, authorize, redact, bodies, discover, title },
    places: placesOf(given.places ?? [], 'places', prefix),
    deadLetters: placesOf(given.deadLetters ?? [], 'deadLetters', prefix),
    logger: loggerOf(logger),
  };
}

function placesOf(given: unknown, key: string, prefix: string): Place[] {
  if (!Array.isArray(given)) throw wrong(key, "an array such as [{ stream: 'orders' }]", given);
  return given.map((one: Readonly<Record<string, unknown>> | null) => {
    const kinds = KINDS.filter((kind) => one?.[kind] !== undefined);
    const [kind] = kinds;
    const name = kind === undefined ? undefined : one?.[kind];
    if (kinds.length !== 1 || typeof name !== 'string' || name === '')
      throw wrong(key, "places such as { stream: 'orders' }", JSON.stringify(one));
    if (key === 'deadLetters' && kind === 'channel')
      throw wrong(key, 'lists and streams', JSON.stringify(one));
    return { kind: kind as Kind, name: prefix + name };
  });
}

function loggerOf(logger: unknown): Logger {
  if (logger === undefined) return { debug() {}, info: write, warn: write, error: write };
  if (logger === false) return { debug() {}, info() {}, warn() {}, error() {} };
  if (!isLogger(logger))
    throw wrong('logger', 'an object with debug, info, warn and error, or false', logger);
  return logger;
}

const write = (fields: object | string, message = ''): void => {
  const line = typeof fields === 'string' ? fields : `${message} ${JSON.stringify(fields, plain)}`;
  // Names come from requests: none may end the line, or be obeyed by a terminal.
  const safe = line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, escapeOf);
  process.stderr.write(`redstart dashboard: ${safe}\n`);
};

/** JSON knows nothing of errors, which would be `{}`. */
function plain(_key: string, value: unknown): unknown {
  return value instanceof Error ? (value.stack ?? value.message) : value;
}

function escapeOf(character: string): string {
  return `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}`;
}

function isLogger(given: unknown): given is Logger {
  return typeof (given as Partial<Logger> | null)?.info === 'function';
}

function wrong(key: string, expected: string, got: unknown): SetupError {
  return new SetupError(`dashboard: '${key}' must be ${expected}, got ${String(got)}`);
}
