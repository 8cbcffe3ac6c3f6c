//! The disciplines of a queue: whom it serves, and whom it discards or marks when too much waits.

mod codel;
#[cfg(test)]
mod codel_rfc;
mod dual_pi2;
mod fq_codel;
mod pie;
mod queues;
mod tick;
pub(super) mod written;

pub(super) use codel::{Codel, Fate};
pub(super) use dual_pi2::DualQueue;
pub(super) use fq_codel::FlowQueues;
pub(super) use pie::Pie;
pub(super) use queues::{Queues, discarded, mark};

use super::Queue;
use jostle_common::units::{ByteSize, Frequency, Probability};
use std::time::Duration;

/// The choice of the packet that a queue discards, or marks if its sender takes marks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Discipline {
    /// The one that finds it full.
    #[default]
    Tail,
    /// The one that has waited longest, when another finds it full.
    Head,
    /// Those at its head, while the wait stays above a target (RFC 8289).
    Codel(CodelSetting),
    /// Some of those that come, the more the longer the wait is above a target (RFC 8033).
    Pie(PieSetting),
    /// A queue for each flow, served in turn and kept short by CoDel; the longest gives way (RFC
    /// 8290).
    FqCodel(FqCodelSetting),
    /// A short queue for those who ask for low latency and one for all others, coupled so that both
    /// get their share (RFC 9332).
    DualPi2(DualPi2Setting),
    /// None: what feeds the link is asked to wait. It is for streams whose bytes must not vanish,
    /// and cannot be written in a profile.
    Wait,
}

impl Discipline {
    /// Returns the name in profiles.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tail | Self::Wait => "tail",
            Self::Head => "head",
            Self::Codel(_) => "codel",
            Self::Pie(_) => "pie",
            Self::FqCodel(_) => "fq_codel",
            Self::DualPi2(_) => "dualpi2",
        }
    }

    /// Returns the wait that it aims at, if it does.
    pub const fn target(&self) -> Option<Duration> {
        match self {
            Self::Tail | Self::Head | Self::Wait => None,
            Self::Codel(setting) => Some(setting.target),
            Self::Pie(setting) => Some(setting.target),
            Self::FqCodel(setting) => Some(setting.codel.target),
            Self::DualPi2(setting) => Some(setting.target),
        }
    }

    /// Returns the bound of a queue that names none, and a number of packets that have room whatever
    /// it says.
    pub(super) const fn queue_default(&self) -> (Queue, u64) {
        match self {
            Self::Tail | Self::Head | Self::Codel(_) => {
                (Queue::Time(super::QUEUE_TIME_DEFAULT), super::QUEUE_PACKETS_DEFAULT)
            }
            // Nothing is lost for want of a longer one: it only has to keep the line busy.
            Self::Wait => (Queue::Time(super::QUEUE_TIME_DEFAULT), 1),
            // More than the burst that PIE lets pass; RFC 9332's buffer.
            Self::Pie(_) | Self::DualPi2(_) => {
                (Queue::Time(Duration::from_millis(250)), super::QUEUE_PACKETS_DEFAULT)
            }
            Self::FqCodel(_) => (Queue::Packets(10_240), 0),
        }
    }
}

/// The parameters of CoDel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodelSetting {
    /// The wait that is acceptable for long.
    pub target: Duration,
    /// The time for which it may be exceeded, the order of a round trip.
    pub interval: Duration,
    /// True if packets whose senders take marks are marked instead of discarded.
    pub ecn: bool,
    /// The wait above which each packet is marked whose sender takes marks, whatever else is
    /// decided; `None` for never.
    pub ce_threshold: Option<Duration>,
}

impl CodelSetting {
    /// The target and the interval of RFC 8289 §4.2 and §4.3.
    pub const DEFAULT: Self = Self {
        target: Duration::from_millis(5),
        interval: Duration::from_millis(100),
        ecn: true,
        ce_threshold: None,
    };
}

impl Default for CodelSetting {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The parameters of PIE; the names behind are those of RFC 8033.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PieSetting {
    /// The wait at which it aims (QDELAY_REF).
    pub target: Duration,
    /// The time between two changes of the probability (T_UPDATE).
    pub update: Duration,
    /// The answer to each second of wait beyond the target.
    pub alpha: Frequency,
    /// The answer to each second that the wait grew.
    pub beta: Frequency,
    /// The time for which a new burst passes untouched (MAX_BURST).
    pub burst: Duration,
    /// The mean size of packets: no more than two of them in the queue are no congestion.
    pub packet: ByteSize,
    /// The probability from which on packets are discarded though their senders take marks
    /// (MAX_ECNTH); 0 discards always.
    pub ecn_below: Probability,
    /// True if discards are kept from coming in runs and at great distances (RFC 8033 §5.4).
    pub derandomize: bool,
}

impl PieSetting {
    /// The parameters of RFC 8033.
    pub fn rfc() -> Self {
        Self {
            target: Duration::from_millis(15),
            update: Duration::from_millis(15),
            alpha: hertz(0.125),
            beta: hertz(1.25),
            burst: Duration::from_millis(150),
            packet: ByteSize::new(1500),
            ecn_below: Probability::new(0.1).expect("a tenth is a probability"),
            derandomize: false,
        }
    }
}

/// The parameters of FQ-CoDel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FqCodelSetting {
    /// The parameters of each queue.
    pub codel: CodelSetting,
    /// The number of queues, over which flows are spread by a hash.
    pub queues: u32,
    /// The bytes that a queue may send in its turn.
    pub quantum: u32,
    /// The most bytes that wait in all queues together, whatever the bound of the rule says.
    pub memory: ByteSize,
    /// The most packets that the longest queue loses at once when all together are too long.
    pub batch: u32,
}

impl FqCodelSetting {
    /// The parameters of RFC 8290 §5.2; the memory and the batch are Linux's.
    pub const DEFAULT: Self = Self {
        codel: CodelSetting::DEFAULT,
        queues: 1024,
        quantum: 1514,
        memory: ByteSize::new(32 << 20),
        batch: 64,
    };
}

/// The parameters of DualPI2; the names behind are those of RFC 9332, appendix A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DualPi2Setting {
    /// The wait at which it aims in the classic queue.
    pub target: Duration,
    /// The longest round trip for which it is stable (RTT_max): the rest follows from it.
    pub round_trip: Duration,
    /// The time between two changes of the probability (Tupdate); `None` is the least of the target
    /// and a third of the round trip.
    pub update: Option<Duration>,
    /// The answer to each second of wait beyond the target; `None` is 0.1·Tupdate/RTT_max².
    pub alpha: Option<Frequency>,
    /// The answer to each second that the wait grew; `None` is 0.3/RTT_max.
    pub beta: Option<Frequency>,
    /// The ratio of the low-latency queue's probability to the root of the classic one's (k).
    pub coupling: f64,
    /// The wait in the low-latency queue from which on packets are marked (minTh),
    pub threshold: Duration,
    /// and how much more of it until all are; 0 is a step.
    pub range: Duration,
    /// No more packets than these behind the one that is sent are no queue (Th_len).
    pub threshold_packets: u32,
    /// The way in which the two share the line.
    pub scheduler: DualScheduler,
}

/// The order in which two coupled queues are served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DualScheduler {
    /// Low latency first, but this share of the bytes is the classic queue's if it has as much.
    Share(Probability),
    /// Whoever has waited longer, if low latency had come this much earlier (TS-FIFO).
    TimeShift(Duration),
}

impl DualPi2Setting {
    /// The parameters of RFC 9332, appendix A.1; the scheduler's share, which it leaves open, is
    /// Linux's.
    pub fn rfc() -> Self {
        Self {
            target: Duration::from_millis(15),
            round_trip: Duration::from_millis(100),
            update: None,
            alpha: None,
            beta: None,
            coupling: 2.0,
            threshold: Duration::from_micros(800),
            range: Duration::from_micros(400),
            threshold_packets: 1,
            scheduler: DualScheduler::Share(
                Probability::new(0.1).expect("a tenth is a probability"),
            ),
        }
    }

    /// Returns the time between two changes of the probability.
    pub fn update(&self) -> Duration {
        self.update.unwrap_or_else(|| self.target.min(self.round_trip / 3)).max(tick::LEAST)
    }

    /// Returns the gains α and β, in hertz.
    pub fn gains(&self) -> (f64, f64) {
        let (update, round_trip) = (seconds(self.update()), seconds(self.round_trip));
        let alpha = 0.1 * update / (round_trip * round_trip);
        let beta = 0.3 / round_trip;
        (self.alpha.map_or(alpha, Frequency::hertz), self.beta.map_or(beta, Frequency::hertz))
    }
}

/// Returns a time in seconds.
fn seconds(time: Duration) -> f64 {
    jostle_common::time::nanos(time) as f64 / 1e9
}

fn hertz(hertz: f64) -> Frequency {
    Frequency::new(hertz).expect("the RFC's gains are frequencies")
}
