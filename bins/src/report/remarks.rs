//! What a reader has to know before believing the figures.

use super::gather::Gathered;
use crate::words::{count, grouped, list};

/// More reasons than this say no more.
const ERRORS_SHOWN: usize = 5;

/// A sentence each.
pub(super) fn of(gathered: &Gathered) -> Vec<String> {
    let mut remarks = Vec::new();
    if gathered.failed > 0 {
        remarks.push(format!(
            "{} of {} failed and are in no mean: {}.",
            grouped(gathered.failed),
            count(gathered.rows, "cell"),
            reasons(&gathered.errors)
        ));
    }
    for pooled in &gathered.layout.pooled {
        let levels: Vec<&str> = pooled.levels.iter().take(6).map(|level| level.text.as_str()).collect();
        let more = if pooled.levels.len() > levels.len() { " …" } else { "" };
        remarks.push(format!(
            "{} varies too ({}{more}) and is thrown together in each point; show it with --x, --by or --over.",
            pooled.name,
            levels.join(", ")
        ));
    }
    if gathered.identical > 0 {
        remarks.push(format!(
            "{} the files twice, word for word, and counted once.",
            stand(gathered.identical, "row stands in", "rows stand in")
        ));
    }
    if gathered.again > 0 {
        remarks.push(format!(
            "{} of a cell that has a row already; all of them count.",
            stand(gathered.again, "row is a further run", "rows are further runs")
        ));
    }
    if !gathered.torn.is_empty() {
        let (ends, those) = match gathered.torn.len() {
            1 => ("ends", "that row is"),
            _ => ("end", "those rows are"),
        };
        let places = list(&gathered.torn);
        remarks.push(format!("{places} {ends} within a row that was being written; {those} left out."));
    }
    remarks
}

fn stand(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `it took longer than 60s (3), refused (1)`.
pub(super) fn reasons(errors: &[(String, u64)]) -> String {
    let shown = errors.iter().take(ERRORS_SHOWN);
    let mut texts: Vec<String> = shown.map(|(text, times)| format!("{text} ({})", grouped(*times))).collect();
    let rest: u64 = errors.iter().skip(ERRORS_SHOWN).map(|(_, times)| times).sum();
    if rest > 0 {
        texts.push(format!("other reasons ({})", grouped(rest)));
    }
    texts.join(", ")
}
