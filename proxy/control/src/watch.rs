//! Watching files by looking at them.
//!
//! What is looked at is where a name leads through all links, so it sees an editor's rename, the
//! folder of a Kubernetes ConfigMap that is swapped as a whole, and files on systems that notify
//! nobody. A look is a `stat` per file; what was written is taken once it stands still.

use jostle_common::time::Instant;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// The time from one look to the next.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The time for which files are as they are before they are read: whoever writes one in steps is
/// done by then.
pub const SETTLES_AFTER: Duration = Duration::from_millis(150);

/// The time after which files that say nothing sensible are taken for broken, and no longer for
/// half written.
pub const BROKEN_AFTER: Duration = Duration::from_secs(1);

/// What files looked like at a moment: for each which file it was, how large, and when it was
/// written; `None` if there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting(BTreeMap<PathBuf, Option<[i128; 5]>>);

impl Sighting {
    /// Looks at files.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let stamp = |path: &PathBuf| {
            let about = std::fs::metadata(path).ok()?;
            let nanos =
                |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
            Some([
                about.dev().into(),
                about.ino().into(),
                about.size().into(),
                nanos(about.mtime(), about.mtime_nsec()),
                nanos(about.ctime(), about.ctime_nsec()),
            ])
        };
        Self(files.into_iter().map(|path| (path.clone(), stamp(path))).collect())
    }
}

/// What a look at files says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// They are as they were taken.
    Same,
    /// They are being written.
    Changing,
    /// They are others, and have been as they are for so long.
    Settled(Duration),
}

/// Files that are watched.
#[derive(Clone, Debug, Default)]
pub struct FileWatch {
    taken: Sighting,
    seen: Sighting,
    /// When what was seen last was seen first.
    since: Instant,
}

impl FileWatch {
    /// Watches for files to look other than they do.
    pub fn new(now: Instant, seen: Sighting) -> Self {
        Self { taken: seen.clone(), seen, since: now }
    }

    /// Says what it means that files look so now.
    pub fn look(&mut self, now: Instant, seen: Sighting) -> Look {
        if seen != self.seen {
            (self.seen, self.since) = (seen, now);
        }
        let settled = now.since(self.since);
        match () {
            () if self.seen == self.taken => Look::Same,
            () if settled < SETTLES_AFTER => Look::Changing,
            () => Look::Settled(settled),
        }
    }

    /// Notes that files which looked so are dealt with, whatever came of it.
    pub fn take(&mut self, now: Instant, seen: Sighting) {
        *self = Self::new(now, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn write(path: &PathBuf, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn what_is_written_in_steps_is_taken_when_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("a.json")];
        let look = || Sighting::of(&files);
        let mut watch = FileWatch::new(at(0), look());
        assert_eq!(watch.look(at(100), look()), Look::Same, "one that is not there is watched");
        write(&files[0], "");
        assert_eq!(watch.look(at(200), look()), Look::Changing);
        write(&files[0], "{");
        assert_eq!(watch.look(at(300), look()), Look::Changing);
        write(&files[0], "{}");
        assert_eq!(watch.look(at(400), look()), Look::Changing);
        assert_eq!(watch.look(at(500), look()), Look::Changing);
        assert_eq!(watch.look(at(600), look()), Look::Settled(Duration::from_millis(200)));
        watch.take(at(600), look());
        assert_eq!(watch.look(at(700), look()), Look::Same);
    }

    #[test]
    fn a_rename_and_a_swapped_link_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at_path = |name: &str| folder.path().join(name);
        for version in ["1", "2"] {
            std::fs::create_dir(at_path(version)).unwrap();
            // Of the same length, written at the same time.
            write(&at_path(version).join("a.json"), version);
        }
        let link = |to: &str| {
            std::os::unix::fs::symlink(to, at_path("..data_tmp")).unwrap();
            std::fs::rename(at_path("..data_tmp"), at_path("..data")).unwrap();
        };
        link("1");
        std::os::unix::fs::symlink("..data/a.json", at_path("a.json")).unwrap();
        let files = [at_path("a.json")];
        let mut watch = FileWatch::new(at(0), Sighting::of(&files));
        link("2");
        assert_eq!(watch.look(at(1), Sighting::of(&files)), Look::Changing);
        assert!(matches!(watch.look(at(200), Sighting::of(&files)), Look::Settled(_)));
        watch.take(at(200), Sighting::of(&files));
        std::fs::copy(at_path("a.json"), at_path("new")).unwrap();
        std::fs::rename(at_path("new"), at_path("a.json")).unwrap();
        assert_eq!(watch.look(at(300), Sighting::of(&files)), Look::Changing);
    }
}
