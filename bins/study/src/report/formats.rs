//! The report without pictures: Markdown for people, CSV and JSON for programs.

use super::dimension::Dimension;
use super::estimate::PointEstimate;
use super::gate::Gate;
use super::gather::{Gathered, Point};
use super::key::Level;
use super::metric::CONFIDENCE;
use super::summary::{estimate, failed, legend, middle};
use super::table::Table;
use jostle_common::statistics::Estimate;
use jostle_console::terminal::escaped;
use serde_json::{Map, Value, json};

/// Writes the report in Markdown: a table for each small multiple.
pub(super) fn markdown(gathered: &Gathered, gate: Option<&Gate>) -> String {
    let mut text = format!("# {}\n\n{}\n", gathered.title(), escaped(&gathered.opening()));
    for remark in gathered.remarks() {
        text += &format!("\n> {}\n", escaped(&remark));
    }
    let multiples = gathered.points.chunk_by(|a, b| a.over == b.over);
    for points in multiples {
        if let Some(over) = &gathered.layout.over {
            text += &format!("\n## {} {}\n", over.name, escaped(&over.levels[points[0].over].text));
        }
        text += &format!("\n{}", table(gathered, points).markdown());
    }
    if !gathered.metrics.is_empty() {
        text += &format!("\n{}\n", legend(gathered));
    }
    if let Some(gate) = gate {
        text += &format!("\n## Against {}\n\n{}", escaped(&gate.sources.join(", ")), gate.text());
    }
    text
}

/// Returns the points of one small multiple, for people.
pub(super) fn table(gathered: &Gathered, points: &[Point]) -> Table {
    let layout = &gathered.layout;
    let inner: Vec<&Dimension> = [&layout.by, &layout.x].into_iter().flatten().collect();
    let mut heads: Vec<String> = inner.iter().map(|dimension| dimension.name.to_owned()).collect();
    heads.extend(["cells", "failed"].map(str::to_owned));
    for metric in &gathered.metrics {
        heads.push(metric.title.clone());
        // Of one value there is no median to tell apart.
        if gathered.repeats > 1 {
            heads.push("median".to_owned());
        }
    }
    let row = |point: &Point| {
        let place = |dimension: &Dimension| match layout.by.as_ref() == Some(dimension) {
            true => point.by,
            false => point.x,
        };
        let mut cells: Vec<String> =
            inner.iter().map(|dimension| dimension.levels[place(dimension)].text.clone()).collect();
        cells.extend([point.rows, point.failed].map(jostle_common::words::grouped));
        for (metric, found) in gathered.metrics.iter().zip(&point.estimates) {
            let mean = estimate(metric, found.as_ref());
            let is_of_the_rest = point.failed > 0 && found.is_some();
            cells.push(if is_of_the_rest { format!("{mean}, {}", failed(point)) } else { mean });
            if gathered.repeats > 1 {
                cells.push(middle(metric, found.as_ref()));
            }
        }
        cells
    };
    Table { heads, names: inner.len(), rows: points.iter().map(row).collect() }
}

/// Writes the points as comma-separated values, in base units; what is not known is empty.
pub(super) fn csv(gathered: &Gathered) -> String {
    let layout = &gathered.layout;
    let dimensions = [&layout.over, &layout.by, &layout.x].into_iter().flatten();
    let mut heads: Vec<String> = dimensions.map(column).collect();
    heads.extend(["cells", "failed"].map(str::to_owned));
    for metric in &gathered.metrics {
        heads.extend(NUMBERS.map(|what| format!("{}_{what}", metric.column())));
    }
    let rows = gathered.points.iter().map(|point| {
        let level =
            |(dimension, place): (&Dimension, usize)| plain(dimension, &dimension.levels[place]);
        let mut cells: Vec<String> = gathered.place(point).map(level).collect();
        cells.extend([point.rows, point.failed].map(|count| count.to_string()));
        let text =
            |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        cells.extend(point.estimates.iter().flat_map(|found| numbers(found.as_ref()).map(text)));
        cells
    });
    Table { names: 0, rows: rows.collect(), heads }.csv()
}

/// Returns the name of a dimension's column: `loss_share`, `delay_s`, `protocol`.
fn column(dimension: &Dimension) -> String {
    let name = dimension.name.replace('-', "_");
    match dimension.unit() {
        _ if !dimension.is_ordered => name,
        "" => name,
        "bit/s" => format!("{name}_bps"),
        unit => format!("{name}_{unit}"),
    }
}

fn plain(dimension: &Dimension, level: &Level) -> String {
    match level.value {
        Some(value) if dimension.is_ordered => value.to_string(),
        None if dimension.is_ordered => String::new(),
        _ => level.text.clone(),
    }
}

/// The numbers of a metric at a point, in the order of columns.
const NUMBERS: [&str; 10] = [
    "count",
    "mean",
    "low",
    "high",
    "median",
    "p10",
    "p90",
    "geometric",
    "geometric_low",
    "geometric_high",
];

/// Returns the numbers of a metric at a point; `None` is not known.
fn numbers(found: Option<&PointEstimate>) -> [Option<f64>; NUMBERS.len()] {
    let Some(found) = found else {
        let mut nothing = [None; NUMBERS.len()];
        nothing[0] = Some(0.0);
        return nothing;
    };
    let ends = |estimate: Option<Estimate>| {
        let interval = estimate.and_then(|estimate| estimate.interval);
        [interval.map(|interval| interval.low), interval.map(|interval| interval.high)]
    };
    let ([low, high], [low_log, high_log]) = (ends(Some(found.mean)), ends(found.geometric));
    [
        Some(found.count() as f64),
        Some(found.mean.mean),
        low,
        high,
        Some(found.median),
        Some(found.tenths.low),
        Some(found.tenths.high),
        found.geometric.map(|geometric| geometric.mean),
        low_log,
        high_log,
    ]
}

/// Returns the whole report as one object.
pub(super) fn json(gathered: &Gathered, gate: Option<&Gate>) -> Value {
    let layout = &gathered.layout;
    let pairs = |list: &[(String, u64)]| -> Value {
        list.iter().map(|(text, count)| (text.clone(), json!(count))).collect::<Map<_, _>>().into()
    };
    let fixed: Map<String, Value> =
        layout.fixed.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let metrics = gathered.metrics.iter().map(|metric| {
        let about = json!({
            "title": metric.title,
            "unit": metric.unit.sign(),
            "better": metric.better.name(),
        });
        (metric.name.clone(), about)
    });
    let points = gathered.points.iter().map(|point| {
        let at = gathered.place(point).map(|(dimension, place)| {
            (dimension.name.to_owned(), as_in_rows(&dimension.levels[place]))
        });
        let found = gathered.metrics.iter().zip(&point.estimates);
        let found =
            found.map(|(metric, estimate)| (metric.name.clone(), estimated(estimate.as_ref())));
        json!({
            "at": at.collect::<Map<_, _>>(),
            "cells": point.rows,
            "failed": point.failed,
            "errors": pairs(&point.errors),
            "metrics": found.collect::<Map<_, _>>(),
        })
    });
    json!({
        "what": gathered.title(),
        "files": gathered.sources,
        "cells": gathered.rows,
        "failed": gathered.failed,
        "errors": pairs(&gathered.errors),
        "left_out": { "identical": gathered.identical, "torn": gathered.torn },
        "run_again": gathered.again,
        "repeats": gathered.repeats,
        "fixed": fixed,
        "x": layout.x.as_ref().map(levels),
        "by": layout.by.as_ref().map(levels),
        "over": layout.over.as_ref().map(levels),
        "follows": layout.follows,
        "pooled": layout.pooled.iter().map(levels).collect::<Vec<_>>(),
        "confidence": CONFIDENCE,
        "metrics": metrics.collect::<Map<_, _>>(),
        "not_shown": gathered.unshown,
        "points": points.collect::<Vec<_>>(),
        "gate": gate.map(Gate::json),
    })
}

fn levels(dimension: &Dimension) -> Value {
    let levels: Vec<Value> = dimension.levels.iter().map(as_in_rows).collect();
    json!({ "name": dimension.name, "ordered": dimension.is_ordered, "levels": levels })
}

/// Returns a level as rows have it: a share is a fraction, a size a number of bytes, what has
/// another unit a text; `null` is not set.
fn as_in_rows(level: &Level) -> Value {
    match (level.value, level.unit) {
        _ if *level == Level::unset() => Value::Null,
        (Some(value), "share" | "bytes" | "") => json!(value),
        _ => json!(level.text),
    }
}

fn estimated(found: Option<&PointEstimate>) -> Value {
    let number = |(name, number): (&str, Option<f64>)| {
        let value =
            if name == "count" { json!(number.map(|count| count as u64)) } else { json!(number) };
        (name.to_owned(), value)
    };
    Value::Object(NUMBERS.into_iter().zip(numbers(found)).map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{RowBuilder, gathered, row, sweep};
    use super::super::gather::Choice;
    use super::*;

    /// Gathers two protocols, two loss rates, two repetitions, one of which failed; the numbers can
    /// be checked by hand.
    fn small() -> Gathered {
        let mut rows: Vec<RowBuilder> = Vec::new();
        for (protocol, base) in [("tcp", 1.0), ("saw", 4.0)] {
            for (loss, factor) in [(0.1, 2.0), (0.0, 1.0)] {
                for repeat in 1..=2 {
                    let seconds = base * factor + f64::from(repeat) - 1.5;
                    let built = row().with("protocol", protocol).with("loss", loss).repeat(repeat);
                    let built = built.with("size", 65_536).seconds(seconds);
                    let fails = protocol == "saw" && loss > 0.0 && repeat == 2;
                    rows.push(if fails { built.failed("gave up, \"tired\"") } else { built });
                }
            }
        }
        gathered(&rows, &Choice::default())
    }

    #[test]
    fn markdown_is_a_table_a_person_can_read() {
        let expected = "\
# Time to completion over loss, by protocol

8 cells from rows.jsonl, 1 failed. The same in all: delay 0s, size 64KiB, real time, version 0.1.0.

> 1 of 8 cells failed and are in no mean: gave up, \"tired\" (1).

| protocol | loss | cells | failed |   time to completion | median |
|----------|------|------:|-------:|---------------------:|-------:|
| tcp      | 0%   |     2 |      0 |               866 ms |    1 s |
| tcp      | 10%  |     2 |      0 |               1.94 s |    2 s |
| saw      | 0%   |     2 |      0 |               3.97 s |    4 s |
| saw      | 10%  |     2 |      1 | 7.5 s, 1 of 2 failed |        |

Means over the cells that did not fail (geometric ones of time to completion, which spread over \
powers of ten), and in brackets their intervals of 95%, from 5 values on; behind a median the \
values between which eight tenths of all lie.
";
        let version = format!("version {}.", env!("CARGO_PKG_VERSION"));
        assert_eq!(markdown(&small(), None), expected.replace("version 0.1.0.", &version));
    }

    #[test]
    fn csv_is_in_base_units() {
        // Two values have no interval; the geometric mean of 0.5 and 1.5 is the root of 0.75.
        let expected = "\
protocol,loss_share,cells,failed,seconds_count,seconds_mean,seconds_low,seconds_high,\
seconds_median,seconds_p10,seconds_p90,seconds_geometric,seconds_geometric_low,\
seconds_geometric_high
tcp,0,2,0,2,1,,,1,0.6,1.4,0.8660254037844386,,
tcp,0.1,2,0,2,2,,,2,1.6,2.4,1.9364916731037085,,
saw,0,2,0,2,4,,,4,3.6,4.4,3.968626966596886,,
saw,0.1,2,1,1,7.5,,,7.5,7.5,7.5,7.5,,
";
        assert_eq!(csv(&small()), expected);
    }

    #[test]
    fn json_says_everything() {
        let object = json(&small(), None);
        assert_eq!(
            (&object["what"], &object["cells"], &object["failed"], &object["gate"]),
            (
                &json!("Time to completion over loss, by protocol"),
                &json!(8),
                &json!(1),
                &Value::Null
            )
        );
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            object["fixed"],
            json!({ "delay": "0s", "size": "64KiB", "virtual": "real", "version": version })
        );
        assert_eq!(object["x"], json!({ "name": "loss", "ordered": true, "levels": [0.0, 0.1] }));
        assert_eq!(
            object["by"],
            json!({ "name": "protocol", "ordered": false, "levels": ["tcp", "saw"] })
        );
        let about = json!({ "title": "time to completion", "unit": "s", "better": "less" });
        assert_eq!(object["metrics"], json!({ "seconds": about }));
        assert_eq!(object["points"].as_array().map(Vec::len), Some(4));
        let worst = json!({
            "at": { "protocol": "saw", "loss": 0.1 },
            "cells": 2,
            "failed": 1,
            "errors": { "gave up, \"tired\"": 1 },
            "metrics": { "seconds": {
                "count": 1, "mean": 7.5, "low": null, "high": null,
                "median": 7.5, "p10": 7.5, "p90": 7.5,
                "geometric": 7.5, "geometric_low": null, "geometric_high": null,
            } },
        });
        assert_eq!(object["points"][3], worst);
    }

    #[test]
    fn small_multiples_are_tables_of_their_own() {
        let text = markdown(
            &gathered(&sweep(&[0.0, 0.1, 0.2], &["10ms", "1s"]), &Choice::default()),
            None,
        );
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, ["## delay 10ms", "## delay 1s"]);
        assert_eq!(text.lines().filter(|line| line.starts_with("| saw ")).count(), 6);
        assert!(
            text.contains(
                "> 4 of 180 cells failed and are in no mean: it took longer than 60s (4)."
            ),
            "{text}"
        );
    }
}
