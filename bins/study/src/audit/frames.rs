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
    I,
    II,
    III,
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
            1 => Layer::III,
            2 => Layer::II,
            3 => Layer::I,
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
            (Layer::I, _) => per_rate(12) * 4,
            (Layer::II, _) | (Layer::III, Version::Mpeg1) => per_rate(144),
            (Layer::III, _) => per_rate(72),
        };
        Some(Self { kind, bytes: Some(length) })
    }
}

/// The bit rates of the indices from 1 to 14 (ISO/IEC 11172-3 and 13818-3).
const fn kbits(version: Version, layer: Layer) -> [u32; 14] {
    match (version, layer) {
        (Version::Mpeg1, Layer::I) => {
            [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448]
        }
        (Version::Mpeg1, Layer::II) => {
            [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384]
        }
        (Version::Mpeg1, Layer::III) => {
            [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
        }
        (_, Layer::I) => [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
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
            found.frames.push(frame);
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
                frames.push(frame);
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
mod tests {
    use super::*;

    /// MPEG-1, layer III, 128 kbit/s, 44.1 kHz, stereo: frames of 417 bytes.
    const STEREO: [u8; 4] = [0xFF, 0xFB, 0x90, 0x00];
    /// MPEG-2, layer III, 32 kbit/s, 22.05 kHz, mono: 104 bytes.
    const MONO: [u8; 4] = [0xFF, 0xF3, 0x40, 0xC0];

    fn frames(head: [u8; 4], length: usize, count: usize) -> Vec<u8> {
        let mut frame = head.to_vec();
        frame.resize(length, 0);
        frame.repeat(count)
    }

    fn id3v2(size: usize, fill: u8) -> Vec<u8> {
        let part = |shift: usize| ((size >> shift) & 0x7F) as u8;
        let mut tag = vec![b'I', b'D', b'3', 3, 0, 0, part(21), part(14), part(7), part(0)];
        tag.resize(10 + size, fill);
        tag
    }

    fn ape(size: usize, has_head: bool) -> Vec<u8> {
        let mut head = b"APETAGEX\xd0\x07\0\0".to_vec();
        head.extend((size as u32 + 32).to_le_bytes());
        head.extend([1, 0, 0, 0, 0, 0, 0, u8::from(has_head) << 7]);
        head.resize(32, 0);
        let start = if has_head { head.clone() } else { Vec::new() };
        [start, vec![0xFF; size], head].concat()
    }

    fn kinds_and_counts(found: &[Frame]) -> Vec<(u32, usize)> {
        let mut counts: Vec<(u32, usize)> = Vec::new();
        for frame in found {
            match counts.last_mut() {
                Some((rate, count)) if *rate == frame.kind.rate => *count += 1,
                _ => counts.push((frame.kind.rate, 1)),
            }
        }
        counts
    }

    #[test]
    fn heads_say_how_long_their_frames_are() {
        for (head, bytes) in [
            (STEREO, Some(417)),
            ([0xFF, 0xFB, 0x92, 0x00], Some(418)),
            (MONO, Some(104)),
            ([0xFF, 0xE3, 0x18, 0xC4], Some(72)),
            ([0xFF, 0xFD, 0x84, 0x00], Some(384)),
            ([0xFF, 0xFF, 0x14, 0x00], Some(32)),
        ] {
            let found = Head::read(&head).map(|head| head.bytes);
            assert_eq!(found, Some(bytes), "{head:x?}");
        }
        let free = Head::read(&[0xFF, 0xFB, 0x00, 0x00]).unwrap();
        assert_eq!(free.bytes, None);
        for wrong in [
            [0xFF, 0xFB, 0xF0, 0x00],
            [0xFF, 0xFB, 0x9C, 0x00],
            [0xFF, 0xEB, 0x90, 0x00],
            [0xFF, 0xF9, 0x90, 0x00],
            [0xFE, 0xFB, 0x90, 0x00],
        ] {
            assert!(Head::read(&wrong).is_none(), "{wrong:x?}");
        }
    }

    #[test]
    fn every_kind_counts_and_tags_do_not_wherever_they_stand() {
        let stereo = frames(STEREO, 417, 20);
        let mono = frames(MONO, 104, 10);
        let picture = id3v2(50_000, 0xFF);
        let mut id3v1 = b"TAG".to_vec();
        id3v1.resize(128, b' ');
        for (parts, counts) in [
            (vec![&stereo], vec![(44_100, 20)]),
            (vec![&mono, &stereo], vec![(22_050, 10), (44_100, 20)]),
            (vec![&picture, &stereo], vec![(44_100, 20)]),
            (vec![&picture, &mono, &picture, &stereo, &id3v1], vec![(22_050, 10), (44_100, 20)]),
            (vec![&stereo, &id3v1, &mono, &id3v1], vec![(44_100, 20), (22_050, 10)]),
            (vec![&stereo, &ape(5_000, true), &id3v1], vec![(44_100, 20)]),
            (vec![&stereo, &ape(5_000, false)], vec![(44_100, 20)]),
            (vec![&stereo, &ape(100, true), &mono], vec![(44_100, 20), (22_050, 10)]),
        ] {
            let file: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            let found = of_original(&file);
            assert_eq!(kinds_and_counts(&found.frames), counts);
            let music: usize = found.frames.iter().map(|frame| frame.place.len()).sum();
            assert_eq!(music + found.tag_bytes, file.len(), "every byte is one or the other");
        }
        // A few of a kind are chance.
        let few = frames(MONO, 104, FRAMES_MIN - 1);
        let found = of_original(&[few, stereo].concat());
        assert_eq!(kinds_and_counts(&found.frames), [(44_100, 20)]);
    }

    #[test]
    fn holes_and_noise_cost_the_frames_they_hit() {
        let file = [frames(MONO, 104, 10), frames(STEREO, 417, 20)].concat();
        let kinds: BTreeSet<_> = of_original(&file).frames.iter().map(|frame| frame.kind).collect();
        assert_eq!(of_received(&file, &kinds).len(), 30);
        let mut zeroed = file.clone();
        zeroed[1040 + 417 * 5..1040 + 417 * 8].fill(0);
        assert_eq!(of_received(&zeroed, &kinds).len(), 27);
        let dropped = [&file[..1040 + 417 * 5], &file[1040 + 417 * 8..]].concat();
        assert_eq!(of_received(&dropped, &kinds).len(), 27);
        // A tag that has lost a piece: the frames behind it are found all the same.
        let tagged = [id3v2(1000, 0), file.clone()].concat();
        assert_eq!(of_received(&tagged, &kinds).len(), 30);
        assert_eq!(of_received(&[&tagged[..500], &tagged[900..]].concat(), &kinds).len(), 30);
        let one: BTreeSet<_> = kinds.into_iter().take(1).collect();
        assert_eq!(of_received(&file, &one).len(), 20);
    }

    #[test]
    fn free_format_is_known_by_its_distances() {
        let free = frames([0xFF, 0xFB, 0x00, 0x00], 1200, 20);
        assert!(is_free_format(&free) && is_free_format(&[id3v2(500, 7), free].concat()));
        assert!(!is_free_format(&frames(STEREO, 417, 20)) && !is_free_format(&[0; 10_000]));
        assert!(of_original(&frames([0xFF, 0xFB, 0x00, 0x00], 1200, 20)).frames.is_empty());
    }
}
