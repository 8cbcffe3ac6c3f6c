//! The contract of a kind of rule: how its setting is written, what it does and what it promises.

use super::promise::{Decision, Promise, Traffic};
use super::shorthand::Shorthand;
use super::source::Origin;
use super::stream::{StreamRule, StreamSetup};
use super::written::{Fields, NamedFile, ReadFile};
use crate::packet::Packet;
use crate::stage::{Output, Stage, Verdict};
use jostle_common::setting::SettingError;
use jostle_common::time::Instant;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// The syntax of a kind of rule. Implemented by its setting.
pub(crate) trait RuleSyntax: RuleSetting + Sized {
    /// The fields as a person writes them. Their documentation is that of the schema.
    type Raw: DeserializeOwned + JsonSchema;

    /// The name of the kind.
    const NAME: &'static str;

    /// The fields of an example, as JSON without the braces.
    const EXAMPLE: &'static str;

    /// The fields of which exactly one is written.
    const ONE_OF: &'static [&'static str] = &[];

    /// The options of the command line that make or shape a rule of this kind.
    const SHORTHANDS: &'static [&'static str] = &[];

    /// Makes the setting of the rule at `place` from its fields, or refuses them with the place
    /// and the remedy.
    fn read(place: &str, raw: Self::Raw, read: ReadFile<'_>) -> Result<Self, SettingError>;

    /// Writes the fields of the rule so that `read` makes the same setting of them.
    fn write(&self) -> Fields;

    /// Returns the file that the rule names, if it does.
    fn file(&self) -> Option<NamedFile> {
        None
    }

    /// Calls the file that the rule names, if it does, by another name.
    fn rename_file(&mut self, _: &dyn Fn(&str) -> String) {}

    /// Makes the setting that the shorthands ask for, if they do.
    fn from_shorthand(_: &Shorthand) -> Result<Option<Self>, SettingError> {
        Ok(None)
    }
}

/// The work of a rule and its promise. Implemented by the setting of each kind.
pub(crate) trait RuleSetting: Any + Debug + Send + CloneBoxed {
    /// Returns how the rule treats packets in time.
    fn timing(&self) -> Timing;

    /// Returns true if a packet that the rule chooses skips every wait behind it.
    fn skips_waits(&self) -> bool {
        false
    }

    /// Returns the most copies that the rule makes of one packet.
    fn copies_max(&self) -> u32 {
        0
    }

    /// Returns true if what feeds the link is to wait for the rule, as [`HoldingRule::room`] says.
    fn lets_senders_wait(&self) -> bool {
        false
    }

    /// Computes the tables that flows of one rule share, if it has any.
    fn tables(&self) -> Tables {
        None
    }

    /// Builds the working side of the rule.
    fn build(&self, setup: Setup<'_>) -> Work;

    /// Builds the working side of a rule that acts on delivered streams.
    fn build_stream(&self, _: StreamSetup) -> Option<Box<dyn StreamRule>> {
        None
    }

    /// Returns what the rule does in the long run to packets that it looks at.
    fn promise(&self, traffic: &Traffic) -> Promise;

    /// Returns the same as an object of named numbers: times in seconds, shares as fractions.
    fn numbers(&self, traffic: &Traffic) -> Value;

    /// Says what it is set to, in a few words: `20%`.
    fn brief(&self) -> String;

    /// Says the same in half a sentence.
    fn words(&self, traffic: &Traffic) -> String;

    /// Says what is allowed and probably not meant.
    fn warnings(&self, _: &Traffic) -> Vec<String> {
        Vec::new()
    }

    /// Returns what one draw of the rule decides, if one does.
    fn decision(&self) -> Option<Decision> {
        None
    }
}

/// Clones a setting whose kind is not known. Every setting has it.
pub(crate) trait CloneBoxed {
    /// Clones the setting.
    fn boxed(&self) -> Box<dyn RuleSetting>;
}

impl<S: RuleSetting + Clone> CloneBoxed for S {
    fn boxed(&self) -> Box<dyn RuleSetting> {
        Box::new(self.clone())
    }
}

/// The treatment of packets in time by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// It decides at once and holds nothing.
    Instant,
    /// It holds packets; one that was sent ahead skips it.
    Waiting,
    /// It lets every packet pass at once and sends others behind it.
    Trailing,
    /// It lets every packet pass at once, and sends packets of its own.
    Sending,
    /// It acts on the delivered stream of each TCP connection, behind the link; packets are nothing
    /// to it.
    Stream,
    /// It acts on the sockets of UDP flows; packets are nothing to it.
    Socket,
}

impl Timing {
    /// Returns true if the rule holds nothing.
    pub const fn is_instant(self) -> bool {
        matches!(self, Self::Instant)
    }
}

/// A rule at work.
#[derive(Debug)]
pub(crate) enum Work {
    /// It decides at once. It has nothing to keep when its setting changes: its draws depend on
    /// packet numbers and on time alone.
    Instant(Box<dyn InstantRule>),
    /// It holds packets, and lives on under a new setting.
    Holding(Box<dyn HoldingRule>),
}

impl Work {
    /// Makes the work of a rule on streams or sockets, which lets packets pass. Links leave such rules out.
    pub(crate) fn passing() -> Self {
        Self::Instant(Box::new(Passing))
    }
}

/// Lets every packet pass.
#[derive(Debug)]
struct Passing;

impl InstantRule for Passing {
    fn judge(&mut self, _: &mut Packet) -> Verdict {
        Verdict::Pass
    }

    fn untouched(&mut self, run: &Packet) -> u32 {
        run.count()
    }
}

/// A rule that decides at once.
pub(crate) trait InstantRule: Debug + Send {
    /// Judges a packet, and may change its body. Never called with a mark.
    fn judge(&mut self, packet: &mut Packet) -> Verdict;

    /// Returns the number of packets at the front of a run that it passes untouched, as
    /// [`judge`](Self::judge) would; the one behind is judged by itself. What it does not know it may
    /// leave to that.
    fn untouched(&mut self, _run: &Packet) -> u32 {
        0
    }

    /// Forgets a flow of which no packet will come any more.
    fn forget(&mut self, _flow: u32) {}
}

/// A rule that holds packets.
pub(crate) trait HoldingRule: Stage + Debug + Send {
    /// Takes a packet out of its place, and returns when there is work next.
    // One call through the table of methods does both, and the packet is moved once.
    #[inline]
    fn take(&mut self, packet: &mut Packet) -> Option<Instant> {
        self.handle(packet.take());
        self.deadline()
    }

    /// Returns the next packet whose time here is over at or before `now`, as `poll` does, and says
    /// when there is work next.
    #[inline]
    fn give(&mut self, now: Instant, next: &mut Option<Instant>) -> Option<Output> {
        let output = self.poll(now);
        *next = self.deadline();
        output
    }

    /// Returns true if it holds this run as one: each of its packets would leave as the others do, at
    /// the same time. Otherwise they are given to it one by one.
    fn takes_run(&mut self, _run: &Packet) -> bool {
        false
    }

    /// Returns the number of copies that it made since it was last asked. Asked of what is
    /// [`Timing::Trailing`] alone.
    fn copies_made(&mut self) -> u32 {
        0
    }

    /// Takes on a new setting of the same kind at `now`; without one it lets packets pass, behind
    /// what it holds.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>);

    /// Begins its work at `now`, before any packet comes.
    fn begin(&mut self, _now: Instant) {}

    /// Sends nothing more until it begins again. Asked of what is [`Timing::Sending`] alone.
    fn pause(&mut self) {}

    /// Takes back a packet that it sent itself and that has crossed the link whole by its `at`;
    /// returns the bytes that have become part of a stream by it. Asked of what is
    /// [`Timing::Sending`] alone.
    fn arrived(&mut self, _: &Packet) -> u64 {
        0
    }

    /// Returns the number of bytes of a flow that may come now if what feeds the link is to wait
    /// for it; `None` if the rule bounds what it holds itself.
    fn room(&self, _flow: u32) -> Option<usize> {
        None
    }

    /// Returns true if a packet of the flow may be given to it; once a rule that counts per flow
    /// was removed, it takes no flow that it does not know.
    fn serves(&self, _flow: u32) -> bool {
        true
    }

    /// Forgets a flow of which no packet will come any more, once nothing of it is inside.
    fn forget(&mut self, _flow: u32) {}

    /// Returns true if it reads these tables, in the same memory.
    #[cfg(test)]
    fn shares_tables(&self, _: &Tables) -> bool {
        false
    }
}

/// Returns the setting as that of a kind. A holding rule is only ever given settings of its own.
pub(crate) fn of_kind<S: RuleSetting>(setting: Option<&dyn RuleSetting>) -> Option<&S> {
    let setting: &dyn Any = setting?;
    setting.downcast_ref()
}

/// The parts that a rule at work is made from, besides its setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    /// Counts the rules of the same kind in front of it.
    pub(crate) ordinal: u32,
    pub(crate) origin: Origin,
    /// The tables of its setting.
    pub(crate) tables: &'a Tables,
}

#[cfg(test)]
impl Setup<'_> {
    /// Makes the first of its kind, without tables.
    pub(crate) const fn of(origin: Origin) -> Self {
        Self { ordinal: 0, origin, tables: &None }
    }
}

/// Data that takes long to compute and is the same for all flows of a rule, such as the
/// distribution of a delay, which costs many kilobytes and the time of thousands of packets. Only
/// the kind that made it can read it.
pub(crate) type Tables = Option<Arc<dyn Any + Send + Sync>>;
