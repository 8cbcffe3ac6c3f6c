//! Files for which there is no room.

use super::*;

#[test]
fn a_file_beyond_the_limit_is_refused_with_the_reason() {
    let settings = UdpFileReceiverSettings { size_max: 100, ..UdpFileReceiverSettings::default() };
    let mut receiver = UdpFileReceiver::new(settings, MemoryFolder::default());
    let mut sender = sender(101);
    run(&mut sender, &mut receiver, clean);
    let Some(Err(UdpFileFailure::Rejected { reason, .. })) = sender.outcome() else { panic!() };
    assert_eq!(reason, "the file has 101 bytes, the server takes 100");
    assert_eq!((sender.report().packets, receiver.report().refused), (0, 1));
}

/// A folder on a disk that is full after so many bytes.
struct Full(u64);

#[derive(Debug)]
struct FullFile(MemoryFile, u64);

impl Folder for Full {
    type File = FullFile;

    fn create(&mut self) -> io::Result<FullFile> {
        Ok(FullFile(MemoryFolder::default().create()?, self.0))
    }
}

impl Partial for FullFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(offset, bytes)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn finish(self, _: RestOfDigest) -> Finishing {
        panic!("a file that could not be stored gets no name")
    }
}

#[test]
fn a_full_disk_is_told_to_the_sender_at_once() {
    let mut receiver =
        UdpFileReceiver::new(UdpFileReceiverSettings::default(), Full(5 * CHUNK as u64));
    let mut sender = sender(100 * CHUNK);
    run(&mut sender, &mut receiver, clean);
    let Some(Err(UdpFileFailure::Rejected { reason, .. })) = sender.outcome() else { panic!() };
    assert!(reason.contains("no storage space"), "{reason}");
    assert!(sender.report().packets < 10);
    assert!(receiver.next_received().unwrap().stored.is_err());
}
