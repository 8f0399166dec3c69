//! What is stored under hidden names is found again under its own, and nothing below shows a name.

use super::{HiddenStore, NameBook};
use crate::format::frame::Protection;
use crate::format::keys::MasterKey;
use crate::model::StoreId;
use crate::store::memory::MemoryStore;
use crate::store::{ObjectName, Store, StoreExt};
use proptest::prelude::*;
use std::sync::Arc;

const LEVEL: &str = "20261122T223450.123Z-1a2b3c4d";

fn hidden(inner: &Arc<MemoryStore>, master: &MasterKey) -> HiddenStore {
    let id = StoreId([1; 16]);
    let book = NameBook::new(id, Protection::Checksum, master.name_hider(id));
    HiddenStore::new(Arc::clone(inner) as Arc<dyn Store>, Arc::new(book))
}

fn listed(store: &dyn Store, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    store
        .list(prefix, &mut |object| {
            names.push(object.name.to_string());
            true
        })
        .expect("listed");
    names
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("legal")
}

#[test]
fn no_name_shows_below_and_every_call_finds_the_object() {
    let (inner, master) = (
        Arc::new(MemoryStore::default()),
        MasterKey::generate().expect("random bytes"),
    );
    let store = hidden(&inner, &master);
    let objects = [
        "data/web-1/docs/x/segments/00000000",
        "freezer.json",
        "keys/1a2b3c4d.json",
        "locks/web-1/docs/x/over",
        "lost/web-1/docs/x",
        "manifests/web-1/docs/x",
        "manifests/web-2/docs/x",
        "withdrawn/web-1/docs/x",
    ];
    for object in objects {
        store
            .put(&name(object), &vec![object.as_bytes().to_vec()])
            .expect("stored");
    }
    assert_eq!(listed(&store, ""), objects);
    assert_eq!(listed(&store, "manifests/"), objects[5..7]);
    assert_eq!(listed(&store, "manifests/web-1/"), objects[5..6]);
    assert_eq!(listed(&store, "data/web-1/docs/x/"), objects[..1]);
    for object in objects {
        let bytes = store.get(&name(object), 100).expect("there");
        assert_eq!(bytes, object.as_bytes());
    }
    let below = listed(inner.as_ref(), "");
    assert!(
        !below
            .iter()
            .any(|name| name.contains("web-") || name.contains("docs")),
        "{below:?}"
    );
    // Equal names of backups on two hosts are not seen to be equal.
    let last = |name: &String| name.split('/').nth(2).map(str::to_owned);
    let manifests = listed(inner.as_ref(), "manifests/");
    assert_ne!(last(&manifests[0]), last(&manifests[1]));
    for object in objects {
        store.delete(&name(object)).expect("removed");
    }
    assert_eq!(listed(inner.as_ref(), ""), Vec::<String>::new());
}

#[test]
fn a_backup_whose_name_nobody_knows_is_found_under_its_hash() {
    let (inner, master) = (
        Arc::new(MemoryStore::default()),
        MasterKey::generate().expect("random bytes"),
    );
    let object = name(&format!("manifests/web-1/docs/{LEVEL}"));
    hidden(&inner, &master)
        .put(&object, &vec![b"no manifest".to_vec()])
        .expect("stored");
    let other = hidden(&inner, &master);
    let shown = listed(&other, "manifests/");
    assert_eq!(shown, listed(inner.as_ref(), "manifests/"));
    assert!(ObjectName::is_hidden(
        shown[0].split('/').nth(1).expect("a host")
    ));
    other.get(&name(&shown[0]), 100).expect("found");
    other.get(&object, 100).expect("found by its own name");
    assert_eq!(
        listed(&other, "manifests/"),
        [object.to_string()],
        "a name that was used is known"
    );
}

proptest! {
    #[test]
    fn hiding_is_the_same_whoever_does_it_and_changes_nothing_else(
        host in "[a-z0-9%~.]{1,8}x",
        backup in "[a-z0-9%~.]{1,8}x",
        rest in "[a-z0-9]{1,8}(/[0-9]{8})?",
    ) {
        let (inner, master) = (
            Arc::new(MemoryStore::default()),
            MasterKey::generate().expect("random bytes"),
        );
        let object = name(&format!("data/{host}/{backup}/{rest}"));
        hidden(&inner, &master).put(&object, &vec![vec![7]]).expect("stored");
        prop_assert_eq!(hidden(&inner, &master).get(&object, 9).expect("there"), [7]);
        let below = listed(inner.as_ref(), "");
        let end = format!("/{rest}");
        prop_assert!(below[0].ends_with(&end));
        let rotated = master.rotated().expect("random bytes");
        prop_assert!(hidden(&inner, &rotated).get(&object, 9).is_ok(), "after a rotation");
    }
}
