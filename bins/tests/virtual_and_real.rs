//! The same cells in virtual time and on real sockets: the same counts, and about the same time.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod proxy_support;

use jostle_common::statistics::median;
use proxy_support::jostle;
use serde_json::Value;
use std::process::Stdio;
use std::sync::Mutex;

/// Real cells wait nearly all the time, so a few at once disturb each other little.
const AT_ONCE: usize = 3;

/// The most rounds of all cells.
const ROUNDS: usize = 4;

/// The bound of the median of real over virtual time.
const MOST: f64 = 1.1;

fn row(arguments: &str) -> Value {
    let output =
        jostle().arg("trial").args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Thirty cells. Their timeouts are ten round trips: on real sockets none is ever early.
fn cells() -> Vec<String> {
    let weather = "--delay 10ms --timeout fixed:200ms";
    let saw = [0, 2, 5, 10, 20].into_iter().flat_map(|loss| {
        [("16KiB", 1), ("32KiB", 2), ("64KiB", 3), ("64KiB --corrupt 3% --duplicate 5%", 4)].map(
            |(size, seed)| {
                format!("--protocol saw --loss {loss}% {weather} --size {size} --seed {seed}")
            },
        )
    });
    let ping = [0, 5, 10, 20, 30].map(|loss| {
        format!(
            "--protocol ping --loss {loss}% {weather} --count 60 --interval 11ms --seed {}",
            5 + loss
        )
    });
    let messages = [0, 5, 10, 15, 20].map(|loss| {
        format!("--protocol messages --loss {loss}% {weather} --count 30 --seed {}", 50 + loss)
    });
    saw.chain(ping).chain(messages).collect()
}

#[test]
fn thirty_cells_agree_on_counts_and_on_time() {
    let cells = cells();
    assert_eq!(cells.len(), 30);
    // Whatever else the machine does only adds time: the shortest of a few rounds is the cell's
    // own.
    let mut shortest = vec![f64::INFINITY; cells.len()];
    for _ in 0..ROUNDS {
        for (least, ratio) in shortest.iter_mut().zip(ratios(&cells)) {
            assert!(ratio > 0.9, "a cell took less than its virtual time: {ratio}");
            *least = ratio.min(*least);
        }
        if median(&shortest).unwrap() < MOST {
            break;
        }
    }
    let middle = median(&shortest).unwrap();
    eprintln!("time on real sockets over virtual time, median of 30 cells: {middle:.4}");
    // A packet is never early, so neither is a cell, but for what its clocks leave out.
    assert!((0.98..MOST).contains(&middle), "{middle}: {shortest:?}");
}

/// Returns the time of each cell on real sockets over its virtual time; their counts are the same.
fn ratios(cells: &[String]) -> Vec<f64> {
    let (waiting, ratios) =
        (Mutex::new(cells.iter().enumerate()), Mutex::new(vec![0.0; cells.len()]));
    let next = || waiting.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, cell)) = next() {
                    let (real, simulated) = (row(cell), row(&format!("{cell} --virtual")));
                    for key in [
                        "intact",
                        "missing",
                        "damaged",
                        "doubled",
                        "late",
                        "packets",
                        "retransmissions",
                        "proxy",
                    ] {
                        assert_eq!(real[key], simulated[key], "{key} of {cell}");
                    }
                    assert_eq!(real["rtt_ms"]["samples"], simulated["rtt_ms"]["samples"], "{cell}");
                    let seconds = |row: &Value| row["seconds"].as_f64().unwrap();
                    ratios.lock().unwrap()[number] = seconds(&real) / seconds(&simulated);
                }
            });
        }
    });
    ratios.into_inner().unwrap()
}
