//! A picture of dots, drawn from one of lines.

use anyhow::{Context, bail};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// The dots for each pixel of the SVG: sharp on today's screens, and on half a page of paper.
const SCALE: f32 = 2.0;

/// The most dots on a side; a longer picture is drawn coarser.
const SIDE_MAX: f32 = 16_000.0;

/// Draws an SVG as PNG, with the fonts of this system.
///
/// # Errors
/// When the system has no font, or the picture has no size.
pub(crate) fn png(svg: &str) -> anyhow::Result<Vec<u8>> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_system_fonts();
    let Some(face) = fonts.faces().next() else {
        bail!(
            "this system has no font to write the texts of a PNG with; install one (DejaVu, say), \
             or write an .svg"
        );
    };
    // Whatever font is missing, there is one to fall back to.
    let family = face.families.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let has_dejavu =
        fonts.faces().any(|face| face.families.iter().any(|(name, _)| name == "DejaVu Sans"));
    fonts.set_sans_serif_family(if has_dejavu { "DejaVu Sans".to_owned() } else { family });
    let tree = Tree::from_str(svg, &options).context("cannot read the picture")?;
    let size = tree.size();
    let scale = SCALE.min(SIDE_MAX / size.width().max(size.height()));
    let side = |length: f32| (length * scale).ceil() as u32;
    let mut dots =
        Pixmap::new(side(size.width()), side(size.height())).context("the picture has no size")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut dots.as_mut());
    dots.encode_png().context("cannot write the picture as PNG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_size_and_its_colors() {
        let svg = r##"<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="100%" height="100%" fill="#ff0000"/></svg>"##;
        let bytes = match png(svg) {
            Ok(bytes) => bytes,
            Err(error) => return log::warn!("SKIPPED: {error}"),
        };
        let dots = Pixmap::decode_png(&bytes).unwrap();
        assert_eq!((dots.width(), dots.height()), (60, 40));
        let dot = dots.pixel(30, 20).unwrap();
        assert_eq!((dot.red(), dot.green(), dot.blue(), dot.alpha()), (255, 0, 0, 255));
    }

    #[test]
    fn letters_are_drawn() {
        let with = |text: &str| {
            png(&format!(
                concat!(
                    r#"<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20">"#,
                    r#"<text x="2" y="15" font-family="No Such Font, sans-serif">{}</text></svg>"#
                ),
                text
            ))
        };
        let (Ok(some), Ok(none)) = (with("loss"), with("")) else {
            return log::warn!("SKIPPED: no font");
        };
        assert_ne!(some, none);
    }
}
