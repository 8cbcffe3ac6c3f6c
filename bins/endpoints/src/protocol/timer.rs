//! The time to ask again: the retransmission timer of RFC 6298, with bounds that suit a request and
//! its answer.

use jostle_common::time::nanos;
use jostle_common::units::{UnitError, format_duration, parse_duration};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The least that is added to the smoothed round trip, and so the least timeout: below it the
/// scheduler's own delays would look like losses. It stands where RFC 6298 has the granularity of
/// the clock: on a link whose delay never varies, RTTVAR decays to nothing, and a timeout of
/// exactly one round trip would expire as the answer arrives.
pub const FLOOR: Duration = Duration::from_millis(5);
/// The longest timeout, backoff included.
pub const CAP: Duration = Duration::from_secs(1);
/// The first timeout, when no round trip is known. RFC 6298 says 1 s, because its senders cannot
/// tell which copy was answered; here an answer names its attempt, so asking early costs a packet
/// and nothing else.
pub const INITIAL: Duration = Duration::from_millis(50);
/// The number of times that the timeout may double.
const DOUBLINGS_MAX: u32 = 2;

/// The rule by which the timeout is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// From the round trips that were measured.
    #[default]
    Adaptive,
    /// Always the same, without backoff: for experiments.
    Fixed(Duration),
}

impl FromStr for Timing {
    type Err = UnitError;

    /// Reads `adaptive`, or `fixed:` and a time.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "adaptive" {
            return Ok(Self::Adaptive);
        }
        let Some(fixed) = text.strip_prefix("fixed:") else {
            let remedy = "write \"adaptive\", or \"fixed:\" and a time, such as \"fixed:200ms\"";
            return Err(UnitError::new(format!("\"{text}\" is no way to find a timeout"), remedy));
        };
        match parse_duration(fixed)? {
            Duration::ZERO => Err(UnitError::new(
                "a timeout of 0 would ask without end",
                "write one such as \"fixed:200ms\"",
            )),
            timeout => Ok(Self::Fixed(timeout)),
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adaptive => f.write_str("adaptive"),
            Self::Fixed(timeout) => write!(f, "fixed:{}", format_duration(*timeout)),
        }
    }
}

/// A retransmission timer: RTO = SRTT + max(5 ms, 4·RTTVAR) (RFC 6298 §2), doubled after each
/// timeout up to fourfold.
#[derive(Clone, Copy, Debug)]
pub struct RetransmissionTimer {
    timing: Timing,
    /// Smoothed round trip and its variation, in nanoseconds.
    smoothed: Option<(u64, u64)>,
    doublings: u32,
}

impl RetransmissionTimer {
    /// Creates a timer that has measured nothing.
    pub const fn new(timing: Timing) -> Self {
        Self { timing, smoothed: None, doublings: 0 }
    }

    /// Takes in a measured round trip, and ends the backoff.
    pub fn sample(&mut self, round_trip: Duration) {
        let r = nanos(round_trip);
        self.smoothed = Some(match self.smoothed {
            None => (r, r / 2),
            // RTTVAR first, from the old SRTT: alpha is 1/8, beta 1/4.
            Some((mean, variation)) => {
                let variation = weighted(variation, mean.abs_diff(r), 4);
                (weighted(mean, r, 8), variation)
            }
        });
        self.reset();
    }

    /// Ends the backoff: something valid arrived.
    pub const fn reset(&mut self) {
        self.doublings = 0;
    }

    /// Doubles the timeout, up to fourfold: nothing arrived in time.
    pub const fn back_off(&mut self) {
        if self.doublings < DOUBLINGS_MAX {
            self.doublings += 1;
        }
    }

    /// Returns the time to wait for an answer now.
    pub fn timeout(&self) -> Duration {
        let base = match (self.timing, self.smoothed) {
            (Timing::Fixed(timeout), _) => return timeout,
            (Timing::Adaptive, None) => INITIAL,
            (Timing::Adaptive, Some((mean, variation))) => {
                let margin = Duration::from_nanos(variation.saturating_mul(4)).max(FLOOR);
                Duration::from_nanos(mean).saturating_add(margin)
            }
        };
        base.saturating_mul(1 << self.doublings).min(CAP)
    }
}

/// Returns (old·(parts−1) + new) / parts, without overflow.
fn weighted(old: u64, new: u64, parts: u64) -> u64 {
    let sum = u128::from(old) * u128::from(parts - 1) + u128::from(new);
    (sum / u128::from(parts)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn ways_to_find_a_timeout_are_read_and_printed() {
        for text in ["adaptive", "fixed:200ms", "fixed:1.5s"] {
            assert_eq!(text.parse::<Timing>().unwrap().to_string(), text);
        }
        for text in ["", "fixed", "fixed:", "fixed:0", "fixed:200", "200ms"] {
            assert!(text.parse::<Timing>().is_err(), "{text}");
        }
    }

    #[test]
    fn follows_the_arithmetic_of_rfc_6298() {
        let mut timer = RetransmissionTimer::new(Timing::Adaptive);
        assert_eq!(timer.timeout(), INITIAL);
        timer.sample(ms(100));
        assert_eq!(timer.timeout(), ms(300), "SRTT = R, RTTVAR = R/2");
        timer.sample(ms(60));
        // RTTVAR = 3/4·50 + 1/4·40 = 47.5 ms; SRTT = 7/8·100 + 1/8·60 = 95 ms.
        assert_eq!(timer.timeout(), ms(285));
    }

    #[test]
    fn backs_off_fourfold_at_most_and_any_answer_ends_it() {
        let mut timer = RetransmissionTimer::new(Timing::Adaptive);
        timer.sample(ms(20));
        for expected in [60, 120, 240, 240, 240] {
            assert_eq!(timer.timeout(), ms(expected));
            timer.back_off();
        }
        timer.reset();
        assert_eq!(timer.timeout(), ms(60));
    }

    #[test]
    fn keeps_between_floor_and_cap() {
        let mut timer = RetransmissionTimer::new(Timing::Adaptive);
        timer.sample(Duration::from_micros(30));
        assert_eq!(timer.timeout(), FLOOR + Duration::from_micros(30));
        timer.sample(Duration::from_secs(30));
        assert_eq!(timer.timeout(), CAP);
        timer.back_off();
        assert_eq!(timer.timeout(), CAP);
    }

    #[test]
    fn a_steady_round_trip_leaves_a_margin() {
        let mut timer = RetransmissionTimer::new(Timing::Adaptive);
        (0..200).for_each(|_| timer.sample(ms(40)));
        assert_eq!(timer.timeout(), ms(45));
    }

    #[test]
    fn a_fixed_timeout_stays() {
        let mut timer = RetransmissionTimer::new(Timing::Fixed(ms(40)));
        timer.sample(ms(3));
        timer.back_off();
        assert_eq!(timer.timeout(), ms(40));
    }

    proptest! {
        #[test]
        fn no_sample_breaks_the_bounds(samples: Vec<u64>) {
            let mut timer = RetransmissionTimer::new(Timing::Adaptive);
            for sample in samples {
                timer.sample(Duration::from_nanos(sample));
                prop_assert!((FLOOR..=CAP).contains(&timer.timeout()));
            }
        }
    }
}
