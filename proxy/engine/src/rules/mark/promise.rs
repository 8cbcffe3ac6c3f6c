//! The promise of a `mark` rule: the share of packets that it chooses. What becomes of these is up
//! to their senders.

use super::Mark;
use crate::rules::drop::amount;
use crate::rules::promise::{Loss, Promise, Traffic};
use crate::rules::setting::RuleSetting;
use serde_json::{Map, Value};

pub(super) fn promise(setting: &Mark, traffic: &Traffic) -> Promise {
    let is_idle = setting.chosen.promise(traffic).is_idle;
    // None of those whose senders take marks, all of the others.
    let loss = if is_idle { Loss::Nothing } else { Loss::Unknown };
    Promise { loss, is_idle, ..Promise::default() }
}

/// Returns the numbers of the `drop` rule, of which what is lost is marked here.
pub(super) fn numbers(setting: &Mark, traffic: &Traffic) -> Value {
    let Value::Object(numbers) = setting.chosen.numbers(traffic) else { return Value::Null };
    let marked = numbers.into_iter().map(|(name, number)| {
        let name = match name.as_str() {
            "loss" => "marked".to_owned(),
            "lost_packets" => "marked_packets".to_owned(),
            _ => name,
        };
        (name, number)
    });
    Value::Object(marked.collect::<Map<_, _>>())
}

pub(super) fn words(setting: &Mark, traffic: &Traffic) -> String {
    let amount = amount(&setting.chosen, traffic);
    format!("marks {amount} (CE), and loses those of them whose sender takes no marks (Not-ECT)")
}

pub(super) fn warning(setting: &Mark, traffic: &Traffic) -> Option<String> {
    let is_idle = setting.chosen.promise(traffic).is_idle;
    (!is_idle).then(|| {
        let amount = amount(&setting.chosen, traffic);
        format!(
            "on a TCP route what it chooses is lost, {amount}, unless the model takes marks (\"tcp\": \
             \"cubic-ecn\", \"prague\" …)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn it_promises_to_choose_what_drop_loses() {
        let profile = |kind: &str| {
            let fields = r#""burst": { "mean": "2%", "length": 3 }"#;
            let text = format!(r#"{{ "up": [ {{ "rule": "{kind}", {fields} }} ] }}"#);
            Profile::from_json(&text).unwrap().up.phases[0].rules[0].kind.clone()
        };
        let traffic = Traffic::of_size(1200);
        let (mark, drop) = (profile("mark"), profile("drop"));
        assert_eq!(mark.numbers(&traffic)["marked"], drop.numbers(&traffic)["loss"]);
        assert_eq!(mark.numbers(&traffic)["burst"], drop.numbers(&traffic)["burst"]);
        assert_eq!(mark.promise(&traffic).loss, Loss::Unknown);
        assert_eq!(
            mark.words(&traffic),
            "marks 2% of packets, 3.00 in a row on average (CE), and loses those of them whose \
             sender takes no marks (Not-ECT)"
        );
        assert_eq!(mark.brief(), "mark 2% in bursts of 3");
    }
}
