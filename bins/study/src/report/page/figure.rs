//! The figure of a metric: its charts, the legend for them, and the table below.

use super::super::dimension::Dimension;
use super::super::gather::{Gathered, Point};
use super::super::metric::{Better, MetricUnit};
use super::super::summary;
use super::axes::{across, position, upright};
use super::chart::{self, Axes, Curve, Mark};
use super::names::{Names, named};
use super::scale::{Scale, scale};
use super::style::{self, Style};
use super::table;
use jostle_common::statistics::Estimate;
use jostle_common::words::grouped;
use maud::{Markup, html};

/// More points than this cannot be pointed at: then they have no texts of their own, and the page
/// stays small.
const TIPS_MAX: usize = 400;

/// Draws the section of the metric at a place in the report.
pub(super) fn section(gathered: &Gathered, metric: usize) -> Markup {
    let what = &gathered.metrics[metric];
    let better = match what.better {
        Better::More => "More is better.",
        Better::Less => "Less is better.",
        Better::Unknown => "",
    };
    let figure = gathered.layout.x.as_ref().zip(axis(gathered, metric));
    html! {
        section.metric {
            h2 { (super::capital(&what.title)) }
            @if let Some((x, scale)) = figure {
                p.soft {
                    "The mean of each point"
                    @if scale.is_log { " on a logarithmic scale" }
                    "."
                    @if !better.is_empty() { " " (better) }
                    (spread(gathered, metric))
                }
                (legend(gathered, metric))
                (charts(gathered, metric, x, scale))
            } @else {
                p.soft { (better) }
            }
            (table::draw(gathered, metric, figure.is_none()))
        }
    }
}

/// Returns the upright axis that all charts of the metric share; `None` when nothing was measured.
pub(super) fn axis(gathered: &Gathered, metric: usize) -> Option<Scale> {
    let what = &gathered.metrics[metric];
    let estimates = gathered.points.iter().filter_map(|point| point.estimates[metric].as_ref());
    let mut scale = scale(estimates, what.suits_log)?;
    if what.unit == MetricUnit::Share && !scale.is_log {
        // An interval may reach beyond all of it; means of shares cannot.
        let highest =
            gathered.points.iter().filter_map(|point| Some(point.estimates[metric]?.mean));
        scale.high = scale.high.min(highest.fold(1.0, f64::max));
    }
    Some(scale)
}

/// Describes the points that have no interval, if any.
fn spread(gathered: &Gathered, metric: usize) -> &'static str {
    let mut estimates = gathered.points.iter().filter_map(|point| point.estimates[metric]);
    let alone = estimates.clone().any(|estimate| estimate.interval.is_none());
    if !estimates.any(|estimate| estimate.interval.is_some()) {
        " There is one row for each point, so nothing says how much it would vary; more repeats \
         would."
    } else if alone {
        " A point of one row has no interval."
    } else {
        ""
    }
}

/// Returns the looks of the curves, by their place in the layout.
fn looks(by: Option<&Dimension>) -> Vec<Style> {
    let Some(by) = by else { return style::styles(&[""]) };
    let names: Vec<&str> = by.levels.iter().map(|level| level.text.as_str()).collect();
    style::styles(&names)
}

fn legend(gathered: &Gathered, metric: usize) -> Markup {
    let by = gathered.layout.by.as_ref();
    let has_marks = |place: usize| {
        gathered.points.iter().any(|point| {
            let is_marked = point.estimates[metric].is_some() || point.failed == point.rows;
            point.by == place && is_marked
        })
    };
    let any = |is: fn(&Point, Option<Estimate>) -> bool| {
        gathered.points.iter().any(|point| is(point, point.estimates[metric]))
    };
    html! {
        p.legend {
            @if let Some(by) = by {
                @for (place, look) in looks(Some(by)).into_iter().enumerate() {
                    @if has_marks(place) { span { (look.key()) (named(by, place)) } " " }
                }
            }
            @if any(|_, estimate| estimate.is_some_and(|estimate| estimate.interval.is_some())) {
                span { i.band {} "95% interval" } " "
            }
            @if any(|point, estimate| estimate.is_some() && point.failed > 0) {
                span { i.ring {} "some rows failed" } " "
            }
            @if any(|point, _| point.failed == point.rows) {
                span { b { "×" } "all rows failed" } " "
            }
        }
    }
}

fn charts(gathered: &Gathered, metric: usize, x: &Dimension, scale: Scale) -> Markup {
    let what = &gathered.metrics[metric];
    let axes = Axes {
        across: across(x),
        across_name: x.name.to_owned(),
        scale,
        label: upright(what.unit),
    };
    let draw =
        |name: &str, over: usize| chart::draw(&axes, &curves(gathered, metric, &axes, over), name);
    let name = format!("{} against {}", what.title, x.name);
    let Some(over) = &gathered.layout.over else {
        return html! { figure.chart { (draw(&name, 0)) } };
    };
    let titles = (0..over.levels.len()).map(|place| (place, named(over, place)));
    html! {
        div.charts {
            @for (place, title) in titles {
                figure.chart {
                    figcaption { (title) }
                    (draw(&format!("{name}, {title}"), place))
                }
            }
        }
    }
}

/// Returns the curves of a small multiple. A place on the axis that has no rows interrupts none.
fn curves(gathered: &Gathered, metric: usize, axes: &Axes, over: usize) -> Vec<Curve> {
    let Some(x) = &gathered.layout.x else { return Vec::new() };
    let shown = gathered.points.iter().filter(|point| point.over == over);
    let mut curves: Vec<Curve> = looks(gathered.layout.by.as_ref())
        .into_iter()
        .map(|style| Curve { style, marks: Vec::new() })
        .collect();
    for point in shown {
        let estimate = point.estimates[metric].filter(|estimate| estimate.mean.is_finite());
        let has_failed =
            if estimate.is_some() { point.failed > 0 } else { point.failed == point.rows };
        let tip = if gathered.points.len() > TIPS_MAX {
            None
        } else {
            Some(tip(gathered, metric, point, estimate))
        };
        curves[point.by].marks.push(Mark {
            x: position(x, &axes.across, point.x),
            estimate,
            has_failed,
            tip,
        });
    }
    curves
}

/// Writes all that is known of a point, in words.
pub(super) fn tip(
    gathered: &Gathered,
    metric: usize,
    point: &Point,
    estimate: Option<Estimate>,
) -> String {
    let place = Names::of(&gathered.layout).whole(point);
    let value = summary::estimate(&gathered.metrics[metric], estimate.as_ref());
    let failed = match point.failed {
        0 => String::new(),
        failed => format!(", {} of {} failed", grouped(failed), grouped(point.rows)),
    };
    format!("{place}: {value}{failed}")
}
