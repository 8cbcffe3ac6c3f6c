//! Goodput against loss, a line per protocol: for the page, and as a picture of its own.

use super::super::finished::{Comparison, FileProtocol};
use crate::page::{Figure, Key, LegendEntry, Panel, theme};
use jostle_common::words::ticks::{percent_label, rate_label};
use kuva::prelude::{Layout, LinePlot, MarkerShape, Plot, ScatterPlot, TickFormat};
use std::sync::Arc;

/// On a page that is wide, and on a telephone.
pub(super) const WIDE: (f64, f64) = (960.0, 400.0);
pub(super) const SMALL: (f64, f64) = (460.0, 300.0);

/// Returns the figure as a picture of its own; `None` when there is no line to draw.
pub(super) fn figure(comparison: &Comparison) -> Option<Figure> {
    let drawn = FileProtocol::ALL.into_iter().filter(|one| !comparison.of(*one).is_empty());
    let entry = |protocol: FileProtocol| {
        let marker = match protocol {
            FileProtocol::Tcp => r#"<circle cx="13" cy="7" r="4.5"/>"#,
            FileProtocol::Udp => r#"<path d="M9 3h8v8H9z"/>"#,
            FileProtocol::Saw => r#"<path d="M13 2l5 9H8z"/>"#,
        };
        LegendEntry::new(Key::Marked(marker, false), protocol.name(), protocol.heading())
    };
    Some(Figure {
        title: format!("Goodput of {} against loss", comparison.file),
        notes: vec![NOTE.to_owned()],
        legend: drawn.map(entry).collect(),
        panels: vec![(String::new(), draw(comparison, WIDE)?)],
        styles: vec![super::STYLE],
    })
}

/// What is shown.
pub(super) const NOTE: &str = "Undamaged bytes of the file per second, on a logarithmic scale.";

/// Draws the chart; `None` when there is no line to draw: fewer than two loss rates, or nothing
/// measured.
pub(super) fn draw(comparison: &Comparison, size: (f64, f64)) -> Option<Panel> {
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
        .with_y_label("goodput")
        .with_x_tick_format(TickFormat::Custom(Arc::new(percent_label)))
        .with_y_tick_format(TickFormat::Custom(Arc::new(rate_label)))
        .with_tick_size(14)
        .with_label_size(14)
        .with_force_margins(118.0, 10.0)
        .with_force_margins_y(14.0, 58.0);
    Some(Panel::new(plots, layout, size))
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
