//! The look of a series: its colour, its marker and its dashes, the same in every chart and legend
//! of the page.

use crate::page::{Key, LegendEntry};
use kuva::prelude::MarkerShape;

/// Colours of the page's style, `--s1` to `--s8`, and as many markers.
const LOOKS: usize = 8;
/// The protocols have the same look in every report.
const PROTOCOLS: [&str; 7] = ["tcp", "udp", "saw", "ping", "messages", "http", "commands"];

/// The look of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style(usize);

/// Returns the look of each series. A protocol has its own, others take the first that are free;
/// more than eight share colours and differ in dashes.
pub(super) fn styles(names: &[&str]) -> Vec<Style> {
    let fixed = |name: &str| PROTOCOLS.iter().position(|protocol| *protocol == name);
    let taken: Vec<usize> = names.iter().filter_map(|name| fixed(name)).collect();
    let mut free = (0..).filter(|look| !taken.contains(look));
    names
        .iter()
        .map(|name| Style(fixed(name).unwrap_or_else(|| free.next().expect("numbers do not end"))))
        .collect()
}

impl Style {
    /// Returns the colour, as the page's style names it.
    pub(super) fn color(self) -> String {
        format!("var(--s{})", self.0 % LOOKS + 1)
    }

    /// Returns the marker of its points. A cross is no series: it stands for what failed.
    pub(super) const fn marker(self) -> MarkerShape {
        match self.0 % LOOKS {
            0 => MarkerShape::Circle,
            1 => MarkerShape::Square,
            2 => MarkerShape::Triangle,
            3 => MarkerShape::Diamond,
            4 => MarkerShape::TriangleDown,
            5 => MarkerShape::Pentagon,
            6 => MarkerShape::Star,
            _ => MarkerShape::Hexagon,
        }
    }

    /// Returns true if the line is dashed, as the colour is taken.
    pub(super) const fn is_dashed(self) -> bool {
        self.0 / LOOKS % 2 == 1
    }

    /// Returns its entry in a legend.
    pub(super) fn entry(self, text: String) -> LegendEntry {
        let key = Key::Marked(self.shape(), self.is_dashed());
        LegendEntry { key, color: self.color(), text }
    }

    /// Returns its marker as a fragment of SVG, in the middle of a key.
    const fn shape(self) -> &'static str {
        match self.0 % LOOKS {
            0 => r#"<circle cx="13" cy="7" r="4.5"/>"#,
            1 => r#"<path d="M9 3h8v8H9z"/>"#,
            2 => r#"<path d="M13 2l5 9H8z"/>"#,
            3 => r#"<path d="M13 1.5 18.5 7 13 12.5 7.5 7z"/>"#,
            4 => r#"<path d="M13 12 8 3h10z"/>"#,
            5 => r#"<path d="M13 2l5 3.6-1.9 5.9H9.9L8 5.6z"/>"#,
            6 => {
                concat!(
                    r#"<path d="M13 1l1.4 4 4.3.1-3.4 2.6 1.2 4.1-3.5-2.4"#,
                    r#"-3.5 2.4 1.2-4.1-3.4-2.6 4.3-.1z"/>"#
                )
            }
            _ => r#"<path d="M13 2l4.3 2.5v5L13 12 8.7 9.5v-5z"/>"#,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn protocols_keep_their_look_and_others_take_what_is_free() {
        assert_eq!(styles(&["udp", "saw"]), [Style(1), Style(2)]);
        assert_eq!(styles(&["fixed:50ms", "tcp", "adaptive"]), [Style(1), Style(0), Style(2)]);
    }

    #[test]
    fn sixteen_series_can_be_told_apart() {
        let names: Vec<String> = (0..16).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let keys =
            styles(&names).into_iter().map(|style| format!("{:?}", style.entry(String::new())));
        let keys: BTreeSet<String> = keys.collect();
        assert_eq!(keys.len(), 16);
    }
}
