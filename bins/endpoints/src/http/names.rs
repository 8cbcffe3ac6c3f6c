//! Names of files that come from the wire: made safe to create in a folder, on any system. They are
//! read from fields by [`super::disposition`].

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Leaves room for a number and `.part` within the 255 bytes that file systems allow.
const BYTES_MAX: usize = 200;
/// The characters to escape in a path: all but RFC 3986's unreserved ones.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the plain name of a file that `text` asks for: nothing of a path, nothing hidden,
/// nothing that a shell, a terminal or another system takes for something else. `None` when nothing
/// is left.
pub(crate) fn safe(text: &str) -> Option<String> {
    // Browsers of old sent whole paths, and C:\fakepath\name is what a page still sees.
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
            || matches!(c,
                '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let replaced: String = last.chars().map(|c| if is_odd(c) { '_' } else { c }).collect();
    // Leading dots hide a file, and Windows drops dots and spaces at the end.
    let name = replaced.trim_start_matches(['.', ' ']).trim_end_matches(['.', ' ']);
    let name = shortened(name);
    let stem = name.split('.').next().unwrap_or_default();
    match name.is_empty() {
        true => None,
        // Shortened again, lest the answer be a name that is refused.
        false if is_device(stem) => Some(shortened(&format!("_{name}"))),
        false => Some(name),
    }
}

/// Returns a name as a segment of a path.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// Encodes a name that may not be text in the same way.
pub(crate) fn encoded_bytes(name: &[u8]) -> String {
    percent_encoding::percent_encode(name, ESCAPED).to_string()
}

/// Returns at most [`BYTES_MAX`] bytes of the name, with a short extension kept, and no dot or
/// space where it was cut.
fn shortened(name: &str) -> String {
    if name.len() <= BYTES_MAX {
        return name.to_owned();
    }
    let dot = name.rfind('.').filter(|dot| name.len() - dot <= 16).unwrap_or(name.len());
    let (stem, extension) = name.split_at(dot);
    let end = stem.floor_char_boundary(BYTES_MAX - extension.len());
    format!("{}{extension}", stem[..end].trim_end_matches(['.', ' ']))
}

/// Returns true for names that are devices to Windows, in any folder and with any extension;
/// superscripts count as digits there.
fn is_device(stem: &str) -> bool {
    let stem = stem.trim_end().to_ascii_uppercase();
    let is_numbered = |name: &str| {
        let number = stem.strip_prefix(name).and_then(|rest| rest.parse::<char>().ok());
        number.is_some_and(|number| matches!(number, '0'..='9' | '¹' | '²' | '³'))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || is_numbered("COM")
        || is_numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_looks_and_lose_their_power() {
        for (text, name) in [
            ("song.mp3", "song.mp3"),
            ("my song – ü 音.mp3", "my song – ü 音.mp3"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("C:\\fakepath\\song.mp3", "song.mp3"),
            ("..\\..\\boot.ini", "boot.ini"),
            (".bashrc", "bashrc"),
            ("...hidden", "hidden"),
            ("a\0b\n.txt", "a_b_.txt"),
            ("a\u{1b}[2Jb", "a_[2Jb"),
            ("song.mp3::$DATA", "song.mp3__$DATA"),
            ("evil\u{202e}3pm.exe", "evil_3pm.exe"),
            ("name. . .", "name"),
            ("con", "_con"),
            ("COM1.txt", "_COM1.txt"),
            ("nul .tar.gz", "_nul .tar.gz"),
            ("com².log", "_com².log"),
            ("COM10", "COM10"),
            ("console", "console"),
        ] {
            assert_eq!(safe(text).as_deref(), Some(name), "{text:?}");
            assert_eq!(safe(name).as_deref(), Some(name), "what is safe stays as it is");
        }
        for nothing in ["", ".", "..", "/", "a/", "a\\", " . ", "/.."] {
            assert_eq!(safe(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = safe(&format!("{}.mp3", "ü".repeat(300))).unwrap();
        assert!(
            name.len() <= BYTES_MAX && name.len() > BYTES_MAX - 2 && name.ends_with("ü.mp3"),
            "{name}"
        );
        assert_eq!(safe(&format!("a.{}", "x".repeat(300))).unwrap().len(), BYTES_MAX);
    }

    #[test]
    fn a_long_name_is_safe_where_it_is_cut() {
        let spaces = " ".repeat(BYTES_MAX);
        for (text, name) in [
            (format!("a{spaces}b"), "a".to_owned()),
            (format!("a{spaces}.mp3"), "a.mp3".to_owned()),
            (format!("a{}b", ".".repeat(BYTES_MAX)), "a.b".to_owned()),
            (format!("nul{spaces}x"), "_nul".to_owned()),
            (format!("nul{}.mp3", &spaces[7..]), "_nul.mp3".to_owned()),
        ] {
            assert_eq!(safe(&text).as_deref(), Some(&*name), "{text:?}");
            assert_eq!(safe(&name), Some(name), "what is safe stays as it is");
        }
    }
}
