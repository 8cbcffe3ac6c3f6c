//! Reads a netem line into its options, as tc's `q_netem.c` does: options in any order, their names
//! as short as a prefix, numbers behind them as long as there are numbers. What tc prints of a
//! qdisc is read as well: it has a head of its own, and names in front of some numbers.

use super::quantity::{self, Time};
use jostle_common::setting::SettingError;
use std::time::Duration;

/// The options that a netem line asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Netem {
    /// The device, where the line names it.
    pub(super) device: Option<String>,
    pub(super) limit: Option<u64>,
    pub(super) delay: Option<Delay>,
    pub(super) distribution: Option<String>,
    pub(super) loss: Option<Loss>,
    pub(super) ecn: bool,
    pub(super) corrupt: Option<Chance>,
    pub(super) duplicate: Option<Chance>,
    pub(super) reorder: Option<Chance>,
    pub(super) gap: Option<u64>,
    pub(super) rate: Option<Rate>,
    pub(super) slot: Option<Slot>,
    pub(super) seed: Option<u64>,
    /// True if tc printed it: then it says nothing of a distribution.
    pub(super) is_shown: bool,
}

/// `delay TIME [JITTER [CORRELATION]]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delay {
    pub(super) time: Time,
    pub(super) jitter: Option<Time>,
    pub(super) correlation: f64,
}

/// A probability and the correlation of its random numbers, as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chance {
    pub(super) chance: f64,
    pub(super) correlation: f64,
}

/// One of netem's three loss models, with tc's defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Loss {
    Random(Chance),
    State { p13: f64, p31: f64, p32: f64, p23: f64, p14: f64 },
    Gemodel { p: f64, r: f64, loss_bad: f64, loss_good: f64 },
}

/// `rate RATE [PACKETOVERHEAD [CELLSIZE [CELLOVERHEAD]]]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) bits: u64,
    pub(super) packet_overhead: i64,
    pub(super) cell_size: i64,
    pub(super) cell_overhead: i64,
}

/// `slot MIN [MAX]` or `slot distribution NAME DELAY JITTER`, `[packets N] [bytes N]`; 0 is no
/// bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) times: SlotTimes,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// The time from the opening of a slot to that of the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SlotTimes {
    Between(Duration, Duration),
    Distribution { name: String, delay: Duration, jitter: Duration },
}

/// The options in the order in which tc compares a prefix with them.
const OPTIONS: [&str; 15] = [
    "limit",
    "latency",
    "delay",
    "loss",
    "drop",
    "ecn",
    "reorder",
    "corrupt",
    "gap",
    "duplicate",
    "distribution",
    "rate",
    "seed",
    "slot",
    "help",
];

/// A bare delay in tc's tick arithmetic.
const BARE_DELAY_NANOS: f64 = 1e3;
/// A bare slot time, which tc has read in 64 bits from the start.
const BARE_SLOT_NANOS: f64 = 1.0;

impl Netem {
    /// Reads the words of a line: netem's options, with or without
    /// `tc qdisc add dev DEVICE root netem` in front, or what `tc qdisc show` prints.
    pub(super) fn parse(words: &[&str]) -> Result<Self, SettingError> {
        let (device, mut words) = after_netem(words)?;
        let mut netem = Self { device, ..Self::default() };
        netem.take_head(&mut words);
        let mut seen = Vec::new();
        while let Some(word) = words.next() {
            // Behind the options tc -s prints counters.
            if netem.is_shown && word == "Sent" {
                break;
            }
            let option = option(word)?;
            if seen.contains(&option) {
                return Err(SettingError::new(option, "it is here a second time; write it once"));
            }
            seen.push(option);
            netem.take(option, &mut words)?;
        }
        netem.check()?;
        Ok(netem)
    }

    /// Reads what tc prints between the word netem and the options:
    /// `8001: dev eth0 root refcnt 2`.
    fn take_head(&mut self, words: &mut Words<'_>) {
        let is_handle = |word: &&&str| {
            word.strip_suffix(':').is_some_and(|number| u16::from_str_radix(number, 16).is_ok())
        };
        if words.rest.first().filter(is_handle).is_none() {
            return;
        }
        self.is_shown = true;
        words.next();
        loop {
            match words.rest.first() {
                Some(&"dev") => {
                    words.next();
                    self.device = words.next().map(str::to_owned);
                }
                Some(&("parent" | "refcnt" | "ingress_block" | "egress_block")) => {
                    words.next();
                    words.next();
                }
                Some(&("root" | "offloaded")) => {
                    words.next();
                }
                _ => return,
            }
        }
    }

    fn take(&mut self, option: &'static str, words: &mut Words<'_>) -> Result<(), SettingError> {
        match option {
            "limit" => self.limit = Some(words.value(option, "1000", quantity::size)?),
            "delay" => self.delay = Some(delay(words)?),
            "distribution" => self.distribution = Some(words.value(option, "normal", name)?),
            "loss" => self.loss = Some(loss(words)?),
            "ecn" => self.ecn = true,
            "corrupt" => self.corrupt = Some(chance(option, words)?),
            "duplicate" => self.duplicate = Some(chance(option, words)?),
            "reorder" => self.reorder = Some(chance(option, words)?),
            "gap" => self.gap = Some(words.value(option, "5", whole)?),
            "rate" => self.rate = Some(rate(words)?),
            "slot" => self.slot = Some(slot(words)?),
            _ => self.seed = Some(words.value(option, "7", whole)?),
        }
        Ok(())
    }

    /// Refuses what tc refuses, for its reasons.
    fn check(&self) -> Result<(), SettingError> {
        let delayed = self.delay.is_some_and(|delay| !delay.time.value.is_zero());
        let spread = self
            .delay
            .is_some_and(|delay| delay.jitter.is_some_and(|jitter| !jitter.value.is_zero()));
        let refuse = |place: &str, problem: &str| Err(SettingError::new(place, problem));
        if self.reorder.is_some_and(|reorder| reorder.chance > 0.0) {
            if !delayed {
                return refuse(
                    "reorder",
                    "netem lets packets jump ahead of a delay, and there is none; add delay 10ms, \
                     say",
                );
            }
        } else if self.gap.is_some_and(|gap| gap > 0) {
            return refuse("gap", "it belongs to reorder, and there is none; add reorder 25%, say");
        }
        if self.ecn && self.loss.is_none() {
            return refuse(
                "ecn",
                "it marks instead of losing, and there is no loss; add loss 1%, say",
            );
        }
        if self.distribution.is_some() && !spread {
            return refuse(
                "distribution",
                "there is no jitter to distribute; write delay 100ms 10ms, say",
            );
        }
        Ok(())
    }
}

/// Returns the device and what stands behind the word netem in a whole `tc` command, or just the
/// options.
fn after_netem<'a>(words: &'a [&'a str]) -> Result<(Option<String>, Words<'a>), SettingError> {
    // Only a whole command names netem; what stands in front of the word is tc's.
    let Some(at) = words.iter().position(|word| *word == "netem") else {
        return match words.first() {
            Some(&("tc" | "sudo" | "qdisc")) => Err(SettingError::new(
                "tc",
                "no netem is in this command; write tc qdisc add dev eth0 root netem …",
            )),
            Some(_) => Ok((None, Words { rest: words })),
            None => {
                Err(SettingError::new("", "the line is empty; write delay 100ms 10ms loss 1%, say"))
            }
        };
    };
    let front = &words[..at];
    let is_tc = |word: &&str| matches!(*word, "tc" | "qdisc") || word.ends_with("/tc");
    if let Some(word) = front.first().filter(|_| !front.iter().any(is_tc)) {
        return Err(SettingError::new(
            *word,
            "in front of netem belongs tc qdisc add dev eth0 root, or nothing; leave it out",
        ));
    }
    let device = front.iter().position(|word| *word == "dev").and_then(|dev| front.get(dev + 1));
    let device = device.map(|device| (*device).to_owned());
    Ok((device, Words { rest: &words[at + 1..] }))
}

/// Returns the full name of an option, by tc's rule that any prefix will do.
fn option(word: &str) -> Result<&'static str, SettingError> {
    match OPTIONS.into_iter().find(|option| option.starts_with(word)) {
        Some("latency") => Ok("delay"),
        Some("drop") => Ok("loss"),
        Some("help") | None => Err(SettingError::new(
            word,
            "netem has no such option; write limit, delay, distribution, loss, ecn, corrupt, \
             duplicate, reorder, gap, rate, slot or seed",
        )),
        Some(option) => Ok(option),
    }
}

/// The words that are left.
struct Words<'a> {
    rest: &'a [&'a str],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Takes the next word if it is `expected`, and returns true if so.
    fn takes(&mut self, expected: &str) -> bool {
        let found = self.rest.first() == Some(&expected);
        if found {
            self.next();
        }
        found
    }

    /// Reads a value that must come next.
    fn value<T>(
        &mut self,
        option: &str,
        example: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, SettingError> {
        match self.next() {
            Some(word) => read(word).map_err(|problem| SettingError::new(option, problem)),
            None => Err(SettingError::new(
                option,
                format!("its value is missing; write {option} {example}, say"),
            )),
        }
    }

    /// Reads a percentage if one comes next, with or without its name in front.
    fn named(&mut self, option: &str, name: &str) -> Result<Option<f64>, SettingError> {
        if self.takes(name) {
            return self.value(option, "1%", quantity::percentage).map(Some);
        }
        self.number(option, &[], quantity::percentage)
    }

    /// Reads a number if one comes next, which is so if the word starts with a digit (or `also`).
    fn number<T>(
        &mut self,
        option: &str,
        also: &[char],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingError> {
        let is_number = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_digit() || c == '.' || also.contains(&c))
        };
        match self.rest.first().filter(|word| is_number(word)) {
            Some(_) => self.value(option, "", read).map(Some),
            None => Ok(None),
        }
    }
}

fn name(word: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // It names a file.
    if word.chars().all(is_plain) && !word.starts_with('.') {
        Ok(word.to_owned())
    } else {
        Err(format!(
            "\"{word}\" is not the name of a distribution; write normal, pareto or paretonormal, \
             say"
        ))
    }
}

fn whole(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("\"{word}\" is not a whole number; write 5, say"))
}

fn chance(option: &str, words: &mut Words<'_>) -> Result<Chance, SettingError> {
    let chance = words.value(option, "1%", quantity::percentage)?;
    let correlation = words.number(option, &[], quantity::percentage)?.unwrap_or(0.0);
    Ok(Chance { chance, correlation })
}

fn delay(words: &mut Words<'_>) -> Result<Delay, SettingError> {
    let time = |word: &str| quantity::time(word, BARE_DELAY_NANOS);
    let first = words.value("delay", "100ms", time)?;
    let jitter = words.number("delay", &[], time)?;
    let correlation = match jitter {
        Some(_) => words.number("delay", &[], quantity::percentage)?,
        None => None,
    };
    Ok(Delay { time: first, jitter, correlation: correlation.unwrap_or(0.0) })
}

fn loss(words: &mut Words<'_>) -> Result<Loss, SettingError> {
    if words.takes("state") {
        let place = "loss state";
        words.takes("p13");
        let p13 = words.value(place, "1%", quantity::percentage)?;
        let p31 = words.named(place, "p31")?.unwrap_or(1.0 - p13);
        let p32 = words.named(place, "p32")?.unwrap_or(0.0);
        let p23 = words.named(place, "p23")?.unwrap_or(1.0);
        let p14 = words.named(place, "p14")?.unwrap_or(0.0);
        return Ok(Loss::State { p13, p31, p32, p23, p14 });
    }
    if words.takes("gemodel") {
        let place = "loss gemodel";
        words.takes("p");
        let p = words.value(place, "1%", quantity::percentage)?;
        let r = words.named(place, "r")?.unwrap_or(1.0 - p);
        let loss_bad = words.named(place, "1-h")?.unwrap_or(1.0);
        let loss_good = words.named(place, "1-k")?.unwrap_or(0.0);
        return Ok(Loss::Gemodel { p, r, loss_bad, loss_good });
    }
    words.takes("random");
    chance("loss", words).map(Loss::Random)
}

fn rate(words: &mut Words<'_>) -> Result<Rate, SettingError> {
    let bits = words.value("rate", "10mbit", quantity::rate)?;
    let mut next = |name: &str, also: &[char]| -> Result<i64, SettingError> {
        if words.takes(name) {
            return words.value("rate", "10mbit 14", quantity::integer);
        }
        Ok(words.number("rate", also, quantity::integer)?.unwrap_or(0))
    };
    let rate = Rate {
        bits,
        packet_overhead: next("packetoverhead", &['-'])?,
        cell_size: next("cellsize", &[])?,
        cell_overhead: next("celloverhead", &['-'])?,
    };
    if rate.cell_size > 0 && rate.cell_size + rate.cell_overhead <= 0 {
        return Err(SettingError::new(
            "rate",
            "its cells would take no time; write a larger cell overhead",
        ));
    }
    Ok(rate)
}

fn slot(words: &mut Words<'_>) -> Result<Slot, SettingError> {
    let time = |word: &str| quantity::time(word, BARE_SLOT_NANOS).map(|time| time.value);
    let times = if words.takes("distribution") {
        // tc prints the times alone.
        let is_time = |word: &&&str| word.starts_with(|c: char| c.is_ascii_digit());
        let name = match words.rest.first().filter(is_time) {
            Some(_) => "unnamed".to_owned(),
            None => words.value("slot distribution", "normal 10ms 2ms", name)?,
        };
        let delay = words.value("slot distribution", "normal 10ms 2ms", time)?;
        words.takes("jitter");
        let jitter = words.value("slot distribution", "normal 10ms 2ms", time)?;
        SlotTimes::Distribution { name, delay, jitter }
    } else {
        let least = words.value("slot", "800us 10ms", time)?;
        let most = words.number("slot", &[], time)?.unwrap_or(least);
        if most < least {
            return Err(SettingError::new(
                "slot",
                "its longest time is shorter than its shortest; swap them",
            ));
        }
        SlotTimes::Between(least, most)
    };
    let packets =
        if words.takes("packets") { words.value("slot packets", "42", whole)? } else { 0 };
    let bytes =
        if words.takes("bytes") { words.value("slot bytes", "64k", quantity::size)? } else { 0 };
    Ok(Slot { times, packets, bytes })
}
