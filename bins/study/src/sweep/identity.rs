//! The cell that a row is of: its parameters, and nothing that was measured.

use crate::rows::Row;
use crate::trial::{Parameter, SettingKind};
use jostle_common::digest::Digest;
use jostle_common::units::Probability;
use serde_json::Value;
use std::fmt::Write as _;

/// A cell, or the cell of a row: the first half of a digest of its parameters, so that a million
/// fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity(u128);

impl Identity {
    /// Returns the cell of a row.
    pub(super) fn of(row: &Row) -> Self {
        let mut text = String::with_capacity(256);
        let Row { protocol, loss, delay, repeat, seed, is_virtual, .. } = row;
        let _ = write!(text, "{protocol:?} {loss} {delay} {repeat} {seed} {is_virtual}");
        for parameter in Parameter::all() {
            let Some(value) = row.more.get(parameter.name()) else { continue };
            let _ = match share(parameter, value) {
                Some(share) => write!(text, " {}={share}", parameter.name()),
                None => write!(text, " {}={value}", parameter.name()),
            };
        }
        let digest = Digest::of(text.as_bytes()).0;
        let (half, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        Self(u128::from_be_bytes(*half))
    }
}

/// Returns the share that a value is. As a text, as options have it, a third is a little less than
/// it is in a row.
fn share(parameter: Parameter, value: &Value) -> Option<Probability> {
    let fraction = value.as_f64().filter(|_| parameter.kind() == SettingKind::Share)?;
    Probability::new(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Sweep;
    use crate::trial::Trial;
    use jostle_engine::profile::no_files;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// Returns the trial as another process reads it.
    fn again(trial: &Trial) -> Trial {
        let Trial { repeat, seed, is_virtual, .. } = *trial;
        let mut again = Trial { repeat, seed, is_virtual, ..Trial::default() };
        for pair in trial.arguments().windows(2).filter(|pair| pair[0].starts_with("--")) {
            if let Ok(parameter) = Parameter::named(pair[0].trim_start_matches("--")) {
                let setting = parameter.read(&pair[1].as_str().into(), &no_files).unwrap();
                parameter.put(&mut again, setting);
            }
        }
        again
    }

    #[test]
    fn a_row_that_was_written_and_read_is_of_the_same_cell() {
        let sweep = Sweep::from_json(
            &json!({ "repeat": 2, "virtual": true,
                "set": {
                    "jitter": "0.1ms", "up-burst": 1.1, "corrupt": 0.3333333333333333,
                    "profile": { "up": [ { "rule": "drop", "chance": 0.07 } ] },
                },
                "vary": [
                    { "protocol": "saw,udp" },
                    { "loss": "0..100%:0.1%" },
                    { "delay": "1ms,0.07s" },
                ] })
            .to_string(),
            &no_files,
        )
        .unwrap();
        let mut seen = BTreeSet::new();
        for cell in sweep.order() {
            let mut row = sweep.trial(&cell, 7).row();
            let identity = Identity::of(&row);
            row.seconds = Some(0.1 + row.loss.as_f64() / 3.0);
            row.error = Some("late".to_owned());
            row.host.insert("cpus".to_owned(), 2.into());
            row.more.insert("frames_lost".to_owned(), 3.into());
            let text = serde_json::to_string(&row).unwrap();
            let read: Row = serde_json::from_str(&text).unwrap();
            assert_eq!(read, row);
            assert_eq!(Identity::of(&read), identity);
            assert!(seen.insert(identity));
            assert_eq!(Identity::of(&again(&sweep.trial(&cell, 7)).row()), identity);
        }
        assert_eq!(seen.len(), 2 * 2 * 1001 * 2);
    }
}
