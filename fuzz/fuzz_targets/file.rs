//! Both ends of a file over UDP, and the naive receiver, against any datagrams.
#![no_main]

use jostle_common::time::Instant;
use jostle_endpoints::protocol::cookie::{Cookie, CookieJar};
use jostle_endpoints::protocol::file::{
    NaiveReceiver, NaiveSettings, UdpFileReceiver, UdpFileReceiverSettings, UdpFileSender,
    UdpFileSenderSettings,
};
use jostle_endpoints::protocol::storage::{Memory, MemoryFolder};
use jostle_fuzz::{Datagram, PEER, drive};
use libfuzzer_sys::fuzz_target;

const KNOWN: [&[u8]; 9] = [
    b"FILE\0\0\0\0\0\0\0\x07",
    b"COOK\0\0\0\0\0\0\0\x07",
    b"DATA\0\0\0\0\0\0\0\x07\0\0\0",
    b"DONE\0\0\0\0\0\0\0\x07",
    b"BYE.\0\0\0\0\0\0\0\x07",
    b"OKAY\0\0\0\0\0\0\0\x07",
    b"WAIT\0\0\0\0\0\0\0\x07",
    b"REPT\0\0\0\0\0\0\0\x07",
    b"NOPE\0\0\0\0\0\0\0\x07",
];

fuzz_target!(|datagrams: Vec<Datagram>| {
    // What is stored here is held in memory, so little is accepted.
    let settings =
        UdpFileReceiverSettings { size_max: 1 << 20, ..UdpFileReceiverSettings::default() };
    // Nothing gets far without the cookie that the receiver gives.
    let start = b"FILE\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x23\x28";
    let cookie = CookieJar::new(settings.secret).cookie(Instant::START, PEER);
    let start = [&start[..], &[0; 32], &Cookie::bytes(Some(cookie))].concat();
    let known = [&[&start[..]], &KNOWN[..]].concat();
    let mut receiver = UdpFileReceiver::new(settings, MemoryFolder::default());
    drive(&mut receiver, &datagrams, &known);
    while receiver.next_received().is_some() {}
    drive(
        &mut UdpFileSender::new(UdpFileSenderSettings::new(PEER, 7), Memory::new(vec![7; 9000])),
        &datagrams,
        &KNOWN,
    );
    let settings = NaiveSettings { size_max: 1 << 20, ..NaiveSettings::default() };
    let mut naive = NaiveReceiver::new(settings, MemoryFolder::default());
    drive(&mut naive, &datagrams, &KNOWN);
    while naive.next_received().is_some() {}
});
