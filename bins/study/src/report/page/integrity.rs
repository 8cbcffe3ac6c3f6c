//! What became of chunks, requests or messages: intact, damaged or missing, as a stacked bar per
//! point.

use super::super::gather::{Arrival, Gathered, Point};
use super::names::{Names, dimensions};
use crate::page::escape;
use jostle_common::words::share;
use std::fmt::Write as _;

/// More bars than this below each other are no picture.
const BARS_MAX: usize = 24;

const LEGEND: &str = "<p class=\"legend state\"><span><i></i> intact</span> <span><i class=\"d\"></i> damaged</span> \
     <span><i class=\"m\"></i> missing</span></p>\n";

/// Full bars would say no more.
const WHOLE: &str = "<section class=\"integrity\">\n<h2>What arrived</h2>\n<p class=\"soft\">Everything, intact, in every row that did not fail.</p>\n</section>\n";

/// The section of the page; nothing when no row counted anything.
pub(super) fn section(gathered: &Gathered) -> String {
    let mut groups: Vec<Vec<(&Point, Arrival)>> = Vec::new();
    for point in &gathered.points {
        let Some(arrival) = point.arrival else { continue };
        match groups.last_mut() {
            Some(group) if (group[0].0.over, group[0].0.by) == (point.over, point.by) => {
                group.push((point, arrival));
            }
            _ => groups.push(vec![(point, arrival)]),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    if groups.iter().flatten().all(|(_, arrival)| arrival.intact >= 1.0) {
        return WHOLE.to_owned();
    }
    let names = Names::of(&gathered.layout);
    let mut html = format!(
        "<section class=\"integrity\">\n<h2>What arrived</h2>\n<p class=\"soft\">Chunks of files, requests or messages, as the mean over the rows \
         that did not fail, by {}.</p>\n{LEGEND}<div class=\"charts\">\n",
        escape(&dimensions(&[&gathered.layout.x, &gathered.layout.by, &gathered.layout.over]))
    );
    for group in groups {
        let point = group[0].0;
        let title = [names.by(point), names.over(point)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ");
        let _ = writeln!(html, "<div class=\"chart\"><h3>{}</h3>", escape(&title));
        html.push_str(&if group.len() > BARS_MAX {
            columns(names, &group)
        } else {
            bars(names, &group)
        });
        html.push_str("</div>\n");
    }
    html.push_str("</div>\n</section>\n");
    html
}

fn bars(names: Names<'_>, group: &[(&Point, Arrival)]) -> String {
    let bars: String =
        group.iter().map(|(point, arrival)| bar(&names.x(point), *arrival)).collect();
    format!("<div class=\"bars\">\n{bars}</div>\n")
}

/// Many points as columns side by side: their values can be pointed at.
fn columns(names: Names<'_>, group: &[(&Point, Arrival)]) -> String {
    let mut html = String::from("<div class=\"columns\">");
    for (point, arrival) in group {
        let percent = |part: f64| (1e3 * part).round() / 10.0;
        // Without a share of damage the stylesheet lets it end where the intact one does.
        let damaged = match arrival.damaged {
            0.0 => String::new(),
            part => format!(";--d:{}%", percent(arrival.intact + part)),
        };
        let _ = write!(
            html,
            "<i style=\"--i:{}%{damaged}\" title=\"{}: {}\"></i>",
            percent(arrival.intact),
            escape(&names.x(point)),
            words(*arrival)
        );
    }
    let ends = [group[0].0, group[group.len() - 1].0].map(|point| escape(&names.x(point)));
    let _ = writeln!(
        html,
        "</div><p class=\"ends\"><span>{}</span><span>{}</span></p>",
        ends[0], ends[1]
    );
    html
}

/// A share so fine that nothing is rounded to none or all of it.
fn text(part: f64) -> String {
    share((part * 1e12).round() as u64, 1_000_000_000_000)
}

/// What there is: `90% intact, 10% missing`.
fn words(arrival: Arrival) -> String {
    let parts =
        [(arrival.intact, "intact"), (arrival.damaged, "damaged"), (arrival.missing, "missing")];
    let parts = parts.iter().filter(|(part, _)| *part > 0.0);
    parts.map(|(part, name)| format!("{} {name}", text(*part))).collect::<Vec<_>>().join(", ")
}

/// A line of the picture: the value of the axis, the bar, and the share that is intact.
fn bar(at: &str, arrival: Arrival) -> String {
    let mut stack = String::new();
    for (class, part) in
        [("", arrival.intact), (" class=\"d\"", arrival.damaged), (" class=\"m\"", arrival.missing)]
    {
        if part > 0.0 {
            // One in thousands is seen, too: the stylesheet gives it a least width.
            let _ = write!(stack, "<i{class} style=\"flex-grow:{part:.4}\"></i>");
        }
    }
    format!(
        "<span>{}</span><span class=\"stack state\" role=\"img\" title=\"{}\">{stack}</span><span>{}</span>\n",
        escape(at),
        words(arrival),
        text(arrival.intact)
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{gathered, row, sweep};
    use super::super::super::gather::Choice;
    use super::*;

    #[test]
    fn every_part_that_is_there_is_seen() {
        let html = |intact, damaged, missing| bar("5% <x>", Arrival { intact, damaged, missing });
        let mixed = html(0.9, 0.04, 0.06);
        assert_eq!(mixed.matches("<i").count(), 3);
        assert!(
            mixed.contains("90% intact, 4% damaged, 6% missing") && mixed.contains("5% &lt;x&gt;")
        );
        assert!(mixed.contains("flex-grow:0.0400"), "{mixed}");
        assert_eq!(html(1.0, 0.0, 0.0).matches("<i").count(), 1);
        let almost = html(0.999_999, 0.0, 0.000_001);
        assert_eq!(almost.matches("<i").count(), 2);
        assert!(
            almost.contains("over 99.9% intact") && almost.contains("under 0.01% missing"),
            "{almost}"
        );
    }

    #[test]
    fn each_series_of_each_multiple_has_its_bars() {
        let rows = sweep(&[0.0, 0.1, 0.2], &["10ms", "50ms"]);
        let html = section(&gathered(&rows, &Choice::default()));
        assert_eq!((html.matches("<h3>").count(), html.matches("role=\"img\"").count()), (6, 18));
        assert!(html.contains("<h3>udp, delay 50ms</h3>"), "{html}");
        let losses: Vec<f64> = (0..30).map(|step| f64::from(step) / 100.0).collect();
        let many = section(&gathered(&sweep(&losses, &["10ms"]), &Choice::default()));
        assert_eq!(
            (many.matches("<h3>").count(), many.matches("<i style=\"--i:").count()),
            (3, 90)
        );
        assert!(
            many.contains("29%: 71") && many.contains("<span>0%</span><span>29%</span>"),
            "{many}"
        );
        assert_eq!(section(&gathered(&[row().seconds(1.0)], &Choice::default())), "");
    }
}
