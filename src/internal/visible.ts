/** Characters that a terminal obeys, or that change the order of what is shown; line ends, too, where a text is one line. */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Surrogate}/gu;

/** A text from outside, for a terminal: what a terminal would obey is shown as an escape, `\u001b`. */
export function visible(text: string): string {
  return text.replaceAll(UNSAFE, escapeOf);
}

/** The same for a text of several lines. */
export function visibleLines(text: string): string {
  return text.replaceAll(UNSAFE, (character) =>
    character === '\n' || character === '\t' ? character : escapeOf(character),
  );
}

function escapeOf(character: string): string {
  return `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}`;
}
