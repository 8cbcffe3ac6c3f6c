//! The digest of a whole file in a header, `Repr-Digest: sha-256=:…:` (RFC 9530), and the header
//! that asks for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jostle_common::digest::Digest;

/// The digest of the whole file, also when only a range of it is sent.
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// The field that names the digests that the other side wants.
pub(crate) const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
const ALGORITHM: &str = "sha-256";

/// Returns the value `sha-256=:BASE64:`.
pub(crate) fn value(digest: Digest) -> HeaderValue {
    let text = format!("{ALGORITHM}=:{}:", STANDARD.encode(digest.0));
    HeaderValue::try_from(text).expect("base64 is printable")
}

/// Returns the SHA-256 of a message's `Repr-Digest`, if there is one that can be read.
pub(crate) fn parse(headers: &HeaderMap) -> Option<Digest> {
    let member = members(headers, &REPR_DIGEST)
        .find_map(|(name, value)| (name == ALGORITHM).then_some(value))?;
    // What stands behind a semicolon are parameters.
    let bytes = member.split(';').next()?.trim().strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(bytes).ok()?.try_into().ok().map(Digest)
}

/// Returns true if a `Repr-Digest` with SHA-256 is asked for: `Some(false)` when it is expressly
/// not wanted, `None` when nothing is said.
pub(crate) fn is_wanted(headers: &HeaderMap) -> Option<bool> {
    let wish = members(headers, &WANT_REPR_DIGEST)
        .find_map(|(name, value)| (name == ALGORITHM).then_some(value))?;
    Some(wish.split(';').next().is_some_and(|wish| wish.trim() != "0"))
}

/// Returns the members of a dictionary (RFC 9651) whose values contain no comma, as digests and
/// preferences do not.
fn members<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'h str, &'h str)> {
    let fields = headers.get_all(name).into_iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).filter_map(|member| {
        let (name, value) = member.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        // RFC 9530, B.1: the digest of {"hello": "world"} and a newline.
        let digest = Digest::of(b"{\"hello\": \"world\"}\n");
        let text = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(value(digest), text);
        assert_eq!(parse(&headers(&REPR_DIGEST, &[text])), Some(digest));
        let others = [
            "sha-512=:AAAA:, md5=:AA==:",
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:;q=1",
        ];
        assert_eq!(parse(&headers(&REPR_DIGEST, &others)), Some(digest));
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for wrong in [
            "",
            "sha-256",
            "sha-256=",
            "sha-256=:AAAA:",
            "sha-256=:!!!!:",
            "sha-256=RK/0",
            "sha-512=:AAAA:",
        ] {
            assert_eq!(parse(&headers(&REPR_DIGEST, &[wrong])), None, "{wrong}");
        }
        assert_eq!(parse(&HeaderMap::new()), None);
    }

    #[test]
    fn wishes_are_yes_no_or_none() {
        for (text, wish) in [
            ("sha-256=1", Some(true)),
            ("sha-512=3, sha-256=10", Some(true)),
            ("sha-256=0", Some(false)),
            ("sha-512=1", None),
        ] {
            assert_eq!(is_wanted(&headers(&WANT_REPR_DIGEST, &[text])), wish, "{text}");
        }
    }
}
