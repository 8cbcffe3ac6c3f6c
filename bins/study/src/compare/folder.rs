//! The output folder: what is ours in it is replaced, what is not is never touched.
//!
//! A list of our files, `.jostle-compare`, stands in the folder before the first of them. A file
//! that we would write and that is not on the list belongs to someone else: then nothing is
//! written at all. What is received lies in `.incoming` until its row has ended.

use super::finished::Saved;
use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

const LIST: &str = ".jostle-compare";
const INCOMING: &str = ".incoming";
const PARTIAL: &str = "partial";

/// The page.
pub(super) const PAGE: &str = "index.html";
/// The rows.
pub(super) const ROWS: &str = "rows.jsonl";
/// The fate of every packet.
pub(super) const EVENTS: &str = "events.jsonl";

/// The output folder of a comparison.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Takes the folder for files called `received` (besides the page, the rows and the events),
    /// and removes those of an earlier comparison.
    ///
    /// # Errors
    /// When a file that is not ours is in the way, or the system refuses; nothing was overwritten
    /// then.
    pub(super) fn claim(path: &Path, received: &[String]) -> anyhow::Result<Self> {
        let mut ours: Vec<String> = [PAGE, ROWS, EVENTS].map(str::to_owned).to_vec();
        for name in received {
            ours.extend([name.clone(), format!("{PARTIAL}/{name}")]);
        }
        let before = listed(path)?;
        if let Some(foreign) =
            ours.iter().find(|name| !before.contains(*name) && exists(&path.join(name)))
        {
            bail!(
                "{} was not made by an earlier comparison and would be overwritten; name another \
                 folder with --out",
                path.join(foreign).display()
            );
        }
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        let folder = Self { path: path.to_owned() };
        let all: BTreeSet<&String> = before.iter().chain(&ours).collect();
        folder.write(LIST, &lines(all))?;
        for name in &before {
            remove(&path.join(name))?;
        }
        folder.write(LIST, &lines(&ours))?;
        // Only when it is empty: the user may have put something there.
        let _ = std::fs::remove_dir(path.join(PARTIAL));
        folder.clear_incoming()?;
        Ok(folder)
    }

    /// Returns the path of one of our files.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Creates a new folder for the files that one row receives.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn incoming(&self, row: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(INCOMING).join(row);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(path)
    }

    /// Gives a received file its final name, or keeps it apart when it is not complete.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn keep(
        &self,
        received: &Path,
        name: &str,
        complete: bool,
    ) -> anyhow::Result<Saved> {
        let name = if complete { name.to_owned() } else { format!("{PARTIAL}/{name}") };
        let target = self.path.join(&name);
        let parent = target.parent().unwrap_or(&self.path);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::rename(received, &target))
            .with_context(|| format!("cannot save {}", target.display()))?;
        Ok(Saved { path: name, complete })
    }

    /// Writes one of our files: all of it under its name, or nothing.
    ///
    /// # Errors
    /// When the system refuses, as on a full disk.
    pub(super) fn write(&self, name: &str, contents: &str) -> anyhow::Result<()> {
        let target = self.path.join(name);
        let part = self.path.join(format!("{name}.part"));
        std::fs::write(&part, contents)
            .and_then(|()| std::fs::rename(&part, &target))
            .inspect_err(|_| drop(std::fs::remove_file(&part)))
            .with_context(|| format!("cannot write {}", target.display()))
    }

    /// Removes what no row claimed.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn clear_incoming(&self) -> anyhow::Result<()> {
        let path = self.path.join(INCOMING);
        unless_absent(std::fs::remove_dir_all(&path))
            .with_context(|| format!("cannot remove {}", path.display()))
    }
}

fn lines<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("{name}\n")).collect()
}

/// Returns the files that an earlier comparison left in the folder; none when there was no such
/// comparison.
fn listed(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let list = folder.join(LIST);
    let text = match std::fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        // So it is when the folder is a file.
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot use the folder {}", folder.display()));
        }
    };
    // A user may have edited the list: nothing outside of the folder is ours, whatever it says.
    Ok(text.lines().filter(|line| stays_inside(line)).map(str::to_owned).collect())
}

fn stays_inside(name: &str) -> bool {
    let parts: Vec<Component<'_>> = Path::new(name).components().collect();
    let plain = parts.iter().all(|part| matches!(part, Component::Normal(_)));
    plain && (parts.len() == 1 || parts.len() == 2 && name.starts_with("partial/"))
}

fn exists(path: &Path) -> bool {
    // A dangling link is something too.
    path.symlink_metadata().is_ok()
}

fn remove(path: &Path) -> anyhow::Result<()> {
    unless_absent(std::fs::remove_file(path))
        .with_context(|| format!("cannot remove {}", path.display()))
}

fn unless_absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(path: &Path, names: &[&str]) -> anyhow::Result<Folder> {
        Folder::claim(path, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn save(folder: &Folder, name: &str, complete: bool) -> Saved {
        let path = folder.incoming("row").unwrap().join("received");
        std::fs::write(&path, name).unwrap();
        folder.keep(&path, name, complete).unwrap()
    }

    #[test]
    fn an_earlier_comparison_is_replaced_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("deep/out");
        let folder = claim(&path, &["a.mp3", "b.mp3"]).unwrap();
        assert_eq!(
            save(&folder, "a.mp3", true),
            Saved { path: "a.mp3".to_owned(), complete: true }
        );
        assert_eq!(save(&folder, "b.mp3", false).path, "partial/b.mp3");
        folder.write(PAGE, "page").unwrap();
        std::fs::write(path.join("notes.txt"), "mine").unwrap();
        std::fs::write(path.join("partial/mine"), "mine").unwrap();
        let folder = claim(&path, &["c.mp3"]).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [LIST, "notes.txt", PARTIAL]);
        assert!(path.join("partial/mine").exists() && !path.join("partial/b.mp3").exists());
        save(&folder, "c.mp3", true);
        folder.clear_incoming().unwrap();
        assert!(!path.join(INCOMING).exists());
    }

    #[test]
    fn a_foreign_file_in_the_way_stops_everything() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        claim(path, &["a.mp3"]).unwrap().write(PAGE, "old").unwrap();
        std::fs::write(path.join("b.mp3"), "mine").unwrap();
        let error = claim(path, &["b.mp3"]).unwrap_err().to_string();
        assert!(error.contains("b.mp3") && error.contains("--out"), "{error}");
        assert_eq!(std::fs::read_to_string(path.join(PAGE)).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(path.join("b.mp3")).unwrap(), "mine");
    }

    #[test]
    fn a_list_that_was_tampered_with_reaches_nothing_outside() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("out");
        std::fs::create_dir(&path).unwrap();
        let outside = temporary.path().join("outside");
        std::fs::write(&outside, "mine").unwrap();
        let list = format!("../outside\n{}\npartial/../../outside\n\n.\n", outside.display());
        std::fs::write(path.join(LIST), list).unwrap();
        claim(&path, &[]).unwrap();
        assert!(outside.exists());
    }

    #[test]
    fn a_file_is_no_folder() {
        let temporary = tempfile::NamedTempFile::new().unwrap();
        let error = format!("{:#}", claim(temporary.path(), &[]).unwrap_err());
        assert!(error.contains("cannot use the folder"), "{error}");
    }
}
