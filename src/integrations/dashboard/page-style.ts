/** The style of the page, light and dark, from 360 px on. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--soft:#f4f6f8;--line:#d5dbe1;--fg:#1b1f24;--dim:#57606a;--link:#0b5cad;--ok:#1a7f37;--warn:#8a5a00;--bad:#b42318}
@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--soft:#1a2129;--line:#34404c;--fg:#e6edf3;--dim:#9aa7b4;--link:#6cb2ff;--ok:#4ac26b;--warn:#e3b341;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}
header{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;align-items:baseline;padding:.7rem 1.2rem;border-bottom:1px solid var(--line)}
h1{font-size:1.1rem;margin:0}h1 a{color:inherit;text-decoration:none}
header p{margin:0;color:var(--dim)}#live{margin-left:auto}
h2{font-size:1rem;margin:1.6rem 0 .5rem;outline:none}h3{font-size:.95rem;margin:1.2rem 0 .4rem}
main{padding:.2rem 1.2rem 3rem;max-width:1400px;margin:auto;outline:none}
a{color:var(--link)}
a:focus-visible,button:focus-visible,input:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-99rem}.skip:focus{left:.5rem;top:.5rem;background:var(--bg);padding:.3rem}
.dot{display:inline-block;width:.65em;height:.65em;border-radius:50%;background:var(--dim);margin-right:.4em}
.ok .dot{background:var(--ok)}.warn .dot{background:var(--warn)}.bad .dot{background:var(--bad)}
.ok b{color:var(--ok)}.warn b,b.warn{color:var(--warn)}.bad b,b.bad{color:var(--bad)}
.dim{color:var(--dim)}.name{overflow-wrap:anywhere}.small{font-size:.86rem}
.kind{font-size:.76rem;border:1px solid var(--line);border-radius:3px;padding:0 .35em;color:var(--dim);margin-right:.4em}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;font-size:.82rem;color:var(--dim)}
th,td{padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.box{border:1px solid var(--line);border-left:4px solid var(--warn);background:var(--soft);padding:.5rem .9rem;margin:.9rem 0;border-radius:3px}
.box.bad{border-left-color:var(--bad)}.box ul{margin:.2rem 0;padding-left:1.2rem}.box p{margin:.2rem 0}
label{display:flex;gap:.5rem;align-items:center;margin-top:1rem;color:var(--dim)}
input{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--line);border-radius:4px;padding:.25rem .5rem;width:16rem;max-width:100%}
button{font:inherit;color:var(--link);background:var(--bg);border:1px solid var(--line);border-radius:4px;padding:.15rem .7rem;cursor:pointer}
button:hover{background:var(--soft)}button[aria-pressed=true]{background:var(--soft);font-weight:600}
button.danger{color:var(--bad)}
.buttons{display:flex;flex-wrap:wrap;gap:.5rem;margin:.5rem 0}td .buttons{margin:0;flex-wrap:nowrap}
.state,.fix{white-space:nowrap}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.6rem;margin:.6rem 0}
dl div{background:var(--soft);border-radius:4px;padding:.4rem .7rem}dt{font-size:.8rem;color:var(--dim)}dd{margin:0;font-size:1.1rem;font-variant-numeric:tabular-nums}
details{border:1px solid var(--line);border-radius:4px;margin:.4rem 0;padding:0 .8rem}
summary{cursor:pointer;padding:.4rem 0;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.6rem;border-radius:4px;overflow:auto;max-height:28rem;white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0}
dialog{color:var(--fg);background:var(--bg);border:1px solid var(--line);border-radius:6px;max-width:26rem;width:calc(100% - 2rem)}
dialog::backdrop{background:#0008}dialog .buttons{justify-content:flex-end}
#told{position:fixed;right:1rem;bottom:1rem;margin:0;max-width:calc(100% - 2rem);background:var(--fg);color:var(--bg);padding:.5rem .9rem;border-radius:4px}#told:empty{display:none}
@media (max-width:700px){
header,main{padding-left:.8rem;padding-right:.8rem}
thead{position:absolute;left:-99rem}
table,tbody{display:block}
tr{display:grid;grid-template-columns:1fr 1fr;gap:.1rem .8rem;padding:.6rem 0;border-bottom:1px solid var(--line)}
td{border:0;padding:0}td.n{text-align:left}td.wide[data-l]{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline}td.wide{grid-column:1/-1}td:empty{display:none}
td[data-l]::before{content:attr(data-l) ' ';color:var(--dim);font-size:.82rem}
.n,.fix{white-space:normal}label{align-items:stretch;flex-direction:column}input{width:100%}
}
@media (prefers-reduced-motion:no-preference){#told{transition:opacity .2s}}
`;
