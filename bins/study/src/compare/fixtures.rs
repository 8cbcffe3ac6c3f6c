//! Made-up comparisons, to look at what is said about them without waiting for a network.

use super::finished::{Chunk, Comparison, FileProtocol, FinishedRow, STOPPED, Saved};
use super::page;
use super::table;
use super::verdict::ComparisonVerdict;
use crate::audit::Audit;
use crate::rows::{RouteCounts, Row, goodput_bps};
use jostle_common::chance::{Direction, DrawStream};
use jostle_common::units::{Probability, Span};
use serde_json::Map;
use std::collections::BTreeMap;
use std::time::Duration;

fn chunks(loss: Probability, count: u64) -> Vec<Chunk> {
    let stream = DrawStream::new(7, "made up", Direction::Up, "drop");
    let damage = Probability::new(0.005).unwrap();
    let fate = |n| match stream.draw(n, 0, 0) {
        draw if draw.hits(loss) => Chunk::Missing,
        draw if damage.covers(draw.second()) && !loss.is_never() => Chunk::Damaged,
        _ => Chunk::Intact,
    };
    (0..count).map(fate).collect()
}

fn finished(protocol: FileProtocol, loss: f64, count: u64) -> FinishedRow {
    let loss = Probability::new(loss).unwrap();
    let chunks = if protocol == FileProtocol::Udp {
        chunks(loss, count)
    } else {
        vec![Chunk::Intact; count as usize]
    };
    let of = |kind| chunks.iter().filter(|chunk| **chunk == kind).count() as u64;
    let (missing, damaged) = (of(Chunk::Missing), of(Chunk::Damaged));
    let (seconds, again) = match protocol {
        FileProtocol::Tcp => (0.4 + 130.0 * loss.as_f64(), (700.0 * loss.as_f64()) as u64),
        FileProtocol::Udp => (1.21, 0),
        FileProtocol::Saw => (2.6 + 40.0 * loss.as_f64(), (480.0 * loss.as_f64()) as u64),
    };
    let row = Row {
        protocol: protocol.name().to_owned(),
        loss,
        delay: Span(Duration::from_millis(5)),
        repeat: 1,
        seed: 7,
        is_virtual: false,
        ok: true,
        error: None,
        seconds: Some(seconds),
        goodput_bps: goodput_bps(of(Chunk::Intact) * 4096, seconds),
        digest_equal: Some(missing + damaged == 0),
        intact: Some(of(Chunk::Intact)),
        missing: Some(missing),
        damaged: Some(damaged),
        doubled: Some(0),
        late: Some(0),
        packets: Some(count * 2 + again),
        retransmissions: Some(again),
        rtt_ms: None,
        proxy: None,
        version: "0.1.0".to_owned(),
        more: Map::new(),
        host: Map::new(),
    };
    let frames_lost = (missing + damaged) * 13;
    let audit = Audit {
        frames: 2298,
        frames_lost,
        seconds: 60.03,
        seconds_lost: frames_lost as f64 * 0.026_122,
    };
    let path = format!("{}-loss-{}.mp3", protocol.name(), loss.as_f64() * 100.0);
    FinishedRow {
        protocol,
        row,
        chunks,
        audit: Some(audit),
        saved: Some(Saved { path, complete: true }),
    }
}

/// Returns a comparison in which everything went as it should.
pub(super) fn fair(losses: &[f64]) -> Comparison {
    Comparison {
        file: "jostle-tune.mp3".to_owned(),
        file_bytes: 960_613,
        digest: "1dfec67933eac329e3708b4065b27edc41c80bcf290e3f0e05ed19ecc632ae2a".to_owned(),
        music_seconds: Some(60.03),
        not_judged: None,
        weather: "5 ms of delay each way and a flipped bit in 0.1% of packets".to_owned(),
        seed: 7,
        command: "jostle compare --seed 7".to_owned(),
        limit: Duration::from_secs(50),
        rows: losses
            .iter()
            .flat_map(|&loss| FileProtocol::ALL.map(|protocol| finished(protocol, loss, 235)))
            .collect(),
    }
}

const LOSSES: [f64; 5] = [0.0, 0.01, 0.02, 0.05, 0.1];

/// Returns one in which a row was not done in time, of a file with a hostile name.
fn unfair() -> Comparison {
    let mut comparison = fair(&LOSSES);
    comparison.file = "<script>alert('&')</script>.mp3".to_owned();
    let last = comparison.rows.len() - 3;
    let late = &mut comparison.rows[last];
    late.chunks[100..].fill(Chunk::Missing);
    late.row.ok = false;
    late.row.error = Some("not done after 50 s".to_owned());
    late.row.digest_equal = Some(false);
    (late.row.intact, late.row.missing) = (Some(100), Some(135));
    (late.row.seconds, late.row.goodput_bps) = (Some(50.0), goodput_bps(100 * 4096, 50.0));
    late.saved = Some(Saved { path: "partial/tcp-loss-10.mp3".to_owned(), complete: false });
    comparison
}

#[test]
fn a_stranger_understands_the_verdict() {
    let verdict = ComparisonVerdict::of(&fair(&LOSSES));
    assert_eq!(
        verdict.headline,
        "When the network loses 10% of all packets, TCP delivers the file whole in 13.4 s, plain \
         UDP is done in 1.21 s with 9.79% of the file lost or damaged, and reliable UDP delivers \
         the file whole in 6.60 s."
    );
    let [tcp, udp, saw] = FileProtocol::ALL.map(|protocol| part(&verdict, protocol));
    assert_eq!(
        tcp,
        "Arrived whole at every loss rate: every byte, every time. It took 0.40 s at 0% loss and \
         13.4 s at 10%, 34 times as long. At 10% loss 70 of 540 segments were sent again."
    );
    assert_eq!(
        udp,
        "Never waits and never repeats: done in 1.21 s. At 0% loss the file arrived whole. What \
         is lost stays lost: at 1% loss 2 of 235 chunks (0.85%) are missing or damaged, at 5% 13 \
         (5.53%), at 10% 23 (9.79%). Of 60.0 s of music a listener loses 0.68 s at 1%, 4.41 s at \
         5%, and 7.81 s at 10%: that much sounds different or is gone."
    );
    assert!(saw.contains("It took 2.60 s at 0% loss and 6.60 s at 10%, 3 times as long."), "{saw}");
}

#[test]
fn the_verdict_says_what_failed_and_what_is_not_as_it_should_be() {
    let mut comparison = unfair();
    let tcp = part(&ComparisonVerdict::of(&comparison), FileProtocol::Tcp);
    assert!(tcp.starts_with("Arrived whole at 0%, 1%, 2%, and 5% loss."), "{tcp}");
    assert!(
        tcp.ends_with(
            "At 10% loss it failed (not done after 50 s); 42.6% of the file had arrived."
        ),
        "{tcp}"
    );
    assert!(ComparisonVerdict::of(&comparison).headline.contains("TCP does not deliver the file,"));
    comparison.rows[0].row.digest_equal = Some(false);
    assert!(
        part(&ComparisonVerdict::of(&comparison), FileProtocol::Tcp)
            .contains("that is a fault of jostle")
    );
}

#[test]
fn plain_udp_is_told_when_it_was_too_fast() {
    let mut comparison = fair(&[0.05]);
    let said =
        |comparison: &Comparison| part(&ComparisonVerdict::of(comparison), FileProtocol::Udp);
    let mut counts = RouteCounts::default();
    counts.up.discarded = BTreeMap::from([("drop".to_owned(), 9), ("queue_full".to_owned(), 8)]);
    comparison.rows[1].row.proxy = Some(counts.clone());
    assert!(!said(&comparison).contains("queue"));
    counts.up.discarded.insert("queue_full".to_owned(), 1200);
    comparison.rows[1].row.proxy = Some(counts);
    assert!(said(&comparison).ends_with("1,200 packets found the queue full (see --pace)."));
}

#[test]
fn one_loss_rate_and_a_file_without_music_make_sense_too() {
    let mut comparison = fair(&[0.05]);
    comparison.music_seconds = None;
    comparison.rows.iter_mut().for_each(|row| row.audit = None);
    let verdict = ComparisonVerdict::of(&comparison);
    assert!(
        part(&verdict, FileProtocol::Tcp).starts_with("Arrived whole: every byte. It took 6.90 s.")
    );
    assert!(!part(&verdict, FileProtocol::Udp).contains("music"));
    let page = page::draw(&comparison);
    assert!(!page.contains("music") && !page.contains("<svg"), "one loss rate is no chart");
    assert!(!table::draw(&comparison, None).contains("music"));
}

fn part(verdict: &ComparisonVerdict, protocol: FileProtocol) -> String {
    verdict.parts.iter().find(|(of, _)| *of == protocol).map(|(_, text)| text.clone()).unwrap()
}

#[test]
fn the_table_fits_a_terminal() {
    let table = table::draw(&fair(&LOSSES), None);
    assert!(table.lines().all(|line| line.chars().count() <= 100));
    assert!(table.is_ascii() && table.lines().count() >= 20);
    assert!(table::draw(&fair(&LOSSES), Some(120)).contains('\u{1b}'));
    // A narrow one gets what cannot be told from the rest.
    for (columns, head) in [
        (80, "loss  over          arrived       time  goodput  missing  damaged"),
        (60, "loss  over          arrived       time  goodput  missing"),
        (20, "loss  over          arrived       time  missing"),
    ] {
        let table = without_colour(&table::draw(&fair(&LOSSES), Some(columns)));
        assert_eq!(
            table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
            head.split_whitespace().collect::<Vec<_>>()
        );
        assert!(
            columns < 60 || table.lines().all(|line| line.chars().count() <= columns),
            "{table}"
        );
    }
}

/// Returns the text without its escape sequences.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn what_the_user_stopped_is_not_blamed_on_the_network() {
    let mut comparison = unfair();
    let last = comparison.rows.len() - 3;
    comparison.rows[last].row.error = Some(STOPPED.to_owned());
    let verdict = ComparisonVerdict::of(&comparison);
    assert!(verdict.headline.contains("TCP was stopped before its end,"), "{}", verdict.headline);
    let tcp = part(&verdict, FileProtocol::Tcp);
    assert!(
        tcp.ends_with("At 10% loss it was stopped by the user; 42.6% of the file had arrived."),
        "{tcp}"
    );
    assert!(table::draw(&comparison, None).contains("stopped"));
}

#[test]
fn the_page_stands_alone_and_escapes_what_it_is_told() {
    let comparison = unfair();
    let page = page::draw(&comparison);
    // JOSTLE_LOOK names a folder for the pages, to look at them after a change.
    if let Ok(folder) = std::env::var("JOSTLE_LOOK") {
        std::fs::write(format!("{folder}/fair.html"), page::draw(&fair(&LOSSES))).unwrap();
        std::fs::write(format!("{folder}/unfair.html"), &page).unwrap();
    }
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert('&amp;')&lt;/script&gt;.mp3 in bad weather"));
    // The name of the SVG vocabulary is no address to fetch, and url(#...) is a place in the page.
    let fetched = page.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
    assert!(
        !fetched.contains("http:")
            && !fetched.contains("https:")
            && !fetched.contains("@import")
            && !fetched.contains("url(")
    );
    for open in ["div", "section", "table", "span", "dl", "audio", "svg", "p"] {
        let (opened, closed) = (format!("<{open}"), format!("</{open}>"));
        let opened = page
            .match_indices(&opened)
            .filter(|(at, _)| !page[at + opened.len()..].starts_with(char::is_alphabetic))
            .count();
        assert_eq!(opened, page.matches(&closed).count(), "{open}");
    }
    assert_eq!(page.matches("<i></i>").count() + page.matches("<i class=").count(), 15 * 235 + 3);
    assert_eq!(page.matches("<audio").count(), 15);
}
