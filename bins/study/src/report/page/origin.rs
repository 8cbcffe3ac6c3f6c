//! The making of a report's rows.

use super::super::formats;
use super::super::gather::Gathered;
use super::super::origin::Origin;
use crate::page::{command, download};
use jostle_common::words::{grouped, number};
use maud::{Markup, html};

/// The JSON of more points than this would be most of the page; CSV is a third of it.
const JSON_POINTS_MAX: usize = 400;
/// More seeds than this are counted, not shown.
const SEEDS_SHOWN: usize = 5;

/// Writes the last section of the page.
pub(super) fn section(gathered: &Gathered) -> Markup {
    let origin = &gathered.origin;
    html! {
        section.origin {
            h2 { "How this was made" }
            @if origin.virtual_rows > 0 {
                p {
                    "In virtual time no packet is sent and nobody waits: endpoints and network are \
                     computed, and a cell gives the same row whenever and wherever it is run."
                }
            }
            @if origin.real_rows > 0 {
                p {
                    "Rows of real time come from real sockets and a real proxy. What the proxy \
                     does to a packet follows from the seed; times vary with the machine. They \
                     mean something only if the cells did not share a processor core: run one at \
                     a time, or give each its own."
                }
            }
            p {
                "Under one seed, two protocols and two loss rates meet the same chances: a packet \
                 that is lost at a low rate is lost at every higher one. A row that failed is in \
                 no mean, and counted where it stands."
            }
            p {
                "On a linear axis a mean is the arithmetic one; its interval holds the true mean \
                 with 95% confidence if the rows are independent and roughly normal (Student, \
                 Biometrika 1908). On a logarithmic axis it is the geometric one, and its interval \
                 Student's in the logarithm (Bland and Altman, BMJ 1996;312:1079), which never \
                 reaches 0. A mean of rates hides what took long: so beside it stand the median \
                 and the tenths, between which eight tenths of all values lie (quantiles of type \
                 7, Hyndman and Fan 1996)."
            }
            p.links {
                "The points of this report: "
                (download("points.csv", "text/csv", &formats::csv(gathered), "CSV")) " "
                @if gathered.points.len() <= JSON_POINTS_MAX {
                    (download("points.json", "application/json", &points(gathered), "JSON"))
                }
            }
            dl {
                @for (name, text) in commands(gathered) { dt { (name) } dd { (command(&text)) } }
                @for (name, text) in facts(gathered) { dt { (name) } dd.num { (text) } }
            }
        }
    }
}

fn points(gathered: &Gathered) -> String {
    formats::json(gathered, None).to_string() + "\n"
}

/// Returns the commands that make the rows and the report again.
fn commands(gathered: &Gathered) -> Vec<(&'static str, String)> {
    let mut commands = Vec::new();
    commands.extend(gathered.sweep_again().map(|command| ("the rows again", command)));
    if !gathered.command.is_empty() {
        commands.push(("this report again", gathered.command.clone()));
    }
    commands
}

fn facts(gathered: &Gathered) -> Vec<(&'static str, String)> {
    let origin = &gathered.origin;
    let mut facts = vec![("rows from", gathered.sources.join(", "))];
    if !origin.seeds.is_empty() {
        let others =
            if gathered.repeats > 1 { "; those of further repeats follow from it" } else { "" };
        facts.push(("seed", format!("{}{others}", seeds(origin))));
    }
    if !origin.systems.is_empty() {
        facts.push(("system", origin.systems.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    for (name, (least, most)) in &origin.numbers {
        let text = if least == most {
            number(*least)
        } else {
            format!("{} to {}", number(*least), number(*most))
        };
        facts.push((name, text));
    }
    if !gathered.unshown.is_empty() {
        facts.push(("also measured", gathered.unshown.join(", ")));
    }
    facts.push(("report by", format!("jostle {}", env!("CARGO_PKG_VERSION"))));
    facts
}

fn seeds(origin: &Origin) -> String {
    let shown: Vec<String> = origin.seeds.iter().take(SEEDS_SHOWN).map(u64::to_string).collect();
    let more = origin.seeds.len() - shown.len();
    let rest = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}
