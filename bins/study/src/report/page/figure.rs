//! The figure of a metric: its charts, the legend for them, and the table below.

use super::super::dimension::Dimension;
use super::super::estimate::{PointEstimate, REPEATS_MIN};
use super::super::gather::{Gathered, Point};
use super::super::metric::{Better, MetricUnit};
use super::super::summary;
use super::axes::{across, position, upright};
use super::chart::{self, Axes, Curve, Mark, SMALL, WIDE};
use super::names::{Names, named};
use super::scale::{Scale, scale};
use super::style::{self, Style};
use super::table;
use crate::page::{self, Figure, Key, LegendEntry};
use jostle_common::statistics::Estimate;
use jostle_common::words::count;
use maud::{Markup, html};

/// More points than this cannot be pointed at: then they have no texts of their own, and the page
/// stays small.
const TIPS_MAX: usize = 400;

/// More points with failed rows than this are counted, not named.
const FAILURES_SHOWN: usize = 6;

/// Draws the section of the metric at a place in the report.
pub(super) fn section(gathered: &Gathered, metric: usize) -> Markup {
    let what = &gathered.metrics[metric];
    let better = better(what.better);
    let figure = figure(gathered, metric);
    html! {
        section.metric {
            h2 { (super::capital(&what.title)) }
            @if let Some(figure) = &figure {
                @for note in &figure.notes { p.soft { (note) } }
                (page::legend(&figure.legend))
                (charts(gathered, metric, figure))
                p.links {
                    "This figure: "
                    (page::download(
                        &format!("{}.svg", what.name), "image/svg+xml", &figure.svg(), "SVG",
                    ))
                }
            } @else {
                p.soft { (better) }
            }
            (table::draw(gathered, metric, figure.is_none()))
        }
    }
}

/// Returns the figure of a metric, as a picture of its own; `None` when there is nothing to draw.
pub(super) fn figure(gathered: &Gathered, metric: usize) -> Option<Figure> {
    let what = &gathered.metrics[metric];
    let x = gathered.layout.x.as_ref()?;
    let axes = axes(gathered, metric)?;
    let mut title = format!("{} over {}", super::capital(&what.title), x.name);
    if let Some(by) = &gathered.layout.by {
        title += &format!(", by {}", by.name);
    }
    let panel =
        |over: usize, size| chart::draw(&axes, &curves(gathered, metric, &axes, over), size);
    let panels = match &gathered.layout.over {
        None => vec![(String::new(), panel(0, WIDE))],
        Some(over) => {
            (0..over.levels.len()).map(|place| (named(over, place), panel(place, SMALL))).collect()
        }
    };
    let mean = if axes.scale.is_log { "The geometric mean" } else { "The mean" };
    let scale = if axes.scale.is_log { " on a logarithmic scale" } else { "" };
    let first = format!("{mean} of each point{scale}. {}", better(what.better));
    let notes = [first, spread(gathered, metric), failures(gathered, metric)];
    Some(Figure {
        title,
        notes: notes
            .into_iter()
            .map(|note| note.trim().to_owned())
            .filter(|note| !note.is_empty())
            .collect(),
        legend: legend(gathered, metric),
        panels,
        styles: Vec::new(),
    })
}

const fn better(better: Better) -> &'static str {
    match better {
        Better::More => "More is better.",
        Better::Less => "Less is better.",
        Better::Unknown => "",
    }
}

/// Returns the axes that all charts of the metric share; `None` when nothing was measured.
fn axes(gathered: &Gathered, metric: usize) -> Option<Axes> {
    let (what, x) = (&gathered.metrics[metric], gathered.layout.x.as_ref()?);
    let (across, across_name) = across(x);
    Some(Axes {
        across,
        across_name,
        upright_name: what.title.clone(),
        scale: axis(gathered, metric)?,
        label: upright(what.unit),
    })
}

/// Returns the upright axis that all charts of the metric share; `None` when nothing was measured.
pub(super) fn axis(gathered: &Gathered, metric: usize) -> Option<Scale> {
    let what = &gathered.metrics[metric];
    let estimates: Vec<Estimate> = gathered
        .points
        .iter()
        .filter_map(|point| Some(point.estimates[metric]?.centre(what)))
        .collect();
    let mut scale = scale(estimates.iter(), what.is_log)?;
    if what.unit == MetricUnit::Share && !scale.is_log {
        // An interval may reach beyond all of it; means of shares cannot.
        let highest = estimates.iter().map(|estimate| estimate.mean);
        scale.high = scale.high.min(highest.fold(1.0, f64::max));
    }
    Some(scale)
}

/// Describes the points that have no interval, if any.
fn spread(gathered: &Gathered, metric: usize) -> String {
    let counts = gathered.points.iter().filter_map(|point| Some(point.estimates[metric]?.count()));
    let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    if most <= 1 {
        "There is one row for each point, so nothing says how much it would vary; more repeats would."
            .to_owned()
    } else if least < REPEATS_MIN {
        format!(
            "A point of fewer than {REPEATS_MIN} rows has no interval: its values are drawn one by one."
        )
    } else {
        String::new()
    }
}

/// Says of which points rows are missing, beside the mean of the rest: `saw at 20%: 2 of 10
/// failed`.
fn failures(gathered: &Gathered, metric: usize) -> String {
    let partly: Vec<&Point> = gathered
        .points
        .iter()
        .filter(|point| point.failed > 0 && point.estimates[metric].is_some())
        .collect();
    if partly.is_empty() {
        return String::new();
    }
    let names = Names::of(&gathered.layout);
    let words = |point: &&Point| format!("{}: {}", names.whole(point), summary::failed(point));
    let shown: Vec<String> = partly.iter().take(FAILURES_SHOWN).map(words).collect();
    let more = match partly.len().saturating_sub(FAILURES_SHOWN) {
        0 => String::new(),
        more => format!("; and {} more", count(more as u64, "point")),
    };
    format!("Where rows failed, a mean is that of the rest. {}{more}.", shown.join("; "))
}

/// Returns the looks of the curves, by their place in the layout.
fn looks(by: Option<&Dimension>) -> Vec<Style> {
    let Some(by) = by else { return style::styles(&[""]) };
    let names: Vec<&str> = by.levels.iter().map(|level| level.text.as_str()).collect();
    style::styles(&names)
}

fn legend(gathered: &Gathered, metric: usize) -> Vec<LegendEntry> {
    let by = gathered.layout.by.as_ref();
    let has_marks = |place: usize| {
        gathered.points.iter().any(|point| {
            let is_marked = point.estimates[metric].is_some() || point.failed == point.rows;
            point.by == place && is_marked
        })
    };
    let what = &gathered.metrics[metric];
    let any = |is: &dyn Fn(&Point, Option<PointEstimate>) -> bool| {
        gathered.points.iter().any(|point| is(point, point.estimates[metric]))
    };
    let mut entries: Vec<LegendEntry> = Vec::new();
    if let Some(by) = by {
        let looks = looks(Some(by)).into_iter().enumerate().filter(|(place, _)| has_marks(*place));
        entries.extend(looks.map(|(place, look)| look.entry(named(by, place))));
    }
    let mut more = |is: bool, key: Key, text: &str| {
        if is {
            entries.push(LegendEntry::new(key, "soft", text));
        }
    };
    let joined = gathered.layout.x.as_ref().is_some_and(|x| x.is_ordered);
    let has_middle = |_: &Point, found: Option<PointEstimate>| {
        found.is_some_and(|found| found.middle().is_some())
    };
    let has_interval = |_: &Point, found: Option<PointEstimate>| {
        found.is_some_and(|found| found.centre(what).interval.is_some())
    };
    more(any(&has_interval), Key::Band, "95% interval");
    more(joined && any(&has_middle), Key::Dots, "median");
    more(any(&has_middle), Key::Bar, "from 10% to 90% of the values");
    let has_few = |_: &Point, found: Option<PointEstimate>| {
        found.is_some_and(|found| !found.few().is_empty())
    };
    more(any(&has_few), Key::Dot, "single values");
    more(any(&|point, found| found.is_some() && point.failed > 0), Key::Ring, "some rows failed");
    more(any(&|point, _| point.failed == point.rows), Key::Cross, "all rows failed");
    entries
}

/// Draws the charts. One that stands alone is drawn for wide pages and for telephones.
fn charts(gathered: &Gathered, metric: usize, figure: &Figure) -> Markup {
    let x = gathered.layout.x.as_ref().map_or("", |x| x.name);
    let name = format!("{} against {x}", gathered.metrics[metric].title);
    let [(_, only)] = figure.panels.as_slice() else {
        return html! {
            div.charts {
                @for (title, panel) in &figure.panels {
                    figure.chart {
                        figcaption { (title) }
                        (panel.inline(&format!("{name}, {title}")))
                    }
                }
            }
        };
    };
    let small = axes(gathered, metric)
        .map(|axes| chart::draw(&axes, &curves(gathered, metric, &axes, 0), SMALL));
    html! {
        figure.chart.wide-only { (only.inline(&name)) }
        @if let Some(small) = small { figure.chart.narrow-only { (small.inline(&name)) } }
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
        let known = point.estimates[metric].filter(|known| known.mean.mean.is_finite());
        let has_failed =
            if known.is_some() { point.failed > 0 } else { point.failed == point.rows };
        let tip = if gathered.points.len() > TIPS_MAX {
            None
        } else {
            Some(tip(gathered, metric, point))
        };
        curves[point.by].marks.push(Mark {
            x: position(x, &axes.across, point.x),
            estimate: known.map(|known| known.centre(&gathered.metrics[metric])),
            middle: known.and_then(|known| known.middle()),
            few: known.map(|known| known.few().to_vec()).unwrap_or_default(),
            has_failed,
            tip,
        });
    }
    curves
}

/// Writes all that is known of a point, in words.
pub(super) fn tip(gathered: &Gathered, metric: usize, point: &Point) -> String {
    let place = Names::of(&gathered.layout).whole(point);
    let found = point.estimates[metric].as_ref();
    let value = summary::estimate(&gathered.metrics[metric], found);
    let middle = summary::middle(&gathered.metrics[metric], found);
    let middle = if middle.is_empty() { middle } else { format!("; median {middle}") };
    let failed = match point.failed {
        0 => String::new(),
        _ => format!("; {}", summary::failed(point)),
    };
    format!("{place}: {value}{middle}{failed}")
}
