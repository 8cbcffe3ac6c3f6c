//! Made-up rows, to look at what is said about them without waiting for a network.

use super::gather::{Choice, Gathered, gather};
use super::interner::Interner;
use super::read::{Loaded, Record, RowSource, load};
use crate::rows::Row;
use crate::trial::Trial;
use jostle_common::chance::{Direction, DrawStream};
use jostle_common::statistics::RoundTripMs;
use serde_json::Value;

/// A row that is made step by step.
#[derive(Clone)]
pub(super) struct RowBuilder(Row);

/// Returns a row of stop-and-wait in real time without weather, which is done and has measured
/// nothing.
pub(super) fn row() -> RowBuilder {
    let mut row = Trial { repeat: 1, seed: 7, ..Trial::default() }.row();
    row.ok = true;
    row.more.shift_remove("size");
    RowBuilder(row)
}

impl RowBuilder {
    /// Sets a parameter, as a row has it.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match name {
            "protocol" => self.0.protocol = text(),
            "version" => self.0.version = text(),
            "loss" => self.0.loss = serde_json::from_value(value).unwrap(),
            "delay" => self.0.delay = serde_json::from_value(value).unwrap(),
            "virtual" => self.0.is_virtual = value == true,
            _ => drop(self.0.more.insert(name.to_owned(), value)),
        }
        self
    }

    pub(super) fn repeat(mut self, repeat: u32) -> Self {
        self.0.repeat = repeat;
        self.0.seed = crate::sweep::repeat_seed(7, repeat);
        self
    }

    pub(super) fn goodput(mut self, bits_per_second: u64) -> Self {
        self.0.goodput_bps = Some(bits_per_second);
        self
    }

    pub(super) fn seconds(mut self, seconds: f64) -> Self {
        self.0.seconds = Some(seconds);
        self
    }

    pub(super) fn rtt(mut self, p50: f64) -> Self {
        self.0.rtt_ms = Some(RoundTripMs { samples: 9, p50: Some(p50), ..RoundTripMs::default() });
        self
    }

    pub(super) fn chunks(mut self, intact: u64, missing: u64, damaged: u64) -> Self {
        (self.0.intact, self.0.missing, self.0.damaged) =
            (Some(intact), Some(missing), Some(damaged));
        self
    }

    pub(super) fn failed(mut self, error: &str) -> Self {
        (self.0.ok, self.0.error) = (false, Some(error.to_owned()));
        self
    }

    pub(super) fn build(self) -> Row {
        self.0
    }

    pub(super) fn line(&self) -> String {
        format!("{}\n", serde_json::to_string(&self.0).unwrap())
    }
}

/// Returns the text of a file with these rows.
pub(super) fn lines(rows: &[RowBuilder]) -> String {
    rows.iter().map(RowBuilder::line).collect()
}

/// Loads a file with these rows.
pub(super) fn loaded(interner: &mut Interner, name: &str, rows: &[RowBuilder]) -> Loaded {
    let text = lines(rows);
    load(vec![RowSource::new(name, text.as_bytes())], interner).unwrap()
}

/// Gathers a report from these rows.
pub(super) fn gathered(rows: &[RowBuilder], choice: &Choice) -> Gathered {
    let mut interner = Interner::default();
    let mut loaded = loaded(&mut interner, "rows.jsonl", rows);
    interner.fill_in(loaded.records.iter_mut().map(Record::cell));
    gather(&interner, &loaded, choice).unwrap()
}

/// Returns a standard normal value, near enough: the sum of twelve uniform ones less six.
pub(super) fn noise(seed: u64, number: u64) -> f64 {
    let stream = DrawStream::new(seed, "made up", Direction::Up, "noise");
    let unit = |copy| (stream.draw(number, 0, copy).first() >> 11) as f64 / 9_007_199_254_740_992.0;
    (0..12).map(unit).sum::<f64>() - 6.0
}

/// Returns a sweep of protocols, loss rates and delays, ten repetitions each, of which a few
/// failed.
pub(super) fn sweep(losses: &[f64], delays: &[&str]) -> Vec<RowBuilder> {
    let mut rows = Vec::new();
    for (place, protocol) in ["tcp", "udp", "saw"].into_iter().enumerate() {
        for (delay_place, delay) in delays.iter().enumerate() {
            for (loss_place, loss) in losses.iter().enumerate() {
                for repeat in 1..=10 {
                    let number = (place * 1000 + delay_place * 100 + loss_place) as u64;
                    let factor = 1.0 + 0.03 * noise(u64::from(repeat), number);
                    let ease = if protocol == "udp" { 1.0 } else { 1.0 / (1.0 + 40.0 * loss) };
                    let goodput = 9e6 * ease * factor / (1.0 + delay_place as f64);
                    let missing =
                        if protocol == "udp" { (loss * 235.0 * factor).round() as u64 } else { 0 };
                    let built = row()
                        .with("protocol", protocol)
                        .with("delay", *delay)
                        .with("loss", *loss)
                        .with("size", 962_560)
                        .repeat(repeat)
                        .goodput(goodput as u64)
                        .seconds(7_700_480.0 / goodput)
                        .rtt(10.0 * factor * (1.0 + delay_place as f64))
                        .chunks(235 - missing, missing, 0);
                    let is_late = protocol == "saw" && *loss > 0.15 && repeat > 8;
                    rows.push(if is_late {
                        built.failed("it took longer than 60s")
                    } else {
                        built
                    });
                }
            }
        }
    }
    rows
}
