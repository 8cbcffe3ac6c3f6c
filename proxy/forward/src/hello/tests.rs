//! ClientHellos as programs send them, in any pieces, and what is none.

use super::*;
use proptest::prelude::*;

/// What OpenSSL 3.0 sends for TLS 1.2 and for TLS 1.3 to `API.Example.org`.
const TLS_1_2: &str = "16030100b5010000b1030300dc45086153cb4f93d9a12cbdaf57ab90f3fa5eef8ac43a337272747a0adbdb00\
     001ec02cc030c02bc02fcca9cca8c024c028c023c027009f009e006b006700ff0100006a0000001400120000\
     0f4150492e4578616d706c652e6f7267000b000403000102000a000c000a001d0017001e0019001800230000\
     0016000000170000000d002a0028040305030603080708080809080a080b0804080508060401050106010303\
     03010302040205020602";
const TLS_1_3: &str = "16030100f4010000f003035e07f482fdc53dbb932c6f3e792264e06bfcfb780e68e98fe99faaa47260ffe720\
     2b0ce30019fc38fb9a55cc948d5e10871722996a6761c0b955b792340cc3b8e5000813021303130100ff0100\
     009f00000014001200000f4150492e4578616d706c652e6f7267000b000403000102000a00160014001d0017\
     001e0019001801000101010201030104002300000016000000170000000d001e001c04030503060308070808\
     0809080a080b080408050806040105010601002b0003020304002d00020101003300260024001d0020795dbf\
     d8e50a05a6fecbd5f57d748cc512a59ee80209755645290353000de936";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// An extension.
fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// The extension `server_name` with one name.
fn server_name(name: &str) -> Vec<u8> {
    let length = name.len() as u16;
    let list = [&[0][..], &length.to_be_bytes(), name.as_bytes()].concat();
    extension(0, &[&(list.len() as u16).to_be_bytes()[..], &list].concat())
}

/// A ClientHello with these extensions, without its record.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let all = extensions.concat();
    let session = [32].into_iter().chain([7; 32]);
    // GREASE (RFC 8701) stands among the cipher suites too.
    let ciphers = [0, 4, 0x1a, 0x1a, 0x13, 1];
    let body: Vec<u8> = [3, 3]
        .into_iter()
        .chain([9; 32])
        .chain(session)
        .chain(ciphers)
        .chain([1, 0])
        .chain((all.len() as u16).to_be_bytes())
        .chain(all)
        .collect();
    [&[CLIENT_HELLO][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

/// A message in records of so many bytes each.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record =
        |part: &[u8]| [&[HANDSHAKE, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    message.chunks(size).flat_map(record).collect()
}

/// Gives bytes in pieces of a size, and returns what was heard, and behind how many bytes.
fn heard(bytes: &[u8], size: usize) -> (Heard, usize) {
    let mut reader = HelloReader::default();
    for (index, piece) in bytes.chunks(size).enumerate() {
        match reader.handle(piece) {
            Heard::More => {}
            other => {
                assert_eq!(reader.handle(b"x"), Heard::Nothing, "it is over");
                return (other, (index * size + piece.len()).min(bytes.len()));
            }
        }
    }
    (Heard::More, bytes.len())
}

fn named(name: &str) -> Heard {
    Heard::Name(name.to_owned())
}

#[test]
fn what_openssl_sends_is_heard_in_any_pieces() {
    for hello in [TLS_1_2, TLS_1_3] {
        let hello = bytes(hello);
        for size in 1..=hello.len() {
            assert_eq!(heard(&hello, size).0, named("api.example.org"), "{size}");
        }
        // The name is known as soon as it is whole.
        let place = hello.windows(15).position(|part| part == b"API.Example.org").unwrap();
        assert_eq!(heard(&hello, 1).1, place + 15);
    }
}

#[test]
fn a_hello_may_be_split_over_records_and_stand_behind_other_extensions() {
    let grease = extension(0x0a0a, &[0]);
    // An encrypted hello (ECH) is an extension as any other: the name outside counts.
    let encrypted = extension(0xfe0d, &[5; 300]);
    let long = extension(21, &[0; 9000]);
    let extensions = [grease, encrypted, long, server_name("outer.example"), extension(16, &[1])];
    let message = message(&extensions);
    for size in [1, 2, 3, 5, 100, 4096, 16_384] {
        let bytes = records(&message, size);
        for pieces in [1, 7, 1448, bytes.len()] {
            assert_eq!(heard(&bytes, pieces).0, named("outer.example"), "{size} {pieces}");
        }
    }
}

#[test]
fn what_names_no_server_is_told_at_once() {
    let none = records(&message(&[extension(16, &[1]), extension(43, &[2])]), 16_384);
    let (last, before) = (none.len(), none.len() - 1);
    assert_eq!(heard(&none[..before], last), (Heard::Nothing, before), "no extension is left");
    let mut version = bytes(TLS_1_3);
    version[1] = 2;
    let mut alert = bytes(TLS_1_3);
    alert[0] = 21;
    let mut server_hello = bytes(TLS_1_3);
    server_hello[5] = 2;
    let mut huge = bytes(TLS_1_3);
    huge[6] = 255;
    let mut empty_record = bytes(TLS_1_3);
    (empty_record[3], empty_record[4]) = (0, 0);
    let entry = |kind: u8, name: &[u8]| {
        let length = name.len() as u16;
        let list = [&[kind][..], &length.to_be_bytes(), name].concat();
        let body = [&(list.len() as u16).to_be_bytes()[..], &list].concat();
        records(&message(&[extension(0, &body)]), 16_384)
    };
    for (what, bytes) in [
        ("another protocol", b"GET / HTTP/1.1\r\n".to_vec()),
        ("another version", version),
        ("an alert", alert),
        ("another message", server_hello),
        ("a message beyond the bound", huge),
        ("an empty record", empty_record),
        ("no extensions at all", records(&message(&[]), 16_384)),
        ("a kind of name that nobody has", entry(1, b"a.example")),
        ("an empty name", entry(0, b"")),
        ("a name beyond the bound", entry(0, &[b'a'; 255])),
        ("a name that is none", entry(0, b"a b")),
        ("bytes that are no text", entry(0, &[0xff, 0xfe])),
    ] {
        assert_eq!(heard(&bytes, bytes.len()).0, Heard::Nothing, "{what}");
        assert_eq!(heard(&bytes, 1).0, Heard::Nothing, "{what}");
    }
    assert_eq!(heard(&entry(0, &[b'a'; 254]), 9).0, named(&"a".repeat(254)));
    // Of half a hello nothing is known.
    assert_eq!(heard(&bytes(TLS_1_2)[..50], 50).0, Heard::More);
    assert_eq!(heard(b"", 1).0, Heard::More);
}

proptest! {
    #[test]
    fn whatever_comes_is_heard_alike_in_any_pieces(
        noise in proptest::collection::vec(any::<u8>(), 0..40), at in 0usize..186, size in 1usize..50
    ) {
        let mut bytes = bytes(TLS_1_2);
        bytes.splice(at..(at + noise.len()).min(bytes.len()).max(at), noise);
        let whole = heard(&bytes, bytes.len()).0;
        prop_assert_eq!(heard(&bytes, size).0, whole);
    }
}
