// The site is made of docs/, which is read on GitHub, too: nothing is written twice.
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { defineConfig } from 'vitepress';
import llmstxt from 'vitepress-plugin-llms';

const docs = new URL('../../docs/', import.meta.url);
const { repository } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);
const tables = readFileSync(new URL('../tables.css', import.meta.url), 'utf8');
const source = repository?.url?.replace(/^git\+|\.git$/g, '');

/** The pages in the order of the table in docs/guide/README.md. */
function pages() {
  const text = readFileSync(new URL('guide/README.md', docs), 'utf8');
  return [...text.matchAll(/^\| \[([^\]]+)\]\(([^)#]+)\.md\)/gm)].map(([, title, path]) => ({
    text: title,
    link: `/${posix.join('guide', path)}`,
  }));
}

export default defineConfig({
  title: 'redstart',
  description: 'Messaging and calls for Node.js on Redis',
  head: [['style', {}, tables]],
  srcDir: 'src',
  outDir: '../build/site',
  cacheDir: '../build/site-cache',
  rewrites: { 'guide/README.md': 'guide/index.md' },
  cleanUrls: true,
  lastUpdated: false,
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [
      { text: 'Guide', items: pages() },
      { text: 'Reference', items: [{ text: 'All of the API', link: '/reference/' }] },
    ],
  },
  markdown: {
    config(md) {
      // Files beside docs/ are not part of the site: their links lead to the repository, where it is known.
      const { link_open: open } = md.renderer.rules;
      md.renderer.rules.link_open = (tokens, at, options, env, self) => {
        const token = tokens[at];
        const href = token.attrGet('href') ?? '';
        const page = posix.dirname(`docs/${env.relativePath ?? ''}`);
        const target = /^[a-z]+:|^\/|^#/.test(href)
          ? 'docs/'
          : posix.normalize(posix.join(page, href));
        if (!target.startsWith('docs/') || target.startsWith('docs/monitoring/')) {
          if (source === undefined) token.attrSet('href', 'https://www.npmjs.com/package/redstart');
          else token.attrSet('href', `${source}/blob/main/${target}`);
        }
        return open ? open(tokens, at, options, env, self) : self.renderToken(tokens, at, options);
      };
    },
  },
  vite: { plugins: [llmstxt()] },
});
