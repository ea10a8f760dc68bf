/** The second half of the page's script: what it shows. */
export const VIEWS = String.raw`
const LEVEL = { running: 'ok', starting: 'warn', retrying: 'warn', open: 'warn', paused: 'warn', stuck: 'warn', failed: 'bad', stopped: 'dim' };
const MEANS = { open: 'open: pauses after failures', stuck: 'stuck: a handler has run for over a minute', failed: 'failed: it has stopped' };
const can = (what) => state.actions.includes(what);
const kindOf = (kind) => h('span', { class: 'kind' }, kind);
const own = (name) => (name.startsWith(state.prefix) ? name.slice(state.prefix.length) : name);
const origin = (text) => { const at = text.indexOf(' ') + 1; return text.slice(0, at) + own(text.slice(at)); };
const statesOf = (row) => {
  const states = Object.entries(row.states);
  if (states.length === 0) return h('span', { class: 'dim' }, 'no process answers');
  return states.map(([name, count]) => h('div', { class: 'state ' + (LEVEL[name] || 'warn'), title: MEANS[name] || name }, h('span', { class: 'dot' }), h('b', {}, name), count > 1 ? ' × ' + count : ''));
};
const button = (data, text, danger) => h('button', { type: 'button', class: danger ? 'danger' : null, ...Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => ['data-' + name, value])) }, text);
const steer = (row, process) => {
  const isPaused = Object.keys(row.states).some((name) => name === 'paused');
  const isRunning = Object.keys(row.states).some((name) => name !== 'paused' && name !== 'stopped');
  const data = { kind: row.kind, name: row.name, group: row.group, process };
  const where = process ? 'in this process' : 'in ' + plural(row.processes, 'process', 'processes');
  return [
    isRunning && can('pause') && button({ ...data, do: 'pause', ask: 'Pause ' + own(row.name) + ' ' + where + '? Handlers that run go on. A process that starts later does not pause.', yes: 'Pause' }, 'Pause'),
    isPaused && can('resume') && button({ ...data, do: 'resume' }, 'Resume'),
  ];
};
const problems = () => [
  failure !== null && h('div', { class: 'box bad', role: 'alert' }, h('p', {}, h('b', { class: 'bad' }, 'No answer: '), failure), h('p', { class: 'dim' }, 'The numbers below are old. This page asks again by itself.')),
  state && state.away !== null && h('div', { class: 'box bad', role: 'alert' }, h('p', {}, h('b', { class: 'bad' }, 'Redis is away: '), state.away), h('p', { class: 'dim' }, (state.rows.length > 0 ? 'The numbers below are old. ' : '') + 'This page asks again by itself, and goes on when Redis is there.')),
  state && state.problems.length > 0 && h('div', { class: 'box' }, h('b', { class: 'warn' }, plural(state.problems.length, 'problem')), h('ul', {}, state.problems.slice(0, 20).map((text) => h('li', { class: 'name' }, text)))),
];
const cell = (label, value, more) => h('td', { 'data-l': label, ...more }, value);
const head = (...names) => h('thead', {}, h('tr', {}, names.map((name) => h('th', { scope: 'col', class: name.startsWith('#') ? 'n' : null }, name.replace('#', '')))));
const nothing = (text) => h('p', { class: 'dim' }, text);
const isShown = (...texts) => filter === '' || texts.join(' ').toLowerCase().includes(filter.toLowerCase());

const rowOf = (row) => h('tr', { 'data-key': keyOf(row) },
  h('td', { class: 'wide name' }, kindOf(row.kind), h('a', { href: hash({ view: 'place', ...queryOf(row) }) }, own(row.name)), row.group ? ' · group ' + row.group : '',
    h('div', { class: 'dim small' }, row.titles.join(', '), row.unknown ? ' ' + row.unknown : '')),
  cell('State', statesOf(row), { class: 'wide' }),
  cell('Waiting', number(row.waiting), { class: 'n' }),
  cell('In hand', number(row.pending !== null ? row.pending : row.processes ? row.held || row.running : null), { class: 'n' }),
  cell('Oldest', span(row.oldest) || (row.longest > 1000 ? span(row.longest) : ''), { class: 'n' }),
  cell('Handled/s', row.processes ? rate(rateOf(row)) : '?', { class: 'n' }),
  cell('Failed', row.processes ? h('span', { class: row.failed ? 'bad' : null }, h(row.failed ? 'b' : 'span', {}, number(row.failed))) : '?', { class: 'n' }),
  h('td', { class: 'wide' }, h('span', { class: 'buttons' }, steer(row))));

const overview = () => {
  const rows = state.rows.filter((row) => isShown(row.kind, row.name, row.group, row.titles.join(' '), Object.keys(row.states).join(' ')));
  const dead = state.dead.filter((one) => isShown(one.kind, one.name, one.from.join(' ')));
  const filled = dead.filter((one) => one.count !== 0), empty = dead.length - filled.length;
  const letters = filled.reduce((sum, one) => sum + (one.count || 0), 0);
  const failing = state.rows.filter((row) => row.failed > 0).length;
  return [
    h('p', { class: 'buttons' }, h('button', { type: 'button', 'data-to': 'read' }, plural(state.rows.length, 'place'), failing ? [', ', h('b', { class: 'bad' }, number(failing) + ' with failures')] : ''),
      h('button', { type: 'button', 'data-to': 'dead' }, h(letters ? 'b' : 'span', { class: letters ? 'bad' : null }, plural(letters, 'dead letter'))),
      h('button', { type: 'button', 'data-to': 'processes' }, plural(state.processes.length, 'process', 'processes'))),
    h('label', {}, 'Filter ( / )', h('input', { id: 'filter', type: 'search', autocomplete: 'off', spellcheck: 'false' })),
    h('h2', { id: 'read', tabindex: '-1' }, 'What is read'),
    rows.length === 0 ? nothing(filter ? 'Nothing fits the filter.' : 'Nothing is read here, as far as is known. A process answers where its broker has the option control.')
      : h('table', {}, head('Place', 'State', '#Waiting', '#In hand', '#Oldest', '#Handled/s', '#Failed', ''), h('tbody', {}, rows.map(rowOf))),
    h('h2', { id: 'dead', tabindex: '-1' }, 'Dead letters'),
    filled.length === 0 ? nothing('There are none' + (empty ? ' in ' + plural(empty, 'place') : '') + '.')
      : h('table', {}, head('Place', '#Letters', 'Of'), h('tbody', {}, filled.map((one) => h('tr', { 'data-key': one.kind + ' ' + one.name },
        h('td', { class: 'wide name' }, kindOf(one.kind), h('a', { href: hash({ view: 'letters', kind: one.kind, name: one.name }) }, own(one.name))),
        cell('Letters', [h('b', { class: 'bad' }, number(one.count)), one.maxlen ? h('span', { class: 'dim' }, ' of ' + number(one.maxlen)) : ''], { class: 'n' }),
        cell('Of', one.from.map(origin).join(', ') || 'found by its name', { class: 'name' }))))),
    h('h2', { id: 'processes', tabindex: '-1' }, 'Processes that answer'),
    state.processes.length === 0 ? nothing('No process answers. Give their brokers the option control: true.')
      : h('table', {}, head('Process', 'Status', '#Runs', '#Subscribers', '#Running', '#Memory'), h('tbody', {}, state.processes.map((one) => h('tr', { 'data-key': one.id },
        h('td', { class: 'wide name' }, one.host + ' · ' + one.pid),
        cell('Status', h('span', { class: { green: 'ok', yellow: 'warn', red: 'bad' }[one.status] }, h('span', { class: 'dot' }), h('b', {}, one.status))),
        cell('Runs', span(state.at - Date.parse(one.since)), { class: 'n' }),
        cell('Subscribers', number(one.total), { class: 'n' }),
        cell('Running', number(one.running), { class: 'n' }),
        cell('Memory', bytes(one.memory), { class: 'n' }))))),
    state.notes.length > 0 && h('div', { class: 'dim small' }, h('h2', {}, 'Notes'), state.notes.map((text) => h('p', { class: 'name' }, text))),
    h('p', { class: 'dim small' }, 'Failed and Handled/s: since somebody looks, of the processes that answer. Waiting, In hand and Oldest: of Redis. ? means that nobody knows.'),
  ];
};

const messageOf = (key, summary, message, more) => h('details', { 'data-key': key }, h('summary', {}, summary), more,
  message.headers.length > 0 && h('table', {}, head('Header', 'Value'), h('tbody', {}, message.headers.map(([name, value]) => h('tr', {}, h('td', { class: 'name' }, name), h('td', { class: 'name' }, value))))),
  h('pre', { tabindex: '0', 'aria-label': 'body' }, message.body), message.isCut && nothing('The body is longer: this is its beginning.'));
const back = (text) => [h('p', {}, h('a', { href: '#' }, '← all places')), h('h2', { class: 'name' }, text)];
const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));

const place = (where) => {
  const row = state.rows.find((one) => one.kind === where.kind && one.name === where.name && (one.group || '') === (where.group || ''));
  const title = where.kind + ' ' + own(where.name) + (where.group ? ' · group ' + where.group : '');
  const more = detail && detail.key === location.hash ? detail : {};
  const readers = state.processes.flatMap((process) => process.reads.filter((one) => one.kind === where.kind && one.name === where.name && (one.group || '') === (where.group || '')).map((one) => ({ process, one })));
  return [
    back(title),
    row && [
      row.unknown && h('p', { class: 'dim' }, row.unknown),
      row.problem && h('div', { class: 'box' }, row.problem),
      h('dl', {}, fact('Waiting', number(row.waiting)), row.pending !== null && fact('Pending', number(row.pending)), row.oldest !== null && fact('Oldest pending', span(row.oldest)), row.consumers !== null && fact('Consumers', number(row.consumers)),
        row.processes > 0 && [fact('Running', number(row.running)), fact('Handled', number(row.handled)), fact('Handled/s', rate(rateOf(row))), fact('Failed', number(row.failed)), row.longest > 0 && fact('Longest run', span(row.longest)), row.dropped > 0 && fact('Dropped', number(row.dropped))]),
      h('div', { class: 'buttons' }, steer(row)),
      row.errors.length > 0 && [h('h3', {}, 'Errors since somebody looks'), h('table', {}, head('Error', '#Times'), h('tbody', {}, row.errors.map((one) => h('tr', {}, h('td', { class: 'wide name' }, one.error), cell('Times', number(one.count), { class: 'n' })))))],
    ],
    readers.length > 0 && [h('h3', {}, 'Processes'), h('table', {}, head('Process', 'Handler', 'State', ''), h('tbody', {}, readers.map(({ process, one }) => h('tr', { 'data-key': process.id + one.title },
      h('td', { class: 'wide' }, process.host + ' · ' + process.pid), cell('Handler', one.title, { class: 'name' }), cell('State', statesOf({ states: { [one.state]: 1 } })),
      h('td', { class: 'wide' }, h('span', { class: 'buttons' }, steer({ ...one, states: { [one.state]: 1 }, processes: 1 }, process.id)))))))],
    more.error && h('div', { class: 'box bad' }, more.error),
    more.group && more.group.consumers && more.group.consumers.length > 0 && [h('h3', {}, 'Consumers in Redis'), more.group.parked > 0 && nothing(plural(more.group.parked, 'entry', 'entries') + ' wait on the server for their next delivery.'),
      h('table', {}, head('Consumer', '#Pending', '#Silent for'), h('tbody', {}, more.group.consumers.map((one) => h('tr', {}, h('td', { class: 'wide name' }, one.name), cell('Pending', number(one.pending), { class: 'n' }), cell('Silent for', span(one.idle), { class: 'n' })))))],
    more.group && more.group.pending && more.group.pending.length > 0 && [h('h3', {}, 'Oldest pending entries'),
      h('table', {}, head('Entry', 'Consumer', '#Since', '#Deliveries'), h('tbody', {}, more.group.pending.map((one) => h('tr', {}, h('td', { class: 'wide' }, one.id), cell('Consumer', one.consumer, { class: 'name' }), cell('Since', span(one.idle), { class: 'n' }), cell('Deliveries', number(one.deliveries), { class: 'n' })))))],
    where.kind === 'channel' ? nothing('A channel keeps no messages.') : [
      h('h3', {}, 'Messages'),
      h('div', { class: 'buttons' }, ['newest', 'oldest'].map((one) => h('button', { type: 'button', 'data-order': one, 'aria-pressed': String((more.messages ? more.messages.order : order) === one) }, 'the ' + one))),
      more.messages === undefined ? nothing('…') : more.messages.messages.length === 0 ? nothing('It is empty.') : more.messages.messages.map((one) => messageOf(one.id, one.id + (one.size ? ' · ' + number(one.size) + ' bytes' : ''), one)),
      nothing('20 at most, read without taking them. Entries of a stream stay there after they were handled.'),
    ],
  ];
};

const letters = (where) => {
  const found = detail && detail.key === location.hash ? detail.letters : undefined;
  const title = 'Dead letters in ' + where.kind + ' ' + own(where.name);
  if (detail && detail.error) return [back(title), h('div', { class: 'box bad' }, detail.error)];
  if (!found) return [back(title), nothing('…')];
  const data = { kind: where.kind, name: where.name };
  const settle = (count, which, what) => [
    can('redrive') && button({ ...data, ...which, do: 'redrive', ask: 'Send ' + what + ' back to where ' + (count === 1 ? 'it' : 'they') + ' came from?', yes: 'Redrive' }, 'Redrive'),
    can('remove') && button({ ...data, ...which, do: 'remove', ask: 'Remove ' + what + ' for ever?', yes: 'Remove' }, 'Remove', true),
  ];
  const chosen = found.groups.find((one) => one.key === where.group);
  return [
    back(title),
    h('p', {}, plural(found.total, 'letter'), found.read < found.total ? ', of which the oldest ' + number(found.read) + ' are shown' : '', '.'),
    found.total > 0 && h('div', { class: 'buttons' }, can('redrive') && button({ ...data, all: 'yes', do: 'redrive', ask: 'Send all ' + number(found.total) + ' dead letters back to where they came from?', yes: 'Redrive' }, 'Redrive all')),
    found.groups.length > 0 && h('table', {}, head('Error', '#Letters', 'From', 'Last', ''), h('tbody', {}, found.groups.map((one) => h('tr', { 'data-key': one.key },
      h('td', { class: 'wide name' }, h('a', { href: hash({ view: 'letters', ...data, group: one.key === where.group ? null : one.key }), 'aria-current': one.key === where.group ? 'true' : null }, one.error), one.code ? h('span', { class: 'dim' }, ' ' + one.code) : ''),
      cell('Letters', h('b', {}, number(one.count)), { class: 'n' }), cell('From', one.origins.map(origin).join(', '), { class: 'name' }), cell('Last', when(one.last), { class: 'fix' }),
      h('td', { class: 'wide' }, h('span', { class: 'buttons' }, settle(one.count, { group: one.key }, one.count === 1 ? 'the dead letter of this error' : 'the ' + number(one.count) + ' dead letters of this error'))))))),
    found.omitted > 0 && nothing(plural(found.omitted, 'more error') + '.'),
    h('h3', {}, chosen ? 'The newest of: ' + chosen.error : 'The newest'),
    found.letters.map((one) => messageOf(one.id, (one.error || 'no dead letter of redstart') + ' · ' + when(one.diedAt), one, [
      h('p', { class: 'dim small' }, ['id ' + one.id, one.origin && 'from ' + origin(one.origin), one.originId && 'where it was ' + one.originId, one.group && 'group ' + one.group, plural(one.deliveries, 'delivery', 'deliveries')].filter(Boolean).join(' · ')),
      h('div', { class: 'buttons' }, settle(1, { id: one.id, mark: one.mark }, 'this dead letter')),
    ])),
  ];
};

const draw = () => {
  const live = byId('live'), away = failure !== null || (state && state.away !== null);
  live.className = away ? 'bad' : state ? 'ok' : '';
  byId('live-text').textContent = away ? 'asking again' : state ? 'live' + (state.who ? ' · ' + state.who : '') + (state.actions.length ? '' : ' · for looking only') : 'connecting';
  byId('server').textContent = state && state.server ? state.server.version + ' · ' + state.server.memory + ' · ' + plural(state.server.clients, 'client') + ' · ' + number(state.server.commands) + ' commands/s' : '';
  const where = route();
  const view = !state ? [] : where.view === 'place' ? place(where) : where.view === 'letters' ? letters(where) : state.away !== null && state.rows.length === 0 ? [] : overview();
  morph(byId('main'), h('main', { id: 'main', tabindex: '-1' }, problems(), view));
};
draw();
look();
`;
