//! The axes of a figure: what stands where, and the texts at the ticks.

use super::super::dimension::Dimension;
use super::super::metric::MetricUnit;
use super::chart::{Across, Label};
use jostle_common::words;
use jostle_common::words::ticks::{
    bytes_label, count_label, percent_label, rate_label, seconds_label,
};

/// Values whose least distance is below this share of their mean one would lie on each other: they
/// stand side by side instead.
const CROWDED: f64 = 0.2;

/// Returns the level axis of a parameter that varies, and its name.
pub(super) fn across(dimension: &Dimension) -> (Across, String) {
    (places(dimension), across_name(dimension))
}

/// Names the quantity on the level axis, with what its numbers do not say themselves.
fn across_name(dimension: &Dimension) -> String {
    let unit = match (dimension.name, dimension.unit()) {
        ("burst" | "up-burst" | "down-burst", "") => "mean length in packets",
        ("burst" | "up-burst" | "down-burst", _) => "mean length",
        ("loss", _) => "share of packets, each way",
        ("delay", _) => "one way",
        (_, "packets") => "packets",
        _ => return dimension.name.to_owned(),
    };
    format!("{} ({unit})", dimension.name)
}

fn places(dimension: &Dimension) -> Across {
    let values: Option<Vec<f64>> = dimension.levels.iter().map(|level| level.value).collect();
    let Some(values) = values.filter(|values| dimension.is_ordered && !is_crowded(values)) else {
        let names = dimension.levels.iter().map(|level| level.text.clone()).collect();
        return Across::Places { names, are_ordered: dimension.is_ordered };
    };
    let label: Label = match dimension.unit() {
        "share" => |value| percent_label(value * 100.0),
        "s" => seconds_label,
        "bit/s" => rate_label,
        "bytes" => bytes_label,
        _ => count_label,
    };
    Across::Numbers { label, low: values[0], high: values[values.len() - 1] }
}

/// Returns the place of a level on the axis.
pub(super) fn position(dimension: &Dimension, across: &Across, level: usize) -> f64 {
    match across {
        Across::Numbers { .. } => dimension.levels[level].value.unwrap_or_default(),
        Across::Places { .. } => level as f64 + 1.0,
    }
}

/// Returns true if ascending values are so uneven that some cannot be told apart on an axis: 0,
/// 0.1 %, 1 %, 10 %.
fn is_crowded(values: &[f64]) -> bool {
    let mean = (values[values.len() - 1] - values[0]) / (values.len() - 1).max(1) as f64;
    values.windows(2).any(|pair| pair[1] - pair[0] < CROWDED * mean)
}

/// Returns the texts at the upright axis.
pub(super) fn upright(unit: MetricUnit) -> Label {
    match unit {
        MetricUnit::BitsPerSecond => rate_label,
        MetricUnit::Seconds => seconds_label,
        MetricUnit::Milliseconds => |value| seconds_label(value / 1e3),
        MetricUnit::Count => count_label,
        MetricUnit::Share => |value| percent_label(value * 100.0),
        MetricUnit::Number => words::number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_values_stand_side_by_side() {
        assert!(is_crowded(&[0.0, 0.001, 0.01, 0.05, 0.1]) && is_crowded(&[1.0, 4.0, 16.0, 64.0]));
        let even: Vec<f64> = (0..100).map(f64::from).collect();
        assert!(!is_crowded(&[0.01, 0.05, 0.2]) && !is_crowded(&even) && !is_crowded(&[0.0, 0.1]));
    }
}
