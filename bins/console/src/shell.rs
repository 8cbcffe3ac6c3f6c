//! What a shell wants of a program: completions, manual pages, and help that fits.

use crate::terminal;
use anyhow::Context as _;
use clap::Command;
use clap_complete::env::{CompleteEnv, Shells};
use std::fs;
use std::path::Path;

/// The variable by which a shell asks for completions.
const COMPLETE: &str = "COMPLETE";

/// Answers a shell that asks what may come next, and ends the program then; does nothing otherwise.
pub fn complete(command: impl Fn() -> Command) {
    CompleteEnv::with_factory(command).var(COMPLETE).complete();
}

/// Prints the script by which a shell asks `command` for completions, as it goes along: names of
/// profiles and the like are those of the program that is there.
///
/// # Errors
/// When it cannot be written; that a reader has gone is none.
pub fn completions(shell: clap_complete::Shell, command: &Command) -> anyhow::Result<()> {
    let name = command.get_name();
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).context("this shell is not known")?;
    let mut script = Vec::new();
    // Into memory first: what cannot be written is ours to tell.
    completer.write_registration(COMPLETE, name, name, name, &mut script)?;
    terminal::text(&String::from_utf8_lossy(&script)).context("cannot write the completions")
}

/// Writes the manual pages of `commands` and of what is below them into a folder, one each.
///
/// # Errors
/// When the folder or a page cannot be written.
pub fn manuals(folder: &Path, commands: impl IntoIterator<Item = Command>) -> anyhow::Result<()> {
    let cannot = || format!("cannot write manual pages into {}", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    for command in commands {
        // Its own words of help are no page.
        clap_mangen::generate_to(reflowed(command), folder).with_context(cannot)?;
    }
    Ok(())
}

/// Lets the paragraphs behind the options of a command, and of those below it, be wrapped to the
/// width of the terminal. Lines that are indented stay as they are.
#[must_use]
pub fn reflowed(command: Command) -> Command {
    let after = command.get_after_help().map(|text| joined(&text.to_string()));
    let command = match after {
        Some(text) => command.after_help(text),
        None => command,
    };
    command.mut_subcommands(reflowed)
}

/// Joins the lines of each paragraph.
fn joined(text: &str) -> String {
    let mut joined = String::new();
    let mut before = "";
    for line in text.lines() {
        let goes_on = |line: &str| !line.is_empty() && !line.starts_with(' ');
        if !joined.is_empty() {
            joined.push(if goes_on(before) && goes_on(line) { ' ' } else { '\n' });
        }
        joined.push_str(line);
        before = line;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_examples_are_not() {
        let text = "Examples:\n  jostle a\n  jostle b\n\nOne two\nthree. Such as:\n  { }\nor\nfour.\n\nFive.";
        let expected = "Examples:\n  jostle a\n  jostle b\n\nOne two three. Such as:\n  { }\nor four.\n\nFive.";
        assert_eq!(joined(text), expected);
        assert_eq!(joined(&joined(text)), expected);
        let command = Command::new("a").subcommand(Command::new("b").after_help("c\nd"));
        let below = reflowed(command).get_subcommands().next().unwrap().clone();
        assert_eq!(below.get_after_help().unwrap().to_string(), "c d");
    }
}
