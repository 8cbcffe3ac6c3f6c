//! Commands as a person would type them.

use maud::{Markup, html};

/// Returns a word as a shell takes it for one.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=%+@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Returns the command line of this process: `jostle report rows.jsonl -o page.html`.
pub(crate) fn command_line() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    let words: Vec<String> = ["jostle".to_owned()].into_iter().chain(words).collect();
    words.join(" ")
}

/// Draws a command line on a page; a line ends between its words, not within an option.
pub(crate) fn command(line: &str) -> Markup {
    html! {
        code.command {
            @for (place, word) in line.split(' ').enumerate() {
                @if place > 0 { " " }
                @if word.contains('-') { span { (word) } } @else { (word) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{command, quoted};

    #[test]
    fn an_option_is_one_piece() {
        assert_eq!(
            command("jostle report --x loss '<b>'").into_string(),
            "<code class=\"command\">jostle report <span>--x</span> loss '&lt;b&gt;'</code>"
        );
    }

    #[test]
    fn words_are_quoted_only_where_a_shell_would_read_them_otherwise() {
        for (word, text) in [
            ("--loss=0..20%:1%", "--loss=0..20%:1%"),
            ("", "''"),
            ("goodput < 0.9", "'goodput < 0.9'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
