//! The legend of a figure: what its lines and marks stand for, on the page and in a picture of its
//! own.

use maud::{Markup, PreEscaped, html};

/// The size of a key, in pixels.
pub(super) const KEY: (f64, f64) = (26.0, 14.0);

/// The drawing that stands next to a text in a legend.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// A line with a marker in its middle, which is a fragment of SVG; dashed, or not.
    Marked(&'static str, bool),
    /// A line.
    Line,
    /// A line of dashes.
    Dashes,
    /// A line of dots.
    Dots,
    /// An upright line.
    Bar,
    /// A transparent area.
    Band,
    /// A column.
    Column,
    /// A dot.
    Dot,
    /// An open circle.
    Ring,
    /// A diagonal cross.
    Cross,
}

impl Key {
    /// Returns the drawing, in the colour around it.
    fn fragment(&self) -> String {
        let line = |dashes: &str| {
            format!(r#"<path d="M0 7h26" stroke-width="2" stroke-dasharray="{dashes}"/>"#)
        };
        let stroke = |path: &str, width: f64| {
            format!(r#"<path d="{path}" fill="none" stroke-width="{width}"/>"#)
        };
        match self {
            Self::Marked(marker, true) => line("5 3") + marker,
            Self::Marked(marker, false) => stroke("M0 7h26", 2.0) + marker,
            Self::Line => stroke("M0 7h26", 2.4),
            Self::Dashes => line("5 3"),
            Self::Dots => line("2 3"),
            Self::Bar => stroke("M13 1v12", 1.6),
            Self::Band => r#"<path d="M2 1h22v12H2z" opacity=".3"/>"#.to_owned(),
            Self::Column => r#"<path d="M8 1h10v12H8z" opacity=".75"/>"#.to_owned(),
            Self::Dot => r#"<circle cx="13" cy="7" r="4"/>"#.to_owned(),
            Self::Ring => {
                r#"<circle cx="13" cy="7" r="5.5" fill="none" stroke-width="1.5"/>"#.to_owned()
            }
            Self::Cross => stroke("M8 2l10 10M18 2L8 12", 2.0),
        }
    }
}

/// A line of a legend.
#[derive(Clone, Debug)]
pub(crate) struct LegendEntry {
    /// The drawing.
    pub(crate) key: Key,
    /// Its colour, as the page names it: `var(--s1)`.
    pub(crate) color: String,
    /// The meaning.
    pub(crate) text: String,
}

impl LegendEntry {
    /// Creates an entry in a colour of the page: `s1`.
    pub(crate) fn new(key: Key, color: &str, text: impl Into<String>) -> Self {
        Self { key, color: format!("var(--{color})"), text: text.into() }
    }

    /// Returns its drawing, as a picture places it.
    pub(super) fn picture(&self, x: f64, y: f64) -> String {
        let ((width, height), color) = (KEY, &self.color);
        format!(
            concat!(
                r#"<svg x="{}" y="{}" width="{}" height="{}" viewBox="0 0 26 14" "#,
                r#"fill="{}" stroke="{}" stroke-width="0">{}</svg>"#
            ),
            x,
            y,
            width,
            height,
            color,
            color,
            self.key.fragment()
        )
    }
}

/// Draws a legend on a page.
pub(crate) fn legend(entries: &[LegendEntry]) -> Markup {
    html! {
        p.legend {
            @for entry in entries {
                span {
                    svg.key viewBox="0 0 26 14" aria-hidden="true"
                        style={ "color:" (entry.color) } { (PreEscaped(entry.key.fragment())) }
                    (entry.text)
                } " "
            }
        }
    }
}
