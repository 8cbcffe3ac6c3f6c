//! comcast's command lines (github.com/tylertreat/comcast), as it turns them into netem's on Linux.

use super::command_line::{Known, Options, Style, commands, flag, value};
use super::draft::Draft;
use super::quantity::{percent, whole};
use crate::profile::netem::Translation;
use jostle_common::chance::Direction;
use jostle_common::setting::SettingError;

const KNOWN: &[Known] = &[
    value(&["device"]),
    value(&["latency"]),
    value(&["target-bw"]),
    value(&["default-bw"]),
    value(&["packet-loss"]),
    value(&["target-addr"]),
    value(&["target-port"]),
    value(&["target-proto"]),
    flag(&["dry-run"]),
    flag(&["stop"]),
    flag(&["version"]),
];

/// Go's flags have one dash or two.
const STYLE: Style = Style { tool: "comcast", one_dash: true, spaced: true, known: KNOWN };

/// Translates a command line of comcast, with its name in front or without.
///
/// ```
/// use jostle_engine::profile::imports::from_comcast;
/// let translation = from_comcast("comcast --latency=250 --target-bw=1000 --packet-loss=10%").unwrap();
/// assert!(translation.profile.contains(r#""limit": "1Mbit/s""#));
/// ```
///
/// # Errors
/// When comcast, tc or jostle would refuse it; the place is the option.
pub fn from_comcast(line: &str) -> Result<Translation, SettingError> {
    let mut all = commands(line)?;
    if all.len() > 1 {
        let problem = format!("{} commands are here; translate one at a time", all.len());
        return Err(SettingError::new("comcast", problem));
    }
    let mut words = all.pop().unwrap_or_default();
    let is_name = |word: &String| word == "comcast" || word.ends_with("/comcast");
    if words.first().is_some_and(is_name) {
        words.remove(0);
    }
    let options = Options::read(&words, STYLE)?;
    if let Some(word) = options.others.first() {
        let problem = "comcast reads nothing behind a word that is no option; leave it out";
        return Err(SettingError::new(word, problem));
    }
    if let Some(name) = ["stop", "version"].into_iter().find(|name| options.has(name)) {
        let problem = "that sets nothing up, so no profile is like it; leave it out";
        return Err(SettingError::new(format!("--{name}"), problem));
    }
    let mut draft = Draft::default();
    let netem = netem_line(&options, &mut draft)?;
    if netem.is_empty() {
        let problem = "nothing is to be done; write --latency=250, --target-bw=1000 or \
                       --packet-loss=10%";
        return Err(SettingError::new("comcast", problem));
    }
    draft.netem(Direction::Up, &netem)?;
    draft.remark(
        "On Linux comcast acts on what leaves the machine, so the rules stand in \"up\"; its \
         latency is one way. For the other direction, or for both, write \"down\" or \"both\".",
    );
    for name in ["target-addr", "target-port", "target-proto"] {
        if options.has(name) {
            draft.remark(format!(
                "--{name} is left out: a route has one upstream, and a rule meets all that goes \
                 there."
            ));
        }
    }
    if options.has("default-bw") {
        draft.remark("--default-bw is left out: it is for traffic that is no target.");
    }
    draft.finish("comcast", &words.join(" "))
}

/// Returns the options that comcast gives netem.
fn netem_line(options: &Options, draft: &mut Draft) -> Result<String, SettingError> {
    let mut netem = Vec::new();
    if let Some(text) = options.get("latency") {
        let millis = whole("--latency", text)?;
        if millis > 0 {
            netem.push(format!("delay {millis}ms"));
        }
    }
    if let Some(text) = options.get("target-bw") {
        let kilobits = whole("--target-bw", text)?;
        if kilobits == 0 {
            let problem = "tc refuses a rate of 0; write 1000 for 1 Mbit/s, or leave it out";
            return Err(SettingError::new("--target-bw", problem));
        }
        if kilobits > 0 {
            netem.push(format!("rate {kilobits}kbit"));
        }
    }
    if let Some(text) = options.get("packet-loss") {
        let loss = percent("--packet-loss", text)?;
        // It hands tc two decimals.
        let rounded = format!("{loss:.2}");
        if loss > 0.0 {
            if rounded.parse() != Ok(loss) {
                draft.remark(format!(
                    "comcast rounds the loss to two decimals: {loss}% is {rounded}%, here too."
                ));
            }
            netem.push(format!("loss {rounded}%"));
        }
    }
    Ok(netem.join(" "))
}
