//! Checked messages of programs that know other checksums.

use crate::programs::{Told, addresses, client, event};
use serde_json::Value;

const TEXT: &str = "hello||how are you?||na\u{ef}ve||TCHAU";

/// Returns the messages that a server printed, with their numbers.
fn messages(lines: &[Value]) -> Vec<(u64, &str)> {
    let lines = lines.iter().filter(|line| line["event"] == "message");
    lines
        .map(|line| (line["sequence"].as_u64().unwrap(), line["message"].as_str().unwrap()))
        .collect()
}

#[test]
fn every_likely_checksum_is_understood_with_newlines_and_without() {
    let cases = [
        ("crc32", 0, "CRC-32 of the message, decimal"),
        ("crc32 hex", 1, "CRC-32 of the message, hexadecimal"),
        ("CRC32 HEX", 0, "CRC-32 of the message, hexadecimal"),
        ("crc32 0x", 0, "CRC-32 of the message, hexadecimal"),
        ("adler32", 1, "Adler-32 of the message, decimal"),
        ("sum", 0, "sum of the bytes, decimal"),
        ("sum mod 256", 1, "sum of the bytes modulo 256, decimal"),
        ("sum mod 65536", 0, "sum of the bytes, decimal"),
        ("crc16", 0, "CRC-16/XMODEM of the message, decimal"),
        ("md5", 1, "MD5 of the message, hexadecimal"),
        ("sha256", 0, "SHA-256 of the message, hexadecimal"),
    ];
    let mut server = Told::start(&["messages"]);
    let (_proxy, [direct, proxied]) = addresses("tcp", server.address());
    let mut expected = Vec::new();
    for (place, (checksum, first, name)) in cases.into_iter().enumerate() {
        // Each the other way in its turn: with a newline and without, directly and not.
        let end = if place % 2 == 0 { "\n" } else { "" };
        let address = if place % 4 < 2 { direct } else { proxied };
        let arguments = [checksum, &first.to_string(), end, TEXT];
        let Some(said) = client("messages.py", address, &arguments) else { return };
        assert_eq!(said, ["ACK"; 4], "{checksum}");
        expected.push((name, first));
    }
    let lines = server.until("ended", expected.len());
    let (rest, told) = server.end();
    let ended: Vec<_> = lines.iter().filter(|line| line["event"] == "ended").collect();
    assert_eq!(ended.len(), expected.len());
    for (ended, (name, first)) in ended.iter().zip(&expected) {
        assert_eq!((&ended["checksum"], &ended["how"]), (&(*name).into(), &"goodbye".into()));
        assert_eq!((&ended["first_sequence"], &ended["delivered"]), (&(*first).into(), &3.into()));
    }
    let said = messages(&lines);
    for (said, (_, first)) in said.chunks(3).zip(&expected) {
        let texts = ["hello", "how are you?", "na\u{ef}ve"];
        assert_eq!(said, (*first..).zip(texts).collect::<Vec<_>>());
    }
    assert_eq!(event(&rest, "summary")["other_checksums"], expected.len());
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_client_that_knows_the_bare_word_only_gets_it() {
    let mut server = Told::start(&["messages"]);
    let Some(said) = client("messages_strict.py", server.address(), &["hello", "world"]) else {
        return;
    };
    // The first reply was documented, and not understood.
    assert_eq!(said, ["again", "ACK"]);
    let lines = server.until("ended", 1);
    assert_eq!(messages(&lines), [(0, "hello"), (1, "world")]);
    let ended = event(&lines, "ended");
    assert_eq!((&ended["how"], &ended["doubled"]), (&"goodbye".into(), &1.into()));
}

#[test]
fn lines_in_one_piece_are_taken_one_by_one() {
    let mut server = Told::start(&["messages"]);
    let texts = ["hello", "a||b", "world", "TCHAU"];
    let Some(said) = client("messages_joined.py", server.address(), &texts) else { return };
    assert_eq!(said, ["4"]);
    let lines = server.until("ended", 1);
    assert_eq!(messages(&lines), [(0, "hello"), (1, "a||b"), (2, "world")]);
    assert_eq!(event(&lines, "ended")["how"], "goodbye");
}
