//! The parts that the HTML pages of all commands share: one file that needs nothing but itself, no
//! script, no network; light and dark, on a screen and on paper.

mod axis_name;
mod colors;
mod figure;
mod legend;
mod picture;
mod shell;
mod unbroken;

pub(crate) use figure::{Figure, download, stacked};
pub(crate) use legend::{Key, LegendEntry, legend};
pub(crate) use picture::png;
pub(crate) use shell::{command, command_line, quoted};
pub(crate) use unbroken::unbroken;

use kuva::prelude::{Layout, Plot, Theme, render_to_svg};
use maud::{Markup, PreEscaped, html};

const STYLE: &str = include_str!("base.css");

/// Draws a whole page. `style` is what the page adds to the common style, `policy` what it may load
/// besides itself.
pub(crate) fn document(title: &str, style: &str, policy: &str, body: &Markup) -> String {
    let policy = format!("default-src 'none'; style-src 'unsafe-inline'; {policy}");
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            "\n"
            body { (body) }
        }
        "\n"
    };
    // Control characters are no part of HTML at all, whatever a name from a file holds.
    page.into_string().replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// A chart without its title and its legend: SVG in the colours of the page.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    svg: String,
    size: (f64, f64),
}

impl Panel {
    /// Draws the plots.
    pub(crate) fn new(plots: Vec<Plot>, layout: Layout, size: (f64, f64)) -> Self {
        let layout = layout.with_width(size.0).with_height(size.1);
        let svg = axis_name::beside_ticks(&render_to_svg(plots, layout));
        Self { svg: rounded(&svg), size }
    }

    /// Returns the chart as a part of a page that takes the width there is, with a name for those
    /// who cannot see it.
    pub(crate) fn inline(&self, name: &str) -> Markup {
        let name = html! { (name) }.into_string();
        let (width, height) = self.size;
        self.placed(&format!(r#"viewBox="0 0 {width} {height}" role="img" aria-label="{name}""#))
    }

    /// Returns the chart with other attributes in place of its size.
    fn placed(&self, attributes: &str) -> Markup {
        let (width, height) = self.size;
        let size = format!(r#"width="{width}" height="{height}""#);
        PreEscaped(self.svg.replacen(&size, attributes, 1))
    }
}

/// Writes the same picture in fewer letters: numbers within its tags have two decimals at most, and
/// one from 10 on.
fn rounded(svg: &str) -> String {
    let mut short = String::with_capacity(svg.len());
    let (mut rest, mut in_tag) = (svg, false);
    while let Some(c) = rest.chars().next() {
        in_tag = c == '<' || in_tag && c != '>';
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let length = if in_tag && c.is_ascii_digit() {
            rest.find(|c| !is_number(c)).unwrap_or(rest.len())
        } else {
            0
        };
        let (number, after) = rest.split_at(length.max(c.len_utf8()));
        match number.parse::<f64>() {
            Ok(value) if number.contains('.') && !number.ends_with('.') => {
                let scale = if value < 10.0 { 100.0 } else { 10.0 };
                short.push_str(&((value * scale).round() / scale).to_string());
            }
            _ => short.push_str(number),
        }
        rest = after;
    }
    short
}

/// Returns the page's colours by name, so that a chart turns dark with the page.
pub(crate) fn theme() -> Theme {
    let ink = || "var(--ink)".to_owned();
    let faint = || "var(--line)".to_owned();
    Theme {
        background: "none".to_owned(),
        axis_color: faint(),
        grid_color: faint(),
        tick_color: faint(),
        text_color: ink(),
        legend_bg: "none".to_owned(),
        legend_border: "none".to_owned(),
        ..Theme::light()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_numbers_but_not_their_noise() {
        let svg = concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="5.5" name="1.2.345">"#,
            r#"<path d="M1.40000001,30.299999 L-5.126,1e-3" o="0.18"/>"#,
            "<text>0.12345 &lt; 12.345</text>"
        );
        let panel = Panel { svg: rounded(svg), size: (9.0, 5.5) };
        let short = panel.inline("a picture").into_string();
        let expected = concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5.5" role="img" "#,
            r#"aria-label="a picture" name="1.2.345"><path d="M1.4,30.3 L-5.13,1e-3" o="0.18"/>"#,
            "<text>0.12345 &lt; 12.345</text>"
        );
        assert_eq!(short, expected);
    }
}
