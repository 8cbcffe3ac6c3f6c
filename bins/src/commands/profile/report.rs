//! A forecast as text that fits a terminal, and as JSON.

use jostle_common::chance::Direction;
use jostle_common::statistics::{Z_999, proportion_interval};
use jostle_common::units::Span;
use jostle_common::words::{bytes, count, fine_percent, percent, rate, time};
use jostle_console::terminal::{escaped, wrapped};
use jostle_engine::profile::Profile;
use jostle_engine::stage::Reason;
use jostle_study::forecast::{
    DelayForecast, DirectionForecast, Effect, Forecast, Load, Losses, PhaseForecast, RateForecast,
    RuleForecast, Trial,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The report for a terminal of `width` columns.
pub(super) fn text(
    name: &str,
    profile: &Profile,
    forecast: &Forecast,
    load: &Load,
    width: usize,
) -> String {
    let mut text = format!("{}: ok\n", escaped(name));
    if !profile.about.is_empty() {
        let _ = writeln!(text, "  {}", wrapped(&escaped(&profile.about), width - 2, 2));
    }
    let key_width = keys(forecast).map(str::len).max().unwrap_or(0).max("in all".len());
    let many = forecast.phases.len() > 1;
    let mut begin = 0.0;
    for (index, phase) in forecast.phases.iter().enumerate() {
        if many {
            let _ = writeln!(text, "\n{}", heading(index, phase, begin));
        }
        begin += phase.length.map_or(0.0, |length| length.as_secs_f64());
        for direction in Direction::BOTH {
            let part = &phase.directions[direction.index()];
            let _ = write!(text, "\n{}", section(direction, part, load, key_width, width));
        }
    }
    if forecast.phases_left_out > 0 {
        let _ = writeln!(text, "\nand {}", count(forecast.phases_left_out as u64, "more phase"));
    }
    if !forecast.warnings.is_empty() {
        text.push('\n');
    }
    for warning in &forecast.warnings {
        let line = format!("warning: {}: {}", escaped(&warning.place), escaped(&warning.problem));
        let _ = writeln!(text, "{}", wrapped(&line, width, 9));
    }
    text
}

fn keys(forecast: &Forecast) -> impl Iterator<Item = &str> {
    let directions = forecast.phases.iter().flat_map(|phase| &phase.directions);
    directions.flat_map(|direction| &direction.rules).map(|rule| rule.key.as_str())
}

fn heading(index: usize, phase: &PhaseForecast, begin: f64) -> String {
    let end = phase
        .length
        .map_or_else(|| "for ever".to_owned(), |length| format!("for {}", Span(length)));
    format!("phase {}, from {} on, {end}", index + 1, time(begin))
}

fn section(
    direction: Direction,
    part: &DirectionForecast,
    load: &Load,
    key_width: usize,
    width: usize,
) -> String {
    let mut text = String::new();
    let indent = 6 + key_width + 2;
    let mut line = |name: &str, key: &str, words: &str| {
        let words = wrapped(words, width.saturating_sub(indent).max(30), 0)
            .replace('\n', &format!("\n{:indent$}", ""));
        let _ = writeln!(text, "{name:<6}{key:key_width$}  {words}");
    };
    if part.rules.is_empty() {
        line(direction.name(), "", "nothing happens");
        return text;
    }
    let mut name = direction.name();
    for rule in &part.rules {
        line(std::mem::take(&mut name), &escaped(&rule.key), &says(rule, load));
    }
    if let Some(words) = in_all(part, load) {
        line("", "in all", &words);
    }
    text
}

/// What a rule does, in words.
fn says(rule: &RuleForecast, load: &Load) -> String {
    let words = effect(&rule.effect, load);
    match rule.looks_at {
        Some(1.0) => words,
        Some(0.0) => {
            format!("{words}; of packets that it looks at, which are none of these in the long run")
        }
        Some(share) => format!("{words}; of {} of the flows", percent(share)),
        None => format!("{words}; of packets with the bytes that it looks for"),
    }
}

fn effect(effect: &Effect, load: &Load) -> String {
    match effect {
        Effect::Loses(losses) => lost(losses),
        Effect::LosesListed(packets) => format!("loses {} by number", count(*packets, "packet")),
        Effect::LosesInTime { share, burst } => {
            format!(
                "loses {} of the time, {} at a time on average",
                fine_percent(*share),
                time(*burst)
            )
        }
        Effect::Corrupts { share, bits } => format!(
            "damages {} of packets of {} bytes, {} in each",
            fine_percent(*share),
            load.size,
            if *bits == 1.0 { "1 bit".to_owned() } else { format!("{bits:.3} bits on average") }
        ),
        Effect::Delays(delay) => delays(delay, load),
        Effect::Copies { share, copies, gap } => {
            let gap = if *gap > 0.0 { format!(", {} apart", time(*gap)) } else { String::new() };
            let copies =
                if *copies == 1 { "a copy".to_owned() } else { format!("{copies} copies") };
            format!("makes {copies} of {} of packets{gap}", fine_percent(*share))
        }
        Effect::Reorders { share, behind: Some(behind), at_most } => format!(
            "holds {} of packets back behind {}, at most {}",
            fine_percent(*share),
            count(u64::from(*behind), "other"),
            time(at_most.unwrap_or(0.0))
        ),
        Effect::Reorders { share, .. } => {
            format!("lets {} of packets skip every later wait", fine_percent(*share))
        }
        Effect::Limits(limits) => self::limits(limits, load),
        Effect::Gathers { window, drops, share } => {
            let share = share.map_or_else(
                || "packets".to_owned(),
                |share| format!("{} of packets", fine_percent(share)),
            );
            let then = if *drops { "and loses them" } else { "and lets them go together" };
            format!("gathers {share} for at most {} {then}", time(*window))
        }
        Effect::Cuts { share, length, holds } => format!(
            "is cut {} of the time, {} at a time; packets {}",
            fine_percent(*share),
            time(*length),
            if *holds { "wait" } else { "are lost" }
        ),
        Effect::LosesLarger { max, hit } => {
            let hit = if *hit { "; those of this size are lost" } else { "" };
            format!(
                "loses packets of more than {} bytes{hit}",
                jostle_common::words::grouped(u64::from(*max))
            )
        }
    }
}

fn lost(losses: &Losses) -> String {
    let burst = match losses.burst {
        Some(burst) if burst < 1.0005 => ", never two in a row".to_owned(),
        Some(burst) => format!(", {burst:.2} in a row on average"),
        None => String::new(),
    };
    format!("loses {} of packets{burst}", fine_percent(losses.share))
}

fn delays(delay: &DelayForecast, load: &Load) -> String {
    let mut words = format!("holds packets for {}", time(delay.mean));
    if delay.sd > 0.0 {
        let [p1, p50, p99] = delay.percentiles.map(time);
        let _ = write!(words, ", sd {}; p1 {p1}, p50 {p50}, p99 {p99}", time(delay.sd));
        words.push_str(if delay.reorders { "; packets may overtake" } else { "; in order" });
    }
    if delay.memory > 0.0 {
        let _ = write!(words, "; remembers for {}", time(delay.memory));
    }
    if let (Some(left), Some(stream)) = (delay.sd_in_order, &load.stream) {
        let pace = stream.pace.packets_per_second(load.size);
        let _ = write!(words, ", which leaves an sd of {} at {pace:.0} packets/s", time(left));
    }
    words
}

fn limits(limits: &RateForecast, load: &Load) -> String {
    let mut words = format!(
        "lets {} through, a packet of {} bytes in {}; its queue holds {}, which is {}",
        rate(limits.bits_per_second as u64),
        load.size,
        time(limits.packet),
        bytes(limits.queue_bytes),
        time(limits.queue)
    );
    if let Some(share) = limits.load {
        let _ = write!(words, "; the stream fills {} of it", percent(share));
    }
    words
}

/// What the rules of a direction do together.
fn in_all(part: &DirectionForecast, load: &Load) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(losses) =
        part.loss.as_ref().filter(|losses| losses.share > 0.0 && part.rules.len() > 1)
    {
        parts.push(lost(losses));
    }
    if let (Some(trial), Some(stream)) = (&part.trial, &load.stream) {
        let pace = stream.pace.packets_per_second(load.size);
        parts.push(tried(trial, part.loss.as_ref(), pace));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn tried(trial: &Trial, losses: Option<&Losses>, pace: f64) -> String {
    let runs = trial.tally.runs();
    let inflation = losses.map_or_else(|| runs.inflation(), |losses| losses.inflation);
    let (low, high) = proportion_interval(runs.lost(), trial.packets, inflation, Z_999);
    let loss = match runs.lost() {
        0 => "none lost".to_owned(),
        lost => format!(
            "{} lost ({} to {} at 99.9%)",
            fine_percent(lost as f64 / trial.packets as f64),
            fine_percent(low),
            fine_percent(high)
        ),
    };
    let full = trial.counters.discarded(Reason::QueueFull);
    let full = if full > 0 {
        format!(", {} by full queues", percent(full as f64 / trial.packets as f64))
    } else {
        String::new()
    };
    let quantile = |q| trial.tally.delay_quantile(q).map_or_else(|| "-".to_owned(), time);
    let ratio = trial.tally.reordering().ratio();
    let order = if ratio > 0.0 {
        format!("{} out of order", fine_percent(ratio))
    } else {
        "in order".to_owned()
    };
    format!(
        "in a run of {} at {pace:.0}/s: {loss}{full}; delays p1 {}, p50 {}, p99 {}; {order}",
        count(trial.packets, "packet"),
        quantile(0.01),
        quantile(0.5),
        quantile(0.99)
    )
}

/// The report as an object.
pub(super) fn json(name: &str, profile: &Profile, forecast: &Forecast, load: &Load) -> Value {
    let phases: Vec<Value> = forecast
        .phases
        .iter()
        .map(|phase| {
            let [up, down] = phase.directions.each_ref().map(direction_json);
            let length = phase.length.map(|length| Span(length).to_string());
            json!({ "for": length, "up": up, "down": down })
        })
        .collect();
    let warnings: Vec<Value> = forecast
        .warnings
        .iter()
        .map(|warning| json!({ "place": warning.place, "problem": warning.problem }))
        .collect();
    json!({
        "name": name,
        "ok": true,
        "about": profile.about,
        "size": load.size,
        "packets_per_second": load.stream.map(|stream| stream.pace.packets_per_second(load.size)),
        "phases": phases,
        "phases_left_out": forecast.phases_left_out,
        "warnings": warnings,
    })
}

fn direction_json(part: &DirectionForecast) -> Value {
    json!({
        "rules": part.rules.iter().map(rule_json).collect::<Vec<_>>(),
        "loss": part.loss.as_ref().map(|losses| losses.share),
        "burst": part.loss.as_ref().and_then(|losses| losses.burst),
        "delay": part.delay,
        "run": part.trial.as_ref().map(trial_json),
    })
}

/// Times are seconds, shares fractions.
fn rule_json(rule: &RuleForecast) -> Value {
    let numbers = match &rule.effect {
        Effect::Loses(losses) => json!({ "loss": losses.share, "burst": losses.burst }),
        Effect::LosesListed(packets) => json!({ "lost_packets": packets }),
        Effect::LosesInTime { share, burst } => json!({ "loss": share, "burst_seconds": burst }),
        Effect::Corrupts { share, bits } => json!({ "damaged": share, "bits": bits }),
        Effect::Delays(delay) => {
            let [p1, p50, p99] = delay.percentiles;
            json!({
                "mean": delay.mean, "sd": delay.sd,
                "p1": p1, "p50": p50, "p99": p99, "memory": delay.memory,
                "reorder": delay.reorders, "sd_in_order": delay.sd_in_order,
            })
        }
        Effect::Copies { share, copies, gap } => {
            json!({ "copied": share, "copies": copies, "gap": gap })
        }
        Effect::Reorders { share, behind, at_most } => {
            json!({
                "reordered": share,
                "behind": behind,
                "at_most": at_most,
                "ahead": behind.is_none(),
            })
        }
        Effect::Limits(limits) => json!({
            "bits_per_second": limits.bits_per_second, "packet_seconds": limits.packet,
            "queue_bytes": limits.queue_bytes, "queue_seconds": limits.queue, "load": limits.load,
        }),
        Effect::Gathers { window, drops, share } => {
            json!({ "window": window, "drop": drops, "gathered": share })
        }
        Effect::Cuts { share, length, holds } => {
            json!({ "cut": share, "length": length, "hold": holds })
        }
        Effect::LosesLarger { max, hit } => json!({ "max": max, "loses_this_size": hit }),
    };
    let mut object = Map::new();
    object.insert("name".into(), rule.key.as_str().into());
    object.insert("rule".into(), rule.kind.into());
    object.insert("looks_at".into(), rule.looks_at.into());
    if let Value::Object(numbers) = numbers {
        object.extend(numbers);
    }
    Value::Object(object)
}

fn trial_json(trial: &Trial) -> Value {
    let runs = trial.tally.runs();
    json!({
        "packets": trial.packets,
        "loss": runs.lost() as f64 / trial.packets as f64,
        "burst": runs.mean(),
        "delay_p1": trial.tally.delay_quantile(0.01),
        "delay_p50": trial.tally.delay_quantile(0.5),
        "delay_p99": trial.tally.delay_quantile(0.99),
        "delay_sd": trial.tally.delay_moments().sd(),
        "reordered": trial.tally.reordering().ratio(),
    })
}
