//! `rebind`: lets a UDP flow leave from a fresh socket, as behind a NAT that gives it another port,
//! or on a device that changes its network.
//!
//! It acts on the sockets of flows, and packets are nothing to it: [`crate::rebinding`] says when.

mod addresses;
mod promise;
mod written;

pub use addresses::RebindAddresses;

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, RuleSyntax, Setup, Timing, Work};
use super::written::{Fields, ReadFile};
use jostle_common::setting::SettingError;
use serde_json::Value;
use std::time::Duration;

/// The shortest time from one fresh socket of a flow to the next.
pub(crate) const GAP_MIN: Duration = Duration::from_millis(10);

/// The setting of a `rebind` rule. Without `first` and `every` it acts once on each flow that stands
/// when it comes into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebind {
    /// The time after the flow's begin at which it first leaves from a fresh socket.
    pub first: Option<Duration>,
    /// The time after which it does so again and again; the mean, if it is drawn.
    pub every: Option<Duration>,
    /// True if the times between are drawn from an exponential distribution.
    pub random: bool,
    /// The addresses that it takes.
    pub addresses: RebindAddresses,
    /// True if what still comes to the old socket is delivered, and not dropped.
    pub delivers_old: bool,
}

impl RuleSyntax for Rebind {
    type Raw = written::RawRebind;

    const NAME: &'static str = "rebind";
    const EXAMPLE: &'static str = r#""first": "5s", "every": "30s", "old": "deliver""#;

    fn read(place: &str, raw: Self::Raw, _: ReadFile<'_>) -> Result<Self, SettingError> {
        written::read(place, raw)
    }

    fn write(&self) -> Fields {
        written::write(self)
    }
}

impl RuleSetting for Rebind {
    fn timing(&self) -> Timing {
        Timing::Socket
    }

    fn build(&self, _: Setup<'_>) -> Work {
        Work::passing()
    }

    fn promise(&self, _: &Traffic) -> Promise {
        Promise::default()
    }

    fn numbers(&self, _: &Traffic) -> Value {
        promise::numbers(self)
    }

    fn brief(&self) -> String {
        promise::brief(self)
    }

    fn words(&self, _: &Traffic) -> String {
        promise::words(self)
    }
}
