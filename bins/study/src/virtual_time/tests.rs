//! The promises of the protocols, through the real links, in virtual time.

use super::*;
use jostle_common::units::BitRate;
use jostle_endpoints::protocol::file::{
    ChunkAccount, ChunkCounts, ChunkFate, ChunkState, DATA_SIZE, UdpFileReceiver,
    UdpFileReceiverSettings, UdpFileSender, UdpFileSenderSettings,
};
use jostle_endpoints::protocol::saw::{self, SawClient, SawClientSettings, SawServer};
use jostle_endpoints::protocol::storage::{Memory, MemoryFolder, Nowhere};
use jostle_endpoints::protocol::timer::Timing;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Makes bytes without a pattern that a shifted or repeated chunk would share.
fn file(size: usize) -> Vec<u8> {
    let mut state = 1u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(step).collect()
}

fn both(rules: &str) -> Profile {
    Profile::from_json(&format!(r#"{{ "both": [ {rules} ] }}"#)).unwrap()
}

fn fetch(
    settings: SawClientSettings,
    size: usize,
    profile: &Profile,
    seed: u64,
) -> (saw::SawReport, Outcome) {
    let mut client = SawClient::new(settings, Nowhere);
    let mut server = SawServer::new(Memory::new(file(size)), None);
    let outcome = Simulation::new(&mut client, &mut server, profile, seed, "saw")
        .run(Limits::default(), |_, _| {});
    assert!(matches!(client.outcome(), Some(Ok(()))), "{outcome:?}");
    assert_eq!(client.report().bytes, size as u64);
    (client.report().clone(), outcome)
}

#[test]
fn saw_delivers_a_mebibyte_through_half_loss_and_damage_the_same_each_time() {
    let profile = both(
        r#"{ "rule": "drop", "chance": "50%" }, { "rule": "corrupt", "chance": "5%" }, { "rule": "delay", "time": "5ms" }"#,
    );
    let mut counts = Vec::new();
    for seed in [7, 7, 8] {
        let mut client = SawClient::new(SawClientSettings::new(SERVER), Vec::new());
        let mut server = SawServer::new(Memory::new(file(1 << 20)), None);
        let simulation = Simulation::new(&mut client, &mut server, &profile, seed, "saw");
        let outcome = simulation.run(Limits::default(), |_, _| {});
        let (report, received, ending) = client.into_parts();
        assert!(matches!(ending, Some(Ok(()))), "{ending:?}");
        assert!(received == file(1 << 20), "every byte in its place");
        assert_eq!(report.packets, 256);
        // An attempt succeeds when neither half is lost or damaged: (0.5·0.95)² = 0.226, so 256
        // packets take 1135 ± 62 requests.
        assert!((930..1340).contains(&report.requests), "{}", report.requests);
        assert!(report.damaged > 0 && outcome.up.corrupted > 0 && server.report().damaged > 0);
        counts.push((
            report.requests,
            report.retransmissions,
            report.duplicates,
            report.damaged,
            outcome,
        ));
    }
    assert_eq!(counts[0], counts[1], "the same seed, the same packets");
    assert_ne!(counts[0], counts[2], "another seed, other packets");
}

#[test]
fn saw_arrives_at_ninety_percent_loss_each_way() {
    let profile =
        both(r#"{ "rule": "drop", "chance": "90%" }, { "rule": "delay", "time": "1ms" }"#);
    let (report, _) = fetch(SawClientSettings::new(SERVER), 16 * 4096, &profile, 7);
    assert!(report.requests > 500, "one attempt in a hundred succeeds");
}

#[test]
fn saw_pays_one_round_trip_per_packet_and_no_more() {
    let profile = both(r#"{ "rule": "delay", "time": "20ms" }"#);
    let (report, outcome) = fetch(SawClientSettings::new(SERVER), 64 * 4096, &profile, 7);
    assert_eq!((report.requests, report.retransmissions), (64, 0));
    assert_eq!(report.elapsed(), Duration::from_millis(40 * 64));
    assert_eq!(report.round_trips.most(), Some(Duration::from_millis(40)));
    assert_eq!(outcome.up.entered, 64 + 3, "requests and thanks");
}

#[test]
fn a_fixed_timeout_below_the_round_trip_asks_in_vain_and_still_arrives() {
    let profile = both(r#"{ "rule": "delay", "time": "20ms" }"#);
    let timing = Timing::Fixed(Duration::from_millis(15));
    let (report, _) = fetch(
        SawClientSettings { timing, ..SawClientSettings::new(SERVER) },
        10 * 4096,
        &profile,
        7,
    );
    assert_eq!(report.requests, 30, "three requests per round trip");
    assert_eq!(report.round_trips.most(), Some(Duration::from_millis(40)), "every sample is true");
}

#[test]
fn a_run_that_cannot_end_is_ended() {
    let silent = both(r#"{ "rule": "drop", "chance": "100%" }"#);
    let settings = SawClientSettings { patience: None, ..SawClientSettings::new(SERVER) };
    for (limits, end) in [
        (Limits { time: Duration::from_secs(10), ..Limits::default() }, End::TimeOver),
        (Limits { packets: 10, ..Limits::default() }, End::PacketsOver),
    ] {
        let mut client = SawClient::new(settings.clone(), Nowhere);
        let mut server = SawServer::new(Memory::new(Vec::new()), None);
        let outcome =
            Simulation::new(&mut client, &mut server, &silent, 7, "saw").run(limits, |_, _| {});
        assert_eq!(outcome.end, end);
        assert_eq!(
            (outcome.end == End::TimeOver).then_some(outcome.elapsed),
            (end == End::TimeOver).then_some(limits.time)
        );
    }
}

/// Writes a table of a 256 KiB file by loss and delay each way, for people; kept as a golden file.
#[test]
fn saw_by_loss_and_delay() {
    const SIZE: usize = 256 * 1024;
    let mut table = String::from(
        "stop-and-wait, 256 KiB in 64 packets, seed 7; loss and delay in each direction; virtual time\n\n\
         loss  delay    seconds  requests  again  rtt p50    goodput\n",
    );
    for loss in ["0", "1%", "2%", "5%", "10%", "20%", "50%"] {
        for delay in ["0", "1ms", "5ms", "20ms", "100ms"] {
            let profile = both(&format!(
                r#"{{ "rule": "drop", "chance": "{loss}" }}, {{ "rule": "delay", "time": "{delay}" }}"#
            ));
            let (report, _) = fetch(SawClientSettings::new(SERVER), SIZE, &profile, 7);
            let seconds = report.elapsed().as_secs_f64();
            let rtt = report.round_trips.percentile(50.0).unwrap().as_millis();
            let goodput = match seconds {
                0.0 => "no time at all".to_owned(),
                seconds => format!("{:.3} Mbit/s", SIZE as f64 * 8.0 / seconds / 1e6),
            };
            let (requests, again) = (report.requests, report.retransmissions);
            writeln!(
                table,
                "{loss:>4}  {delay:>5}  {seconds:>9.3}  {requests:>8}  {again:>5}  {rtt:>4} ms  {goodput}"
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// An observer's account of the chunks at the link: the k-th data datagram that entered carries
/// chunk k.
#[derive(Default)]
struct Observer {
    /// Every copy that left: the number in the link, and whether it was delivered, and damaged, in
    /// the order in which they left.
    left: Vec<(u64, Option<bool>)>,
}

impl Observer {
    fn observe(&mut self, direction: Direction, output: &Output) {
        let packet = output.packet();
        if direction == Direction::Up && packet.size() as usize == DATA_SIZE {
            let delivered = matches!(output, Output::Deliver(_)).then_some(packet.is_damaged());
            self.left.push((packet.number, delivered));
        }
    }

    fn cells(&self) -> (Vec<ChunkFate>, u64) {
        let mut numbers: Vec<u64> = self.left.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let chunk_of: BTreeMap<u64, usize> = numbers.iter().copied().zip(0..).collect();
        let mut cells = vec![ChunkFate::default(); numbers.len()];
        let (mut highest, mut copies) = (None, 0);
        for (number, delivered) in &self.left {
            let (chunk, Some(damaged)) = (chunk_of[number], *delivered) else { continue };
            copies += 1;
            let cell = &mut cells[chunk];
            match cell.state {
                ChunkState::Missing => cell.late = highest > Some(chunk),
                _ => cell.doubled = true,
            }
            if !damaged {
                cell.state = ChunkState::Intact;
            } else if cell.state == ChunkState::Missing {
                cell.state = ChunkState::Damaged;
            }
            highest = highest.max(Some(chunk));
        }
        (cells, copies)
    }
}

/// The server's account of a transfer, and an observer's at the link.
struct Sent {
    account: ChunkAccount,
    /// Data datagrams that came when the report was already made.
    stray: u64,
    cells: Vec<ChunkFate>,
    copies: u64,
    stored: Vec<u8>,
}

/// Sends a file through `profile`.
fn send(size: usize, profile: &Profile, seed: u64) -> Sent {
    let mut settings = UdpFileSenderSettings::new(SERVER, 77);
    settings.rate = BitRate::new(50_000_000).unwrap();
    let folder = MemoryFolder::default();
    let mut sender = UdpFileSender::new(settings, Memory::new(file(size)));
    let mut receiver = UdpFileReceiver::new(UdpFileReceiverSettings::default(), folder.clone());
    let mut observer = Observer::default();
    let outcome = Simulation::new(&mut sender, &mut receiver, profile, seed, "file")
        .run(Limits::default(), |direction, output| observer.observe(direction, output));
    assert!(matches!(sender.outcome(), Some(Ok(()))), "{:?} {outcome:?}", sender.outcome());
    let account = receiver.next_received().unwrap().account.unwrap();
    let arrival = sender.report().arrival.clone().unwrap();
    assert_eq!(arrival.counts, account.counts(), "both ends say the same");
    assert!(arrival.cells.iter().copied().eq(account.cells()));
    let (cells, copies) = observer.cells();
    Sent {
        account,
        stray: receiver.report().stray,
        cells,
        copies,
        // Nothing is stored of a file of which nothing arrived.
        stored: folder.finished().pop().unwrap_or_default(),
    }
}

#[test]
fn every_chunk_is_accounted_for_as_the_link_treated_it() {
    let profile = Profile::from_json(
        r#"{ "both": [ { "rule": "drop", "chance": "8%" }, { "rule": "duplicate", "chance": "10%" }, { "rule": "corrupt", "chance": "12%" },
             { "rule": "delay", "time": "20ms", "jitter": "3ms", "reorder": true } ] }"#,
    )
    .unwrap();
    let mut total = ChunkCounts::default();
    for seed in 0..20 {
        let Sent { account, stray, cells, copies, stored } = send(300 * 4096 + 17, &profile, seed);
        assert_eq!(stray, 0);
        let counts = account.counts();
        assert!(account.cells().eq(cells.iter().copied()), "seed {seed}");
        assert_eq!(counts.intact + counts.missing + counts.damaged, 301);
        assert_eq!(counts.doubled, copies - u64::from(counts.intact + counts.damaged));
        assert_eq!(counts.unknown, 0, "one flipped bit never hides a number");
        for (chunk, (cell, (sent, stored))) in cells
            .iter()
            .zip(file(300 * 4096 + 17).chunks(4096).zip(stored.chunks(4096)))
            .enumerate()
        {
            let differing: u32 =
                sent.iter().zip(stored).map(|(sent, stored)| (sent ^ stored).count_ones()).sum();
            match cell.state {
                ChunkState::Intact => assert_eq!(differing, 0, "chunk {chunk}"),
                ChunkState::Missing => {
                    assert!(stored.iter().all(|byte| *byte == 0), "chunk {chunk}")
                }
                ChunkState::Damaged => assert!(differing <= 1, "chunk {chunk}"),
            }
        }
        total.missing += counts.missing;
        total.damaged += counts.damaged;
        total.late += counts.late;
        total.doubled += counts.doubled;
    }
    // Of 6020 chunks: 8 % lost; damaged when no copy of the rest is intact, 92 %·(90 %·12 % + 10
    // %·1.44 %) = 10.1 %.
    assert!((400..570).contains(&total.missing), "{total:?}");
    assert!((530..690).contains(&total.damaged), "{total:?}");
    assert!((450..660).contains(&total.doubled), "{total:?}");
    assert!(total.late > 1000, "{total:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn accounts_are_exact_under_any_weather(
        seed: u64, size in 0usize..200_000,
        drop in 0u32..60, duplicate in 0u32..40, corrupt in 0u32..60, reorder in 0u32..40, jitter in 0u32..10,
    ) {
        let profile = both(&format!(
            r#"{{ "rule": "drop", "chance": "{drop}%" }}, {{ "rule": "duplicate", "chance": "{duplicate}%" }},
               {{ "rule": "corrupt", "chance": "{corrupt}%" }}, {{ "rule": "reorder", "chance": "{reorder}%", "behind": 3 }},
               {{ "rule": "delay", "time": "10ms", "jitter": "{jitter}ms", "reorder": true }}"#,
        ));
        let Sent { account, stray, cells, copies, stored } = send(size, &profile, seed);
        let counts = account.counts();
        let has_nothing = counts.chunks > 0 && counts.missing == counts.chunks;
        prop_assert_eq!(stored.len(), if has_nothing { 0 } else { size });
        // A report is made as soon as every chunk is there; a copy that comes later is in no
        // account and changes no chunk.
        let same = |(ours, theirs): (ChunkFate, &ChunkFate)| {
            (ours.state, ours.late) == (theirs.state, theirs.late) && (stray > 0 || ours.doubled == theirs.doubled)
        };
        prop_assert!(account.cells().count() == cells.len() && account.cells().zip(&cells).all(same));
        prop_assert_eq!(counts.intact + counts.missing + counts.damaged, size.div_ceil(4096) as u32);
        prop_assert_eq!(counts.doubled + u64::from(counts.intact + counts.damaged) + stray, copies);
    }

    #[test]
    fn saw_arrives_whole_under_any_weather(
        seed: u64, size in 0usize..60_000, drop in 0u32..70, duplicate in 0u32..40, corrupt in 0u32..40, jitter in 0u32..10,
    ) {
        let profile = both(&format!(
            r#"{{ "rule": "drop", "chance": "{drop}%" }}, {{ "rule": "duplicate", "chance": "{duplicate}%" }},
               {{ "rule": "corrupt", "chance": "{corrupt}%", "bits": 3 }},
               {{ "rule": "delay", "time": "10ms", "jitter": "{jitter}ms", "reorder": true }}"#,
        ));
        let mut client = SawClient::new(SawClientSettings::new(SERVER), Vec::new());
        let mut server = SawServer::new(Memory::new(file(size)), None);
        let outcome = Simulation::new(&mut client, &mut server, &profile, seed, "saw").run(Limits::default(), |_, _| {});
        prop_assert!(matches!(client.outcome(), Some(Ok(()))), "{:?}", outcome);
        let (report, received, _) = client.into_parts();
        prop_assert!(received == file(size));
        let sent = outcome.up.entered - 3;
        prop_assert_eq!(report.requests, sent);
        prop_assert_eq!(outcome.up.entered + outcome.up.copies, outcome.up.delivered + outcome.up.discarded_total());
    }
}
