//! Stores in a network, on real servers.
#![expect(
    clippy::disallowed_methods,
    reason = "one test asks a server by other means"
)]

use crate::support::relay::Relay;
use crate::support::servers::{self, Server};
use crate::support::{backup, reading, scratch};
use freezer::store::location::{IfMissing, Location};
use freezer::store::{Error, ErrorKind, ObjectInfo, ObjectName, Store, StoreExt, StoreSettings};
use std::sync::Arc;
use std::time::Duration;

/// Opens the store at a URL, makes it where there is none.
pub fn open(url: &str, settings: StoreSettings) -> Result<Arc<dyn Store>, Error> {
    let location = Location::parse(url.as_ref()).unwrap_or_else(|error| panic!("{url}: {error}"));
    location.open(
        IfMissing::Create,
        &settings.with_retry_for(Duration::from_mins(1)),
    )
}

/// Opens the store at a URL, and tries nothing again.
pub fn open_at_once(url: &str, settings: StoreSettings) -> Result<Arc<dyn Store>, Error> {
    let location = Location::parse(url.as_ref()).unwrap_or_else(|error| panic!("{url}: {error}"));
    location.open(IfMissing::Refuse, &settings.with_retry_for(Duration::ZERO))
}

/// Returns a place of its own below a container.
pub fn fresh(scheme: &str, container: &str) -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("random bytes");
    format!("{scheme}://{container}/{:016x}", u64::from_le_bytes(random))
}

pub fn s3_settings(server: &Server) -> StoreSettings {
    StoreSettings::default()
        .with_option("endpoint", server["S3_ENDPOINT"].as_str())
        .with_variable("AWS_ACCESS_KEY_ID", server["S3_ACCESS_KEY"].as_str())
        .with_variable("AWS_SECRET_ACCESS_KEY", server["S3_SECRET_KEY"].as_str())
}

/// Returns the output of a server's script as variables of the environment.
pub fn as_variables(server: &Server, prefix: &str) -> StoreSettings {
    let variables = server.iter().filter(|(name, _)| name.starts_with(prefix));
    variables.fold(StoreSettings::default(), |settings, (name, value)| {
        settings.with_variable(name, value.as_str())
    })
}

pub fn s3(container: &str) -> Arc<dyn Store> {
    open(
        &fresh("s3", container),
        s3_settings(&servers::openstack().swift),
    )
    .expect("opened")
}

pub fn swift_v1(container: &str) -> Arc<dyn Store> {
    open(
        &fresh("swift", container),
        as_variables(&servers::openstack().swift, "ST_"),
    )
    .expect("opened")
}

pub fn swift_keystone(container: &str) -> Arc<dyn Store> {
    open(
        &fresh("swift", container),
        as_variables(&servers::openstack().keystone, "OS_"),
    )
    .expect("opened")
}

/// Returns the output of an SSH server's script as options.
pub fn sftp_settings(server: &Server) -> StoreSettings {
    StoreSettings::default()
        .with_option("ssh-key", server["SSH_KEY"].as_str())
        .with_option("ssh-known-hosts", server["SSH_KNOWN_HOSTS"].as_str())
}

/// Returns a folder of its own on an SSH server.
pub fn sftp_url(server: &Server) -> String {
    let (user, host, port, folder) = (
        &server["SSH_USER"],
        &server["SSH_HOST"],
        &server["SSH_PORT"],
        &server["SSH_DIR"],
    );
    fresh("sftp", &format!("{user}@{host}:{port}{folder}"))
}

pub fn sftp() -> Arc<dyn Store> {
    let server = servers::sshd();
    open(&sftp_url(&server), sftp_settings(&server)).expect("opened")
}

/// Returns a folder of its own on a WebDAV server.
pub fn webdav_url(server: &Server) -> String {
    let (user, host, port) = (
        &server["WEBDAV_USERNAME"],
        &server["WEBDAV_HOST"],
        &server["WEBDAV_PORT"],
    );
    format!(
        "{}?tls=no",
        fresh("webdav", &format!("{user}@{host}:{port}"))
    )
}

pub fn webdav() -> Arc<dyn Store> {
    let server = servers::webdav();
    open(
        &webdav_url(&server),
        as_variables(&server, "WEBDAV_PASSWORD"),
    )
    .expect("opened")
}

/// Opens a prefix of its own in a container that is there.
#[cfg(feature = "azblob")]
pub fn azblob() -> Arc<dyn Store> {
    open(
        &fresh("azblob", "freezer"),
        as_variables(&servers::azurite(), "AZURE_"),
    )
    .expect("opened")
}

/// Returns the error of a store that cannot be opened, with its causes.
fn refusal(url: &str, settings: StoreSettings) -> (ErrorKind, String) {
    let error = open(url, settings).map(|_| ()).expect_err("refused");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    (error.kind(), text)
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
fn a_key_or_a_host_that_is_not_known_is_refused_at_once() {
    let server = servers::sshd();
    let url = sftp_url(&server);
    let (kind, text) = refusal(
        &url,
        sftp_settings(&server).with_option("ssh-key", server["SSH_WRONG_KEY"].as_str()),
    );
    assert!(
        kind == ErrorKind::Denied && text.contains("Permission denied"),
        "{text}"
    );
    let (kind, text) = refusal(
        &url,
        sftp_settings(&server).with_option("ssh-known-hosts", "/dev/null"),
    );
    assert!(
        kind == ErrorKind::Denied && text.contains("Host key verification failed"),
        "{text}"
    );
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
fn a_large_object_goes_over_ssh_and_comes_back_in_parts() {
    let store = sftp();
    let object = ObjectName::new("data/large").expect("legal");
    let body = crate::support::torture::noise(3, 9_000_001);
    let rope: Vec<Vec<u8>> = body.chunks(1_000_003).map(<[u8]>::to_vec).collect();
    store.put(&object, &rope).expect("stored");
    assert!(store.get(&object, u64::MAX).expect("read") == body);
    for (offset, length) in [
        (0, 1),
        (8_999_999, 2),
        (1_234_567, 4_000_000),
        (32_768, 32_768),
        (32_767, 32_770),
    ] {
        assert!(
            store
                .get_range(&object, offset as u64, length)
                .expect("read")
                == body[offset..offset + length],
            "{length} at {offset}"
        );
    }
}

/// A store on an SSH server behind a relay, and everything that has to live as long.
fn sftp_behind_a_relay(
    settings: impl FnOnce(StoreSettings) -> StoreSettings,
) -> (Arc<dyn Store>, Relay, tempfile::TempDir) {
    let server = servers::sshd();
    let relay = Relay::new(&format!("{}:{}", server["SSH_HOST"], server["SSH_PORT"]));
    let known = std::fs::read_to_string(&server["SSH_KNOWN_HOSTS"]).expect("a file");
    let room = crate::support::scratch();
    let known_here = room.path().join("known_hosts");
    std::fs::write(
        &known_here,
        known.replace(
            &format!(":{} ", server["SSH_PORT"]),
            &format!(":{} ", relay.port),
        ),
    )
    .expect("written");
    let url = sftp_url(&server).replace(
        &format!(":{}", server["SSH_PORT"]),
        &format!(":{}", relay.port),
    );
    let known_here =
        sftp_settings(&server).with_option("ssh-known-hosts", known_here.to_str().expect("text"));
    let location = Location::parse(url.as_ref()).expect("a URL");
    (
        location
            .open(IfMissing::Create, &settings(known_here))
            .expect("opened"),
        relay,
        room,
    )
}

/// The longest silence of a server: more than a busy machine needs to begin a session.
const SILENCE: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
fn an_ssh_server_that_stands_still_is_given_up_and_the_next_call_begins_anew() {
    let impatient =
        |settings: StoreSettings| settings.with_idle(SILENCE).with_retry_for(Duration::ZERO);
    let (store, relay, _room) = sftp_behind_a_relay(impatient);
    let object = ObjectName::new("data/a").expect("legal");
    store.put(&object, &vec![vec![1; 100]]).expect("stored");
    relay.stand_still(true);
    let large = vec![vec![2; 1 << 20]; 12];
    assert_eq!(
        store
            .put(&object, &large)
            .expect_err("nothing arrives")
            .kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(
        store
            .get(&object, 1 << 30)
            .expect_err("no session begins")
            .kind(),
        ErrorKind::Unavailable
    );
    let before = relay.connections();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| store.get(&object, 1 << 30).expect_err("no session begins"));
        }
    });
    // A second one is for a thread that came when the first had been given up.
    let begun = relay.connections() - before;
    assert!(
        (1..=2).contains(&begun),
        "they wait for one session together, not each for one of its own: {begun} were begun"
    );
    relay.stand_still(false);
    assert_eq!(
        store.get(&object, 1 << 30).expect("as it was"),
        vec![1; 100]
    );
    store.put(&object, &large).expect("stored");
    assert_eq!(store.get(&object, 1 << 30).expect("read").len(), 12 << 20);
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
fn answers_over_ssh_that_trickle_end_in_time_where_somebody_waits_and_are_no_silence() {
    let object = ObjectName::new("data/a").expect("legal");
    let body = crate::support::torture::noise(7, 1 << 20);
    let (store, relay, _room) = sftp_behind_a_relay(|settings| {
        settings
            .with_retry_for(Duration::ZERO)
            .within(Duration::from_secs(8))
    });
    store.put(&object, &vec![body.clone()]).expect("stored");
    // 1 MiB takes 40 seconds so, and no answer for itself as long as what counts as silence.
    relay.trickle(Duration::from_millis(40));
    let before = relay.answered_bytes();
    assert_eq!(
        store
            .get(&object, 1 << 30)
            .expect_err("it would take too long")
            .kind(),
        ErrorKind::Unavailable
    );
    let came = relay.answered_bytes() - before;
    assert!(
        came < 1 << 20,
        "it ended when all had come, {came} bytes, and not when its time was over"
    );
    relay.trickle(Duration::ZERO);
    assert!(store.get(&object, 1 << 30).expect("read") == body);
    let impatient =
        |settings: StoreSettings| settings.with_idle(SILENCE).with_retry_for(Duration::ZERO);
    let (store, relay, _room) = sftp_behind_a_relay(impatient);
    store
        .put(&object, &vec![body[..64_000].to_vec()])
        .expect("stored");
    // An answer takes 1.6 seconds, and the last of the four waits for those of the others: slow,
    // and never silent.
    relay.trickle(Duration::from_millis(50));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(store.get(&object, 1 << 30).expect("read") == body[..64_000]));
        }
    });
}

/// Three levels, and what each holds.
fn three_levels(
    access: &freezer::catalog::Access,
) -> Vec<(freezer::model::LevelId, reading::Whole)> {
    let source = scratch();
    let back_up = |round: u32| {
        std::fs::write(source.path().join("file"), format!("content {round}")).expect("written");
        let report = backup::back_up(access, &[source.path()], |request| {
            request.levels = freezer::backup::Levels::default()
        });
        assert_eq!(report.manifest.level, round, "each leans on the one before");
        let whole = reading::whole(access, &backup::name(), &report.manifest.id);
        (report.manifest.id, whole)
    };
    (0..3).map(back_up).collect()
}

/// The name that the manifest of a level has in the store, where those of hosts and backups are
/// hidden.
fn manifest_of(store: &dyn Store, level: &freezer::model::LevelId) -> ObjectName {
    let mut found = None;
    let mut each = |object: ObjectInfo| {
        if object.name.as_str().ends_with(level.as_str()) {
            found = Some(object.name);
        }
        true
    };
    store.list("manifests/", &mut each).expect("listed");
    found.expect("it is there")
}

#[test]
#[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
fn a_client_that_may_only_add_over_ssh_backs_up_and_reads_and_can_destroy_nothing() {
    let server = servers::sshd_to_add_to();
    let store = open(&sftp_url(&server), sftp_settings(&server)).expect("opened");
    let access = backup::create_hidden(Arc::clone(&store));
    let levels = three_levels(&access);
    let manifest = manifest_of(store.as_ref(), &levels[0].0);
    assert_eq!(
        store
            .delete(&manifest)
            .expect_err("nothing may be removed")
            .kind(),
        ErrorKind::Denied
    );
    store
        .put(&manifest, &vec![b"forged".to_vec()])
        .expect_err("nothing may be replaced");
    for (level, whole) in &levels {
        assert!(
            reading::whole(&access, &backup::name(), level) == *whole,
            "{level}"
        );
    }
}

#[test]
#[ignore = "needs moto, which tests/env/moto.sh installs and starts"]
fn a_client_that_may_only_add_to_s3_backs_up_and_reads_and_can_destroy_nothing() {
    let server = servers::s3_to_add_to();
    let url = fresh("s3", &server["MOTO_BUCKET"]);
    let settings = StoreSettings::default()
        .with_option("endpoint", server["S3_ENDPOINT"].as_str())
        .with_variable(
            "AWS_ACCESS_KEY_ID",
            server["MOTO_ADDER_ACCESS_KEY"].as_str(),
        )
        .with_variable(
            "AWS_SECRET_ACCESS_KEY",
            server["MOTO_ADDER_SECRET_KEY"].as_str(),
        );
    let store = open(&url, settings).expect("opened");
    let access = backup::create_hidden(Arc::clone(&store));
    let levels = three_levels(&access);
    let manifest = manifest_of(store.as_ref(), &levels[0].0);
    assert_eq!(
        store
            .delete(&manifest)
            .expect_err("nothing may be removed")
            .kind(),
        ErrorKind::Denied
    );
    for (level, whole) in &levels {
        assert!(
            reading::whole(&access, &backup::name(), level) == *whole,
            "{level}"
        );
    }
    // It can put another object in its place; the one before is still there, for who has more
    // rights.
    store
        .put(&manifest, &vec![b"forged".to_vec()])
        .expect("S3 knows no right to add alone");
    let script = "
import boto3, sys
c = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2],
                 aws_secret_access_key=sys.argv[3], region_name='us-east-1')
v = c.list_object_versions(Bucket=sys.argv[4], Prefix=sys.argv[5])['Versions']
latest = [x for x in v if x['IsLatest']][0]['VersionId']
c.delete_object(Bucket=sys.argv[4], Key=sys.argv[5], VersionId=latest)
print(len(v))";
    let key = format!(
        "{}/{manifest}",
        url.strip_prefix(&format!("s3://{}/", server["MOTO_BUCKET"]))
            .expect("its form")
    );
    let mut python = std::process::Command::new(&server["MOTO_PYTHON"]);
    python.args([
        "-c",
        script,
        &server["S3_ENDPOINT"],
        &server["S3_ACCESS_KEY"],
        &server["S3_SECRET_KEY"],
        &server["MOTO_BUCKET"],
        &key,
    ]);
    let output = python.output().expect("python starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "2",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        reading::whole(&access, &backup::name(), &levels[0].0) == levels[0].1,
        "the true one is back"
    );
}

fn several_pages_are_one_listing(store: &dyn Store) {
    let name = |number: u32| ObjectName::new(format!("data/{number:05}")).expect("legal");
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                (0..1050)
                    .filter(|number| number % 8 == part)
                    .for_each(|number| store.put(&name(number), &vec![]).expect("stored"))
            });
        }
    });
    let mut shown = Vec::new();
    let mut keep = |object: ObjectInfo| {
        shown.push(object.name);
        true
    };
    store.list("data/", &mut keep).expect("listed");
    assert!(
        shown == (0..1050).map(name).collect::<Vec<_>>(),
        "{} objects",
        shown.len()
    );
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
