//! Every protocol once, through a network that loses.

use super::*;
use crate::rows::LinkCounts;
use serde_json::json;

fn trial(words: &str) -> Trial {
    let mut trial = Trial { seed: 7, repeat: 1, ..Trial::default() };
    for word in words.split(' ') {
        let (name, value) = word.split_once('=').unwrap();
        trial.set(name, &json!(value), &|file| Err(format!("no file {file}"))).unwrap();
    }
    trial.check().unwrap();
    trial
}

/// Runs it, and checks what holds for every row: nothing is left behind, and no packet disappears.
fn row(words: &str) -> Row {
    let trial = trial(words);
    let temporary = tempfile::tempdir().unwrap();
    let subject = Subject::of(&trial).unwrap();
    let row = run_in(temporary.path(), &trial, &subject, &Stop::new()).unwrap();
    assert_eq!(
        std::fs::read_dir(temporary.path()).unwrap().count(),
        0,
        "{words}: something is left"
    );
    let counts = row.proxy.as_ref().unwrap();
    for link in [&counts.up, &counts.down] {
        let LinkCounts { entered, copies, delivered, held, .. } = *link;
        assert_eq!(
            entered + copies,
            delivered + link.discarded_total() + held,
            "{words}: {counts:?}"
        );
    }
    assert_eq!(row.packets, Some(counts.up.entered + counts.down.entered));
    assert_eq!(row.ok, row.error.is_none());
    assert!(
        row.host["cpus"].is_u64() && row.host["lateness"]["down"].is_object(),
        "{:?}",
        row.host
    );
    assert!(row.host.contains_key("load"));
    row
}

/// Returns a row that is as it should be: ok, lossy, and of so many units that all are accounted
/// for.
fn good(words: &str, units: u64) -> Row {
    let row = row(words);
    assert_eq!((row.ok, row.error.as_deref()), (true, None), "{words}");
    let counts = row.proxy.as_ref().unwrap();
    assert!(
        counts.up.discarded_total() + counts.down.discarded_total() > 0,
        "{words}: nothing was lost"
    );
    assert_eq!(row.intact.unwrap() + row.missing.unwrap() + row.damaged.unwrap(), units, "{words}");
    // Two packets or more, each of which takes 2 ms.
    assert!(row.seconds.unwrap() >= 0.002 && row.goodput_bps.unwrap() > 0, "{words}: {row:?}");
    row
}

const LOSSY: &str = "loss=5% delay=2ms";

#[test]
fn tcp_brings_the_file_whole() {
    let row = good(&format!("protocol=tcp size=256KiB {LOSSY}"), 64);
    assert_eq!((row.intact, row.digest_equal), (Some(64), Some(true)));
    assert!(row.retransmissions.unwrap() > 0);
    assert!(row.rtt_ms.unwrap().min.unwrap() >= 4.0, "{:?}", row.rtt_ms);
}

#[test]
fn udp_accounts_for_the_file() {
    let row = good(&format!("protocol=udp size=512KiB pace=50Mbit/s {LOSSY}"), 128);
    assert_eq!(row.digest_equal, Some(false));
    // 6.4 of 128 in the mean with a deviation of 2.5; the seed is fixed.
    assert!((1..=16).contains(&row.missing.unwrap()), "{row:?}");
    assert_eq!((row.retransmissions, row.late), (Some(0), Some(0)));
}

#[test]
fn saw_brings_the_file_whole_and_measures_round_trips() {
    let row = good(&format!("protocol=saw timeout=fixed:40ms {LOSSY}"), 16);
    assert_eq!((row.intact, row.digest_equal), (Some(16), Some(true)));
    let round_trips = row.rtt_ms.unwrap();
    assert_eq!(round_trips.samples, 16);
    assert!(
        round_trips.min.unwrap() >= 4.0 && round_trips.min <= round_trips.p50,
        "{round_trips:?}"
    );
    // Behind the file come three words of thanks, which neither end counts.
    let lost = row.proxy.as_ref().unwrap();
    let counted = 16 + row.retransmissions.unwrap() + 3;
    assert_eq!(lost.up.entered, counted, "{row:?}");
    assert!(row.retransmissions.unwrap() >= lost.down.discarded_total());
}

#[test]
fn ping_counts_requests() {
    let row =
        good(&format!("protocol=ping count=100 interval=1ms timeout=fixed:200ms {LOSSY}"), 100);
    let lost = row.proxy.as_ref().unwrap();
    assert_eq!(row.missing.unwrap(), lost.up.discarded_total() + lost.down.discarded_total());
    assert_eq!(row.rtt_ms.unwrap().samples, row.intact.unwrap());
    assert_eq!((row.more["size"].clone(), row.digest_equal), (json!(56), None));
}

#[test]
fn messages_are_delivered_once_and_in_order() {
    let row = good(&format!("protocol=messages count=40 timeout=fixed:200ms {LOSSY}"), 40);
    let lost = row.proxy.as_ref().unwrap();
    assert_eq!(row.intact, Some(40));
    // Each loss, either way, costs one more line.
    assert_eq!(
        row.retransmissions.unwrap(),
        lost.up.discarded_total() + lost.down.discarded_total()
    );
    assert_eq!(row.doubled.unwrap(), lost.down.discarded_total());
}

#[test]
fn http_brings_the_file_whole() {
    let row = good(&format!("protocol=http size=256KiB {LOSSY}"), 64);
    assert_eq!((row.intact, row.digest_equal), (Some(64), Some(true)));
    assert!(row.retransmissions.unwrap() > 0);
}

#[test]
fn the_same_seed_meets_the_same_losses() {
    let words = format!("protocol=saw size=128KiB timeout=fixed:200ms {LOSSY}");
    let (one, two) = (row(&words), row(&words));
    assert_eq!((one.proxy, one.retransmissions), (two.proxy, two.retransmissions));
}

/// Returns the counts that do not depend on the moment.
fn counts(row: &Row) -> impl PartialEq + std::fmt::Debug {
    let units = (row.intact, row.missing, row.damaged, row.doubled, row.late);
    let round_trips = row.rtt_ms.map(|round_trips| round_trips.samples);
    (
        row.ok,
        units,
        row.digest_equal,
        row.packets,
        row.retransmissions,
        round_trips,
        row.proxy.clone(),
    )
}

#[test]
fn virtual_time_counts_the_same() {
    for protocol in
        ["saw size=64KiB", "ping count=50 interval=2ms", "messages count=30", "udp size=128KiB"]
    {
        let timeout = if protocol.starts_with("udp") { "" } else { " timeout=fixed:200ms" };
        let words = format!("protocol={protocol} loss=8% delay=3ms{timeout}");
        let content = Subject::of(&trial(&words)).unwrap().content;
        let simulated = crate::trial::simulated::run(&trial(&words), &content);
        assert_eq!(counts(&row(&words)), counts(&simulated), "{words}");
        assert!(simulated.proxy.unwrap().up.discarded_total() > 0, "{words}");
    }
}

#[test]
fn a_limit_ends_it() {
    for (protocol, units) in
        [("tcp", 16), ("saw", 16), ("http", 16), ("messages", 100), ("ping", 100), ("udp", 16)]
    {
        let row = row(&format!("protocol={protocol} delay=300ms limit=100ms"));
        assert_eq!(
            (row.ok, row.error.as_deref()),
            (false, Some("not done after 100 ms")),
            "{protocol}"
        );
        // What was under way when the time was up is delivered, and a message then counts.
        assert!(row.intact.unwrap() <= u64::from(protocol == "messages"), "{protocol}");
        assert_eq!(row.intact.unwrap() + row.missing.unwrap(), units, "{protocol}");
    }
}

#[test]
fn a_part_counts_as_far_as_it_came() {
    let row = row("protocol=saw size=1MiB delay=2ms limit=600ms");
    assert_eq!(row.error.as_deref(), Some("not done after 600 ms"));
    let intact = row.intact.unwrap();
    assert!((1..256).contains(&intact), "{intact}");
    assert_eq!((intact + row.missing.unwrap(), row.digest_equal), (256, Some(false)));
    assert!((0.6..6.0).contains(&row.seconds.unwrap()), "{:?}", row.seconds);
}

#[test]
fn a_stream_that_loses_bytes_brings_no_file() {
    let row = row("protocol=tcp tcp=raw up-loss=20%");
    assert_eq!((row.ok, row.digest_equal), (false, Some(false)));
    assert!(row.error.as_ref().unwrap().contains("something else"), "{:?}", row.error);
    assert!(row.proxy.unwrap().up.discarded_total() > 0);
}

#[test]
fn a_file_says_its_size() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [7; 5000]).unwrap();
    let row = row(&format!("protocol=saw file={}", file.path().display()));
    assert_eq!((row.ok, row.intact, row.more["size"].clone()), (true, Some(2), json!(5000)));
}

#[test]
fn silence_is_a_failed_row() {
    let row = row("protocol=ping count=5 loss=100% timeout=fixed:20ms");
    assert_eq!((row.ok, row.error.as_deref()), (false, Some("nothing was answered")));
    assert_eq!((row.intact, row.missing), (Some(0), Some(5)));
}

#[test]
fn the_user_may_end_it() {
    let temporary = tempfile::tempdir().unwrap();
    let stop = Stop::new();
    stop.request();
    let stopped =
        run_in(temporary.path(), &trial("protocol=saw delay=1s"), &Subject::generated(1), &stop);
    assert_eq!(stopped.unwrap_err().to_string(), "stopped before the trial was done");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
