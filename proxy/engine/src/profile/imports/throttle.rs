//! sitespeed.io's throttle: its command lines and configuration files, as it turns them into
//! netem's on Linux.

use super::command_line::{Known, Options, Style, commands, flag, shortened, value};
use super::draft::Draft;
use super::quantity::written_percent;
use crate::profile::netem::Translation;
use crate::rules::ReadFile;
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, one_of, parse_json};
use serde_json::Value;

const KNOWN: &[Known] = &[
    value(&["up"]),
    value(&["down"]),
    value(&["rtt"]),
    value(&["packetLoss"]),
    value(&["profile"]),
    value(&["config"]),
    flag(&["localhost"]),
    flag(&["log"]),
    flag(&["stop"]),
    flag(&["help"]),
    flag(&["version"]),
];

const STYLE: Style = Style { tool: "throttle", one_dash: false, spaced: true, known: KNOWN };

/// throttle's own profiles: kbit/s up and down, and the round trip in milliseconds.
const PROFILES: [(&str, u64, u64, u64); 12] = [
    ("3g", 768, 1600, 150),
    ("3gfast", 768, 1600, 75),
    ("3gslow", 400, 400, 200),
    ("2g", 256, 280, 400),
    ("cable", 1000, 5000, 14),
    ("dsl", 384, 1500, 25),
    ("3gem", 400, 400, 200),
    ("4g", 9000, 9000, 85),
    ("lte", 12_000, 12_000, 35),
    ("edge", 200, 240, 420),
    ("dial", 30, 49, 60),
    ("fois", 5000, 20_000, 2),
];

/// What is asked for; 0 is nothing.
#[derive(Default)]
struct Asked {
    up: u64,
    down: u64,
    rtt: u64,
    loss: f64,
    localhost: bool,
}

/// Translates a command line of throttle, with its name in front or without, or the text of its
/// configuration file. `read` finds the file that `--config` names.
///
/// ```
/// use jostle_engine::profile::{imports::from_throttle, no_files};
/// let translation = from_throttle("throttle --up 330 --down 780 --rtt 200", &no_files).unwrap();
/// assert!(translation.profile.contains(r#""limit": "330kbit/s""#));
/// ```
///
/// # Errors
/// When throttle, tc or jostle would refuse it; the place is the option.
pub fn from_throttle(line: &str, read: ReadFile<'_>) -> Result<Translation, SettingError> {
    let mut draft = Draft::default();
    let (asked, told) = if line.trim_start().starts_with('{') {
        (configuration("", line)?, "a configuration file".to_owned())
    } else {
        command(line, read, &mut draft)?
    };
    let half = format!("delay {}ms", asked.rtt as f64 / 2.0);
    let loss = match asked.loss {
        0.0 => String::new(),
        loss => format!(" loss {}", written_percent(loss)),
    };
    if asked.localhost {
        if asked.rtt == 0 {
            let problem = "throttle needs it for --localhost; write --rtt 200, say";
            return Err(SettingError::new("--rtt", problem));
        }
        Direction::BOTH.into_iter().try_for_each(|way| draft.netem(way, &half))?;
        if asked.up > 0 || asked.down > 0 || asked.loss > 0.0 {
            draft.remark("With --localhost throttle sets the delay alone; so it is here.");
        }
    } else {
        if asked.up == 0 && asked.down == 0 && asked.rtt == 0 {
            let problem = "at least one of --up, --down and --rtt is needed; write 3gfast, or \
                           --up 330 --down 780 --rtt 200";
            return Err(SettingError::new("throttle", problem));
        }
        for (direction, kilobits) in [(Direction::Up, asked.up), (Direction::Down, asked.down)] {
            if kilobits > 0 {
                draft.netem(direction, &format!("{half} rate {kilobits}kbit{loss}"))?;
            }
        }
        match (asked.up, asked.down) {
            (0, 0) => {
                Direction::BOTH.into_iter().try_for_each(|way| draft.netem(way, &half))?;
                if asked.loss > 0.0 {
                    draft.remark(
                        "Without --up and --down throttle sets the delay alone, and loses \
                         nothing; so it is here.",
                    );
                }
            }
            (0, _) | (_, 0) if asked.rtt > 0 => draft.remark(
                "throttle sets half of the round trip in a direction that has a speed, and \
                 nothing in the other; so it is here, and the round trip is half of what was \
                 asked for.",
            ),
            _ => {}
        }
    }
    if asked.loss > 0.0 && !asked.localhost && asked.up + asked.down > 0 {
        draft.remark(
            "throttle's loss is that of each direction which has a speed. On macOS it is of what \
             comes in alone.",
        );
    }
    draft.finish("throttle", &told)
}

fn command(
    line: &str,
    read: ReadFile<'_>,
    draft: &mut Draft,
) -> Result<(Asked, String), SettingError> {
    let mut all = commands(line)?;
    if all.len() > 1 {
        let problem = format!("{} commands are here; translate one at a time", all.len());
        return Err(SettingError::new("throttle", problem));
    }
    let mut words = all.pop().unwrap_or_default();
    // What a shell may have in front.
    words.retain(|word| word != "npx" && !word.starts_with("LOG_THROTTLE="));
    let is_name = |word: &String| {
        matches!(word.as_str(), "throttle" | "@sitespeed.io/throttle")
            || word.ends_with("/throttle")
    };
    if words.first().is_some_and(is_name) {
        words.remove(0);
    }
    let told = words.join(" ");
    let options = Options::read(&words, STYLE)?;
    if let Some(name) = options.repeated() {
        return Err(SettingError::new(format!("--{name}"), "it is here twice; leave one out"));
    }
    let named = options.get("profile").or_else(|| options.others.first().map(String::as_str));
    let stops = ["stop", "help", "version"]
        .into_iter()
        .find(|name| options.has(name) || options.others.first().is_some_and(|word| word == name));
    if let Some(name) = stops {
        let problem = "that sets nothing up, so no profile is like it; leave it out";
        return Err(SettingError::new(name, problem));
    }
    if let Some(word) = options.others.get(1) {
        return Err(SettingError::new(word, "throttle reads one word; leave this out"));
    }
    let loss = options.get("packetLoss").map_or(Ok(0.0), |text| loss("--packetLoss", text))?;
    let asked = if let Some(name) = named {
        let Some((_, up, down, rtt)) = PROFILES.into_iter().find(|(known, ..)| *known == name)
        else {
            let names = PROFILES.map(|(name, ..)| name);
            let problem = format!("throttle has no such profile; it has {}", one_of(&names));
            return Err(SettingError::new(shortened(name), problem));
        };
        if ["up", "down", "rtt", "config", "localhost"].into_iter().any(|name| options.has(name)) {
            draft
                .remark("Beside a profile throttle reads nothing but --packetLoss; so it is here.");
        }
        Asked { up, down, rtt, loss, localhost: false }
    } else if let Some(file) = options.get("config") {
        let text = read(file).map_err(|problem| SettingError::new("--config", problem))?;
        draft.remark("Beside --config throttle reads no other option; so it is here.");
        configuration(file, &text)?
    } else {
        let number = |name: &str| {
            options.get(name).map_or(Ok(0), |text| integer(&format!("--{name}"), text))
        };
        let localhost = options.has("localhost");
        Asked { up: number("up")?, down: number("down")?, rtt: number("rtt")?, loss, localhost }
    };
    Ok((asked, told))
}

/// Reads throttle's configuration file.
fn configuration(file: &str, text: &str) -> Result<Asked, SettingError> {
    let within =
        |key: &str| if file.is_empty() { key.to_owned() } else { format!("{file}: {key}") };
    let Value::Object(fields) = parse_json(text)? else {
        let problem = "here belongs an object; write { \"up\": 330, \"down\": 780, \"rtt\": 200 }";
        return Err(SettingError::new(file, problem));
    };
    let mut asked = Asked::default();
    for (key, value) in fields {
        let place = within(&key);
        let text = value.to_string();
        match key.as_str() {
            "up" => asked.up = integer(&place, &text)?,
            "down" => asked.down = integer(&place, &text)?,
            "rtt" => asked.rtt = integer(&place, &text)?,
            "packetLoss" => asked.loss = loss(&place, &text)?,
            "localhost" => asked.localhost = value == Value::Bool(true),
            _ => {
                let problem = "throttle reads no such key; it reads up, down, rtt, packetLoss and \
                               localhost";
                return Err(SettingError::new(place, problem));
            }
        }
    }
    Ok(asked)
}

fn integer(place: &str, text: &str) -> Result<u64, SettingError> {
    text.parse::<u32>().map(u64::from).map_err(|_| {
        let problem = format!(
            "\"{}\" is not a whole number, which throttle needs: kbit/s for --up and --down, \
             milliseconds for --rtt; write 200, say",
            shortened(text)
        );
        SettingError::new(place, problem)
    })
}

fn loss(place: &str, text: &str) -> Result<f64, SettingError> {
    if text.ends_with('%') {
        return Err(SettingError::new(place, "throttle takes a bare number; leave the % out"));
    }
    super::quantity::percent(place, text)
}
