//! The four charts of a direction, as SVG in the colours of the page.

use super::super::finished::SimulatedLink;
use crate::page::{Panel, theme};
use crate::probe::Bin;
use jostle_common::words::ticks::{count_label, rate_label, seconds_label, whole_label};
use kuva::prelude::{Histogram, Layout, LinePlot, MarkerShape, Plot, ScatterPlot, TickFormat};
use std::sync::Arc;

/// So small that its letters can be read on a telephone.
const SIZE: (f64, f64) = (440.0, 280.0);
/// Runs of losses beyond this length are too rare for a picture.
const LENGTHS_MAX: usize = 40;

/// Draws each drawn packet's delay at the time it came; lost ones at the bottom.
pub(super) fn delays(one: &SimulatedLink) -> Option<Panel> {
    let samples = one.tally.samples();
    let arrived: Vec<(f64, f64)> =
        samples.iter().filter_map(|sample| Some((sample.at, sample.delay?))).collect();
    let longest = arrived.iter().map(|(_, delay)| *delay).fold(0.0, f64::max);
    let top = if longest > 0.0 { longest * 1.06 } else { 0.001 };
    // Just above the axis, or half of each cross would be cut off.
    let lost: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.delay.is_none())
        .map(|sample| (sample.at, 0.022 * top))
        .collect();
    if samples.is_empty() {
        return None;
    }
    let mut plots: Vec<Plot> = Vec::new();
    if !arrived.is_empty() {
        let dots = ScatterPlot::new().with_data(arrived).with_color("var(--tone)").with_size(2.2);
        plots.push(dots.with_marker_opacity(0.55).into());
    }
    if !lost.is_empty() {
        let crosses = ScatterPlot::new().with_data(lost).with_color("var(--lost)").with_size(4.0);
        plots.push(crosses.with_marker(MarkerShape::Cross).into());
    }
    Some(over_time(one, plots, top, seconds_label, "delay of packets"))
}

/// Draws the number of runs of losses of each length, and the number that the formula expects.
pub(super) fn bursts(one: &SimulatedLink) -> Option<Panel> {
    let lengths = one.tally.runs().lengths();
    let total = one.tally.runs().count();
    if total == 0 {
        return None;
    }
    // Up to where all but one in a thousand end.
    let mut sum = 0;
    let shown = lengths.iter().position(|count| {
        sum += count;
        sum as f64 > 0.999 * total as f64
    });
    let shown = shown.map_or(lengths.len(), |index| index + 1).clamp(4, LENGTHS_MAX);
    let counts: Vec<f64> =
        (0..shown).map(|index| lengths.get(index).copied().unwrap_or(0) as f64).collect();
    let edges: Vec<f64> = (0..=shown).map(|index| index as f64 + 0.5).collect();
    let mut top = counts.iter().copied().fold(1.0, f64::max);
    let mut plots: Vec<Plot> =
        vec![Histogram::from_bins(edges, counts).with_color("var(--tone)").into()];
    if let Some(expected) = one.expected_lengths() {
        let model: Vec<(f64, f64)> = (0..shown)
            .map(|index| {
                let share = expected.get(index).copied().unwrap_or(0.0);
                ((index + 1) as f64, share * total as f64)
            })
            .collect();
        top = model.iter().map(|(_, count)| *count).fold(top, f64::max);
        let line = LinePlot::new()
            .with_data(model.clone())
            .with_color("var(--model)")
            .with_stroke_width(1.8);
        plots.push(line.with_dashed().into());
        plots.push(
            ScatterPlot::new().with_data(model).with_color("var(--model)").with_size(2.8).into(),
        );
    }
    let layout = layout(&plots)
        .with_x_label("packets lost in a row")
        .with_y_label("number of times")
        .with_x_axis_min(0.5)
        .with_x_axis_max(shown as f64 + 0.5)
        .with_x_tick_step((shown as f64 / 10.0).ceil())
        .with_x_tick_format(TickFormat::Custom(Arc::new(whole_label)))
        .with_y_axis_min(0.0)
        .with_y_axis_max(top * 1.06)
        .with_y_tick_format(TickFormat::Custom(Arc::new(count_label)));
    Some(Panel::new(plots, layout, SIZE))
}

/// Draws the bits per second that came and that arrived.
pub(super) fn throughput(one: &SimulatedLink) -> Option<Panel> {
    let rate = |of: fn(&Bin) -> u64| line(one, |bin, width| Some(of(bin) as f64 * 8.0 / width));
    let (sent, arrived) = (rate(|bin| bin.offered_bytes), rate(|bin| bin.delivered_bytes));
    let top = sent.iter().chain(&arrived).map(|(_, rate)| *rate).fold(0.0, f64::max);
    if top == 0.0 {
        return None;
    }
    let sent = LinePlot::new().with_data(sent).with_color("var(--sent)").with_stroke_width(1.6);
    let arrived =
        LinePlot::new().with_data(arrived).with_color("var(--tone)").with_stroke_width(2.0);
    Some(over_time(
        one,
        vec![sent.into(), arrived.into()],
        top * 1.08,
        rate_label,
        "payload per second",
    ))
}

/// Draws the most packets inside in each bin.
pub(super) fn held(one: &SimulatedLink) -> Option<Panel> {
    let mut level = 0;
    let points = line(one, |bin, _| {
        // Where nothing comes or goes it stays as it was.
        let most = bin.held_max.max(level);
        level = bin.held_last.unwrap_or(level);
        Some(most as f64)
    });
    let top = points.iter().map(|(_, held)| *held).fold(0.0, f64::max);
    if points.len() < 2 || top == 0.0 {
        return None;
    }
    let held = LinePlot::new().with_data(points).with_color("var(--tone)").with_stroke_width(2.0);
    Some(over_time(one, vec![held.into()], (top * 1.08).max(4.0), count_label, "packets inside"))
}

/// Returns a point in the middle of each bin that has a value.
fn line(one: &SimulatedLink, mut value: impl FnMut(&Bin, f64) -> Option<f64>) -> Vec<(f64, f64)> {
    let course = one.tally.course();
    let width = course.width();
    let bins = course.bins();
    // The last bin is rarely full; a rate in it would look like a fall.
    let whole = if bins.len() > 2 { bins.len() - 1 } else { bins.len() };
    let points = bins[..whole].iter().enumerate();
    points
        .filter_map(|(index, bin)| Some(((index as f64 + 0.5) * width, value(bin, width)?)))
        .collect()
}

fn over_time(
    one: &SimulatedLink,
    plots: Vec<Plot>,
    top: f64,
    label: fn(f64) -> String,
    name: &str,
) -> Panel {
    // With room for half of a mark at the end.
    let end = one.tally.last().as_secs_f64().max(1e-6) * 1.02;
    let layout = layout(&plots)
        .with_x_label("time")
        .with_y_label(name)
        .with_x_axis_min(0.0)
        .with_x_axis_max(end)
        .with_x_tick_format(TickFormat::Custom(Arc::new(seconds_label)))
        .with_y_axis_min(0.0)
        .with_y_axis_max(top)
        .with_y_tick_format(TickFormat::Custom(Arc::new(label)));
    Panel::new(plots, layout, SIZE)
}

fn layout(plots: &[Plot]) -> Layout {
    Layout::auto_from_plots(plots)
        .with_theme(theme())
        .with_ticks(5)
        .with_tick_size(13)
        .with_label_size(13)
        .with_clamp_axis()
        .with_force_margins(108.0, 16.0)
        .with_force_margins_y(10.0, 48.0)
}
