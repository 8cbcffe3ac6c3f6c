//! The frames of an MP3: where they are, of whichever kinds, and what of the file is tags.
//!
//! A frame has a head of four bytes that says how long it is. Nothing says where the first one is,
//! and pictures, damage and noise hold bytes that look like heads.

use std::collections::BTreeSet;
use std::ops::Range;

const HEAD_BYTES: usize = 4;
/// Fewer frames of a kind than this are taken for chance; noise holds some.
pub(super) const FRAMES_MIN: usize = 8;

/// The kind of stream that a frame belongs to: what its head says that a decoder is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamKind {
    version: Version,
    layer: Layer,
    rate: u32,
    mono: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Mpeg1,
    Mpeg2,
    Mpeg25,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    One,
    Two,
    Three,
}

impl StreamKind {
    pub(super) const fn layer(self) -> Layer {
        self.layer
    }

    /// Returns the time that a frame of layer III sounds, in seconds.
    pub(super) fn frame_seconds(self) -> f64 {
        let samples = if self.version == Version::Mpeg1 { 1152.0 } else { 576.0 };
        samples / f64::from(self.rate)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
struct Head {
    kind: StreamKind,
    /// The length of the frame with its head; `None` for a free-format frame, which does not say.
    bytes: Option<usize>,
}

impl Head {
    /// Reads the head at the start of `bytes`, if there is one.
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(bytes.get(..HEAD_BYTES)?.try_into().ok()?);
        let bits = |shift: u32, mask: u32| (word >> shift) & mask;
        if bits(21, 0x7FF) != 0x7FF {
            return None;
        }
        let (version, shift) = match bits(19, 3) {
            3 => (Version::Mpeg1, 0),
            2 => (Version::Mpeg2, 1),
            0 => (Version::Mpeg25, 2),
            _ => return None,
        };
        let layer = match bits(17, 3) {
            1 => Layer::Three,
            2 => Layer::Two,
            3 => Layer::One,
            _ => return None,
        };
        let rate = [44_100_u32, 48_000, 32_000].get(bits(10, 3) as usize)? >> shift;
        let kind = StreamKind { version, layer, rate, mono: bits(6, 3) == 3 };
        let kbits = match bits(12, 15) {
            0 => return Some(Self { kind, bytes: None }),
            15 => return None,
            index => kbits(version, layer)[index as usize - 1],
        };
        let padding = bits(9, 1) as usize;
        let per_rate = |factor: u32| (factor * kbits * 1000 / rate) as usize + padding;
        let length = match (layer, version) {
            (Layer::One, _) => per_rate(12) * 4,
            (Layer::Two, _) | (Layer::Three, Version::Mpeg1) => per_rate(144),
            (Layer::Three, _) => per_rate(72),
        };
        Some(Self { kind, bytes: Some(length) })
    }
}

/// The bit rates of the indices from 1 to 14 (ISO/IEC 11172-3 and 13818-3).
const fn kbits(version: Version, layer: Layer) -> [u32; 14] {
    match (version, layer) {
        (Version::Mpeg1, Layer::One) => {
            [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448]
        }
        (Version::Mpeg1, Layer::Two) => {
            [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384]
        }
        (Version::Mpeg1, Layer::Three) => {
            [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
        }
        (_, Layer::One) => [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (_, _) => [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    }
}

/// A frame in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: StreamKind,
    pub(super) place: Range<usize>,
}

/// The frames of a file as it was sent.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) frames: Vec<Frame>,
    /// The bytes of tags, which are no music.
    pub(super) tag_bytes: usize,
}

/// Finds the frames of a whole file: each is followed by another, by a tag or by the end. Kinds of
/// which there are only a few are chance.
pub(super) fn of_original(file: &[u8]) -> Found {
    let end = file.len() - tags_at_end(file);
    let music = &file[..end];
    let mut found = Found { frames: Vec::new(), tag_bytes: file.len() - end };
    let mut place = 0;
    while place < music.len() {
        if let Some(length) = tag(&music[place..]) {
            let length = length.min(music.len() - place);
            found.tag_bytes += length;
            place += length;
        } else if let Some(frame) = frame_at(music, place).filter(|frame| is_followed(music, frame))
        {
            place = frame.place.end;
            match is_info(music, &frame) {
                true => found.tag_bytes += frame.place.len(),
                false => found.frames.push(frame),
            }
        } else {
            place += 1;
        }
    }
    let count = |kind| found.frames.iter().filter(|frame| frame.kind == kind).count();
    let kinds: BTreeSet<_> = found.frames.iter().map(|frame| frame.kind).collect();
    let kinds: BTreeSet<_> = kinds.into_iter().filter(|kind| count(*kind) >= FRAMES_MIN).collect();
    found.frames.retain(|frame| kinds.contains(&frame.kind));
    found
}

/// Finds the frames of these kinds in a file with holes, noise and pieces that have moved. What
/// stands alone is a frame only if it goes on with the kind before it.
pub(super) fn of_received(file: &[u8], kinds: &BTreeSet<StreamKind>) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    // A tag that has lost a piece is shorter than it says: it is passed over only up to a frame.
    let is_frame = |place| frame_at(file, place).is_some_and(|frame| kinds.contains(&frame.kind));
    let mut place = tag(file).filter(|end| is_frame(*end)).unwrap_or(0);
    while place < file.len() {
        let frame = frame_at(file, place).filter(|frame| {
            kinds.contains(&frame.kind)
                && (frames.last().is_none_or(|last| last.kind == frame.kind)
                    || is_followed(file, frame))
        });
        match frame {
            Some(frame) => {
                place = frame.place.end;
                if !is_info(file, &frame) {
                    frames.push(frame);
                }
            }
            None => place += 1,
        }
    }
    frames
}

/// Returns the frame that begins at `place`, if it is all there.
fn frame_at(file: &[u8], place: usize) -> Option<Frame> {
    let head = Head::read(file.get(place..)?)?;
    let end = place + head.bytes.filter(|bytes| *bytes > HEAD_BYTES)?;
    (end <= file.len()).then_some(Frame { kind: head.kind, place: place..end })
}

/// Returns true for a frame that holds no music but facts about it: how many frames there are, and
/// where to find them (Xing, LAME's Info, Fraunhofer's VBRI).
fn is_info(file: &[u8], frame: &Frame) -> bool {
    let side = match (frame.kind.version, frame.kind.mono) {
        (Version::Mpeg1, false) => 32,
        (Version::Mpeg1, true) | (_, false) => 17,
        (_, true) => 9,
    };
    let bytes = &file[frame.place.clone()];
    let named = |at: usize, names: &[&[u8]]| {
        bytes.get(at..at + 4).is_some_and(|found| names.contains(&found))
    };
    let is_empty = |end: usize| bytes[HEAD_BYTES..end].iter().all(|byte| *byte == 0);
    (named(HEAD_BYTES + side, &[b"Xing", b"Info"]) && is_empty(HEAD_BYTES + side))
        || (named(HEAD_BYTES + 32, &[b"VBRI"]) && is_empty(HEAD_BYTES + 32))
}

/// Returns true if something follows a frame that may: another of its layer, a tag, or the end.
fn is_followed(file: &[u8], frame: &Frame) -> bool {
    let rest = &file[frame.place.end..];
    let is_next = |head: Head| head.kind.layer == frame.kind.layer && head.bytes.is_some();
    // A last frame that was cut off is none, and no reason to doubt the one before.
    rest.len() < HEAD_BYTES || tag(rest).is_some() || Head::read(rest).is_some_and(is_next)
}

/// Returns true if a file holds free-format frames: heads that are alike at equal distances.
pub(super) fn is_free_format(file: &[u8]) -> bool {
    let mut start = tag(file).unwrap_or(0);
    let is_free =
        |place: usize| file.get(place..).and_then(Head::read).filter(|head| head.bytes.is_none());
    // The first head may be chance; a picture's bytes hold some.
    while start < file.len() {
        let Some(head) = is_free(start) else {
            start += 1;
            continue;
        };
        let alike = |place: usize| is_free(place).is_some_and(|other| other.kind == head.kind);
        let first =
            (start + HEAD_BYTES..file.len().min(start + FREE_BYTES_MAX)).find(|at| alike(*at));
        if let Some(second) = first {
            let distance = second - start;
            // A frame may be longer by one byte.
            let mut place = second;
            let mut count = 2;
            while let Some(next) =
                [0, 1].into_iter().map(|more| place + distance + more).find(|next| alike(*next))
            {
                place = next;
                count += 1;
            }
            if count >= FRAMES_MIN {
                return true;
            }
        }
        start += 1;
    }
    false
}

/// The longest free-format frame: 640 kbit/s at 8 kHz.
const FREE_BYTES_MAX: usize = 6_000;

/// Returns the length of the tag that `bytes` begin with, if they do: ID3v2, ID3v1 between joined
/// files, or APE with a head.
fn tag(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'I', b'D', b'3', version, revision, flags, size @ ..] => {
            let size = size.get(..4)?;
            if *version == 0xFF || *revision == 0xFF || size.iter().any(|byte| *byte >= 0x80) {
                return None;
            }
            let size = size.iter().fold(0, |size, byte| (size << 7) | usize::from(*byte));
            let footer = if flags & 0x10 == 0 { 0 } else { 10 };
            Some(10 + size + footer)
        }
        [b'T', b'A', b'G', ..] if bytes.len() >= ID3V1_BYTES => Some(ID3V1_BYTES),
        [b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', ..] => {
            let size = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
            Some(APE_BYTES + size as usize)
        }
        _ => None,
    }
}

const ID3V1_BYTES: usize = 128;
/// The head and the foot of an APE tag.
const APE_BYTES: usize = 32;

/// Returns the length of the tags that a file ends with: ID3v1, and in front of it APE, whose foot
/// says its size.
fn tags_at_end(file: &[u8]) -> usize {
    let mut length = 0;
    if file.len() >= ID3V1_BYTES && file[file.len() - ID3V1_BYTES..].starts_with(b"TAG") {
        length = ID3V1_BYTES;
    }
    let rest = &file[..file.len() - length];
    let Some(foot) = rest.len().checked_sub(APE_BYTES).map(|start| &rest[start..]) else {
        return length;
    };
    if !foot.starts_with(b"APETAGEX") {
        return length;
    }
    let number =
        |at: usize| u32::from_le_bytes([foot[at], foot[at + 1], foot[at + 2], foot[at + 3]]);
    let head = if number(20) >> 31 == 1 { APE_BYTES } else { 0 };
    let ape = number(12) as usize + head;
    if ape <= rest.len() { length + ape } else { length }
}

#[cfg(test)]
mod tests;
