//! What a forward proxy reads from clients: SOCKS5, its datagrams, and HTTP.
#![no_main]

use jostle_common::http1::RequestFraming;
use jostle_forward::{Allowed, Asked, Credentials, Progress, http, socks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, Vec<u8>)| {
    let (step, secret, bytes) = input;
    let credentials = secret.then(|| Credentials::read("a:b").expect("a user and a password"));
    let step = usize::from(step).max(1);
    let mut socks = socks::Negotiation::new(credentials.clone());
    let mut web = http::Negotiation::new(credentials);
    asked(&bytes, step, |piece, answer| socks.handle(piece, answer));
    asked(&bytes, step, |piece, answer| web.handle(piece, answer));
    if let Ok((target, at)) = socks::datagram::read(&bytes) {
        assert!(at <= bytes.len() && target.port > 0);
    }
});

/// Follows a client up to its request, and checks that what is asked for can be written.
fn asked(bytes: &[u8], step: usize, mut handle: impl FnMut(&[u8], &mut Vec<u8>) -> Progress) {
    let mut answer = Vec::new();
    for piece in bytes.chunks(step) {
        let target = match handle(piece, &mut answer) {
            Progress::More => continue,
            Progress::Refused(_) | Progress::Asked(Asked::Associate(_)) => return,
            Progress::Asked(Asked::Connect(target)) => target,
            Progress::Asked(Asked::Fetch { target, head }) => {
                let mut framing = RequestFraming::new(1 << 20);
                assert_eq!(framing.follow(&head), head.len());
                assert!(framing.wrong().is_none());
                target
            }
        };
        assert_eq!(target.to_string().parse(), Ok(target.clone()));
        let public = Allowed::new([], true).expect("an empty list");
        let _ = public.judge(&target);
        return;
    }
}
