//! The estimate of the server's clock from one exchange (Cristian, Distributed Computing 3, 1989).
//!
//! The server read its clock at some moment between question and answer. Taking it for the middle
//! is wrong by at most half the round trip, and by just that when one way takes all of it: a delay
//! that differs between the ways moves the estimate, and cannot be seen.

use super::Reading;
use jostle_common::time::nanos;
use std::time::Duration;

/// One exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// The client's calendar time, read no later than the question went.
    pub asked: Duration,
    /// From then until the answer was there.
    pub round_trip: Duration,
    /// The time that the server answered.
    pub answer: Reading,
}

/// The estimate of how far the server's clock is ahead of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEstimate {
    /// Server minus client in nanoseconds, as if the answer had been made in the middle; saturating
    /// at 292 years.
    pub offset_nanos: i64,
    /// The most that the true offset may be from that, to either side: half the round trip, and
    /// half of what the server's format leaves out.
    pub error: Duration,
}

impl ClockSample {
    /// Returns the estimate of the server's clock.
    pub fn estimate(&self) -> ClockEstimate {
        // A clock that shows 1 ns in its last place was read exactly, as far as we can tell.
        let coarse = nanos(self.answer.resolution).saturating_sub(1);
        let trip = nanos(self.round_trip);
        let signed = |time: Duration| time.as_nanos() as i128;
        let offset = signed(self.answer.wall) + i128::from(coarse / 2)
            - signed(self.asked)
            - i128::from(trip / 2);
        let offset_nanos = offset.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        ClockEstimate {
            offset_nanos,
            error: Duration::from_nanos(trip.div_ceil(2) + coarse.div_ceil(2)),
        }
    }
}

impl ClockEstimate {
    /// Returns the interval in which the true offset lies, in nanoseconds.
    pub fn interval(&self) -> (i64, i64) {
        let error = i64::try_from(nanos(self.error)).unwrap_or(i64::MAX);
        (self.offset_nanos.saturating_sub(error), self.offset_nanos.saturating_add(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_symmetric_way_finds_the_offset_and_a_one_sided_one_its_bound() {
        let at = |nanos| Reading {
            wall: HOUR + Duration::from_nanos(nanos),
            resolution: Duration::from_nanos(1),
        };
        let exchange = |answered| ClockSample {
            asked: HOUR,
            round_trip: Duration::from_nanos(100),
            answer: at(answered),
        };
        let error = Duration::from_nanos(50);
        assert_eq!(exchange(50 + 7).estimate(), ClockEstimate { offset_nanos: 7, error });
        assert_eq!(
            exchange(100).estimate(),
            ClockEstimate { offset_nanos: 50, error },
            "all of it on the way there"
        );
        assert_eq!(exchange(0).estimate().interval(), (-100, 0), "all of it on the way back");
    }

    proptest! {
        #[test]
        fn the_true_offset_is_never_outside(
            there in 0u64..1_000_000_000, back in 0u64..1_000_000_000,
            ahead in -2_000_000_000i64..2_000_000_000, digits in 0u32..10,
        ) {
            let read = HOUR.as_nanos() as i64 + there as i64 + ahead;
            let unit = 10i64.pow(digits);
            let answer = Reading {
                wall: Duration::from_nanos((read / unit * unit) as u64),
                resolution: Duration::from_nanos(unit as u64),
            };
            let sample = ClockSample { asked: HOUR, round_trip: Duration::from_nanos(there + back),
                answer };
            let (least, most) = sample.estimate().interval();
            prop_assert!(least <= ahead && ahead <= most, "{} is not in {}..={}", ahead, least,
                most);
        }

        #[test]
        fn no_answer_overflows(asked: u64, trip: u64, wall: u64, resolution: u64) {
            let [asked, round_trip, resolution] = [asked, trip,
                resolution].map(Duration::from_nanos);
            let answer = Reading { wall: Duration::from_secs(wall), resolution };
            let (least, most) = ClockSample { asked, round_trip, answer }.estimate().interval();
            prop_assert!(least <= most);
        }
    }
}
