//! The built-in networks: all of them are there, and have the figures that their sources publish.

use super::*;
use crate::profile::{Profile, RuleKind};
use crate::rules::{BurstLength, DelaySource, Drop, RateSource};
use jostle_common::chance::Direction;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn profile(name: &str) -> Profile {
    Profile::from_json(text(name).unwrap_or_else(|| panic!("there is no {name}"))).expect(name)
}

#[test]
fn every_file_in_the_folder_is_listed_and_every_listed_one_is_there() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/profiles");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder is part of the project")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = names().map(|name| format!("{name}.json")).collect();
    let unlisted: Vec<&String> = files.difference(&listed).collect();
    assert!(unlisted.is_empty(), "add these to the list in library/mod.rs: {unlisted:?}");
    assert_eq!(files.len(), 104);
    assert!(names().is_sorted() && names().count() == files.len());
}

#[test]
fn every_profile_is_valid_and_says_where_its_figures_come_from() {
    for name in names() {
        let profile = profile(name);
        assert!(!profile.is_empty(), "{name}");
        assert!(profile.about.len() > 60, "{name}: {}", profile.about);
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        );
    }
}

/// Returns the rate in bit/s (0: none), mean delay in ms and stationary loss in percent of one
/// direction's first phase.
fn figures(profile: &Profile, direction: Direction) -> (u64, f64, f64) {
    let (mut rate, mut delay, mut arrives) = (0, 0.0, 1.0);
    for rule in &profile.timeline(direction).phases[0].rules {
        match &rule.kind {
            RuleKind::Rate(found) => {
                let RateSource::Limit(limit) = &found.source else {
                    panic!("no trace is built in")
                };
                rate = limit.bits_per_second();
            }
            RuleKind::Delay(found) => {
                let DelaySource::Drawn { time, .. } = &found.source else {
                    panic!("no trace is built in")
                };
                delay += time.as_secs_f64() * 1000.0;
            }
            RuleKind::Drop(drop) => arrives *= 1.0 - loss(drop),
            _ => {}
        }
    }
    (rate, delay, (1.0 - arrives) * 100.0)
}

fn loss(drop: &Drop) -> f64 {
    match drop {
        Drop::Chance(chance) => chance.as_f64(),
        Drop::Burst { mean, length: BurstLength::Packets(_) } => mean.as_f64(),
        Drop::GilbertElliott { p, r, loss_bad, loss_good } => {
            let bad = p.as_f64() / (p.as_f64() + r.as_f64());
            bad * loss_bad.as_f64() + (1.0 - bad) * loss_good.as_f64()
        }
        other => panic!("{other:?} has no figure here"),
    }
}

#[test]
fn the_figures_are_the_published_ones() {
    // Name, rates in kbit/s down/up, delays in ms one way down/up, loss in percent each way.
    for (name, down, up, delay_down, delay_up, lost) in [
        ("webpagetest-cable", 5000.0, 1000.0, 14.0, 14.0, 0.0),
        ("webpagetest-3g", 1600.0, 768.0, 150.0, 150.0, 0.0),
        ("webpagetest-3g-slow", 400.0, 400.0, 200.0, 200.0, 0.0),
        ("webpagetest-dial", 49.0, 30.0, 60.0, 60.0, 0.0),
        ("webpagetest-edge", 240.0, 200.0, 420.0, 420.0, 0.0),
        ("devtools-3g", 500.0, 500.0, 200.0, 200.0, 0.0),
        ("devtools-fast-4g", 9000.0, 1500.0, 30.0, 30.0, 0.0),
        ("lighthouse-mobile-slow-4g", 1638.4, 750.0, 75.0, 75.0, 0.0),
        ("lighthouse-desktop-dense-4g", 10_240.0, 0.0, 20.0, 20.0, 0.0),
        ("apple-edge", 240.0, 200.0, 400.0, 440.0, 0.0),
        ("apple-100-percent-loss", 0.0, 0.0, 0.0, 0.0, 100.0),
        ("apple-early-generic-average", 375.0, 375.0, 145.0, 145.0, 0.1),
        ("atc-2g-developing-rural", 20.0, 18.0, 650.0, 650.0, 2.0),
        ("atc-edge-good", 250.0, 200.0, 350.0, 370.0, 0.0),
        ("comcast-wifi", 30_000.0, 30_000.0, 20.0, 20.0, 0.2),
        ("sitespeed-3g", 1600.0, 768.0, 75.0, 75.0, 0.0),
        ("loadero-4g", 100_000.0, 50_000.0, 45.0, 45.0, 0.2),
        ("rfc8867-reference-path", 1000.0, 1000.0, 50.0, 50.0, 0.0),
        ("rfc8868-delay-150ms", 0.0, 0.0, 150.0, 150.0, 0.0),
        ("rfc8868-bursts-3", 0.0, 0.0, 50.0, 50.0, 10.714),
        ("in-flight-low", 3000.0, 3000.0, 200.0, 200.0, 12.889),
        ("in-flight-high", 3000.0, 3000.0, 200.0, 200.0, 12.414),
        ("str0m-wifi-good", 0.0, 0.0, 0.0, 0.0, 0.990),
        ("str0m-satellite", 0.0, 0.0, 0.0, 0.0, 2.913),
        ("sfu-cellular", 0.0, 0.0, 0.0, 0.0, 2.476),
        ("wifi-to-lte", 40_000.0, 33_000.0, 1.0, 1.0, 0.0),
        ("5g-mmwave", 400_000.0, 400_000.0, 12.0, 12.0, 4.762),
    ] {
        let profile = profile(name);
        for (direction, rate, delay) in
            [(Direction::Down, down, delay_down), (Direction::Up, up, delay_up)]
        {
            let (found_rate, found_delay, found_loss) = figures(&profile, direction);
            assert_eq!(found_rate, (rate * 1000.0) as u64, "{name} {direction:?}");
            assert!((found_delay - delay).abs() < 1e-9, "{name} {direction:?}: {found_delay} ms");
            assert!((found_loss - lost).abs() < 5e-4, "{name} {direction:?}: {found_loss}%");
        }
    }
}

#[test]
fn timelines_are_those_of_their_sources() {
    let seconds = |name: &str| -> Vec<f64> {
        let lengths = profile(name).up.phases;
        lengths.iter().map(|phase| phase.length.expect(name).as_secs_f64()).collect()
    };
    assert_eq!(seconds("rfc8867-variable-capacity"), [40.0, 20.0, 20.0, 20.0]);
    let starlink = seconds("starlink");
    assert_eq!(starlink.len(), 10);
    assert_eq!(seconds("starlink-paths"), starlink);
    for slot in starlink.chunks(2) {
        assert!((slot.iter().sum::<f64>() - 15.0).abs() < 1e-9, "a satellite every 15 s: {slot:?}");
    }
}

#[test]
fn a_wrong_name_is_answered_with_likely_ones() {
    assert_eq!(like("cofee-shop")[0], "coffee-shop-wifi");
    assert_eq!(like("webpagetest3g")[0], "webpagetest-3g");
    assert_eq!(like("webpagetest-cabel")[0], "webpagetest-cable");
    assert_eq!(like("Starlnk")[0], "starlink");
    assert_eq!(like("3g").len(), LIKE_MAX);
    assert!(like("3g").iter().all(|name| name.contains("3g")));
    assert!(like("profile.json").is_empty());
    assert_eq!(hint("profile.json"), "jostle profile list shows the built-in profiles");
    assert_eq!(
        hint("starlnk"),
        "did you mean starlink? jostle profile list shows the built-in profiles"
    );
}
