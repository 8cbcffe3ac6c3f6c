use super::*;
use jostle_common::chance::{Direction, DrawStream, below};
use std::process::Command;

const TUNE: &[u8] = include_bytes!("../../../assets/jostle-tune.mp3");
const CHUNK: usize = 4096;
/// Six chunks, spread over the file so that none touches another.
const HIT: [usize; 6] = [20, 57, 93, 130, 171, 215];

fn original() -> Original {
    Original::read(TUNE).expect("the tune is an MP3")
}

fn with_chunks(mut change: impl FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, chunk) in TUNE.chunks(CHUNK).enumerate() {
        let mut chunk = chunk.to_vec();
        if HIT.contains(&number) {
            change(number, &mut chunk);
        }
        out.extend(chunk);
    }
    out
}

fn flipped() -> Vec<u8> {
    with_chunks(|_, chunk| chunk[2000] ^= 0x10)
}

fn zeroed() -> Vec<u8> {
    with_chunks(|_, chunk| chunk.fill(0))
}

fn dropped() -> Vec<u8> {
    with_chunks(|_, chunk| chunk.clear())
}

fn doubled() -> Vec<u8> {
    with_chunks(|_, chunk| chunk.extend_from_within(..))
}

fn truncated() -> Vec<u8> {
    TUNE[..TUNE.len() / 2].to_vec()
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let stream = DrawStream::new(seed, "noise", Direction::Up, "noise");
    (0..len as u64).map(|n| stream.draw(n, 0, 0).first() as u8).collect()
}

#[test]
fn the_tune_has_a_minute_of_frames_and_loses_none() {
    let audit = original().compare(TUNE);
    assert_eq!(audit, original().intact());
    assert_eq!((audit.frames, audit.frames_lost), (2298, 0));
    assert!((audit.seconds - 60.03).abs() < 0.01, "{}", audit.seconds);
}

#[test]
fn a_flipped_bit_changes_about_two_frames() {
    let lost = original().compare(&flipped()).frames_lost;
    assert!((6..=18).contains(&lost), "{lost}");
}

#[test]
fn a_lost_chunk_costs_the_frames_it_held_and_its_neighbours() {
    // A chunk holds 9.8 frames of 418 bytes; of each hole's edges at most three more frames are
    // hurt by reservoir and overlap.
    for file in [zeroed(), dropped()] {
        let lost = original().compare(&file).frames_lost;
        assert!((6 * 9..=6 * 17).contains(&lost), "{lost}");
    }
    // The seconds are the frames'.
    let audit = original().compare(&zeroed());
    assert!((audit.seconds_lost - audit.frames_lost as f64 * 1152.0 / 44_100.0).abs() < 1e-9);
}

#[test]
fn a_doubled_chunk_costs_hardly_anything_and_half_a_file_half() {
    let lost = original().compare(&doubled()).frames_lost;
    assert!(lost <= 6, "{lost}");
    let lost = original().compare(&truncated()).frames_lost;
    assert!((1149..=1153).contains(&lost), "{lost}");
}

#[test]
fn a_lost_beginning_costs_only_the_beginning() {
    let mut file = TUNE.to_vec();
    file[..CHUNK].fill(0);
    let lost = original().compare(&file).frames_lost;
    assert!((8..=16).contains(&lost), "{lost}");
    assert_eq!(original().compare(&[]).frames_lost, 2298);
}

#[test]
fn agrees_with_ffmpeg_frame_by_frame() {
    let files = [
        ("flipped", flipped()),
        ("zeroed", zeroed()),
        ("dropped", dropped()),
        ("doubled", doubled()),
        ("truncated", truncated()),
    ];
    let Some(reference) = ffmpeg_frames(TUNE) else {
        eprintln!("SKIPPED: ffmpeg is not installed, so nothing checks the audit from outside");
        return;
    };
    assert_eq!(reference.values().sum::<u64>(), 2298);
    for (name, file) in files {
        let heard = ffmpeg_frames(&file).expect("ffmpeg was there a moment ago");
        let kept: u64 =
            reference.iter().map(|(sum, times)| *times.min(heard.get(sum).unwrap_or(&0))).sum();
        let theirs = 2298 - kept;
        let ours = original().compare(&file).frames_lost;
        // Flips decode alike everywhere. At a hole the decoders differ in how much of a frame they
        // dare to play without its reservoir.
        let tolerance = match name {
            "flipped" | "doubled" => 0,
            "truncated" => 1,
            _ => 6 * 2,
        };
        assert!(
            ours.abs_diff(theirs) <= tolerance,
            "{name}: {ours} frames by symphonia, {theirs} by ffmpeg"
        );
    }
}

/// Returns the checksums of the frames that ffmpeg decodes, with how often each occurs; `None`
/// without ffmpeg.
fn ffmpeg_frames(file: &[u8]) -> Option<BTreeMap<String, u64>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp3");
    std::fs::write(&path, file).unwrap();
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "quiet", "-i"])
        .arg(&path)
        .args(["-f", "framecrc", "-"])
        .output()
        .ok()?;
    let mut frames = BTreeMap::new();
    for line in String::from_utf8_lossy(&run.stdout).lines().filter(|line| !line.starts_with('#')) {
        *frames.entry(line.rsplit(',').next().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    Some(frames)
}

#[test]
fn what_is_no_mp3_is_said_to_be_none() {
    for file in
        [Vec::new(), vec![0; 100_000], vec![0xFF; 100_000], include_bytes!("mod.rs").to_vec()]
    {
        assert_eq!(Original::read(&file).err(), Some(NotJudged::NoFrames));
    }
    for seed in 0..20 {
        let judged = Original::read(&noise(seed, 100_000)).err();
        assert_eq!(judged, Some(NotJudged::NoFrames), "seed {seed}");
    }
}

/// Silent frames of a kind: all that is behind their heads is zero.
fn silence(head: [u8; 4], length: usize, count: usize) -> Vec<u8> {
    let mut frame = head.to_vec();
    frame.resize(length, 0);
    frame.repeat(count)
}

/// MPEG-1 layer III, 64 kbit/s, 44.1 kHz, mono.
const MONO: [u8; 4] = [0xFF, 0xFB, 0x50, 0xC0];
/// MPEG-2 layer III, 64 kbit/s, 22.05 kHz, stereo.
const SLOW: [u8; 4] = [0xFF, 0xF3, 0x80, 0x00];

#[test]
fn joined_files_are_music_from_end_to_end() {
    let (mono, slow) = (silence(MONO, 208, 40), silence(SLOW, 208, 60));
    let joined = [mono.as_slice(), TUNE, &slow].concat();
    let music = Original::read(&joined).unwrap();
    let audit = music.intact();
    assert_eq!((audit.frames, audit.frames_lost), (40 + 2298 + 60, 0));
    let seconds = (40.0 + 2298.0) * 1152.0 / 44_100.0 + 60.0 * 576.0 / 22_050.0;
    assert!((audit.seconds - seconds).abs() < 1e-9, "{audit:?}");
    assert_eq!(music.compare(&joined), audit);
    // Damage counts in each of them, and costs the others nothing.
    let end = mono.len() + TUNE.len();
    for (lost, frames, each) in [
        (0..208 * 10, 10, 1152.0 / 44_100.0),
        (end + 208 * 20..end + 208 * 50, 30, 576.0 / 22_050.0),
    ] {
        let mut zeroed = joined.clone();
        zeroed[lost.clone()].fill(0);
        let dropped = [&joined[..lost.start], &joined[lost.end..]].concat();
        for received in [zeroed, dropped] {
            let audit = music.compare(&received);
            assert_eq!(audit.frames_lost, frames, "{lost:?}");
            assert!((audit.seconds_lost - frames as f64 * each).abs() < 1e-9, "{audit:?}");
        }
    }
    let audit = music.compare(&joined[..mono.len()]);
    assert_eq!(audit.frames_lost, 2298 + 60);
    let audit = music.compare(&joined[mono.len()..]);
    assert_eq!(audit.frames_lost, 40);
}

#[test]
fn a_picture_larger_than_the_music_is_no_music_and_hides_none() {
    let size = 5 * TUNE.len();
    let part = |shift: usize| ((size >> shift) & 0x7F) as u8;
    let mut tagged = vec![b'I', b'D', b'3', 3, 0, 0, part(21), part(14), part(7), part(0)];
    tagged.extend(noise(3, size));
    tagged.extend(TUNE);
    let music = Original::read(&tagged).unwrap();
    assert_eq!(music.intact().frames, 2298);
    assert_eq!(music.compare(&tagged).frames_lost, 0);
    // The tag that the tune itself begins with stays where it is.
    let mut damaged = tagged.clone();
    damaged[1000..size / 2].fill(0);
    assert_eq!(music.compare(&damaged).frames_lost, 0, "damage to a picture is heard by nobody");
    // Noise in front of the same music, which no tag explains, is too much of a file.
    let noisy = [noise(3, size).as_slice(), TUNE].concat();
    assert_eq!(Original::read(&noisy).err(), Some(NotJudged::NoFrames));
}

#[test]
fn what_cannot_be_judged_says_why() {
    for (file, reason) in [
        (silence([0xFF, 0xFB, 0x00, 0x00], 1200, 50), NotJudged::FreeFormat),
        (silence([0xFF, 0xFD, 0x84, 0x00], 384, 50), NotJudged::OtherLayer),
        (silence([0xFF, 0xFF, 0x14, 0x00], 32, 500), NotJudged::OtherLayer),
        (vec![0; FILE_BYTES_MAX + 1], NotJudged::TooLarge),
    ] {
        assert_eq!(Original::read(&file).err(), Some(reason));
        assert!(reason.to_string().len() > 10);
    }
}

#[test]
fn garbage_never_panics() {
    let original = original();
    let mut lost_all = 0;
    for seed in 0..60 {
        // Noise over ever more of a piece of the tune: headers survive here and there, with
        // nonsense behind them.
        let mut file = TUNE[..60_000].to_vec();
        let stream = DrawStream::new(seed, "noise", Direction::Up, "noise");
        for n in 0..seed * seed {
            let draw = stream.draw(n, 0, 0);
            file[below(draw.first(), 60_000) as usize] = draw.second() as u8;
        }
        let audit = original.compare(&file);
        assert!(audit.frames_lost >= 2298 - 144 && audit.frames_lost <= 2298);
        lost_all += u64::from(audit.frames_lost == 2298);
    }
    assert!(lost_all > 0, "the noise never got through to the decoder");
    // Nothing but headers, each at the start of the next one's body.
    let headers: Vec<u8> = TUNE[143..147].iter().copied().cycle().take(50_000).collect();
    original.compare(&headers);
    original.compare(&noise(1, 200_000));
}
