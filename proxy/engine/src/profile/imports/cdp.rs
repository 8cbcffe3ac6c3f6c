//! The network conditions of the Chrome DevTools Protocol (`Network.emulateNetworkConditions`), and
//! the conditions that DevTools and Lighthouse have names for.

use super::command_line::shortened;
use super::draft::{Draft, delay, drop};
use super::quantity::written_percent;
use crate::profile::netem::Translation;
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, one_of, parse_json, within};
use jostle_common::units::BitRate;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A line with a name, as whoever named it describes it: round trip in milliseconds, kbit/s down
/// and up; and by which factors DevTools multiplies the round trip and the speeds.
struct Preset {
    names: &'static [&'static str],
    round_trip: f64,
    down: f64,
    up: f64,
    factors: (f64, f64),
}

/// DevTools' presets (`NetworkManager.ts`), and Lighthouse's (`constants.js`), whose kilobits are
/// 1024ths of a megabit.
const PRESETS: [Preset; 6] = [
    Preset {
        names: &["3G", "Slow 3G"],
        round_trip: 400.0,
        down: 500.0,
        up: 500.0,
        factors: (5.0, 0.8),
    },
    Preset {
        names: &["Slow 4G", "Fast 3G"],
        round_trip: 150.0,
        down: 1600.0,
        up: 750.0,
        factors: (3.75, 0.9),
    },
    Preset {
        names: &["Fast 4G"],
        round_trip: 60.0,
        down: 9000.0,
        up: 1500.0,
        factors: (2.75, 0.9),
    },
    Preset {
        names: &["mobileSlow4G"],
        round_trip: 150.0,
        down: 1638.4,
        up: 750.0,
        factors: (3.75, 0.9),
    },
    Preset {
        names: &["mobileRegular3G"],
        round_trip: 300.0,
        down: 700.0,
        up: 700.0,
        factors: (3.75, 0.9),
    },
    Preset {
        names: &["desktopDense4G"],
        round_trip: 40.0,
        down: 10_240.0,
        up: 10_240.0,
        factors: (1.0, 1.0),
    },
];

const KEYS: [&str; 8] = [
    "offline",
    "latency",
    "downloadThroughput",
    "uploadThroughput",
    "connectionType",
    "packetLoss",
    "packetQueueLength",
    "packetReordering",
];

/// The longest latency: an hour.
const LATENCY_MAX: f64 = 3_600_000.0;

/// A queue that nothing fills.
const QUEUE_ENDLESS: &str = "60s";

/// Translates the parameters of `Network.emulateNetworkConditions` as JSON, alone or in the
/// message, or the name of a preset of DevTools or Lighthouse.
///
/// ```
/// use jostle_engine::profile::imports::from_cdp;
/// let translation = from_cdp("Slow 4G").unwrap();
/// assert!(translation.profile.contains(r#""limit": "1600kbit/s""#));
/// ```
///
/// # Errors
/// When Chrome or jostle would refuse it, or there is no preset of that name; the place is the key.
pub fn from_cdp(text: &str) -> Result<Translation, SettingError> {
    let text = text.trim();
    if text.starts_with('{') {
        return conditions(&parse_json(text)?);
    }
    let name = text.trim_matches('"');
    if name.eq_ignore_ascii_case("offline") {
        return conditions(&json!({ "offline": true }));
    }
    if name.eq_ignore_ascii_case("no throttling") {
        let problem = "nothing is throttled then, so no profile is needed";
        return Err(SettingError::new(name, problem));
    }
    let is_named = |preset: &&Preset| preset.names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let Some(preset) = PRESETS.iter().find(is_named) else {
        let names: Vec<&str> = PRESETS.iter().flat_map(|preset| preset.names).copied().collect();
        let problem = format!(
            "DevTools and Lighthouse have no preset of that name; write offline, {}, or the \
             parameters as JSON",
            one_of(&names)
        );
        return Err(SettingError::new(shortened(name), problem));
    };
    preset_of(preset, name)
}

fn preset_of(preset: &Preset, name: &str) -> Result<Translation, SettingError> {
    let mut draft = Draft::default();
    for (direction, kilobits) in [(Direction::Down, preset.down), (Direction::Up, preset.up)] {
        draft.rule(direction, limit("", kilobits * 1e3, None)?);
        draft.rule(direction, delay(millis(preset.round_trip / 2.0)));
    }
    let (slower, narrower) = preset.factors;
    if slower > 1.0 {
        draft.remark(format!(
            "The line that the preset stands for: a round trip of {} ms, and packets that are \
             delayed. Chrome delays whole requests instead, so it gets {slower} times the round \
             trip and {narrower} of the speeds; here that would be too much.",
            preset.round_trip
        ));
    } else {
        draft.remark("The line that the preset stands for, packet by packet.");
    }
    whole_line(&mut draft);
    draft.finish("a preset of Chrome", name)
}

/// Translates parameters, or a message with them.
fn conditions(value: &Value) -> Result<Translation, SettingError> {
    let told = value.to_string();
    let (place, fields) = parameters(value)?;
    let at = |key: &str| within(&place, key);
    for key in fields.keys() {
        if !KEYS.contains(&key.as_str()) && key != "urlPattern" {
            let problem = format!("the protocol has no such parameter; it has {}", one_of(&KEYS));
            return Err(SettingError::new(at(key), problem));
        }
    }
    let number = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(SettingError::new(at(key), "it is a number in the protocol; write one")),
        },
    };
    let is_set = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(set)) => Ok(*set),
        Some(_) => Err(SettingError::new(at(key), "write true or false")),
    };
    let mut draft = Draft::default();
    if fields.contains_key("connectionType") {
        draft.remark("connectionType is left out: it changes what a page is told, not the line.");
    }
    if is_set("offline")? {
        draft.both(&drop("100%"));
        draft.remark(
            "Offline loses every packet. In Chrome requests fail at once \
             (ERR_INTERNET_DISCONNECTED), and navigator.onLine says so; behind a line that is cut \
             they time out.",
        );
        return draft.finish("Chrome's network conditions", &told);
    }
    let latency = number("latency")?.unwrap_or(0.0);
    if !(0.0..=LATENCY_MAX).contains(&latency) {
        let problem = format!("{latency} ms is no latency; write 0 to {LATENCY_MAX}");
        return Err(SettingError::new(at("latency"), problem));
    }
    let queue = number("packetQueueLength")?;
    if queue
        .is_some_and(|packets| packets < 0.0 || packets != libm::trunc(packets) || packets > 1e9)
    {
        let problem = "it is a number of packets, and 0 for no bound; write 50, say";
        return Err(SettingError::new(at("packetQueueLength"), problem));
    }
    let loss = number("packetLoss")?.unwrap_or(0.0);
    if !(0.0..=100.0).contains(&loss) {
        let problem = format!("{loss} is no share; write 0 to 100");
        return Err(SettingError::new(at("packetLoss"), problem));
    }
    let mut limits = 0;
    for (direction, key) in
        [(Direction::Up, "uploadThroughput"), (Direction::Down, "downloadThroughput")]
    {
        let bytes = number(key)?.unwrap_or(-1.0);
        if bytes > 0.0 {
            limits += 1;
            draft.rule(direction, limit(&at(key), bytes * 8.0, queue)?);
        }
        if latency > 0.0 {
            draft.rule(direction, delay(millis(latency / 2.0)));
        }
        if loss > 0.0 {
            draft.rule(direction, drop(&written_percent(loss)));
        }
    }
    if draft.is_empty() {
        let problem = "nothing is throttled; write a latency in ms, or a throughput in bytes/s";
        return Err(SettingError::new(place, problem));
    }
    remarks(&mut draft, latency, limits, loss, queue);
    if is_set("packetReordering")? {
        draft.remark(
            "packetReordering is left out: it lets packets of WebRTC overtake each other where \
             their delay varies, and here it does not. \"reorder\" is a rule of its own.",
        );
    }
    let presets = PRESETS.iter().filter(|preset| {
        let (slower, narrower) = preset.factors;
        let bytes = |key: &str| number(key).ok().flatten().unwrap_or(-1.0);
        let near = |one: f64, other: f64| (one - other).abs() <= other * 0.03;
        slower > 1.0
            && near(latency, preset.round_trip * slower)
            && near(bytes("downloadThroughput"), preset.down * 125.0 * narrower)
    });
    for preset in presets {
        draft.remark(format!(
            "These numbers are made for Chrome's way to throttle, out of a round trip of {} ms: \
             for the line behind them write from-cdp '{}'.",
            preset.round_trip, preset.names[0]
        ));
    }
    whole_line(&mut draft);
    draft.finish("Chrome's network conditions", &told)
}

/// Remarks on each number that is there.
fn remarks(draft: &mut Draft, latency: f64, limits: u32, loss: f64, queue: Option<f64>) {
    if latency > 0.0 {
        draft.remark(
            "Chrome's latency is the least time from a request to the head of its response; here \
             half of it is the delay of each direction, so every round trip takes it, those that \
             set a connection up included.",
        );
    }
    if limits > 0 {
        draft.remark(
            "Throughputs are bytes per second in Chrome, of bodies and heads; here they are the \
             speed of the line, with what packets cost besides.",
        );
    }
    if loss > 0.0 {
        draft.remark(
            "packetLoss is for WebRTC alone in Chrome; here every packet of the route may be lost, \
             in both directions.",
        );
    }
    match queue {
        Some(_) if limits == 0 => {
            draft.remark("packetQueueLength is left out: there is no throughput to queue at.");
        }
        Some(0.0) => draft.remark(format!(
            "A queue of any length is one of {QUEUE_ENDLESS} here, as every queue has a bound."
        )),
        Some(_) => draft.remark("packetQueueLength is for WebRTC alone in Chrome."),
        None => {}
    }
}

fn whole_line(draft: &mut Draft) {
    draft.remark(
        "Chrome throttles each page for itself, in the browser; here all that crosses a route \
         shares one line.",
    );
}

/// Finds the parameters in what was given: alone, in a message, or in a list of one that is for
/// all requests.
fn parameters(value: &Value) -> Result<(String, &Map<String, Value>), SettingError> {
    let refuse = |place: &str, problem: &str| Err(SettingError::new(place, problem));
    let Some(fields) = value.as_object() else {
        return refuse("", "here belong the parameters as an object");
    };
    if let Some(method) = fields.get("method") {
        let known = ["Network.emulateNetworkConditions", "Network.emulateNetworkConditionsByRule"];
        if !known.iter().any(|name| method == name) {
            return refuse(
                "method",
                "that sets no conditions; write Network.emulateNetworkConditions",
            );
        }
        let Some(parameters) = fields.get("params").and_then(Value::as_object) else {
            return refuse("params", "the message has no parameters; write them as an object");
        };
        return by_rule("params", parameters);
    }
    by_rule("", fields)
}

fn by_rule<'a>(
    place: &str,
    fields: &'a Map<String, Value>,
) -> Result<(String, &'a Map<String, Value>), SettingError> {
    let Some(list) = fields.get("matchedNetworkConditions") else {
        return Ok((place.to_owned(), fields));
    };
    let place = within(place, "matchedNetworkConditions");
    let global = |one: &Value| {
        one.get("urlPattern").is_none_or(|pattern| pattern.is_null() || pattern == "")
    };
    match list.as_array().map(Vec::as_slice) {
        Some([one]) if global(one) => match one.as_object() {
            Some(fields) => Ok((format!("{place}[0]"), fields)),
            None => Err(SettingError::new(format!("{place}[0]"), "here belongs an object")),
        },
        _ => Err(SettingError::new(
            place,
            "a route has one set of conditions for all requests; leave one with an empty urlPattern",
        )),
    }
}

/// Writes the rule of a speed.
fn limit(place: &str, bits: f64, queue: Option<f64>) -> Result<Value, SettingError> {
    let rate = Some(libm::round(bits)).filter(|bits| (1.0..1e15).contains(bits));
    let Some(rate) = rate.and_then(|bits| BitRate::new(bits as u64)) else {
        return Err(SettingError::new(place, "that is no speed of a line; write bytes per second"));
    };
    let mut rule = json!({ "rule": "rate", "limit": rate.to_string() });
    match queue {
        None => {}
        Some(0.0) => rule["queue"] = QUEUE_ENDLESS.into(),
        Some(packets) => rule["queue"] = format!("{packets} packets").into(),
    }
    Ok(rule)
}

fn millis(millis: f64) -> Duration {
    Duration::from_nanos(libm::round(millis * 1e6) as u64)
}
