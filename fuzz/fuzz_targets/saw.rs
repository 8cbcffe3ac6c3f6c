//! Both ends of stop-and-wait, against any datagrams.
#![no_main]

use jostle_endpoints::protocol::saw::{SawClient, SawClientSettings, SawServer};
use jostle_endpoints::protocol::storage::Memory;
use jostle_fuzz::{Datagram, PEER, drive};
use libfuzzer_sys::fuzz_target;

const KNOWN: [&[u8]; 6] = [
    b"SAW?",
    b"SAW!",
    b"SAW!\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x05",
    b"SAW+",
    b"SAW.",
    b"SAW!\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x20\0",
];

fuzz_target!(|datagrams: Vec<Datagram>| {
    drive(&mut SawClient::new(SawClientSettings::new(PEER), Vec::new()), &datagrams, &KNOWN);
    drive(&mut SawServer::new(Memory::new(vec![7; 10_000]), None), &datagrams, &KNOWN);
});
