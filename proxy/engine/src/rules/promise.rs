//! The promise of a rule, and the traffic for which it holds.

use super::LossModel;
use jostle_common::units::Probability;

/// The known facts of the packets that a rule will meet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Their size in bytes.
    pub size: u32,
    /// The number that come per second, if that is known.
    pub packets_per_second: Option<f64>,
    /// The standard deviation of the delays, in seconds, that a run of these packets saw when they
    /// kept their order.
    pub sd_in_order: Option<f64>,
    /// The share of the packets of such a run that arrived behind a later one.
    pub reordered: Option<f64>,
}

impl Traffic {
    /// Describes packets of a size, at no known rate.
    pub const fn of_size(size: u32) -> Self {
        Self { size, packets_per_second: None, sd_in_order: None, reordered: None }
    }

    /// Returns the time from packet to packet in seconds, if it is known.
    pub fn gap(&self) -> Option<f64> {
        self.packets_per_second.map(|rate| 1.0 / rate)
    }
}

/// The effects of a rule in the long run, as far as it bears on other rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promise {
    /// The packets that it loses.
    pub loss: Loss,
    /// The mean delay in seconds, queues aside.
    pub delay: f64,
    /// The standard deviation of that delay.
    pub jitter: f64,
    /// True if kept order can narrow the jitter.
    pub narrows: bool,
    /// The speed to which it limits packets.
    pub limit: Option<Limit>,
    /// True if it says 0 and so never does anything.
    pub is_idle: bool,
}

/// The packets that a rule loses in the long run, full queues aside.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loss {
    /// Nothing.
    #[default]
    Nothing,
    /// By a chain that takes a step with each packet that the rule counts.
    Counted(LossModel),
    /// By a chain, however the rule counts packets.
    Uncounted(LossModel),
    /// By what no chain describes.
    Unknown,
}

/// A link's speed and queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The speed; the mean of a trace.
    pub bits_per_second: f64,
    /// The time to send one packet of the given size, in seconds.
    pub packet: f64,
    /// The bytes that may wait.
    pub queue_bytes: f64,
    /// The wait of the last of them, in seconds.
    pub queue: f64,
    /// The share of the speed that the given packets take.
    pub load: Option<f64>,
}

/// The decision that one draw of a rule makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// The packet is chosen if the draw is below this probability.
    Below(Probability),
    /// The draw is the quantile of what the packet gets, or moves the state of a model.
    Quantile,
}

/// Writes a time as people say it, in two digits of milliseconds: `5.8 ms`, `120 ms`.
pub fn millis(seconds: f64) -> String {
    let millis = seconds * 1e3;
    let decimals = if millis >= 9.95 {
        0
    } else if millis >= 0.995 {
        1
    } else {
        3
    };
    let digits = format!("{millis:.decimals$}");
    let short = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        &digits
    };
    format!("{short} ms")
}
