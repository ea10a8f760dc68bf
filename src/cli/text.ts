import { visible } from '../internal/visible.ts';

/** Columns that are as wide as their widest text, with `gap` between them. Those with numbers stand at the right. */
export function columns(
  rows: readonly (readonly (string | number | undefined)[])[],
  gap = '  ',
): string[] {
  const texts = rows.map((row) => row.map((cell) => visible(String(cell ?? ''))));
  const widths = (texts[0] ?? []).map((_, i) =>
    Math.max(...texts.map((row) => widthOf(row[i] ?? ''))),
  );
  const hasNumbers = widths.map((_, i) => rows.some((row) => typeof row[i] === 'number'));
  return texts.map((row) => {
    const cells = row.map((cell, i) => {
      const blanks = ' '.repeat((widths[i] as number) - widthOf(cell));
      return hasNumbers[i] === true ? blanks + cell : cell + blanks;
    });
    return cells.join(gap).trimEnd();
  });
}

const SEGMENTS = new Intl.Segmenter();

/** What takes the room of two letters: Chinese, Japanese, Korean, most pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** The beginning of a text, `width` columns at most. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let beginning = '';
  let left = width - 1;
  for (const { segment } of SEGMENTS.segment(text)) {
    left -= WIDE.test(segment) ? 2 : 1;
    if (left < 0) break;
    beginning += segment;
  }
  return width < 1 ? '' : `${beginning}…`;
}

/** The same without the middle of the text: names differ at their ends. */
export function cutInside(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let end = '';
  let left = Math.floor((width - 1) / 2);
  for (const { segment } of [...SEGMENTS.segment(text)].toReversed()) {
    left -= widthOf(segment);
    if (left < 0) break;
    end = segment + end;
  }
  return cut(text, width - widthOf(end)) + end;
}

/** The columns of a terminal that a text takes. */
export function widthOf(text: string): number {
  // The usual case, quickly.
  if (/^[\u0020-\u02ff]*$/.test(text)) return text.length;
  let length = 0;
  for (const { segment } of SEGMENTS.segment(text)) length += WIDE.test(segment) ? 2 : 1;
  return length;
}
