//! The fate of chunks, requests or messages: intact, damaged or missing, as a stacked bar per
//! point.

use super::super::gather::{ArrivalShares, Gathered, Point};
use super::names::{Names, dimensions};
use jostle_common::words::share;
use maud::{Markup, html};

/// More bars than this below each other are no picture.
const BARS_MAX: usize = 24;

/// Draws the section of the page; nothing when no row counted anything.
pub(super) fn section(gathered: &Gathered) -> Markup {
    let groups = groups(gathered);
    let is_whole = groups.iter().flatten().all(|(_, arrival)| arrival.intact >= 1.0);
    let layout = &gathered.layout;
    let names = Names::of(layout);
    html! {
        @if !groups.is_empty() {
            section.integrity {
                h2 { "What arrived" }
                // Full bars would say no more.
                @if is_whole {
                    p.soft { "Everything, intact, in every row that did not fail." }
                } @else {
                    p.soft {
                        "Chunks of files, requests or messages, as the mean over the rows that did \
                         not fail, by "
                        (dimensions(&[&layout.x, &layout.by, &layout.over])) "."
                    }
                    p.legend.state {
                        span { i {} " intact" } " " span { i.d {} " damaged" } " "
                        span { i.m {} " missing" }
                    }
                    div.charts { @for group in &groups { (chart(names, group)) } }
                }
            }
        }
    }
}

/// Returns the points that counted something, in a group for each series of each small multiple.
fn groups(gathered: &Gathered) -> Vec<Vec<(&Point, ArrivalShares)>> {
    let mut groups: Vec<Vec<(&Point, ArrivalShares)>> = Vec::new();
    for point in &gathered.points {
        let Some(arrival) = point.arrival else { continue };
        match groups.last_mut() {
            Some(group) if (group[0].0.over, group[0].0.by) == (point.over, point.by) => {
                group.push((point, arrival));
            }
            _ => groups.push(vec![(point, arrival)]),
        }
    }
    groups
}

fn chart(names: Names<'_>, group: &[(&Point, ArrivalShares)]) -> Markup {
    let (point, _) = group[0];
    let title: Vec<String> = [names.by(point), names.over(point)].into_iter().flatten().collect();
    html! {
        div.chart {
            h3 { (title.join(", ")) }
            @if group.len() > BARS_MAX {
                (columns(names, group))
            } @else {
                div.bars {
                    @for (point, arrival) in group { (bar(&names.x(point), *arrival)) }
                }
            }
        }
    }
}

/// Draws many points as columns side by side: their values can be pointed at.
fn columns(names: Names<'_>, group: &[(&Point, ArrivalShares)]) -> Markup {
    let percent = |part: f64| (1e3 * part).round() / 10.0;
    let style = |arrival: &ArrivalShares| match arrival.damaged {
        // Without a share of damage the stylesheet lets it end where the intact one does.
        0.0 => format!("--i:{}%", percent(arrival.intact)),
        part => format!("--i:{}%;--d:{}%", percent(arrival.intact), percent(arrival.intact + part)),
    };
    let ends = [group[0].0, group[group.len() - 1].0];
    html! {
        div.columns {
            @for (point, arrival) in group {
                i style=(style(arrival)) title={ (names.x(point)) ": " (words(*arrival)) } {}
            }
        }
        p.ends { @for point in ends { span { (names.x(point)) } } }
    }
}

/// Writes a share so finely that nothing is rounded to none or all of it.
fn text(part: f64) -> String {
    share((part * 1e12).round() as u64, 1_000_000_000_000)
}

/// Describes the shares that there are: `90% intact, 10% missing`.
fn words(arrival: ArrivalShares) -> String {
    let parts =
        [(arrival.intact, "intact"), (arrival.damaged, "damaged"), (arrival.missing, "missing")];
    let parts = parts.iter().filter(|(part, _)| *part > 0.0);
    parts.map(|(part, name)| format!("{} {name}", text(*part))).collect::<Vec<_>>().join(", ")
}

/// Draws a line of the picture: the value of the axis, the bar, and the share that is intact.
fn bar(at: &str, arrival: ArrivalShares) -> Markup {
    let ArrivalShares { intact, damaged, missing } = arrival;
    // One in thousands is seen, too: the stylesheet gives it a least width.
    let style = |part: f64| format!("flex-grow:{part:.4}");
    html! {
        span { (at) }
        span.stack.state role="img" title=(words(arrival)) {
            @if intact > 0.0 { i style=(style(intact)) {} }
            @if damaged > 0.0 { i.d style=(style(damaged)) {} }
            @if missing > 0.0 { i.m style=(style(missing)) {} }
        }
        span { (text(intact)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{gathered, row, sweep};
    use super::super::super::gather::Choice;
    use super::*;

    #[test]
    fn every_part_that_is_there_is_seen() {
        let html = |intact, damaged, missing| {
            bar("5% <x>", ArrivalShares { intact, damaged, missing }).into_string()
        };
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
        let html = section(&gathered(&rows, &Choice::default())).into_string();
        assert_eq!((html.matches("<h3>").count(), html.matches("role=\"img\"").count()), (6, 18));
        assert!(html.contains("<h3>udp, delay 50ms</h3>"), "{html}");
        let losses: Vec<f64> = (0..30).map(|step| f64::from(step) / 100.0).collect();
        let many = gathered(&sweep(&losses, &["10ms"]), &Choice::default());
        let many = section(&many).into_string();
        assert_eq!(
            (many.matches("<h3>").count(), many.matches("<i style=\"--i:").count()),
            (3, 90)
        );
        assert!(
            many.contains("29%: 71") && many.contains("<span>0%</span><span>29%</span>"),
            "{many}"
        );
        let none = gathered(&[row().seconds(1.0)], &Choice::default());
        assert_eq!(section(&none).into_string(), "");
    }
}
