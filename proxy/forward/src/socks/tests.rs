use super::*;
use proptest::prelude::*;

/// What becomes of an exchange, the same however the bytes are cut.
fn exchange(credentials: Option<&str>, bytes: &[u8]) -> (Progress, Vec<u8>, Vec<u8>) {
    let results = [1, 2, 5, usize::MAX].map(|step| {
        let credentials = credentials.map(|text| Credentials::read(text).unwrap());
        let mut negotiation = Negotiation::new(credentials);
        let (mut answer, mut progress) = (Vec::new(), Progress::More);
        let mut pieces = bytes.chunks(step.min(bytes.len().max(1)));
        for piece in pieces.by_ref() {
            progress = negotiation.handle(piece, &mut answer);
            if progress != Progress::More {
                break;
            }
        }
        let mut rest = negotiation.rest();
        if matches!(progress, Progress::Asked(_)) {
            rest.extend(pieces.flatten());
        }
        (progress, answer, rest)
    });
    assert!(results.iter().all(|result| *result == results[0]), "{bytes:?}: {results:?}");
    results.into_iter().next().unwrap()
}

const HELLO: &[u8] = &[5, 1, 0];

fn asked(request: &[u8]) -> (Progress, Vec<u8>) {
    let (progress, answer, _) = exchange(None, &[HELLO, request].concat());
    assert_eq!(answer[..2], [5, 0]);
    (progress, answer[2..].to_vec())
}

fn connect(text: &str) -> Progress {
    Progress::Asked(Asked::Connect(text.parse().unwrap()))
}

#[test]
fn greetings() {
    let login = Some("ann:secret");
    for (credentials, greeting, answer, refused) in [
        (None, &[5, 1, 0][..], &[5, 0][..], None),
        (None, &[5, 2, 0, 2], &[5, 0], None),
        (None, &[5, 3, 1, 2, 0], &[5, 0], None),
        (None, &[5, 1, 2], &[5, 0xff], Some(Malformed::Credentials)),
        (None, &[5, 0], &[5, 0xff], Some(Malformed::Credentials)),
        (None, &[5, 2, 1, 0x80], &[5, 0xff], Some(Malformed::Credentials)),
        (login, &[5, 1, 2], &[5, 2], None),
        (login, &[5, 2, 0, 2], &[5, 2], None),
        (login, &[5, 1, 0], &[5, 0xff], Some(Malformed::Credentials)),
        (None, &[4, 1, 0, 80, 127, 0, 0, 1, 0], &[], Some(Malformed::Bytes)),
        (None, &[6, 1, 0], &[], Some(Malformed::Bytes)),
        (None, &[0], &[], Some(Malformed::Bytes)),
        (None, &[22, 3, 1], &[], Some(Malformed::Bytes)),
        (None, b"GET / HTTP/1.1\r\n", IS_NO_HTTP, Some(Malformed::Bytes)),
        (None, b"CONNECT a:1 HTTP/1.1\r\n", IS_NO_HTTP, Some(Malformed::Bytes)),
        (None, &[5], &[], None),
        (None, &[5, 2, 0], &[], None),
        (None, &[], &[], None),
    ] {
        let (progress, said, _) = exchange(credentials, greeting);
        let expected = refused.map_or(Progress::More, Progress::Refused);
        assert_eq!((progress, said.as_slice()), (expected, answer), "{greeting:?}");
    }
}

#[test]
fn logins() {
    let hello = [5, 1, 2];
    let wrong = Progress::Refused(Malformed::Credentials);
    for (login, answer, progress) in [
        (&b"\x01\x03ann\x06secret"[..], &[1, 0][..], Progress::More),
        (b"\x01\x03ann\x06secreT", &[1, 1], wrong.clone()),
        (b"\x01\x03ann\x00", &[1, 1], wrong.clone()),
        (b"\x01\x00\x00", &[1, 1], wrong.clone()),
        (b"\x01\x03bob\x06secret", &[1, 1], wrong.clone()),
        (b"\x01\x03ann\x07secretx", &[1, 1], wrong),
        (b"\x05\x03ann\x06secret", &[], Progress::Refused(Malformed::Bytes)),
        (b"\x01\x03ann\x06secre", &[], Progress::More),
        (b"\x01\x03an", &[], Progress::More),
        (b"\x01", &[], Progress::More),
    ] {
        let (is, said, _) = exchange(Some("ann:secret"), &[&hello[..], login].concat());
        assert_eq!((is, &said[2..]), (progress, answer), "{login:?}");
    }
    let whole = [&hello[..], b"\x01\x03ann\x06secret", &[5, 1, 0, 1, 10, 0, 0, 1, 0, 80]].concat();
    assert_eq!(exchange(Some("ann:secret"), &whole).0, connect("10.0.0.1:80"));
}

#[test]
fn requests() {
    let name =
        |name: &[u8], port: [u8; 2]| [&[5, 1, 0, 3, name.len() as u8][..], name, &port].concat();
    let v6 = |octets: [u8; 16]| [&[5, 1, 0, 4][..], &octets, &[0, 80]].concat();
    let localhost = Ipv6Addr::LOCALHOST.octets();
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
    for (request, target) in [
        (vec![5, 1, 0, 1, 127, 0, 0, 1, 0, 80], "127.0.0.1:80"),
        (vec![5, 1, 0, 1, 0, 0, 0, 0, 0xff, 0xff], "0.0.0.0:65535"),
        (v6(localhost), "[::1]:80"),
        (v6(mapped), "127.0.0.1:80"),
        (name(b"example.org", [1, 187]), "example.org:443"),
        (name(b"Example.Org.", [1, 187]), "example.org:443"),
        (name(b"127.0.0.1", [0, 1]), "127.0.0.1:1"),
        (name(b"::1", [0, 1]), "[::1]:1"),
        (name(b"a", [0, 1]), "a:1"),
    ] {
        assert_eq!(asked(&request), (connect(target), Vec::new()), "{request:?}");
    }
    let associate = Progress::Asked(Asked::Associate);
    for request in [
        vec![5, 3, 0, 1, 0, 0, 0, 0, 0, 0],
        vec![5, 3, 0, 1, 127, 0, 0, 1, 0x9c, 0x40],
        [&[5, 3, 0, 4][..], &[0; 18]].concat(),
    ] {
        assert_eq!(asked(&request), (associate.clone(), Vec::new()), "{request:?}");
    }
}

#[test]
fn requests_that_are_refused() {
    let reply = |code| vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0];
    let of_name = |name: &[u8]| [&[5, 1, 0, 3, name.len() as u8][..], name, &[0, 80]].concat();
    let bad = Progress::Refused(Malformed::Bytes);
    for (request, code, progress) in [
        (vec![4, 1, 0, 1, 127, 0, 0, 1, 0, 80], 1, bad.clone()),
        (vec![5, 0, 0, 1, 127, 0, 0, 1, 0, 80], 7, bad.clone()),
        (vec![5, 4, 0, 1, 127, 0, 0, 1, 0, 80], 7, bad.clone()),
        (vec![5, 0xf0, 0, 3, 0], 7, bad.clone()),
        (vec![5, 2, 0, 1, 127, 0, 0, 1, 0, 80], 7, Progress::Refused(Malformed::Unsupported)),
        (vec![5, 1, 1, 1, 127, 0, 0, 1, 0, 80], 1, bad.clone()),
        (vec![5, 1, 0, 0], 8, bad.clone()),
        (vec![5, 1, 0, 2, 127, 0, 0, 1], 8, bad.clone()),
        (vec![5, 1, 0, 5], 8, bad.clone()),
        (vec![5, 1, 0, 1, 127, 0, 0, 1, 0, 0], 1, bad.clone()),
        (vec![5, 1, 0, 3, 0, 0, 80], 1, bad.clone()),
        (of_name(b"a b"), 1, bad.clone()),
        (of_name(b"a\0b"), 1, bad.clone()),
        (of_name(b"a\r\nb"), 1, bad.clone()),
        (of_name(&[0xff, 0xfe]), 1, bad.clone()),
        (of_name(b"."), 1, bad.clone()),
        (of_name(b"a..b"), 1, bad.clone()),
        (of_name(b"[::1]"), 1, bad.clone()),
        (of_name(b"fe80::1%lo"), 1, bad.clone()),
        (of_name(b"user@host"), 1, bad),
    ] {
        assert_eq!(asked(&request), (progress, reply(code)), "{request:?}");
    }
    for short in [
        &[5][..],
        &[5, 1],
        &[5, 1, 0],
        &[5, 1, 0, 1],
        &[5, 1, 0, 1, 127, 0, 0, 1, 0],
        &[5, 1, 0, 3],
        &[5, 1, 0, 3, 5, b'a'],
        &[5, 1, 0, 4, 0],
    ] {
        assert_eq!(asked(short), (Progress::More, Vec::new()), "{short:?}");
    }
}

#[test]
fn what_stands_behind_the_request_is_the_stream() {
    let bytes = [HELLO, &[5, 1, 0, 1, 10, 0, 0, 1, 0, 80], b"GET / HTTP/1.0\r\n\r\n"].concat();
    let (progress, answer, rest) = exchange(None, &bytes);
    assert_eq!((progress, answer.len()), (connect("10.0.0.1:80"), 2));
    assert_eq!(rest, b"GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn answers_are_those_of_the_rfc() {
    let bound = |text: &str| succeeded(text.parse().unwrap());
    assert_eq!(bound("127.0.0.1:258"), [5, 0, 0, 1, 127, 0, 0, 1, 1, 2]);
    assert_eq!(bound("[::1]:1")[..4], [5, 0, 0, 4]);
    assert_eq!(bound("[::1]:1").len(), 22);
    for (failure, code) in [
        (Failure::General, 1),
        (Failure::NotAllowed, 2),
        (Failure::NetworkUnreachable, 3),
        (Failure::HostUnreachable, 4),
        (Failure::ConnectionRefused, 5),
        (Failure::TimedOut, 6),
    ] {
        assert_eq!(failed(failure), [5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered_in_bounds(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let (_, answer, rest) = exchange(Some("ann:secret"), &bytes);
        prop_assert!(answer.len() <= IS_NO_HTTP.len());
        prop_assert!(rest.len() <= bytes.len());
    }

    #[test]
    fn nothing_is_held_beyond_the_longest_message(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut negotiation = Negotiation::new(None);
        let mut answer = Vec::new();
        for byte in [&[5, 1, 0][..], &bytes].concat() {
            if negotiation.handle(&[byte], &mut answer) != Progress::More { break }
            prop_assert!(negotiation.held.len() <= 3 + 255 + 255);
        }
    }
}
