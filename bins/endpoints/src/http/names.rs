//! Names of files that come from the wire: made safe to create in a folder, on any system.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

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

/// Returns the file name of a `Content-Disposition`, not made safe: `filename*` (RFC 8187) before
/// `filename`.
pub(crate) fn of_disposition(field: &str) -> Option<String> {
    let mut plain = None;
    for parameter in parameters(field) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim();
        if name.trim().eq_ignore_ascii_case("filename*") {
            let mut parts = value.splitn(3, '\'');
            let is_utf8 = parts.next().is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8"));
            if let (true, Some(text)) = (is_utf8, parts.nth(1)) {
                return percent_decode_str(text).decode_utf8().ok().map(Into::into);
            }
        } else if name.trim().eq_ignore_ascii_case("filename") {
            plain = Some(unquoted(value));
        }
    }
    plain
}

/// Returns a `Content-Disposition` for a file of this name.
pub(crate) fn disposition(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", encoded(name))
}

/// Returns a name as a segment of a path.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// Encodes a name that may not be text in the same way.
pub(crate) fn encoded_bytes(name: &[u8]) -> String {
    percent_encoding::percent_encode(name, ESCAPED).to_string()
}

/// Splits at semicolons outside of quotes.
fn parameters(field: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, c) in field.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                parts.push(&field[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&field[start..]);
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest))
    else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(c);
        }
    }
    text
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

    #[test]
    fn dispositions_are_read_as_browsers_and_curl_write_them() {
        for (field, name) in [
            ("attachment; filename=\"a b.mp3\"", Some("a b.mp3")),
            ("attachment; filename=song.mp3; size=3", Some("song.mp3")),
            ("form-data; name=\"f\"; filename=\"a;\\\"b\\\".txt\"", Some("a;\"b\".txt")),
            (
                "attachment; filename=\"fallback\"; filename*=UTF-8''na%C3%AFve.txt",
                Some("naïve.txt"),
            ),
            ("attachment; filename*=UTF-8''%FF", None),
            ("attachment; FileName=\"open", Some("open")),
            ("inline", None),
            ("", None),
        ] {
            assert_eq!(of_disposition(field).as_deref(), name, "{field}");
        }
        assert_eq!(of_disposition(&disposition("a;\"ü\".txt")).as_deref(), Some("a;\"ü\".txt"));
    }
}
