//! The making of a report's rows.

use super::super::gather::Gathered;
use super::super::origin::Origin;
use jostle_common::words::{grouped, number};
use maud::{Markup, html};

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
                 that is lost at a low rate is lost at every higher one. A mean is the arithmetic \
                 mean over the rows of a point; its interval holds the true mean with 95% \
                 confidence if they are independent and roughly normal (Student's t). A row that \
                 failed is in no mean, and counted where it stands."
            }
            dl {
                @for (name, text) in facts(gathered) { dt { (name) } dd.num { (text) } }
            }
        }
    }
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
