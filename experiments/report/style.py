"""How the HTML report looks: one column, wide tables and figures scroll by themselves, light or dark."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: nothing is fetched, no script runs."""

CSS = """
:root {
  --back: #ffffff; --text: #1c2024; --soft: #60646c; --line: #d9d9e0; --card: #f6f7f9; --mark: #1f5fa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14161a; --text: #e6e8eb; --soft: #a0a6ad; --line: #363b42; --card: #1d2025; --mark: #8cbcf2;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 4rem; max-width: 76rem;
  background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: clamp(1.4rem, 1rem + 2vw, 2rem); line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; white-space: pre-line; }
a { color: var(--mark); }
.facts { margin: 0 0 .8rem; color: var(--soft); font-size: .875rem; }
.facts span { display: inline-block; margin-right: 1.1rem; }
.facts b { font-weight: 500; color: var(--text); }
nav a { display: inline-block; margin: 0 1rem .3rem 0; padding: .25rem 0; }
#asked p { max-width: 46rem; }
p.lines { max-width: 60rem; }
p.lines span { display: block; white-space: pre-wrap; padding-left: 1.2em; text-indent: -1.2em; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .8125rem; }
pre, .scroll { overflow: auto; border: 1px solid var(--line); border-radius: .5rem; }
pre { margin: .8rem 0; padding: .8rem 1rem; background: var(--card); line-height: 1.45; }
.scroll { max-height: 80vh; margin: .8rem 0; }
table { border-collapse: separate; border-spacing: 0; font-size: .8125rem; min-width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); background: var(--back); }
th { position: sticky; top: 0; background: var(--card); font-weight: 600; z-index: 1; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; }
th:first-child { z-index: 2; }
tbody tr:last-child td { border-bottom: 0; }
th.words, td.words { text-align: left; white-space: normal; }
td.words { min-width: 6.5rem; }
td.long { min-width: 18rem; }
#versions td { text-align: left; }
figure { margin: 1.2rem 0 2rem; }
figure .scroll { background: #ffffff; padding: .5rem; margin: 0; max-height: none; }
figure img { display: block; margin: 0 auto; width: var(--shown, auto); max-width: 100%; height: auto; }
figcaption { margin-top: .4rem; color: var(--soft); font-size: .875rem; }
@media (max-width: 44rem) {
  figure img { max-width: none; width: max(100%, min(var(--shown, 100%), 44rem)); }
  td:first-child, th:first-child { max-width: 42vw; white-space: normal; }
}
@media print {
  .scroll { max-height: none; overflow: visible; border: 0; }
  th, td { white-space: normal; position: static; padding: .15rem .3rem; font-size: .6rem; }
  pre { white-space: pre-wrap; }
}
"""
