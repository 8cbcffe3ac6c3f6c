//! What a route says of itself when it is ready: `route 1: udp://127.0.0.1:5353 -> 127.0.0.1:53
//! up, down: drop 20%`.

use jostle_common::chance::Direction;
use jostle_console::terminal::escaped;
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::Route;

/// Returns the ready line of a listener. What stands in front of the arrow is the address to
/// connect to, so scripts find it as the word before `->`.
pub(super) fn line(route: &Route, url: &str) -> String {
    let Route { name, destination, profile, .. } = route;
    format!(
        "route {}: {url} -> {}  {}",
        escaped(name),
        escaped(&destination.to_string()),
        weather(profile)
    )
}

/// Says in short what a profile does: `up: drop 5%; down: no rules`.
pub(crate) fn weather(profile: &Profile) -> String {
    let [up, down] = Direction::BOTH.map(|direction| rules(profile, direction));
    match (up, down) {
        (None, None) => "no rules".to_owned(),
        (up, down) if up == down => format!("up, down: {}", up.unwrap_or_default()),
        (Some(up), None) => format!("up: {up}"),
        (None, Some(down)) => format!("down: {down}"),
        (Some(up), Some(down)) => format!("up: {up}; down: {down}"),
    }
}

/// The rules of one direction, if there are any.
fn rules(profile: &Profile, direction: Direction) -> Option<String> {
    let timeline = profile.timeline(direction).in_force();
    if timeline.is_empty() {
        return None;
    }
    let first = timeline.phases.iter().find(|phase| !phase.rules.is_empty())?;
    let rules: Vec<String> = first.rules.iter().map(rule).collect();
    let more = match timeline.phases.len() {
        1 => String::new(),
        phases => format!(" (and so on, {phases} phases)"),
    };
    Some(format!("{}{more}", rules.join(", ")))
}

fn rule(rule: &Rule) -> String {
    let selection = &rule.selection;
    let some = selection.matching.is_some() || selection.flows.as_f64() < 1.0;
    format!("{}{}", rule.kind.brief(), if some { " of some" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::route::Configuration;

    fn ready(profile: &str) -> String {
        let text = format!(
            r#"[ {{ "listen": "udp://127.0.0.1:0", "upstream": "[::1]:53", "profile": {profile} }} ]"#
        );
        let routes = Configuration::from_json(&text, &|_| Err("no files".into())).unwrap().routes;
        line(&routes[0], "udp://127.0.0.1:4000")
    }

    #[test]
    fn the_weather_stands_behind_the_way_and_the_address_before_the_arrow() {
        let front = "route 1: udp://127.0.0.1:4000 -> [::1]:53  ";
        for (profile, says) in [
            ("{}", "no rules"),
            (r#"{ "up": [ { "rule": "drop", "every": 2, "enabled": false } ] }"#, "no rules"),
            (
                r#"{ "both": [ { "rule": "drop", "chance": "20%" }, { "rule": "delay", "time": "40ms" } ] }"#,
                "up, down: drop 20%, delay 40 ms",
            ),
            (
                r#"{ "up": [ { "rule": "drop", "burst": { "mean": "2%", "length": 3 } } ] }"#,
                "up: drop 2% in bursts of 3",
            ),
            (
                r#"{ "down": [ { "rule": "rate", "limit": "5Mbit/s" }, { "rule": "delay", "time": "15ms", "jitter": "5ms", "reorder": true } ] }"#,
                "down: rate 5 Mbit/s, delay 15 ms ± 5 ms",
            ),
            (
                r#"{ "up": [ { "rule": "corrupt", "chance": "1%", "flows": "50%" } ], "down": [ { "rule": "size", "max": "1280B" } ] }"#,
                "up: corrupt 1% of some; down: size above 1,280 bytes",
            ),
            (
                r#"{ "phases": [ { "for": "10s" }, { "for": "1s", "up": [ { "rule": "outage", "up": "10s", "down": "300ms" } ] } ] }"#,
                "up: outage 300 ms after 10 s (and so on, 2 phases)",
            ),
        ] {
            assert_eq!(ready(profile), format!("{front}{says}"), "{profile}");
        }
        assert_eq!(
            ready("{}").split(" -> ").next().unwrap().split(' ').next_back(),
            Some("udp://127.0.0.1:4000")
        );
    }
}
