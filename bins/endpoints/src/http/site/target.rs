//! The path of a request, as the names it is made of. Nothing that could leave the root, hide, or
//! mean something else gets through.

use percent_encoding::percent_decode_str;

const SEGMENTS_MAX: usize = 64;
/// The longest name that file systems allow.
const SEGMENT_BYTES_MAX: usize = 255;

/// A path below the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestTarget {
    /// The decoded names, none of them empty, hidden, or with a separator in it.
    pub(super) segments: Vec<Vec<u8>>,
    /// True if it ends with a slash, as the path of a folder does.
    pub(super) is_folder: bool,
}

/// The reason why a path is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is no path that a client could mean.
    Malformed,
    /// It names something that is never served: a hidden file, or a way up.
    Hidden,
}

impl RequestTarget {
    /// Reads the path of a request, percent-encoded as it came.
    pub(super) fn parse(path: &str) -> Result<Self, Wrong> {
        let rest = path.strip_prefix('/').ok_or(Wrong::Malformed)?;
        let mut segments = Vec::new();
        // Empty segments mean nothing, as in every file system.
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(decode(segment)?);
        }
        let is_folder = rest.is_empty() || rest.ends_with('/');
        if segments.len() > SEGMENTS_MAX {
            return Err(Wrong::Malformed);
        }
        Ok(Self { segments, is_folder })
    }

    /// Returns the path again, encoded, from a single slash on. A folder's ends with one.
    pub(super) fn path(&self, is_folder: bool) -> String {
        let names: Vec<_> =
            self.segments.iter().map(|name| crate::http::names::encoded_bytes(name)).collect();
        let end = if is_folder && !names.is_empty() { "/" } else { "" };
        format!("/{}{end}", names.join("/"))
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, Wrong> {
    let bytes = segment.as_bytes();
    let is_hex = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_hexdigit);
    let is_encoded = |place: usize| is_hex(place + 1) && is_hex(place + 2);
    if (0..bytes.len()).any(|place| bytes[place] == b'%' && !is_encoded(place)) {
        return Err(Wrong::Malformed);
    }
    let name: Vec<u8> = percent_decode_str(segment).collect();
    if name.first() == Some(&b'.') {
        return Err(Wrong::Hidden);
    }
    if is_servable(&name) { Ok(name) } else { Err(Wrong::Malformed) }
}

/// Returns true if a file of this name can be asked for.
pub(super) fn is_servable(name: &[u8]) -> bool {
    // An encoded separator is no part of a name, and a backslash is one on Windows.
    let is_odd = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'/' | b'\\');
    name.first().is_some_and(|byte| *byte != b'.')
        && name.len() <= SEGMENT_BYTES_MAX
        && !name.iter().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_names_they_are_made_of() {
        for (path, names, is_folder) in [
            ("/", &[][..], true),
            ("//", &[], true),
            ("/a", &["a"], false),
            ("/a/", &["a"], true),
            ("//a//b", &["a", "b"], false),
            ("/my%20song%c3%bc.mp3", &["my songü.mp3"], false),
            ("/%2541", &["%41"], false),
            ("/a..b/c.", &["a..b", "c."], false),
        ] {
            let target = RequestTarget::parse(path).unwrap();
            let found: Vec<_> =
                target.segments.iter().map(|name| std::str::from_utf8(name).unwrap()).collect();
            assert_eq!((&found[..], target.is_folder), (names, is_folder), "{path}");
        }
        let target = RequestTarget::parse("//evil.example/ü%20?").unwrap();
        assert_eq!(
            target.path(true),
            "/evil.example/%C3%BC%20%3F/",
            "never a path that starts with two slashes"
        );
    }

    #[test]
    fn nothing_leads_out_or_hides() {
        for path in [
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2e",
            "/.",
            "/.git/config",
            "/a/.ssh",
            "/%2ehtaccess",
            "/..%2fa",
            "/..%5ca",
            "/...",
        ] {
            assert_eq!(RequestTarget::parse(path), Err(Wrong::Hidden), "{path}");
        }
        for path in
            ["", "a", "*", "/a%00", "/%2f", "/a%5cb", "/a\\b", "/%", "/%4", "/%zz", "/a%0a", "/%7f"]
        {
            assert_eq!(RequestTarget::parse(path), Err(Wrong::Malformed), "{path}");
        }
        assert_eq!(RequestTarget::parse(&"/a".repeat(SEGMENTS_MAX + 1)), Err(Wrong::Malformed));
        assert_eq!(RequestTarget::parse(&format!("/{}", "a".repeat(256))), Err(Wrong::Malformed));
    }
}
