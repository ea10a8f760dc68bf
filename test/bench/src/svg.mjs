// Bars and lines as SVG: one file for light and dark. Colours and fonts are attributes of each shape, so that
// viewers that know no CSS draw it, too, on a paper of its own; the style sheet has what differs in the dark.

export const WIDTH = 760;
export const MARGIN = 20;
const LABEL = 230;
/** Room for the figure behind the longest bar. */
const FIGURE = 110;
const BAR = 15;
const STEP = 21;

/** What each look is made of. A chart is drawn by these where nobody reads its style sheet. */
const LOOKS = {
  title: { 'font-size': 16, 'font-weight': 600 },
  strong: { 'font-weight': 600 },
  end: { 'text-anchor': 'end' },
  middle: { 'text-anchor': 'middle' },
  faint: { 'fill-opacity': 0.55 },
  fainter: { 'fill-opacity': 0.28 },
  paper: { fill: '#ffffff' },
  ink: { fill: '#1f2328' },
  soft: { fill: '#59636e' },
  own: { fill: '#c2410c' },
  floor: { fill: '#57606a' },
  peer: { fill: '#8c959f' },
  rule: { stroke: '#d1d9e0', 'stroke-width': 1 },
  'own-line': { fill: 'none', stroke: '#c2410c', 'stroke-width': 2.5 },
  'floor-line': { fill: 'none', stroke: '#57606a', 'stroke-width': 2.5 },
  'peer-line': { fill: 'none', stroke: '#8c959f', 'stroke-width': 2.5 },
  second: { fill: '#8250df' },
  third: { fill: '#1a7f37' },
  fourth: { fill: '#0969da' },
  'second-line': { fill: 'none', stroke: '#8250df', 'stroke-width': 2 },
  'third-line': { fill: 'none', stroke: '#1a7f37', 'stroke-width': 2 },
  'fourth-line': { fill: 'none', stroke: '#0969da', 'stroke-width': 2 },
  dashed: { 'stroke-dasharray': '5 4' },
};

const DARK = `
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .rule { stroke: #3d444d }
    .own { fill: #fb923c } .floor { fill: #b1bac4 } .peer { fill: #6e7681 }
    .own-line { stroke: #fb923c } .floor-line { stroke: #b1bac4 } .peer-line { stroke: #6e7681 }
    .second { fill: #bc8cff } .third { fill: #3fb950 } .fourth { fill: #58a6ff }
    .second-line { stroke: #bc8cff } .third-line { stroke: #3fb950 } .fourth-line { stroke: #58a6ff }
  }`;

/** The attributes of a shape: `soft end`. A look that has a colour is a class, too, for the dark. */
export function drawn(look) {
  const names = look.trim().split(/\s+/);
  const attributes = Object.assign({}, ...names.map((name) => LOOKS[name]));
  const coloured = names.filter((name) => LOOKS[name].fill ?? LOOKS[name].stroke);
  const all = { class: coloured.join(' '), ...attributes };
  return Object.entries(all)
    .map(([name, value]) => `${name}="${value}"`)
    .join(' ');
}

const SHADES = ['', 'faint', 'fainter'];

/**
 * `groups`: `{ label, bars: [{ label, look, values, figure }] }`. Values of one bar lie end to end;
 * `legend` names them. `look` is `own`, `floor` or `peer`.
 */
export function bars({ title, subtitle, legend = [], groups }) {
  const longest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ values }) => sum(values))));
  const scale = (WIDTH - 2 * MARGIN - LABEL - FIGURE) / longest;
  const left = MARGIN + LABEL;
  const parts = head(title, subtitle);
  let y = 74;
  let x = left;
  for (const [i, name] of legend.entries()) {
    parts.push(rect(x, y - 10, 11, 11, `own ${SHADES[i]}`), text(x + 16, y, name, 'soft'));
    x += 34 + 7 * name.length;
  }
  if (legend.length > 0) y += 26;
  for (const group of groups) {
    parts.push(text(MARGIN, y, group.label, 'strong'));
    y += 10;
    for (const { label, look, values, figure } of group.bars) {
      const middle = y + BAR - 3;
      const strong = look === 'own' ? ' strong' : '';
      parts.push(text(left - 10, middle, label, `end${strong}`));
      let at = left;
      for (const [i, value] of values.entries()) {
        const width = Math.max(1, value * scale);
        parts.push(rect(at, y, width, BAR, `${look} ${SHADES[i]}`));
        at += width;
      }
      parts.push(text(at + 8, middle, figure, strong));
      y += STEP;
    }
    y += 20;
  }
  return document(title, y - 6, parts);
}

/** `series`: `{ label, look, values }`, one value for each of `steps`; the x axis takes them evenly. */
export function lines({ title, subtitle, steps, axis, figure, series }) {
  const [top, bottom, left, right] = [84, 300, MARGIN + 60, WIDTH - MARGIN - 220];
  const highest = Math.max(...series.flatMap(({ values }) => values));
  const x = (i) => left + ((right - left) * i) / (steps.length - 1);
  const y = (value) => bottom - ((bottom - top) * value) / highest;
  const parts = head(title, subtitle);
  for (const share of [0, 0.5, 1]) {
    const at = y(share * highest);
    parts.push(`<path ${drawn('rule')} d="M${left} ${at}H${right}"/>`);
    parts.push(text(left - 8, at + 4, figure(share * highest), 'soft end'));
  }
  for (const [i, step] of steps.entries())
    parts.push(text(x(i), bottom + 20, String(step), 'soft middle'));
  parts.push(text((left + right) / 2, bottom + 42, axis, 'soft middle'));
  const ends = spread(series.map(({ values }) => y(values.at(-1))));
  for (const [i, { label, look, values }] of series.entries()) {
    const points = values.map((value, step) => `${fixed(x(step))},${fixed(y(value))}`).join(' ');
    parts.push(`<polyline ${drawn(`${look}-line`)} points="${points}"/>`);
    for (const [step, value] of values.entries())
      parts.push(`<circle ${drawn(look)} cx="${fixed(x(step))}" cy="${fixed(y(value))}" r="3.5"/>`);
    const strong = look === 'own' ? 'strong' : '';
    parts.push(text(right + 12, ends[i] + 4, `${label}: ${figure(values.at(-1))}`, strong));
  }
  return document(title, bottom + 60, parts);
}

/** Moves labels that would lie on each other apart. */
function spread(heights) {
  const order = heights.map((_, i) => i).sort((a, b) => heights[b] - heights[a]);
  const moved = [...heights];
  for (let i = 1; i < order.length; i++)
    moved[order[i]] = Math.min(moved[order[i]], moved[order[i - 1]] - 18);
  return moved;
}

export function head(title, subtitle) {
  return [text(MARGIN, 30, title, 'title'), text(MARGIN, 50, subtitle, 'soft')];
}

export function document(title, height, parts) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${fixed(height)}" width="${WIDTH}" height="${fixed(height)}" font-family="system-ui, -apple-system, 'Segoe UI', sans-serif" font-size="13" role="img" aria-label="${escape(title)}">`,
    `<style>${DARK}\n</style>`,
    `<rect ${drawn('paper')} width="${WIDTH}" height="${fixed(height)}" rx="6"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

export const fixed = (value) => Number(value.toFixed(1));
const sum = (values) => values.reduce((total, value) => total + value, 0);
const escape = (content) =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
/** In ink, unless its look is another colour. */
export const text = (x, y, content, look = '') => {
  const all = /\bsoft\b/.test(look) ? look : `ink ${look}`;
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${drawn(all)}>${escape(content)}</text>`;
};
const rect = (x, y, width, height, look) =>
  `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(width)}" height="${height}" rx="2" ${drawn(look)}/>`;
