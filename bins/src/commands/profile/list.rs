//! `jostle profile list`: the built-in profiles, with their numbers and what each is.

use super::numbers::Numbers;
use clap::Args;
use jostle_console::exit::Usage;
use jostle_console::terminal::{columns, line};
use jostle_engine::profile::{Profile, library};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// List the built-in profiles
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jostle profile list
  jostle profile list satellite
  jostle profile list --json | jq -r 'select(.down.rate_bps < 1e6) | .name'

The columns are the speeds down and up, the mean delay one way and its standard deviation, and the
share of packets lost, full queues aside; of a network that changes over time, with a ~, its mean.
Where the two directions differ both are shown, down/up.")]
pub(super) struct ListArgs {
    /// Only those with this word in their name or their description
    #[arg(value_name = "WORD")]
    word: Option<String>,
    /// Print objects, one per line, instead of text
    #[arg(long)]
    json: bool,
}

/// A profile in the list.
struct Entry {
    name: String,
    about: String,
    numbers: Numbers,
}

impl ListArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let entries: Vec<Entry> =
            library::names().filter_map(entry).filter(|entry| self.wants(entry)).collect();
        if let (true, Some(word)) = (entries.is_empty(), &self.word) {
            return Err(Usage::error(format!(
                "no built-in profile has \"{word}\" in its name or description; \
                 `jostle profile list` has all"
            )));
        }
        if self.json {
            entries.iter().for_each(|entry| line(&object(entry).to_string()));
        } else {
            line(draw(&entries, columns()).trim_end());
        }
        Ok(())
    }

    fn wants(&self, entry: &Entry) -> bool {
        let Some(word) = self.word.as_ref().map(|word| word.to_lowercase()) else { return true };
        [&entry.name, &entry.about].iter().any(|text| text.to_lowercase().contains(&word))
    }
}

fn entry(name: &str) -> Option<Entry> {
    let profile = library::text(name).and_then(|text| Profile::from_json(text).ok())?;
    let numbers = Numbers::of(&profile);
    Some(Entry { name: name.to_owned(), about: profile.about, numbers })
}

fn object(entry: &Entry) -> Value {
    let Entry { name, about, numbers } = entry;
    let [up, down] = numbers.directions.each_ref().map(|direction| direction.json());
    json!({ "name": name, "about": about, "down": down, "up": up, "phases": numbers.phases })
}

/// The least room in which a description says anything.
const ABOUT_COLUMNS: usize = 20;

/// A line per profile below a heading; families, which share the first word of their names, stand
/// apart. Columns in which no profile has anything are left out.
fn draw(entries: &[Entry], width: Option<usize>) -> String {
    let mut columns = vec![entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>()];
    let mut heading = vec!["profile"];
    for (place, head) in Numbers::HEADS.into_iter().enumerate() {
        let cells: Vec<String> = entries.iter().map(|entry| entry.numbers.cell(place)).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            columns.push(cells);
            heading.push(head);
        }
    }
    let has_numbers = columns.len() > 1;
    let widths: Vec<usize> = columns
        .iter()
        .zip(&heading)
        .map(|(cells, head)| {
            let head = if has_numbers { head.len() } else { 0 };
            cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max(head)
        })
        .collect();
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).enumerate().map(|(place, (cell, &width))| match place {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let used = widths.iter().sum::<usize>() + 2 * widths.len();
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(used));
    let mut text = String::new();
    if has_numbers {
        let _ = writeln!(text, "{}", row(&mut heading.iter().copied()));
    }
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 && stand_apart(entries, index) {
            text.push('\n');
        }
        let cells = row(&mut columns.iter().map(|cells| cells[index].as_str()));
        let about = match room {
            ABOUT_COLUMNS.. => shortened(first_sentence(&entry.about), room),
            _ => String::new(),
        };
        let _ = writeln!(text, "{}", format!("{cells}  {about}").trim_end());
    }
    text
}

/// Returns true if a gap belongs in front of the entry: another family begins, and one of the two
/// has several members.
fn stand_apart(entries: &[Entry], index: usize) -> bool {
    let family = |entry: &Entry| entry.name.split('-').next().unwrap_or_default().to_owned();
    let (before, this) = (family(&entries[index - 1]), family(&entries[index]));
    let size = |wanted: &str| entries.iter().filter(|entry| family(entry) == wanted).count();
    before != this && (size(&before) > 1 || size(&this) > 1)
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(about: &str) -> &str {
    let end = about.match_indices(". ").find(|(place, _)| {
        // A single letter before the stop is an initial, as in "F. Michel", or the end of "e.g.".
        let mut before = about[..*place].chars().rev();
        let is_initial = before.next().is_some_and(char::is_alphabetic)
            && before.next().is_none_or(|c| !c.is_alphanumeric());
        about[place + 2..].starts_with(|c: char| c.is_uppercase()) && !is_initial
    });
    about[..end.map_or(about.len(), |(place, _)| place)].trim_end_matches('.')
}

fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let cut: String = text.chars().take(room.saturating_sub(1)).collect();
    let cut = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{}…", cut.trim_end_matches([',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_apart_and_lines_fit() {
        let profiles = [
            ("cafe", "Coffee, after A. Bean. Measured once."),
            ("web-3g", "The 3G of a test site, 1.6 Mbit/s down"),
            ("web-cable", "Its cable"),
            ("zoo", "Animals"),
        ];
        let profiles = profiles.map(|(name, about)| Entry {
            name: name.to_owned(),
            about: about.to_owned(),
            numbers: Numbers::of(&Profile::default()),
        });
        assert_eq!(
            draw(&profiles, Some(33)),
            concat!(
                "cafe       Coffee, after A. Bean\n\n",
                "web-3g     The 3G of a test…\nweb-cable  Its cable\n\n",
                "zoo        Animals\n",
            )
        );
    }
}
