//! The parameters of a field, above all the file name in a `Content-Disposition`: of an answer, of
//! an upload's raw body (RFC 6266), and of a form's part (RFC 7578), which all write it a little
//! differently.

use percent_encoding::percent_decode_str;

/// Returns the file name of a `Content-Disposition`, not made safe: `filename*` (RFC 8187) before
/// `filename`, in whichever order they come.
pub(crate) fn file_name(field: &[u8]) -> Option<String> {
    let (plain, extended) = names(field);
    extended.or(plain)
}

/// Returns the same for a part of a form, in which browsers write quotes and ends of lines as
/// `%22`, `%0D` and `%0A`, and a percent sign as it is (WHATWG HTML, multipart/form-data).
pub(crate) fn form_file_name(field: &[u8]) -> Option<String> {
    let (plain, extended) = names(field);
    let decode = |name: String| name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
    extended.or_else(|| plain.map(decode))
}

/// Returns the first parameter of this name, without its quotes.
pub(crate) fn parameter(field: &str, name: &str) -> Option<String> {
    // What is in front of the first semicolon is no parameter.
    parameters(field).into_iter().skip(1).find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| unquoted(value.trim()))
    })
}

/// Returns `filename` and `filename*`. The first of each counts; one that cannot be read is none.
fn names(field: &[u8]) -> (Option<String>, Option<String>) {
    let text = text(field);
    let (mut plain, mut extended) = (None, None);
    for parameter in parameters(&text) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("filename*") {
            extended = extended.or_else(|| decoded(&unquoted(value)));
        } else if name.eq_ignore_ascii_case("filename") {
            plain = plain.or_else(|| Some(unquoted(value)));
        }
    }
    (plain, extended)
}

/// Returns a `Content-Disposition` for a file of this name.
pub(crate) fn attachment(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", super::names::encoded(name))
}

/// Returns bytes as text: UTF-8, or else Latin-1, which gives every byte a meaning.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Decodes the value of a `filename*`: charset, language and percent-encoded bytes.
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?.trim(), parts.next()?, parts.next()?);
    let bytes = percent_decode_str(encoded);
    if charset.eq_ignore_ascii_case("utf-8") {
        bytes.decode_utf8().ok().map(Into::into)
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.map(char::from).collect())
    } else {
        None
    }
}

/// Splits at semicolons outside of quotes.
fn parameters(field: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, c) in field.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = is_escape(&field[place + 1..]),
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

/// Returns the value of a parameter without its quotes, if it has some.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::new();
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => break,
            '\\' if is_escape(rest) => {
                text.push_str(&rest[..1]);
                rest = &rest[1..];
            }
            c => text.push(c),
        }
    }
    text
}

/// Returns true if a backslash in front of `rest` escapes what follows. In front of anything else
/// it is itself: browsers write `C:\song.mp3` as it is.
fn is_escape(rest: &str) -> bool {
    rest.starts_with(['"', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("attachment; filename*=UTF-8''%FF; filename=plain", Some("plain")),
            ("attachment; filename*=KOI8-R''%C1; filename=plain", Some("plain")),
            ("attachment; filename*=\"UTF-8''quoted.txt\"", Some("quoted.txt")),
            ("attachment; FileName=\"open", Some("open")),
            ("attachment; filename=\"C:\\dir\\b.mp3\"", Some("C:\\dir\\b.mp3")),
            ("attachment; filename=\"C:\\\\dir\\\\b.mp3\"", Some("C:\\dir\\b.mp3")),
            ("attachment; filename=\"%22%41\"", Some("%22%41")),
            ("attachment; filename = \"a\" ; x=y", Some("a")),
            ("inline", None),
            ("", None),
        ] {
            assert_eq!(file_name(field.as_bytes()).as_deref(), name, "{field}");
        }
        let odd = "a;\"ü\".txt";
        assert_eq!(file_name(attachment(odd).as_bytes()).as_deref(), Some(odd));
    }

    #[test]
    fn parts_of_forms_are_read_as_any_client_writes_them() {
        for (field, name) in [
            (&b"form-data; name=\"file\"; filename*=utf-8''%E6%9D%B1%E4%BA%AC.png"[..], "東京.png"),
            (
                b"form-data; name=\"file\"; filename=\"fallback.txt\"; \
                  filename*=UTF-8''pr%C3%A9f%C3%A9r%C3%A9.txt",
                "préféré.txt",
            ),
            (
                b"form-data; name=\"file\"; filename*=UTF-8''first%C3%A9.txt; \
                  filename=\"second.txt\"",
                "firsté.txt",
            ),
            (
                b"form-data; name=file; filename=\"=?utf-8?B?w6TDtsO8LnR4dA==?=\"; \
                  filename*=utf-8''%C3%A4%C3%B6%C3%BC.txt",
                "äöü.txt",
            ),
            (b"form-data; name=\"file\"; filename*=iso-8859-1'en'%A3%20rates.txt", "£ rates.txt"),
            (b"FORM-DATA; Name=\"f\"; FileName=\"case.txt\"", "case.txt"),
            (b"form-data; name=\"file\"; filename=\"caf\xe9.txt\"", "café.txt"),
            ("form-data; name=\"f\"; filename=\"äöü ß.txt\"".as_bytes(), "äöü ß.txt"),
            (b"form-data; name=\"f\"; filename=\"%22x%22%0D%0A%41.txt\"", "\"x\"\r\n%41.txt"),
            (b"form-data; name=\"f\"; filename*=UTF-8''%2522.txt", "%22.txt"),
            (b"form-data; name=\"filename=no\"; filename=yes", "yes"),
            (b"form-data; name=\"f\"; filename=\"\"", ""),
        ] {
            let said = form_file_name(field);
            assert_eq!(said.as_deref(), Some(name), "{}", String::from_utf8_lossy(field));
        }
        assert_eq!(form_file_name(b"form-data; name=\"filename\""), None);
    }
}
