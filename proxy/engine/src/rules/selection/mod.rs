//! The packets that a rule looks at: the fields that every rule may have besides its own.

mod age;
mod ecn;
mod flow;
mod hosts;
mod written;

pub use age::AgeMatch;
pub use ecn::EcnMatch;
pub use flow::FlowMatch;
pub use hosts::HostMatch;
use written::read_pairs;
pub(crate) use written::{RawSelection, write};

use crate::flow::FlowFacts;
use bytes::Bytes;
use jostle_common::setting::SettingError;
use jostle_common::units::Probability;
use std::ops::RangeInclusive;

/// The packets that a rule looks at, and how it counts them. The others pass it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The packets that it counts, and holds, as one: all those of the link, or those of each flow.
    pub per: Per,
    /// The chance that a flow is affected at all.
    pub flows: Probability,
    /// The conditions that a packet must meet; `None`: any packet.
    pub matching: Option<Match>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { per: Per::Link, flows: Probability::ALWAYS, matching: None }
    }
}

/// The owner of the packets that a rule counts, and of its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// All packets of the link share one rule.
    #[default]
    Link,
    /// Each flow has a rule of its own: its own counts, queue and state.
    Flow,
}

/// The conditions that a packet must meet; all that are given must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its size in bytes, overhead included.
    pub size: RangeInclusive<u32>,
    /// Its number, in the link or in its flow (`per`), from 1.
    pub number: RangeInclusive<u64>,
    /// The bytes that stand in its payload.
    pub bytes: Option<MatchBytes>,
    /// What its IP header says of congestion; `None`: anything.
    pub ecn: Option<EcnMatch>,
    /// The flows or connections of which it is, by their numbers; `None`: any.
    pub flow: Option<FlowMatch>,
    /// The clients of which it is, or to which it goes; `None`: any.
    pub client: Option<HostMatch>,
    /// The targets to which its flow leads; `None`: any.
    pub target: Option<HostMatch>,
    /// The age of its flow when it enters the link; `None`: any.
    pub age: Option<AgeMatch>,
}

impl Default for Match {
    /// Asks for nothing.
    fn default() -> Self {
        Self {
            size: 0..=u32::MAX,
            number: 1..=u64::MAX,
            bytes: None,
            ecn: None,
            flow: None,
            client: None,
            target: None,
            age: None,
        }
    }
}

impl Selection {
    /// Returns true if the rule looks at packets of a flow of this number and with these facts,
    /// `flows` and their age apart. What asks for a fact that is not known does not look at it.
    pub(crate) fn matches_flow(&self, flow: u32, facts: Option<&FlowFacts>) -> bool {
        let Some(matching) = &self.matching else { return true };
        matching.flow.as_ref().is_none_or(|flows| flows.admits(flow))
            && matching.client.as_ref().is_none_or(|hosts| {
                let client = facts.and_then(|facts| facts.client);
                client.is_some_and(|client| hosts.admits_client(client))
            })
            && matching
                .target
                .as_ref()
                .is_none_or(|hosts| facts.is_some_and(|facts| hosts.admits_target(facts)))
    }

    /// Returns the span of a flow's age in which it looks at its packets, if it asks for one.
    pub(crate) fn age(&self) -> Option<AgeMatch> {
        self.matching.as_ref().and_then(|matching| matching.age)
    }

    /// Returns true if it chooses by facts of flows: what a number alone does not say.
    pub(crate) fn asks_for_facts(&self) -> bool {
        let asks = |one: &Match| one.client.is_some() || one.target.is_some() || one.age.is_some();
        self.matching.as_ref().is_some_and(asks)
    }

    /// Returns true if it chooses flows, and the ages of them, as another does.
    pub(crate) fn chooses_flows_like(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|one| one.matching.as_ref().map(Match::choice));
        self.flows == other.flows && own.unwrap_or_default() == others.unwrap_or_default()
    }
}

impl Match {
    /// Reads what the option `name` of a command line chooses: pairs such as `client=127.0.0.2`,
    /// `flow=3-5` or `age=2s..`, which all have to hold.
    ///
    /// ```
    /// use jostle_engine::rules::{FlowMatch, Match};
    /// let third = Match::from_pairs("--only", &["flow=3".to_owned()])?;
    /// assert_eq!(third, Match { flow: Some(FlowMatch::one(3)), ..Match::default() });
    /// # Ok::<(), jostle_common::setting::SettingError>(())
    /// ```
    ///
    /// # Errors
    /// When a pair says something impossible, or a key is there twice; the place is the option.
    pub fn from_pairs(name: &str, pairs: &[String]) -> Result<Self, SettingError> {
        read_pairs(name, pairs)
    }

    /// Returns true if it asks for nothing but flows and their age, so that it can be heeded
    /// without packets.
    pub fn is_of_flows_alone(&self) -> bool {
        let Self { size, number, bytes, ecn, flow: _, client: _, target: _, age: _ } = self;
        let of_any_size = *size == (0..=u32::MAX) && *number == (1..=u64::MAX);
        of_any_size && bytes.is_none() && ecn.is_none()
    }

    /// Returns what it says of flows.
    fn choice(&self) -> FlowChoice<'_> {
        let Self { flow, client, target, age, .. } = self;
        (flow.as_ref(), client.as_ref(), target.as_ref(), *age)
    }

    /// Returns true if it makes no difference between flows, or by their age.
    pub fn is_of_all_flows(&self) -> bool {
        self.choice() == FlowChoice::default()
    }
}

/// What a match says of flows: their numbers, clients and targets, and their age.
type FlowChoice<'a> =
    (Option<&'a FlowMatch>, Option<&'a HostMatch>, Option<&'a HostMatch>, Option<AgeMatch>);

/// Bytes that must stand at an offset of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchBytes {
    /// The offset, in bytes from the start of the payload.
    pub offset: usize,
    /// The bytes.
    pub value: Bytes,
}
