//! The marks that tell one version of a file from another without reading it, and the validators
//! that are made of them.

use super::conditions::Validators;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// The end of the year 9999, with which the dates of the wire end; in seconds since 1970.
const DATE_MAX: u64 = 253_402_300_799;
/// File systems stamp with the time of the last tick, of which a second has at least 100. Two
/// changes within this time may bear one stamp.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// The same for a file system that knows whole seconds only, or pairs of them.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// Device, inode, size, and the times of both kinds of change. The second cannot be set back by
/// anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Returns the size in bytes.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Returns true if another change, at `now` since 1970 or later, would get another time.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        self.settles_in(now).is_zero()
    }

    /// Returns the time from `now` until another change would get another time.
    pub(super) fn settles_in(&self, now: Duration) -> Duration {
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return Duration::ZERO;
        };
        let tick = if nanos == 0 { COARSE_TICK } else { TICK };
        (Duration::new(seconds, nanos) + tick).saturating_sub(now)
    }

    /// Returns the validators that are sent at `now` since 1970. The tag is weak as long as other
    /// bytes could get the same.
    pub(super) fn validators(&self, now: Duration) -> Validators {
        let (seconds, nanos) = self.changed;
        let weak = if self.is_settled(now) { "" } else { "W/" };
        // A time of 0 means that nobody knows it. One in the future must not be sent (RFC 9110,
        // section 8.8.2.1): the file is as old as the answer at least.
        let modified = u64::try_from(self.modified.0).ok().filter(|seconds| *seconds > 0);
        Validators {
            etag: format!("{weak}\"{:x}-{:x}-{seconds:x}.{nanos:x}\"", self.inode, self.size),
            modified: modified.map(|seconds| seconds.min(now.as_secs()).min(DATE_MAX)),
        }
    }

    #[cfg(test)]
    pub(super) const fn for_test(inode: u64, changed: i64) -> Self {
        Self { device: 0, inode, size: 0, modified: (0, 0), changed: (changed, 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    #[test]
    fn the_tag_is_of_the_time_of_change_and_weak_while_it_may_be_shared() {
        let at = |seconds, nanos| FileVersion {
            changed: (seconds, nanos),
            ..FileVersion::for_test(0x1f, 0)
        };
        for (version, now, etag) in [
            (at(999_999, 1), NOW, "\"1f-0-f423f.1\""),
            (at(999_999, 500_000_000), NOW, "\"1f-0-f423f.1dcd6500\""),
            // 19 and 20 ms ago.
            (at(999_999, 981_000_001), NOW, "W/\"1f-0-f423f.3a78df41\""),
            (at(999_999, 980_000_000), NOW, "\"1f-0-f423f.3a699d00\""),
            // Whole seconds: one and two ago.
            (at(999_999, 0), NOW, "W/\"1f-0-f423f.0\""),
            (at(999_998, 0), NOW, "\"1f-0-f423e.0\""),
            // The clock was set back.
            (at(1_000_005, 1), NOW, "W/\"1f-0-f4245.1\""),
            (at(-5, 1), NOW, "\"1f-0-fffffffffffffffb.1\""),
        ] {
            assert_eq!(version.validators(now).etag, etag, "{version:?}");
        }
    }

    #[test]
    fn the_date_is_never_in_the_future_and_left_out_where_nobody_knows_it() {
        for (seconds, modified) in [
            (1, Some(1)),
            (999_999, Some(999_999)),
            (2_000_000, Some(1_000_000)),
            (0, None),
            (-1, None),
        ] {
            let version = FileVersion { modified: (seconds, 0), ..FileVersion::for_test(1, 0) };
            assert_eq!(version.validators(NOW).modified, modified, "{seconds}");
        }
    }

    #[test]
    fn a_time_that_is_set_back_changes_the_tag_all_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let past = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let mut tags = Vec::new();
        for text in ["aaaa", "cccc"] {
            std::fs::write(file.path(), text).unwrap();
            file.as_file().set_modified(past).unwrap();
            let version = FileVersion::of(&file.path().metadata().unwrap());
            tags.push(version.validators(Duration::MAX).etag);
            // Until the next change gets another time.
            let since = Duration::new(version.changed.0 as u64, version.changed.1 as u32);
            while jostle_common::clock::Clock::wall() < since + TICK {
                std::thread::yield_now();
            }
        }
        assert!(tags[0] != tags[1] && !tags[0].starts_with("W/"), "{tags:?}");
    }
}
