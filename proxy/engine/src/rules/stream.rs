//! The contract of a rule on the delivered stream: what comes out of a connection's links, one
//! direction of it.
//!
//! Such a rule is told the time with everything that comes and computes with due times, as a stage
//! does. What it holds was not consumed yet, so that the sender's window bounds it; what it
//! discards counts as consumed at once.

use super::promise::{Promise, Traffic};
use super::setting::{RuleSetting, Setup, Timing, Work};
use super::source::Source;
use bytes::Bytes;
use jostle_common::time::Instant;
use serde_json::Value;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt::Debug;

/// A part of a delivered stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// The next bytes.
    Data(Bytes),
    /// Its sender has ended it (FIN).
    End,
    /// Its sender has torn the connection down (RST).
    Reset,
    /// A rule closes the connection here, towards both sides.
    Close,
}

/// An act of a rule on the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    /// This goes on.
    Pass(Item),
    /// These bytes end here.
    Discard(Bytes),
    /// The connection is reset towards both sides, at once.
    ResetBoth,
}

/// The acts of a rule, in order.
pub(crate) type Deeds = VecDeque<Deed>;

/// A rule on one direction of one connection.
pub(crate) trait StreamRule: Debug + Send {
    /// Takes what comes at `now`.
    fn handle(&mut self, now: Instant, item: Item, deeds: &mut Deeds);

    /// Does the next piece of work that is due at `now`.
    fn work(&mut self, now: Instant, deeds: &mut Deeds);

    /// Returns the time at which there is work; `None`: not before something comes.
    fn deadline(&self) -> Option<Instant>;

    /// Takes on a new setting of the same kind at `now`.
    fn retune(&mut self, now: Instant, setting: &dyn RuleSetting);

    /// Ends the rule: what it holds goes on at once, in order.
    fn release(&mut self, deeds: &mut Deeds);

    /// Returns true if it holds nothing.
    fn is_empty(&self) -> bool {
        true
    }
}

/// The setting of a kind of rule on the stream. It is a [`RuleSetting`] whose promise needs no
/// traffic, and which does nothing to packets.
pub(crate) trait StreamSetting: Any + Debug + Send + Clone {
    /// Builds the working side of the rule.
    fn build_stream(&self, setup: StreamSetup) -> Box<dyn StreamRule>;

    /// Returns what the rule does in the long run.
    fn promise(&self) -> Promise;

    /// Returns the same as an object of named numbers.
    fn numbers(&self) -> Value;

    /// Says what it is set to, in a few words.
    fn brief(&self) -> String;

    /// Says the same in half a sentence.
    fn words(&self) -> String;
}

impl<S: StreamSetting> RuleSetting for S {
    fn timing(&self) -> Timing {
        Timing::Stream
    }

    fn build(&self, _: Setup<'_>) -> Work {
        Work::passing()
    }

    fn build_stream(&self, setup: StreamSetup) -> Option<Box<dyn StreamRule>> {
        Some(StreamSetting::build_stream(self, setup))
    }

    fn promise(&self, _: &Traffic) -> Promise {
        StreamSetting::promise(self)
    }

    fn numbers(&self, _: &Traffic) -> Value {
        StreamSetting::numbers(self)
    }

    fn brief(&self) -> String {
        StreamSetting::brief(self)
    }

    fn words(&self, _: &Traffic) -> String {
        StreamSetting::words(self)
    }
}

/// The parts that a rule on the stream is made from, besides its setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamSetup {
    /// The time at which the connection opened, or the rule came to it.
    pub(crate) since: Instant,
    /// The draws of the connection.
    pub(crate) source: Source,
}
