//! A heat map: a mean for each pair of two parameters, as a table whose cells have colours.

use super::chart::Label;
use super::scale::Scale;
use kuva::prelude::ColorMap;
use maud::{Markup, html};

/// With more columns than this the cells have no room for their values.
const VALUES_MAX: usize = 12;
/// From this share of the scale on the colours are so light that black can be read on them better
/// than white (4.5 to 1 for either, WCAG).
const LIGHT_FROM: f64 = 0.45;

/// The contents of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HeatCell {
    /// A mean, and all that is known of it in words.
    Mean(f64, String),
    /// All its rows failed, and why in words.
    Failed(String),
    /// There are no rows.
    Empty,
}

/// A heat map.
#[derive(Clone, Debug)]
pub(super) struct Heat {
    /// The names of the parameters that change from column to column, and from row to row.
    pub(super) names: (String, String),
    /// The values of the columns.
    pub(super) columns: Vec<String>,
    /// The value of each row, and a cell for each column.
    pub(super) rows: Vec<(String, Vec<HeatCell>)>,
}

/// Draws the table. Perceptually uniform colours (viridis) mean the same on light and dark pages;
/// the values stand in the cells when there is room.
pub(super) fn draw(heat: &Heat, scale: Scale, words: impl Fn(f64) -> String) -> Markup {
    let with_values = heat.columns.len() <= VALUES_MAX;
    let every = heat.columns.len().div_ceil(VALUES_MAX);
    let (across, down) = &heat.names;
    html! {
        div.wide {
            table.heat.dense[!with_values] {
                thead {
                    tr {
                        th.corner { (down) " ↓ \u{a0}" (across) " →" }
                        @for columns in heat.columns.chunks(every.max(1)) {
                            th scope="col" colspan=(columns.len()) { (columns[0]) }
                        }
                    }
                }
                tbody {
                    @for (name, cells) in &heat.rows {
                        tr {
                            th scope="row" { (name) }
                            @for cell in cells { (self::cell(cell, scale, &words, with_values)) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(cell: &HeatCell, scale: Scale, words: impl Fn(f64) -> String, with_values: bool) -> Markup {
    html! {
        @match cell {
            HeatCell::Mean(mean, tip) => {
                @let share = scale.share(*mean);
                @let style = format!("background:{}", color(share));
                td class=[(share >= LIGHT_FROM).then_some("light")] style=(style) title=(tip) {
                    @if with_values { (words(*mean)) }
                }
            }
            HeatCell::Failed(tip) => { td.failed title=(tip) { "×" } }
            HeatCell::Empty => { td.none { "·" } }
        }
    }
}

/// Draws the scale of the colours, with its ends and middle.
pub(super) fn legend(scale: Scale, label: Label) -> Markup {
    let colors: Vec<String> = (0..=8).map(|step| color(f64::from(step) / 8.0)).collect();
    let style = format!("background:linear-gradient(to right,{})", colors.join(","));
    let at = |share| label(round(scale.at(share)));
    html! {
        p.legend.scale {
            span { (at(0.0)) i style=(style) {} (at(1.0)) } " "
            span { "middle: " (at(0.5)) }
            @if scale.is_log { " " span { "equal steps of colour are equal ratios" } }
            " " span { b { "×" } " all failed" }
        }
    }
}

/// Rounds to three digits.
fn round(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn color(share: f64) -> String {
    ColorMap::Viridis.map(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::words::ticks::seconds_label;

    const SCALE: Scale = Scale { low: 0.0, high: 2.0, is_log: false };

    fn heat(columns: usize) -> Heat {
        let columns: Vec<String> = (0..columns).map(|number| format!("{number}%")).collect();
        let cells = |value: f64| {
            columns
                .iter()
                .map(|_| HeatCell::Mean(value, "<tip>".to_owned()))
                .collect::<Vec<HeatCell>>()
        };
        let mut rows = vec![("10 ms".to_owned(), cells(0.1)), ("50 ms".to_owned(), cells(1.9))];
        rows[0].1[0] = HeatCell::Failed("no answer".to_owned());
        rows[1].1[1] = HeatCell::Empty;
        Heat { names: ("loss".to_owned(), "delay".to_owned()), columns, rows }
    }

    #[test]
    fn few_cells_say_their_value_and_many_only_when_asked() {
        let html = draw(&heat(4), SCALE, seconds_label).into_string();
        assert_eq!((html.matches("<td").count(), html.matches(">100 ms</td>").count()), (8, 3));
        let html = draw(&heat(30), SCALE, seconds_label).into_string();
        assert_eq!((html.matches("<td").count(), html.matches(">100 ms</td>").count()), (60, 0));
        assert_eq!(html.matches("&lt;tip&gt;").count(), 58);
        let spans = html.match_indices("colspan=\"").map(|(at, key)| &html[at + key.len()..]);
        let columns: usize =
            spans.map(|rest| rest[..rest.find('"').unwrap()].parse::<usize>().unwrap()).sum();
        assert_eq!(columns, 30);
    }

    #[test]
    fn what_failed_is_no_value_and_light_cells_have_dark_letters() {
        let html = draw(&heat(4), SCALE, seconds_label).into_string();
        assert_eq!(
            (html.matches("class=\"failed\"").count(), html.matches("class=\"none\"").count()),
            (1, 1)
        );
        assert_eq!(html.matches("class=\"light\"").count(), 3);
        assert_ne!(color(0.0), color(1.0));
    }

    /// Checks the contrast of black or white letters on every colour of the scale.
    #[test]
    fn letters_can_be_read_on_every_color() {
        for step in 0..=100 {
            let share = f64::from(step) / 100.0;
            let color = color(share);
            let channel =
                |at: usize| f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            let rgb = [1, 3, 5].map(channel);
            let linear =
                |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
            let light = 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
            let contrast =
                if share >= LIGHT_FROM { (light + 0.05) / 0.05 } else { 1.05 / (light + 0.05) };
            assert!(contrast >= 4.3, "{share}: {contrast}");
        }
    }
}
