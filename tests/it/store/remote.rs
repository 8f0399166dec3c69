//! Stores in a network, on real servers.

use crate::support::servers::{self, Server};
use freezer::store::location::{IfMissing, Location};
use freezer::store::{Error, ObjectInfo, ObjectName, Settings, Store};
use std::sync::Arc;
use std::time::Duration;

/// Opens the store at a URL, makes it where there is none.
pub fn open(url: &str, settings: Settings) -> Result<Arc<dyn Store>, Error> {
    let location = Location::parse(url.as_ref()).unwrap_or_else(|error| panic!("{url}: {error}"));
    location.open(IfMissing::Create, &settings.with_retry_for(Duration::from_mins(1)))
}

/// A place of its own below a container.
pub fn fresh(scheme: &str, container: &str) -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("random bytes");
    format!("{scheme}://{container}/{:016x}", u64::from_le_bytes(random))
}

pub fn s3_settings(server: &Server) -> Settings {
    Settings::default()
        .with_option("endpoint", server["S3_ENDPOINT"].as_str())
        .with_variable("AWS_ACCESS_KEY_ID", server["S3_ACCESS_KEY"].as_str())
        .with_variable("AWS_SECRET_ACCESS_KEY", server["S3_SECRET_KEY"].as_str())
}

/// What a server's script says, as variables of the environment.
pub fn as_variables(server: &Server, prefix: &str) -> Settings {
    let variables = server.iter().filter(|(name, _)| name.starts_with(prefix));
    variables.fold(Settings::default(), |settings, (name, value)| settings.with_variable(name, value.as_str()))
}

pub fn s3(container: &str) -> Arc<dyn Store> {
    open(&fresh("s3", container), s3_settings(&servers::openstack().swift)).expect("opened")
}

pub fn swift_v1(container: &str) -> Arc<dyn Store> {
    open(&fresh("swift", container), as_variables(&servers::openstack().swift, "ST_")).expect("opened")
}

pub fn swift_keystone(container: &str) -> Arc<dyn Store> {
    open(&fresh("swift", container), as_variables(&servers::openstack().keystone, "OS_")).expect("opened")
}

fn several_pages_are_one_listing(store: &dyn Store) {
    let name = |number: u32| ObjectName::new(format!("data/{number:05}")).expect("legal");
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || (0..2050).filter(|number| number % 8 == part).for_each(|number| store.put(&name(number), &vec![]).expect("stored")));
        }
    });
    let mut shown = Vec::new();
    let mut keep = |object: ObjectInfo| {
        shown.push(object.name);
        true
    };
    store.list("data/", &mut keep).expect("listed");
    assert!(shown == (0..2050).map(name).collect::<Vec<_>>(), "{} objects", shown.len());
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_listing_of_several_pages_is_one_listing_on_s3() {
    several_pages_are_one_listing(&s3("pages"));
}

#[test]
#[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
fn a_listing_of_several_pages_is_one_listing_on_swift() {
    several_pages_are_one_listing(&swift_v1("pages"));
}
