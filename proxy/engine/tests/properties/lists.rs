//! Lists of rules.

use crate::kinds::{batch, corrupt, cross, delay, drop, duplicate, gate, mark, rate, reorder};
use jostle_engine::profile::{Rule, RuleKind, Timeline};
use jostle_engine::rules::{Discipline, FlowMatch, Match, MatchBytes, Per, Rate};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Rules as a profile would name them.
pub(crate) fn rules_of(kinds: Vec<RuleKind>) -> Timeline {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut rules = Vec::new();
    for kind in kinds {
        let count = counts.entry(kind.name()).or_default();
        let key = if *count == 0 {
            kind.name().into()
        } else {
            format!("{}#{}", kind.name(), *count + 1)
        };
        rules.push(Rule { key, ordinal: *count, ..Rule::only(kind.clone()) });
        *count += 1;
    }
    Timeline::constant(rules)
}

/// Returns true unless it sends packets of its own and looks at none.
const fn looks_at_packets(rule: &Rule) -> bool {
    !matches!(rule.kind, RuleKind::Cross(_))
}

/// Any rules at all, at most three of a kind.
pub(crate) fn any_rules() -> impl Strategy<Value = Timeline> {
    let kind = prop_oneof![
        2 => drop(), 1 => gate(), 1 => corrupt(), 2 => delay(any::<bool>()), 3 => rate(), 2 => duplicate(),
        2 => reorder(), 2 => batch(), 1 => mark(), 2 => cross()
    ];
    (vec(kind, 0..6), any::<u8>()).prop_map(|(kinds, per_flow)| {
        let mut copying = 0;
        let few = kinds.into_iter().filter(|kind| {
            copying += usize::from(matches!(kind, RuleKind::Duplicate(_)));
            !matches!(kind, RuleKind::Duplicate(_)) || copying <= 2
        });
        let mut rules = rules_of(few.collect());
        for (index, rule) in rules.phases[0].rules.iter_mut().enumerate() {
            // A quarter of them have a part for each flow.
            if looks_at_packets(rule)
                && per_flow >> index & 1 == 1
                && per_flow >> (index + 2) & 1 == 1
            {
                rule.selection.per = Per::Flow;
            }
        }
        rules
    })
}

/// Any rules, and traffic of others among them.
pub(crate) fn crossed_rules() -> impl Strategy<Value = Timeline> {
    (any_rules(), cross(), 0usize..6).prop_map(|(mut rules, cross, place)| {
        let list = &mut rules.phases[0].rules;
        let rule = Rule { key: "others".into(), ordinal: 9, ..Rule::only(cross) };
        list.insert(place.min(list.len()), rule);
        rules
    })
}

/// Rules that ask for no reordering.
pub(crate) fn ordered_rules() -> impl Strategy<Value = Timeline> {
    let kind = prop_oneof![
        1 => drop(), 1 => gate(), 1 => corrupt(), 1 => delay(Just(false)), 3 => rate(), 1 => batch(),
        1 => cross()
    ];
    let is_ordered = |kind: &RuleKind| !matches!(kind, RuleKind::Rate(rate) if has_queues(rate));
    vec(kind.prop_filter("one queue", is_ordered), 0..6).prop_map(rules_of)
}

/// Returns true if the rule has more queues than one, between which packets overtake.
fn has_queues(rate: &Rate) -> bool {
    matches!(rate.discipline, Discipline::FqCodel(_) | Discipline::DualPi2(_))
}

/// A rate with more queues than one.
pub(crate) fn queues() -> impl Strategy<Value = RuleKind> {
    rate().prop_filter("queues", |kind| matches!(kind, RuleKind::Rate(rate) if has_queues(rate)))
}

/// Any rules, some of which look at some packets alone.
pub(crate) fn gated_rules() -> impl Strategy<Value = Timeline> {
    let size = (0u32..1500, 0u32..1500).prop_map(|(min, more)| min..=min + more);
    let number = (1u64..300, 0u64..300).prop_map(|(from, more)| from..=from + more);
    let bytes =
        (0usize..1500).prop_map(|offset| MatchBytes { offset, value: vec![offset as u8].into() });
    let matching = prop_oneof![
        3 => Just(None),
        1 => size.prop_map(|size| Some(Match { size, ..Match::default() })),
        1 => number.prop_map(|number| Some(Match { number, ..Match::default() })),
        1 => bytes.prop_map(|bytes| Some(Match { bytes: Some(bytes), ..Match::default() })),
        1 => (1u32..4).prop_map(|flow| {
            Some(Match { flow: Some(FlowMatch::one(flow)), ..Match::default() })
        }),
    ];
    (any_rules(), vec(matching, 6)).prop_map(|(mut rules, matching)| {
        for (rule, matching) in rules.phases[0].rules.iter_mut().zip(matching) {
            if looks_at_packets(rule) {
                rule.selection.matching = matching;
            }
        }
        rules
    })
}
