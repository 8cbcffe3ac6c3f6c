//! Progress on stderr, when that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};

/// Returns a bar over `total` bytes; a hidden one unless stderr is a terminal.
pub fn bytes(total: u64, what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{prefix} [{bar:16}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} \
         {wide_msg}",
    )
    .expect("the template is well-formed")
    .progress_chars("=> ");
    ProgressBar::new(total).with_style(style).with_prefix(crate::terminal::escaped(what))
}

/// Returns a line of text that the caller sets; a hidden one unless stderr is a terminal.
pub fn line() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well-formed");
    ProgressBar::new_spinner().with_style(style)
}

/// Returns a bar over the cells of a sweep, with the time left and what the caller adds; a hidden
/// one unless stderr is a terminal.
pub fn cells(total: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "[{bar:24}] {human_pos}/{human_len} cells, {eta} left{wide_msg}",
    )
    .expect("the template is well-formed")
    .progress_chars("=> ");
    ProgressBar::new(total).with_style(style)
}
