//! The rules of a profile: a folder for each kind, and one table of them.
//!
//! A kind's folder holds what is written (`written.rs`), its setting and defaults (`mod.rs`), what
//! it does to packets (an instant rule or a stage), and what it promises, in numbers and in words
//! (`promise.rs`). A few kinds act on the delivered stream of a TCP connection instead
//! (`stream.rs`, `rule.rs` in their folders). Whatever needs to know the kinds asks the table here.
//! `docs/adding-a-rule.md` walks through one of them.

mod batch;
mod close_after;
mod corrupt;
mod cross;
mod delay;
mod drop;
mod duplicate;
mod losses;
mod mark;
mod outage;
mod paths;
mod promise;
mod rate;
mod rebind;
mod reorder;
mod reset;
mod selection;
mod setting;
mod shorthand;
mod size;
mod slice;
mod slow_close;
mod sojourns;
mod source;
mod stall;
mod stream;
#[cfg(test)]
mod tests;
mod written;

pub use batch::{Batch, BatchThen, BatchTrigger};
pub use close_after::CloseAfter;
pub use corrupt::{Corrupt, Flips};
pub use cross::{Cross, CrossTraffic};
pub use delay::{Delay, DelaySource, DelayTable, DelayTrace, DrawnDelay, Shape};
pub use drop::{BurstLength, Drop, FourState};
pub use duplicate::Duplicate;
pub use losses::{LossModel, Losses};
pub use mark::Mark;
pub use outage::Outage;
pub use paths::PathName;
pub use promise::{Decision, Limit, Loss, Promise, Traffic, millis};
pub use rate::{
    CodelSetting, Discipline, DualPi2Setting, DualScheduler, FqCodelSetting, OPPORTUNITY_BYTES,
    PieSetting, Queue, Rate, RateSource, RateTrace,
};
pub use rebind::{Rebind, RebindAddresses};
pub use reorder::Reorder;
pub use reset::Reset;
pub use selection::{AgeMatch, EcnMatch, FlowMatch, HostMatch, Match, MatchBytes, Per, Selection};
pub use setting::Timing;
pub use shorthand::{JitterShape, Shorthand};
pub use size::Size;
pub use slice::Slice;
pub use slow_close::SlowClose;
pub use stall::Stall;
pub use written::{ReadFile, no_files};

pub(crate) use delay::{TIME_MAX as DELAY_MAX, gaussian_quantile};
pub(crate) use duplicate::{RULES_MAX as DUPLICATE_RULES_MAX, copy_number};
pub(crate) use paths::PATHS_MAX;
pub(crate) use rebind::GAP_MIN as REBIND_GAP_MIN;
pub(crate) use selection::{RawSelection, write as write_selection};
pub(crate) use setting::{HoldingRule, InstantRule, RuleSetting, RuleSyntax, Setup, Tables, Work};
pub(crate) use sojourns::Sojourns;
pub(crate) use source::{Origin, Source};
pub(crate) use stream::{Deed, Deeds, Item, StreamRule, StreamSetup};
pub(crate) use written::{Fields, NamedFile};

use crate::route::Toxic;
use jostle_common::setting::{SettingError, decode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::sync::Arc;

/// One rule of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Identifies the rule in its draws, in counters and in events: its `name`, or its kind and
    /// ordinal among its kind (`drop`, `drop#2`).
    pub key: String,
    /// Counts the rules of the same kind in front of it in this direction.
    pub ordinal: u32,
    /// Says which packets it looks at.
    pub selection: Selection,
    /// Says what it does.
    pub kind: RuleKind,
    /// False if it does nothing for now: it keeps its key, its ordinal and its setting, and the
    /// link works as if it were not there.
    pub enabled: bool,
    /// The toxic that it was written as, if it was.
    pub toxic: Option<Arc<Toxic>>,
}

impl Rule {
    /// The beginning of the keys of those that shorthands put in front of a profile. They are
    /// counted behind its own.
    pub(crate) const SHORTHAND: &'static str = "--";

    /// Returns the key of a rule without a name that has so many of its kind in front of it.
    pub fn key_of(kind: &str, ordinal: u32) -> String {
        match ordinal {
            0 => kind.to_owned(),
            _ => format!("{kind}#{}", ordinal + 1),
        }
    }

    /// Returns the ordinal that such a key says, if it is one.
    pub(crate) fn ordinal_of(kind: &str, key: &str) -> Option<u32> {
        match key.strip_prefix(kind)? {
            "" => Some(0),
            rest => rest.strip_prefix('#')?.parse::<u32>().ok()?.checked_sub(1),
        }
    }

    /// Makes the only rule of its kind, for every packet.
    pub fn only(kind: RuleKind) -> Self {
        let key = kind.name().to_owned();
        Self { key, ordinal: 0, selection: Selection::default(), kind, enabled: true, toxic: None }
    }
}

/// Declares the kinds: an enum of their settings, and the table that everything else walks.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// The setting of a rule, by kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum RuleKind {
            $($(#[$doc])* $kind($kind),)*
        }

        /// The kinds of rules, in the order in which messages and documents list them.
        pub static KINDS: &[KindEntry] = &[$(KindEntry {
            name: <$kind as RuleSyntax>::NAME,
            example: <$kind as RuleSyntax>::EXAMPLE,
            one_of: <$kind as RuleSyntax>::ONE_OF,
            shorthands: <$kind as RuleSyntax>::SHORTHANDS,
            read: |place, value, read| {
                let raw = decode(place, value)?;
                <$kind as RuleSyntax>::read(place, raw, read).map(RuleKind::$kind)
            },
            fields: <<$kind as RuleSyntax>::Raw as JsonSchema>::json_schema,
            from_shorthand: |shorthand| {
                let setting = <$kind as RuleSyntax>::from_shorthand(shorthand)?;
                Ok(setting.map(RuleKind::$kind))
            },
        },)*];

        impl RuleKind {
            /// Returns the name of the kind, as written in a profile.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => <$kind as RuleSyntax>::NAME,)*
                }
            }

            /// Returns its own fields as a profile has them.
            pub(crate) fn write(&self) -> Fields {
                match self {
                    $(Self::$kind(setting) => setting.write(),)*
                }
            }

            /// Returns the file that it names, if it does.
            pub(crate) fn file(&self) -> Option<NamedFile> {
                match self {
                    $(Self::$kind(setting) => setting.file(),)*
                }
            }

            /// Calls the file that it names, if it does, by another name.
            pub(crate) fn rename_file(&mut self, rename: &dyn Fn(&str) -> String) {
                match self {
                    $(Self::$kind(setting) => setting.rename_file(rename),)*
                }
            }

            pub(crate) fn setting(&self) -> &dyn RuleSetting {
                match self {
                    $(Self::$kind(setting) => setting,)*
                }
            }
        }
    };
}

kinds! {
    /// Loses packets.
    Drop,
    /// Marks packets as having met congestion, and loses those that cannot be marked.
    Mark,
    /// Flips bits.
    Corrupt,
    /// Holds packets for a time.
    Delay,
    /// Makes copies.
    Duplicate,
    /// Lets later packets overtake, or a packet overtake earlier ones.
    Reorder,
    /// Serialises packets at a rate, with a queue in front.
    Rate,
    /// Gathers packets and lets them go together.
    Batch,
    /// Cuts the link from time to time.
    Outage,
    /// Loses what is too large.
    Size,
    /// Lets a UDP flow leave from a fresh socket.
    Rebind,
    /// Sends traffic of others through what is behind it.
    Cross,
    /// Lets a delivered stream out in small pieces.
    Slice,
    /// Discards a delivered stream.
    Stall,
    /// Holds the end of a delivered stream.
    SlowClose,
    /// Resets a connection once something comes.
    Reset,
    /// Closes a connection by bytes or by time.
    CloseAfter,
}

type Reader = fn(&str, Value, ReadFile<'_>) -> Result<RuleKind, SettingError>;

/// A row of the table of kinds: what is known of a kind before any rule of it is written.
#[derive(Clone, Copy, Debug)]
pub struct KindEntry {
    /// The name, as written after `"rule":`.
    pub name: &'static str,
    /// The fields of an example, as JSON without the braces.
    pub example: &'static str,
    /// The fields of which exactly one is written.
    pub one_of: &'static [&'static str],
    /// The options of the command line that make or shape a rule of this kind.
    pub shorthands: &'static [&'static str],
    /// Reads the fields of a rule of this kind that stands at a place.
    pub(crate) read: Reader,
    /// Describes the fields.
    pub(crate) fields: fn(&mut SchemaGenerator) -> Schema,
    /// Makes the rule that the shorthands ask for.
    pub(crate) from_shorthand: fn(&Shorthand) -> Result<Option<RuleKind>, SettingError>,
}

impl RuleKind {
    /// Returns how the rule treats packets in time.
    pub fn timing(&self) -> Timing {
        self.setting().timing()
    }

    /// Returns true if the rule acts on the delivered streams of TCP connections, and not on
    /// packets.
    pub fn is_for_streams(&self) -> bool {
        self.timing() == Timing::Stream
    }

    /// Returns true if the rule acts on the sockets of UDP flows, and not on packets.
    pub fn is_for_sockets(&self) -> bool {
        self.timing() == Timing::Socket
    }

    /// Returns true if the rule acts on packets in a link.
    pub fn is_for_packets(&self) -> bool {
        !self.is_for_streams() && !self.is_for_sockets()
    }

    /// Returns true if the rule takes pieces out of what it looks at, doubles or disorders them: to a
    /// stream that costs time where TCP is modelled, and the stream where it is raw.
    pub fn breaks_streams(&self) -> bool {
        match self {
            Self::Drop(_) | Self::Mark(_) => true,
            Self::Duplicate(_) | Self::Reorder(_) | Self::Size(_) => true,
            Self::Outage(outage) => !outage.hold,
            Self::Batch(batch) => batch.then == BatchThen::Drop,
            Self::Delay(delay) => delay.reorder || delay.path.is_some(),
            Self::Rate(rate) => rate.path.is_some(),
            _ => false,
        }
    }

    /// Returns the path that it stands on; `None` also if its kind knows none.
    pub const fn path(&self) -> Option<&PathName> {
        match self {
            Self::Delay(delay) => delay.path.as_ref(),
            Self::Rate(rate) => rate.path.as_ref(),
            _ => None,
        }
    }

    /// Returns true if a packet that the rule chooses skips every wait behind it.
    pub fn skips_waits(&self) -> bool {
        self.setting().skips_waits()
    }

    /// Returns the most copies that the rule makes of one packet.
    pub fn copies_max(&self) -> u32 {
        self.setting().copies_max()
    }

    /// Returns what the rule does in the long run to packets that it looks at.
    pub fn promise(&self, traffic: &Traffic) -> Promise {
        self.setting().promise(traffic)
    }

    /// Returns the same as named numbers: times in seconds, shares as fractions.
    pub fn numbers(&self, traffic: &Traffic) -> Value {
        self.setting().numbers(traffic)
    }

    /// Names the kind and what it is set to: `drop 20%`, `delay 40 ms`.
    pub fn brief(&self) -> String {
        format!("{} {}", self.name(), self.setting().brief())
    }

    /// Says the same in half a sentence: "loses 2% of packets".
    pub fn words(&self, traffic: &Traffic) -> String {
        self.setting().words(traffic)
    }

    /// Says what is allowed and probably not meant, about this rule alone.
    pub fn warnings(&self, traffic: &Traffic) -> Vec<String> {
        self.setting().warnings(traffic)
    }

    /// Returns what one draw of the rule decides; `None` where its decision takes no draw, or
    /// several.
    pub fn decision(&self) -> Option<Decision> {
        self.setting().decision()
    }

    /// Returns true if the work begun under this setting can go on under `other`.
    pub(crate) fn works_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.timing() == other.timing()
    }

    pub(crate) fn tables(&self) -> Tables {
        self.setting().tables()
    }

    pub(crate) fn build(&self, setup: Setup<'_>) -> Work {
        self.setting().build(setup)
    }

    pub(crate) fn build_stream(&self, setup: StreamSetup) -> Option<Box<dyn StreamRule>> {
        self.setting().build_stream(setup)
    }
}
