//! The keys for single rules: 1 to 9 switch one off and on and choose it, `+` and `-` turn the
//! chosen one by steps of 1, 2 and 5.

use jostle_common::chance::Direction;
use jostle_common::units::Probability;
use jostle_console::terminal::{escaped, note};
use jostle_control::{Origin, Registry};
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::Toxic;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most rules that have a key.
const KEYED_MAX: usize = 9;

/// What is turned, as profiles call it: the first that a rule has.
const TURNED: [&str; 12] = [
    "chance",
    "bit_error_rate",
    "time",
    "limit",
    "window",
    "down",
    "max",
    "size",
    "after",
    "delay",
    "bytes",
    "every",
];

/// The units in which nought is written, and the least step above it.
const LEAST: [(&str, &str); 2] = [("%", "0.1%"), ("ms", "1ms")];

/// The rules that have a key, and which of them was chosen last.
#[derive(Clone, Debug, Default)]
pub(super) struct Dials(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    chosen: Option<Place>,
}

/// A rule of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    route: String,
    direction: Direction,
    key: String,
}

/// A rule that has a key.
#[derive(Clone, Debug, PartialEq)]
struct Keyed {
    place: Place,
    brief: String,
    enabled: bool,
}

impl Dials {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what a key is for, and says so.
    pub(super) fn press(&self, key: u8, registry: &Registry) {
        match key {
            b'1'..=b'9' => self.switch(usize::from(key - b'1'), registry),
            b'+' | b'=' => self.turn(true, registry),
            b'-' => self.turn(false, registry),
            _ => {}
        }
    }

    fn switch(&self, number: usize, registry: &Registry) {
        let Some(Keyed { place, enabled, .. }) = keyed(registry).into_iter().nth(number) else {
            return note(&format!("there is no rule {}", number + 1));
        };
        self.lock().chosen = Some(place.clone());
        change(registry, &place, &format!("rule {}", number + 1), |rule| {
            rule.enabled = !enabled;
            Ok(())
        });
    }

    fn turn(&self, up: bool, registry: &Registry) {
        let chosen = self.lock().chosen.clone();
        let keyed = keyed(registry);
        let place = match (chosen, keyed.as_slice()) {
            (Some(place), _) => place,
            (None, [only]) => only.place.clone(),
            (None, _) => return note("choose a rule first: 1 to 9"),
        };
        let number = keyed.iter().position(|one| one.place == place);
        let name = number.map_or_else(|| "the rule".into(), |one| format!("rule {}", one + 1));
        change(registry, &place, &name, |rule| turn(rule, up));
        self.lock().chosen = Some(place);
    }

    /// Returns the rules that have a key for the status line: in brackets those that are off,
    /// behind `>` the one that was chosen last.
    pub(super) fn words(&self, registry: &Registry) -> String {
        words(&keyed(registry), self.lock().chosen.as_ref())
    }
}

/// Returns the first rules over all routes and directions.
fn keyed(registry: &Registry) -> Vec<Keyed> {
    let table = registry.open(Origin::Key);
    let mut found = Vec::new();
    for (name, entry) in table.iter() {
        rules_of(name, &entry.route.profile, &mut found);
        if found.len() >= KEYED_MAX {
            break;
        }
    }
    found.truncate(KEYED_MAX);
    found
}

fn rules_of(route: &str, profile: &Profile, found: &mut Vec<Keyed>) {
    for direction in Direction::BOTH {
        for rule in profile.timeline(direction).rules() {
            let place = Place { route: route.to_owned(), direction, key: rule.key.clone() };
            // Phases may share it.
            if !found.iter().any(|one| one.place == place) {
                found.push(Keyed { place, brief: rule.kind.brief(), enabled: rule.enabled });
            }
        }
    }
}

fn words(keyed: &[Keyed], chosen: Option<&Place>) -> String {
    let has_many_routes = keyed.iter().any(|one| one.place.route != keyed[0].place.route);
    let mut text = String::new();
    let mut last: Option<&Place> = None;
    for (number, Keyed { place, brief, enabled }) in keyed.iter().enumerate() {
        let goes_on = last
            .is_some_and(|last| (&last.route, last.direction) == (&place.route, place.direction));
        if goes_on {
            text.push_str(", ");
        } else {
            if last.is_some() {
                text.push_str("; ");
            }
            if has_many_routes {
                text.push_str(&escaped(&place.route));
                text.push(' ');
            }
            text.push_str(&format!("{}: ", place.direction));
        }
        let mark = if chosen == Some(place) { ">" } else { "" };
        let rule = format!("{mark}{} {brief}", number + 1);
        text.push_str(&if *enabled { rule } else { format!("({rule})") });
        last = Some(place);
    }
    text
}

/// Changes a rule in all phases that have it, and says what it is then.
fn change(
    registry: &Registry,
    place: &Place,
    name: &str,
    act: impl Fn(&mut Rule) -> Result<(), String>,
) {
    let mut table = registry.open(Origin::Key);
    let said = (|| {
        let entry = table.get(&place.route).ok_or("its route is gone")?;
        let mut profile = entry.route.profile.clone();
        let phases = profile.timeline_mut(place.direction).phases.iter_mut();
        let rules = phases.flat_map(|phase| &mut phase.rules).filter(|rule| rule.key == place.key);
        let mut now = None;
        for rule in rules {
            act(rule)?;
            now =
                Some(format!("{}{}", rule.kind.brief(), if rule.enabled { "" } else { " (off)" }));
        }
        let now = now.ok_or("it is gone")?;
        table.set_profile(&place.route, profile).map_err(|error| error.to_string())?;
        Ok::<_, String>(now)
    })();
    let said = said.unwrap_or_else(|problem| format!("it stays: {problem}"));
    note(&escaped(&format!("{name}, {} {}: {said}", place.route, place.direction)));
}

/// Turns what a rule is set to by a step.
fn turn(rule: &mut Rule, up: bool) -> Result<(), String> {
    if let Some(toxic) = &rule.toxic {
        // It stays the toxic that it is, under a new number.
        let toxic = turn_toxic(toxic, up)?;
        rule.kind = toxic.rule().kind;
        rule.toxic = Some(Arc::new(toxic));
        return Ok(());
    }
    let mut written = rule.to_value();
    turn_field(&mut written, &TURNED, rule.kind.name(), up)?;
    // Its name, if any, is kept, and whom it looks at.
    let text = json!({ "up": [written] }).to_string();
    let mut read = Profile::from_json(&text).map_err(|error| error.to_string())?;
    let phase = &mut read.up.phases[0];
    rule.kind = phase.rules.remove(0).kind;
    Ok(())
}

/// Turns the first attribute of one of Toxiproxy's toxics, or that of a rule of its type.
fn turn_toxic(toxic: &Toxic, up: bool) -> Result<Toxic, String> {
    let mut written: Value =
        serde_json::from_str(&toxic.to_json()).map_err(|error| error.to_string())?;
    let attributes = &mut written["attributes"];
    match toxic.kind() {
        Some(kind) => turn_field(attributes, kind.attributes(), toxic.type_name(), up)?,
        None if attributes["loss_rate"].is_number() => {
            let percent = attributes["loss_rate"].as_f64().unwrap_or_default() * 100.0;
            let turned = turned(&format!("{}%", plain(percent)).into(), up);
            let share = turned.as_ref().and_then(Value::as_str).and_then(|text| {
                let share = text.parse::<Probability>().ok()?;
                Some(share.as_f64())
            });
            attributes["loss_rate"] = share.ok_or("loss_rate cannot be turned")?.into();
        }
        None => turn_field(attributes, &TURNED, toxic.type_name(), up)?,
    }
    toxic.updated(&written).map_err(|error| error.to_string())
}

/// Turns the first of the fields that is there, of what is called `word`.
fn turn_field(written: &mut Value, names: &[&str], word: &str, up: bool) -> Result<(), String> {
    let field = if written["burst"]["mean"].is_string() {
        Some(&mut written["burst"]["mean"])
    } else {
        let name = names.iter().find(|name| !written[**name].is_null());
        name.map(|name| &mut written[*name])
    };
    let field = field.ok_or_else(|| format!("nothing of {word} can be turned"))?;
    *field = turned(field, up).ok_or_else(|| format!("{field} cannot be turned"))?;
    Ok(())
}

/// Returns a quantity one step of 1, 2 and 5 higher or lower.
fn turned(value: &Value, up: bool) -> Option<Value> {
    match value.as_u64() {
        Some(0) => return Some(u64::from(up).into()),
        Some(count) => {
            let number = step(count as f64, up).max(1.0);
            return Some((number as u64).into());
        }
        None => {}
    }
    let text = value.as_str()?;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    if number == 0.0 {
        let unit = if unit == "s" || unit.is_empty() { "ms" } else { unit };
        let least = LEAST.iter().find(|(of, _)| *of == unit).map(|(_, least)| (*least).to_owned());
        return Some(
            if up { least.unwrap_or_else(|| format!("1{unit}")) } else { text.into() }.into(),
        );
    }
    let mut next = step(number, up);
    if unit == "%" {
        next = next.min(100.0);
    }
    let least = LEAST.iter().find(|(of, _)| *of == unit);
    let is_below = least.is_some_and(|(_, least)| {
        least.trim_end_matches(unit).parse::<f64>().is_ok_and(|least| next < least * 0.999)
    });
    Some(if is_below { format!("0{unit}") } else { format!("{}{unit}", plain(next)) }.into())
}

/// Returns the next number of the sequence 1, 2, 5, 10 …, above or below.
fn step(number: f64, up: bool) -> f64 {
    let mut scale = 1.0;
    let mut digits = number;
    while digits >= 10.0 * 0.999_999 {
        digits /= 10.0;
        scale *= 10.0;
    }
    while digits < 0.999_999 {
        digits *= 10.0;
        scale /= 10.0;
    }
    let near = |at: f64| (digits - at).abs() < 1e-6;
    let next = if up {
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|at| *at > digits && !near(*at)).unwrap_or(20.0)
    } else {
        [5.0, 2.0, 1.0].into_iter().find(|at| *at < digits && !near(*at)).unwrap_or(0.5)
    };
    next * scale
}

/// Writes a number without the traces of binary fractions.
fn plain(number: f64) -> String {
    let text = format!("{number:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::route::{profile_of_toxics, toxics_of_profile};

    #[test]
    fn steps_are_one_two_and_five() {
        let up = [
            ("0%", "0.1%"),
            ("0.1%", "0.2%"),
            ("2%", "5%"),
            ("3%", "5%"),
            ("50%", "100%"),
            ("100%", "100%"),
            ("0ms", "1ms"),
            ("40ms", "50ms"),
            ("500ms", "1000ms"),
            ("1s", "2s"),
            ("5Mbit/s", "10Mbit/s"),
            ("1500B", "2000B"),
        ];
        for (from, to) in up {
            assert_eq!(turned(&from.into(), true), Some(to.into()), "{from}");
        }
        let down = [
            ("0%", "0%"),
            ("0.1%", "0%"),
            ("5%", "2%"),
            ("3%", "2%"),
            ("100%", "50%"),
            ("40ms", "20ms"),
            ("1ms", "0ms"),
            ("10Mbit/s", "5Mbit/s"),
        ];
        for (from, to) in down {
            assert_eq!(turned(&from.into(), false), Some(to.into()), "{from}");
        }
        assert_eq!(turned(&json!(100), true), Some(json!(200)));
        assert_eq!(turned(&json!(1), false), Some(json!(1)), "there is no 0.5");
        assert_eq!(turned(&json!(["1ms"]), true), None);
    }

    fn profile(text: &str) -> Profile {
        Profile::from_json(text).unwrap()
    }

    #[test]
    fn the_first_thing_that_a_rule_is_set_to_is_turned() {
        for (rule, now) in [
            (r#"{ "rule": "drop", "chance": "2%" }"#, "drop 5%"),
            (
                r#"{ "rule": "drop", "burst": { "mean": "2%", "length": 3 } }"#,
                "drop 5% in bursts of 3",
            ),
            (r#"{ "rule": "delay", "time": "40ms", "jitter": "5ms" }"#, "delay 50 ms ± 5 ms"),
            (r#"{ "rule": "rate", "limit": "5Mbit/s" }"#, "rate 10 Mbit/s"),
            (r#"{ "rule": "size", "max": "1000B" }"#, "size above 2,000 bytes"),
        ] {
            let mut read = profile(&format!(r#"{{ "up": [ {rule} ] }}"#)).up.phases.remove(0).rules;
            let key = read[0].key.clone();
            turn(&mut read[0], true).unwrap();
            assert_eq!((read[0].kind.brief().as_str(), &read[0].key), (now, &key));
        }
        let mut read = profile(r#"{ "up": [ { "rule": "drop", "packets": [1] } ] }"#);
        assert!(turn(&mut read.up.phases[0].rules[0], true).is_err());
    }

    #[test]
    fn a_toxic_that_is_turned_stays_one() {
        for (toxic, turned) in [
            (
                r#"{ "type": "latency", "attributes": { "latency": 100, "jitter": 10 } }"#,
                json!({ "latency": 200, "jitter": 10 }),
            ),
            (r#"{ "type": "bandwidth", "attributes": { "rate": 10 } }"#, json!({ "rate": 20 })),
            (r#"{ "type": "timeout" }"#, json!({ "timeout": 1 })),
            (
                r#"{ "type": "packet_loss", "attributes": { "loss_rate": 0.05 } }"#,
                json!({ "loss_rate": 0.1, "correlation": 0 }),
            ),
            (
                r#"{ "type": "drop", "attributes": { "burst": { "mean": "2%", "length": 3 } } }"#,
                json!({ "burst": { "mean": "5%", "length": 3 } }),
            ),
        ] {
            let value = serde_json::from_str(toxic).unwrap();
            let toxic = Toxic::from_value(&value, |_| false).unwrap();
            let mut profile = profile_of_toxics(std::slice::from_ref(&toxic));
            let rule = &mut profile.down.phases[0].rules[0];
            turn(rule, true).unwrap();
            let listed = toxics_of_profile(&profile).remove(0);
            let written: Value = serde_json::from_str(&listed.toxic.to_json()).unwrap();
            assert_eq!(written["attributes"], turned);
            assert!(listed.was_written && listed.toxic.name == toxic.name);
            let rule = &profile.down.phases[0].rules[0];
            assert_eq!(rule.kind, listed.toxic.rule().kind, "it does what it says");
        }
        let noop = Toxic::from_value(&json!({ "type": "noop" }), |_| false).unwrap();
        assert_eq!(turn_toxic(&noop, true).unwrap_err(), "nothing of noop can be turned");
    }

    #[test]
    fn rules_are_numbered_over_routes_and_directions() {
        let drop_and_delay = profile(
            r#"{ "both": [ { "rule": "drop", "chance": "2%" } ],
                 "down": [ { "rule": "delay", "time": "40ms", "enabled": false } ] }"#,
        );
        let mut found = Vec::new();
        rules_of("a", &drop_and_delay, &mut found);
        let chosen = found[1].place.clone();
        let told = words(&found, Some(&chosen));
        assert_eq!(told, "up: 1 drop 2%; down: >2 drop 2%, (3 delay 40 ms)");
        rules_of("b", &profile(r#"{ "up": [ { "rule": "drop", "chance": "1%" } ] }"#), &mut found);
        let told = words(&found, None);
        assert_eq!(told, "a up: 1 drop 2%; a down: 2 drop 2%, (3 delay 40 ms); b up: 4 drop 1%");
    }
}
