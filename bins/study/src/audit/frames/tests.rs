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
fn a_frame_of_facts_is_no_music() {
    for (head, length, at, name) in
        [(STEREO, 417, 36, b"Info"), (STEREO, 417, 36, b"VBRI"), (MONO, 104, 13, b"Xing")]
    {
        let mut file = frames(head, length, 11);
        file[at..at + 4].copy_from_slice(name);
        let found = of_original(&file);
        assert_eq!((found.frames.len(), found.tag_bytes), (10, length));
        let kinds = found.frames.iter().map(|frame| frame.kind).collect();
        assert_eq!(of_received(&file, &kinds).len(), 10);
        // The same letters in music are music.
        file[at - 1] = 1;
        assert_eq!(of_original(&file).frames.len(), 11);
    }
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
