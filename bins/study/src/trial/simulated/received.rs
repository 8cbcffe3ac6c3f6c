//! The place where virtual files arrive: each chunk is compared with what was sent, and only what
//! differs is kept.

use super::Content;
use jostle_common::digest::Hasher;
use jostle_endpoints::protocol::file::ChunkState;
use jostle_endpoints::protocol::finishing::{Finishing, RestOfDigest, StoredFile};
use jostle_endpoints::protocol::storage::{Folder, Partial, Sink, Source};
use jostle_endpoints::protocol::{CHUNK_BYTES, chunk_length, chunks_in};
use std::cell::{Ref, RefCell};
use std::io;
use std::rc::Rc;

fn chunks(content: &Content) -> u32 {
    chunks_in(content.size()).expect("what is carried fits into memory")
}

/// A file that comes from front to back.
#[derive(Debug)]
pub(super) struct Appended {
    content: Content,
    /// The bytes that came.
    size: u64,
    /// True if the chunk that is coming is right so far.
    is_right: bool,
    whole: Vec<ChunkState>,
}

impl Appended {
    pub(super) fn new(content: &Content) -> Self {
        Self { content: content.clone(), size: 0, is_right: true, whole: Vec::new() }
    }

    /// Returns true if it is what was sent; `None` when nothing came.
    pub(super) fn is_equal(&self) -> Option<bool> {
        let is_right = || self.whole.iter().all(|state| *state == ChunkState::Intact);
        (self.size > 0).then(|| self.size == self.content.size() && is_right())
    }

    /// Returns the fate of each chunk: a file that ends within one has not brought it.
    pub(super) fn chunks(&self) -> Vec<ChunkState> {
        let mut states = self.whole.clone();
        states.resize(chunks(&self.content) as usize, ChunkState::Missing);
        states
    }
}

impl Sink for Appended {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let chunk = chunk_length(self.content.size(), self.whole.len() as u32);
            if chunk == 0 {
                // Behind the end.
                self.size += bytes.len() as u64;
                return Ok(());
            }
            let within = self.size - self.whole.len() as u64 * CHUNK_BYTES;
            let (piece, rest) = bytes.split_at(bytes.len().min(chunk - within as usize));
            let start = self.size as usize;
            self.is_right &= self.content.bytes()[start..start + piece.len()] == *piece;
            self.size += piece.len() as u64;
            if within as usize + piece.len() == chunk {
                let is_right = std::mem::replace(&mut self.is_right, true);
                self.whole.push(if is_right { ChunkState::Intact } else { ChunkState::Damaged });
            }
            bytes = rest;
        }
        Ok(())
    }

    fn hasher(&self) -> Hasher {
        self.content.hasher()
    }
}

/// A folder for one file that comes from front to back. Its clones are the same folder.
#[derive(Clone, Debug)]
pub(super) struct AppendedFolder(Rc<RefCell<Appended>>);

impl AppendedFolder {
    pub(super) fn new(content: &Content) -> Self {
        Self(Rc::new(RefCell::new(Appended::new(content))))
    }

    /// Returns the bytes that came.
    pub(super) fn received(&self) -> Ref<'_, Appended> {
        self.0.borrow()
    }
}

impl Folder for AppendedFolder {
    type File = Self;

    fn create(&mut self) -> io::Result<Self> {
        Ok(self.clone())
    }

    fn hasher(&self) -> Hasher {
        self.0.borrow().content.hasher()
    }
}

impl Partial for AppendedFolder {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut received = self.0.borrow_mut();
        debug_assert_eq!(offset, received.size, "a stream has no holes");
        received.append(bytes)
    }

    fn read_at(&mut self, _offset: u64, _buffer: &mut [u8]) -> io::Result<()> {
        // A stream's digest is made as it comes, so nothing is read back.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_size(&mut self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn finish(mut self, rest: RestOfDigest) -> Finishing {
        let stored = |digest| StoredFile { name: "received".to_owned(), digest };
        Finishing::ended(rest.read(&mut self).map(stored))
    }
}

/// The content in the place of a chunk.
#[derive(Debug)]
enum Piece {
    Hole,
    Same,
    Other(Box<[u8]>),
}

/// A folder for one file, whose chunks come in any order, whole or not at all.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    content: Content,
    /// Chunk by chunk, as soon as the file is made.
    pieces: Rc<RefCell<Option<Vec<Piece>>>>,
}

impl Inbox {
    pub(super) fn new(content: &Content) -> Self {
        Self { content: content.clone(), pieces: Rc::default() }
    }

    /// Returns true if the content is what was sent; `None` when there is none.
    pub(super) fn is_equal(&self) -> Option<bool> {
        let is_right =
            |pieces: &Vec<Piece>| pieces.iter().all(|piece| matches!(piece, Piece::Same));
        self.pieces.borrow().as_ref().map(is_right)
    }

    /// Returns the fate of each chunk.
    pub(super) fn chunks(&self) -> Vec<ChunkState> {
        let state = |piece: &Piece| match piece {
            Piece::Hole => ChunkState::Missing,
            Piece::Same => ChunkState::Intact,
            Piece::Other(_) => ChunkState::Damaged,
        };
        match self.pieces.borrow().as_ref() {
            Some(pieces) => pieces.iter().map(state).collect(),
            None => vec![ChunkState::Missing; chunks(&self.content) as usize],
        }
    }
}

impl Folder for Inbox {
    type File = Self;

    fn create(&mut self) -> io::Result<Self> {
        *self.pieces.borrow_mut() = Some((0..chunks(&self.content)).map(|_| Piece::Hole).collect());
        Ok(self.clone())
    }

    fn hasher(&self) -> Hasher {
        self.content.hasher()
    }
}

impl Partial for Inbox {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        let same = self.content.bytes().get(start..start + bytes.len()) == Some(bytes);
        let piece = if same { Piece::Same } else { Piece::Other(bytes.into()) };
        let mut pieces = self.pieces.borrow_mut();
        let place = pieces.as_mut().and_then(|pieces| pieces.get_mut(start / CHUNK_BYTES as usize));
        *place.ok_or(io::ErrorKind::UnexpectedEof)? = piece;
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let pieces = self.pieces.borrow();
        let pieces = pieces.as_deref().unwrap_or_default();
        let starts = (offset..).step_by(CHUNK_BYTES as usize);
        for (start, part) in starts.zip(buffer.chunks_mut(CHUNK_BYTES as usize)) {
            match pieces.get((start / CHUNK_BYTES) as usize) {
                Some(Piece::Same) => self.content.read_at(start, part)?,
                Some(Piece::Other(bytes)) => part.copy_from_slice(&bytes[..part.len()]),
                Some(Piece::Hole) => part.fill(0),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    fn set_size(&mut self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn finish(mut self, rest: RestOfDigest) -> Finishing {
        let stored = |digest| StoredFile { name: "received".to_owned(), digest };
        Finishing::ended(rest.read(&mut self).map(stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChunkState::{Damaged, Intact, Missing};
    use proptest::prelude::*;

    const SIZE: usize = 3 * 4096 + 100;

    fn content() -> Content {
        Content::generated(SIZE)
    }

    /// Returns the contents with a byte changed.
    fn wrong(place: usize) -> Vec<u8> {
        let mut bytes = content().bytes().to_vec();
        bytes[place] ^= 1;
        bytes
    }

    fn appended(bytes: &[u8], piece: usize) -> Appended {
        let mut appended = Appended::new(&content());
        bytes.chunks(piece).for_each(|piece| appended.append(piece).unwrap());
        appended
    }

    #[test]
    fn what_comes_in_order_is_judged_chunk_by_chunk() {
        let whole = content().bytes().to_vec();
        for piece in [1, 100, 4095, 4096, 4097, 100_000] {
            let judged = |bytes: &[u8]| {
                let appended = appended(bytes, piece);
                (appended.chunks(), appended.is_equal())
            };
            assert_eq!(judged(&whole), (vec![Intact; 4], Some(true)));
            assert_eq!(judged(&wrong(8191)), (vec![Intact, Damaged, Intact, Intact], Some(false)));
            assert_eq!(
                judged(&whole[..8191]),
                (vec![Intact, Missing, Missing, Missing], Some(false))
            );
            assert_eq!(judged(&[&whole[..], b"xyz"].concat()), (vec![Intact; 4], Some(false)));
            assert_eq!(judged(&[]), (vec![Missing; 4], None));
        }
    }

    proptest! {
        #[test]
        fn what_comes_in_any_order_reads_as_it_came(chunks in prop::collection::vec((0usize..4, any::<bool>()), 0..8)) {
            let content = content();
            let mut inbox = Inbox::new(&content);
            prop_assert_eq!((inbox.is_equal(), inbox.chunks()), (None, vec![Missing; 4]));
            let mut file = inbox.create().unwrap();
            let (mut expected, mut states) = (vec![0; SIZE], [Missing; 4]);
            for (number, is_right) in chunks {
                let start = number * 4096;
                let place = start..SIZE.min(start + 4096);
                let sent = if is_right { content.bytes().to_vec() } else { wrong(start + 50) };
                file.write_at(start as u64, &sent[place.clone()]).unwrap();
                expected[place.clone()].copy_from_slice(&sent[place]);
                states[number] = if is_right { Intact } else { Damaged };
            }
            file.set_size(SIZE as u64).unwrap();
            let mut read = vec![7; SIZE];
            file.read_at(0, &mut read).unwrap();
            prop_assert!(read == expected);
            prop_assert_eq!(inbox.chunks(), states);
            prop_assert_eq!(inbox.is_equal(), Some(expected == content.bytes()[..]));
            prop_assert!(file.read_at(4 * 4096, &mut read).is_err() && file.write_at(4 * 4096, &[1]).is_err());
        }
    }
}
