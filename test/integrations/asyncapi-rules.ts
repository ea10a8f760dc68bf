// What the AsyncAPI specification demands and @asyncapi/parser lets through, and the documents that are written down.
import { readdirSync, writeFileSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { AsyncApiDocument } from 'redstart/asyncapi';
import { expect } from 'vitest';
import { repository } from '../docs/program.ts';

const FOLDER = 'test/docs/asyncapi';

/** The names of the documents that are written down. */
export function goldenNames(): string[] {
  return readdirSync(repository(FOLDER)).map((file) => file.replace('.json', ''));
}

/** Compares with what is written down. UPDATE_GOLDEN=1 writes it down anew, to be looked at in the diff. */
export async function expectGolden(document: AsyncApiDocument, name: string): Promise<void> {
  const file = repository(`${FOLDER}/${name}.json`);
  if (process.env['UPDATE_GOLDEN'] === '1')
    writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`);
  expect(document).toEqual(JSON.parse(readFileSync(file, 'utf8')));
}

/** Keywords that draft-07 does not have, and those that cannot stand inside an AsyncAPI document. */
const FOREIGN = ['$schema', '$id', '$defs', 'definitions', 'prefixItems', '$anchor', '$dynamicRef'];

type Json = Readonly<Record<string, unknown>>;

/** Each rule of AsyncAPI 3.1 that a document breaks, as a line of text. */
export function rulesBroken(document: AsyncApiDocument): string[] {
  const broken: string[] = [];
  const rule = (isKept: boolean, text: string): void => {
    if (!isKept) broken.push(text);
  };
  const { channels, operations, components, info } = document;
  rule(document.asyncapi === '3.1.0', 'the version is 3.1.0');
  rule(info.title !== '' && info.version !== '', 'info has a title and a version');
  rule(isDeepStrictJson(document), 'the document is plain JSON');

  for (const map of [channels, operations, components.schemas, components]) {
    for (const key of Object.keys(map))
      rule(/^[A-Za-z0-9._-]+$/.test(key), `the key '${key}' has only letters, digits, . _ and -`);
    const keys = Object.keys(map);
    rule(keys.join('\n') === keys.toSorted().join('\n'), `the keys ${keys.join(', ')} are sorted`);
  }
  walk(document, '#', (value, at) => {
    const { $ref } = value;
    if (typeof $ref === 'string')
      rule(resolve(document, $ref) !== undefined, `${at}: ${$ref} is there`);
    // The binding of Redis is reserved: all four objects must be empty.
    rule(!('bindings' in value), `${at} has no bindings`);
  });
  for (const [key, { address, parameters = {}, messages }] of Object.entries(channels)) {
    const inAddress = [...(address ?? '').matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
    rule(
      isDeepStrictEqual(new Set(inAddress), new Set(Object.keys(parameters))),
      `channel ${key}: the parameters are those of its address`,
    );
    for (const name of Object.keys(parameters))
      rule(/^[\w-]+$/.test(name), `channel ${key}: '${name}' may be a parameter`);
    rule(Object.keys(messages).length > 0, `channel ${key} has messages`);
    for (const [name, message] of Object.entries(messages)) {
      const headers = dereferenced(document, message.headers);
      rule(headers['type'] === 'object', `message ${name}: the headers are an object`);
      rule(isExpression(message.correlationId.location), `message ${name}: correlation id`);
    }
  }
  for (const [key, operation] of Object.entries(operations)) {
    const { channel, messages, reply } = operation;
    rule(isKeyOf(channels, channel.$ref, '#/channels/'), `${key}: its channel is a root channel`);
    rule(messages.length > 0, `${key} has messages`);
    for (const { $ref } of messages)
      rule($ref.startsWith(`${channel.$ref}/messages/`), `${key}: ${$ref} is of its channel`);
    rule(new Set(messages.map(({ $ref }) => $ref)).size === messages.length, `${key}: one twice`);
    if (reply === undefined) continue;
    rule(isKeyOf(channels, reply.channel.$ref, '#/channels/'), `${key}: the channel of its reply`);
    const target = resolve(document, reply.channel.$ref) as Json;
    if (reply.address !== undefined) {
      rule(isExpression(reply.address.location), `${key}: the location of its reply`);
      rule((target['address'] ?? null) === null, `${key}: two addresses for its reply`);
    }
    for (const { $ref } of reply.messages ?? [])
      rule($ref.startsWith(`${reply.channel.$ref}/messages/`), `${key}: ${$ref} is of its reply`);
    const kinds = (reply.messages ?? []).map(({ $ref }) => kindOf(document, $ref));
    rule(new Set(kinds).size === kinds.length, `${key}: an answer fits two of ${kinds.join(', ')}`);
  }
  for (const [name, schema] of Object.entries(components.schemas)) {
    for (const keyword of FOREIGN)
      rule(!(keyword in schema), `the schema ${name} has no ${keyword} at its root`);
  }
  return broken;
}

/** By what a receiver tells an answer from the others: its status, and the code of an error. */
function kindOf(document: AsyncApiDocument, $ref: string): string {
  const message = resolve(document, $ref) as Json;
  const { properties = {} } = dereferenced(document, message['headers']) as { properties?: Json };
  const status = (properties['redstart-status'] as Json | undefined)?.['const'] ?? 'value';
  const payload = message['payload'] as { properties?: Json };
  const code = (payload.properties?.['code'] as Json | undefined)?.['const'];
  return [status, code].filter((part) => part !== undefined).join(' ');
}

function isExpression(location: string): boolean {
  return /^\$message\.(header|payload)#(\/[^/]+)+$/.test(location);
}

function isKeyOf(map: object, $ref: string, root: string): boolean {
  return $ref.startsWith(root) && Object.hasOwn(map, $ref.slice(root.length));
}

function dereferenced(document: AsyncApiDocument, value: unknown): Json {
  const { $ref } = value as { $ref?: string };
  return ($ref === undefined ? value : resolve(document, $ref)) as Json;
}

/** What a JSON Pointer within the document points to. */
function resolve(document: AsyncApiDocument, $ref: string): unknown {
  if (!$ref.startsWith('#/')) return undefined;
  let at: unknown = document;
  for (const part of $ref.slice(2).split('/')) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Json)[key];
  }
  return at;
}

function walk(value: unknown, at: string, visit: (value: Json, at: string) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) visit(value as Json, at);
  for (const [key, child] of Object.entries(value)) walk(child, `${at}/${key}`, visit);
}

/** Whether JSON loses nothing of it, such as an undefined. */
function isDeepStrictJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value !== 'object') return false;
  return Object.values(value).every(isDeepStrictJson);
}
