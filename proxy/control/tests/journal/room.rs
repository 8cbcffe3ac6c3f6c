//! Files that take nothing, or no more.

use crate::{File, Running, routes};
use jostle_control::{Event, History, Journal, Origin};
use jostle_engine::profile::no_files;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

/// A file that takes nothing until the other end of the channel is dropped, and then all.
struct Stuck(mpsc::Receiver<()>, File);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_finds_no_room_is_counted_and_the_journal_goes_on_from_what_holds() {
    let running = Running::start(&routes(&["a"]), 7, Vec::new());
    let (wake, asleep) = mpsc::channel();
    let file = File::default();
    let stuck = Stuck(asleep, file.clone());
    let journal = Journal::start(&running.registry, 7, Box::new(stuck)).unwrap();
    let delay = |ms: u32| format!(r#"{{ "up": [ {{ "rule": "delay", "time": "{ms}ms" }} ] }}"#);
    (1..=400).for_each(|ms| running.set("a", &delay(ms)));
    drop(wake);
    // The queue empties; then there is room again.
    for _ in 0..20_000 {
        if file.text().lines().count() >= 257 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    running.set("a", &delay(1000));
    let end = journal.finish();
    let history = History::read(&file.text(), &no_files).unwrap();
    let lost: Vec<u64> = history
        .recorded
        .iter()
        .filter_map(|recorded| match recorded.event {
            Event::Lost { lost, .. } => Some(lost),
            _ => None,
        })
        .collect();
    assert_eq!(lost.len(), 1);
    assert!((100..200).contains(&lost[0]), "{lost:?}");
    assert_eq!((end.lost, end.error), (lost[0], None));
    assert!(
        matches!(history.recorded.last().unwrap().event, Event::End { lost: all } if all == lost[0])
    );
    let replay = history.replay("a", &no_files).unwrap();
    assert_eq!(replay.route.profile.up.phases.last().unwrap().rules.len(), 1);
    assert!(replay.remarks[0].starts_with(&format!("{} changes before ", lost[0])));
}

/// A disk that is full after so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_and_stops_nothing() {
    for room in [0, 1000] {
        let running = Running::start(&routes(&["a"]), 7, Vec::new());
        let journal = Journal::start(&running.registry, 7, Box::new(Disk(room))).unwrap();
        (0..20).for_each(|turn| running.switch(turn % 2 == 1));
        let end = journal.finish();
        assert!(end.error.is_some(), "{end:?}");
        // That it ended is no change.
        assert!((21..=22).contains(&(end.lines + end.lost)), "{end:?}");
        assert!(running.registry.open(Origin::Api).rules_are_on());
    }
}
