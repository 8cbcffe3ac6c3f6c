//! What the programs say on stdout and stderr: the ready line, lines of text or of JSON, notes, and
//! bytes from the wire made harmless.
//!
//! No write here panics: a reader may go at any time, and a disk may be full. What stdout did not
//! take is remembered for the program's status.

use crate::status::aside;
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use textwrap::{WordSeparator, WordSplitter, WrapAlgorithm};

/// Replaces control characters, so that a name or a message from the wire cannot steer the reader's
/// terminal.
///
/// ```
/// assert_eq!(jostle_console::terminal::escaped("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
/// ```
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional marks and overrides are no control characters to Unicode, but reorder what
        // a person reads.
        let steers = c.is_control()
            || matches!(c,
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Escapes bytes that may not be text in the same way.
pub fn escaped_bytes(bytes: &[u8]) -> String {
    escaped(&String::from_utf8_lossy(bytes))
}

/// Where a program's results go: lines for people, or an object per line for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printer {
    json: bool,
    stderr: bool,
}

impl Printer {
    /// Prints to stdout: objects when `json`, text otherwise.
    pub const fn new(json: bool) -> Self {
        Self { json, stderr: false }
    }

    /// Returns a printer that prints to stderr, for a program whose stdout is taken.
    #[must_use]
    pub const fn on_stderr(self) -> Self {
        Self { stderr: true, ..self }
    }

    /// Returns true if objects are printed.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Says that a server is ready: `listening NAME udp://127.0.0.1:40123`. Scripts wait for this
    /// line.
    pub fn ready(self, name: &str, url: &str) {
        self.ready_as(name, url, || format!("listening {} {url}", escaped(name)));
    }

    /// Says the same in words of the caller's; the object is that of every listener.
    pub fn ready_as(self, name: &str, url: &str, text: impl FnOnce() -> String) {
        self.event("listening", json!({ "name": name, "address": url }), text);
    }

    /// Prints one result: an object that starts with `"event": event`, or its text.
    pub fn event(self, event: &str, fields: Value, text: impl FnOnce() -> String) {
        self.line(&self.said(event, fields, text));
    }

    /// Returns the line of one result, without its end.
    pub fn said(self, event: &str, fields: Value, text: impl FnOnce() -> String) -> String {
        if !self.json {
            return text();
        }
        let mut object = Map::new();
        object.insert("event".to_owned(), event.into());
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        Value::Object(object).to_string()
    }

    /// Prints lines that were made before, without the last one's end.
    pub fn line(self, text: &str) {
        if self.stderr { note(text) } else { line(text) }
    }
}

/// The first failure to write to stdout, a reader that has gone aside.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints `text` and a newline, at once. A reader that has gone (`| head`) is no error of ours;
/// any other failure becomes the program's status ([`crate::exit`]).
pub fn line(text: &str) {
    // Without the lock: what is logged below steps aside for the same line.
    match write(&format!("{text}\n")) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => log::debug!("stdout is closed"),
        Err(error) => {
            // The first one says why; those after it follow from it.
            let _ = FAILURE.set(error);
        }
    }
}

/// Returns why a [`line()`] could not be written, if one could not.
pub fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

/// Prints a text that ends with a newline of its own. A reader that has gone is no error of ours.
///
/// # Errors
/// When it cannot be written, as on a full disk.
pub fn text(text: &str) -> anyhow::Result<()> {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to stdout"))
        }
        _ => Ok(()),
    }
}

/// Prints a text that ends with a newline of its own, all of it.
///
/// # Errors
/// When it cannot be written, whatever the reason.
pub fn write(text: &str) -> io::Result<()> {
    aside(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    })
}

/// Tells people something that is no result: `text` and a newline on stderr, at once. A reader that
/// has gone is no error of ours, and there is nowhere left to say so.
pub fn note(text: &str) {
    // In one write, so that the lines of several threads do not mix.
    let _ = aside(|| io::stderr().lock().write_all(format!("{text}\n").as_bytes()));
}

/// Prints the completions of `command` for a shell.
///
/// # Errors
/// When they cannot be written; that a reader has gone is none.
pub fn completions(shell: clap_complete::Shell, mut command: clap::Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    // Into memory first: the generator panics when it cannot write.
    clap_complete::generate(shell, &mut command, name, &mut script);
    text(&String::from_utf8_lossy(&script)).context("cannot write the completions")
}

/// Returns how many columns the terminal on stdout has, if it is one.
pub fn columns() -> Option<usize> {
    columns_of(&io::stdout())
}

/// Returns how many columns a terminal has; `None` if it is none.
pub(crate) fn columns_of(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// `text` in lines of at most `width` columns, all but the first indented by so many; a word that
/// is longer than a line stands alone.
///
/// ```
/// assert_eq!(jostle_console::terminal::wrapped("one two three", 8, 2), "one two\n  three");
/// ```
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let indent = " ".repeat(indent);
    let options = textwrap::Options::new(width)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::fill(&text.split_whitespace().collect::<Vec<_>>().join(" "), options)
}

/// Returns a rate for people: `9.87 Mbit/s`.
pub fn rate(bits_per_second: f64) -> String {
    let (scale, unit) = match bits_per_second {
        r if r >= 1e9 => (1e9, "Gbit/s"),
        r if r >= 1e6 => (1e6, "Mbit/s"),
        r if r >= 1e3 => (1e3, "kbit/s"),
        _ => (1.0, "bit/s"),
    };
    let mut text = String::new();
    let _ = write!(text, "{:.2} {unit}", bits_per_second / scale);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_wire_steers_a_terminal() {
        assert_eq!(escaped_bytes(b"ok\x07\xff\r"), "ok\\u{7}\u{fffd}\\r");
        assert_eq!(escaped("safe\u{202e}txt"), "safe\\u{202e}txt");
        assert_eq!(escaped("naïve ü 音"), "naïve ü 音");
    }

    #[test]
    fn rates_keep_their_unit() {
        assert_eq!(rate(9_870_000.0), "9.87 Mbit/s");
        assert_eq!(rate(12.0), "12.00 bit/s");
    }
}
