//! A figure as a picture of its own: one SVG with its title, its legend and its charts, in colours
//! that need no page.

use super::Panel;
use super::colors::resolved;
use super::legend::{KEY, LegendEntry};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};
use std::fmt::Write as _;

/// The room around and between the parts, in pixels.
const GAP: f64 = 20.0;
/// The least width, so that a small chart has room for its title.
const WIDTH_MIN: f64 = 520.0;
/// The charts that stand side by side.
const COLUMNS: usize = 2;

/// A size of letters, in pixels: of the title, of a chart's own title, and of all else.
const TITLE: f64 = 20.0;
const PANEL_TITLE: f64 = 15.0;
const TEXT: f64 = 13.0;
/// The mean width of a letter, as a share of its size: that of DejaVu Sans, which is a wide one.
pub(super) const LETTER: f64 = 0.62;
/// The height of a line, as a share of the size of its letters.
const LINE: f64 = 1.4;

/// The fonts that letters are drawn in, by preference.
const FONTS: &str = "DejaVu Sans, Verdana, Liberation Sans, Arial, sans-serif";

/// A figure: what a page shows under one title.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figure {
    /// What it shows.
    pub(crate) title: String,
    /// Further sentences, each of which begins a line.
    pub(crate) notes: Vec<String>,
    /// The meaning of lines and marks.
    pub(crate) legend: Vec<LegendEntry>,
    /// The charts, each with a title if there are several.
    pub(crate) panels: Vec<(String, Panel)>,
    /// Styles and settings beside those of every page, as CSS: where its colours are named.
    pub(crate) styles: Vec<&'static str>,
}

impl Figure {
    fn width(&self) -> f64 {
        let widest = self.panels.iter().map(|(_, panel)| panel.size.0).fold(0.0, f64::max);
        let columns = self.panels.len().clamp(1, COLUMNS) as f64;
        (widest * columns + GAP * (columns - 1.0)).max(WIDTH_MIN)
    }

    /// Draws the figure as one SVG that stands alone.
    pub(crate) fn svg(&self) -> String {
        stacked(std::slice::from_ref(self))
    }

    /// Writes the figure from `top` on; returns where it ends.
    fn write(&self, svg: &mut String, prefix: &str, width: f64, top: f64) -> f64 {
        let mut at = top;
        for line in wrapped(&self.title, width, TITLE) {
            at += TITLE * LINE;
            text(svg, GAP, at, TITLE, r#" font-weight="600""#, &line);
        }
        for line in self.notes.iter().flat_map(|note| wrapped(note, width, TEXT)) {
            at += TEXT * LINE;
            text(svg, GAP, at, TEXT, r#" fill="var(--soft)""#, &line);
        }
        at = self.write_legend(svg, width, at + GAP / 2.0) + GAP / 2.0;
        let titled = self.panels.len() > 1;
        for (row, panels) in self.panels.chunks(COLUMNS).enumerate() {
            let mut height: f64 = 0.0;
            for (column, (title, panel)) in panels.iter().enumerate() {
                let (wide, high) = panel.size;
                let left = GAP + column as f64 * (wide + GAP);
                let above = if titled { PANEL_TITLE * LINE } else { 0.0 };
                if titled {
                    let middle = left + wide / 2.0;
                    let style = r#" font-weight="600" text-anchor="middle""#;
                    text(svg, middle, at + PANEL_TITLE, PANEL_TITLE, style, title);
                }
                let placed = panel.placed(&format!(
                    r#"x="{left}" y="{}" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}""#,
                    at + above
                ));
                // Names within the charts must differ where several stand in one file.
                let unique = format!("{prefix}{row}-{column}-clip-");
                svg.push_str(&placed.into_string().replace("kuva-clip-", &unique));
                height = height.max(above + high);
            }
            at += height + GAP;
        }
        at
    }

    /// Writes the legend in as many lines as it needs; returns where it ends.
    fn write_legend(&self, svg: &mut String, width: f64, top: f64) -> f64 {
        let (mut left, mut at) = (GAP, top);
        for entry in &self.legend {
            let wide = KEY.0 + 7.0 + entry.text.chars().count() as f64 * TEXT * LETTER + GAP;
            if left > GAP && left + wide > width + GAP {
                (left, at) = (GAP, at + TEXT * LINE);
            }
            svg.push_str(&entry.picture(left, at));
            text(svg, left + KEY.0 + 7.0, at + TEXT - 2.0, TEXT, "", &entry.text);
            left += wide;
        }
        if self.legend.is_empty() { at } else { at + TEXT * LINE }
    }
}

/// Draws figures below each other, as one SVG that stands alone.
pub(crate) fn stacked(figures: &[Figure]) -> String {
    let width = figures.iter().map(Figure::width).fold(WIDTH_MIN, f64::max);
    let (mut body, mut at) = (String::new(), GAP / 2.0);
    for (number, figure) in figures.iter().enumerate() {
        at = figure.write(&mut body, &format!("figure-{number}-"), width, at);
    }
    let (width, height) = (width + 2.0 * GAP, at);
    let svg = format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" "#,
            r#"viewBox="0 0 {0} {1}" font-family="{2}" fill="var(--ink)">"#,
            r##"<rect width="100%" height="100%" fill="#fff"/>{3}</svg>"##
        ),
        width, height, FONTS, body
    );
    let styles: Vec<&str> = figures.iter().flat_map(|figure| figure.styles.clone()).collect();
    resolved(&svg, &styles) + "\n"
}

/// Writes a line of text whose foot is at `y`.
fn text(svg: &mut String, x: f64, y: f64, size: f64, style: &str, line: &str) {
    let line = html! { (line) }.into_string();
    let line = line.replace(|c: char| c.is_control(), "\u{fffd}");
    // Writing to a string cannot fail.
    let _ = write!(svg, r#"<text x="{x}" y="{y}" font-size="{size}"{style}>{line}</text>"#);
}

/// Breaks a text into lines that fit a width.
fn wrapped(text: &str, width: f64, size: f64) -> Vec<String> {
    let most = (width / (size * LETTER)) as usize;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Draws a link to contents that the page itself holds, under the name of a file.
pub(crate) fn download(file: &str, media: &str, contents: &str, name: &str) -> Markup {
    let address = format!("data:{media};base64,{}", BASE64_STANDARD.encode(contents));
    html! { a download=(file) href=(address) { (name) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Key;
    use crate::page::theme;
    use kuva::prelude::{Layout, LinePlot, Plot};

    fn panel(title: &str) -> (String, Panel) {
        let line = LinePlot::new().with_data([(0.0, 1.0), (1.0, 2.0)]).with_color("var(--s1)");
        let plots: Vec<Plot> = vec![line.into()];
        let layout = Layout::auto_from_plots(&plots).with_theme(theme());
        (title.to_owned(), Panel::new(plots, layout, (300.0, 200.0)))
    }

    fn figure(panels: &[&str]) -> Figure {
        Figure {
            title: "Goodput <over> loss & more".to_owned(),
            notes: vec!["A note that is long enough for two lines. ".repeat(3)],
            legend: vec![LegendEntry::new(Key::Line, "s1", "a line"); 9],
            panels: panels.iter().map(|title| panel(title)).collect(),
            styles: Vec::new(),
        }
    }

    #[test]
    fn a_picture_stands_alone() {
        let svg = figure(&["one", "two", "three"]).svg();
        for forbidden in ["var(--", "class=\"key", "currentColor", "href", "<over>", "kuva-clip"] {
            assert!(!svg.contains(forbidden), "{forbidden}: {svg}");
        }
        assert!(svg.contains("Goodput &lt;over&gt; loss &amp; more") && svg.contains("#0072b2"));
        assert_eq!((svg.matches(">a line</text>").count(), svg.matches(">three<").count()), (9, 1));
        // Two charts side by side, and the room around them.
        assert!(svg.starts_with("<svg xmlns") && svg.contains(r#"width="660""#), "{svg}");
        let ids: Vec<&str> = svg.split("clipPath id=\"").skip(1).collect();
        let ids: std::collections::BTreeSet<&str> =
            ids.iter().filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids.len(), 3, "each chart has names of its own");
    }

    #[test]
    fn a_single_chart_has_no_title_of_its_own() {
        let svg = figure(&["alone"]).svg();
        assert!(!svg.contains(">alone<") && svg.matches("<svg").count() == 2 + 9, "{svg}");
    }

    #[test]
    fn long_texts_are_broken() {
        assert_eq!(wrapped("aa bb cc", 40.0, 10.0), ["aa bb", "cc"]);
        assert_eq!(wrapped("", 40.0, 10.0), Vec::<String>::new());
        assert_eq!(wrapped("a-word-that-is-too-long b", 40.0, 10.0).len(), 2);
    }

    #[test]
    fn a_link_holds_what_it_leads_to() {
        let link = download("a.csv", "text/csv", "a,b\n", "CSV").into_string();
        assert_eq!(link, r#"<a download="a.csv" href="data:text/csv;base64,YSxiCg==">CSV</a>"#);
    }
}
