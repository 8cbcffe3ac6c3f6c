//! Translates a `tc netem` line into a profile, and says what netem would in fact have done.
//!
//! The profile keeps the numbers that were asked for. Where netem does something else with them, a
//! remark says what, also in `about`.

mod chances;
mod correlated;
mod line;
mod quantity;
mod shell;
mod tables;
mod timing;

use super::Profile;
use jostle_common::setting::SettingError;
use jostle_common::units::{Probability, Span};
use line::Netem;
use serde_json::Value;
use shell::Command;
use std::time::Duration;

/// A netem line as a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The profile, as JSON text with a rule per line.
    pub profile: String,
    /// Remarks on what netem would in fact have done, and on what is different here; a sentence or
    /// two each.
    pub remarks: Vec<String>,
}

/// What jitter may do to the order of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JitterOrder {
    /// Packets overtake each other where they do in netem.
    #[default]
    AsInNetem,
    /// Packets keep their order.
    Kept,
}

/// Translates the options of a netem line (`delay 100ms 10ms loss 1% 25%`), with or without
/// `tc qdisc add dev eth0 root netem` in front, as it stands in a script; or what `tc qdisc show`
/// prints of it.
///
/// ```
/// use jostle_engine::profile::netem::{JitterOrder, from_netem};
/// let translation = from_netem("delay 100ms loss 5% 25%", JitterOrder::AsInNetem).unwrap();
/// assert!(translation.profile.contains(r#""mean": "5%""#));
/// assert!(translation.remarks.iter().any(|remark| remark.contains("netem loses 0.19%")));
/// ```
///
/// # Errors
/// When tc would refuse the line, or nothing here is like what it asks for; the place is the
/// option.
pub fn from_netem(line: &str, order: JitterOrder) -> Result<Translation, SettingError> {
    let Command { words, is_one_of_several } = shell::command(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let netem = Netem::parse(&words)?;
    let mut draft = Draft::of(&netem, order)?;
    if is_one_of_several {
        draft.remarks.insert(0, "The other commands beside it are read over.".to_owned());
    }
    draft.whole_line(&netem);
    let profile = draft.profile(&words.join(" "), netem.device.as_deref());
    // The user who keeps the profile puts the table's file in its place; any numbers will do here.
    let a_table = |_: &str| Ok("0".to_owned());
    Profile::from_json_with(&profile, &a_table).map_err(|error| {
        SettingError::new(error.place, format!("no profile can say that: {}", error.problem))
    })?;
    Ok(Translation { profile, remarks: draft.remarks })
}

/// Translates netem's options as another tool hands them to tc: returns the rules, and the remarks
/// on them.
pub(super) fn rules_of(
    line: &str,
    order: JitterOrder,
) -> Result<(Vec<Value>, Vec<String>), SettingError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let netem = Netem::parse(&words)?;
    let draft = Draft::of(&netem, order)?;
    let rules = draft.rules.iter().filter_map(|rule| serde_json::from_str(rule).ok());
    Ok((rules.collect(), draft.remarks))
}

/// A translation that is being written.
#[derive(Default)]
struct Draft {
    order: JitterOrder,
    rules: Vec<String>,
    remarks: Vec<String>,
}

impl Draft {
    /// Makes the rules of a line.
    fn of(netem: &Netem, order: JitterOrder) -> Result<Self, SettingError> {
        let mut draft = Self { order, ..Self::default() };
        // netem's order: duplicate, lose, corrupt, then either jump ahead or wait; the rate comes
        // behind the delay, the slots behind both.
        draft.duplicate(netem);
        draft.loss(netem)?;
        draft.corrupt(netem);
        draft.reorder(netem);
        draft.delay(netem);
        draft.rate(netem);
        draft.slot(netem);
        Ok(draft)
    }

    fn rule(&mut self, fields: &[(&str, String)]) {
        self.rules.push(object(fields));
    }

    fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Adds the remarks on the line as a whole.
    fn whole_line(&mut self, netem: &Netem) {
        if let Some(seed) = netem.seed {
            self.remark(format!(
                "A seed is no part of a profile: run jostle with --seed {seed}. netem's seed \
                 covers neither its correlations' first values nor the corrupted bits nor slot \
                 times."
            ));
        }
        match netem.device.as_deref() {
            Some("lo") => self.remark(
                "On the loopback device netem meets both directions, so the rules stand in \
                 \"both\".",
            ),
            _ => self.remark(
                "netem acts on what leaves one interface, so the rules stand in \"up\"; for the \
                 other direction, or for both, write \"down\" or \"both\".",
            ),
        }
    }

    /// Returns the profile, in the layout of those that are built in.
    fn profile(&self, line: &str, device: Option<&str>) -> String {
        let about = format!("Translated from netem: {line}. {}", self.remarks.join(" "));
        let list = if device == Some("lo") { "both" } else { "up" };
        let rules = match self.rules.as_slice() {
            [] => "[]".to_owned(),
            rules => format!("[\n    {}\n  ]", rules.join(",\n    ")),
        };
        format!("{{\n  \"about\": {},\n  \"{list}\": {rules}\n}}\n", quoted(&about))
    }
}

/// Writes a JSON object on one line; the values are JSON already.
fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{ {} }}", fields.join(", "))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes a fraction as a percentage that parses back to it.
fn percent(fraction: f64) -> String {
    Probability::new(fraction.clamp(0.0, 1.0)).unwrap_or(Probability::NEVER).to_string()
}

/// Writes a fraction as a percentage for reading: two significant digits.
fn roughly(fraction: f64) -> String {
    let value = fraction * 100.0;
    if value < 0.0001 {
        return "less than 0.0001%".into();
    }
    let digits = (1.0 - libm::floor(libm::log10(value))).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}%")
}

fn span(duration: Duration) -> String {
    Span(duration).to_string()
}

#[cfg(test)]
mod tests;
