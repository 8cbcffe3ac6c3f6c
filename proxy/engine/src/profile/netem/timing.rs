//! The options that make packets wait: `delay` with its distribution, `rate`, `slot`, and the
//! `limit` over all of them.

use super::line::{Netem, Rate, SlotTimes};
use super::tables::{Distribution, Spread};
use super::{Draft, JitterOrder, percent, quoted, span};
use crate::rules::Shape;
use jostle_common::units::BitRate;
use std::time::Duration;

/// Packets that netem holds unless told otherwise, waiting for whatever.
const LIMIT_DEFAULT: u64 = 1000;
/// The bytes of a frame on top of a UDP payload: 14 bytes of Ethernet, 20 of IPv4, 8 of UDP.
const FRAME_BYTES: i64 = 42;
/// A full Ethernet frame, for sums.
const FRAME_FULL_BITS: f64 = 1514.0 * 8.0;

impl Draft {
    pub(super) fn delay(&mut self, netem: &Netem) {
        let Some(delay) = netem.delay else { return };
        let time = delay.time.value;
        let jitter = delay.jitter.map_or(Duration::ZERO, |jitter| jitter.value);
        if time.is_zero() && jitter.is_zero() {
            return;
        }
        if delay.time.is_bare || delay.jitter.is_some_and(|jitter| jitter.is_bare) {
            self.remark(
                "A delay without a unit is read as microseconds, as tc has done for long; newer \
                 versions of tc, which compute in 64 bits, take nanoseconds. Write the unit.",
            );
        }
        let mut fields = vec![("rule", quoted("delay")), ("time", quoted(&span(time)))];
        if !jitter.is_zero() {
            fields.extend(self.jitter(time, jitter, netem.distribution.as_deref()));
            fields.extend(self.order_of_the_jitter(jitter, netem.rate.is_some()));
            if netem.is_shown {
                self.remark(
                    "tc does not show a distribution; if one was set, write it behind the jitter: \
                     distribution normal, say.",
                );
            }
        }
        self.rule(&fields);
        if delay.correlation > 0.0 {
            self.remark(format!(
                "netem's delay correlation ({}) does nothing for jitter below about a second: only \
                 the low bits of the random number are used, and they are not correlated. Here \
                 delays are drawn one by one; for slow jitter write \"memory\": \"100ms\", the \
                 half-life of the correlation.",
                percent(delay.correlation)
            ));
        }
        if netem.rate.is_none() && !time.is_zero() {
            self.limit_of_the_delay(netem.limit, time);
        }
    }

    /// Returns the field that lets packets overtake, where netem does.
    fn order_of_the_jitter(
        &mut self,
        jitter: Duration,
        has_rate: bool,
    ) -> Option<(&'static str, String)> {
        if has_rate {
            self.remark("With a rate netem's jitter does not reorder; nor does it here.");
            return None;
        }
        let overtake =
            format!("packets that are closer together than {} overtake each other", span(jitter));
        match self.order {
            JitterOrder::AsInNetem => {
                self.remark(format!(
                    "netem's jitter reorders: {overtake}. So it is here; for a network that keeps \
                     their order, as most do, leave \"reorder\" out (from-netem --in-order)."
                ));
                Some(("reorder", "true".into()))
            }
            JitterOrder::Kept => {
                self.remark(format!(
                    "netem's jitter reorders: {overtake}. Here order is kept, which narrows the \
                     jitter of packets that come close together; write \"reorder\": true in the \
                     delay rule to have netem's."
                ));
                None
            }
        }
    }

    /// Returns the fields that say how the delay spreads.
    fn jitter(
        &mut self,
        time: Duration,
        jitter: Duration,
        distribution: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let field = ("jitter", quoted(&span(jitter)));
        let fits = |share: f64| jitter <= time.mul_f64(share);
        match distribution {
            None | Some("uniform") => {
                if distribution.is_some() {
                    self.remark(
                        "tc has no table called uniform and refuses the word; an even \
                         distribution is what there is without it.",
                    );
                }
                self.remark(format!(
                    "Without a distribution netem's jitter is even over ±{}, a standard deviation \
                     of {} (0.577 of it); so it is here.",
                    span(jitter),
                    span(thousandths(jitter.mul_f64(0.577_350_27)))
                ));
                if fits(1.0) {
                    return vec![field];
                }
                vec![field, self.below_zero(time, jitter, Distribution::Even)]
            }
            Some("normal") => {
                if !fits(Shape::NORMAL_JITTER_MAX) {
                    return vec![field, self.below_zero(time, jitter, Distribution::Normal)];
                }
                self.remark(
                    "netem's normal table is cut at 4 standard deviations, and what falls below \
                     zero is sent at once; here the Gaussian is cut at 0 and at twice the delay \
                     and still has the standard deviation asked for.",
                );
                vec![field, ("shape", quoted("normal"))]
            }
            Some(name @ ("pareto" | "paretonormal")) => {
                let (mean, sd, top, share, distribution) = match name {
                    "pareto" => {
                        ("0.034", "0.82", "4.0", Shape::PARETO_JITTER_MAX, Distribution::Pareto)
                    }
                    _ => (
                        "0.025",
                        "0.83",
                        "3.9",
                        Shape::PARETO_NORMAL_JITTER_MAX,
                        Distribution::ParetoNormal,
                    ),
                };
                let table = format!(
                    "netem's {name} table has a mean of −{mean} and a standard deviation of {sd} \
                     times the jitter, and nothing beyond {top} times: there is no long tail."
                );
                if !fits(share) {
                    self.remark(table);
                    return vec![field, self.below_zero(time, jitter, distribution)];
                }
                self.remark(format!(
                    "{table} Here {} is the mean and {} the standard deviation.",
                    span(time),
                    span(jitter)
                ));
                vec![field, ("shape", quoted(name))]
            }
            Some(name) => {
                self.remark(format!(
                    "The table {name}.dist is tc's: copy it from /usr/lib/tc (Debian: \
                     /usr/lib/x86_64-linux-gnu/tc) beside the profile."
                ));
                vec![field, ("shape", quoted("table")), ("table", quoted(&format!("{name}.dist")))]
            }
        }
    }

    /// Returns the table of a jitter that reaches below zero, and says what comes of it.
    fn below_zero(
        &mut self,
        time: Duration,
        jitter: Duration,
        distribution: Distribution,
    ) -> (&'static str, String) {
        let list = distribution.list();
        let Spread { mean, sd, at_once } =
            Spread::of(&list, time.as_secs_f64(), jitter.as_secs_f64());
        let [mean, sd] =
            [mean, sd].map(|seconds| span(thousandths(Duration::from_secs_f64(seconds))));
        self.remark(format!(
            "A jitter of {} around {} reaches below zero, and netem sends those packets at once: \
             {} of them. So it is here, by a table in place: the mean delay is {mean}, its \
             standard deviation {sd}.",
            span(jitter),
            span(time),
            percent(libm::round(at_once * 1000.0) / 1000.0),
        ));
        let entries: Vec<String> = list.iter().map(i16::to_string).collect();
        ("table", format!("[{}]", entries.join(", ")))
    }

    /// Remarks that a limit covers the packets in the delay too, which caps their rate.
    fn limit_of_the_delay(&mut self, limit: Option<u64>, time: Duration) {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        let rate = limit as f64 / time.as_secs_f64();
        self.remark(format!(
            "netem holds at most {limit} packets, those in the delay included: at {} it drops \
             whatever is above {rate:.0} packets/s ({} of full frames). Here a delay drops \
             nothing.",
            span(time),
            rounded_rate(rate * FRAME_FULL_BITS),
        ));
    }

    pub(super) fn rate(&mut self, netem: &Netem) {
        let Some(rate) = netem.rate else {
            if netem.delay.is_none() && netem.limit.is_some() {
                self.remark(
                    "A limit without delay, rate or slot bounds a queue in which nothing \
                             waits; it has no rule here.",
                );
            }
            return;
        };
        let limit = netem.limit.unwrap_or(LIMIT_DEFAULT);
        let (bits, overhead) = self.framing(rate);
        let queue = format!("{limit} packets");
        self.rule(&[
            ("rule", quoted("rate")),
            (
                "limit",
                quoted(&BitRate::new(bits).map_or_else(String::new, |rate| rate.to_string())),
            ),
            ("queue", quoted(&queue)),
            ("overhead", overhead.to_string()),
        ]);
        let seconds = limit as f64 * FRAME_FULL_BITS / rate.bits as f64;
        self.remark(format!(
            "netem's limit of {limit} packets is {} of full frames at {}, and those in the delay \
             count too. Here the queue holds {queue} in front of the rate and none of the delay; a \
             time such as \"queue\": \"100ms\" says more.",
            span(two_digits(seconds)),
            rounded_rate(rate.bits as f64),
        ));
    }

    /// Returns the rate and the bytes per packet that give netem's time on the wire.
    fn framing(&mut self, rate: Rate) -> (u64, i64) {
        self.remark(format!(
            "netem counts whole Ethernet frames, {FRAME_BYTES} bytes more than a UDP payload, so \
             \"overhead\" says that; for a modelled TCP route, whose segments count their IP and \
             TCP headers already, write 28 less."
        ));
        let mut overhead = FRAME_BYTES + rate.packet_overhead;
        let mut bits = rate.bits;
        if rate.cell_size > 0 {
            let cell = rate.cell_size as f64;
            let whole = (rate.cell_size + rate.cell_overhead) as f64;
            bits = ((bits as f64 * cell / whole) as u64).max(1);
            // The last cell is filled by half on average.
            overhead += rate.cell_size / 2;
            self.remark(format!(
                "netem rounds each packet up to cells of {cell} bytes that take {whole}; here the \
                 rate is {cell}/{whole} of it and half a cell is added to each packet, which is \
                 the same on average."
            ));
        }
        if overhead < 0 {
            self.remark("An overhead below zero is taken as zero.");
        }
        (bits, overhead.clamp(0, 65_535))
    }

    pub(super) fn slot(&mut self, netem: &Netem) {
        let Some(slot) = &netem.slot else { return };
        let window = match &slot.times {
            SlotTimes::Between(least, most) => (*least + *most) / 2,
            SlotTimes::Distribution { delay, .. } => *delay,
        };
        if window.is_zero() {
            self.remark("A slot that opens at once holds nothing back; it has no rule here.");
            return;
        }
        let mut fields = vec![("rule", quoted("batch")), ("window", quoted(&span(window)))];
        if slot.packets > 0 {
            fields.push(("packets", slot.packets.to_string()));
        }
        if slot.bytes > 0 {
            fields.push(("bytes", quoted(&format!("{}B", slot.bytes))));
        }
        self.rule(&fields);
        let drawn = match &slot.times {
            SlotTimes::Between(least, most) if least == most => String::new(),
            SlotTimes::Between(least, most) => {
                format!(
                    " netem draws the time between slots from {} to {}; here it is their mean.",
                    span(*least),
                    span(*most)
                )
            }
            SlotTimes::Distribution { name, delay, jitter } => format!(
                " netem draws the time between slots from its {name} table, {} ± {}; here it is \
                 always the first.",
                span(*delay),
                span(*jitter)
            ),
        };
        self.remark(format!(
            "A slot of netem lets a number of packets through and then opens again after a time; a \
             batch here gathers packets until the number or the time is reached and lets them go \
             together.{drawn}"
        ));
    }
}

/// Rounds to microseconds, or to a thousandth where microseconds are finer than anyone reads.
fn thousandths(time: Duration) -> Duration {
    let step = match time.as_nanos() {
        0..1_000_000 => 1,
        1_000_000..1_000_000_000 => 1_000,
        _ => 1_000_000,
    };
    Duration::from_nanos((time.as_nanos() as u64 + step / 2) / step * step)
}

/// Rounds a time in seconds to two significant digits.
fn two_digits(seconds: f64) -> Duration {
    let scale = libm::pow(10.0, 1.0 - libm::floor(libm::log10(seconds.max(1e-9))));
    Duration::from_nanos((libm::round(seconds * scale) / scale * 1e9 + 0.5) as u64)
}

/// Writes a rate to three significant digits in its unit.
fn rounded_rate(bits: f64) -> String {
    let (scale, unit) = match bits {
        1e9.. => (1e9, "Gbit/s"),
        1e6.. => (1e6, "Mbit/s"),
        1e3.. => (1e3, "kbit/s"),
        _ => (1.0, "bit/s"),
    };
    let value = bits / scale;
    let digits = if value >= 99.95 { 0 } else { 1 };
    format!("{} {unit}", format!("{value:.digits$}").trim_end_matches(".0"))
}
