//! Whatever lies there, a store comes of it, and what was given up is said.

use super::*;
use std::sync::mpsc;

/// A store with an image of shard 0 at position 5, and a row over it at position 6.
fn filled(seed: u64) -> Rig {
    let rig = Rig::new(seed);
    let mut store = rig.open().0;
    let writes = (0..30).map(|entity| put(&[(&row_key(entity), b"image")])).collect();
    let note = b"five".to_vec();
    let checkpoint = Checkpoint { shard: 0, writes, replay_from: 5, note, ceiling: 5 };
    assert_eq!(store.checkpoint(checkpoint).unwrap().form, Form::Image);
    let writes = vec![put(&[(&row_key(3), b"overlay")])];
    let note = b"six".to_vec();
    let checkpoint = Checkpoint { shard: 0, writes, replay_from: 6, note, ceiling: 9 };
    assert_eq!(store.checkpoint(checkpoint).unwrap().form, Form::Overlay);
    rig
}

fn row(store: &Store, entity: u64) -> Option<Vec<u8>> {
    store.reader().get(0, &row_key(entity)).unwrap()
}

/// The store as the image alone has it.
fn assert_rebuilt(store: &Store) {
    assert_eq!(row(store, 3).unwrap(), b"image");
    assert_eq!((store.replay_from(0), store.replay_from(1)), (5, 0));
    assert_eq!(store.shard_note(0).unwrap(), b"five");
    assert_eq!(store.shard_note(1), None);
    assert_eq!(store.ceiling(), 5);
    assert_eq!(store.reader().rows(0), 30);
}

#[test]
fn a_new_store_is_empty_and_an_old_one_is_as_it_was() {
    let (store, opened) = Rig::new(1).open();
    assert_eq!(opened, Opened { fresh: true, ..Opened::default() });
    assert_eq!((store.ceiling(), store.replay_from(1), store.shard_note(1)), (0, 0, None));
    let (store, opened) = filled(1).open();
    assert_eq!(opened, Opened::default());
    assert_eq!((store.ceiling(), store.replay_from(0)), (9, 6));
    assert_eq!(
        (row(&store, 3).unwrap(), row(&store, 4).unwrap()),
        (b"overlay".into(), b"image".into())
    );
    assert_eq!(row(&store, 77), None);
}

#[test]
fn what_was_only_in_memory_is_lost_and_replayed() {
    let rig = filled(2);
    let mut store = rig.open().0;
    store.write(0, vec![put(&[(&row_key(4), b"memory")])]).unwrap();
    assert_eq!(row(&store, 4).unwrap(), b"memory");
    drop(store);
    assert_eq!(row(&rig.open().0, 4).unwrap(), b"image");
}

#[test]
fn a_lost_overlay_leaves_the_images() {
    let rig = filled(3);
    let (store, opened) = Rig { kv: MemKv::new(), ..rig }.open();
    assert_rebuilt(&store);
    assert_eq!(opened, Opened { rebuilt: vec![0, 1], ..Opened::default() });
}

/// The process ended between an image's new name and the sync of its directory, and the overlay is
/// lost too: what the start builds on must outlive the power.
#[test]
fn an_image_that_a_start_builds_on_keeps_its_name() {
    let (image, other) = ("/data/images/000-0000000003.img", "/data/images/other");
    let (image, other) = (Path::new(image), Path::new(other));
    for seed in 0..32 {
        let rig = Rig { kv: MemKv::new(), ..filled(seed) };
        rig.disk.rename(image, other).unwrap();
        rig.disk.sync_dir(Path::new("/data/images")).unwrap();
        rig.disk.rename(other, image).unwrap();
        assert_rebuilt(&rig.open().0);
        let (store, opened) = rig.crash(seed).open();
        assert_eq!(opened.images_lost, [""; 0], "seed {seed}");
        assert_rebuilt(&store);
    }
}

#[test]
fn an_overlay_that_fails_panics_or_hangs_is_moved_aside() {
    type First = fn() -> Result<Arc<dyn Kv>, KvError>;
    let cases: [(First, &str); 2] = [
        (|| Err(KvError::Failed("it smells".into())), "it smells"),
        (|| panic!("serialized Uninitialized"), "opening it panicked"),
    ];
    for (first, why) in cases {
        let rig = filled(4);
        let tries = Arc::new(std::sync::Mutex::new(0));
        let open_kv: OpenKv = Arc::new(move |_| {
            let tried = std::mem::replace(&mut *tries.lock().unwrap(), 1);
            if tried == 0 { first() } else { Ok(Arc::new(MemKv::new())) }
        });
        let (store, opened) = open_with(&rig.disk, &open_kv).unwrap();
        assert_rebuilt(&store);
        let aside = PathBuf::from("/data/store.aside-1");
        assert_eq!(opened.aside, Some((why.to_owned(), aside)));
    }
}

#[test]
fn an_overlay_that_hangs_is_given_up() {
    let (release, hang) = mpsc::channel::<()>();
    let hang = std::sync::Mutex::new(Some(hang));
    let open_kv: OpenKv = Arc::new(move |_| {
        let first = hang.lock().unwrap().take();
        if let Some(hang) = first {
            let _ = hang.recv();
        }
        Ok(Arc::new(MemKv::new()))
    });
    let (disk, options) = (filled(5).disk, Options { open_seconds_max: 1, ..small() });
    let dir = Path::new("/data");
    let (store, opened) = Store::open(Arc::new(disk), dir, &open_kv, options, JOURNAL).unwrap();
    assert_rebuilt(&store);
    assert_eq!(opened.aside.unwrap().0, "it was not open after 1 s");
    drop(release);
}

#[test]
fn a_store_of_another_journal_is_moved_aside_with_its_images() {
    let rig = filled(6);
    let kvs = std::sync::Mutex::new(vec![MemKv::new(), rig.kv.clone()]);
    let open_kv: OpenKv = Arc::new(move |_| Ok(Arc::new(kvs.lock().unwrap().pop().unwrap())));
    let (disk, dir) = (Arc::new(rig.disk.clone()), Path::new("/data"));
    let (store, opened) = Store::open(disk, dir, &open_kv, small(), *b"another journal!").unwrap();
    assert_eq!((store.ceiling(), row(&store, 3)), (0, None));
    assert_eq!(opened.aside.unwrap().0, "it belongs to another journal");
    assert_eq!(opened.images_lost.len(), 1);
    assert_eq!(rig.disk.list(Path::new("/data/images")).unwrap(), ["000-0000000003.aside"]);
}

#[test]
fn a_damaged_image_costs_its_shard_and_no_other() {
    let rig = filled(7);
    let image = Path::new("/data/images/000-0000000003.img");
    rig.disk.flip_bit(image, 8 * 20);
    let (store, opened) = rig.open();
    assert_eq!((store.replay_from(0), store.shard_note(0), row(&store, 3)), (0, None, None));
    assert_eq!(opened.rebuilt, [0]);
    assert!(opened.images_lost[0].contains("damaged at byte 0: header"));
    assert_eq!(store.ceiling(), 9, "what was vouched for stays so");
    drop(store);
    let (store, opened) = rig.open();
    assert_eq!(opened, Opened::default());
    assert_eq!(row(&store, 3), None, "the old overlay is nothing without its image");
}

#[test]
fn damage_found_by_a_reader_costs_the_shard_at_the_next_start() {
    let rig = filled(8);
    let image = Path::new("/data/images/000-0000000003.img");
    rig.disk.flip_bit(image, 8 * 100);
    let (store, opened) = rig.open();
    assert_eq!(opened, Opened::default());
    let error = store.reader().get(0, &row_key(4)).unwrap_err();
    assert!(error.to_string().contains("is damaged at byte 64"), "{error}");
    assert_eq!(row(&store, 3).unwrap(), b"overlay");
    drop(store);
    let (store, opened) = rig.open();
    assert_eq!(opened.images_lost, ["image 000-0000000003.img is missing"]);
    assert_eq!(store.replay_from(0), 0);
}

#[test]
fn what_a_crash_left_of_a_checkpoint_is_removed() {
    let rig = filled(9);
    let images = Path::new("/data/images");
    rig.disk.create(&images.join("001-0000000099.tmp")).unwrap();
    rig.disk.create(&images.join("001-0000000098.img")).unwrap();
    rig.kv.apply("001-0000000098", &[(b"k".to_vec(), Some(b"v".to_vec()))]).unwrap();
    let (mut store, opened) = rig.open();
    assert_eq!(opened, Opened { leftovers: 3, ..Opened::default() });
    assert_eq!(rig.disk.list(images).unwrap(), ["000-0000000003.img"]);
    let writes = (0..30).map(|entity| put(&[(&row_key(entity), b"new")])).collect();
    store.checkpoint(Checkpoint { writes, replay_from: 7, ..Checkpoint::default() }).unwrap();
    assert_eq!(rig.disk.list(images).unwrap(), ["000-0000000099.img"]);
}

#[test]
fn after_an_error_of_the_overlay_nothing_is_written() {
    let rig = filled(10);
    let mut store = rig.open().0;
    rig.kv.crash_after(0);
    let again =
        || Checkpoint { ceiling: 100, writes: vec![put(&[(b"r", b"")])], ..Checkpoint::default() };
    let error = store.checkpoint(again()).unwrap_err();
    assert!(error.to_string().starts_with("could not "), "{error}");
    assert!(matches!(store.checkpoint(again()), Err(Error::Failed)));
    assert!(matches!(store.write(0, Vec::new()), Err(Error::Failed)));
}

#[test]
fn an_overlay_that_failed_at_work_is_moved_aside_by_the_next_start() {
    let rig = filled(12);
    let store = rig.open().0;
    rig.kv.fail();
    assert!(store.reader().get(0, &row_key(3)).is_err());
    drop(store);
    let left = Rig { kv: MemKv::new(), ..rig };
    let (store, opened) = left.open();
    assert_rebuilt(&store);
    let why = "could not read from the overlay: it was told to fail";
    assert_eq!(opened.aside.unwrap().0, why);
    drop(store);
    assert_eq!(left.open().1, Opened::default());
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let mut store = Rig::new(11).open().0;
    let value = vec![0; image::VALUE_BYTES_MAX + 1];
    let error = store.write(0, vec![put(&[(b"ra", b"x"), (b"rb", &value)])]).unwrap_err();
    assert_eq!(error.to_string(), "a value of 65537 bytes does not fit, at most 65536 do");
    assert_eq!(store.reader().get(0, b"ra").unwrap(), None);
}
