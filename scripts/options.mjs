// `node scripts/options.mjs` writes docs/guide/options.md: every option with its type, its default and its effect, as
// the comments of the public types say. With `--check` it fails where the page is not current.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'oxc-parser';

const PAGE = 'docs/guide/options.md';

/** The page, section by section. A name stands for the members of that type, without those of types it extends. */
const SECTIONS = [
  {
    title: 'Broker',
    text: '`new RedisBroker(connection, options)`. It also takes every option of the next section.',
    types: ['BrokerOptions'],
    nested: { rpc: 'RpcDefaults', answers: 'AnswersOptions' },
  },
  {
    title: 'Brokers and routers',
    text: 'These are for all subscribers under the broker or the router (`new RedisRouter(options)`). The value of a subscriber wins, then that of the nearest router. They also take the options of [failed messages](#failed-messages).',
    types: ['RouterOptions'],
  },
  {
    title: 'Every subscriber',
    text: '`@subscriber(address)`, `@subscriber(address, options)` and `broker.subscriber(address, options, handler)`. You may put options into the address, or give them separately.',
    types: ['HandlingOptions', 'HandlerOptions', 'SubscriberOptions'],
  },
  {
    title: 'Subscribers of a channel',
    types: ['ChannelAddress', 'ChannelOptions'],
  },
  {
    title: 'Subscribers of a list',
    text: 'A list with `reliable: true` also takes the options of [failed messages](#failed-messages). `once` needs `reliable: true`, too.',
    types: ['AnyListAddress', 'ListOptions', 'BatchOptions', 'RatedOptions', 'OnceOptions'],
    nested: { rate: 'RateOptions' },
  },
  {
    title: 'Subscribers of a stream',
    text: 'With a `group`, it also takes the options of the next section, and those of [failed messages](#failed-messages).',
    types: ['AnyStreamAddress', 'StreamOptions', 'BatchOptions'],
  },
  {
    title: 'Subscribers of a group',
    types: ['GroupOptions', 'RatedOptions', 'OnceOptions'],
    nested: { claim: 'ClaimOptions', rate: 'RateOptions' },
  },
  {
    title: 'Failed messages',
    text: 'For groups and reliable lists. Brokers and routers take them, too. [Retries and dead letters](retries.md) explains them.',
    types: ['DeliveryOptions'],
    nested: { retry: 'RetryOptions', deadLetter: 'DeadLetterAddress', pause: 'PauseOptions' },
  },
  {
    title: 'Destinations',
    text: 'Every method that sends takes one of `channel`, `list` and `stream`.',
    types: ['ChannelDestination', 'ListDestination', 'StreamDestination'],
  },
  {
    title: 'publish',
    text: '`broker.publish(body, { list: … , …options })`, or beside a contract: `broker.publish(body, contract, options)`.',
    types: [
      'MessageOptions',
      'KeyedOptions',
      'IdOptions',
      'TimeOptions',
      'SendLimits',
      'PublishOptions',
    ],
  },
  {
    title: 'Calls',
    text: '`publish` with `rpc: true`, and `request`. They also take `headers`, `correlationId` and `key`.',
    types: ['RpcOptions', 'CallOptions', 'CallIdOptions'],
  },
  {
    title: 'broker.answer',
    text: '`broker.answer(id, destination or contract, options)` takes `timeout` and `signal` of a call.',
    types: ['AskedPlace'],
  },
  {
    title: 'requestMany',
    text: 'It also takes `headers`, `correlationId` and `key`.',
    types: ['RequestManyOptions'],
  },
  {
    title: 'gather',
    text: 'It also takes `headers` and `correlationId`.',
    types: ['GatherOptions'],
  },
  {
    title: 'publishBatch',
    text: 'It also takes `headers`, `correlationId`, `replyTo`, `idWindow`, `delay`, `at` and `expires`, for all messages of the batch.',
    types: ['BatchedOptions'],
  },
  {
    title: 'Pipelines',
    text: '`broker.pipeline(options)`. Its `publish` takes the options of `publishBatch`, and `id` as a text, too.',
    types: ['PublishPipelineOptions', 'PipelinedOptions'],
  },
  {
    title: 'Publishers',
    text: '`broker.publisher(destination, options)` and `@publisher(destination, options)`.',
    types: ['PublisherOptions'],
  },
  {
    title: 'Contracts',
    text: '`rpc(address, definition)`. The address of a contract takes every option of its kind, also those of a group and of [failed messages](#failed-messages) except `pause`, and `concurrency`, `ordered`, `ackPolicy`, `errorPolicy`, `replies`, `title` and `description`. These are given only at the subscriber: `timeout`, `pause`, `filter`, `middlewares`, `onError`, `inject`, `codec` and `format`.',
    types: ['RpcDefinition'],
  },
  { title: 'Events', text: '`event(address, definition)`.', types: ['EventDefinition'] },
  {
    title: 'Answers',
    text: '`new Response(body, options)`; `new RedisResponse(body, options)` also takes `maxlen`.',
    types: ['ResponseOptions', 'RedisResponseOptions'],
  },
  { title: 'ctx.nack', text: '`ctx.nack(options)`.', types: ['NackOptions'] },
  {
    title: 'every',
    text: '`broker.every(milliseconds or cron, options)`, with a destination among them.',
    types: ['Series'],
  },
  {
    title: 'Dead letters',
    text: '`broker.deadLetters(address)`: `list` takes all of these, `redrive` and `remove` take `error` and `ids`.',
    types: ['DeadLetterChoice', 'DeadLetterPage'],
  },
  {
    title: 'Delayed messages',
    text: '`broker.delayed(address).list(options)`.',
    types: ['DelayedPage'],
  },
  {
    title: 'The fleet',
    text: '`broker.fleet.status(options)`, `pause` and `resume`.',
    types: ['FleetOptions', 'FleetChoice'],
  },
  { title: 'createApp', text: '`createApp(broker, options)`.', types: ['AppOptions'] },
  { title: 'app.run', text: '`app.run(options)`.', types: ['RunOptions'] },
  {
    title: 'testContext',
    text: '`testContext(body, options)` from `redstart/testing`. `testBroker` has no options.',
    types: ['TestContextOptions'],
  },
  {
    title: 'metrics',
    text: '`metrics(broker, options)` from `redstart/metrics`.',
    types: ['MetricsOptions'],
  },
  {
    title: 'telemetry',
    text: '`telemetry(options)` from `redstart/otel`.',
    types: ['TelemetryOptions'],
  },
  {
    title: 'asyncapi',
    text: '`asyncapi(broker, options)` from `redstart/asyncapi`; `asyncapiPage` also takes `tryIt`.',
    types: ['AsyncApiOptions', 'AsyncApiPageOptions'],
  },
  {
    title: 'dashboard',
    text: '`dashboard(broker, options)` from `redstart/dashboard`.',
    types: ['DashboardOptions'],
  },
  {
    title: 'Fastify',
    text: 'The plugin of `redstart/fastify` also takes every option of a broker.',
    types: ['RedstartPluginOptions'],
  },
  {
    title: 'NestJS',
    text: '`RedstartModule.forRoot(options)` of `redstart/nestjs` also takes every option of a broker. `forRootAsync` takes `imports`, `inject` and `useFactory`.',
    types: ['RedstartBrokerOptions', 'ModuleOptions'],
  },
  {
    title: 'RedstartHealthIndicator',
    text: '`isHealthy(key, options)` of `redstart/nestjs`.',
    types: ['HealthOptions'],
  },
];

/** Every interface and type of src by its name, with the text that it is in. */
function declarations() {
  const found = new Map();
  for (const name of readdirSync('src', { recursive: true })) {
    if (!name.endsWith('.ts')) continue;
    const source = readFileSync(join('src', name), 'utf8');
    const { program, comments } = parseSync(name, source);
    for (const statement of program.body) {
      const node = statement.declaration ?? statement;
      if (!/^TS(Interface|TypeAlias)Declaration$/.test(node.type)) continue;
      // A name that two files use is an option's where it is exported.
      if (found.has(node.id.name) && statement.type !== 'ExportNamedDeclaration') continue;
      found.set(node.id.name, { node, source, comments });
    }
  }
  return found;
}

/** The members of an interface, or of the object types in a type alias. */
function membersOf(node) {
  if (node.type === 'TSInterfaceDeclaration') return node.body.body;
  const within = (type) =>
    type.type === 'TSTypeLiteral' ? type.members : (type.types ?? []).flatMap(within);
  return within(node.typeAnnotation);
}

/** What is written instead of a type's parameters. */
const PARAMETERS = {
  ...{ S: 'Schema', R: 'Schema', Request: 'Schema', Reply: 'Schema', Errors: 'ErrorSchemas' },
  ...{ B: 'boolean', Many: 'boolean', I: 'Injections', Id: 'string' },
  ...{ When: 'number | Date', 'When extends Date ? never : When': 'number' },
  ...{ "[Id] extends [never] ? Mistake<\"'idWindow' needs 'id'\"> : number": 'number' },
};

/** The type as the page shows it; undefined for a member that is no option here. */
function typeOf({ typeAnnotation }, source) {
  const type = typeAnnotation.typeAnnotation;
  const text = (node) => source.slice(node.start, node.end).replace(/\s+/g, ' ');
  const parts = (type.type === 'TSUnionType' ? type.types : [type]).map(text);
  const kept = parts.filter((part) => !/^(\| )?(Mistake<|never$|undefined$)/.test(part));
  if (kept.length === 0) return undefined;
  return kept.map((part) => PARAMETERS[part] ?? part).join(' | ');
}

/** The text of the comment that stands right before a member. */
function commentOf({ start }, { source, comments }) {
  const last = comments.findLast(({ end }) => end <= start);
  if (last === undefined || !last.value.startsWith('*')) return undefined;
  if (source.slice(last.end, start).trim() !== '') return undefined;
  const lines = last.value.slice(1).split('\n');
  const text = lines.map((line) => line.replace(/^\s*\* ?/, '').trim()).join(' ');
  return text.replace(/\{@link ([^}]+)\}/g, '`$1`').trim();
}

const SENTENCE = /Default(?: is)?:? ((?:`[^`]*`|\([^)]*\)|[^.`]|\.(?! |$))*)\.(?: |$)/;

/** The rows of a type: name, type, default and effect of each option. */
function rowsOf(name, found, prefix = '') {
  const declared = found.get(name);
  if (declared === undefined) throw new Error(`${PAGE}: there is no type ${name}`);
  return membersOf(declared.node).flatMap((member) => {
    const type = typeOf(member, declared.source);
    if (type === undefined || member.key === undefined) return [];
    const option = `${prefix}${member.key.name}`;
    const comment = commentOf(member, declared);
    if (comment === undefined) throw new Error(`${name}.${option} has no comment`);
    const fallback = SENTENCE.exec(comment)?.[1] ?? (member.optional ? undefined : 'required');
    if (fallback === undefined) throw new Error(`${name}.${option}: the comment has no default`);
    const effect = comment.replace(SENTENCE, '').trim();
    return [{ option, type, fallback, effect }];
  });
}

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('{{', '{ {');

function sectionOf({ title, text, types, nested = {} }, found) {
  const rows = types
    .flatMap((name) => rowsOf(name, found))
    .flatMap((row) => [
      row,
      ...(nested[row.option] ? rowsOf(nested[row.option], found, `${row.option}.`) : []),
    ]);
  const names = new Set();
  const lines = rows
    .filter(({ option }) => !names.has(option) && names.add(option))
    .map(
      ({ option, type, fallback, effect }) =>
        `| \`${option}\` | \`${cell(type)}\` | ${cell(fallback)} | ${cell(effect)} |`,
    );
  return [
    `## ${title}`,
    ...(text === undefined ? [] : [text]),
    ['| option | type | default | effect |', '| --- | --- | --- | --- |', ...lines].join('\n'),
  ].join('\n\n');
}

const INTRODUCTION = `# Options

<!-- Made by \`node scripts/options.mjs\` from the comments in the source. \`npm run check\` fails if it is not current. -->

Every option, its type, its default and its effect. Times are milliseconds, sizes are bytes. An unknown
option or a wrong value is a \`SetupError\` that says what was expected.`;

/** The text of the page. Its tables are not aligned, so that a changed option is one changed line. */
function page() {
  const found = declarations();
  return `${[INTRODUCTION, ...SECTIONS.map((section) => sectionOf(section, found))].join('\n\n')}\n`;
}

const current = page();
if (!process.argv.includes('--check')) writeFileSync(PAGE, current);
else if (readFileSync(PAGE, 'utf8') !== current) {
  console.log(`${PAGE} is not current: run \`node scripts/options.mjs\` and commit what it writes`);
  process.exitCode = 1;
}
