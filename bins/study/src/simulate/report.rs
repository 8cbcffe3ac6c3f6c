//! The result of a simulation, as a table and as JSON.

use super::finished::{Simulated, SimulatedLink};
use super::live::span;
use crate::probe::{Bin, Series};
use comfy_table::{Cell, CellAlignment, Table, presets};
use jostle_common::words::{count, fine_percent, grouped, rate, time};
use jostle_console::terminal::escaped;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Percentiles of the delay in tables and JSON, as names and shares.
const PERCENTILES: [(&str, f64); 6] =
    [("p1", 0.01), ("p5", 0.05), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];
/// Lengths of runs that a terminal shows.
const LENGTHS_SHOWN: usize = 10;

pub(super) fn text(simulated: &Simulated) -> String {
    let mut text = format!("{}\n\n", escaped(&opening(simulated)));
    text.push_str(&table(&simulated.directions));
    for one in &simulated.directions {
        text.push_str(&runs(one));
    }
    text
}

/// Describes the stream and the profile it was sent through.
pub(super) fn opening(simulated: &Simulated) -> String {
    let name = simulated.name.as_deref().unwrap_or("the weather of the command line");
    format!("{name}: {}", sent(simulated))
}

/// Describes the stream: how many packets each way, of what size, how fast.
pub(super) fn sent(simulated: &Simulated) -> String {
    let packets: Vec<String> = simulated
        .directions
        .iter()
        .map(|one| format!("{} {}", count(one.tally.entered(), "packet"), one.direction))
        .collect();
    let end = match simulated.seed {
        Some(seed) => format!("; seed {seed}"),
        None => format!(", in {}", span(&simulated.directions)),
    };
    format!("{} {}{end}", packets.join(", "), simulated.stream)
}

fn table(directions: &[SimulatedLink]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    let heads = directions.iter().map(|one| one.direction.name());
    table.set_header(std::iter::once("").chain(heads));
    for (name, cells) in rows(directions) {
        table.add_row(std::iter::once(Cell::new(name)).chain(cells.into_iter().map(Cell::new)));
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 3));
        if place > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Returns the rows that say something for at least one direction.
pub(super) fn rows(directions: &[SimulatedLink]) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, value: &dyn Fn(&SimulatedLink) -> Option<String>| {
        let cells: Vec<Option<String>> = directions.iter().map(value).collect();
        if cells.iter().any(Option::is_some) {
            let cells =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect();
            rows.push((name.to_owned(), cells));
        }
    };
    let some = |number: u64| (number > 0).then(|| grouped(number));
    row("lost", &|one| Some(fine_percent(one.loss())));
    row("  99.9% interval", &|one| {
        let (low, high) = one.loss_interval();
        (one.tally.runs().lost() > 0)
            .then(|| format!("{} to {}", fine_percent(low), fine_percent(high)))
    });
    row("  by formula", &|one| one.expected.as_ref().map(|losses| fine_percent(losses.share)));
    row("  in a row, mean", &|one| {
        (one.tally.runs().count() > 0).then(|| format!("{:.2}", one.tally.runs().mean()))
    });
    row("  by formula", &|one| {
        let losses = one.expected.as_ref().filter(|_| one.tally.runs().count() > 0)?;
        losses.burst.map(|burst| format!("{burst:.2}"))
    });
    row("  in a row, most", &|one| some(one.tally.runs().longest()));
    // In the order in which they are met, up before down.
    let mut reasons: Vec<&str> = Vec::new();
    for (reason, _) in directions.iter().flat_map(|one| &one.reasons) {
        if !reasons.contains(&reason.as_str()) {
            reasons.push(reason);
        }
    }
    for reason in reasons {
        row(&format!("discarded: {reason}"), &|one| {
            one.reasons.iter().find(|(own, _)| own == reason).map(|(_, times)| grouped(*times))
        });
    }
    row("delay, mean", &|one| delay(one).map(|_| time(one.tally.delay_moments().mean())));
    row("  sd", &|one| delay(one).map(|_| time(one.tally.delay_moments().sd())));
    for (name, share) in PERCENTILES {
        row(&format!("  {name}"), &|one| one.tally.delay_quantile(share).map(time));
    }
    row("  most", &|one| delay(one).map(|(_, most)| time(most)));
    row("out of order", &|one| {
        let order = one.tally.reordering();
        (order.reordered() > 0).then(|| fine_percent(order.ratio()))
    });
    row("  furthest, packets", &|one| some(one.tally.reordering().extent_max()));
    row("duplicates", &|one| some(one.tally.duplicates()));
    row("damaged", &|one| some(one.counters.corrupted));
    row("said CE", &|one| some(one.counters.ecn.ce));
    row("  marked here", &|one| some(one.counters.ecn.marked));
    row("cross traffic, sent", &|one| some(one.counters.cross.sent));
    row("  got through", &|one| some(one.counters.cross.delivered));
    row("throughput, mean", &|one| {
        throughput(one.tally.seconds()).map(|[_, mean, _]| rate(mean as u64))
    });
    row("  least second", &|one| {
        throughput(one.tally.seconds()).map(|[least, _, _]| rate(least as u64))
    });
    row("  most", &|one| throughput(one.tally.seconds()).map(|[_, _, most]| rate(most as u64)));
    rows
}

/// Returns the shortest and the longest delay.
fn delay(one: &SimulatedLink) -> Option<(f64, f64)> {
    one.tally.delay_range()
}

/// Returns the least, the mean and the most bits per second that arrived, over the whole seconds in
/// which something was sent.
fn throughput(seconds: &Series) -> Option<[f64; 3]> {
    let sent = seconds.bins().iter().rposition(|bin| bin.offered > 0)?;
    // The last second may be half empty; a stream of less than two has nothing else.
    let bins = &seconds.bins()[..sent.max(1)];
    let rate = |bin: &Bin| bin.delivered_bytes as f64 * 8.0 / seconds.width();
    let rates = bins.iter().map(rate);
    let (least, most) = rates
        .clone()
        .fold((f64::INFINITY, 0.0f64), |(least, most), rate| (least.min(rate), most.max(rate)));
    Some([least, rates.sum::<f64>() / bins.len() as f64, most])
}

/// Describes the losses in a row, against the model.
fn runs(one: &SimulatedLink) -> String {
    let runs = one.tally.runs();
    if runs.count() == 0 {
        return String::new();
    }
    let mut text = format!("\nlost in a row, {}\n", one.direction);
    let expected = |from: usize, to: usize| -> String {
        let Some(lengths) = one.expected_lengths() else { return String::new() };
        let share: f64 = lengths.iter().skip(from).take(to - from).sum();
        format!("{:>14}", format!("{:.1} expected", share * runs.count() as f64))
    };
    let mut line = |name: String, count: u64, expected: String| {
        let _ = writeln!(text, "  {name:>8}  {:>10}  {expected}", grouped(count));
    };
    let lengths = runs.lengths();
    for (index, count) in lengths.iter().take(LENGTHS_SHOWN).enumerate() {
        line((index + 1).to_string(), *count, expected(index, index + 1));
    }
    if lengths.len() > LENGTHS_SHOWN {
        let rest = lengths[LENGTHS_SHOWN..].iter().sum();
        line("more".to_owned(), rest, expected(LENGTHS_SHOWN, usize::MAX));
    }
    text
}

/// Writes the simulation as JSON. Times are seconds, shares fractions, rates bits per second.
pub(super) fn json(simulated: &Simulated) -> Value {
    let mut object = Map::new();
    object.insert("profile".into(), simulated.name.clone().into());
    object.insert("seed".into(), simulated.seed.into());
    object.insert("route".into(), simulated.route.clone().into());
    object.insert("stream".into(), simulated.stream_json.clone());
    for one in &simulated.directions {
        object.insert(one.direction.name().into(), direction(one));
    }
    Value::Object(object)
}

fn direction(one: &SimulatedLink) -> Value {
    let (tally, counters, runs) = (&one.tally, &one.counters, one.tally.runs());
    let (low, high) = one.loss_interval();
    let expected = one.expected.as_ref();
    let discarded: Map<String, Value> =
        one.reasons.iter().map(|(reason, times)| (reason.clone(), (*times).into())).collect();
    let mut delay = Map::new();
    delay.insert("mean".into(), tally.delay_moments().mean().into());
    delay.insert("sd".into(), tally.delay_moments().sd().into());
    delay.insert("min".into(), tally.delay_range().map(|(least, _)| least).into());
    for (name, share) in PERCENTILES {
        delay.insert(name.into(), tally.delay_quantile(share).into());
    }
    delay.insert("max".into(), tally.delay_range().map(|(_, most)| most).into());
    let seconds = tally.seconds();
    let bits = |of: fn(&Bin) -> u64| -> Vec<u64> {
        seconds.bins().iter().map(|bin| (of(bin) as f64 * 8.0 / seconds.width()) as u64).collect()
    };
    json!({
        "in": counters.entered, "copies": counters.copies, "delivered": counters.delivered,
        "discarded": discarded, "corrupted": counters.corrupted, "ecn": counters.ecn,
        "held": counters.held,
        "cross": (!counters.cross.is_none()).then_some(counters.cross),
        "flipped_bits": tally.flipped_bits(),
        "in_bytes": tally.entered_bytes(), "delivered_bytes": tally.delivered_bytes(),
        "loss": {
            "lost": runs.lost(), "share": one.loss(), "low": low, "high": high,
            "expected": expected.map(|losses| losses.share),
        },
        "bursts": {
            "count": runs.count(), "mean": runs.mean(), "max": runs.longest(),
            "expected_mean": expected.and_then(|losses| losses.burst), "lengths": runs.lengths(),
        },
        "delay": delay,
        "reordering": {
            "reordered": tally.reordering().reordered(), "ratio": tally.reordering().ratio(),
            "extent_max": tally.reordering().extent_max(),
            "extent_mean": tally.reordering().extent_mean(),
        },
        "duplicates": tally.duplicates(),
        "chosen": one
            .chosen
            .iter()
            .map(|(rule, count)| (rule.clone(), Value::from(*count)))
            .collect::<Map<_, _>>(),
        "seconds": {
            "width": seconds.width(), "offered_bps": bits(|bin| bin.offered_bytes),
            "delivered_bps": bits(|bin| bin.delivered_bytes),
        },
    })
}
