//! A forecast as text that fits a terminal, and as JSON.

use jostle_common::chance::Direction;
use jostle_common::statistics::{Z_999, proportion_interval};
use jostle_common::units::Span;
use jostle_common::words::{count, fine_percent, percent, time};
use jostle_console::terminal::{escaped, wrapped};
use jostle_engine::profile::Profile;
use jostle_engine::stage::Reason;
use jostle_study::forecast::{
    DirectionForecast, Forecast, Load, Losses, PhaseForecast, RuleForecast, StreamRun,
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
        line(std::mem::take(&mut name), &escaped(&rule.key), &says(rule));
    }
    if let Some(words) = in_all(part, load) {
        line("", "in all", &words);
    }
    text
}

/// What a rule does, in words.
fn says(rule: &RuleForecast) -> String {
    let words = &rule.words;
    let chosen = [
        rule.flow.as_ref().map(|flows| flows.words()),
        rule.client.as_ref().map(|clients| format!("clients at {}", clients.words())),
        rule.target.as_ref().map(|targets| format!("targets {}", targets.words())),
        rule.age.map(|age| format!("flows {}", age.words())),
    ];
    let chosen: Vec<String> = chosen.into_iter().flatten().collect();
    if !chosen.is_empty() {
        return format!("{words}; of {} alone", chosen.join(", and of "));
    }
    match rule.looks_at {
        Some(1.0) => words.clone(),
        Some(0.0) => {
            format!("{words}; of packets that it looks at, which are none of these in the long run")
        }
        Some(share) => format!("{words}; of {} of the flows", percent(share)),
        None => format!("{words}; of packets with the bytes that it looks for"),
    }
}

/// What the rules of a direction do together.
fn in_all(part: &DirectionForecast, load: &Load) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(losses) =
        part.loss.as_ref().filter(|losses| losses.share > 0.0 && part.rules.len() > 1)
    {
        parts.push(losses.words());
    }
    if let (Some(run), Some(stream)) = (&part.run, &load.stream) {
        let pace = stream.pace.packets_per_second(load.size);
        parts.push(seen(run, part.loss.as_ref(), pace));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn seen(run: &StreamRun, losses: Option<&Losses>, pace: f64) -> String {
    let runs = run.tally.runs();
    let inflation = losses.map_or_else(|| runs.inflation(), |losses| losses.inflation);
    let (low, high) = proportion_interval(runs.lost(), run.packets, inflation, Z_999);
    let loss = match runs.lost() {
        0 => "none lost".to_owned(),
        lost => format!(
            "{} lost ({} to {} at 99.9%)",
            fine_percent(lost as f64 / run.packets as f64),
            fine_percent(low),
            fine_percent(high)
        ),
    };
    let full = run.counters.discarded(Reason::QueueFull);
    let full = if full > 0 {
        format!(", {} by full queues", percent(full as f64 / run.packets as f64))
    } else {
        String::new()
    };
    let quantile = |q| run.tally.delay_quantile(q).map_or_else(|| "-".to_owned(), time);
    let ratio = run.tally.reordering().ratio();
    let order = if ratio > 0.0 {
        format!("{} out of order", fine_percent(ratio))
    } else {
        "in order".to_owned()
    };
    format!(
        "in a run of {} at {pace:.0}/s: {loss}{full}; delays p1 {}, p50 {}, p99 {}; {order}",
        count(run.packets, "packet"),
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
            json!({ "for": phase.length.map(|length| Span(length).to_string()), "up": up, "down": down })
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
        "run": part.run.as_ref().map(run_json),
    })
}

/// Times are seconds, shares fractions.
fn rule_json(rule: &RuleForecast) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), rule.key.as_str().into());
    object.insert("rule".into(), rule.kind.into());
    object.insert("looks_at".into(), rule.looks_at.into());
    let chosen = [
        ("flow", rule.flow.as_ref().map(|flows| flows.to_string())),
        ("client", rule.client.as_ref().map(|clients| clients.words())),
        ("target", rule.target.as_ref().map(|targets| targets.words())),
        ("age", rule.age.map(|age| age.to_string())),
    ];
    let chosen =
        chosen.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    object.extend(chosen);
    if let Value::Object(numbers) = &rule.numbers {
        object.extend(numbers.clone());
    }
    Value::Object(object)
}

fn run_json(run: &StreamRun) -> Value {
    let runs = run.tally.runs();
    json!({
        "packets": run.packets,
        "loss": runs.lost() as f64 / run.packets as f64,
        "burst": runs.mean(),
        "delay_p1": run.tally.delay_quantile(0.01),
        "delay_p50": run.tally.delay_quantile(0.5),
        "delay_p99": run.tally.delay_quantile(0.99),
        "delay_sd": run.tally.delay_moments().sd(),
        "reordered": run.tally.reordering().ratio(),
    })
}
