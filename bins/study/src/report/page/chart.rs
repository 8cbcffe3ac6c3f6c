//! One chart: a curve per series with the interval around each mean, the median and the middle of
//! the values, as SVG in the colours of the page.

use super::scale::Scale;
use super::style::Style;
use crate::page::{Panel, theme};
use jostle_common::statistics::{Estimate, Interval};
use kuva::AxisLabelOverlap;
use kuva::prelude::{BandPlot, Layout, LinePlot, MarkerShape, Plot, ScatterPlot, TickFormat};
use std::sync::Arc;

/// One that shares a row with others, or stands on a telephone: its letters can be read there.
pub(super) const SMALL: (f64, f64) = (460.0, 300.0);
/// One that has the width of a page for itself.
pub(super) const WIDE: (f64, f64) = (960.0, 400.0);
/// Left for the labels of the upright axis and its name, and right for half of the last label of
/// the level one.
const MARGINS: (f64, f64) = (118.0, 26.0);
/// Left for the labels of the level axis and for its name.
const BELOW: f64 = 52.0;
const TICK_SIZE: u32 = 14;
/// The mean width of a letter at that size.
const LETTER: f64 = 7.4;
/// So faint that lines can be read through it.
const BAND: f64 = 0.18;
/// The room for half a marker at the ends of an axis, as a share of it.
const ROOM: f64 = 0.03;
/// More markers than this on a curve lie on each other: then not every point has one.
const MARKERS_MAX: usize = 24;
/// More names than this do not fit next to each other, even aslant.
const NAMES_MAX: usize = 20;
/// Longer names are cut.
const NAME_MAX: usize = 16;

/// A function that writes the text at a tick.
pub(super) type Label = fn(f64) -> String;

/// The level axis.
#[derive(Clone, Debug)]
pub(super) enum Across {
    /// Numbers where they are.
    Numbers { label: Label, low: f64, high: f64 },
    /// Places side by side, from 1, with their names; a line joins them if they have an order.
    Places { names: Vec<String>, are_ordered: bool },
}

/// The axes that charts of one metric share.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// The level axis.
    pub(super) across: Across,
    /// The name of the quantity on the level axis.
    pub(super) across_name: String,
    /// The name of the quantity on the upright axis.
    pub(super) upright_name: String,
    /// The upright axis.
    pub(super) scale: Scale,
    /// The texts at its ticks.
    pub(super) label: Label,
}

/// A place on the level axis and what was measured there.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Its place on the level axis.
    pub(super) x: f64,
    /// The mean and its interval; `None` when there is no value.
    pub(super) estimate: Option<Estimate>,
    /// The median, and the values between which eight tenths of all lie; `None` of few values.
    pub(super) middle: Option<(f64, Interval)>,
    /// The values themselves, if they are few.
    pub(super) few: Vec<f64>,
    /// True if some of its rows failed.
    pub(super) has_failed: bool,
    /// The text that a pointer over it shows, as plain text.
    pub(super) tip: Option<String>,
}

/// A series, from left to right.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// Its look.
    pub(super) style: Style,
    /// Its points; one without a value interrupts the line.
    pub(super) marks: Vec<Mark>,
}

/// Draws the chart.
pub(super) fn draw(axes: &Axes, curves: &[Curve], size: (f64, f64)) -> Panel {
    let joined = !matches!(axes.across, Across::Places { are_ordered: false, .. });
    let mut plots = Vec::new();
    let mut over = Vec::new();
    let mut crossed = 0;
    for (index, curve) in curves.iter().enumerate() {
        let aside = if joined { 0.0 } else { dodge(index, curves.len()) };
        for run in curve.marks.split(|mark| mark.estimate.is_none()).filter(|run| !run.is_empty()) {
            line(axes, curve.style, run, joined, aside, &mut plots);
        }
        middles(axes, curve, joined, aside, &mut plots);
        singles(axes, curve, aside, &mut plots);
        markers(axes, curve, aside, &mut over);
        if curve.marks.iter().any(|mark| mark.estimate.is_none() && mark.has_failed) {
            crosses(axes, curve, aside, crossed, &mut over);
            crossed += 1;
        }
    }
    plots.append(&mut over);
    let (layout, size) = layout(axes, &plots, size);
    Panel::new(plots, layout, size)
}

/// Returns the distance of a series from a place that it shares with others.
fn dodge(index: usize, count: usize) -> f64 {
    let step = (0.7 / count as f64).min(0.14);
    (index as f64 - (count - 1) as f64 / 2.0) * step
}

/// Draws points with a value, next to each other: the line through the means and the band around
/// it. Points that no line joins have bars.
fn line(axes: &Axes, style: Style, run: &[Mark], joined: bool, aside: f64, plots: &mut Vec<Plot>) {
    let scale = axes.scale;
    let known: Vec<(f64, Estimate)> =
        run.iter().filter_map(|mark| Some((mark.x + aside, mark.estimate?))).collect();
    if joined {
        let data = known.iter().map(|(x, estimate)| (*x, scale.clamp(estimate.mean)));
        let path = LinePlot::new().with_data(data).with_color(style.color()).with_stroke_width(2.2);
        plots.push(if style.is_dashed() { path.with_dashed() } else { path }.into());
    }
    // A point without an interval interrupts the band.
    for part in known.split(|(_, estimate)| estimate.interval.is_none()) {
        let ends = part.iter().filter_map(|(x, estimate)| {
            let interval = estimate.interval?;
            Some((*x, scale.clamp(interval.low), scale.clamp(interval.high)))
        });
        if joined && part.len() > 1 {
            let (x, (low, high)): (Vec<f64>, (Vec<f64>, Vec<f64>)) =
                ends.map(|(x, low, high)| (x, (low, high))).unzip();
            plots.push(
                BandPlot::new(x, low, high).with_color(style.color()).with_opacity(BAND).into(),
            );
        } else {
            for (x, low, high) in ends.filter(|(_, low, high)| low < high) {
                let bar =
                    LinePlot::new().with_data([(x, low), (x, high)]).with_color(style.color());
                plots.push(bar.with_stroke_width(1.6).into());
            }
        }
    }
}

/// Draws the medians, joined by dots, and upright lines from where a tenth of the values lies below
/// to where a tenth lies above.
fn middles(axes: &Axes, curve: &Curve, joined: bool, aside: f64, plots: &mut Vec<Plot>) {
    let scale = axes.scale;
    let known: Vec<(f64, f64, Interval)> = curve
        .marks
        .iter()
        .filter_map(|mark| mark.middle.map(|(median, tenths)| (mark.x + aside, median, tenths)))
        .collect();
    if joined && known.len() > 1 {
        let data = known.iter().map(|(x, median, _)| (*x, scale.clamp(*median)));
        let path = LinePlot::new().with_data(data).with_color(curve.style.color());
        plots.push(path.with_stroke_width(1.5).with_dotted().into());
    }
    // So many lines would be an area that says nothing.
    if known.len() > MARKERS_MAX {
        return;
    }
    for (x, _, Interval { low, high }) in known {
        if low >= high {
            continue;
        }
        let ends = [(x, scale.clamp(low)), (x, scale.clamp(high))];
        let bar = LinePlot::new().with_data(ends).with_color(curve.style.color());
        plots.push(bar.with_stroke_width(1.0).into());
    }
}

/// Draws few values one by one: they need no statistics.
fn singles(axes: &Axes, curve: &Curve, aside: f64, plots: &mut Vec<Plot>) {
    let values: Vec<(f64, f64)> = curve
        .marks
        .iter()
        .flat_map(|mark| mark.few.iter().map(move |value| (mark.x + aside, *value)))
        .map(|(x, value)| (x, axes.scale.clamp(value)))
        .collect();
    if !values.is_empty() {
        let dots = ScatterPlot::new().with_data(values).with_color(curve.style.color());
        plots.push(dots.with_size(2.4).with_marker_opacity(0.55).into());
    }
}

/// Draws a marker at each mean, with a ring around those that some rows are missing from.
fn markers(axes: &Axes, curve: &Curve, aside: f64, plots: &mut Vec<Plot>) {
    let at = |mark: &Mark| Some((mark.x + aside, axes.scale.clamp(mark.estimate?.mean)));
    let color = || curve.style.color();
    let known = || curve.marks.iter().filter(|mark| mark.estimate.is_some());
    let count = known().count();
    if count == 0 {
        return;
    }
    let shown = || known().step_by(count.div_ceil(MARKERS_MAX));
    let dots =
        ScatterPlot::new().with_data(shown().filter_map(at)).with_color(color()).with_size(4.2);
    plots.push(with_tips(dots.with_marker(curve.style.marker()), shown()).into());
    let partly: Vec<(f64, f64)> = known().filter(|mark| mark.has_failed).filter_map(at).collect();
    if !partly.is_empty() {
        let rings = ScatterPlot::new().with_data(partly).with_color(color()).with_size(8.0);
        plots.push(rings.with_marker_opacity(0.0).with_marker_stroke_width(1.4).into());
    }
}

/// Draws a cross at the lower edge where all rows failed, a little higher for each series, so that
/// none hides another.
fn crosses(axes: &Axes, curve: &Curve, aside: f64, before: usize, plots: &mut Vec<Plot>) {
    let height = axes.scale.at((0.02 + 0.06 * before as f64).min(0.95));
    let lost = || curve.marks.iter().filter(|mark| mark.estimate.is_none() && mark.has_failed);
    let dots = ScatterPlot::new().with_data(lost().map(|mark| (mark.x + aside, height)));
    let dots = dots.with_color(curve.style.color()).with_size(5.5).with_marker(MarkerShape::Cross);
    plots.push(with_tips(dots, lost()).into());
}

/// Draws points that say what they are, as far as they have something to say.
fn with_tips<'a>(dots: ScatterPlot, marks: impl Iterator<Item = &'a Mark>) -> ScatterPlot {
    let tips: Vec<String> = marks.filter_map(|mark| mark.tip.as_deref().map(visible)).collect();
    if tips.is_empty() { dots } else { dots.with_tooltips().with_tooltip_labels(tips) }
}

fn layout(axes: &Axes, plots: &[Plot], size: (f64, f64)) -> (Layout, (f64, f64)) {
    let layout = Layout::auto_from_plots(plots)
        .with_theme(theme())
        .with_ticks(5)
        .with_tick_size(TICK_SIZE)
        .with_label_size(TICK_SIZE)
        .with_force_margins(MARGINS.0, MARGINS.1)
        .with_x_label(plain(&axes.across_name))
        .with_y_label(plain(&axes.upright_name))
        .with_y_axis_min(axes.scale.at(-ROOM))
        .with_y_axis_max(axes.scale.at(1.0 + ROOM))
        .with_y_tick_format(TickFormat::Custom(Arc::new(axes.label)));
    let layout = if axes.scale.is_log { layout.with_log_y() } else { layout };
    let (layout, below) = match &axes.across {
        Across::Numbers { label, low, high } => {
            let room = if high > low { ROOM * (high - low) } else { 1.0 };
            let layout = layout.with_x_axis_min(low - room).with_x_axis_max(high + room);
            let layout = layout.with_x_label_overlap(AxisLabelOverlap::Thin);
            (layout.with_x_tick_format(TickFormat::Custom(Arc::new(*label))), BELOW)
        }
        Across::Places { names, .. } => {
            let (names, slope) = names_below(names, size.0);
            let rotated = slope > 0.0;
            let layout = layout
                .with_x_axis_min(0.5)
                .with_x_axis_max(names.len() as f64 + 0.5)
                .with_x_categories(names);
            (if rotated { layout.with_x_tick_rotate(-35.0) } else { layout }, BELOW + slope)
        }
    };
    let size = (size.0, size.1 + below - BELOW);
    (layout.with_force_margins_y(12.0, below), size)
}

/// Returns the names as they fit below the axis, and how much deeper they reach when they stand
/// aslant.
fn names_below(names: &[String], width: f64) -> (Vec<String>, f64) {
    let every = names.len().div_ceil(NAMES_MAX);
    let cut = |name: &String| {
        if name.chars().count() <= NAME_MAX {
            return plain(name);
        }
        plain(&name.chars().take(NAME_MAX - 1).chain(['…']).collect::<String>())
    };
    let shown: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| if index % every == 0 { cut(name) } else { String::new() })
        .collect();
    let longest = shown.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64 * LETTER;
    let room = (width - MARGINS.0 - MARGINS.1) / names.len().div_ceil(every).max(1) as f64;
    // The sine of 35 degrees.
    let slope = if longest + LETTER > room { (longest * 0.574).round() } else { 0.0 };
    (shown, slope)
}

/// Escapes text so that the chart's library shows it as it is: between two dollar signs it reads a
/// formula.
fn plain(text: &str) -> String {
    visible(text).replace('$', "\\$")
}

/// Returns text without the control characters that are no part of HTML.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
