//! A simulation as one HTML page.

mod charts;

use super::finished::{Simulated, SimulatedLink};
use super::report;
use crate::page::document;
use jostle_common::chance::Direction;
use jostle_common::words::{fine_percent, time};
use maud::{Markup, html};

const STYLE: &str = include_str!("page.css");

/// Draws the page.
pub(super) fn draw(simulated: &Simulated) -> String {
    let name = simulated.name.as_deref().unwrap_or("the weather of a command line");
    let body = html! {
        header {
            h1 { (name) ", simulated" }
            @if !simulated.about.is_empty() {
                p.lead { (simulated.about) }
            }
            p.soft { (report::opening(simulated)) }
        }
        div.cards { @for one in &simulated.directions { (card(one)) } }
        @for one in &simulated.directions { (section(one)) }
        (table(&simulated.directions))
        (origin(simulated))
    };
    document(&format!("{name} · jostle simulate"), STYLE, "img-src 'none'", &body)
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
            p { (parts.join(" ")) }
        }
    }
}

fn section(one: &SimulatedLink) -> Markup {
    let name = one.direction.name();
    let has_model = one.expected_lengths().is_some();
    html! {
        h2.(name) { (heading(one.direction)) }
        div.charts.(name) {
            (figure("Delay of packets", charts::delays(one), &html! {
                span { i.dot {} " a packet" } " " span { i.cross {} " lost" }
            }))
            (figure("Losses in a row", charts::bursts(one), &html! {
                span { i.bar {} " how often" }
                @if has_model { " " span { i.line.model {} " by formula" } }
            }))
            (figure("Throughput", charts::throughput(one), &html! {
                span { i.line {} " arrived" } " " span { i.line.faint {} " sent" }
            }))
            (figure("Packets inside", charts::held(one), &html! {
                span { i.line {} " the most of each moment" }
            }))
        }
    }
}

fn figure(title: &str, chart: Option<Markup>, legend: &Markup) -> Markup {
    html! {
        @if let Some(chart) = chart {
            figure.chart {
                figcaption { b { (title) } " " span.legend { (legend) } }
                (chart)
            }
        }
    }
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
                            @for cell in &cells { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
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
        dl {
            dt { "stream" } dd { (simulated.stream) }
            dt { "seed" } dd.num { (simulated.seed) }
            dt { "route" } dd { (simulated.route) }
            dt { "made by" } dd { "jostle " (env!("CARGO_PKG_VERSION")) }
        }
    }
}
