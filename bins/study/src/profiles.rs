//! Profiles by name, built in or in a file, and the files that settings name.
//!
//! One rule for all commands: a profile that says something impossible, and a name that is neither
//! built in nor a file, are wrong usage; a file that cannot be read is a failed job.

use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use jostle_common::setting::SettingError;
use jostle_console::exit::Usage;
use jostle_console::files;
use jostle_engine::profile::{Profile, library};
use jostle_engine::route::{named_profile, named_text};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Completes the name of a profile on a command line: one that is built in, or a file.
pub fn completer() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let begins = |name: &&str| name.as_bytes().starts_with(current.as_encoded_bytes());
        let names = library::names().filter(begins).map(CompletionCandidate::new);
        names.chain(PathCompleter::file().complete(current)).collect()
    })
}

/// Loads the profile that `name` names, for a message that begins with `place`.
///
/// # Errors
/// [`Usage`] when the profile is wrong or nothing is called so; another error when its file cannot
/// be read.
pub fn load(place: &str, name: &str) -> anyhow::Result<Profile> {
    let files = ProfileFiles::new(PathBuf::new());
    named_profile(name, &|name| files.read(name)).map_err(|error| files.judge(place, &error))
}

/// Loads the profile that `name` names, with the files that it names called as it calls them.
///
/// # Errors
/// As for [`load`].
pub fn load_as_written(name: &str) -> anyhow::Result<Profile> {
    let files = ProfileFiles::new(PathBuf::new());
    let folder = Path::new(name).parent().unwrap_or_else(|| Path::new(""));
    let read = |file: &str| files.read(&folder.join(file).to_string_lossy());
    named_text(name, &|name| files.read(name))
        .and_then(|text| Profile::from_json_with(&text, &read))
        .map_err(|error| files.judge(&format!("{name}: "), &error))
}

/// Reads the JSON text of the profile that `name` names, unchecked.
///
/// # Errors
/// As for [`load`].
pub fn text(name: &str) -> anyhow::Result<String> {
    let files = ProfileFiles::new(PathBuf::new());
    named_text(name, &|name| files.read(name)).map_err(|error| files.judge("", &error))
}

/// Reads the files that settings name, and remembers whether one was there and could not be read:
/// that is no mistake in the setting.
pub struct ProfileFiles {
    folder: PathBuf,
    unreadable: RefCell<Option<String>>,
    looked_for: RefCell<Vec<PathBuf>>,
}

impl ProfileFiles {
    /// Creates a reader of files next to a setting in `folder`.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, unreadable: RefCell::new(None), looked_for: RefCell::new(Vec::new()) }
    }

    /// Returns the files that were looked for so far, whether they are there or not.
    pub fn looked_for(&self) -> Vec<PathBuf> {
        self.looked_for.borrow().clone()
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A description of the fault.
    pub fn read(&self, name: &str) -> Result<String, String> {
        let path = self.folder.join(name);
        self.looked_for.borrow_mut().push(path.clone());
        files::read_text(&path).map_err(|error| {
            let looks_like_a_name = !name.contains(['/', '.']);
            if error.kind() == io::ErrorKind::NotFound && looks_like_a_name {
                return format!("there is neither a built-in profile nor a file called \"{name}\"");
            }
            self.note(&path, &error)
        })
    }

    fn note(&self, path: &Path, error: &io::Error) -> String {
        let problem = format!("cannot read {}: {error}", path.display());
        *self.unreadable.borrow_mut() = Some(problem.clone());
        problem
    }

    /// Returns the error to end with: a mistake in the setting, whose message begins with `place`,
    /// or a file that could not be read.
    pub fn judge(&self, place: &str, error: &SettingError) -> anyhow::Error {
        match self.unreadable.borrow_mut().take() {
            Some(problem) => anyhow::anyhow!(problem),
            None => Usage::error(format!("{place}{error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_usage(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.is::<Usage>())
    }

    #[test]
    fn names_files_and_mistakes_end_as_stated() {
        assert!(load("", "webpagetest-3g").is_ok());
        let error = load("--profile: ", "cofee-shop-wifi").unwrap_err();
        assert!(
            is_usage(&error) && error.to_string().contains("did you mean coffee-shop-wifi?"),
            "{error}"
        );
        assert!(error.to_string().starts_with("--profile: there is neither"), "{error}");
        assert!(!load("", "xyz").unwrap_err().to_string().contains("mean"));
        assert!(!is_usage(&load("", "nowhere/none.json").unwrap_err()));
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(file.path(), r#"{ "up": [ { "rule": "drop", "chance": "2" } ] }"#).unwrap();
        let name = file.path().to_str().unwrap();
        let error = load("there: ", name).unwrap_err();
        assert!(is_usage(&error), "{error}");
        assert_eq!(error.to_string(), "there: up[0].chance: \"2\" has no unit; write \"2%\"");
        assert!(text(name).unwrap().contains("\"rule\""));
    }
}
