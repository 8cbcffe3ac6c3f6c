//! The effect of one rule in the long run, as its kind promises.

use super::run;
use crate::probe::{PacketStream, Spread};
use jostle_engine::rules::{
    AgeMatch, FlowMatch, HostMatch, Match, Promise, Rule, RuleKind, Traffic,
};
use serde_json::Value;

/// A rule and its effects.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleForecast {
    /// The rule's key.
    pub key: String,
    /// Its kind.
    pub kind: &'static str,
    /// The share of packets that it looks at in the long run, by `flows` and `match`; `None` if
    /// that depends on what they hold, or on who comes.
    pub looks_at: Option<f64>,
    /// The flows or connections that it looks at, if it chooses them: by their numbers.
    pub flow: Option<FlowMatch>,
    /// By their clients.
    pub client: Option<HostMatch>,
    /// By what they lead to.
    pub target: Option<HostMatch>,
    /// By their age.
    pub age: Option<AgeMatch>,
    /// Its effect on those, as far as it bears on other rules.
    pub promise: Promise,
    /// Its effect on those, in half a sentence.
    pub words: String,
    /// Its effect on those, as an object of named numbers: times are seconds, shares fractions.
    pub numbers: Value,
    /// The settings of this rule alone that are probably not meant.
    pub(super) warnings: Vec<String>,
}

/// Forecasts the effects of `rule` on a stream, or on packets of a size when no pace is given.
/// `reordered` is the share that arrived out of order in a run of the stream.
pub(super) fn forecast(
    rule: &Rule,
    size: u32,
    stream: Option<&PacketStream>,
    reordered: Option<f64>,
) -> RuleForecast {
    let kind = &rule.kind;
    let traffic = Traffic { reordered, ..traffic(size, stream) };
    let promise = kind.promise(&traffic);
    let traffic = Traffic { sd_in_order: sd_in_order(kind, &promise, stream), ..traffic };
    let Match { flow, client, target, age, .. } =
        rule.selection.matching.clone().unwrap_or_default();
    RuleForecast {
        key: rule.key.clone(),
        kind: kind.name(),
        looks_at: share_of(rule, size),
        flow,
        client,
        target,
        age,
        words: kind.words(&traffic),
        numbers: kind.numbers(&traffic),
        warnings: kind.warnings(&traffic),
        promise,
    }
}

/// Describes a stream, or packets of a size, as the rules see it.
pub(super) fn traffic(size: u32, stream: Option<&PacketStream>) -> Traffic {
    let packets_per_second = stream.map(|stream| stream.pace.packets_per_second(size));
    Traffic { packets_per_second, ..Traffic::of_size(size) }
}

/// Measures what kept order leaves of a rule's jitter when the packets come evenly.
fn sd_in_order(kind: &RuleKind, promise: &Promise, stream: Option<&PacketStream>) -> Option<f64> {
    let even = PacketStream { spread: Spread::Constant, ..*stream? };
    promise.narrows.then(|| run::sd_in_order(kind, &even))
}

/// Returns the share of packets that a rule looks at; `None` if that depends on what they hold, or
/// on who comes. In the long run: of the first packets nothing is left, and after the first there
/// are only those behind.
pub(super) fn share_of(rule: &Rule, size: u32) -> Option<f64> {
    let selection = &rule.selection;
    let flows = selection.flows.as_f64();
    let Some(matching) = &selection.matching else { return Some(flows) };
    if !matching.size.contains(&size) || *matching.number.end() < u64::MAX {
        return Some(0.0);
    }
    // Nobody knows who comes; and in the long run a flow is old.
    let of_content = matching.bytes.is_some() || matching.ecn.is_some();
    if of_content || matching.client.is_some() || matching.target.is_some() {
        return None;
    }
    let numbered = matching.flow.as_ref().map_or(1.0, FlowMatch::share);
    let aged = matching.age.is_none_or(|age| age.until.is_none());
    Some(if aged { flows * numbered } else { 0.0 })
}
