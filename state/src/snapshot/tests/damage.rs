//! Flipped bits and cut ends: each is noticed, and named by file and byte.

use super::*;

/// SplitMix64.
fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What is wrong with a snapshot, if that is noticed.
fn fault(disk: &FaultyDisk, path: &Path) -> Option<String> {
    let checked = opened(disk, path).and_then(|snapshot| snapshot.check(&mut |_| {}));
    checked.err().map(|error| error.to_string())
}

#[test]
fn a_thousand_flipped_bits_are_noticed_and_named() {
    let rig = Rig::new(1);
    let taken = rig.take().unwrap();
    assert_eq!(fault(&rig.disk, &taken.path), None);
    let mut seed = 7;
    // Wherever chance leads, and every bit of the first and last bytes.
    let chosen = (0..1_000).map(|_| chance(&mut seed) % (taken.bytes * 8));
    let ends = (0..100 * 8).chain((taken.bytes - 60) * 8..taken.bytes * 8);
    for bit in chosen.chain(ends) {
        rig.disk.flip_bit(&taken.path, bit);
        let found = fault(&rig.disk, &taken.path).unwrap_or_else(|| panic!("bit {bit}"));
        let named = found.contains("00000260.snap is damaged at byte ")
            || (bit < 128 && found.ends_with("00000260.snap is no snapshot"));
        assert!(named, "bit {bit}: {found}");
        rig.disk.flip_bit(&taken.path, bit);
    }
    assert_eq!(fault(&rig.disk, &taken.path), None);
}

#[test]
fn every_cut_is_noticed_and_nothing_is_restored_from_it() {
    let rig = Rig::new(1);
    let path = rig.take().unwrap().path;
    let bytes = read_file(&rig.disk, &path).unwrap();
    let cut = Path::new("/data/snapshots/cut.snap");
    let file = rig.disk.create(cut).unwrap();
    for len in (0..200).chain((200..bytes.len()).step_by(997)).chain(bytes.len() - 50..bytes.len())
    {
        file.set_len(0).unwrap();
        file.write_all_at(&bytes[..len], 0).unwrap();
        assert!(fault(&rig.disk, cut).is_some(), "cut to {len}");
    }
    file.write_all_at(&bytes, 0).unwrap();
    rig.disk.flip_bit(cut, 8 * 3_000);
    let snapshot = opened(&rig.disk, cut).unwrap();
    let refused = restore(&snapshot, &place(&rig.disk, &MemKv::new()), &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("cut.snap is damaged at byte"), "{refused}");
    assert!(!rig.disk.exists(Path::new("/other")), "nothing was written");
}

#[test]
fn a_newer_version_and_another_file_are_told_apart() {
    let rig = Rig::new(1);
    let path = rig.take().unwrap().path;
    let file = rig.disk.open(&path).unwrap();
    let header = opened(&rig.disk, &path).unwrap().header().encode();
    let mut newer = header[..header.len() - 4].to_vec();
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer);
    file.write_all_at(&newer, 0).unwrap();
    file.write_all_at(&crc.to_le_bytes(), newer.len() as u64).unwrap();
    let found = fault(&rig.disk, &path).unwrap();
    assert!(found.ends_with("has format version 2, this program knows up to 1"), "{found}");
    file.write_all_at(b"something else", 0).unwrap();
    assert!(fault(&rig.disk, &path).unwrap().ends_with("is no snapshot"));
}
