use super::*;
use proptest::prelude::*;

/// What becomes of an exchange whose bytes come in these pieces: the progress, the answer, and what
/// stands behind the request.
fn exchange<'a>(
    credentials: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Progress, Vec<u8>, Vec<u8>) {
    let credentials = credentials.map(|text| Credentials::read(text).unwrap());
    let mut negotiation = Negotiation::new(credentials);
    let (mut answer, mut progress) = (Vec::new(), Progress::More);
    let mut pieces = pieces.into_iter();
    for piece in pieces.by_ref() {
        progress = negotiation.handle(piece, &mut answer);
        if progress != Progress::More {
            break;
        }
    }
    let mut rest = negotiation.rest();
    match progress {
        Progress::Asked(_) => rest.extend(pieces.flatten()),
        _ => rest.clear(),
    }
    (progress, answer, rest)
}

/// Reads bytes as the table writes them.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, behind) = quoted.split_once('"').unwrap();
            bytes.extend(text.as_bytes());
            rest = behind.trim_start();
            continue;
        }
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = behind.trim_start();
        let (byte, count) = word.split_once('*').unwrap_or((word, "1"));
        let byte = u8::from_str_radix(byte, 16).unwrap();
        bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), byte);
    }
    bytes
}

/// Writes an outcome as the table does.
fn outcome(progress: &Progress, rest: &[u8]) -> String {
    let asked = match progress {
        Progress::More => return "more".into(),
        Progress::Refused(why) => return why.name().into(),
        Progress::Asked(Asked::Connect(target)) => format!("connect {target}"),
        Progress::Asked(Asked::Associate(Sender { host, port })) => {
            format!("associate {host}:{port}")
        }
        Progress::Asked(Asked::Fetch { .. }) => panic!("that is HTTP"),
    };
    if rest.is_empty() { asked } else { format!("{asked} behind {}", rest.len()) }
}

#[test]
fn exchanges_are_those_of_the_rfcs_however_they_are_cut() {
    let mut count = 0;
    for line in include_str!("conformance.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [user, client, answer, expected] = columns[..] else { panic!("{line}") };
        let user = (user != "-").then_some(user);
        let client = bytes(client);
        let answer = if answer == "no_http" { IS_NO_HTTP.to_vec() } else { bytes(answer) };
        let check = |pieces: &[&[u8]]| {
            let (progress, said, rest) = exchange(user, pieces.iter().copied());
            assert_eq!(outcome(&progress, &rest), expected, "{line}: {pieces:?}");
            assert_eq!(said, answer, "{line}: {pieces:?}");
            assert_eq!(rest, client[client.len() - rest.len()..], "{line}");
        };
        for cut in 0..=client.len() {
            let (first, second) = client.split_at(cut);
            check(&[first, second]);
        }
        check(&client.chunks(1).collect::<Vec<_>>());
        count += 1;
    }
    assert!(count >= 100, "{count}");
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
        let (_, answer, rest) = exchange(Some("ann:secret"), [bytes.as_slice()]);
        prop_assert!(answer.len() <= IS_NO_HTTP.len());
        prop_assert!(rest.len() <= bytes.len());
    }

    #[test]
    fn nothing_is_held_beyond_the_longest_message(
        bytes in prop::collection::vec(any::<u8>(), 0..64)
    ) {
        let mut negotiation = Negotiation::new(None);
        let mut answer = Vec::new();
        for byte in [&[5, 1, 0][..], &bytes].concat() {
            if negotiation.handle(&[byte], &mut answer) != Progress::More { break }
            prop_assert!(negotiation.held.len() <= 3 + 255 + 255);
        }
    }
}
