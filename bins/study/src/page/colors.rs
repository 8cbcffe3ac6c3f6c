//! The colours of a page by name, as a picture that stands alone needs them: what draws it may not
//! know variables.

use super::STYLE;
use std::collections::BTreeMap;

/// The beginning of a use of a variable.
const USE: &str = "var(--";

/// A variable may lead to another, but not for ever.
const DEPTH_MAX: usize = 4;

/// Writes the light colours of the page's styles in place of their names. `more` are further styles
/// and settings, as CSS; of two of one name the last counts.
pub(super) fn resolved(svg: &str, more: &[&str]) -> String {
    let mut colors = BTreeMap::new();
    for style in [STYLE].iter().chain(more) {
        colors.extend(light(style));
    }
    let mut text = svg.to_owned();
    for _ in 0..DEPTH_MAX {
        if !text.contains(USE) {
            break;
        }
        text = replaced(&text, &colors);
    }
    text
}

fn replaced(text: &str, colors: &BTreeMap<&str, &str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(USE) {
        out.push_str(before);
        let Some((name, behind)) = after.split_once(')') else {
            out.push_str(USE);
            rest = after;
            break;
        };
        out.push_str(colors.get(name).copied().unwrap_or("#000"));
        rest = behind;
    }
    out + rest
}

/// Returns the variables of a style; what stands under a condition, such as darkness, is left out.
fn light(style: &str) -> impl Iterator<Item = (&str, &str)> {
    let plain = style.split("@media").next().unwrap_or_default();
    plain.split([';', '{', '}']).filter_map(|declaration| {
        // A comment may stand in front of it.
        let declaration = declaration.rsplit("*/").next().unwrap_or_default();
        let (name, value) = declaration.trim().strip_prefix("--")?.split_once(':')?;
        Some((name.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_light_colors() {
        let svg =
            r#"<path stroke="var(--s1)" fill="var(--tone)"/><text fill="var(--ink)">a</text>"#;
        let more = ["--up: var(--s3); --tone: var(--up)"];
        assert_eq!(
            resolved(svg, &more),
            r##"<path stroke="#0072b2" fill="#008a64"/><text fill="#1d2126">a</text>"##
        );
        let nobody = resolved(r#"<a b="var(--nobody)" c="var(--broken"/>"#, &[]);
        assert_eq!(nobody, r##"<a b="#000" c="var(--broken"/>"##);
    }
}
