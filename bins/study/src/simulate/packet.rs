//! The course of one packet, in words and as JSON.

use crate::probe::{Drawn, Explanation, Left, Step};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::words::{grouped, time};
use jostle_console::terminal::escaped;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

pub(super) fn text(told: &[(Direction, Explanation)], seed: u64) -> String {
    let parts: Vec<String> = told.iter().map(|(direction, one)| part(*direction, one)).collect();
    format!("{}\nseed {seed}\n", parts.join("\n"))
}

fn part(direction: Direction, told: &Explanation) -> String {
    let mut text = format!(
        "packet {}, {direction}: {} bytes of flow {}, came at {} s\n",
        grouped(told.number),
        grouped(u64::from(told.size)),
        told.flow,
        told.entered
    );
    let width = told.steps.iter().map(|step| title(step).chars().count()).max().unwrap_or(0);
    for step in &told.steps {
        let _ = writeln!(text, "  {:width$}  {}", title(step), says(step));
    }
    if told.steps.is_empty() {
        text.push_str("  met no rule\n");
    }
    for left in &told.left {
        let _ = writeln!(text, "  {}", leaves(left, told.entered));
    }
    text
}

fn title(step: &Step) -> String {
    let key = escaped(&step.rule);
    if step.copy == 0 { key } else { format!("{key} (copy {})", step.copy) }
}

fn says(step: &Step) -> String {
    if !step.looked {
        return "did not look at it".to_owned();
    }
    let drew = match step.drawn {
        Some(Drawn { number, below: Some(below) }) => {
            let relation = if number < below { "below" } else { "not below" };
            format!("drew {number:.6}, {relation} {below}: ")
        }
        Some(Drawn { number, below: None }) => format!("drew {number:.6}: "),
        None => String::new(),
    };
    format!("{drew}{}", verdict(step))
}

fn verdict(step: &Step) -> String {
    let waited = step.went_on.map(|at| at.since(step.arrived).as_secs_f64());
    match (step.kind, step.chosen, waited) {
        ("drop", true, _) => "lost".to_owned(),
        ("mark", true, None) => "lost: its sender takes no marks".to_owned(),
        ("mark", true, _) => "marked".to_owned(),
        ("size", true, _) => "lost: too large".to_owned(),
        ("outage", true, None) => "lost: the link is cut".to_owned(),
        ("rate", _, None) => "lost: no room in the queue".to_owned(),
        ("batch", _, None) => "lost with its batch".to_owned(),
        ("corrupt", true, _) => "damaged".to_owned(),
        ("duplicate", true, _) => "copied".to_owned(),
        ("reorder", true, Some(0.0)) => "goes ahead of every later wait".to_owned(),
        ("reorder", true, Some(waited)) => format!("held back for {}", time(waited)),
        (_, _, None) => "did not leave it".to_owned(),
        ("delay", _, Some(waited)) => format!("held for {}", time(waited)),
        ("rate", _, Some(waited)) => format!("waited and was sent for {}", time(waited)),
        (_, _, Some(0.0)) => "passed".to_owned(),
        (_, _, Some(waited)) => format!("waited for {}", time(waited)),
    }
}

fn leaves(left: &Left, entered: Instant) -> String {
    let who = if left.copy == 0 { String::new() } else { format!("copy {} ", left.copy) };
    let after = time(left.at.since(entered).as_secs_f64());
    match left.discarded {
        Some(reason) => {
            format!("{who}discarded at {} s, {after} after it came: {}", left.at, reason.name())
        }
        None => {
            let damage = match left.flipped_bits {
                0 => String::new(),
                bits => format!(", with {bits} flipped bits"),
            };
            let marked = if left.marked { ", marked CE" } else { "" };
            format!("{who}delivered at {} s, {after} after it came{damage}{marked}", left.at)
        }
    }
}

/// Writes the explanations as JSON. Times are seconds, as numbers with all nanoseconds.
pub(super) fn json(told: &[(Direction, Explanation)], seed: u64) -> Value {
    let mut object = Map::new();
    object.insert("seed".into(), seed.into());
    for (direction, one) in told {
        let steps: Vec<Value> = one.steps.iter().map(step_json).collect();
        let left: Vec<Value> = one.left.iter().map(left_json).collect();
        let part = json!({
            "packet": one.number, "flow": one.flow, "size": one.size,
            "entered": one.entered.as_secs_f64(),
            "steps": steps, "left": left,
        });
        object.insert(direction.name().into(), part);
    }
    Value::Object(object)
}

fn step_json(step: &Step) -> Value {
    json!({
        "name": step.rule, "rule": step.kind, "copy": step.copy, "looked": step.looked,
        "drew": step.drawn.map(|drawn| drawn.number),
        "below": step.drawn.and_then(|drawn| drawn.below),
        "chosen": step.chosen,
        "in": step.arrived.as_secs_f64(),
        "out": step.went_on.map(Instant::as_secs_f64),
        "verdict": if step.looked { verdict(step) } else { "did not look at it".to_owned() },
    })
}

fn left_json(left: &Left) -> Value {
    json!({
        "copy": left.copy, "at": left.at.as_secs_f64(), "flipped_bits": left.flipped_bits,
        "marked": left.marked,
        "fate": if left.discarded.is_some() { "discarded" } else { "delivered" },
        "reason": left.discarded.map(jostle_engine::stage::Reason::name),
    })
}
