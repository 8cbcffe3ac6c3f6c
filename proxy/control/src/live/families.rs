//! Families of metrics, as the library writes them in either format.

use jostle_proxy::Distribution;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// The upper bounds of the classes of delays and latenesses, in nanoseconds: 1, 2 and 5 times the
/// powers of ten from 1 µs to 50 s.
const EDGES: [u64; 24] = edges();

const fn edges() -> [u64; 24] {
    let (mut edges, mut place, mut decade) = ([0; 24], 0, 1_000);
    while place < edges.len() {
        edges[place] = decade * [1, 2, 5][place % 3];
        if place % 3 == 2 {
            decade *= 10;
        }
        place += 1;
    }
    edges
}

/// The labels of a sample, in their order.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes families of metrics. What has no row is left out.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl<'e> Families<'e> {
    pub(super) const fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    pub(super) fn counter<'a, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (Labels<'a>, V)>,
    ) -> fmt::Result {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    pub(super) fn gauge<'a, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (Labels<'a>, V)>,
    ) -> fmt::Result {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    pub(super) fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (Labels<'a>, &'a Distribution)>,
    ) -> fmt::Result {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        // Where one class ends in truth: times are told apart by steps.
        let bounds = EDGES.iter().map(|edge| Distribution::edge(*edge) as f64 / 1e9);
        let bounds: Vec<f64> = bounds.chain([f64::INFINITY]).collect();
        for (labels, times) in rows {
            let classes: Vec<(f64, u64)> =
                bounds.iter().copied().zip(times.classes(&EDGES)).collect();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                times.sum(),
                times.count(),
                &classes,
                None,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_go_from_a_microsecond_to_most_of_a_minute() {
        assert_eq!((EDGES[0], EDGES[1], EDGES[2], EDGES[3]), (1_000, 2_000, 5_000, 10_000));
        assert_eq!(EDGES[23], 50_000_000_000);
    }
}
