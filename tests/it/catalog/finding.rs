//! Finding backups by the names that people use.

use super::{back_up, backup, backups, catalog, level};
use freezer::catalog::{Catalog, CatalogError};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Operation, Store};
use std::sync::Arc;

fn store_of(levels: &[(&str, &str, u32)]) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    levels.iter().for_each(|(host, name, minute)| {
        back_up(&store, &backup(host, name), &level(*minute)).expect("no fault")
    });
    store
}

fn find(catalog: &Catalog, text: &str) -> Result<String, String> {
    catalog
        .find(&text.parse().expect("a backup"))
        .map(|name| name.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn backups_are_listed_with_their_levels_and_strangers_are_passed_over() {
    let store = store_of(&[
        ("b", "docs", 1),
        ("a", "docs", 2),
        ("a", "docs", 0),
        ("a", "docs-old", 3),
        ("a", "srv/\u{e9} %", 4),
    ]);
    for stranger in [
        "manifests/README",
        "manifests/a/docs/latest",
        "manifests/a/x/y/z",
        "freezer.json",
        "data/lost",
    ] {
        store
            .put(&ObjectName::new(stranger).expect("legal"), &vec![])
            .expect("stored");
    }
    let catalog = catalog(&store);
    let expected = [
        ("a/docs", 2, 2),
        ("a/docs-old", 1, 3),
        ("a/srv/\u{e9} %", 1, 4),
        ("b/docs", 1, 1),
    ];
    let mut listed = backups(&catalog).expect("listed");
    listed.sort();
    assert_eq!(
        listed,
        expected.map(|(name, levels, newest)| (name.to_owned(), levels, level(newest)))
    );
    assert_eq!(
        catalog.levels(&backup("a", "docs")).expect("listed"),
        [level(0), level(2)]
    );
    assert_eq!(catalog.levels(&backup("a", "none")).expect("listed"), []);
    assert_eq!(catalog.leftovers(None).expect("listed"), []);
    let mut seen = 0;
    let mut stop_at_once = |_| {
        seen += 1;
        false
    };
    catalog.backups(&mut stop_at_once).expect("listed");
    assert_eq!(seen, 1);
}

#[test]
fn a_name_is_enough_where_one_host_has_it() {
    let catalog = catalog(&store_of(&[
        ("a", "docs", 0),
        ("b", "docs", 0),
        ("c", "docs", 0),
        ("a", "photos", 0),
        ("a", "srv/www", 0),
    ]));
    assert_eq!(find(&catalog, "photos").as_deref(), Ok("a/photos"));
    assert_eq!(find(&catalog, "a/photos").as_deref(), Ok("a/photos"));
    assert_eq!(find(&catalog, "b/docs").as_deref(), Ok("b/docs"));
    assert_eq!(
        find(&catalog, "srv/www").as_deref(),
        Ok("a/srv/www"),
        "a name with a slash in it"
    );
    assert_eq!(find(&catalog, "a/srv/www").as_deref(), Ok("a/srv/www"));
    assert_eq!(
        find(&catalog, "docs"),
        Err("\"docs\" is the name of several backups: write a/docs, b/docs or c/docs".to_owned())
    );
}

#[test]
fn host_and_name_win_over_a_name_with_a_slash() {
    let catalog = catalog(&store_of(&[("a", "docs", 0), ("x", "a/docs", 0)]));
    assert_eq!(find(&catalog, "a/docs").as_deref(), Ok("a/docs"));
    assert_eq!(find(&catalog, "x/a/docs").as_deref(), Ok("x/a/docs"));
}

#[test]
fn an_unknown_name_is_answered_with_near_ones() {
    let catalog = catalog(&store_of(&[
        ("web-1", "docs", 0),
        ("web-2", "photos", 0),
        ("web-2", "mail", 0),
    ]));
    assert_eq!(
        find(&catalog, "dosc"),
        Err("there is no backup \"dosc\"; is it web-1/docs".to_owned())
    );
    assert_eq!(
        find(&catalog, "Photo"),
        Err("there is no backup \"Photo\"; is it web-2/photos".to_owned())
    );
    assert_eq!(
        find(&catalog, "web-2/docs"),
        Err(
            "there is no backup \"web-2/docs\"; is it web-1/docs, web-2/photos or web-2/mail"
                .to_owned()
        )
    );
    assert_eq!(
        find(&catalog, "zzzzzzzz"),
        Err("there is no backup \"zzzzzzzz\"".to_owned())
    );
    assert_eq!(
        find(&super::catalog(&Arc::new(MemoryStore::default())), "docs"),
        Err("there is no backup \"docs\"".to_owned())
    );
}

#[test]
fn a_name_too_long_for_an_object_is_found_by_itself_and_as_listed() {
    let long = "\u{e9}".repeat(127);
    let store = store_of(&[("h", &long, 0), ("h", &long, 1)]);
    let catalog = catalog(&store);
    assert_eq!(
        find(&catalog, &format!("h/{long}")),
        Ok(format!("h/{long}"))
    );
    let listed = backups(&catalog).expect("listed");
    assert_eq!(listed.len(), 1);
    assert_eq!(find(&catalog, &long), Ok(listed[0].0.clone()));
    for name in [&listed[0].0, &long] {
        let name = catalog.find(&name.parse().expect("a backup"));
        let levels = catalog.levels(&name.expect("found")).expect("listed");
        assert_eq!(levels, [level(0), level(1)]);
    }
}

#[test]
fn a_store_that_fails_is_an_error_and_never_no_backup() {
    let store = Arc::new(
        Faulty::new(MemoryStore::default()).with(Fault::at(Operation::List, 0).for_good()),
    );
    let failing = catalog(&store);
    assert!(matches!(backups(&failing), Err(CatalogError::List { .. })));
    assert!(matches!(
        failing.levels(&backup("a", "docs")),
        Err(CatalogError::List { .. })
    ));
    assert!(matches!(
        failing.find(&"docs".parse().expect("a backup")),
        Err(CatalogError::List { .. })
    ));
    assert!(matches!(
        failing.leftovers(None),
        Err(CatalogError::List { .. })
    ));
}
