//! A simulation as one HTML page.

mod charts;

use super::finished::{Simulated, SimulatedLink};
use super::report;
use crate::page::{self, Figure, Key, LegendEntry, document};
use jostle_common::chance::Direction;
use jostle_common::words::{fine_percent, time};
use maud::{Markup, html};

const STYLE: &str = include_str!("page.css");

/// Draws the page.
pub(super) fn draw(simulated: &Simulated) -> String {
    let name = simulated.name.as_deref().unwrap_or("The weather of a command line");
    let body = html! {
        header {
            h1 { (name) ", simulated" }
            @if !simulated.about.is_empty() {
                p.lead { (simulated.about) }
            }
            p.soft { (report::sent(simulated)) }
        }
        div.cards { @for one in &simulated.directions { (card(one)) } }
        @for one in &simulated.directions { (section(one)) }
        (table(&simulated.directions))
        (origin(simulated))
    };
    document(&format!("{name} · jostle simulate"), STYLE, "img-src 'none'", &body)
}

/// Draws the page of a live run: a part for each route.
pub(super) fn draw_live(runs: &[Simulated], remarks: &[String]) -> String {
    let body = html! {
        @for run in runs {
            header {
                h1 { (run.name.as_deref().unwrap_or("a live run")) }
                p.soft { (report::sent(run)) }
            }
            div.cards { @for one in &run.directions { (card(one)) } }
            @for one in &run.directions { (section(one)) }
            (table(&run.directions))
        }
        h2 { "How this was made" }
        p {
            "These packets crossed a proxy; its event log tells when each came, when it went on \
             and what became of it. The delay is from a packet's arrival until it was sent, \
             lateness of the machine included. Losses in a row are counted in the order in \
             which packets came."
        }
        @for remark in remarks { p { (remark) } }
        dl {
            @if let Some(run) = runs.first() { dt { "again" } dd { (page::command(&run.command)) } }
            dt { "made by" } dd { "jostle " (env!("CARGO_PKG_VERSION")) }
        }
    };
    document("A live run · jostle report", STYLE, "img-src 'none'", &body)
}

const fn heading(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "Up: from client to server",
        Direction::Down => "Down: from server to client",
    }
}

/// Draws the three numbers that people ask for first.
fn card(one: &SimulatedLink) -> Markup {
    let mut parts = vec![match one.tally.runs().lost() {
        0 => "No packet is lost.".to_owned(),
        _ => format!(
            "{} of the packets are lost, {:.1} in a row on average.",
            fine_percent(one.loss()),
            one.tally.runs().mean()
        ),
    }];
    let quantile = |q| one.tally.delay_quantile(q).map(time);
    if let (Some(low), Some(middle), Some(high)) = (quantile(0.01), quantile(0.5), quantile(0.99)) {
        let who = if one.tally.runs().lost() == 0 { "them" } else { "the others" };
        parts.push(if low == high {
            format!("All of {who} take {middle}.")
        } else {
            format!("Half of {who} take {middle} at most; 98% are between {low} and {high}.")
        });
    }
    let order = one.tally.reordering();
    if order.reordered() > 0 {
        parts.push(format!("{} arrive behind a later one.", fine_percent(order.ratio())));
    }
    html! {
        div.card.(one.direction.name()) {
            h3 { (heading(one.direction)) }
            p { (page::unbroken(&parts.join(" "))) }
        }
    }
}

/// Draws the figures of one direction.
pub(super) fn figures(one: &SimulatedLink) -> Vec<Figure> {
    let entry = LegendEntry::new;
    let mut expected = vec![entry(Key::Column, "tone", "how often")];
    if one.expected_lengths().is_some() {
        expected.push(entry(Key::Dashes, "model", "by formula"));
    }
    let all = [
        (
            "Delay of packets",
            charts::delays(one),
            vec![entry(Key::Dot, "tone", "a packet"), entry(Key::Cross, "lost", "lost")],
        ),
        ("Losses in a row", charts::bursts(one), expected),
        (
            "Throughput",
            charts::throughput(one),
            vec![entry(Key::Line, "tone", "arrived"), entry(Key::Line, "sent", "sent")],
        ),
        (
            "Packets inside",
            charts::held(one),
            vec![entry(Key::Line, "tone", "the most of each moment")],
        ),
    ];
    let tone = match one.direction {
        Direction::Up => "--tone: var(--up)",
        Direction::Down => "--tone: var(--down)",
    };
    all.into_iter()
        .filter_map(|(title, panel, legend)| {
            Some(Figure {
                title: title.to_owned(),
                notes: Vec::new(),
                legend,
                panels: vec![(String::new(), panel?)],
                styles: vec![STYLE, tone],
            })
        })
        .collect()
}

fn section(one: &SimulatedLink) -> Markup {
    let name = one.direction.name();
    html! {
        h2.(name) { (heading(one.direction)) }
        div.charts.(name) {
            @for figure in figures(one) {
                figure.chart {
                    figcaption { b { (figure.title) } (page::legend(&figure.legend)) }
                    @for (_, panel) in &figure.panels { (panel.inline(&figure.title)) }
                    p.links { (svg_of(&figure, one.direction)) }
                }
            }
        }
    }
}

/// Draws the link to a figure as a picture of its own, whose title says which direction it is.
fn svg_of(figure: &Figure, direction: Direction) -> Markup {
    let name = figure.title.to_lowercase().replace(' ', "-");
    let title = format!("{}, {direction}", figure.title);
    let svg = Figure { title, ..figure.clone() }.svg();
    page::download(&format!("{name}-{direction}.svg"), "image/svg+xml", &svg, "SVG")
}

fn table(directions: &[SimulatedLink]) -> Markup {
    html! {
        h2 { "All numbers" }
        div.wide {
            table {
                thead { tr { th {} @for one in directions { th { (one.direction) } } } }
                tbody {
                    @for (name, cells) in report::rows(directions) {
                        tr class=[name.starts_with(' ').then_some("part")] {
                            th scope="row" { (name.trim()) }
                            @for cell in &cells { td { (page::unbroken(cell)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Writes the table of the page as comma-separated values.
fn csv(directions: &[SimulatedLink]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.trim().replace('"', "\"\""));
    let mut text = String::from("what");
    directions.iter().for_each(|one| text += &format!(",{}", one.direction));
    text.push('\n');
    for (name, cells) in report::rows(directions) {
        let cells = cells.iter().map(|cell| quoted(cell));
        let line: Vec<String> = [quoted(&name)].into_iter().chain(cells).collect();
        text += &(line.join(",") + "\n");
    }
    text
}

fn origin(simulated: &Simulated) -> Markup {
    html! {
        h2 { "How this was made" }
        p {
            "No packet was sent and no time passed: the stream went through the rules in virtual \
             time. A proxy with the same profile, seed and route name does the same to the same \
             arrivals. The delay of one packet in so many is drawn, chosen by number. Losses in a \
             row are counted in the order in which packets were sent."
        }
        p.links {
            "All numbers: "
            (page::download("simulation.csv", "text/csv", &csv(&simulated.directions), "CSV")) " "
            (page::download(
                "simulation.json", "application/json", &report::json(simulated).to_string(), "JSON",
            ))
        }
        dl {
            @if !simulated.command.is_empty() {
                dt { "again" } dd { (page::command(&simulated.command)) }
            }
            dt { "stream" } dd { (simulated.stream) }
            @if let Some(seed) = simulated.seed { dt { "seed" } dd.num { (seed) } }
            dt { "route" } dd { (simulated.route) }
            dt { "made by" } dd { "jostle " (env!("CARGO_PKG_VERSION")) }
        }
    }
}
