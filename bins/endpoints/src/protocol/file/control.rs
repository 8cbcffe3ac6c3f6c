//! The control datagrams, each of which is repeated until it is answered.

use super::account::ChunkCounts;
use crate::protocol::cookie::Cookie;
use crate::protocol::wire::{CRC_SIZE, DatagramFields, Unreadable, open, seal};
use bytes::Bytes;
use jostle_common::digest::Digest;

/// Every control datagram is shorter than this.
pub const CONTROL_SIZE_MAX: usize = 1200;
/// The size of every control datagram from the client: a third of the longest answer, so that
/// no third party can be flooded with answers.
pub const CLIENT_CONTROL_SIZE: usize = CONTROL_SIZE_MAX / 3;
/// The number of chunks that one page of a report describes, two in a byte.
pub const PAGE_CHUNKS: u32 = 1600;
/// The longest name of a received file, in bytes; a longer one is cut in the report.
pub const NAME_MAX: usize = 200;
/// The longest reason for a refusal, in bytes.
pub const REASON_MAX: usize = 200;

const START: &[u8; 4] = b"FILE";
const DONE: &[u8; 4] = b"DONE";
const BYE: &[u8; 4] = b"BYE.";
const PROVE: &[u8; 4] = b"COOK";
const ACCEPT: &[u8; 4] = b"OKAY";
const WAIT: &[u8; 4] = b"WAIT";
const REFUSE: &[u8; 4] = b"NOPE";
const REPORT: &[u8; 4] = b"REPT";

/// A control datagram of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientControl {
    /// A file of `size` bytes will come.
    Start {
        /// The transfer, by a random number that the client chose.
        transfer: u64,
        /// The size of the file in bytes.
        size: u64,
        /// The digest of the file, if it is known by now.
        digest: Option<Digest>,
        /// The cookie that the server gave to this address.
        cookie: Option<Cookie>,
    },
    /// All chunks were sent; asks for a page of the report.
    Done {
        /// The transfer.
        transfer: u64,
        /// The page that is asked for, from 0.
        page: u32,
        /// The digest of the file: it may have become known while it was sent.
        digest: Option<Digest>,
    },
    /// The report has arrived: the server may forget the transfer. Never answered.
    Bye {
        /// The transfer.
        transfer: u64,
    },
}

impl ClientControl {
    /// Returns the datagram, always of [`CLIENT_CONTROL_SIZE`] bytes.
    pub fn encode(&self) -> Bytes {
        let mut datagram = Vec::with_capacity(CLIENT_CONTROL_SIZE);
        match self {
            Self::Start { transfer, size, digest, cookie } => {
                datagram.extend_from_slice(START);
                datagram.extend_from_slice(&transfer.to_be_bytes());
                datagram.extend_from_slice(&size.to_be_bytes());
                datagram.extend_from_slice(&written(*digest));
                datagram.extend_from_slice(&Cookie::bytes(*cookie));
            }
            Self::Done { transfer, page, digest } => {
                datagram.extend_from_slice(DONE);
                datagram.extend_from_slice(&transfer.to_be_bytes());
                datagram.extend_from_slice(&page.to_be_bytes());
                datagram.extend_from_slice(&written(*digest));
            }
            Self::Bye { transfer } => {
                datagram.extend_from_slice(BYE);
                datagram.extend_from_slice(&transfer.to_be_bytes());
            }
        }
        datagram.resize(CLIENT_CONTROL_SIZE - CRC_SIZE, 0);
        seal(datagram)
    }

    /// Reads a datagram.
    pub(super) fn decode(datagram: &[u8]) -> Result<Self, Unreadable> {
        let body = open(datagram).ok_or(Unreadable::Damaged)?;
        let sized = if datagram.len() == CLIENT_CONTROL_SIZE { Some(body) } else { None };
        sized.and_then(Self::read).ok_or(Unreadable::Senseless)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let mut fields = DatagramFields::new(body);
        let (magic, transfer) = (fields.array::<4>()?, fields.u64()?);
        match &magic {
            START => {
                let (size, digest) = (fields.u64()?, known(fields.array()?));
                let cookie = Cookie::read(fields.array()?);
                Some(Self::Start { transfer, size, digest, cookie })
            }
            DONE => {
                let (page, digest) = (fields.u32()?, known(fields.array()?));
                Some(Self::Done { transfer, page, digest })
            }
            BYE => Some(Self::Bye { transfer }),
            _ => None,
        }
    }
}

/// Returns the bytes that stand for a digest that is known, or not yet.
fn written(digest: Option<Digest>) -> [u8; 32] {
    digest.map_or([0; 32], |digest| digest.0)
}

/// Reads a digest; zeros stand for one that is not known yet.
fn known(bytes: [u8; 32]) -> Option<Digest> {
    (bytes != [0; 32]).then_some(Digest(bytes))
}

/// A control datagram of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerControl {
    /// The transfer may begin once it is announced with this cookie.
    Prove {
        /// The transfer.
        transfer: u64,
        /// The cookie of the address from which it was announced.
        cookie: Cookie,
    },
    /// The transfer may begin.
    Accept {
        /// The transfer.
        transfer: u64,
    },
    /// The report is not ready: chunks may still be on their way.
    Wait {
        /// The transfer.
        transfer: u64,
    },
    /// The transfer is refused, or has failed.
    Refuse {
        /// The transfer.
        transfer: u64,
        /// The reason, for people.
        reason: String,
    },
    /// The result of the transfer.
    Report {
        /// The transfer.
        transfer: u64,
        /// The counts, and a page of the map.
        page: ReportPage,
    },
}

/// A page of the server's report. Every page repeats the counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPage {
    /// The number of the page, from 0.
    pub page: u32,
    /// The counts of the chunks by their fate.
    pub counts: ChunkCounts,
    /// From the first data datagram to the last, in nanoseconds.
    pub nanos: u64,
    /// The digest of the chunks that arrived, in their order; of the file if all did.
    pub digest: Digest,
    /// The name that the file got; empty when nothing of it arrived, so that none was made.
    pub name: String,
    /// Two chunks per byte, the first in the high half: see [`super::ChunkFate::code`].
    pub map: Vec<u8>,
}

impl ServerControl {
    /// Returns the datagram, of less than [`CONTROL_SIZE_MAX`] bytes; names, reasons and maps
    /// beyond their bounds are cut.
    pub fn encode(&self) -> Bytes {
        let (magic, transfer) = match self {
            Self::Prove { transfer, .. } => (PROVE, transfer),
            Self::Accept { transfer } => (ACCEPT, transfer),
            Self::Wait { transfer } => (WAIT, transfer),
            Self::Refuse { transfer, .. } => (REFUSE, transfer),
            Self::Report { transfer, .. } => (REPORT, transfer),
        };
        let mut datagram = [&magic[..], &transfer.to_be_bytes()].concat();
        match self {
            Self::Accept { .. } | Self::Wait { .. } => {}
            Self::Prove { cookie, .. } => {
                datagram.extend_from_slice(&Cookie::bytes(Some(*cookie)));
            }
            Self::Refuse { reason, .. } => {
                datagram.extend_from_slice(cut(reason, REASON_MAX).as_bytes())
            }
            Self::Report { page, .. } => page.write(&mut datagram),
        }
        seal(datagram)
    }

    /// Reads a datagram.
    pub(super) fn decode(datagram: &[u8]) -> Result<Self, Unreadable> {
        let body = open(datagram).ok_or(Unreadable::Damaged)?;
        let sized = if datagram.len() < CONTROL_SIZE_MAX { Some(body) } else { None };
        sized.and_then(Self::read).ok_or(Unreadable::Senseless)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let mut fields = DatagramFields::new(body);
        let (magic, transfer) = (fields.array::<4>()?, fields.u64()?);
        match &magic {
            PROVE => Some(Self::Prove { transfer, cookie: Cookie::read(fields.array()?)? }),
            ACCEPT => Some(Self::Accept { transfer }),
            WAIT => Some(Self::Wait { transfer }),
            REFUSE => Some(Self::Refuse {
                transfer,
                reason: String::from_utf8_lossy(fields.rest()).into_owned(),
            }),
            REPORT => Some(Self::Report { transfer, page: ReportPage::read(fields)? }),
            _ => None,
        }
    }
}

impl ReportPage {
    fn write(&self, datagram: &mut Vec<u8>) {
        let ChunkCounts { chunks, intact, missing, damaged, doubled, late, unknown } = self.counts;
        for number in [self.page, chunks, intact, missing, damaged] {
            datagram.extend_from_slice(&number.to_be_bytes());
        }
        for number in [doubled, u64::from(late), unknown, self.nanos] {
            datagram.extend_from_slice(&number.to_be_bytes());
        }
        datagram.extend_from_slice(&self.digest.0);
        let name = cut(&self.name, NAME_MAX);
        datagram.push(name.len() as u8);
        datagram.extend_from_slice(name.as_bytes());
        datagram.extend_from_slice(&self.map[..self.map.len().min(PAGE_CHUNKS as usize / 2)]);
    }

    fn read(mut fields: DatagramFields<'_>) -> Option<Self> {
        let page = fields.u32()?;
        let (chunks, intact, missing, damaged) =
            (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let (doubled, late, unknown, nanos) =
            (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
        let late = u32::try_from(late).ok()?;
        let digest = Digest(fields.array()?);
        let length = fields.u8()?;
        let name = String::from_utf8_lossy(fields.bytes(length.into())?).into_owned();
        let counts = ChunkCounts { chunks, intact, missing, damaged, doubled, late, unknown };
        Some(Self { page, counts, nanos, digest, name, map: fields.rest().to_vec() })
    }
}

/// Returns the longest start of `text` within `bytes_max` that ends between two characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::file::DATA_SIZE;
    use proptest::prelude::*;

    fn report(name: String, map: Vec<u8>) -> ServerControl {
        let counts = ChunkCounts {
            chunks: 9,
            intact: 4,
            missing: 3,
            damaged: 2,
            doubled: 1,
            late: 5,
            unknown: 6,
        };
        let page = ReportPage { page: 2, counts, nanos: 77, digest: Digest::of(b"x"), name, map };
        ServerControl::Report { transfer: 1, page }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(transfer: u64, size: u64, page: u32, reason in ".{0,50}",
            map in prop::collection::vec(any::<u8>(), 0..=800), mut cookie: [u8; 16], known: bool) {
            cookie[0] |= 1;
            let (digest, cookie) = (known.then(|| Digest::of(b"")), Cookie::read(cookie));
            for control in [
                ClientControl::Start { transfer, size, digest, cookie },
                ClientControl::Done { transfer, page, digest },
                ClientControl::Bye { transfer },
            ] {
                let datagram = control.encode();
                prop_assert_eq!(datagram.len(), CLIENT_CONTROL_SIZE);
                prop_assert_eq!(ClientControl::decode(&datagram), Ok(control));
            }
            for control in [
                ServerControl::Prove { transfer, cookie: cookie.unwrap() },
                ServerControl::Accept { transfer },
                ServerControl::Wait { transfer },
                ServerControl::Refuse { transfer, reason: reason.clone() },
                report(reason, map),
            ] {
                let datagram = control.encode();
                prop_assert!(datagram.len() < CONTROL_SIZE_MAX);
                prop_assert_eq!(ServerControl::decode(&datagram), Ok(control));
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(body: Vec<u8>, kind in 0usize..9) {
            let magic: &[u8] = [START, DONE, BYE, PROVE, ACCEPT, WAIT, REFUSE, REPORT, b"\0\0\0\0"][kind];
            for datagram in [seal([magic, &body].concat()), body.into()] {
                let _ = (ClientControl::decode(&datagram), ServerControl::decode(&datagram));
            }
        }
    }

    #[test]
    fn the_longest_of_everything_is_still_a_control_datagram() {
        const { assert!(CONTROL_SIZE_MAX < DATA_SIZE) };
        let longest = report("ü".repeat(300), vec![0; 5000]).encode();
        assert!(longest.len() < CONTROL_SIZE_MAX && longest.len() > 1000, "{}", longest.len());
        let Ok(ServerControl::Report { page, .. }) = ServerControl::decode(&longest) else {
            panic!()
        };
        assert_eq!((page.name.len(), page.map.len()), (NAME_MAX, 800));
        let refusal = ServerControl::Refuse { transfer: 1, reason: "x".repeat(5000) }.encode();
        assert!(refusal.len() <= CLIENT_CONTROL_SIZE);
    }
}
