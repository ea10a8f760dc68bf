// Bars and lines as SVG: one file for light and dark, by the reader's own colour scheme.

const WIDTH = 760;
const MARGIN = 20;
const LABEL = 230;
/** Room for the figure behind the longest bar. */
const FIGURE = 110;
const BAR = 15;
const STEP = 21;

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: var(--ink) }
  .title { font-size: 16px; font-weight: 600 }
  .soft { fill: var(--soft) }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .strong { font-weight: 600 }
  .own { fill: var(--own) } .floor { fill: var(--floor) } .peer { fill: var(--peer) }
  .faint { fill-opacity: 0.55 } .fainter { fill-opacity: 0.28 }
  .line { fill: none; stroke-width: 2.5 }
  .line.own { stroke: var(--own) } .line.floor { stroke: var(--floor) } .line.peer { stroke: var(--peer) }
  .axis { stroke: var(--rule); stroke-width: 1 }
  svg { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --rule: #d1d9e0;
        --own: #c2410c; --floor: #57606a; --peer: #a8b1bb }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #f0f6fc; --soft: #9198a1; --rule: #3d444d;
          --own: #fb923c; --floor: #8b949e; --peer: #545d68 }
  }`;
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
    parts.push(`<path class="axis" d="M${left} ${at}H${right}"/>`);
    parts.push(text(left - 8, at + 4, figure(share * highest), 'soft end'));
  }
  for (const [i, step] of steps.entries())
    parts.push(text(x(i), bottom + 20, String(step), 'soft middle'));
  parts.push(text((left + right) / 2, bottom + 42, axis, 'soft middle'));
  const ends = spread(series.map(({ values }) => y(values.at(-1))));
  for (const [i, { label, look, values }] of series.entries()) {
    const points = values.map((value, step) => `${fixed(x(step))},${fixed(y(value))}`).join(' ');
    parts.push(`<polyline class="line ${look}" points="${points}"/>`);
    for (const [step, value] of values.entries())
      parts.push(
        `<circle class="${look}" cx="${fixed(x(step))}" cy="${fixed(y(value))}" r="3.5"/>`,
      );
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

function head(title, subtitle) {
  return [text(MARGIN, 30, title, 'title'), text(MARGIN, 50, subtitle, 'soft')];
}

function document(title, height, parts) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${fixed(height)}" width="${WIDTH}" role="img" aria-label="${escape(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect width="100%" height="100%" rx="6" fill="var(--paper)"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

const fixed = (value) => Number(value.toFixed(1));
const sum = (values) => values.reduce((total, value) => total + value, 0);
const escape = (content) =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
const text = (x, y, content, look = '') =>
  `<text x="${fixed(x)}" y="${fixed(y)}" class="${look.trim()}">${escape(content)}</text>`;
const rect = (x, y, width, height, look) =>
  `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(width)}" height="${height}" rx="2" class="${look.trim()}"/>`;
