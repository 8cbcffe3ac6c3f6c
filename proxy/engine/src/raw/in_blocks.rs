//! Streams that are cut into blocks: each crosses the link in its shape, and gets its bytes as they come.

use super::RawStreams;
use super::blocks::Piece;
use super::inside::{give_out, stream_mut};
use super::stream::{Cut, Stream};
use crate::packet::Body;
use crate::stage::Stage;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;

impl RawStreams {
    /// Lets the streams of a direction keep blocks for copies, or not.
    pub(super) fn keep_blocks(&mut self, direction: Direction, keep: bool) {
        for streams in self.connections.values_mut() {
            if let Cut::Blocks(blocks) = &mut streams[direction.index()].cut {
                blocks.set_copies(keep);
            }
        }
    }

    pub(super) fn push_into_blocks(
        &mut self,
        now: Instant,
        id: u32,
        direction: Direction,
        mut bytes: Bytes,
    ) {
        while !bytes.is_empty() {
            let Some(Stream { cut: Cut::Blocks(blocks), .. }) =
                stream_mut(&mut self.connections, id, direction)
            else {
                return;
            };
            if blocks.is_at_start() {
                // The link draws the fate of zeros in the block's place: its bytes may come later.
                // The link numbers packets as they enter.
                blocks.begin(self.links[direction.index()].next_number(), now);
                self.enter(now, id, direction, Body::data(self.blank.clone()));
            }
            let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
            let Cut::Blocks(blocks) = &mut stream.cut else { return };
            let piece = bytes.split_to(bytes.len().min(blocks.missing()));
            let growth = blocks.fill(now, piece);
            self.settle_blocks(now, id, direction, growth);
        }
    }

    /// Takes over what a stream of blocks has done: `growth` of what is inside, and what left it.
    pub(super) fn settle_blocks(
        &mut self,
        now: Instant,
        id: u32,
        direction: Direction,
        growth: isize,
    ) {
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        stream.change(growth);
        if let Cut::Blocks(blocks) = &mut stream.cut {
            let pieces: Vec<Piece> = std::iter::from_fn(|| blocks.poll(now)).collect();
            for piece in pieces {
                give_out(&mut self.events, id, direction, piece, stream);
            }
        }
        if stream.settle_kept(&self.memory) {
            self.keeping.insert((direction, id));
        } else {
            self.keeping.remove(&(direction, id));
        }
        self.set_timer(id, direction);
        self.close_if_over(id);
    }

    /// Forgets what was kept for copies once a link has nothing in it: then no copy is under way
    /// either.
    pub(super) fn forget_kept(&mut self, now: Instant, direction: Direction) {
        if self.links[direction.index()].held() > 0 {
            return;
        }
        if !self.copies[direction.index()] && std::mem::take(&mut self.keeps[direction.index()]) {
            self.keep_blocks(direction, false);
        }
        if self.keeping.is_empty() {
            return;
        }
        let whole = (direction, 0)..=(direction, u32::MAX);
        let ids: Vec<u32> = self.keeping.range(whole).map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(Stream { cut: Cut::Blocks(blocks), .. }) =
                stream_mut(&mut self.connections, id, direction)
            {
                blocks.forget_kept();
            }
            self.settle_blocks(now, id, direction, 0);
        }
    }
}
