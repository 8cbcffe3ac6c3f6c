//! An MP3 as a list of sounds: one hash per decoded frame, however broken the file is.

use super::frames::{Frame, StreamKind};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::MpaDecoder;

/// A decoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sound {
    pub(super) kind: StreamKind,
    hash: u64,
}

/// Decodes frames, each kind with a decoder of its own: one that is set to another kind refuses
/// them, and noise that looks like a frame must not disturb the frames of another kind.
pub(super) fn sounds(file: &[u8], frames: &[Frame]) -> Vec<Sound> {
    let mut decoders: BTreeMap<StreamKind, MpaDecoder> = BTreeMap::new();
    let mut sounds = Vec::new();
    for Frame { kind, place } in frames {
        let kind = *kind;
        let decoder = decoders.entry(kind).or_insert_with(decoder);
        let data = &file[place.clone()];
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, data);
        // A frame whose bit reservoir is gone cannot be decoded; the next one is tried all the
        // same.
        if let Ok(pcm) = decoder.decode_ref(&packet)
            && pcm.frames() > 0
        {
            sounds.push(Sound { kind, hash: hash(&pcm) });
        }
    }
    sounds
}

fn decoder() -> MpaDecoder {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(CODEC_ID_MP3);
    // Not gapless: trimming looks at the place in the file, and a frame must sound the same
    // wherever it stands.
    let options = AudioDecoderOptions::default().gapless(false);
    MpaDecoder::try_new(&parameters, &options).expect("it is built to decode MP3")
}

/// Hashes what a 16-bit sound card would play; a smaller difference is none to a listener.
fn hash(pcm: &GenericAudioBufferRef<'_>) -> u64 {
    let mut samples = vec![0i16; pcm.samples_interleaved()];
    pcm.copy_to_slice_interleaved(&mut samples);
    let mut hasher = DefaultHasher::new();
    samples.hash(&mut hasher);
    hasher.finish()
}
