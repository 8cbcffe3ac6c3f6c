//! Which cell a row is of: its parameters, and nothing that was measured.

use jostle_common::protocol::digest::Digest;
use jostle_common::rows::Row;
use jostle_common::trial::Parameter;
use std::fmt::Write as _;

/// A cell, or the cell of a row: the first half of a digest of its parameters, so that a million fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity(u128);

impl Identity {
    /// The cell of a row.
    pub(super) fn of(row: &Row) -> Self {
        let mut text = String::with_capacity(256);
        let (loss, delay) = (row.loss.as_f64(), row.delay);
        let Row { protocol, repeat, seed, is_virtual, .. } = row;
        let _ = write!(text, "{protocol:?} {loss:?} {delay} {repeat} {seed} {is_virtual}");
        for parameter in Parameter::all() {
            if let Some(value) = row.more.get(parameter.name()) {
                let _ = write!(text, " {}={value}", parameter.name());
            }
        }
        let digest = Digest::of(text.as_bytes()).0;
        let (half, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        Self(u128::from_be_bytes(*half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::profile::no_files;
    use jostle_common::sweep::Sweep;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn a_row_that_was_written_and_read_is_of_the_same_cell() {
        let sweep = Sweep::from_json(
            &json!({ "repeat": 2, "virtual": true,
                "set": { "jitter": "0.1ms", "profile": { "up": [ { "rule": "drop", "chance": 0.07 } ] }, "up-burst": 1.1 },
                "vary": [ { "protocol": "saw,udp" }, { "loss": "0..100%:0.1%" }, { "delay": "1ms,0.07s" } ] })
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
        }
        assert_eq!(seen.len(), 2 * 2 * 1001 * 2);
    }
}
