/** The first half of the page's script: elements, requests, what is looked at. It writes texts, never markup. */
export const SCRIPT = String.raw`
'use strict';
const EVERY = 2000;
const byId = (id) => document.getElementById(id);
/** A text of outside, with what is not seen, or turns the order of what follows, as an escape. Line ends stay. */
const UNSEEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const visible = (text) => text.replace(UNSEEN, (one) => '\\u' + one.charCodeAt(0).toString(16).padStart(4, '0'));
/** An element with attributes and children; a text is always a text node. */
const h = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  for (const child of children.flat(9))
    if (child !== undefined && child !== null && child !== false) element.append(typeof child === 'string' ? visible(child) : child);
  return element;
};
/** Makes an element like another one, and keeps what can stay: focus, selection, what is open. */
const morph = (old, next) => {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) return void old.replaceWith(next);
  if (old.nodeType === 3) return void (old.data === next.data || (old.data = next.data));
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  for (const { name, value } of [...next.attributes]) if (name !== 'value' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  const keyed = new Map([...old.childNodes].filter((child) => child.dataset && child.dataset.key).map((child) => [child.dataset.key, child]));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    const key = child.dataset && child.dataset.key;
    const same = key ? keyed.get(key) : undefined;
    if (same) {
      if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
      morph(same, child);
    } else if (!at || key || (at.dataset && at.dataset.key)) old.insertBefore(child, at);
    else { const following = at.nextSibling; morph(at, child); at = following; }
  }
  while (at) { const following = at.nextSibling; at.remove(); at = following; }
};
/** The URL of the page itself, asked for something: no path, so it works wherever it is mounted. */
const urlFor = (query) => {
  const all = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== null) all.set(name, value);
  return '?' + all;
};
const ask = async (query, method) => {
  const response = await fetch(urlFor(query), { method: method || 'GET', headers: { accept: 'application/json' }, cache: 'no-store' });
  const type = response.headers.get('content-type') || '';
  if (!type.startsWith('application/json')) throw new Error('the server answered ' + response.status);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || 'the server answered ' + response.status);
  return answer;
};
const hash = (query) => '#' + new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined));
const route = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

const number = (value) => (value === null || value === undefined ? '?' : value.toLocaleString('en'));
const rate = (value) => (value === null ? '…' : value >= 10 || value === 0 ? String(Math.round(value)) : value.toFixed(1));
const span = (ms) => {
  if (ms === null || ms === undefined) return '';
  const s = ms / 1000;
  if (s < 1) return Math.round(ms) + ' ms';
  if (s < 120) return Math.round(s) + ' s';
  if (s < 7200) return Math.round(s / 60) + ' min';
  return s < 172800 ? Math.round(s / 3600) + ' h' : Math.round(s / 86400) + ' d';
};
const bytes = (value) => (value < 1048576 ? Math.round(value / 1024) + ' KiB' : Math.round(value / 1048576) + ' MiB');
const when = (ms) => (ms ? new Date(ms).toLocaleString() : 'unknown');
const plural = (count, one, many) => number(count) + ' ' + (count === 1 ? one : many || one + 's');

/** What is known: the last state, numbers over time, what was asked for the view, what went wrong. */
let state = null, detail = null, failure = null, filter = '', order = 'newest';
const samples = new Map();
const keyOf = (row) => row.kind + ' ' + row.name + ' ' + (row.group || '');
const note = (rows, at) => {
  const there = new Set();
  for (const row of rows) {
    const key = keyOf(row), known = samples.get(key) || [];
    there.add(key);
    const last = known[known.length - 1];
    // A process has come or gone: its count is no progress.
    if (last && (row.handled < last.handled || row.processes !== last.processes)) known.length = 0;
    known.push({ at, handled: row.handled, processes: row.processes });
    if (known.length > 6) known.shift();
    samples.set(key, known);
  }
  for (const key of samples.keys()) if (!there.has(key)) samples.delete(key);
};
/** Messages a second over the last 10 s; null while that is not known. */
const rateOf = (row) => {
  const known = samples.get(keyOf(row)) || [], first = known[0], last = known[known.length - 1];
  return known.length < 2 ? null : ((last.handled - first.handled) * 1000) / Math.max(1, last.at - first.at);
};

const queryOf = ({ kind, name, group }) => ({ kind, name, group });
const loadDetail = async () => {
  const where = route();
  try {
    // Letters are many, and read only where their number has changed.
    const place = state && state.dead.find((one) => one.kind === where.kind && one.name === where.name);
    if (where.view === 'letters' && place && detail && detail.key === location.hash && detail.letters && detail.letters.total === place.count) return detail;
    if (where.view === 'letters') return { key: location.hash, letters: await ask({ view: 'letters', kind: where.kind, name: where.name, group: where.group }) };
    if (where.view !== 'place') return null;
    const wanted = {};
    if (where.kind !== 'channel') wanted.messages = ask({ view: 'messages', kind: where.kind, name: where.name, order });
    if (where.group) wanted.group = ask({ view: 'group', ...queryOf(where) });
    const [messages, group] = await Promise.all([wanted.messages, wanted.group]);
    return { key: location.hash, messages, group };
  } catch (error) {
    return { key: location.hash, error: error.message };
  }
};
let timer, round = 0;
const look = async () => {
  clearTimeout(timer);
  const own = ++round;
  try {
    const [found, more] = await Promise.all([ask({ view: 'state' }), loadDetail()]);
    if (own !== round) return;
    // While Redis is away, what was known last stays on the page.
    state = found.away !== null && state ? { ...state, away: found.away } : found;
    if (found.away === null) note(found.rows, found.at);
    detail = more;
    failure = null;
  } catch (error) {
    if (own !== round) return;
    failure = error.message;
  }
  draw();
  if (!document.hidden) timer = setTimeout(look, EVERY);
};
document.addEventListener('visibilitychange', () => { if (document.hidden) clearTimeout(timer); else look(); });

let toldTimer;
const tell = (text) => {
  clearTimeout(toldTimer);
  byId('told').textContent = visible(text);
  toldTimer = setTimeout(() => { byId('told').textContent = ''; }, 6000);
};
/** Asks the person; resolves with whether the answer was yes. */
const confirmed = (text, yes) => new Promise((resolve) => {
  const dialog = byId('ask');
  byId('ask-text').textContent = visible(text);
  byId('ask-yes').textContent = yes;
  dialog.returnValue = 'no';
  dialog.onclose = () => resolve(dialog.returnValue === 'yes');
  dialog.onclick = ({ target }) => { if (target.dataset.answer) dialog.close(target.dataset.answer); };
  dialog.showModal();
});
const act = async (button) => {
  const { do: what, kind, name, group, process, id, mark, ask: text, yes, all } = button.dataset;
  if (text && !(await confirmed(text, yes))) return;
  button.disabled = true;
  try {
    let done = 0, result;
    for (;;) {
      result = await ask({ do: what, kind, name, group, process, id, mark, all }, 'POST');
      done += result.done || 0;
      if (!result.left || !result.done) break;
      tell(number(done) + ' done, ' + number(result.left) + ' left');
    }
    if (what === 'redrive') tell(plural(done, 'message') + ' sent back to where they came from');
    else if (what === 'remove') tell(plural(done, 'dead letter') + ' removed');
    else tell((what === 'pause' ? 'Paused' : 'Resumed') + ' in ' + plural(result.processes, 'process', 'processes') + (result.problems.length ? '. ' + result.problems.join('. ') : ''));
  } catch (error) {
    tell('Refused: ' + error.message);
  }
  button.disabled = false;
  detail = null;
  await look();
};
document.addEventListener('click', (event) => {
  const button = event.target.closest && event.target.closest('button');
  if (!button) return;
  if (button.dataset.do) act(button);
  if (button.dataset.to) byId(button.dataset.to).focus();
  if (button.dataset.order) { order = button.dataset.order; look(); }
});
document.addEventListener('input', (event) => { if (event.target.id === 'filter') { filter = event.target.value; draw(); } });
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId('ask').open) return;
  const isTyping = event.target.tagName === 'INPUT';
  if (event.key === '/' && !isTyping && byId('filter')) { event.preventDefault(); byId('filter').focus(); }
  if (event.key === 'Escape') { if (isTyping) { filter = event.target.value = ''; draw(); } else if (location.hash.length > 1) location.hash = ''; }
});
addEventListener('hashchange', () => { detail = null; draw(); byId('main').focus(); scrollTo(0, 0); look(); });
`;
