// The docs are for somebody who reads them once and whose first language may be another one.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { repository } from './program.ts';

const documents = [
  'README.md',
  'examples/README.md',
  ...readdirSync(repository('docs'), { recursive: true }).map((file) => `docs/${String(file)}`),
].filter((file) => file.endsWith('.md'));

/** Words that stopped readers, each with the usual ones. */
const UNUSUAL: readonly [RegExp, string][] = [
  [/\bin the place of\b/i, 'instead of'],
  [/\bthere and then\b/i, 'immediately'],
  [/\bin hand\b/i, 'holds'],
  [/\bwhoever\b/i, 'everybody who'],
  [/\banew\b/i, 'again'],
  [/\bbad day\b/i, 'outage'],
  [/\bwhat is what\b/i, 'explains'],
  [/\bcan be said\b/i, 'works'],
  [/\b(has|have|had) (it|them|the \w+) (wait|come|go|run|be)\b/i, 'makes … wait'],
  [/\bas ever\b/i, 'as usual'],
  [/\bfor good\b/i, 'for ever, or leave it out'],
];

const LONGEST = 50;

/** The sentences of a page, without programs, tables and headings; `code` counts as one word. */
function sentencesOf(page: string): string[] {
  const prose = page
    .replaceAll(/^```[^]*?^```/gm, '\n')
    .replaceAll(/^(\||#|<!--).*$/gm, '\n')
    .replaceAll(/`[^`]*`/g, '`…`')
    .replaceAll(/\]\([^)]*\)/g, ']');
  const paragraphs = prose.split(/\n\s*\n|\n(?=- |\d+\. )/);
  return paragraphs.flatMap((text) =>
    text.replaceAll(/\s+/g, ' ').split(/(?<=[.!?:;]) (?=[A-Z`*[])/),
  );
}

describe.each(documents)('%s', (document) => {
  const sentences = sentencesOf(readFileSync(repository(document), 'utf8'));

  it('has short sentences', () => {
    const long = sentences.filter((sentence) => sentence.split(' ').length > LONGEST);
    expect(long).toEqual([]);
  });

  it('uses the usual words', () => {
    const found = sentences.flatMap((sentence) =>
      UNUSUAL.filter(([word]) => word.test(sentence)).map(([, usual]) => `${usual}: ${sentence}`),
    );
    expect(found).toEqual([]);
  });
});
