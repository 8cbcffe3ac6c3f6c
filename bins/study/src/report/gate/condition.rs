//! A condition under which a comparison with older rows fails: `goodput < 0.9`.

use super::super::metric::Metric;
use std::fmt;
use std::str::FromStr;

/// The side of the ratio that is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Side {
    /// Ratios below it.
    Below,
    /// Ratios above it.
    Above,
}

/// A condition that a metric must not meet.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Condition {
    /// The name of the metric.
    pub(in super::super) metric: String,
    /// The side of the ratio that is bad.
    pub(in super::super) side: Side,
    /// New / old.
    pub(in super::super) ratio: f64,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(at) = text.find(['<', '>']) else {
            return Err(format!("\"{text}\" has no < or >; write 'goodput < 0.9', say"));
        };
        let side = if text[at..].starts_with('<') { Side::Below } else { Side::Above };
        let (name, rest) = (text[..at].trim(), text[at + 1..].trim());
        if name.is_empty() {
            return Err("there is no metric before the sign; write 'goodput < 0.9', say".to_owned());
        }
        if let Some(number) = rest.strip_prefix('=') {
            return Err(format!(
                "write < or > without =: '{name} {} {}'",
                &text[at..=at],
                number.trim()
            ));
        }
        if Metric::named(name).is_none() {
            let known = Metric::known().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "there is no metric \"{name}\"; write one of {known}, discarded.REASON or \
                 measured.NAME"
            ));
        }
        let ratio = ratio(rest).ok_or_else(|| {
            format!(
                "\"{rest}\" is no ratio of new to old; write 0.9 or 90%, say, with nothing \
                     behind it"
            )
        })?;
        Ok(Self { metric: name.to_owned(), side, ratio })
    }
}

fn ratio(text: &str) -> Option<f64> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let ratio = number.parse::<f64>().ok()? / unit;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

impl Condition {
    /// Returns true if a ratio is on the bad side.
    pub(super) fn is_met(&self, ratio: f64) -> bool {
        match self.side {
            Side::Below => ratio < self.ratio,
            Side::Above => ratio > self.ratio,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.side == Side::Below { '<' } else { '>' };
        write!(f, "{} {sign} {}", self.metric, self.ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_people_write_them() {
        for (text, shown) in [
            ("goodput < 0.9", "goodput < 0.9"),
            ("goodput<90%", "goodput < 0.9"),
            (" rtt-p99 >1.25 ", "rtt-p99 > 1.25"),
            ("measured.end.fps < 1", "measured.end.fps < 1"),
            ("discarded.queue_full > 200 %", "discarded.queue_full > 2"),
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), shown, "{text}");
        }
        let below: Condition = "seconds < 0.5".parse().unwrap();
        assert_eq!([0.4, 0.5, 0.6].map(|ratio| below.is_met(ratio)), [true, false, false]);
        let above: Condition = "seconds > 0.5".parse().unwrap();
        assert_eq!([0.4, 0.5, 0.6].map(|ratio| above.is_met(ratio)), [false, false, true]);
    }

    #[test]
    fn what_is_no_condition_is_refused_with_a_remedy() {
        for (text, words) in [
            ("", "has no < or >; write 'goodput < 0.9'"),
            ("goodput 0.9", "has no < or >"),
            ("< 0.9", "no metric before the sign"),
            ("goodput <= 0.9", "write < or > without =: 'goodput < 0.9'"),
            ("speed < 0.9", "there is no metric \"speed\"; write one of goodput, seconds, rtt"),
            ("measured. < 0.9", "there is no metric \"measured.\""),
            ("goodput <", "\"\" is no ratio"),
            ("goodput < nine", "\"nine\" is no ratio"),
            ("goodput < 0", "is no ratio"),
            ("goodput < -1", "is no ratio"),
            ("goodput < inf", "is no ratio"),
            ("goodput < 0.9 or rtt > 2", "is no ratio"),
        ] {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
