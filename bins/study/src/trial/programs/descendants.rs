//! The processes that are left of the programs of a trial: one that has left its process group, as
//! a daemon does, is found by a mark in its environment.
//!
//! Only Linux shows environments and groups. Elsewhere none is found, and a process that has left
//! its group is on its own.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// The programs of one trial.
#[derive(Debug)]
pub(super) struct Descendants {
    /// An entry of the environment that all of them have, and no other process.
    pub(super) mark: Vec<u8>,
    /// The process groups that were made for them.
    pub(super) groups: Vec<Pid>,
}

impl Descendants {
    /// Returns those that run.
    pub(super) fn members(&self) -> Vec<Pid> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let numbers =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(Pid::from_raw).filter(|pid| self.has(*pid)).collect()
    }

    /// Sends a signal to all of them. What a member starts meanwhile is found the next time.
    pub(super) fn signal(&self, signal: Signal) {
        for pid in self.members() {
            // It may have ended just now.
            let _ = kill_process(pid, signal);
        }
    }

    fn has(&self, pid: Pid) -> bool {
        let number = pid.as_raw_nonzero();
        let Some(group) = fs::read_to_string(format!("/proc/{number}/stat"))
            .ok()
            .as_deref()
            .and_then(group_of_living)
        else {
            return false;
        };
        self.groups.iter().any(|one| one.as_raw_nonzero().get() == group)
            || fs::read(format!("/proc/{number}/environ"))
                .is_ok_and(|environment| is_marked(&environment, &self.mark))
    }
}

/// Returns the process group in a line of `/proc/PID/stat` (proc(5)), unless the process has ended
/// and is only not reaped yet.
pub(super) fn group_of_living(stat: &str) -> Option<i32> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X" | "x")).then_some(group)
}

fn is_marked(environment: &[u8], mark: &[u8]) -> bool {
    environment.split(|byte| *byte == 0).any(|entry| entry == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_group_whatever_its_name() {
        for (stat, group) in [
            ("19205 (cat) R 19201 19204 14615 0 -1 4194304", Some(19204)),
            ("7 (a) b) (c) S 1 6 7 0 -1", Some(6)),
            ("7 (sh) Z 1 6 7 0 -1", None),
            ("7 (sh) S 1", None),
            ("", None),
        ] {
            assert_eq!(group_of_living(stat), group, "{stat}");
        }
    }

    #[test]
    fn a_mark_is_a_whole_entry() {
        let environment = b"LANG=C\0JOSTLE_TEMP=a1\0";
        assert!(is_marked(environment, b"JOSTLE_TEMP=a1"));
        assert!(!is_marked(environment, b"JOSTLE_TEMP=a"));
        assert!(!is_marked(b"", b"JOSTLE_TEMP=a"));
    }
}
