//! What all reports look like: one stylesheet, and the parts that pages are made of.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use thumbnet_trainer::error::visible;

use super::chart::{Chart, GRID, INK, Series, color};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2127; --soft-ink: #5b6570; --ground: #fff; --line: #d8dde3; --soft: #f3f5f7; --bar: #3b82c4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7eb; --soft-ink: #9aa5b1; --ground: #15181c; --line: #363d45; --soft: #1f242a; --bar: #4f97d9; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--ground); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { max-width: 60rem; }
table { display: block; overflow-x: auto; width: max-content; max-width: 100%; margin: .6rem 0; border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
td:first-child { overflow-wrap: break-word; max-width: 20rem; }
@media (max-width: 40rem) { th, td { padding: .25rem .4rem; font-size: .9rem; } td:first-child { max-width: 12rem; } }
th { font-weight: 600; background: var(--soft); }
td.count { text-align: center; background: color-mix(in srgb, var(--bar) var(--share), transparent); }
svg { display: block; } rect.all { fill: var(--line); } rect.part { fill: var(--bar); } rect.less { fill: #c2554d; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.3rem; }
.note, .card span, figcaption span { color: var(--soft-ink); font-size: .9rem; }
.figures { display: grid; margin: .8rem 0; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; } figure svg { width: 100%; height: auto; max-width: 30rem; }
figcaption { font-weight: 600; } figcaption span { font-weight: 400; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: .9rem; margin: 0; padding: 0; list-style: none; }
.legend i { display: inline-block; width: .9rem; height: .25rem; vertical-align: middle; margin-right: .35rem; border-radius: .1rem; }
";

/// One self-contained page; control characters of names are made visible, all else of them is text.
pub fn page(title: &str, body: &Markup) -> String {
    let title = visible(title);
    // Charts are drawn for a light ground; the colours of their lines and texts follow the page.
    let follow = format!(
        "figure [fill=\"{INK}\"] {{ fill: var(--soft-ink); }} figure [stroke=\"{INK}\"] {{ stroke: var(--soft-ink); }} figure [stroke=\"{GRID}\"] {{ stroke: var(--line); }}\n"
    );
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(follow)) }
            }
            body {
                h1 { (title) }
                (body)
            }
        }
    }
    .into_string()
}

pub fn card(value: &str, text: &str) -> Markup {
    html! { div.card { b { (value) } span { (text) } } }
}

/// A bar for a share from -1 to 1; red below 0.
pub fn bar(share: f64) -> Markup {
    let width = format!("{:.1}", 120.0 * share.abs().clamp(0.0, 1.0));
    let class = if share < 0.0 { "less" } else { "part" };
    html! {
        svg width="120" height="10" role="presentation" {
            rect.all width="120" height="10" rx="2" {}
            rect class=(class) width=(width) height="10" rx="2" {}
        }
    }
}

/// A table with a line for each row.
pub fn table(head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table {
            tr { @for cell in head { th { (cell) } } }
            @for row in rows { tr { @for cell in row { td { (cell) } } } }
        }
    }
}

/// Text as a cell.
pub fn cell(text: &str) -> Markup {
    html! { (visible(text)) }
}

/// A chart under its name, with the names of its series where there are several.
pub fn figure(name: &str, note: &str, chart: &Chart) -> Markup {
    let named = |series: &&Series| !series.name.is_empty();
    html! {
        figure {
            figcaption { (visible(name)) @if !note.is_empty() { " " span { (visible(note)) } } }
            @if chart.series.iter().any(|series| named(&series)) {
                ul.legend {
                    @for series in chart.series.iter().filter(named) {
                        li { i style=(format!("background:{}", color(series.color))) {} (visible(&series.name)) }
                    }
                }
            }
            (PreEscaped(chart.svg(&visible(name))))
        }
    }
}

/// Four places, or an exponent where those say nothing.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.001..100_000.0 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
