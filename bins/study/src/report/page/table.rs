//! The numbers of a figure, under it: a line per point.

use super::super::dimension::Dimension;
use super::super::gather::{Gathered, Point};
use super::super::metric::Unit;
use crate::page::escape;
use jostle_common::statistics::Interval;
use jostle_common::words::{count, grouped};
use std::fmt::Write as _;

/// Draws the table of the metric at a place in the report, folded unless it is all there is. End
/// tags that HTML can do without are left out: there may be thousands of lines.
pub(super) fn draw(gathered: &Gathered, metric: usize, is_open: bool) -> String {
    let layout = &gathered.layout;
    let dimensions: Vec<&Dimension> =
        [&layout.over, &layout.by, &layout.x].into_iter().flatten().collect();
    let shown = || {
        gathered.points.iter().filter(|point| point.estimates[metric].is_some() || point.failed > 0)
    };
    let open = if is_open { " open" } else { "" };
    let mut html = format!(
        "<details{open}><summary>The numbers: {}</summary>\n<div class=\"wide\"><table class=\"numbers names-{}\">\n<thead><tr>",
        count(shown().count() as u64, "point"),
        dimensions.len()
    );
    for dimension in &dimensions {
        let _ = write!(html, "<th>{}", escape(dimension.name));
    }
    html.push_str("<th>rows<th>failed<th>n<th>mean<th>95% interval</thead>\n<tbody>\n");
    for point in shown() {
        html.push_str("<tr>");
        for (dimension, level) in gathered.place(point) {
            let _ = write!(html, "<td>{}", escape(&dimension.levels[level].text));
        }
        html.push_str(&cells(gathered, metric, point));
    }
    html.push_str("</tbody></table></div></details>\n");
    html
}

fn cells(gathered: &Gathered, metric: usize, point: &Point) -> String {
    let unit = gathered.metrics[metric].unit;
    let failed = match point.failed {
        0 => "<td>0".to_owned(),
        failed => format!("<td class=\"bad\">{}", grouped(failed)),
    };
    let Some(estimate) = point.estimates[metric] else {
        return format!("<td>{}{failed}<td>0<td>–<td>–\n", grouped(point.rows));
    };
    let interval =
        estimate.interval.map_or_else(|| "–".to_owned(), |interval| range(unit, interval));
    format!(
        "<td>{}{failed}<td>{}<td>{}<td>{interval}\n",
        grouped(point.rows),
        grouped(estimate.count),
        unit.words(estimate.mean)
    )
}

/// `8.68 to 9.05 Mbit/s`: a unit that both ends have stands once.
fn range(unit: Unit, interval: Interval) -> String {
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
        assert_eq!(range(Unit::BitsPerSecond, 8.68e6, 9.05e6), "8.68 to 9.05 Mbit/s");
        assert_eq!(range(Unit::BitsPerSecond, 9e5, 1.1e6), "900 kbit/s to 1.10 Mbit/s");
        assert_eq!(range(Unit::Share, 0.05, 0.06), "5% to 6%");
        assert_eq!(range(Unit::Count, 5.0, 6.0), "5 to 6");
    }
}
