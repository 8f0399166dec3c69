//! Space among what is needed, as the program gives it back.

use super::User;

/// Incompressible, and another for each seed.
fn noise(seed: u8) -> Vec<u8> {
    crate::support::torture::noise(u64::from(seed), 1_500_000)
}

impl User {
    /// Files that share a segment, of which all but one change before the first point in time goes.
    fn with_mixed_segments() -> Self {
        let user = Self::new();
        for file in 0..8 {
            user.write(&format!("docs/{file}"), noise(file));
        }
        // What was written just before a run is stored again by the next: the third leans on one of
        // both.
        user.succeeds("backup docs --hostname here -q");
        user.succeeds("backup docs --hostname here -q");
        for file in 1..8 {
            user.write(&format!("docs/{file}"), noise(100 + file));
        }
        user.succeeds("backup docs --hostname here -q");
        user
    }

    fn stored(&self) -> u64 {
        self.objects("/data/")
            .iter()
            .map(|path| path.metadata().expect("there").len())
            .sum()
    }
}

#[test]
fn a_repack_is_shown_asked_for_and_done() {
    let user = User::with_mixed_segments();
    let said = user.succeeds("prune docs --keep-last 1 --yes --grace 0");
    assert!(said.err.contains("removed 2 points in time"), "{said:?}");
    let mixed = user.stored();
    assert!(
        mixed > 21_000_000,
        "{mixed}: all is in one segment with a file that is needed"
    );
    let said = user.succeeds("prune docs --dry-run");
    assert!(
        said.err
            .contains("lie among data that is needed: freezer repack"),
        "{said:?}"
    );
    let said = user.succeeds("repack docs --dry-run");
    assert!(
        said.out.contains("here/docs") && said.out.contains("GIVEN BACK"),
        "{said:?}"
    );
    assert!(
        said.err
            .contains("would be given back; nothing was changed"),
        "{said:?}"
    );
    let said = user.fails(2, "repack docs");
    assert!(
        said.err
            .contains("nothing was changed: there is no terminal to ask on"),
        "{said:?}"
    );
    assert_eq!(user.stored(), mixed);
    let done = user.succeeds("repack docs --yes --json").json();
    assert_eq!(
        (&done[0]["segments"], &done[0]["repacked"]["segments"]),
        (&1.into(), &1.into())
    );
    assert!(
        done[0]["removed"]["waiting_bytes"]
            .as_u64()
            .expect("a number")
            > 7_000_000,
        "{done}"
    );
    assert!(
        user.succeeds("repack docs --yes")
            .err
            .contains("there is nothing to repack")
    );
    user.succeeds("prune --yes --grace 0");
    assert!(user.stored() < 15_600_000, "{}", user.stored());
    user.succeeds("check --read-data");
    user.succeeds("restore docs --target out -q");
    for file in 0..8 {
        let expected = if file == 0 {
            noise(0)
        } else {
            noise(100 + file)
        };
        assert!(
            std::fs::read(user.path(format!("out/{file}"))).expect("restored") == expected,
            "{file}"
        );
    }
    user.write("docs/0", noise(77));
    user.succeeds("backup docs --hostname here -q");
    user.succeeds("check --read-data");
}

#[test]
fn a_prune_repacks_afterwards() {
    let user = User::with_mixed_segments();
    let said = user.succeeds("prune --all --keep-last 1 --repack-below 50% --yes --grace 0");
    assert!(
        said.err.contains("here/docs: repacked 1 segment: copied "),
        "{said:?}"
    );
    assert!(said.err.contains("removed 2 points in time"), "{said:?}");
    assert!(user.stored() < 15_600_000, "{}", user.stored());
    user.succeeds("check --read-data");
    assert!(
        user.succeeds("prune --all --keep-last 1 --repack-below 50% --yes")
            .err
            .contains("there is nothing to remove")
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q");
    assert!(user.fails(2, "repack").err.contains("no backup was named"));
    assert!(
        user.fails(2, "repack docs@latest")
            .err
            .contains("leave @DATE out")
    );
    assert!(
        user.fails(2, "repack docs here/docs")
            .err
            .contains("named twice")
    );
    assert!(
        user.fails(2, "repack docs --below much")
            .err
            .contains("50%")
    );
    assert!(
        user.fails(2, "repack docs --all")
            .err
            .contains("cannot be used with")
    );
    assert!(
        user.succeeds("repack --all")
            .err
            .contains("there is nothing to repack")
    );
}
