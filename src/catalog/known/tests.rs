use super::{KnownStores, Purpose, Surprise, Witness};
use crate::format::identity::{Cipher, Identity};
use crate::model::{BackupName, LevelId, LevelSerial, StoreId};

const PLACE: &str = "/backups";

fn identity(id: u8, cipher: Cipher) -> Identity {
    let created = jiff::Timestamp::UNIX_EPOCH;
    Identity::new(StoreId([id; 16]), cipher, created)
}

fn level(day: u8) -> LevelId {
    format!("202611{day:02}T000000.000Z-00000000")
        .parse()
        .expect("a level id")
}

fn backup() -> BackupName {
    BackupName::new("host", "docs").expect("a name")
}

fn watch(stores: &KnownStores, identity: &Identity) -> Witness {
    stores
        .watch(PLACE, identity, Purpose::Reading)
        .expect("the memory can be read")
}

/// A memory in which day `day` is the newest point of the backup.
fn memory_of(folder: &tempfile::TempDir, day: u8) -> (KnownStores, Identity) {
    let stores = KnownStores::new(folder.path().join("known-stores"));
    let identity = identity(1, Cipher::Aes256Cfb);
    let witness = watch(&stores, &identity);
    let serial = LevelSerial(day.into());
    assert_eq!(witness.opened(&backup(), &level(day), serial, "d1"), Ok(()));
    witness.keep().expect("kept");
    (stores, identity)
}

fn compare(
    stores: &KnownStores,
    identity: &Identity,
    listed: &[LevelId],
    newest: Option<(LevelId, LevelSerial)>,
) -> Option<Surprise> {
    stores
        .watch(PLACE, identity, Purpose::Writing)
        .expect("the memory can be read")
        .compare(&backup(), |level| listed.contains(level), || newest)
        .err()
}

#[test]
fn a_store_is_known_again_and_another_in_its_place_is_a_surprise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    assert_eq!(stores.surprise_at(PLACE, &known).expect("compared"), None);
    let other = identity(2, Cipher::None);
    let surprise = stores.surprise_at(PLACE, &other).expect("compared");
    assert_eq!(
        surprise,
        Some(Surprise::OtherStore {
            place: PLACE.to_owned(),
            known: known.id,
            found: other.id,
            is_plain: true,
        })
    );
    let elsewhere = stores.surprise_at("/other", &other).expect("compared");
    assert_eq!(elsewhere, None, "a new store at a new place is no surprise");
}

#[test]
fn a_known_store_that_is_no_longer_encrypted_is_a_surprise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let plain = Identity::new(known.id, Cipher::None, known.created);
    for place in [PLACE, "/other"] {
        let surprise = stores.surprise_at(place, &plain).expect("compared");
        assert!(
            matches!(surprise, Some(Surprise::NotEncrypted { .. })),
            "{surprise:?}"
        );
    }
}

#[test]
fn disks_that_take_turns_at_one_place_are_no_surprise_once_both_are_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, first) = memory_of(&folder, 5);
    let second = identity(2, Cipher::Aes256Cfb);
    watch(&stores, &second).keep().expect("kept");
    assert_eq!(stores.surprise_at(PLACE, &first).expect("compared"), None);
    assert_eq!(stores.surprise_at(PLACE, &second).expect("compared"), None);
}

#[test]
fn an_empty_place_is_a_surprise_only_where_a_store_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, _) = memory_of(&folder, 5);
    let at = |place| stores.surprise_of_nothing_at(place).expect("compared");
    assert!(matches!(at(PLACE), Some(Surprise::Emptied { .. })));
    assert_eq!(at("/other"), None);
    stores.forget_place(PLACE).expect("forgotten");
    assert_eq!(at(PLACE), None);
}

#[test]
fn a_newest_point_that_is_gone_is_a_surprise_unless_a_newer_one_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let older = (level(4), LevelSerial(4));
    let newer = (level(6), LevelSerial(6));
    let is_told = |listed: &[LevelId], newest| compare(&stores, &known, listed, newest).is_some();
    assert!(!is_told(&[level(4), level(5)], Some(older.clone())));
    assert!(is_told(&[level(4)], Some(older)), "rolled back");
    assert!(is_told(&[], None), "all points are gone");
    assert!(!is_told(&[level(6)], Some(newer)), "another client pruned");
    let same_serial = (level(6), LevelSerial(5));
    assert!(
        is_told(&[level(6)], Some(same_serial)),
        "history was replaced"
    );
}

#[test]
fn a_manifest_with_other_bytes_is_a_surprise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let witness = watch(&stores, &known);
    let opened = |digest| witness.opened(&backup(), &level(5), LevelSerial(5), digest);
    assert_eq!(opened("d1"), Ok(()));
    assert!(matches!(opened("d2"), Err(Surprise::Changed { .. })));
}

#[test]
fn what_a_run_removes_itself_is_no_surprise_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let witness = watch(&stores, &known);
    witness.removed(&backup(), &level(5));
    assert_eq!(witness.compare(&backup(), |_| false, || None), Ok(()));
    witness.keep().expect("kept");
    let older = Some((level(4), LevelSerial(4)));
    assert_eq!(compare(&stores, &known, &[level(4)], older), None);
}

#[test]
fn an_older_point_that_is_opened_later_does_not_become_the_newest() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let witness = watch(&stores, &known);
    assert_eq!(
        witness.opened(&backup(), &level(4), LevelSerial(4), "d4"),
        Ok(())
    );
    witness.keep().expect("kept");
    let older = Some((level(4), LevelSerial(4)));
    assert!(compare(&stores, &known, &[level(4)], older).is_some());
}

#[test]
fn a_damaged_memory_is_an_error_and_not_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let path = folder
        .path()
        .join(format!("known-stores/{}.json", known.id));
    std::fs::write(&path, b"{").expect("damaged");
    let error = stores.surprise_at(PLACE, &known).expect_err("damaged");
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(stores.watch(PLACE, &known, Purpose::Writing).is_err());
    assert_eq!(std::fs::read(&path).expect("still there"), b"{");
}

#[test]
fn a_surprise_is_told_to_readers_and_an_error_for_writers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stores, known) = memory_of(&folder, 5);
    let reader = watch(&stores, &known);
    let compare = |witness: &Witness| witness.compare(&backup(), |_| false, || None);
    assert_eq!((compare(&reader), compare(&reader)), (Ok(()), Ok(())));
    assert_eq!(reader.surprises().len(), 1, "{:?}", reader.surprises());
    let writer = stores.watch(PLACE, &known, Purpose::Writing).expect("read");
    assert!(matches!(compare(&writer), Err(Surprise::Older { .. })));
}
