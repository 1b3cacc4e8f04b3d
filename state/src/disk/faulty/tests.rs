//! What a crash may and may not leave, and that every fault comes when ordered.

use super::*;
use crate::disk::{read_file, replace_file};

const DIR: &str = "/d";

fn disk(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A file whose name and first bytes are durable.
fn with_file(disk: &FaultyDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(&path(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..200 {
        let disk = disk(seed);
        let file = with_file(&disk, "a", &[1; 2_000]);
        file.write_all_at(&[2; 100], 2_000).unwrap();
        let left = read_file(&disk.crash(), &path("a")).unwrap();
        assert_eq!(left[..2_000], [1; 2_000], "seed {seed}");
        assert!(file.write_all_at(b"x", 0).is_err_and(|error| is_crash(&error)), "seed {seed}");
    }
}

#[test]
fn pending_writes_survive_whole_torn_and_not_at_all() {
    let (mut whole, mut torn, mut gone) = (0, 0, 0);
    for seed in 0..400 {
        let disk = disk(seed);
        let file = with_file(&disk, "a", &[1; 2_048]);
        file.write_all_at(&[2; 2_048], 0).unwrap();
        let left = read_file(&disk.crash(), &path("a")).unwrap();
        for sector in left.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}: torn in a sector");
        }
        match left.iter().map(|byte| usize::from(*byte == 2)).sum() {
            0 => gone += 1,
            2_048 => whole += 1,
            _ => torn += 1,
        }
    }
    assert!(whole > 20 && torn > 20 && gone > 20, "whole {whole}, torn {torn}, gone {gone}");
}

#[test]
fn later_writes_may_survive_without_earlier_ones() {
    let reordered = (0..200).any(|seed| {
        let disk = disk(seed);
        let file = with_file(&disk, "a", &[0; 2]);
        file.write_all_at(b"1", 0).unwrap();
        file.write_all_at(b"2", 1).unwrap();
        read_file(&disk.crash(), &path("a")).unwrap() == b"\x002"
    });
    assert!(reordered);
}

#[test]
fn names_need_their_directory_synced() {
    let (mut there, mut gone) = (0, 0);
    for seed in 0..100 {
        let disk = disk(seed);
        disk.create(&path("a")).unwrap().sync_data().unwrap();
        if disk.crash().exists(&path("a")) {
            there += 1;
        } else {
            gone += 1;
        }
    }
    assert!(there > 10 && gone > 10, "there {there}, gone {gone}");
}

#[test]
fn a_replaced_file_is_old_or_new_after_a_crash_anywhere() {
    for seed in 0..20 {
        for writes in 0..=5 {
            let disk = disk(seed);
            replace_file(&disk, &path("a"), &[1; 3_000]).unwrap();
            disk.crash_after(writes);
            let replaced = replace_file(&disk, &path("a"), &[2; 3_000]);
            let bytes = read_file(&disk.crash(), &path("a")).unwrap();
            assert!(bytes == [1; 3_000] || bytes == [2; 3_000], "seed {seed}, crash {writes}");
            assert_eq!(replaced.is_ok(), writes >= 5, "a replacement is five changes");
        }
    }
}

#[test]
fn a_crash_comes_after_exactly_so_many_changes() {
    let disk = disk(1);
    let file = with_file(&disk, "a", b"");
    let before = disk.mutations();
    disk.crash_after(2);
    file.write_all_at(b"1", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(disk.mutations(), before + 2);
    assert!(is_crash(&file.write_all_at(b"2", 1).unwrap_err()));
    assert!(is_crash(&file.read_at(&mut [0], 0).unwrap_err()));
    assert!(disk.open(&path("a")).is_err_and(|error| is_crash(&error)));
    assert_eq!(read_file(&disk.crash(), &path("a")).unwrap()[0], b'1');
}

#[test]
fn faults_come_when_ordered_and_once() {
    let disk = disk(1);
    let file = with_file(&disk, "a", b"12345678");
    disk.fail_write(1);
    assert!(file.write_all_at(b"a", 0).is_ok());
    assert_eq!(file.write_all_at(b"b", 0).unwrap_err().raw_os_error(), Some(5));
    assert!(file.write_all_at(b"c", 0).is_ok());
    disk.fail_sync(0);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    assert!(file.sync_data().is_ok());
    disk.fail_read(0);
    assert_eq!(file.read_at(&mut [0], 0).unwrap_err().raw_os_error(), Some(5));
    disk.short_reads(true);
    let mut eight = [0; 8];
    assert!((0..50).any(|_| file.read_at(&mut eight, 0).unwrap() < 8));
    file.read_exact_at(&mut eight, 0).unwrap();
    assert_eq!(&eight[1..], b"2345678");
    disk.flip_bit(&path("a"), 8);
    assert_eq!(read_file(&disk, &path("a")).unwrap()[1], b'3');
}

#[test]
fn a_sync_after_a_failed_one_does_not_bring_back_what_was_pending() {
    let lost = (0..50).any(|seed| {
        let disk = disk(seed);
        let file = with_file(&disk, "a", b"1");
        file.write_all_at(b"2", 0).unwrap();
        disk.fail_sync(0);
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        read_file(&disk.crash(), &path("a")).unwrap() == b"1"
    });
    assert!(lost);
}

#[test]
fn a_full_disk_refuses_to_grow_and_nothing_else() {
    let disk = disk(1);
    let file = with_file(&disk, "a", &[0; 100]);
    disk.budget_bytes(Some(110));
    assert_eq!(disk.free_bytes(Path::new(DIR)).unwrap(), 10);
    assert_eq!(file.write_all_at(&[1; 11], 100).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.set_len(111).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[1; 10], 100).unwrap();
    file.write_all_at(&[2; 110], 0).unwrap();
    assert_eq!(disk.used_bytes(), 110);
    disk.remove_file(&path("a")).unwrap();
    assert_eq!(disk.free_bytes(Path::new(DIR)).unwrap(), 110);
}
