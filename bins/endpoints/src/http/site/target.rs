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
    /// It is longer than any path to a file.
    TooLong,
    /// It names something that is never served: a hidden file, or a way up.
    Hidden,
}

impl RequestTarget {
    /// Reads the path of a request, percent-encoded as it came. Dot segments lead where they say
    /// (RFC 3986, section 5.2.4), but not out of the root.
    pub(super) fn parse(path: &str) -> Result<Self, Wrong> {
        let rest = path.strip_prefix('/').ok_or(Wrong::Malformed)?;
        let mut segments = Vec::new();
        let mut is_folder = true;
        for segment in rest.split('/') {
            let name = decode(segment)?;
            is_folder = matches!(name.as_slice(), b"" | b"." | b"..");
            match name.as_slice() {
                // Empty segments mean nothing, as in every file system.
                b"" | b"." => {}
                b".." => drop(segments.pop().ok_or(Wrong::Hidden)?),
                hidden if hidden[0] == b'.' => return Err(Wrong::Hidden),
                long if long.len() > SEGMENT_BYTES_MAX => return Err(Wrong::TooLong),
                odd if !is_servable(odd) => return Err(Wrong::Malformed),
                _ => segments.push(name),
            }
            if segments.len() > SEGMENTS_MAX {
                return Err(Wrong::TooLong);
            }
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
    Ok(percent_decode_str(segment).collect())
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
            ("/./a", &["a"], false),
            ("/a/./b/.", &["a", "b"], true),
            ("/%2e/a", &["a"], false),
            ("/.", &[], true),
            ("/a/../b", &["b"], false),
            ("/a/b/..", &["a"], true),
            ("/a/%2E./b/./../c", &["c"], false),
            ("/a//../b", &["b"], false),
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
            "/a/../../a",
            "/./../a",
            "/%2e%2e/a",
            "/.%2e",
            "/.git/config",
            "/a/.ssh",
            "/a/../.ssh",
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
        for (path, wrong) in [
            ("/a".repeat(SEGMENTS_MAX), None),
            ("/a".repeat(SEGMENTS_MAX + 1), Some(Wrong::TooLong)),
            (format!("/{}", "a".repeat(255)), None),
            (format!("/{}", "a".repeat(256)), Some(Wrong::TooLong)),
        ] {
            assert_eq!(RequestTarget::parse(&path).err(), wrong, "{path}");
        }
    }
}
