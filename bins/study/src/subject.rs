//! The file that is sent.

use crate::audit::{NotJudged, Original};
use crate::trial::Trial;
use anyhow::{Context, bail};
use jostle_console::files;
use jostle_endpoints::protocol::storage::Memory;
use std::path::Path;

const TUNE: &[u8] = include_bytes!("../../assets/jostle-tune.mp3");
/// The name of the tune that is built in; a file that is called so is `./jostle-tune.mp3`.
pub(crate) const TUNE_NAME: &str = "jostle-tune.mp3";
const GENERATED_NAME: &str = "generated";

/// Every row holds what it received in memory for a while, next to the original.
const BYTES_MAX: u64 = 256 << 20;

/// The file that is sent.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its name, for people.
    pub(crate) name: String,
    /// The extension of received files: `.mp3`; empty when the file has none.
    pub(crate) extension: String,
    /// All of it.
    pub(crate) content: Memory,
    /// Its sound; `None` when it is no MP3, or was not asked for.
    pub(crate) music: Option<Original>,
    /// The reason why it is not judged as music, when it looks like some.
    pub(crate) not_judged: Option<NotJudged>,
}

impl Subject {
    /// Reads the file called `name`: the tune that is built in, or a path.
    ///
    /// # Errors
    /// When it cannot be read, is empty or too large.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        match name {
            TUNE_NAME => Ok(Self::new(TUNE_NAME.to_owned(), Memory::new(TUNE))),
            path => Self::read(Path::new(path)),
        }
    }

    /// Makes up contents of `size` bytes, a function of the size alone.
    pub(crate) fn generated(size: usize) -> Self {
        Self::new(GENERATED_NAME.to_owned(), Memory::generated(size))
    }

    /// Reads or makes the file that a trial carries.
    ///
    /// # Errors
    /// When its file cannot be read, is empty or too large.
    pub(crate) fn of(trial: &Trial) -> anyhow::Result<Self> {
        match &trial.file {
            Some(name) => Self::named(name),
            None => Ok(Self::generated(trial.size().bytes() as usize)),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, is empty or too large.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let size =
            path.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
        if size > BYTES_MAX {
            bail!("{} is too large: files of up to 256 MiB can be sent", path.display());
        }
        // A device has no size and no end.
        let bytes = files::read(path, BYTES_MAX)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if bytes.is_empty() {
            bail!("{} is empty: there is nothing to lose", path.display());
        }
        let name = path
            .file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        Ok(Self::new(name, Memory::new(bytes)))
    }

    fn new(name: String, content: Memory) -> Self {
        let extension = extension(&name);
        Self { name, extension, content, music: None, not_judged: None }
    }

    /// Returns the same, with an ear for its sound: decoding a file takes a while.
    #[must_use]
    pub(crate) fn with_music(self) -> Self {
        match Original::read(self.content.bytes()) {
            Ok(music) => Self { music: Some(music), ..self },
            Err(reason) => {
                let looks_like_music =
                    reason.is_audio() || self.extension.eq_ignore_ascii_case(".mp3");
                Self { not_judged: looks_like_music.then_some(reason), ..self }
            }
        }
    }
}

/// Returns the extension, if it is one that any system and any link can hold.
fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, end))
            if !stem.is_empty()
                && (1..=8).contains(&end.len())
                && end.chars().all(|c| c.is_ascii_alphanumeric()) =>
        {
            format!(".{end}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_endpoints::protocol::storage::Source as _;

    #[test]
    fn the_built_in_file_is_music() {
        let tune = Subject::named(TUNE_NAME).unwrap().with_music();
        assert_eq!((tune.extension.as_str(), tune.content.size()), (".mp3", 960_613));
        assert!(tune.music.is_some_and(|music| music.intact().frames == 2298));
        assert_eq!(
            tune.content.digest().to_string(),
            "1dfec67933eac329e3708b4065b27edc41c80bcf290e3f0e05ed19ecc632ae2a"
        );
    }

    #[test]
    fn what_is_made_up_has_its_size_and_no_music() {
        let made_up = Subject::generated(10_000).with_music();
        assert_eq!((made_up.content.size(), made_up.extension.as_str()), (10_000, ""));
        assert!(made_up.music.is_none());
        assert_eq!(made_up.content.digest(), Subject::generated(10_000).content.digest());
    }

    #[test]
    fn an_mp3_that_is_not_judged_says_why_and_other_files_say_nothing() {
        let subject = |name: &str| {
            Subject::new(name.to_owned(), Memory::new(&b"no music at all"[..])).with_music()
        };
        let not_judged = |name| subject(name).not_judged.map(|reason| reason.to_string());
        for name in ["a.mp3", "a.MP3"] {
            assert!(not_judged(name).is_some_and(|reason| reason.contains("hardly any")), "{name}");
        }
        assert_eq!(not_judged("a.txt"), None);
        assert!(Subject::named(TUNE_NAME).unwrap().with_music().not_judged.is_none());
    }

    #[test]
    fn only_harmless_extensions_are_kept() {
        let kept = ["a.mp3", "a.tar.GZ", "a", ".hidden", "a.m p", "a.\"><b", "a.toolongtokeep"]
            .map(extension);
        assert_eq!(kept, [".mp3", ".GZ", "", "", "", "", ""]);
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.mp3");
        std::fs::write(&empty, "").unwrap();
        for (path, problem) in [
            (empty.as_path(), "is empty"),
            (&folder.path().join("none"), "cannot read"),
            (folder.path(), "cannot read"),
            (Path::new("/dev/zero"), "larger than 256 MiB"),
        ] {
            let error = format!("{:#}", Subject::read(path).unwrap_err());
            assert!(error.contains(problem) && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
