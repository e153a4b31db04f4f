"""The looks of report.html."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { --ink: #1c2733; --muted: #5b6b7b; --line: #dfe5eb; --accent: #2a6f97; --second: #d9772b; --paper: #f6f8fa; }
* { box-sizing: border-box; }
body {
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: var(--paper); margin: 0; padding: 2rem 1rem 4rem;
}
main { max-width: 68rem; margin: 0 auto; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 0 0 .2rem; }
h3 { font-size: 1rem; margin: .2rem 0 .5rem; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
.note { color: var(--muted); font-size: .92rem; }
section {
  background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 1.2rem 1.4rem 1.4rem;
  margin-top: 1.1rem;
}
.synthetic {
  background: #fff4d6; border: 1px solid #e6c35c; border-radius: 8px; padding: .5rem .9rem; display: inline-block;
}
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(5.9rem, 1fr)); gap: .7rem; margin: .8rem 0 1.1rem;
}
.tile { border-left: 4px solid var(--accent); padding: .1rem 0 .1rem .8rem; }
.tile b { display: block; font-size: 1.9rem; line-height: 1.15; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .85rem; display: block; line-height: 1.35; }
.grid {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.2rem 2rem;
  align-items: start;
}
.pair { grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
td, th {
  padding: .3rem .6rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap;
  vertical-align: top;
}
th { color: var(--muted); font-weight: 600; }
td:first-child, th:first-child { text-align: left; }
td.text, th.text { text-align: left; white-space: normal; padding-left: .8rem; min-width: 8rem; }
tr:last-child td { border-bottom: 0; }
small { color: var(--muted); }
figure { margin: 0; max-width: 30rem; }
svg { width: 100%; height: auto; display: block; font-family: inherit; }
figcaption { color: var(--muted); font-size: .9rem; }
.people { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: .25rem 2rem; }
.person { display: flex; gap: .7rem; align-items: center; font-size: .9rem; font-variant-numeric: tabular-nums; }
.person b { font-weight: 400; flex: 0 0 7.2rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.person span { flex: 0 0 2.6rem; color: var(--muted); }
.person div { display: flex; flex-wrap: wrap; gap: 2px; flex: 1; }
i { width: .72rem; height: .72rem; border-radius: 2px; background: var(--accent); display: block; }
i.wrong { background: #fff; border: 2px solid var(--second); }
.key { display: inline-flex; gap: .35rem; align-items: center; margin-right: 1.1rem; }
.gallery {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.1rem;
  margin: .3rem 0 1.2rem;
}
.clip { border: 1px solid var(--line); border-top: 4px solid var(--accent); border-radius: 6px; padding: .6rem; }
.clip.wrong { border-top-color: var(--second); }
.clip div { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem; }
.clip img { width: 100%; aspect-ratio: 1; display: block; border-radius: 3px; }
.clip small { display: block; line-height: 1.25; margin-top: .2rem; font-size: .75rem; }
.clip p { margin: .5rem 0 0; font-size: .9rem; overflow-wrap: anywhere; line-height: 1.35; }
pre {
  background: var(--paper); padding: .8rem; overflow-x: auto; font-size: .82rem; border-radius: 6px;
  max-width: 100%;
}
summary { cursor: pointer; color: var(--accent); }
@media (max-width: 34rem) { body { padding: 1.2rem .6rem 3rem; } section { padding: 1rem .9rem; } h1 { font-size: 1.4rem; }
  .tile b { font-size: 1.35rem; } .tile { padding-left: .5rem; }
  table { font-size: .82rem; } td, th { padding-right: .4rem; } }
@media print { body { background: #fff; padding: 0; } section { break-inside: avoid; } }
"""
