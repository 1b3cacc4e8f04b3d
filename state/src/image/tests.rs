//! Images: what is written comes back, block by block, and any damage is noticed and named.

use super::*;
use crate::disk::{Disk, FaultyDisk, RealDisk};
use std::sync::Arc;

fn header(note: &[u8]) -> Header {
    Header {
        journal: *b"0123456789abcdef",
        shard: 5,
        generation: 7,
        replay_from: 1_000,
        ceiling: 1_234,
        note: note.to_vec(),
    }
}

fn key(n: u32) -> Vec<u8> {
    format!("r\0user-{n:06}\0").into_bytes()
}

fn value(n: u32) -> Vec<u8> {
    vec![n as u8; (n as usize * 37) % 600]
}

fn write(disk: &Arc<dyn Disk>, numbers: impl Iterator<Item = u32>) -> PathBuf {
    let dir = Path::new("/images");
    disk.create_dir_all(dir).unwrap();
    let mut writer = Writer::begin(disk, dir, &header(b"note")).unwrap();
    for n in numbers {
        writer.push(&key(n), &value(n)).unwrap();
    }
    let finished = writer.finish().unwrap();
    finished.publish().unwrap().to_owned()
}

#[test]
fn the_header_never_changes() {
    let bytes = header(b"n").encode();
    let parts = [&bytes[..16], &bytes[16..32], &bytes[32..48], &bytes[48..]];
    let text = parts.map(|part| part.escape_ascii().to_string()).join("\n");
    expect_test::expect![[r#"
        BWIMAGE\x00\x01\x00\x05\x00\x01\x00\x00\x00
        0123456789abcdef
        \x07\x00\x00\x00\x00\x00\x00\x00\xe8\x03\x00\x00\x00\x00\x00\x00
        \xd2\x04\x00\x00\x00\x00\x00\x00n\xb8\x18\xe3\xf2"#]]
    .assert_eq(&text);
}

#[test]
fn what_was_written_is_found_and_nothing_else() {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let path = write(&disk, (0..3_000).map(|n| n * 2));
    assert_eq!(path, Path::new("/images/005-0000000007.img"));
    assert_eq!(parse_file_name("005-0000000007.img"), Some((5, 7)));
    let image = Image::open(&disk, &path).unwrap();
    assert_eq!(image.header(), &header(b"note"));
    assert_eq!((image.entries(), image.rows()), (3_000, 3_000));
    let cache = Cache::new(1 << 20);
    for n in 0..6_002 {
        let expected = (n % 2 == 0 && n < 6_000).then(|| value(n));
        assert_eq!(image.get(&key(n), &cache).unwrap(), expected, "{n}");
        assert!(expected.is_none() || image.may_contain(&key(n)));
    }
    assert_eq!(image.get(b"a", &cache).unwrap(), None);
    for from in [0, 1, 77, 2_999, 5_998, 5_999] {
        let mut cursor = image.seek(&key(from), Some(&cache)).unwrap();
        for n in (from..6_000).filter(|n| n % 2 == 0) {
            let (found, bytes) = cursor.peek().unwrap();
            assert_eq!((found, bytes), (key(n).as_slice(), value(n).as_slice()));
            cursor.advance().unwrap();
        }
        assert!(cursor.peek().is_none());
        cursor.advance().unwrap();
        assert!(cursor.peek().is_none());
    }
}

#[test]
fn an_empty_image_is_an_image() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = tempfile::tempdir().unwrap();
    let finished = Writer::begin(&disk, dir.path(), &header(b"")).unwrap().finish().unwrap();
    let image = Image::open(&disk, finished.publish().unwrap()).unwrap();
    assert_eq!(image.get(&key(1), &Cache::new(0)).unwrap(), None);
    assert!(image.seek(b"", None).unwrap().peek().is_none());
    assert!(!image.may_contain(&key(1)));
}

/// Reads all of an image; any damage must surface.
fn read_all(disk: &Arc<dyn Disk>, path: &Path) -> Result<u64, Error> {
    let image = Image::open(disk, path)?;
    image.verify()?;
    Ok(image.entries())
}

#[test]
fn every_flipped_bit_is_noticed_and_named() {
    let disk = FaultyDisk::new(2);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = write(&shared, 0..120);
    let bytes = shared.open(&path).unwrap().len().unwrap();
    for byte in (0..bytes).step_by(7) {
        let copy = disk.copy();
        copy.flip_bit(&path, byte * 8 + byte % 8);
        let copy: Arc<dyn Disk> = Arc::new(copy);
        match read_all(&copy, &path) {
            Err(Error::Damaged { path: named, offset, .. }) => {
                assert_eq!(named, path);
                assert!(offset <= byte, "byte {byte} is not behind {offset}");
            }
            other => panic!("byte {byte} flipped, and got {other:?}"),
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let disk = FaultyDisk::new(3);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = write(&shared, 0..40);
    let bytes = shared.open(&path).unwrap().len().unwrap();
    for len in (0..bytes).step_by(5).chain([bytes - 1, bytes + 1]) {
        let copy: Arc<dyn Disk> = Arc::new(disk.copy());
        copy.open(&path).unwrap().set_len(len).unwrap();
        let error = read_all(&copy, &path).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "cut to {len}: {error}");
    }
}

#[test]
fn damage_takes_the_image_out_of_service() {
    let disk = FaultyDisk::new(4);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = write(&shared, 0..200);
    disk.flip_bit(&path, 8 * 300);
    let image = Image::open(&shared, &path).unwrap();
    let error = image.get(&key(1), &Cache::new(0)).unwrap_err();
    expect_test::expect![["image /images/005-0000000007.img is damaged at byte 64: block"]]
        .assert_eq(&error.to_string());
    assert!(!shared.exists(&path));
    assert!(shared.exists(&path.with_extension("aside")));
}

#[test]
fn a_disk_that_fails_while_reading_is_not_damage() {
    let disk = FaultyDisk::new(5);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = write(&shared, 0..200);
    let image = Image::open(&shared, &path).unwrap();
    disk.fail_read(0);
    let error = image.get(&key(1), &Cache::new(0)).unwrap_err();
    assert!(matches!(error, Error::Disk { what: "read", .. }), "{error}");
    assert!(shared.exists(&path));
    disk.short_reads(true);
    assert_eq!(read_all(&shared, &path).unwrap(), 200);
}

#[test]
fn a_newer_format_and_oversized_entries_are_refused() {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(6));
    let path = write(&disk, 0..3);
    let mut bytes = header(b"note").encode();
    bytes[8] = 2;
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    disk.open(&path).unwrap().write_all_at(&bytes, 0).unwrap();
    let error = Image::open(&disk, &path).err().unwrap();
    assert!(error.to_string().ends_with("has format version 2, newer than 1"));
    let mut writer = Writer::begin(&disk, Path::new("/images"), &header(b"")).unwrap();
    assert!(writer.push(b"r", &vec![0; VALUE_BYTES_MAX + 1]).is_err());
    writer.push(b"r", &vec![0; VALUE_BYTES_MAX]).unwrap();
}
