//! What the HTML pages of all commands share: one file that needs nothing but itself, no script, no network; light and dark.

pub(crate) mod labels;

use kuva::prelude::Theme;

const STYLE: &str = include_str!("base.css");

/// A whole page. `title` and `body` are HTML, `style` is what the page adds to the common style, `policy` what it may load beside itself.
pub(crate) fn document(title: &str, style: &str, policy: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; {policy}">
<title>{title}</title>
<style>
{STYLE}{style}</style>
</head>
<body>
{body}</body>
</html>
"#
    )
}

/// Makes text harmless between tags and in quoted attributes. Control characters are no part of HTML at all.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A chart that takes the width there is, with a name for those who cannot see it.
pub(crate) fn scalable(svg: &str, (width, height): (f64, f64), name: &str) -> String {
    let size = format!(r#"width="{width}" height="{height}""#);
    svg.replacen(&size, &format!(r#"viewBox="0 0 {width} {height}" role="img" aria-label="{name}""#), 1)
}

/// The page's colours by name, so that a chart turns dark with the page.
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
