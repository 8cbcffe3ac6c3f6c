//! The numbers of a figure, under it: a line per point.

use super::super::dimension::Dimension;
use super::super::gather::{Gathered, Point};
use super::super::metric::MetricUnit;
use jostle_common::statistics::Interval;
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
                        @for head in ["rows", "failed", "n", "mean", "95% interval"] {
                            th; (head)
                        }
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

fn cells(gathered: &Gathered, metric: usize, point: &Point) -> Markup {
    let unit = gathered.metrics[metric].unit;
    let estimate = point.estimates[metric].as_ref();
    let unknown = || "–".to_owned();
    let interval = estimate.and_then(|estimate| estimate.interval);
    html! {
        td; (grouped(point.rows))
        td class=[(point.failed > 0).then_some("bad")]; (grouped(point.failed))
        td; (grouped(estimate.map_or(0, |estimate| estimate.count)))
        td; (estimate.map_or_else(unknown, |estimate| unit.words(estimate.mean)))
        td; (interval.map_or_else(unknown, |interval| range(unit, interval)))
        "\n"
    }
}

/// Writes `8.68 to 9.05 Mbit/s`: a unit that both ends have stands once.
fn range(unit: MetricUnit, interval: Interval) -> String {
    let (low, high) = (unit.words(interval.low), unit.words(interval.high));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_both_ends_have_stands_once() {
        let range = |unit, low, high| range(unit, Interval { low, high });
        assert_eq!(range(MetricUnit::BitsPerSecond, 8.68e6, 9.05e6), "8.68 to 9.05 Mbit/s");
        assert_eq!(range(MetricUnit::BitsPerSecond, 9e5, 1.1e6), "900 kbit/s to 1.10 Mbit/s");
        assert_eq!(range(MetricUnit::Share, 0.05, 0.06), "5% to 6%");
        assert_eq!(range(MetricUnit::Count, 5.0, 6.0), "5 to 6");
    }
}
