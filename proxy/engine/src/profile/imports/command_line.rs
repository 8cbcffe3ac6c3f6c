//! Command lines of other tools: their words, as a shell reads them, and their options.

use jostle_common::setting::{SettingError, one_of};

/// Returns the words of each command in a text, without prompts, comments and `sudo`.
pub(super) fn commands(text: &str) -> Result<Vec<Vec<String>>, SettingError> {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let line = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")).unwrap_or(line);
        let mut command: Vec<String> = Vec::new();
        let mut rest = line;
        while let Some(first) = rest.trim_start().chars().next() {
            rest = rest.trim_start();
            match first {
                '#' => break,
                ';' | '&' | '|' => {
                    commands.push(std::mem::take(&mut command));
                    rest = &rest[1..];
                }
                _ => {
                    let (word, behind) = word(rest)?;
                    command.push(word);
                    rest = behind;
                }
            }
        }
        commands.push(command);
    }
    for command in &mut commands {
        if command.first().is_some_and(|word| word == "sudo") {
            command.remove(0);
        }
    }
    commands.retain(|command| !command.is_empty());
    Ok(commands)
}

/// Returns the first word of a text that begins with one, and what is behind it.
fn word(text: &str) -> Result<(String, &str), SettingError> {
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None | Some('"'), '\\') => word.extend(letters.next().map(|(_, letter)| letter)),
            (None, letter) if letter.is_whitespace() || ";&|".contains(letter) => {
                return Ok((word, &text[at..]));
            }
            (_, letter) => word.push(letter),
        }
    }
    match quote {
        None => Ok((word, "")),
        Some(quote) => Err(SettingError::new(
            shortened(text),
            format!("a {quote} opens here and none closes it; add one at the end"),
        )),
    }
}

/// Returns as much of a word as a message shows.
pub(super) fn shortened(word: &str) -> String {
    const LETTERS: usize = 40;
    match word.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

/// An option of a tool: its spellings without dashes, the first of which is its name here.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) spellings: &'static [&'static str],
    pub(super) takes_value: bool,
}

/// The way in which a tool reads its options.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) tool: &'static str,
    /// True if a long option may have one dash.
    pub(super) one_dash: bool,
    /// True if a value may be the next word; otherwise it stands behind `=`.
    pub(super) spaced: bool,
    pub(super) known: &'static [Known],
}

/// Declares an option that takes a value.
pub(super) const fn value(spellings: &'static [&'static str]) -> Known {
    Known { spellings, takes_value: true }
}

/// Declares an option that takes none.
pub(super) const fn flag(spellings: &'static [&'static str]) -> Known {
    Known { spellings, takes_value: false }
}

/// The options of a command, in order, and its other words.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    options: Vec<(&'static str, String)>,
    pub(super) others: Vec<String>,
}

impl Options {
    /// Reads the words behind a tool's name.
    pub(super) fn read(words: &[String], style: Style) -> Result<Self, SettingError> {
        let mut read = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                read.others.push(word.clone());
                continue;
            };
            let (name, is_long) = match name.strip_prefix('-') {
                Some(long) => (long, true),
                None => (name, false),
            };
            let (name, given) = match name.split_once('=') {
                Some((name, given)) => (name, Some(given.to_owned())),
                None => (name, None),
            };
            let fits = |spelling: &&str| {
                *spelling == name && (is_long || style.one_dash || spelling.len() == 1)
            };
            let Some(known) = style.known.iter().find(|known| known.spellings.iter().any(&fits))
            else {
                return Err(style.unknown(word));
            };
            let value = match (known.takes_value, given) {
                (true, Some(given)) => given,
                (true, None) if style.spaced && words.peek().is_some() => {
                    words.next().cloned().unwrap_or_default()
                }
                (true, None) => {
                    let example = if style.spaced { " 10" } else { "=10" };
                    return Err(SettingError::new(
                        shortened(word),
                        format!("it takes a value; write {word}{example}, say"),
                    ));
                }
                (false, given) => given.unwrap_or_default(),
            };
            read.options.push((known.spellings[0], value));
        }
        Ok(read)
    }

    /// Returns the value of an option, by its name; the last if it is given several times.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.options.iter().rev().filter(|(known, _)| *known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns an option that is given more than once.
    pub(super) fn repeated(&self) -> Option<&'static str> {
        let mut options = self.options.iter().enumerate();
        let again = |(index, (name, _)): &(usize, &(&'static str, String))| {
            self.options[..*index].iter().any(|(before, _)| before == name)
        };
        options.find(again).map(|(_, (name, _))| *name)
    }
}

impl Style {
    fn unknown(&self, word: &str) -> SettingError {
        let names: Vec<&str> = self.known.iter().map(|known| known.spellings[0]).collect();
        SettingError::new(
            shortened(word),
            format!("{} has no such option; it has {}", self.tool, one_of(&names)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let all = commands("$ sudo tcset eth0 --delay '100 ms' \\\n --loss=1% # and\n\n# comment\n x \"a b\"c\\ d; y && z|w").unwrap();
        let expected: [&[&str]; 6] = [
            &["tcset", "eth0", "--delay", "100 ms", "--loss=1%"],
            &["comment"],
            &["x", "a bc d"],
            &["y"],
            &["z"],
            &["w"],
        ];
        assert_eq!(all, expected);
        let error = commands("a 'b").unwrap_err();
        assert_eq!(error.to_string(), "'b: a ' opens here and none closes it; add one at the end");
        assert_eq!(commands(" \n#\n;;").unwrap(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn options_are_read_as_each_tool_reads_them() {
        const KNOWN: &[Known] = &[value(&["rate", "r"]), flag(&["quiet"])];
        let read = |text: &str, one_dash, spaced| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            Options::read(&words, Style { tool: "it", one_dash, spaced, known: KNOWN })
        };
        let options = read("--rate 5 eth0 -r=6 --quiet -", false, true).unwrap();
        assert_eq!((options.get("rate"), options.has("quiet")), (Some("6"), true));
        assert_eq!(
            (options.others.as_slice(), options.repeated()),
            (&["eth0".to_owned(), "-".to_owned()][..], Some("rate"))
        );
        assert_eq!(read("-rate=7", true, false).unwrap().get("rate"), Some("7"));
        for (text, one_dash, spaced, problem) in [
            ("-rate 7", false, true, "-rate: it has no such option; it has rate or quiet"),
            ("--rat=7", true, true, "--rat=7: it has no such option; it has rate or quiet"),
            ("--rate", true, true, "--rate: it takes a value; write --rate 10, say"),
            ("--rate 7", true, false, "--rate: it takes a value; write --rate=10, say"),
        ] {
            assert_eq!(read(text, one_dash, spaced).unwrap_err().to_string(), problem);
        }
    }
}
