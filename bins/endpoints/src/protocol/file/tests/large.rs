//! Files of which little is there, or is not read yet.

use super::*;

#[test]
fn a_far_chunk_alone_costs_no_walk_through_the_hole_before_it() {
    let size = (4u64 << 30) - 5;
    let last = (size / CHUNK as u64) as u32;
    let counted = Sparse(std::rc::Rc::default());
    let settings = UdpFileReceiverSettings::default();
    let mut sparse = UdpFileReceiver::new(settings, counted.clone());
    answer(&mut sparse, Instant::START, peer(), &announce(Instant::START, peer(), 1, size));
    let bytes = vec![7; CHUNK - 5];
    let far = ChunkDatagram { transfer: 1, number: last, chunk: &bytes }.encode();
    sparse.handle(Instant::START, peer(), &far);
    let done = ClientControl::Done { transfer: 1, page: 0, digest: None }.encode();
    sparse.handle(Instant::START, peer(), &done);
    sparse.poll(Instant::from_secs(1));
    let (_, digest) = sparse.next_received().unwrap().stored.unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    assert_eq!(counted.0.get(), (size, bytes.len() as u64), "made so long, read so much");
}

/// A folder for one file that holds its last chunk, and counts its size and what is read of it.
#[derive(Clone, Debug)]
struct Sparse(std::rc::Rc<std::cell::Cell<(u64, u64)>>);

impl Folder for Sparse {
    type File = Self;

    fn create(&mut self) -> io::Result<Self> {
        Ok(self.clone())
    }
}

impl Partial for Sparse {
    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&mut self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(7);
        self.0.set((self.0.get().0, self.0.get().1 + buffer.len() as u64));
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set((size, 0));
        Ok(())
    }

    fn finish(mut self, rest: RestOfDigest) -> Finishing {
        let stored = |digest| StoredFile { name: "sparse".to_owned(), digest };
        Finishing::ended(rest.read(&mut self).map(stored))
    }
}

/// A file whose digest nobody knows before it has been read.
#[derive(Debug)]
struct Unread(Memory);

impl Source for Unread {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

#[test]
fn a_file_is_announced_before_it_is_read_and_its_digest_follows() {
    for size in [0, 1, 10 * CHUNK + 100] {
        let (mut receiver, folder) = receiver();
        let source = Unread(Memory::new(file(size)));
        let settings = UdpFileSenderSettings::new(server(), 77);
        let mut sender = UdpFileSender::new(settings, source);
        run(&mut sender, &mut receiver, |datagram| {
            if let Ok(ClientControl::Start { digest, .. }) = ClientControl::decode(datagram) {
                assert_eq!(digest.is_some(), size == 0);
            }
            clean(datagram)
        });
        assert_eq!(sender.digest(), Some(Digest::of(&file(size))));
        let received = receiver.next_received().unwrap();
        assert_eq!((received.sent, received.is_equal()), (sender.digest(), true));
        assert_eq!(folder.finished(), [file(size)]);
    }
}
