//! What stands around a netem command in a script or on a terminal, read as a shell would: line
//! continuations, comments, redirections, and other commands beside it.

use jostle_common::setting::SettingError;

/// The words of the command to translate.
#[derive(Debug, PartialEq)]
pub(super) struct Command {
    pub(super) words: Vec<String>,
    /// True if other commands stand beside it.
    pub(super) is_one_of_several: bool,
}

/// Finds the command with netem in it; without one, the first there is.
pub(super) fn command(text: &str) -> Result<Command, SettingError> {
    let mut commands = commands(text);
    let is_netem = |words: &Vec<String>| words.iter().any(|word| word == "netem");
    let several = commands.iter().filter(|words| is_netem(words)).count();
    if several > 1 {
        return Err(SettingError::new(
            "netem",
            format!("{several} netem commands are here; translate one at a time"),
        ));
    }
    let at = commands.iter().position(is_netem).unwrap_or(0);
    let is_one_of_several = commands.len() > 1;
    let words = if commands.is_empty() { Vec::new() } else { commands.swap_remove(at) };
    Ok(Command { words, is_one_of_several })
}

/// Returns the words of each command.
fn commands(text: &str) -> Vec<Vec<String>> {
    // A shell joins lines there; whoever pastes them may have lost the space in front.
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut commands = vec![Vec::new()];
    for line in text.lines() {
        let mut words = words(line);
        if commands.last().is_some_and(|command| !command.is_empty()) && begins_command(&words) {
            commands.push(Vec::new());
        }
        // Between two commands stands `None`.
        for word in words.drain(..) {
            match (word, commands.last_mut()) {
                (Some(word), Some(command)) => command.push(word),
                _ => commands.push(Vec::new()),
            }
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// Returns true if a line goes on with another command, and not with options of the one before.
fn begins_command(words: &[Option<String>]) -> bool {
    let Some(Some(first)) = words.first() else { return false };
    matches!(first.as_str(), "tc" | "sudo" | "qdisc" | "ip") || first.ends_with("/tc")
}

/// Returns the words of a line, `None` where a command ends.
fn words(line: &str) -> Vec<Option<String>> {
    let mut words = Vec::new();
    let mut rest = without_prompt(line.trim_start());
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        match first {
            '#' => break,
            ';' | '|' => {
                words.push(None);
                rest = &rest[1..];
            }
            '&' if !rest.starts_with("&>") => {
                words.push(None);
                rest = &rest[1..];
            }
            _ if redirection(rest).is_some() => rest = redirection(rest).unwrap_or_default(),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || ";|&<>".contains(c));
                let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
                rest = behind;
                // Quotes of a command that was one word of another.
                let word = word.trim_matches(['"', '\'', '`', '\\']);
                if !word.is_empty() {
                    words.push(Some(word.to_owned()));
                }
            }
        }
    }
    words
}

/// Returns the line behind the prompt of a terminal.
fn without_prompt(line: &str) -> &str {
    for prompt in ["$ ", "# ", "% "] {
        if let Some(behind) = line.strip_prefix(prompt) {
            let first = behind.split_whitespace().next().unwrap_or_default();
            if matches!(first, "tc" | "sudo" | "ip") || first.ends_with("/tc") {
                return behind;
            }
        }
    }
    line
}

/// Returns what stands behind a redirection such as `2>/dev/null`, `>> log` or `2>&1`, if one comes
/// next.
fn redirection(text: &str) -> Option<&str> {
    let behind = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let behind = behind.strip_prefix('&').filter(|_| behind.starts_with("&>")).unwrap_or(behind);
    let arrows = behind.trim_start_matches(['<', '>']);
    if arrows.len() == behind.len() {
        return None;
    }
    let target = arrows.trim_start_matches('&').trim_start();
    let end = target.find(|c: char| c.is_whitespace() || ";|&".contains(c));
    Some(&target[end.unwrap_or(target.len())..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        command(text).unwrap().words.join(" ")
    }

    #[test]
    fn what_a_shell_reads_over_is_read_over() {
        let bare = "tc qdisc add dev eth0 root netem delay 100ms loss 1%";
        for text in [
            bare.to_owned(),
            "tc qdisc add dev eth0 root netem \\\n    delay 100ms \\\n    loss 1%\n".to_owned(),
            "tc qdisc add dev eth0 root netem \\ delay 100ms loss 1%".to_owned(),
            format!("{bare};"),
            format!("{bare} ;"),
            format!("{bare} # slow and lossy; 3 % at night"),
            format!("# first comment\n\n  {bare}"),
            format!("$ {bare}"),
            format!("# {bare}"),
            format!("{bare} || true"),
            format!("{bare}||exit 1"),
            format!("{bare} && echo ok"),
            format!("{bare} 2>/dev/null"),
            format!("{bare} 2> /dev/null"),
            format!("{bare} >/dev/null 2>&1"),
            format!("{bare} &> log"),
            format!("{bare} >> log &"),
            format!("modprobe sch_netem; tc qdisc del dev eth0 root 2>/dev/null; {bare}"),
            format!("tc qdisc del dev eth0 root\n{bare}\ntc qdisc show dev eth0"),
            format!("'{bare}'"),
        ] {
            assert_eq!(one(&text), bare, "{text}");
        }
        assert_eq!(one(&format!("ssh box \"{bare}\"")), format!("ssh box {bare}"));
        assert_eq!(one("delay 100ms\n  loss 1%"), "delay 100ms loss 1%");
        assert_eq!(one(" ; # nothing"), "");
    }

    #[test]
    fn one_command_is_translated_at_a_time() {
        let two = "tc qdisc add dev a root netem loss 1%\ntc qdisc add dev b root netem loss 2%";
        let error = command(two).unwrap_err().to_string();
        assert_eq!(error, "netem: 2 netem commands are here; translate one at a time");
        assert!(command("ls; tc qdisc add dev a root netem loss 1%").unwrap().is_one_of_several);
        assert!(!command("tc qdisc add dev a root netem loss 1%;").unwrap().is_one_of_several);
    }
}
