import type { AsyncApiDocument } from './document.ts';

/** What the form of try-it begins with. */
export interface Form {
  readonly address: string;
  /** JSON. */
  readonly body: string;
}

const STYLE = `
  :root { color-scheme: light; --fg: #111; --bg: #fff; --soft: #f6f8fa; --line: #888; }
  body { margin: 0; font-family: system-ui, sans-serif; color: var(--fg); background: var(--bg); overflow-wrap: anywhere; }
  #try { border-bottom: 1px solid var(--line); padding: 1rem 2rem; background: var(--soft); }
  #try h2 { margin: 0 0 .5rem; font-size: 1.1rem; font-weight: 600; }
  #try form { display: grid; gap: .5rem; max-width: 50rem; }
  #try label { display: grid; gap: .2rem; font-size: .85rem; }
  #try select, #try input, #try textarea { font: inherit; font-size: 1rem; padding: .3rem; width: 100%;
    box-sizing: border-box; border: 1px solid var(--line); border-radius: 3px; background: var(--bg); color: var(--fg); }
  #try textarea, pre { font-family: ui-monospace, monospace; font-size: .85rem; }
  #try button { justify-self: start; font: inherit; padding: .4rem 1rem; border: 0; border-radius: 3px;
    background: #1f6feb; color: #fff; cursor: pointer; }
  #try button:disabled { opacity: .5; }
  #answer { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 50rem; margin: .5rem 0 0; }
  #plain { padding: 1rem 2rem; }
  #plain pre { background: var(--soft); padding: .5rem; overflow: auto; }
  #plain ul { padding-left: 1.2rem; }
  @media (max-width: 600px) { #try, #plain { padding: 1rem; } }
`;

/** The component is drawn in light colours alone, so this is for the page without it. */
const DARK = `
  @media (prefers-color-scheme: dark) {
    :root { color-scheme: dark; --fg: #e6edf3; --bg: #0f1419; --soft: #1a2129; --line: #5c6874; }
    a { color: #6cb2ff; }
  }
`;

/**
 * The page. Without `@asyncapi/react-component` (`version` undefined), and until it has rendered, it
 * shows the document as plain HTML.
 */
export function htmlOf(
  document: AsyncApiDocument,
  forms: Readonly<Record<string, Form>>,
  version: string | undefined,
): string {
  const { title } = document.info;
  const ui = version === undefined ? '' : `&amp;v=${encodeURIComponent(version)}`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
${version === undefined ? '' : `<link rel="stylesheet" href="?get=style${ui}">`}
<style>${STYLE}${version === undefined ? DARK : ''}</style>
${Object.keys(forms).length === 0 ? '' : formOf(forms)}
<div id="asyncapi"></div>
${plainOf(document, version)}
${version === undefined ? '' : `<script src="?get=ui${ui}"></script>`}
<script src="?get=script"></script>
</html>
`;
}

function formOf(forms: Readonly<Record<string, Form>>): string {
  const options = Object.entries(forms).map(([key, { address, body }]) => {
    const data = `data-address="${escaped(address)}" data-body="${escaped(body)}"`;
    return `<option value="${escaped(key)}" ${data}>${escaped(key)}</option>`;
  });
  return `<section id="try">
<h2>Try it, in memory: Redis is not touched</h2>
<form>
<label>Operation <select id="operation">${options.join('')}</select></label>
<label>Address <input id="address" autocomplete="off" spellcheck="false"></label>
<label>Body (JSON) <textarea id="body" rows="5" spellcheck="false"></textarea></label>
<button id="send">Send</button>
</form>
<pre id="answer" role="status"></pre>
</section>`;
}

function plainOf(document: AsyncApiDocument, version: string | undefined): string {
  const { info, operations, channels } = document;
  const hint =
    version === undefined
      ? '<p>Install <code>@asyncapi/react-component</code> to see more than this.</p>'
      : '';
  const list = Object.entries(operations).map(([key, operation]) => {
    const channel = channels[operation.channel.$ref.replace('#/channels/', '')];
    const structure = String(channel?.['x-redstart']?.['structure'] ?? '');
    const messages = [...operation.messages, ...(operation.reply?.messages ?? [])].map(
      ({ $ref }) => {
        const [, place = '', name = ''] = /^#\/channels\/(.*)\/messages\/(.*)$/.exec($ref) ?? [];
        const payload = channels[place]?.messages[name]?.payload ?? {};
        return `<li>${escaped(name)}<pre>${escaped(JSON.stringify(payload, null, 2))}</pre></li>`;
      },
    );
    return `<h2>${escaped(operation.title ?? key)}</h2>
<p>${operation.action} ${escaped(structure)} <code>${escaped(channel?.address ?? '')}</code></p>
${operation.description === undefined ? '' : `<p>${escaped(operation.description)}</p>`}
<ul>${messages.join('')}</ul>`;
  });
  return `<div id="plain">
<h1>${escaped(info.title)} ${escaped(info.version)}</h1>
${hint}<p><a href="?get=document">The document as JSON</a></p>
${list.join('\n')}
</div>`;
}

function escaped(text: string): string {
  const names: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => names[character] as string);
}
