//! Commands as a person would type them.

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

#[cfg(test)]
mod tests {
    use super::quoted;

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
