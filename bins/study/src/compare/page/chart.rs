//! Goodput against loss, a line per protocol, as SVG in the colours of the page.

use super::super::finished::{Comparison, FileProtocol};
use crate::page::{chart, theme};
use jostle_common::words::ticks::{percent_label, rate_label};
use kuva::prelude::{Layout, LinePlot, MarkerShape, Plot, ScatterPlot, TickFormat};
use maud::Markup;
use std::sync::Arc;

const SIZE: (f64, f64) = (560.0, 320.0);

/// Draws the chart; `None` when there is no line to draw: fewer than two loss rates, or nothing
/// measured.
pub(super) fn draw(comparison: &Comparison) -> Option<Markup> {
    if comparison.losses().len() < 2 {
        return None;
    }
    let mut plots: Vec<Plot> = Vec::new();
    let mut rates = Vec::new();
    for protocol in FileProtocol::ALL {
        let points = points(comparison, protocol);
        if points.is_empty() {
            continue;
        }
        rates.extend(points.iter().map(|(_, rate)| *rate));
        let color = format!("var(--{})", protocol.name());
        let line = LinePlot::new()
            .with_data(points.clone())
            .with_color(color.clone())
            .with_stroke_width(2.5);
        let marker = match protocol {
            FileProtocol::Tcp => MarkerShape::Circle,
            FileProtocol::Udp => MarkerShape::Square,
            FileProtocol::Saw => MarkerShape::Triangle,
        };
        plots.push(line.into());
        let dots = ScatterPlot::new()
            .with_data(points)
            .with_color(color)
            .with_size(5.0)
            .with_marker(marker);
        plots.push(dots.into());
    }
    if plots.is_empty() {
        return None;
    }
    // A little room left and right, or the outermost markers would be cut in half.
    let margin = comparison.losses().last().map_or(0.0, |loss| loss.as_f64() * 100.0 * 0.04);
    let layout = Layout::auto_from_plots(&plots)
        .with_theme(theme())
        .with_log_y()
        .with_y_axis_min(decade(&rates, f64::min, f64::floor))
        .with_y_axis_max(decade(&rates, f64::max, f64::ceil))
        .with_x_axis_min(-margin)
        .with_x_axis_max(comparison.losses().last()?.as_f64() * 100.0 + margin)
        .with_x_label("packets lost, each way")
        .with_x_tick_format(TickFormat::Custom(Arc::new(percent_label)))
        .with_y_tick_format(TickFormat::Custom(Arc::new(rate_label)))
        .with_tick_size(14)
        .with_label_size(15)
        .with_force_margins(92.0, 10.0)
        .with_force_margins_y(14.0, 58.0);
    // The page writes the legend itself, and scales the chart to the width there is.
    Some(chart(plots, layout, SIZE, "Goodput against loss"))
}

/// Returns loss in percent, and goodput in bits per second. A row without goodput has no place on a
/// logarithmic axis.
fn points(comparison: &Comparison, protocol: FileProtocol) -> Vec<(f64, f64)> {
    let rows = comparison.of(protocol).into_iter();
    rows.filter_map(|row| {
        let rate = row.row.goodput_bps.filter(|rate| *rate > 0)?;
        Some((row.row.loss.as_f64() * 100.0, rate as f64))
    })
    .collect()
}

/// Returns the power of ten at or beyond the extreme rate.
fn decade(rates: &[f64], extreme: fn(f64, f64) -> f64, round: fn(f64) -> f64) -> f64 {
    10f64.powf(round(rates.iter().copied().reduce(extreme).unwrap_or(1.0).log10()))
}
