//! The judgement of a comparison with older rows: the points that got worse, what is unclear, and
//! the verdict.

use super::super::metric::Metric;
use super::super::table::Table;
use super::{Failing, Finding, Gate, GateOutcome, PointPlace};
use jostle_common::words::{count, grouped, list, number};
use jostle_console::terminal::escaped;
use serde_json::{Map, Value, json};

/// More unclear points than this fill a screen and are of no help; JSON has them all.
const UNCLEAR_SHOWN: usize = 20;

impl Gate {
    /// Writes the tables and the verdict, in Markdown.
    pub(in super::super) fn text(&self) -> String {
        let mut text = String::new();
        if !self.worse.is_empty() {
            text += &format!("{}\n", self.table(&self.worse).markdown());
        }
        if !self.failing.is_empty() {
            text += &format!("{}\n", failing_table(&self.failing).markdown());
        }
        if !self.unclear.is_empty() {
            let shown = &self.unclear[..self.unclear.len().min(UNCLEAR_SHOWN)];
            let more = match self.unclear.len() - shown.len() {
                0 => String::new(),
                more => format!(" ({} of them are not shown)", grouped(more as u64)),
            };
            text += &format!(
                "Too few or too noisy pairs to tell{more}:\n\n{}\n",
                self.table(shown).markdown()
            );
        }
        for remark in self.remarks() {
            text += &format!("{}\n\n", escaped(&remark));
        }
        text + &format!("{}\n", escaped(&self.verdict()))
    }

    /// Writes the verdict in one sentence.
    pub(in super::super) fn verdict(&self) -> String {
        let conditions: Vec<String> = self.conditions.iter().map(ToString::to_string).collect();
        let conditions = conditions.join(", ");
        let points = count(self.points, "point");
        match self.outcome {
            GateOutcome::Passed => {
                format!("PASS: none of {points} got worse ({conditions}){}.", self.but_unclear())
            }
            GateOutcome::Worse => {
                let worse = self.worse_points();
                format!(
                    "FAIL: {} of {points} got worse ({conditions}){}.",
                    grouped(worse),
                    self.but_unclear()
                )
            }
            GateOutcome::Unclear => {
                let unclear = grouped(self.unclear.len() as u64);
                format!(
                    "FAIL: {unclear} verdicts on {points} are unclear, and --strict wants \
                         them clear ({conditions})."
                )
            }
            GateOutcome::Gone => {
                let gone = count(self.old_alone, "old cell");
                format!(
                    "FAIL: {gone} without a new one, and --strict wants all compared \
                         ({conditions})."
                )
            }
            GateOutcome::Nothing if self.pairs == 0 => {
                "FAIL: nothing was compared: no new cell has an old one with the same parameters, \
                 repeat and seed."
                    .to_owned()
            }
            GateOutcome::Nothing if self.unclear.is_empty() => format!(
                "FAIL: nothing was compared: in none of {points} was a cell done now and before \
                 that has what is asked for ({conditions})."
            ),
            GateOutcome::Nothing => format!(
                "FAIL: nothing could be judged: there is one pair at most of each of {points}; \
                 run more repeats (--repeat 5)."
            ),
        }
    }

    fn but_unclear(&self) -> String {
        match self.unclear.len() {
            0 => String::new(),
            1 => "; 1 verdict is unclear".to_owned(),
            unclear => format!("; {} verdicts are unclear", grouped(unclear as u64)),
        }
    }

    /// Returns the number of points that got worse, for whatever reasons.
    fn worse_points(&self) -> u64 {
        let spots = self
            .worse
            .iter()
            .map(|finding| &finding.spot)
            .chain(self.failing.iter().map(|failing| &failing.spot));
        spots.map(|spot| &spot.levels).collect::<std::collections::BTreeSet<_>>().len() as u64
    }

    /// Lists the facts that a reader has to know before believing the verdict, a sentence each.
    pub(in super::super) fn remarks(&self) -> Vec<String> {
        let old = self.old_remarks.iter();
        let mut remarks: Vec<String> =
            old.map(|remark| format!("Of the old rows: {remark}")).collect();
        if self.chances > 0 {
            remarks.push(format!(
                "{} could be wrong by chance; each is held to an interval of {}%, so that all \
                 together are as sure as 95%.",
                count(self.chances, "verdict"),
                number_of_percent(self.confidence)
            ));
        }
        let alone = [(self.new_alone, "new", "old"), (self.old_alone, "old", "new")];
        let alone = alone.iter().filter(|(alone, ..)| *alone > 0);
        let alone: Vec<String> = alone
            .map(|(alone, own, other)| {
                format!("{} without {other}", count(*alone, &format!("{own} cell")))
            })
            .collect();
        if !alone.is_empty() {
            remarks.push(format!(
                "Not compared: {}; {} were.",
                list(&alone),
                count(self.pairs, "pair")
            ));
        }
        if self.same_runs > 0 {
            remarks.push(format!(
                "{} of one and the same run: was a file compared with itself?",
                count(self.same_runs, "pair")
            ));
        }
        remarks
    }

    /// Lists the findings of conditions, a line each.
    pub(in super::super) fn table(&self, findings: &[Finding]) -> Table {
        let mut heads = spot_heads(findings.iter().map(|finding| &finding.spot));
        let names = heads.len() + 1;
        heads.extend(["condition", "old", "new", "ratio", "interval", "pairs"].map(str::to_owned));
        let row = |finding: &Finding| {
            let condition = &self.conditions[finding.condition];
            let metric = Metric::named(&condition.metric).expect("conditions are about metrics");
            let value =
                |value: f64| if value.is_nan() { "-".to_owned() } else { metric.unit.words(value) };
            let mut cells = spot_cells(&finding.spot);
            cells.extend([condition.to_string(), value(finding.old_mean), value(finding.new_mean)]);
            cells.extend([ratio(finding.ratio), interval(finding), grouped(finding.pairs)]);
            cells
        };
        Table { heads, names, rows: findings.iter().map(row).collect() }
    }

    /// Returns the same for programs.
    pub(in super::super) fn json(&self) -> Value {
        let findings = |list: &[Finding]| {
            list.iter().map(|finding| self.finding_json(finding)).collect::<Vec<_>>()
        };
        let failing = self.failing.iter().map(|failing| {
            json!({
                "at": levels_json(&failing.spot),
                "pairs": failing.pairs,
                "old_failed": failing.old_failed,
                "new_failed": failing.new_failed,
            })
        });
        json!({
            "passed": self.passed(),
            "verdict": self.verdict(),
            "against": self.sources,
            "remarks": self.remarks(),
            "conditions": self.conditions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "points": self.points,
            "pairs": self.pairs,
            "without_partner": { "new": self.new_alone, "old": self.old_alone },
            "same_runs": self.same_runs,
            "verdicts_by_chance": self.chances,
            "confidence_of_each": self.confidence,
            "sound": self.sound,
            "worse": findings(&self.worse),
            "more_failed": failing.collect::<Vec<_>>(),
            "unclear": findings(&self.unclear),
        })
    }

    fn finding_json(&self, finding: &Finding) -> Value {
        json!({
            "at": levels_json(&finding.spot),
            "condition": self.conditions[finding.condition].to_string(),
            "pairs": finding.pairs,
            "unusable": finding.unusable,
            "old_mean": finding.old_mean,
            "new_mean": finding.new_mean,
            // JSON has no infinity: what was nothing before has no ratio there.
            "ratio": finding.ratio,
            "low": finding.interval.map(|interval| interval.low),
            "high": finding.interval.map(|interval| interval.high),
            "basis": finding.basis.name(),
        })
    }
}

/// Lists the points of which more cells failed, a line each.
pub(in super::super) fn failing_table(failing: &[Failing]) -> Table {
    let mut heads = spot_heads(failing.iter().map(|failing| &failing.spot));
    let names = heads.len();
    heads.extend(["failed before", "fail now", "pairs"].map(str::to_owned));
    let row = |failing: &Failing| {
        let counts = [failing.old_failed, failing.new_failed, failing.pairs].map(grouped);
        spot_cells(&failing.spot).into_iter().chain(counts).collect()
    };
    Table { heads, names, rows: failing.iter().map(row).collect() }
}

fn spot_heads<'a>(mut spots: impl Iterator<Item = &'a PointPlace>) -> Vec<String> {
    let names =
        spots.next().map(|spot| spot.levels.iter().map(|(name, _)| (*name).to_owned()).collect());
    names.unwrap_or_default()
}

fn spot_cells(spot: &PointPlace) -> Vec<String> {
    spot.levels.iter().map(|(_, text)| text.clone()).collect()
}

fn levels_json(spot: &PointPlace) -> Value {
    spot.levels
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!(text)))
        .collect::<Map<_, _>>()
        .into()
}

fn ratio(ratio: f64) -> String {
    match ratio {
        ratio if ratio.is_nan() => "-".to_owned(),
        ratio if ratio.is_infinite() => "from 0".to_owned(),
        ratio if (0.01..99.95).contains(&ratio) => format!("{ratio:.3}"),
        ratio => number(ratio),
    }
}

fn interval(finding: &Finding) -> String {
    match (finding.basis, finding.interval) {
        (super::Basis::Certain, _) => "certain".to_owned(),
        (super::Basis::Signs, _) => "by count".to_owned(),
        (super::Basis::Interval, Some(interval)) => {
            format!("{} to {}", ratio(interval.low), ratio(interval.high))
        }
        (super::Basis::Interval, None) => "-".to_owned(),
    }
}

/// Writes `99.95` for 0.9995: digits enough to differ from 100.
fn number_of_percent(confidence: f64) -> String {
    let lack = (1.0 - confidence) * 100.0;
    let decimals = if lack >= 1.0 { 1 } else { (1.0 - libm::log10(lack)) as usize };
    let text = format!("{:.decimals$}", confidence * 100.0);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidences_keep_the_digits_that_tell_them_from_certainty() {
        assert_eq!(
            [0.95, 0.975, 0.995, 0.9995, 0.999_95].map(number_of_percent),
            ["95", "97.5", "99.5", "99.95", "99.995"]
        );
        assert_eq!(
            [0.8, 0.0, f64::INFINITY, 0.001, 1234.0].map(ratio),
            ["0.800", "0", "from 0", "1.00e-3", "1,234"]
        );
    }
}
