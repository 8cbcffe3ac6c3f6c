//! The numbers of a figure, under it: a line per point.

use super::super::dimension::Dimension;
use super::super::gather::{Gathered, Point};
use super::super::summary::range;
use jostle_common::words::{count, grouped};
use maud::{Markup, html};

/// Draws the table of the metric at a place in the report, folded unless it is all there is. End
/// tags that HTML can do without are left out: there may be thousands of lines.
pub(super) fn draw(gathered: &Gathered, metric: usize, is_open: bool) -> Markup {
    let layout = &gathered.layout;
    let dimensions: Vec<&Dimension> =
        [&layout.over, &layout.by, &layout.x].into_iter().flatten().collect();
    let is_shown = |point: &&Point| point.estimates[metric].is_some() || point.failed > 0;
    let points: Vec<&Point> = gathered.points.iter().filter(is_shown).collect();
    html! {
        details open[is_open] {
            summary { "The numbers: " (count(points.len() as u64, "point")) }
            div.wide {
                table.numbers.{ "names-" (dimensions.len()) } {
                    thead {
                        tr;
                        @for dimension in &dimensions { th; (dimension.name) }
                        @for head in heads(gathered.metrics[metric].is_log) { th; (head) }
                    }
                    tbody {
                        @for point in points {
                            tr;
                            @for (dimension, level) in gathered.place(point) {
                                td; (dimension.levels[level].text)
                            }
                            (cells(gathered, metric, point))
                        }
                    }
                }
            }
        }
    }
}

/// Returns the headings of the numbers of a metric.
const fn heads(is_log: bool) -> [&'static str; 7] {
    let mean = if is_log { "geometric mean" } else { "mean" };
    ["rows", "failed", "n", mean, "95% interval", "median", "tenths"]
}

fn cells(gathered: &Gathered, metric: usize, point: &Point) -> Markup {
    let what = &gathered.metrics[metric];
    let unit = what.unit;
    let found = point.estimates[metric].as_ref();
    let centre = found.map(|found| found.centre(what));
    let unknown = || "–".to_owned();
    let interval = centre.and_then(|centre| centre.interval);
    let middle = found.and_then(|found| found.middle());
    html! {
        td; (grouped(point.rows))
        td class=[(point.failed > 0).then_some("bad")]; (grouped(point.failed))
        td; (grouped(found.map_or(0, |found| found.count())))
        td; (centre.map_or_else(unknown, |centre| unit.words(centre.mean)))
        td; (interval.map_or_else(unknown, |interval| range(unit, interval)))
        td; (found.map_or_else(unknown, |found| unit.words(found.median)))
        td; (middle.map_or_else(unknown, |(_, tenths)| range(unit, tenths)))
        "\n"
    }
}
