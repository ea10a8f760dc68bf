import { SCRIPT } from './page-script.ts';
import { STYLE } from './page-style.ts';
import { VIEWS } from './page-views.ts';

/** The whole page. What it shows it asks for itself; it loads nothing from anywhere else. */
export function page(nonce: string, title: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>${escaped(title)}</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header>
<h1><a href="#" id="home">${escaped(title)}</a></h1>
<p id="server"></p>
<p id="live" role="status"><span class="dot"></span><span id="live-text">connecting</span></p>
</header>
<main id="main" tabindex="-1"><noscript>This page needs JavaScript.</noscript></main>
<p id="told" role="status"></p>
<dialog id="ask" aria-labelledby="ask-text">
<p id="ask-text"></p>
<div class="buttons"><button type="button" data-answer="no">Cancel</button><button type="button" class="danger" data-answer="yes" id="ask-yes">Yes</button></div>
</dialog>
<script nonce="${nonce}">${SCRIPT}${VIEWS}</script>
</body>
</html>
`;
}

function escaped(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/[&<>"]/g, (character) => names[character] as string);
}
