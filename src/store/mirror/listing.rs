//! The listings of several places, as one.

use super::Mirror;
use crate::store::{Error, ObjectInfo, ObjectName, Operation, Store, check_prefix};
use std::collections::BTreeMap;

/// The next names of one place.
struct PlaceNames {
    objects: Vec<ObjectInfo>,
    /// Whether the place has more.
    has_more: bool,
}

impl PlaceNames {
    /// Reads at most `most` names behind `after`.
    fn read(
        store: &dyn Store,
        prefix: &str,
        after: Option<&ObjectName>,
        most: usize,
    ) -> Result<Self, Error> {
        let mut names = Self {
            objects: Vec::new(),
            has_more: false,
        };
        store.list(prefix, &mut |object| {
            if after.is_some_and(|after| object.name <= *after) {
                return true;
            }
            names.has_more = names.objects.len() == most;
            if !names.has_more {
                names.objects.push(object);
            }
            !names.has_more
        })?;
        Ok(names)
    }
}

/// Shows what any place has, in order. Memory holds `most` names of each place: where there are
/// more, the places are listed again from the beginning, and the names before are passed over.
pub(super) fn list(
    mirror: &Mirror,
    most: usize,
    prefix: &str,
    found: &mut dyn FnMut(ObjectInfo) -> bool,
) -> Result<(), Error> {
    check_prefix(prefix)?;
    let mut after: Option<ObjectName> = None;
    loop {
        let (below, behind) = (prefix.to_owned(), after.take());
        let listings = mirror.everywhere(Operation::List, None, move |store| {
            PlaceNames::read(store, &below, behind.as_ref(), most)
        })?;
        // Behind the last name of a place that has more, nothing is known of that place.
        let ends = listings.iter().filter(|names| names.has_more);
        let until = ends
            .filter_map(|names| names.objects.last())
            .map(|last| last.name.clone())
            .min();
        let all: BTreeMap<ObjectName, u64> = listings
            .into_iter()
            .flat_map(|names| names.objects)
            .filter(|object| until.as_ref().is_none_or(|until| object.name <= *until))
            .map(|object| (object.name, object.length))
            .collect();
        for (name, length) in all {
            if !found(ObjectInfo { name, length }) {
                return Ok(());
            }
        }
        if until.is_none() {
            return Ok(());
        }
        after = until;
    }
}

#[cfg(test)]
mod tests {
    use super::list;
    use crate::store::memory::MemoryStore;
    use crate::store::mirror::{Mirror, OnFailure, WaitLimits};
    use crate::store::{ObjectName, Store};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn what_any_place_has_is_shown_once_and_in_order_however_few_names_are_held() {
        let hour = Duration::from_hours(1);
        let limits = WaitLimits {
            for_one: hour,
            in_all: hour,
        };
        let places = [MemoryStore::default(), MemoryStore::default()].map(Arc::new);
        let name = |number: u32| ObjectName::new(format!("d/{number:03}")).expect("legal");
        for number in 0..40 {
            // Some are in both, and the second has none between 10 and 30.
            if number % 3 != 0 {
                places[0].put(&name(number), &vec![]).expect("stored");
            }
            if number % 2 == 0 && !(10..30).contains(&number) {
                places[1].put(&name(number), &vec![]).expect("stored");
            }
        }
        let expected: Vec<String> = (0..40)
            .filter(|number| number % 3 != 0 || number % 2 == 0 && !(10..30).contains(number))
            .map(|number| name(number).to_string())
            .collect();
        let stores: Vec<Arc<dyn Store>> = vec![places[0].clone(), places[1].clone()];
        let mirror = Mirror::new(stores, OnFailure::Abort, limits);
        for most in [1, 2, 7, 100] {
            let mut names = Vec::new();
            let mut show = |object: crate::store::ObjectInfo| {
                names.push(object.name.to_string());
                true
            };
            list(&mirror, most, "d/", &mut show).expect("listed");
            assert_eq!(names, expected, "{most} at once");
        }
        let mut shown = 0;
        let mut three = |_| {
            shown += 1;
            shown < 3
        };
        list(&mirror, 2, "d/", &mut three).expect("as far as was wanted");
        assert_eq!(shown, 3);
    }
}
