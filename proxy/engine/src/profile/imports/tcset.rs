//! tcconfig's `tcset` command lines, and the JSON that its `tcshow` prints.

use super::command_line::{Known, Options, Style, commands, flag, shortened, value};
use super::draft::Draft;
use super::quantity::{percent, rate, time, whole};
use crate::profile::netem::Translation;
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, parse_json, within};
use jostle_common::units::BitRate;
use serde_json::{Map, Value, json};
use std::time::Duration;

const KNOWN: &[Known] = &[
    value(&["rate", "bandwidth-rate"]),
    value(&["delay"]),
    value(&["delay-distro"]),
    value(&["delay-distribution"]),
    value(&["loss"]),
    value(&["duplicate"]),
    value(&["corrupt"]),
    value(&["reordering", "reorder"]),
    value(&["limit"]),
    value(&["direction"]),
    value(&["device", "d"]),
    value(&["shaping-algo"]),
    value(&["mtu"]),
    value(&["burst"]),
    value(&["network", "dst-network"]),
    value(&["src-network"]),
    value(&["port", "dst-port"]),
    value(&["src-port"]),
    value(&["exclude-dst-network"]),
    value(&["exclude-src-network"]),
    value(&["exclude-dst-port"]),
    value(&["exclude-src-port"]),
    value(&["src-container"]),
    value(&["dst-container"]),
    flag(&["overwrite"]),
    flag(&["change"]),
    flag(&["add"]),
    flag(&["import-setting"]),
    flag(&["ipv6"]),
    flag(&["iptables"]),
    flag(&["docker"]),
    flag(&["tc-command"]),
    flag(&["tc-script"]),
    flag(&["debug"]),
    flag(&["debug-query"]),
    flag(&["quiet"]),
    flag(&["stacktrace"]),
];

const STYLE: Style = Style { tool: "tcset", one_dash: false, spaced: true, known: KNOWN };

/// Options that choose packets, which a route does by itself.
const CHOICES: [&str; 10] = [
    "network",
    "src-network",
    "port",
    "src-port",
    "exclude-dst-network",
    "exclude-src-network",
    "exclude-dst-port",
    "exclude-src-port",
    "src-container",
    "dst-container",
];

/// The units of a time, by their seconds.
const TIMES: &[(&[&str], f64)] = &[
    (&["d", "day", "days"], 86_400.0),
    (&["h", "hour", "hours"], 3600.0),
    (&["m", "min", "mins", "minute", "minutes"], 60.0),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["ms", "msec", "msecs", "millisecond", "milliseconds"], 1e-3),
    (&["us", "usec", "usecs", "microsecond", "microseconds"], 1e-6),
];

/// tcset takes no longer delay.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// The bytes of a frame's headers that a UDP payload does not count: Ethernet, IPv4 and UDP.
const FRAME_BYTES: u64 = 42;

/// netem's bound on what it holds, unless tcset says another.
const LIMIT_DEFAULT: i64 = 1000;

/// Translates `tcset` commands, one for each direction, or what `tcshow` prints.
///
/// ```
/// use jostle_engine::profile::imports::from_tcset;
/// let translation = from_tcset("tcset eth0 --rate 100Kbps --delay 100ms --loss 0.1%").unwrap();
/// assert!(translation.profile.contains(r#""limit": "100kbit/s""#));
/// ```
///
/// # Errors
/// When tcset, tc or jostle would refuse it; the place is the option or the key.
pub fn from_tcset(text: &str) -> Result<Translation, SettingError> {
    let mut draft = Draft::default();
    let (settings, told) = if text.trim_start().starts_with('{') {
        (shown(text, &mut draft)?, "what tcshow prints".to_owned())
    } else {
        (typed(text, &mut draft)?, text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut taken = Vec::new();
    for (place, direction, setting) in settings {
        if taken.contains(&direction) {
            let way = if direction == Direction::Up { "outgoing" } else { "incoming" };
            let problem = format!(
                "a second rule for {way} packets: a route has one upstream, so translate the one \
                 that is meant alone"
            );
            return Err(SettingError::new(place, problem));
        }
        taken.push(direction);
        setting.write(direction, &mut draft)?;
    }
    if draft.is_empty() {
        let problem = "nothing is to be done; write --rate 10Mbps, --delay 100ms or --loss 1%, say";
        return Err(SettingError::new("tcset", problem));
    }
    match taken.as_slice() {
        [Direction::Up] => draft.remark(
            "Outgoing is \"up\", from client to server. tcset's help calls its delay and loss \
             those of a round trip, and hands them to one direction, as they are here; for both \
             write \"both\".",
        ),
        [Direction::Down] => draft.remark("Incoming is \"down\", from server to client."),
        _ => draft.remark("Outgoing is \"up\", incoming \"down\"."),
    }
    draft.finish("tcset", &told)
}

/// What one rule asks for.
#[derive(Default)]
struct Setting {
    bits: Option<u64>,
    delay: Duration,
    spread: Duration,
    distribution: String,
    loss: f64,
    duplicate: f64,
    corrupt: f64,
    reorder: f64,
    limit: i64,
}

impl Setting {
    /// Takes in an option or a key; returns false if there is none of that name.
    fn take(&mut self, place: &str, name: &str, text: &str) -> Result<bool, SettingError> {
        let to_time = |text: &str| time(place, &text.to_lowercase(), TIMES, 1e-3, "100ms");
        match name {
            "rate" | "bandwidth-rate" => self.bits = Some(bits(place, text)?),
            "delay" => {
                self.delay = to_time(text)?;
                if self.delay > DELAY_MAX {
                    return Err(SettingError::new(place, "tcset takes 60min at most"));
                }
            }
            "delay-distro" => self.spread = to_time(text)?,
            "delay-distribution" => {
                if !matches!(text, "normal" | "pareto" | "paretonormal") {
                    let text = shortened(text);
                    let problem = format!(
                        "tcset has no distribution \"{text}\"; write normal, pareto or paretonormal"
                    );
                    return Err(SettingError::new(place, problem));
                }
                text.clone_into(&mut self.distribution);
            }
            "loss" => self.loss = percent(place, text)?,
            "duplicate" => self.duplicate = percent(place, text)?,
            "corrupt" => self.corrupt = percent(place, text)?,
            "reordering" | "reorder" => self.reorder = percent(place, text)?,
            "limit" => {
                self.limit = whole(place, text)?;
                if self.limit < 0 {
                    return Err(SettingError::new(place, "tcset takes at least 1 packet"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Writes the rules: netem's, and behind it the class with the rate.
    fn write(&self, direction: Direction, draft: &mut Draft) -> Result<(), SettingError> {
        let mut netem = Vec::new();
        let share = |name: &str, percent: f64| {
            // It hands tc six decimals.
            (percent > 0.0).then(|| format!("{name} {percent:.6}%"))
        };
        netem.extend(share("loss", self.loss));
        netem.extend(share("duplicate", self.duplicate));
        if !self.delay.is_zero() {
            netem.push(format!("delay {}us", self.delay.as_nanos() as f64 / 1e3));
            if !self.spread.is_zero() {
                let distribution = match self.distribution.as_str() {
                    "" => "normal",
                    other => other,
                };
                let spread = self.spread.as_nanos() as f64 / 1e3;
                netem.push(format!("{spread}us distribution {distribution}"));
            }
        } else if self.reorder > 0.0 {
            let problem = "reordering needs a delay to skip; write --delay 10ms, say";
            return Err(SettingError::new("reordering", problem));
        }
        netem.extend(share("corrupt", self.corrupt));
        netem.extend(share("reorder", self.reorder));
        if self.limit > 0 {
            netem.push(format!("limit {}", self.limit));
        }
        if !netem.is_empty() {
            draft.netem(direction, &netem.join(" "))?;
        }
        let Some(limit) = self.bits.and_then(BitRate::new) else { return Ok(()) };
        let packets = if self.limit > 0 { self.limit } else { LIMIT_DEFAULT };
        draft.rule(
            direction,
            json!({
                "rule": "rate", "limit": limit.to_string(), "queue": format!("{packets} packets"),
                "overhead": FRAME_BYTES,
            }),
        );
        draft.remark(format!(
            "tcset's rate is an HTB class with netem inside: packets wait in netem, which holds \
             {packets}, those in the delay included, and a burst of some milliseconds passes at \
             once. Here they wait in front of the rate, behind the delay, and none pass at once. \
             HTB counts whole Ethernet frames, {FRAME_BYTES} bytes more than a UDP payload, so \
             \"overhead\" says that; for a modelled TCP route, whose segments count their IP and \
             TCP headers already, write 28 less."
        ));
        Ok(())
    }
}

/// Reads a rate: bits, in steps of 1000 or 1024. A number alone is none.
fn bits(place: &str, text: &str) -> Result<u64, SettingError> {
    // "10Mbps", "10 Mbit/s", "10 megabits" is none: prefix, then one of three ways to say bits per
    // second.
    let text = text.trim();
    let names = ["bps", "bit/s", "bits/s", "bit/sec", "bits/sec", "bit/second", "bits/second"];
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || ".+-".contains(c));
    let (number, unit) = (&text[..text.len() - unit.len()], unit.trim_start());
    let plain = unit.replace(" per ", "/").replace("per", "/").replace(' ', "");
    let prefixes = [
        ("", 1.0),
        ("k", 1e3),
        ("K", 1e3),
        ("m", 1e6),
        ("M", 1e6),
        ("g", 1e9),
        ("G", 1e9),
        ("t", 1e12),
        ("T", 1e12),
        ("ki", 1024.0),
        ("Ki", 1024.0),
        ("mi", 1_048_576.0),
        ("Mi", 1_048_576.0),
        ("gi", 1_073_741_824.0),
        ("Gi", 1_073_741_824.0),
        ("ti", 1_099_511_627_776.0),
        ("Ti", 1_099_511_627_776.0),
    ];
    let scale = prefixes
        .iter()
        .find(|(prefix, _)| plain.strip_prefix(prefix).is_some_and(|rest| names.contains(&rest)));
    let Some((_, scale)) = scale else {
        let problem = if plain.is_empty() && !number.is_empty() {
            format!("\"{}\" has no unit, and tcset wants one; write 10Mbps, say", shortened(text))
        } else {
            format!("\"{}\" is not a rate in bits; write 10Mbps or 250Kbps, say", shortened(text))
        };
        return Err(SettingError::new(place, problem));
    };
    let bits = rate(place, number, &[(&[""], *scale)], "10Mbps")?;
    if bits < 8 {
        return Err(SettingError::new(place, "tcset takes 8bps at least"));
    }
    Ok(bits)
}

type Settings = Vec<(String, Direction, Setting)>;

fn typed(text: &str, draft: &mut Draft) -> Result<Settings, SettingError> {
    let mut settings = Settings::new();
    for mut words in commands(text)? {
        let is_name = |word: &String| word == "tcset" || word.ends_with("/tcset");
        if words.first().is_some_and(is_name) {
            words.remove(0);
        } else if words.first().is_some_and(|word| word.starts_with("tc") && word != "tc") {
            let problem = "only tcset sets rules up; leave the others out";
            return Err(SettingError::new(shortened(&words[0]), problem));
        }
        let options = Options::read(&words, STYLE)?;
        if options.has("import-setting") {
            let problem = "the rules are in that file; give its text, as what tcshow prints";
            return Err(SettingError::new("--import-setting", problem));
        }
        let direction = match options.get("direction") {
            None | Some("outgoing") => Direction::Up,
            Some("incoming") => Direction::Down,
            Some(other) => {
                let problem = format!(
                    "tcset has no direction \"{}\"; write outgoing or incoming",
                    shortened(other)
                );
                return Err(SettingError::new("--direction", problem));
            }
        };
        if let Some(algorithm) = options.get("shaping-algo")
            && !matches!(algorithm, "htb" | "tbf")
        {
            let problem = "tcset has htb and tbf; write one";
            return Err(SettingError::new("--shaping-algo", problem));
        }
        if let Some(word) = options.others.get(1) {
            let problem = "tcset reads one device; leave this out";
            return Err(SettingError::new(shortened(word), problem));
        }
        let mut setting = Setting::default();
        for known in KNOWN {
            let name = known.spellings[0];
            if let Some(value) = options.get(name).filter(|_| known.takes_value) {
                setting.take(&format!("--{name}"), name, value)?;
            }
        }
        let choices: Vec<String> = CHOICES
            .into_iter()
            .filter(|name| options.has(name))
            .map(|name| format!("--{name}"))
            .collect();
        left_out_choices(&choices.join(", "), draft);
        settings.push(("tcset".to_owned(), direction, setting));
    }
    Ok(settings)
}

/// Remarks that the choice of packets is left out, if there is one.
fn left_out_choices(choices: &str, draft: &mut Draft) {
    if !choices.is_empty() {
        draft.remark(format!(
            "{choices} is left out: a route has one upstream, and its rules meet all that goes \
             there."
        ));
    }
}

/// Reads what tcshow prints: device, direction, filter, settings.
fn shown(text: &str, draft: &mut Draft) -> Result<Settings, SettingError> {
    let devices = object("", &parse_json(text)?)?.clone();
    let mut settings = Settings::new();
    for (device, directions) in &devices {
        for (way, filters) in object(device, directions)? {
            let place = within(device, way);
            let direction = match way.as_str() {
                "outgoing" => Direction::Up,
                "incoming" => Direction::Down,
                _ => {
                    let problem = "tcset knows outgoing and incoming alone; write one of them";
                    return Err(SettingError::new(place, problem));
                }
            };
            for (filter, fields) in object(&place, filters)? {
                let place = format!("{place}[{}]", Value::from(filter.as_str()));
                let setting = keys(&place, object(&place, fields)?)?;
                let Some(setting) = setting else { continue };
                let choice = filter.split(", ").filter(|part| !part.starts_with("protocol="));
                left_out_choices(&choice.collect::<Vec<_>>().join(", "), draft);
                if setting.spread > Duration::ZERO {
                    draft.remark(
                        "tcshow does not print the distribution of a delay; tcset's is normal \
                         unless it was told another.",
                    );
                }
                settings.push((place, direction, setting));
            }
        }
    }
    Ok(settings)
}

/// Reads the settings of a filter; `None` if there are none.
fn keys(place: &str, fields: &Map<String, Value>) -> Result<Option<Setting>, SettingError> {
    let mut setting = Setting::default();
    for (key, value) in fields {
        let place = within(place, key);
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(SettingError::new(place, "here belongs a text or a number")),
        };
        // Where tc keeps the rule, which means nothing elsewhere.
        let is_place = matches!(key.as_str(), "filter_id" | "priority" | "handle");
        if !is_place && !setting.take(&place, key, &text)? {
            let problem = "tcshow prints no such key; it has delay, delay-distro, loss, duplicate, \
                           corrupt, reorder, limit and rate";
            return Err(SettingError::new(place, problem));
        }
    }
    Ok((!fields.is_empty()).then_some(setting))
}

fn object<'a>(place: &str, value: &'a Value) -> Result<&'a Map<String, Value>, SettingError> {
    value.as_object().ok_or_else(|| {
        let problem = "here belongs an object, as tcshow prints it: device, direction, filter, \
                       settings";
        SettingError::new(place, problem)
    })
}
