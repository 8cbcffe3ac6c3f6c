//! The loss that a listener hears when an MP3 arrives damaged: the frames of the original that
//! sound different now, or are gone.
//!
//! The decoder's own error count is no measure: a flipped bit in the music decodes without any
//! error, to other music. So both files are decoded, and a frame of the original is counted as kept
//! when a frame that sounds exactly so is in the received file. One flipped bit usually changes two
//! frames, since frames overlap; a lost piece changes those that it held, their neighbours, and the
//! ones that had bits in its reservoir.
//!
//! A file may hold frames of several kinds, as joined files do; all of them are music.

mod decode;
mod frames;

use decode::{Sound, sounds};
use frames::{FRAMES_MIN, Layer, StreamKind};
use std::collections::{BTreeMap, BTreeSet};

/// Larger files are not audited: decoding them would take longer than the comparison itself.
const FILE_BYTES_MAX: usize = 64 << 20;

/// An MP3 as it was sent.
#[derive(Debug)]
pub struct Original {
    kinds: BTreeSet<StreamKind>,
    sounds: BTreeMap<Sound, u64>,
}

/// The reason why a file is not judged as music.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// It is too large.
    #[error("larger than 64 MiB")]
    TooLarge,
    /// Its frames have a bit rate that is none of the standard's.
    #[error("its frames are free-format, which do not say how long they are")]
    FreeFormat,
    /// It is MPEG audio, and no MP3.
    #[error("it is MPEG audio of layer I or II, and only layer III is decoded")]
    OtherLayer,
    /// Most of it is something else.
    #[error("hardly any of it is frames of an MP3 that can be decoded")]
    NoFrames,
}

impl NotJudged {
    /// Returns true if what is in the file is audio, whatever it is called.
    pub const fn is_audio(self) -> bool {
        matches!(self, Self::FreeFormat | Self::OtherLayer)
    }
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
    /// Decodes `file`.
    ///
    /// # Errors
    /// When it is no MP3, or one that cannot be judged.
    pub fn read(file: &[u8]) -> Result<Self, NotJudged> {
        if file.len() > FILE_BYTES_MAX {
            return Err(NotJudged::TooLarge);
        }
        let mut found = frames::of_original(file);
        let all = found.frames.len();
        found.frames.retain(|frame| frame.kind.layer() == Layer::Three);
        let sounds = sounds(file, &found.frames);
        let bytes: usize = found.frames.iter().map(|frame| frame.place.len()).sum();
        // A quarter leaves room for whatever else is in a file, pictures in tags apart; of noise,
        // hardly anything decodes.
        if sounds.len() < FRAMES_MIN || bytes < (file.len() - found.tag_bytes) / 4 {
            return Err(match () {
                () if frames::is_free_format(file) => NotJudged::FreeFormat,
                () if all > found.frames.len() => NotJudged::OtherLayer,
                () => NotJudged::NoFrames,
            });
        }
        let kinds = sounds.iter().map(|sound| sound.kind).collect();
        Ok(Self { kinds, sounds: counted(sounds) })
    }

    /// Returns the audit of a file that arrived as it was sent.
    pub fn intact(&self) -> Audit {
        self.audit(|_| 0)
    }

    /// Decodes what was received and counts what a listener loses. Anything at all may be in
    /// `received`.
    pub fn compare(&self, received: &[u8]) -> Audit {
        if received.len() > FILE_BYTES_MAX {
            return self.audit(|(_, times)| times);
        }
        let heard = counted(sounds(received, &frames::of_received(received, &self.kinds)));
        // A sound that is heard more often than before does not stand for another one.
        self.audit(|(sound, times)| times.saturating_sub(heard.get(&sound).copied().unwrap_or(0)))
    }

    /// Sums up, of each sound and how often it is in the original, how often it is `lost`.
    fn audit(&self, lost: impl Fn((Sound, u64)) -> u64) -> Audit {
        let mut audit = Audit { frames: 0, frames_lost: 0, seconds: 0.0, seconds_lost: 0.0 };
        for kind in &self.kinds {
            let of_kind = self.sounds.iter().filter(|(sound, _)| sound.kind == *kind);
            let (mut frames, mut frames_lost) = (0, 0);
            for (sound, times) in of_kind {
                frames += times;
                frames_lost += lost((*sound, *times));
            }
            audit.frames += frames;
            audit.frames_lost += frames_lost;
            audit.seconds += frames as f64 * kind.frame_seconds();
            audit.seconds_lost += frames_lost as f64 * kind.frame_seconds();
        }
        audit
    }
}

fn counted(sounds: Vec<Sound>) -> BTreeMap<Sound, u64> {
    let mut counts = BTreeMap::new();
    for sound in sounds {
        *counts.entry(sound).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
