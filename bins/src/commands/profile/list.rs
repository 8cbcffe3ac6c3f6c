//! `jostle profile list`: the built-in profiles, with what each is.

use clap::Args;
use jostle_console::terminal::{columns, line};
use jostle_engine::profile::{Profile, library};
use serde_json::json;
use std::fmt::Write as _;

/// List the built-in profiles
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// Print objects, one per line, instead of text
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) fn run(&self) {
        let profiles: Vec<(&str, String)> =
            library::names().map(|name| (name, about(name))).collect();
        if self.json {
            profiles.iter().for_each(|(name, about)| {
                line(&json!({ "name": name, "about": about }).to_string())
            });
        } else {
            line(draw(&profiles, columns()).trim_end());
        }
    }
}

fn about(name: &str) -> String {
    let profile = library::text(name).and_then(|text| Profile::from_json(text).ok());
    profile.map(|profile| profile.about).unwrap_or_default()
}

/// A line per profile; families, which share the first word of their names, stand apart.
fn draw(profiles: &[(&str, String)], width: Option<usize>) -> String {
    let name_width = profiles.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let family = |name: &str| name.split('-').next().unwrap_or(name).to_owned();
    let size =
        |name: &str| profiles.iter().filter(|(other, _)| family(other) == family(name)).count();
    let mut text = String::new();
    let mut before: Option<&str> = None;
    for (name, about) in profiles {
        if let Some(before) = before
            && family(before) != family(name)
            && (size(before) > 1 || size(name) > 1)
        {
            text.push('\n');
        }
        before = Some(name);
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(name_width + 2).max(20));
        let _ = writeln!(text, "{name:name_width$}  {}", shortened(first_sentence(about), room));
    }
    text
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
            ("cafe", "Coffee, after A. Bean. Measured once.".to_owned()),
            ("web-3g", "The 3G of a test site, 1.6 Mbit/s down".to_owned()),
            ("web-cable", "Its cable".to_owned()),
            ("zoo", "Animals".to_owned()),
        ];
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
