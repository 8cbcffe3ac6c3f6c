//! The sweep that makes the rows of a report again, as a command line.

use super::dimension::Dimension;
use super::gather::Gathered;
use crate::page::quoted;

/// Keys that say by whom and how rows were made, not what was asked.
const NO_PARAMETERS: [&str; 2] = ["virtual", "version"];

impl Gathered {
    /// Returns the sweep that runs the cells of the report again; `None` when they are not all
    /// combinations of their values, or were made in several ways.
    pub(super) fn sweep_again(&self) -> Option<String> {
        let layout = &self.layout;
        let varied: Vec<&Dimension> = [&layout.x, &layout.by, &layout.over]
            .into_iter()
            .flatten()
            .chain(&layout.pooled)
            .collect();
        let combinations: usize = varied.iter().map(|dimension| dimension.levels.len()).product();
        let cells = combinations as u64 * u64::from(self.repeats);
        let [seed] = self.origin.seeds.iter().collect::<Vec<_>>()[..] else { return None };
        if !layout.follows.is_empty() || cells != self.rows {
            return None;
        }
        let mut words = vec!["jostle".to_owned(), "sweep".to_owned()];
        for (name, value) in &layout.fixed {
            match *name {
                "virtual" if value == "virtual" => words.push("--virtual".to_owned()),
                name if NO_PARAMETERS.contains(&name) => {}
                // Anyone's programs are no protocol; a report does not have their commands.
                "protocol" if value == "commands" => return None,
                name => words.extend([format!("--{name}"), quoted(value)]),
            }
        }
        for dimension in varied {
            let texts: Vec<&str> =
                dimension.levels.iter().map(|level| level.text.as_str()).collect();
            let is_plain = |text: &&str| !text.contains(',') && *text != "not set";
            if NO_PARAMETERS.contains(&dimension.name) || !texts.iter().all(is_plain) {
                return None;
            }
            let values = format!("{}={}", dimension.name, texts.join(","));
            words.extend(["--vary".to_owned(), quoted(&values)]);
        }
        words.extend([format!("--repeat {}", self.repeats), format!("--seed {seed}")]);
        words.extend(["-o".to_owned(), "rows.jsonl".to_owned()]);
        Some(words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{gathered, row};
    use super::super::gather::Choice;

    #[test]
    fn a_crossed_sweep_is_one_command() {
        let mut rows = Vec::new();
        for repeat in 1..=2 {
            for loss in [0.0, 0.05] {
                for delay in ["5ms", "50ms"] {
                    let one = row().with("loss", loss).with("delay", delay).repeat(repeat);
                    rows.push(one.with("size", 65_536).seconds(1.0));
                }
            }
        }
        let again = |rows: &[_]| gathered(rows, &Choice::default()).sweep_again();
        let text = again(&rows).unwrap();
        assert!(text.starts_with("jostle sweep --protocol "), "{text}");
        for part in
            ["--size 64KiB", "--vary loss=0%,5%", "--vary delay=5ms,50ms", "--repeat 2 --seed "]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(again(&rows[1..]), None, "one combination is missing");
    }
}
