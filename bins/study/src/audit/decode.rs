//! An MP3 as a list of sounds: one hash per decoded frame, however broken the file is.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::default::codecs::MpaDecoder;
use symphonia::default::formats::MpaReader;

/// The kind of stream that a frame belongs to: the bits of its header that never change within a
/// file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamKind {
    version_layer_rate: u32,
    mono: bool,
}

impl StreamKind {
    /// Version, layer and sample rate, besides the eleven bits that every header begins with.
    const MASK: u32 = 0xFFFE_0C00;

    fn of(frame: &[u8]) -> Option<Self> {
        let header = u32::from_be_bytes(frame.get(..4)?.try_into().ok()?);
        Some(Self { version_layer_rate: header & Self::MASK, mono: (header >> 6) & 3 == 3 })
    }
}

/// The sounds of an MP3.
#[derive(Debug)]
pub(super) struct Sounds {
    /// The properties that its frames have in common.
    pub(super) kind: StreamKind,
    /// One hash per frame that could be decoded, in order.
    pub(super) hashes: Vec<u64>,
    /// The number of bytes that those frames take in the file.
    pub(super) bytes: usize,
    /// The time that a frame sounds.
    pub(super) frame_seconds: f64,
}

/// Decodes all frames of `kind` in `file` (of the first frame's kind when `None`) and passes over
/// what is none. `None` when there is not a single frame. Takes time in proportion to the file,
/// whatever is in it: the reader only goes forward.
pub(super) fn sounds(file: &[u8], kind: Option<StreamKind>) -> Option<Sounds> {
    let source =
        MediaSourceStream::new(Box::new(Cursor::new(file)), MediaSourceStreamOptions::default());
    let mut reader = MpaReader::try_new(source, FormatOptions::default()).ok()?;
    let mut decoder = decoder()?;
    let mut found: Option<Sounds> = None;
    // An error from the reader is the end: it has already passed over everything that is no frame.
    while let Ok(Some(packet)) = reader.next_packet() {
        let Some(packet_kind) = StreamKind::of(&packet.data) else { continue };
        // Noise that looks like a header of another kind would set the decoder to that kind for
        // good.
        let wanted = found.as_ref().map(|sounds| sounds.kind).or(kind);
        if wanted.is_some_and(|wanted| wanted != packet_kind) {
            continue;
        }
        // A frame whose bit reservoir is gone cannot be decoded; the next one is tried all the
        // same.
        let Ok(pcm) = decoder.decode(&packet) else { continue };
        if pcm.frames() == 0 {
            continue;
        }
        let sounds = found.get_or_insert_with(|| Sounds {
            kind: packet_kind,
            hashes: Vec::new(),
            bytes: 0,
            frame_seconds: pcm.frames() as f64 / f64::from(pcm.spec().rate().max(1)),
        });
        sounds.hashes.push(hash(&pcm));
        sounds.bytes += packet.data.len();
    }
    found
}

fn decoder() -> Option<MpaDecoder> {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(CODEC_ID_MP3);
    // Not gapless: trimming looks at the place in the file, and a frame must sound the same
    // wherever it stands.
    MpaDecoder::try_new(&parameters, &AudioDecoderOptions::default().gapless(false)).ok()
}

/// Hashes what a 16-bit sound card would play; a smaller difference is none to a listener.
fn hash(pcm: &GenericAudioBufferRef<'_>) -> u64 {
    let mut samples = vec![0i16; pcm.samples_interleaved()];
    pcm.copy_to_slice_interleaved(&mut samples);
    let mut hasher = DefaultHasher::new();
    samples.hash(&mut hasher);
    hasher.finish()
}
