//! Warns of jitter that kept order took away in a run that has been: a packet that would overtake
//! waits for the one in front, and the closer packets come, the less of the jitter is left.

use super::{Warning, rule};
use jostle_common::chance::Direction;
use jostle_engine::profile::{Rule, Timeline};
use jostle_engine::rules::{Per, Traffic};

/// Fewer packets tell too little of a deviation; of so many it is off by a fourteenth.
const PACKETS_MIN: u64 = 100;

/// Jitter with a memory takes its whole spread only over so many half-lives.
const HALF_LIVES_MIN: f64 = 100.0;

/// The delays that a run has seen in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeenDelays {
    /// The packets whose delays those were.
    pub packets: u64,
    /// Their standard deviation, in seconds.
    pub sd: f64,
    /// The length of the run, in seconds.
    pub seconds: f64,
    /// The pace of the packets, where it was even.
    pub packets_per_second: Option<f64>,
}

/// Returns a warning for each rule whose jitter was narrowed. Of rules that change, and of those
/// for some packets, no run tells it.
pub fn narrowed(timeline: &Timeline, direction: Direction, seen: &SeenDelays) -> Vec<Warning> {
    let timeline = timeline.in_force();
    let [phase] = timeline.phases.as_slice() else { return Vec::new() };
    let traffic = Traffic { packets_per_second: seen.packets_per_second, ..Traffic::of_size(0) };
    let jitter = |rule: &Rule| rule.kind.promise(&traffic).jitter;
    let spread: Vec<&Rule> = phase.rules.iter().filter(|rule| jitter(rule) > 0.0).collect();
    let is_whole =
        |rule: &&Rule| rule::share_of(rule, 0) == Some(1.0) && rule.selection.per == Per::Link;
    if seen.packets < PACKETS_MIN || !spread.iter().all(is_whole) {
        return Vec::new();
    }
    let asked = spread.iter().map(|rule| jitter(rule).powi(2)).fold(0.0, |a, b| a + b).sqrt();
    let warnings = spread.into_iter().filter(|rule| {
        let memory = rule.kind.numbers(&traffic)["memory"].as_f64().unwrap_or(0.0);
        rule.kind.promise(&traffic).narrows && seen.seconds >= HALF_LIVES_MIN * memory
    });
    let warnings = warnings.flat_map(|rule| {
        let left = jitter(rule) * seen.sd / asked;
        let problems = rule.kind.warnings(&Traffic { sd_in_order: Some(left), ..traffic });
        let place = format!("{direction}, {}", rule.key);
        problems.into_iter().map(move |problem| Warning { place: place.clone(), problem })
    });
    warnings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::profile::Profile;

    fn warnings(rules: &str, sd: f64, packets: u64) -> Vec<String> {
        let profile = Profile::from_json(&format!(r#"{{ "down": [ {rules} ] }}"#)).unwrap();
        let seen = SeenDelays { packets, sd, seconds: 10.0, packets_per_second: None };
        let warnings = narrowed(&profile.down, Direction::Down, &seen);
        warnings.into_iter().map(|one| format!("{}: {}", one.place, one.problem)).collect()
    }

    #[test]
    fn what_kept_order_took_is_told_and_nothing_else() {
        // Even over ± 10 ms: 5.77 ms.
        let jitter = r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms" }"#;
        let told = warnings(jitter, 0.002, 500);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(
                "down, delay: kept order narrows the jitter from a standard deviation of 5.8 ms to \
                 2 ms here; write \"memory\": \"115ms\""
            ),
            "{told:?}"
        );
        for (rules, sd, packets) in [
            // What is left is what was asked for, or more by a queue.
            (jitter, 0.0055, 500),
            (jitter, 0.02, 500),
            // Too few packets tell nothing.
            (jitter, 0.002, 99),
            (r#"{ "rule": "delay", "time": "50ms" }"#, 0.0, 500),
            (
                r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "reorder": true }"#,
                0.002,
                500,
            ),
            (
                r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "flows": "50%" }"#,
                0.002,
                500,
            ),
            // Ten seconds are few half-lives of half a second.
            (
                r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "memory": "500ms" }"#,
                0.002,
                500,
            ),
        ] {
            assert_eq!(
                warnings(rules, sd, packets),
                Vec::<String>::new(),
                "{rules} {sd} {packets}"
            );
        }
        let two = format!(r#"{jitter}, {{ "rule": "delay", "time": "50ms", "jitter": "20ms" }}"#);
        assert_eq!(warnings(&two, 0.005, 500).len(), 2, "both lose their share");
    }
}
