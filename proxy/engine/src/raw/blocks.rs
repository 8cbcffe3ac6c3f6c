//! Cutting a stream into blocks by stream offset, whose fate is drawn at the first byte and shared
//! by the later ones, without waiting.
//!
//! At its first byte a block enters the link as so many zeros: what comes out of a zero that was
//! flipped is the mask of the flips. The block's own bytes stay here. Delivered, they go on with
//! the block's delay each, whenever they come; a copy follows once the block is whole.

use super::{ROOM, UNITS_MAX};
use crate::memory::Memory;
use crate::packet::{Body, Packet};
use crate::stage::Output;
use bytes::{Bytes, BytesMut};
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The most blocks kept for copies that are still under way when the fate of the original is known.
/// A copy that comes out when so many others have come out behind the original says nothing.
const KEPT_MAX: usize = UNITS_MAX;

/// One direction of a stream.
#[derive(Debug)]
pub(super) struct Blocks {
    size: usize,
    /// The last blocks, by their number in the link. Only the newest can be incomplete.
    blocks: BTreeMap<u64, Block>,
    /// Those whose fate is known, in the order in which it became known.
    decided: VecDeque<u64>,
    /// The most of them that are kept.
    keep: usize,
    /// Bytes of them.
    kept: usize,
    /// Pieces on their way out, in order.
    leaving: VecDeque<(Instant, Piece)>,
    /// The time at which the last piece leaves; none overtakes it.
    last_due: Instant,
    /// What is made anew is charged to it.
    memory: Memory,
}

/// A piece that a stream gives out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    End,
    Reset,
}

#[derive(Debug)]
struct Block {
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
    /// Makes blocks of `size` bytes. Without `copies` a block is forgotten once its fate is known.
    pub(super) fn new(size: usize, copies: bool, memory: &Memory) -> Self {
        let mut blocks = Self {
            size,
            blocks: BTreeMap::new(),
            decided: VecDeque::new(),
            keep: 0,
            kept: 0,
            leaving: VecDeque::new(),
            last_due: Instant::START,
            memory: memory.clone(),
        };
        blocks.set_copies(copies);
        blocks
    }

    /// Keeps blocks for copies from now on, or not any more.
    pub(super) fn set_copies(&mut self, copies: bool) {
        self.keep = if copies { (ROOM / self.size).clamp(1, KEPT_MAX) } else { 0 };
    }

    /// Returns true if the next byte begins a block.
    pub(super) fn is_at_start(&self) -> bool {
        self.missing() == 0
    }

    /// Returns the number of bytes that the newest block still takes.
    pub(super) fn missing(&self) -> usize {
        self.blocks.last_key_value().map_or(0, |(_, block)| self.size - block.filled)
    }

    /// Begins a block, which enters the link as packet `number`.
    pub(super) fn begin(&mut self, number: u64, now: Instant) {
        let block = Block {
            entered: now,
            filled: 0,
            chunks: Vec::new(),
            fate: Fate::Open,
            copies: Vec::new(),
        };
        self.blocks.insert(number, block);
    }

    /// Adds bytes to the newest block. Returns the change in buffered bytes, apart from the
    /// bytes themselves: it shrinks by them when the block is lost, and grows by the copies.
    pub(super) fn fill(&mut self, now: Instant, bytes: Bytes) -> isize {
        let mut entry = self.blocks.last_entry().expect("a block was begun");
        let block = entry.get_mut();
        let (offset, length) = (block.filled, bytes.len());
        block.filled += length;
        let mut growth = 0;
        let mut leaving = None;
        // The fate may be known already: the block entered the link with its first byte, and these
        // bytes come later and share it.
        match &block.fate {
            Fate::Discarded => growth = -(length as isize),
            Fate::Open => {}
            Fate::Delivered(delay, mask) => {
                let piece = masked(&bytes, mask.as_ref(), offset, &self.memory);
                leaving = Some((now + *delay, Piece::Data(piece)));
            }
        }
        // The bytes stay here as long as the fate is open, or a copy may want them.
        let open = matches!(block.fate, Fate::Open);
        if open || self.keep > 0 {
            block.chunks.push((now, bytes));
        }
        self.kept += if open { 0 } else { length };
        if let Some((due, piece)) = leaving {
            self.leave(due, piece);
        }
        // A copy is given out in one piece: now the block is whole.
        if self.is_at_start() {
            growth += self.give_newest_copies();
        }
        self.trim(self.keep);
        growth
    }

    /// Takes what the link did to a block, or a mark. Returns the change in buffered bytes.
    pub(super) fn take_output(&mut self, output: Output) -> isize {
        match output {
            Output::Discard(packet, _) if packet.copy() == 0 => {
                let number = packet.number;
                let Some(block) = self.blocks.get_mut(&number) else { return 0 };
                block.fate = Fate::Discarded;
                let filled = block.filled;
                self.decide(number);
                -(filled as isize)
            }
            Output::Discard(..) => 0,
            Output::Deliver(packet) if *packet.body() == Body::End => {
                // The last block will not become whole any more, and nothing comes out behind the
                // end.
                let growth = self.give_newest_copies();
                let lost = std::mem::take(&mut self.blocks).into_values();
                let lost: usize = lost
                    .filter(|block| matches!(block.fate, Fate::Open))
                    .map(|block| block.filled)
                    .sum();
                self.decided.clear();
                self.kept = 0;
                self.leave(packet.at, Piece::End);
                growth - lost as isize
            }
            Output::Deliver(packet) if *packet.body() == Body::Reset => {
                self.leave(packet.at, Piece::Reset);
                0
            }
            Output::Deliver(packet) => self.deliver(packet),
        }
    }

    fn deliver(&mut self, packet: Packet) -> isize {
        let damaged = packet.is_damaged();
        let Body::Data(zeros) = packet.body() else { return 0 };
        let mask = damaged.then(|| zeros.to_bytes());
        let Some(block) = self.blocks.get_mut(&packet.number) else { return 0 };
        if packet.copy() > 0 {
            // A copy of a block that is still coming waits for its last byte.
            block.copies.push(mask);
            let whole = block.filled == self.size;
            return if whole { self.give_copies(packet.number, packet.at) } else { 0 };
        }
        // The link has delayed the block's first byte; each later byte gets the same delay from
        // when it came itself.
        let delay = packet.at.since(block.entered);
        let mut pieces = Vec::with_capacity(block.chunks.len());
        let mut offset = 0;
        for (came, bytes) in &block.chunks {
            let piece = masked(bytes, mask.as_ref(), offset, &self.memory);
            pieces.push((*came + delay, Piece::Data(piece)));
            offset += bytes.len();
        }
        block.fate = Fate::Delivered(delay, mask);
        for (due, piece) in pieces {
            self.leave(due, piece);
        }
        self.decide(packet.number);
        0
    }

    /// Notes that the fate of a block is known.
    fn decide(&mut self, number: u64) {
        self.kept += self.blocks.get(&number).map_or(0, |block| block.filled);
        self.decided.push_back(number);
        self.trim(self.keep);
    }

    /// Returns the bytes kept for copies that may still come out.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Forgets all decided blocks: no copy is under way any more.
    pub(super) fn forget_kept(&mut self) {
        self.trim(0);
    }

    /// Forgets blocks that no copy is waited for any more. One that is not whole yet stays, for its
    /// later bytes to share its fate.
    fn trim(&mut self, keep: usize) {
        while self.decided.len() > keep {
            let oldest = self.decided[0];
            if self.blocks.get(&oldest).is_some_and(|block| block.filled < self.size) {
                return;
            }
            self.decided.pop_front();
            self.kept -= self.blocks.remove(&oldest).map_or(0, |block| block.filled);
        }
    }

    /// Lets the copies go that waited for the newest block.
    fn give_newest_copies(&mut self) -> isize {
        let newest = self.blocks.last_key_value().map(|(number, _)| *number);
        newest.map_or(0, |number| self.give_copies(number, self.last_due))
    }

    fn give_copies(&mut self, number: u64, at: Instant) -> isize {
        let Some(block) = self.blocks.get_mut(&number).filter(|block| !block.copies.is_empty())
        else {
            return 0;
        };
        let mut whole = BytesMut::with_capacity(block.filled);
        for (_, bytes) in &block.chunks {
            whole.extend_from_slice(bytes);
        }
        let whole = self.memory.charge(whole.freeze());
        let mut growth = 0;
        for mask in std::mem::take(&mut block.copies) {
            growth += whole.len() as isize;
            let piece = Piece::Data(masked(&whole, mask.as_ref(), 0, &self.memory));
            self.leave(at, piece);
        }
        growth
    }

    fn leave(&mut self, due: Instant, piece: Piece) {
        // A stream keeps its order, whatever delays its blocks drew.
        self.last_due = self.last_due.max(due);
        self.leaving.push_back((self.last_due, piece));
    }

    /// Returns the next piece that leaves at or before `now`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Piece> {
        self.leaving.pop_front_if(|(due, _)| *due <= now).map(|(_, piece)| piece)
    }

    /// Returns the time at which the next piece leaves.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.front().map(|(due, _)| *due)
    }
}

/// Returns the bytes from `offset` of a block on, with the block's flips applied.
fn masked(bytes: &Bytes, mask: Option<&Bytes>, offset: usize, memory: &Memory) -> Bytes {
    let Some(mask) = mask else { return bytes.clone() };
    let mask = &mask[offset..offset + bytes.len()];
    if mask.iter().all(|flips| *flips == 0) {
        return bytes.clone();
    }
    let flipped: Vec<u8> = bytes.iter().zip(mask).map(|(byte, flips)| byte ^ flips).collect();
    memory.charge(flipped.into())
}
