//! Files that a profile names: traces and tables, beside it.

/// Finds the text of a file that settings name, or says why it cannot.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// A [`ReadFile`] where there is no folder to look in.
///
/// # Errors
/// Always, with the remedy.
pub fn no_files(name: &str) -> Result<String, String> {
    Err(format!(
        "\"{name}\" cannot be looked up here; write its lines as a list, or put the profile into a file beside it"
    ))
}
