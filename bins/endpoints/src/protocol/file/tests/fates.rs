//! What is lost, damaged or late, and a server that is not there.

use super::*;

#[test]
fn every_fate_is_told_and_holes_stay_in_place() {
    let (mut sender, (mut receiver, folder)) = (sender(10 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| {
        let whole = datagram.to_vec();
        let mut damaged = whole.clone();
        damaged.get_mut(1000).into_iter().for_each(|byte| *byte ^= 1);
        match number(datagram) {
            Some(1 | 9) => (vec![], vec![]),
            Some(2) => (vec![damaged], vec![]),
            Some(3) => (vec![damaged.clone(), whole, damaged], vec![]),
            Some(4) => (vec![], vec![whole]),
            Some(6) => (vec![whole.clone()], vec![whole]),
            _ => (vec![whole], vec![]),
        }
    });
    let arrival = sender.report().arrival.clone().unwrap();
    let counts = ChunkCounts {
        chunks: 10,
        intact: 7,
        missing: 2,
        damaged: 1,
        doubled: 3,
        late: 1,
        unknown: 0,
    };
    assert_eq!(arrival.counts, counts);
    let codes: String = arrival.cells.iter().map(|cell| format!("{:x}", cell.code())).collect();
    assert_eq!(codes, "1029519110");
    let mut expected = file(10 * CHUNK);
    expected[CHUNK..2 * CHUNK].fill(0);
    expected[9 * CHUNK..].fill(0);
    // The header of a data datagram has 28 bytes.
    expected[2 * CHUNK + 1000 - 28] ^= 1;
    assert_eq!(folder.finished(), [expected.clone()]);
    let arrived = [&expected[..CHUNK], &expected[2 * CHUNK..9 * CHUNK]].concat();
    assert_eq!(arrival.digest, Digest::of(&arrived), "what is missing is not hashed");
}

#[test]
fn control_datagrams_are_repeated_and_data_are_not() {
    let (mut sender, (mut receiver, folder)) = (sender(20 * CHUNK), receiver());
    let mut controls = 0;
    run(&mut sender, &mut receiver, |datagram| {
        let is_control = datagram.len() < CONTROL_SIZE_MAX;
        controls += u32::from(is_control);
        let lost = is_control && controls % 4 != 0;
        if lost { (vec![], vec![]) } else { clean(datagram) }
    });
    assert_eq!(sender.report().packets, 20);
    assert!(controls >= 8, "{controls}");
    assert_eq!(folder.finished(), [file(20 * CHUNK)]);
}

#[test]
fn a_damaged_datagram_without_a_number_is_known_by_its_sender() {
    let (mut sender, (mut receiver, _)) = (sender(3 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| {
        let mut datagram = datagram.to_vec();
        if number(&datagram) == Some(1) {
            datagram[5] ^= 1;
            datagram[DATA_SIZE - 5] ^= 1;
        }
        (vec![datagram], vec![])
    });
    let counts = sender.report().arrival.as_ref().unwrap().counts;
    assert_eq!((counts.intact, counts.missing, counts.damaged, counts.unknown), (2, 1, 0, 1));
}

#[test]
fn chunks_that_come_after_the_sender_is_done_still_count() {
    let (mut sender, (mut receiver, folder)) = (sender(3 * CHUNK), receiver());
    run(&mut sender, &mut receiver, |datagram| {
        // The last chunk is overtaken by the datagram that says all is done.
        if number(datagram) == Some(2) {
            (vec![], vec![datagram.to_vec()])
        } else {
            clean(datagram)
        }
    });
    assert_eq!(sender.report().arrival.as_ref().unwrap().counts.intact, 3);
    assert_eq!(folder.finished(), [file(3 * CHUNK)]);
}

#[test]
fn a_server_that_is_not_there_or_silent_is_named() {
    let mut refused = sender(1);
    refused.poll(Instant::START);
    refused.handle_refusal(Instant::START, server());
    assert!(matches!(refused.outcome(), Some(Err(UdpFileFailure::Refused(_)))));

    let mut silent = sender(1);
    let mut now = Instant::START;
    while !silent.is_finished() {
        silent.poll(now);
        now = silent.deadline().unwrap_or(now);
    }
    assert!(matches!(silent.outcome(), Some(Err(UdpFileFailure::Silence { .. }))));
    assert_eq!(now, Instant::START + UdpFileSenderSettings::PATIENCE);
}
