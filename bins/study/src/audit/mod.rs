//! The loss that a listener hears when an MP3 arrives damaged: the frames of the original that
//! sound different now, or are gone.
//!
//! The decoder's own error count is no measure: a flipped bit in the music decodes without any
//! error, to other music. So both files are decoded, and a frame of the original is counted as kept
//! when a frame that sounds exactly so is in the received file. One flipped bit usually changes two
//! frames, since frames overlap; a lost piece changes those that it held, their neighbours, and the
//! ones that had bits in its reservoir.

mod decode;

use decode::{Sounds, StreamKind, sounds};
use std::collections::BTreeMap;

/// Larger files are not audited: decoding them would take longer than the comparison itself.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Fewer decodable frames than this are taken for chance; noise holds some.
const FRAMES_MIN: usize = 8;

/// An MP3 as it was sent.
#[derive(Debug)]
pub struct Original {
    kind: StreamKind,
    sounds: BTreeMap<u64, u64>,
    frames: u64,
    frame_seconds: f64,
}

/// The parts of an MP3 that a listener still hears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// The frames of the original.
    pub frames: u64,
    /// The number of those that sound different in the received file, or are gone.
    pub frames_lost: u64,
    /// The playing time of the original, in seconds.
    pub seconds: f64,
    /// The playing time of the lost frames, in seconds.
    pub seconds_lost: f64,
}

impl Original {
    /// Decodes `file`; `None` when it is no MP3 (or larger than 64 MiB).
    pub fn read(file: &[u8]) -> Option<Self> {
        if file.len() > FILE_BYTES_MAX {
            return None;
        }
        let Sounds { kind, hashes, bytes, frame_seconds } = sounds(file, None)?;
        // A quarter leaves room for a large picture in the tag; of noise, hardly anything decodes.
        if hashes.len() < FRAMES_MIN || bytes < file.len() / 4 {
            return None;
        }
        let frames = hashes.len() as u64;
        Some(Self { kind, sounds: counted(hashes), frames, frame_seconds })
    }

    /// Returns the audit of a file that arrived as it was sent.
    pub fn intact(&self) -> Audit {
        self.audit(0)
    }

    /// Decodes what was received and counts what a listener loses. Anything at all may be in
    /// `received`.
    pub fn compare(&self, received: &[u8]) -> Audit {
        if received.len() > FILE_BYTES_MAX {
            return self.audit(self.frames);
        }
        let heard = sounds(received, Some(self.kind))
            .map(|sounds| counted(sounds.hashes))
            .unwrap_or_default();
        let kept: u64 = self
            .sounds
            .iter()
            // A sound that is heard more often than before does not stand for another one.
            .map(|(hash, times)| (*times).min(heard.get(hash).copied().unwrap_or(0)))
            .sum();
        self.audit(self.frames - kept)
    }

    fn audit(&self, frames_lost: u64) -> Audit {
        Audit {
            frames: self.frames,
            frames_lost,
            seconds: self.frames as f64 * self.frame_seconds,
            seconds_lost: frames_lost as f64 * self.frame_seconds,
        }
    }
}

fn counted(hashes: Vec<u64>) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for hash in hashes {
        *counts.entry(hash).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
