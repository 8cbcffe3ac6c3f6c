//! Percentiles of times, in microseconds.

use crate::measure::rounded;
use serde_json::{Value, json};

/// Returns how many there are, their least, median, 99th percentile and most, in microseconds;
/// `None` of none. They are ranks: each is a time that occurred.
pub(crate) fn fields(nanos: &mut [i64]) -> Option<Value> {
    nanos.sort_unstable();
    let (least, most) = (nanos.first()?, nanos.last()?);
    let micros = |value: &i64| rounded(*value as f64 / 1e3);
    let rank = |percent: usize| &nanos[(nanos.len() * percent).div_ceil(100).max(1) - 1];
    Some(json!({
        "times": nanos.len(),
        "least_us": micros(least),
        "p50_us": micros(rank(50)),
        "p99_us": micros(rank(99)),
        "most_us": micros(most),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_least_that_so_many_do_not_exceed() {
        let mut nanos: Vec<i64> = (1..=200).rev().map(|value| value * 1000).collect();
        let told = fields(&mut nanos).unwrap();
        assert_eq!(
            told,
            json!({ "times": 200, "least_us": 1.0, "p50_us": 100.0, "p99_us": 198.0,
                    "most_us": 200.0 })
        );
        assert_eq!(fields(&mut [-500]).unwrap()["p99_us"], json!(-0.5));
        assert_eq!(fields(&mut []), None);
    }
}
