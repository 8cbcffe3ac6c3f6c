//! Cutting a stream into blocks by stream offset, whose fate is drawn at the first byte and shared by the later ones, without waiting.
//!
//! At its first byte a block enters the link as so many zeros: what comes out of a zero that was flipped is the mask of the flips. The
//! block's own bytes stay here. Delivered, they go on with the block's delay each, whenever they come; a copy follows once the block is
//! whole.

use crate::packet::{Body, Packet};
use crate::stage::Output;
use bytes::{Bytes, BytesMut};
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Whole blocks, and bytes of them, that are kept for copies that are still under way. A copy that comes later says nothing.
const KEPT_MAX: usize = 64;
const KEPT_BYTES_MAX: usize = 256 << 10;

/// One direction of a stream.
#[derive(Debug)]
pub(super) struct Blocks {
    size: usize,
    /// The last blocks, oldest first. Only the newest can be incomplete.
    blocks: VecDeque<Block>,
    /// What is on its way out, in order.
    leaving: VecDeque<(Instant, Piece)>,
    /// When the last piece leaves; none overtakes it.
    last_due: Instant,
    /// How many blocks are kept whose fate is known.
    keep: usize,
    /// How many there are.
    decided: usize,
}

/// What a stream gives out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    End,
    Reset,
}

#[derive(Debug)]
struct Block {
    number: u64,
    entered: Instant,
    filled: usize,
    /// The bytes as they came, and when.
    chunks: Vec<(Instant, Bytes)>,
    fate: Fate,
    /// Copies that wait for the block to be whole.
    copies: Vec<Mask>,
}

#[derive(Debug)]
enum Fate {
    Open,
    Delivered(Duration, Mask),
    Discarded,
}

/// The flipped bits of a block; `None`: none.
type Mask = Option<Bytes>;

impl Blocks {
    /// Blocks of `size` bytes. Without `copies` a block is forgotten once it has gone.
    pub(super) fn new(size: usize, copies: bool) -> Self {
        let keep = if copies { (KEPT_BYTES_MAX / size).clamp(1, KEPT_MAX) } else { 0 };
        Self {
            size,
            blocks: VecDeque::new(),
            leaving: VecDeque::new(),
            last_due: Instant::START,
            keep,
            decided: 0,
        }
    }

    /// Whether the next byte begins a block.
    pub(super) fn is_at_start(&self) -> bool {
        self.blocks.back().is_none_or(|block| block.filled == self.size)
    }

    /// Begins a block, which enters the link as packet `number`.
    pub(super) fn begin(&mut self, number: u64, now: Instant) {
        let (chunks, copies) = (Vec::new(), Vec::new());
        self.blocks.push_back(Block { number, entered: now, filled: 0, chunks, fate: Fate::Open, copies });
    }

    /// Forgets the oldest blocks, as far as they are whole and their fate is known.
    fn trim(&mut self) {
        while self.decided > self.keep
            && let Some(block) = self.blocks.front()
            && block.filled == self.size
            && !matches!(block.fate, Fate::Open)
        {
            self.blocks.pop_front();
            self.decided -= 1;
        }
    }

    /// How many bytes the newest block still takes.
    pub(super) fn missing(&self) -> usize {
        self.blocks.back().map_or(0, |block| self.size - block.filled)
    }

    /// Adds bytes to the newest block. Returns by how much what is inside grows thereby, beside the bytes themselves: it shrinks by them
    /// when the block is lost, and grows by the copies.
    pub(super) fn fill(&mut self, now: Instant, bytes: Bytes) -> isize {
        let block = self.blocks.back_mut().expect("a block was begun");
        let (offset, length) = (block.filled, bytes.len());
        block.filled += length;
        match &block.fate {
            Fate::Discarded => {
                self.trim();
                return -(length as isize);
            }
            Fate::Open => block.chunks.push((now, bytes)),
            Fate::Delivered(delay, mask) => {
                let piece = masked(&bytes, mask.as_ref(), offset);
                let due = now + *delay;
                if self.keep > 0 {
                    block.chunks.push((now, bytes));
                }
                self.leave(due, Piece::Data(piece));
            }
        }
        let growth = self.release_copies();
        self.trim();
        growth
    }

    /// Takes what the link did to a block, or a mark. Returns by how much what is inside grows thereby.
    pub(super) fn take_output(&mut self, output: Output) -> isize {
        match output {
            Output::Discard(Packet { number, copy: 0, .. }, _) => {
                let Some(block) = self.block_mut(number) else { return 0 };
                block.fate = Fate::Discarded;
                block.chunks = Vec::new();
                let filled = block.filled;
                self.decided += 1;
                self.trim();
                -(filled as isize)
            }
            Output::Discard(..) => 0,
            Output::Deliver(Packet { at, body: Body::End, .. }) => {
                self.leave(at, Piece::End);
                0
            }
            Output::Deliver(Packet { at, body: Body::Reset, .. }) => {
                self.leave(at, Piece::Reset);
                0
            }
            Output::Deliver(packet) => self.deliver(packet),
        }
    }

    fn deliver(&mut self, packet: Packet) -> isize {
        let damaged = packet.is_damaged();
        let Body::Data(zeros) = packet.body else { return 0 };
        let mask = damaged.then_some(zeros);
        let size = self.size;
        let Some(block) = self.block_mut(packet.number) else { return 0 };
        if packet.copy > 0 {
            block.copies.push(mask);
            if block.filled < size {
                return 0;
            }
            return self.give_copies(packet.number, packet.at);
        }
        let delay = packet.at.since(block.entered);
        let mut pieces = Vec::with_capacity(block.chunks.len());
        let mut offset = 0;
        for (came, bytes) in &block.chunks {
            pieces.push((*came + delay, Piece::Data(masked(bytes, mask.as_ref(), offset))));
            offset += bytes.len();
        }
        block.fate = Fate::Delivered(delay, mask);
        for (due, piece) in pieces {
            self.leave(due, piece);
        }
        self.decided += 1;
        self.trim();
        0
    }

    /// Lets the copies of the newest block go if it has just become whole.
    fn release_copies(&mut self) -> isize {
        match self.blocks.back() {
            Some(block) if block.filled == self.size && !block.copies.is_empty() => {
                let number = block.number;
                self.give_copies(number, self.last_due)
            }
            _ => 0,
        }
    }

    fn give_copies(&mut self, number: u64, at: Instant) -> isize {
        let Some(block) = self.block_mut(number) else { return 0 };
        let mut whole = BytesMut::with_capacity(block.filled);
        for (_, bytes) in &block.chunks {
            whole.extend_from_slice(bytes);
        }
        let whole = whole.freeze();
        let mut growth = 0;
        for mask in std::mem::take(&mut block.copies) {
            growth += whole.len() as isize;
            let piece = Piece::Data(masked(&whole, mask.as_ref(), 0));
            self.leave(at, piece);
        }
        growth
    }

    fn block_mut(&mut self, number: u64) -> Option<&mut Block> {
        let index = self.blocks.binary_search_by_key(&number, |block| block.number).ok()?;
        self.blocks.get_mut(index)
    }

    fn leave(&mut self, due: Instant, piece: Piece) {
        self.last_due = self.last_due.max(due);
        self.leaving.push_back((self.last_due, piece));
    }

    /// What leaves next, at or before `now`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Piece> {
        self.leaving.pop_front_if(|(due, _)| *due <= now).map(|(_, piece)| piece)
    }

    /// When something leaves next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.front().map(|(due, _)| *due)
    }
}

/// The bytes from `offset` of a block on, with the block's flips.
fn masked(bytes: &Bytes, mask: Option<&Bytes>, offset: usize) -> Bytes {
    let Some(mask) = mask else { return bytes.clone() };
    let mask = &mask[offset..offset + bytes.len()];
    if mask.iter().all(|flips| *flips == 0) {
        return bytes.clone();
    }
    bytes.iter().zip(mask).map(|(byte, flips)| byte ^ flips).collect()
}
