//! The power goes, or the disk fails, at any moment of taking and of restoring.

use super::*;

/// What counts as a snapshot after a crash is one.
fn assert_good_or_none(disk: &FaultyDisk, case: &str) -> bool {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let folder = Path::new("/data/snapshots");
    let found = list(&shared, folder).unwrap();
    for found in &found {
        let snapshot = found.snapshot.as_ref().expect(case);
        snapshot.check(&mut |_| {}).expect(case);
    }
    if disk.exists(folder) {
        clean(disk, folder).unwrap();
        assert_eq!(disk.list(folder).unwrap().len(), found.len(), "{case}");
    }
    !found.is_empty()
}

#[test]
fn a_crash_leaves_a_good_snapshot_or_none() {
    let (mut some, mut none) = (0, 0);
    for seed in 0..4 {
        for changes in 0..1_000 {
            let rig = Rig::new(seed);
            rig.disk.crash_after(changes);
            let taken = rig.take();
            let is_there =
                assert_good_or_none(&rig.disk.crash(), &format!("seed {seed}, change {changes}"));
            assert!(is_there || taken.is_err(), "seed {seed}, change {changes}: it was taken");
            *(if is_there { &mut some } else { &mut none }) += 1;
            if taken.is_ok() {
                break;
            }
        }
    }
    assert!(some >= 4 && none >= 20, "{some} left a snapshot, {none} did not");
}

#[test]
fn a_disk_that_fails_leaves_no_bad_snapshot() {
    let faults: [fn(&FaultyDisk, u64); 3] =
        [FaultyDisk::fail_write, FaultyDisk::fail_sync, FaultyDisk::fail_read];
    let mut none = 0;
    for fault in faults {
        for nth in 0..200 {
            let rig = Rig::new(nth);
            fault(&rig.disk, nth);
            let Err(error) = rig.take() else { break };
            assert!(error.to_string().starts_with("could not "), "{error}");
            // One whose name could not be synced is good all the same.
            none += u32::from(!assert_good_or_none(&rig.disk, &format!("fault {nth}")));
        }
    }
    assert!(none > 10, "{none} failures left none");
    let rig = Rig::new(0);
    rig.disk.budget_bytes(Some(rig.disk.used_bytes() + 3_000));
    assert!(rig.take().is_err(), "there was room for it");
    assert!(!assert_good_or_none(&rig.disk, "a full disk"));
}

#[test]
fn a_directory_is_whole_or_nobodys_after_a_crash() {
    let rig = Rig::new(1);
    let taken = rig.take().unwrap();
    let mut nobodys = 0;
    for changes in 0..1_000 {
        let disk = rig.disk.copy();
        let kv = MemKv::new();
        let snapshot = opened(&disk, &taken.path).unwrap();
        disk.crash_after(changes);
        let restored = restore(&snapshot, &place(&disk, &kv), &mut |_| {}).is_ok();
        let (disk, kv) = (disk.crash(), kv.crash(changes));
        let kinds = KINDS;
        let layout = Layout { shards: u32::from(SHARDS), kinds: &kinds };
        match directory::Identity::check(&disk, Path::new("/other"), &layout) {
            Ok(Some(_)) => assert_same(&rig, &disk, &kv),
            Ok(None) => {
                // Nothing but folders is there: a process would begin anew.
                assert!(!restored, "change {changes}");
                assert!(!disk.exists(Path::new("/other/journal")), "change {changes}");
            }
            Err(error) => {
                assert!(error.to_string().contains("not finished"), "{error}");
                nobodys += 1;
            }
        }
        if restored {
            break;
        }
    }
    assert!(nobodys > 10, "{nobodys} were nobody's");
}
