// Many small charts of one kind in one SVG, with the same axes: the x axis is even, the y axis goes by powers of ten.
import { WIDTH, MARGIN, document, drawn, fixed, head, text } from './svg.mjs';

/** Room for the figures of the y axis, between two panels, and for what is below and above each. */
const [FIGURES, GAP, BELOW, ABOVE] = [58, 76, 26, 34];
const HEIGHT = 130;

/**
 * `panels`: `{ label, series: [{ look, dashed, points: [[x, y]] }] }`, so many in a row. `figures` make axes readable.
 * All have the same axes, so that one can be compared with the next.
 */
export function panels({ title, subtitle, axis, legend, columns, figures, panels: all }) {
  const points = all.flatMap(({ series }) => series.flatMap((one) => one.points));
  const highestX = roundUp(Math.max(...points.map(([x]) => x)));
  const powers = points.map(([, y]) => Math.log10(y));
  const [low, high] = [Math.floor(Math.min(...powers)), Math.ceil(Math.max(...powers))];
  const width = (WIDTH - 2 * MARGIN - FIGURES - GAP * (columns - 1)) / columns;
  const parts = head(title, subtitle);
  const legendEnd = drawLegend(parts, legend, 78);
  let bottom = 0;
  for (const [i, { label, series }] of all.entries()) {
    const left = MARGIN + FIGURES + (i % columns) * (width + GAP);
    const top = legendEnd + ABOVE + Math.floor(i / columns) * (HEIGHT + ABOVE + BELOW);
    bottom = top + HEIGHT;
    const x = (value) => left + (width * value) / highestX;
    const y = (value) => top + (HEIGHT * (high - Math.log10(value))) / (high - low);
    parts.push(text(left, top - 12, label, 'strong'));
    for (let power = low; power <= high; power++) {
      const at = fixed(y(10 ** power));
      parts.push(`<path ${drawn('rule')} d="M${fixed(left)} ${at}H${fixed(left + width)}"/>`);
      parts.push(text(left - 8, at + 4, figures.y(10 ** power), 'soft end'));
    }
    for (const share of [0, 0.5, 1])
      parts.push(
        text(x(share * highestX), bottom + 18, figures.x(share * highestX), 'soft middle'),
      );
    for (const { look, dashed, points: own } of series) {
      const line = own.map(([px, py]) => `${fixed(x(px))},${fixed(y(py))}`).join(' ');
      parts.push(`<polyline ${drawn(lineOf(look, dashed))} points="${line}"/>`);
      for (const [px, py] of own)
        parts.push(`<circle ${drawn(look)} cx="${fixed(x(px))}" cy="${fixed(y(py))}" r="3"/>`);
    }
  }
  parts.push(text(WIDTH / 2, bottom + 40, axis, 'soft middle'));
  return document(title, bottom + 56, parts);
}

const lineOf = (look, dashed) => `${look}-line${dashed ? ' dashed' : ''}`;

/** Wraps where a line is full; gives where the last one ends. */
function drawLegend(parts, legend, top) {
  let [x, y] = [MARGIN, top];
  for (const { label, look, dashed } of legend) {
    const width = 52 + 7 * label.length;
    if (x + width > WIDTH - MARGIN) [x, y] = [MARGIN, y + 22];
    parts.push(
      `<polyline ${drawn(lineOf(look, dashed))} points="${x},${y - 4} ${x + 26},${y - 4}"/>`,
    );
    parts.push(`<circle ${drawn(look)} cx="${x + 13}" cy="${y - 4}" r="3"/>`);
    parts.push(text(x + 34, y, label, look === 'own' ? 'strong' : ''));
    x += width;
  }
  return y;
}

/** The next number that begins with 1, 1.5, 2, 3, 4, 5, 6 or 8. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((one) => one * power >= value);
  return step * power;
}
