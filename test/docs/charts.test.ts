// The charts of docs/: they must be readable in a viewer that knows no CSS, in light and in dark.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { repository } from './program.ts';

const names = readdirSync(repository('docs/charts')).filter((name) => name.endsWith('.svg'));

/** The elements of a chart, each with its attributes. */
function elementsOf(svg: string): Record<string, string>[] {
  const drawn = svg.replace(/<style>[^]*<\/style>/, '');
  return [...drawn.matchAll(/<(\w+) ([^>]*?)\/?>/g)].map(([, element = '', attributes = '']) => ({
    element,
    ...Object.fromEntries(
      [...attributes.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    ),
  }));
}

/** Of classes, in the dark. */
function darkOf(svg: string): Record<string, string> {
  const rules = svg.matchAll(/\.([\w-]+) \{ (?:fill|stroke): (#[\da-f]{6}) \}/g);
  return Object.fromEntries([...rules].map(([, name, colour]) => [name, colour]));
}

/** As WCAG counts it: 1 is none, 21 is black on white. */
function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [one, other].map(luminance).toSorted((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

describe.each(names)('docs/charts/%s', (name) => {
  const svg = readFileSync(repository(`docs/charts/${name}`), 'utf8');
  const [root, paper, ...shapes] = elementsOf(svg);
  const dark = darkOf(svg);

  it('gives each shape a colour that every viewer knows, on a paper of its own', () => {
    expect(svg).not.toMatch(/var\(|url\(|href|@import|currentColor|<script|<image/);
    const { width, height } = root ?? {};
    expect(paper).toMatchObject({ element: 'rect', class: 'paper', width, height });
    expect(shapes.length).toBeGreaterThan(10);
    const colours = shapes.map(({ fill, stroke }) => (fill === 'none' ? stroke : (fill ?? stroke)));
    expect(colours.filter((colour) => !/^#[\da-f]{6}$/.test(colour ?? ''))).toEqual([]);
  });

  it('can be read in light and in dark', () => {
    for (const { element, class: look = '', fill, stroke } of shapes) {
      // Lines behind the figures may be faint.
      const least = { text: 4.5, path: 1.2 }[element ?? ''] ?? 3;
      const light = fill === undefined || fill === 'none' ? stroke : fill;
      const found = [
        contrast(light as string, paper?.['fill'] as string),
        contrast(dark[look] as string, dark['paper'] as string),
      ];
      expect(Math.min(...found)).toBeGreaterThanOrEqual(least);
    }
  });
});

it('the charts are those that the figures in docs/benchmarks.json make', async () => {
  const { charts } = (await import(repository('test/bench/src/charts.mjs'))) as {
    charts: (results: unknown) => [string, string][];
  };
  const made = charts(JSON.parse(readFileSync(repository('docs/benchmarks.json'), 'utf8')));
  expect(made.map(([name]) => name).toSorted()).toEqual(names.toSorted());
  for (const [name, svg] of made)
    expect(readFileSync(repository(`docs/charts/${name}`), 'utf8')).toBe(svg);
});
