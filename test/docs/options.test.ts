// docs/guide/options.md is made of the comments of the types (`node scripts/options.mjs`); `npm run check` fails where
// it is not current. Here it is compared with what redstart accepts when it runs, and with what it exports.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ADDRESSES, CONTRACTS, HANDLING } from '../../src/api/addresses.ts';
import { DELIVERY } from '../../src/api/delivery.ts';
import { BROKER, PUBLISHER, SHARED, SUBSCRIBERS } from '../../src/api/options.ts';
import { GATHER_CHECKS, STREAM_CHECKS } from '../../src/publish/check.ts';
import { repository } from './program.ts';

const page = readFileSync(repository('docs/guide/options.md'), 'utf8');

const FAILURES = 'broker/failure-plan.ts';

function textOf(section: string): string {
  const [, text] = new RegExp(`^## ${section}\\n([^]*?)(?=^## |(?![^]))`, 'm').exec(page) ?? [];
  if (text === undefined) throw new Error(`there is no section '${section}'`);
  return text;
}

/** The options in the tables of a section. */
function listed(section: string): string[] {
  return [...textOf(section).matchAll(/^\| `([\w.]+)`/gm)].map(([, name]) => name as string);
}

/** The default on the page, with its numbers written as in code. */
function defaultOf(section: string, option: string): string {
  const rows = textOf(section).split('\n');
  const row = rows.find((line) => line.startsWith(`| \`${option}\` `)) ?? '';
  // A `|` in a type is escaped.
  const [, , , fallback = ''] = row.split(/(?<!\\)\|/);
  return fallback.replaceAll(/(?<=\d) (?=\d{3}\b)/g, '_').trim();
}

/** Where the code has a default: its number is the group of the expression. */
const DEFAULTS: readonly [section: string, option: string, file: string, number: RegExp][] = [
  ['Broker', 'gracefulTimeout', 'broker/broker.ts', /gracefulTimeout = ([\d_]+)/],
  ['Broker', 'rpc.timeout', 'broker/broker.ts', /timeout = ([\d_]+) \} = rpc/],
  ['Broker', 'rpc.maxPending', 'rpc/session.ts', /maxPending = ([\d_]+)/],
  ['Broker', 'idWindow', 'broker/senders.ts', /ID_WINDOW = ([\d_]+)/],
  ['Broker', 'answers.keep', 'broker/senders.ts', /KEEP = ([\d_]+)/],
  ['Subscribers of a list', 'maxRecords', 'broker/plan.ts', /DEFAULT_BATCH = ([\d_]+)/],
  ['Subscribers of a group', 'claim.minIdle', 'broker/plan.ts', /MIN_IDLE = ([\d_]+)/],
  ['Failed messages', 'retry.maxDeliveries', FAILURES, /MAX_DELIVERIES = ([\d_]+)/],
  ['Failed messages', 'deadLetter', FAILURES, /MAX_LETTERS = ([\d_]+)/],
  ['Failed messages', 'pause.after', FAILURES, /after: ([\d_]+)/],
  ['Failed messages', 'pause.for', FAILURES, /for: ([\d_]+)/],
  ['requestMany', 'window', 'publish/sender.ts', /window = ([\d_]+)/],
  ['createApp', 'startTimeout', 'broker/app.ts', /startTimeout = ([\d_]+)/],
  ['createApp', 'stopTimeout', 'broker/app.ts', /stopTimeout = ([\d_]+)/],
];

function missing(accepted: Readonly<Record<string, unknown>>, ...sections: string[]): string[] {
  const known = sections.flatMap(listed);
  return Object.keys(accepted).filter((option) => !known.includes(option));
}

describe('docs/guide/options.md', () => {
  it('has every option that a broker and a router accept', () => {
    const shared = ['Brokers and routers', 'Failed messages'];
    expect(missing(SHARED, ...shared)).toEqual([]);
    expect(missing(BROKER, 'Broker', ...shared)).toEqual([]);
  });

  it('has every option that a subscriber accepts', () => {
    const every = 'Every subscriber';
    const { channel, list, stream } = SUBSCRIBERS;
    expect(missing(channel, every, 'Subscribers of a channel')).toEqual([]);
    expect(missing(list, every, 'Subscribers of a list', 'Failed messages')).toEqual([]);
    const both = ['Subscribers of a stream', 'Subscribers of a group'];
    expect(missing(stream, every, ...both, 'Failed messages')).toEqual([]);
    expect(missing(DELIVERY, 'Failed messages')).toEqual([]);
  });

  it('says which options of a subscriber a contract takes', () => {
    const own = Object.keys(ADDRESSES.list).filter((option) => option !== 'pause');
    expect(Object.keys(CONTRACTS.list).toSorted()).toEqual(
      [...own, ...Object.keys(HANDLING)].toSorted(),
    );
    const [, text = ''] = /^## Contracts\n([^]*?)^\|/m.exec(page) ?? [];
    for (const option of Object.keys(HANDLING)) expect(text).toContain(`\`${option}\``);
  });

  it('has every option of publish, calls, requestMany, gather and publishers', () => {
    const message = ['Destinations', 'publish'];
    const calls = Object.fromEntries(STREAM_CHECKS);
    const gather = Object.fromEntries(GATHER_CHECKS);
    expect(missing(calls, ...message, 'requestMany')).toEqual([]);
    expect(missing(gather, ...message, 'gather')).toEqual([]);
    expect(missing(PUBLISHER, 'Destinations', 'Publishers')).toEqual([]);
    expect(listed('Calls')).toEqual(
      expect.arrayContaining(['rpc', 'timeout', 'signal', 'reply', 'replyChannel', 'id']),
    );
  });

  it.each(DEFAULTS)(
    'has the default of %s, %s, that the code has',
    (section, option, file, number) => {
      const [, digits = '?'] = number.exec(readFileSync(repository(`src/${file}`), 'utf8')) ?? [];
      expect(defaultOf(section, option)).toMatch(new RegExp(`(^|\\D)${digits}(\\D|$)`));
    },
  );

  it('has every type of options that a user can import', () => {
    const entries = ['index', 'testing/index', ...integrations()];
    const named = entries.flatMap((entry) => {
      const text = readFileSync(repository(`src/${entry}.ts`), 'utf8');
      return [...text.matchAll(/\b\w+(?:Options|Definition|Defaults)\b/g)].map(([name]) => name);
    });
    const script = readFileSync(repository('scripts/options.mjs'), 'utf8');
    const unlisted = [...new Set(named)].filter((name) => !script.includes(`'${name}'`));
    expect(unlisted.toSorted()).toEqual(COMPOSED);
  });
});

/** Types that are made of those on the page, or that say which of them fit together. */
const COMPOSED: readonly string[] = [
  'AnswerOptions',
  'BatchedEventOptions',
  'ContractCallOptions',
  'ContractSubscriberOptions',
  'EventOptions',
  'EveryOptions',
  'NoHandlerOptions',
  'NoIdOptions',
  'NoOnceOptions',
  'PipelinedEventOptions',
  'PublisherBatchOptions',
  'PublisherGatherOptions',
  'PublisherPublishOptions',
  'PublisherRequestManyOptions',
  'PublisherRequestOptions',
  'RedstartAsyncOptions',
  'RedstartModuleOptions',
];

function integrations(): string[] {
  return ['asyncapi', 'dashboard', 'fastify', 'metrics', 'nestjs', 'otel'].map(
    (name) => `integrations/${name}/index`,
  );
}
