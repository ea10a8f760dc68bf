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

/** The options in the tables of a section. */
function listed(section: string): string[] {
  const [, text] = new RegExp(`^## ${section}\\n([^]*?)(?=^## |(?![^]))`, 'm').exec(page) ?? [];
  if (text === undefined) throw new Error(`there is no section '${section}'`);
  return [...text.matchAll(/^\| `([\w.]+)`/gm)].map(([, name]) => name as string);
}

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

/** Types that are made of those on the page. */
const COMPOSED: readonly string[] = [
  ...['AnswerOptions', 'BatchedEventOptions', 'ContractCallOptions', 'ContractSubscriberOptions'],
  ...['EventOptions', 'EveryOptions', 'NoIdOptions', 'NoOnceOptions', 'PipelinedEventOptions'],
  ...['PublisherGatherOptions', 'PublisherRequestManyOptions'],
  ...['RedstartAsyncOptions', 'RedstartModuleOptions'],
];

function integrations(): string[] {
  return ['asyncapi', 'dashboard', 'fastify', 'metrics', 'nestjs', 'otel'].map(
    (name) => `integrations/${name}/index`,
  );
}
