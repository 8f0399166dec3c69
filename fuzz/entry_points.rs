//! The fuzz targets, one function each, which panics if a promise is broken. The tests of the
//! package call the same functions with sound inputs that were changed
//! (`tests/it/format/mutated.rs`).

use freezer::catalog::known::{KnownStores, Purpose};
use freezer::catalog::names::{self, Meaning};
use freezer::format::DocumentError;
use freezer::format::checkpoint::Checkpoint;
use freezer::format::claim::{Claim, MachineDigest};
use freezer::format::frame::{
    Compression, Decoder, ExpectedFrame, FrameKeys, Lane, Opener, Protection, Sealer,
};
use freezer::format::identity::{Cipher, Identity};
use freezer::format::keys::KeySlot;
use freezer::format::live;
use freezer::format::lost::Lost;
use freezer::format::manifest::{Manifest, ManifestError, RootNode};
use freezer::format::repacked::Repacked;
use freezer::format::signature::{SUMS_BYTES, SignatureHead, blocks_in, decode_sums};
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::index::{BlockCache, MemoryBlocks, RunRoot, Tree};
use freezer::model::{
    BackupName, BackupRef, Excludes, FrameNo, LevelId, PointInTime, StoreId, TreePath,
};
use freezer::platform::Running;
use freezer::store::ObjectName;
use freezer::store::memory::MemoryStore;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock, Mutex};

const STORE: StoreId = StoreId([3; 16]);
const NUMBER: u64 = 7;

/// Returns the level that inputs belong to.
pub fn level() -> LevelId {
    LevelId::new(jiff::Timestamp::UNIX_EPOCH, 5)
}

/// Computes the tag of a frame, whose beginning is its checksum: docs/format.md, "Frame".
fn tag(header: &[u8], payload: &[u8]) -> [u8; 32] {
    let level = level();
    let parts: [&[u8]; 5] = [
        b"freezer-frame-1\0",
        &STORE.0,
        level.as_str().as_bytes(),
        header,
        payload,
    ];
    parts
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update(part))
        .finalize()
        .into()
}

fn header(lane: u8, compression: u8, raw_length: u32, payload_length: usize) -> Vec<u8> {
    let mut header = b"FzF1".to_vec();
    header.extend([lane, compression, 0, 0]);
    header.extend(NUMBER.to_le_bytes());
    header.extend(raw_length.to_le_bytes());
    header.extend(
        u32::try_from(payload_length)
            .expect("an input is short")
            .to_le_bytes(),
    );
    header.extend([0; 16]);
    header
}

/// Opens any bytes as a stored frame, sealed or bare, with and without encryption: refused.
pub fn frame(stored: &[u8]) {
    let keys = Protection::Encrypted(Arc::new(FrameKeys::new(&[1; 32].into(), &[2; 32].into())));
    let mut decoder = Decoder::new();
    for protection in [Protection::Checksum, keys] {
        let opener = Opener::new(STORE, level(), protection);
        for lane in [Lane::Data, Lane::Index] {
            opener
                .open(&mut decoder, lane, FrameNo(NUMBER), stored.to_vec())
                .expect_err("nobody sealed it");
        }
        let expected = ExpectedFrame {
            number: FrameNo(NUMBER),
            raw_length: 100,
            compression: Compression::Zstd,
            checksum: stored.first_chunk().copied(),
        };
        opener
            .open_data(&mut decoder, &expected, stored.to_vec())
            .expect_err("nobody sealed it");
    }
}

/// Opens any bytes as a payload with a right tag, which the codec then has to refuse or decode. The
/// first byte is the compression, the next three the length that the header says.
pub fn payload(data: &[u8]) {
    let Some((&[compression, length @ ..], payload)) = data.split_first_chunk::<4>() else {
        return;
    };
    let raw_length = u32::from_le_bytes([length[0], length[1], length[2], 0]);
    let opener = Opener::new(STORE, level(), Protection::Checksum);
    let mut decoder = Decoder::new();

    let head = header(1, compression, raw_length, payload.len());
    let sealed = [&head[..], payload, &tag(&head, payload)].concat();
    let from_sealed = opener.open(&mut decoder, Lane::Index, FrameNo(NUMBER), sealed);
    if let Ok(raw) = &from_sealed {
        assert_eq!(
            raw.len(),
            raw_length as usize,
            "another length than it said"
        );
    }

    let Some(method) = Compression::from_number(compression) else {
        from_sealed.expect_err("an unknown compression");
        return;
    };
    let checksum = tag(&header(0, compression, raw_length, payload.len()), payload);
    let bare = ExpectedFrame {
        number: FrameNo(NUMBER),
        raw_length,
        compression: method,
        checksum: checksum.first_chunk().copied(),
    };
    let from_bare = opener.open_data(&mut decoder, &bare, payload.to_vec());
    assert_eq!(from_bare.ok(), from_sealed.ok(), "sealed and bare differ");
}

/// Reads any bytes as a manifest that was authenticated: refused, or it reads back as it is
/// written, and a view of it opens or is refused.
pub fn manifest(json: &[u8]) {
    static READER: LazyLock<Arc<FileReader>> = LazyLock::new(|| {
        Arc::new(FileReader::new(&ReadOptions::default()).expect("threads can be started"))
    });
    let Ok(manifest) = Manifest::decode(json) else {
        return;
    };
    let sealer = Sealer::new(STORE, level(), Protection::Checksum);
    let stored = manifest
        .seal(&sealer)
        .expect("what was read can be written");
    match Manifest::open(stored, &sealer.opener()) {
        Ok(back) => assert_eq!(back, manifest),
        // It says that it belongs to another store, or its levels contradict it.
        Err(ManifestError::Document(DocumentError::Content(_))) => {}
        Err(error) => panic!("it was just written: {error:?}"),
    }
    let backup = manifest
        .backup()
        .unwrap_or_else(|_| BackupName::new("host", "docs").expect("legal"));
    let parts = ViewParts {
        manifest,
        store: Arc::new(MemoryStore::default()),
        store_id: STORE,
        protection: Protection::Checksum,
        backup,
    };
    if let Ok(view) = View::open(parts, &READER) {
        // The store is empty: everything outside the manifest itself is an error.
        for entry in view.all().take(1000) {
            let Ok((node, entry)) = entry else { break };
            assert_eq!(view.entry(node).expect("it was just read"), entry);
        }
    }
}

/// Reads any bytes as a checkpoint that was authenticated: refused, or it reads back as it is
/// written, and a tree of its run opens or is refused.
pub fn checkpoint(json: &[u8]) {
    let Ok(checkpoint) = Checkpoint::decode(json) else {
        return;
    };
    let sealer = Sealer::new(STORE, level(), Protection::Checksum);
    let stored = checkpoint
        .seal(&sealer, FrameNo(3))
        .expect("what was read can be written");
    assert_eq!(
        Checkpoint::open(stored, &sealer.opener(), FrameNo(3)).expect("it was just written"),
        checkpoint
    );
    let RootNode {
        node,
        height,
        entries,
    } = checkpoint.index;
    let root = RunRoot {
        node,
        height,
        entries,
    };
    // The store is empty: everything outside the root itself is an error.
    if let Ok(tree) = Tree::of_run_alone(
        root,
        Arc::new(MemoryBlocks::default()),
        &BlockCache::new(1 << 20),
    ) {
        for found in tree.all().take(1000) {
            let Ok((node, entry)) = found else { break };
            assert_eq!(
                tree.lookup(&entry.path)
                    .expect("it was just read")
                    .map(|found| found.0),
                Some(node)
            );
        }
    }
}

/// Reads any bytes as a signature: refused, or its runs are in order, and their blocks are exactly
/// those with sums.
pub fn signature(bytes: &[u8]) {
    let Some(head) = bytes.first_chunk() else {
        return;
    };
    let Ok(head) = SignatureHead::decode(head, bytes.len() as u64) else {
        return;
    };
    let part = |range: std::ops::Range<u64>| {
        let place = |at: u64| usize::try_from(at).expect("it lies in the input");
        bytes
            .get(place(range.start)..place(range.end))
            .expect("it lies in the input")
    };
    let Ok(runs) = head.decode_runs(part(head.runs())) else {
        return;
    };
    let (mut end, mut blocks) = (0, 0);
    for run in runs {
        assert!(
            run.length > 0 && run.at.0 >= end && run.end() > run.at.0 && run.first_block == blocks
        );
        let count = blocks_in(run.length, head.block_bytes);
        let sums = part(
            head.sums(blocks, count)
                .expect("it has the blocks of its runs"),
        );
        assert_eq!(sums.len() as u64, count * SUMS_BYTES as u64);
        for sums in sums.chunks_exact(SUMS_BYTES) {
            let (weak, strong) = decode_sums(sums.first_chunk().expect("whole"));
            assert_eq!([&weak.to_le_bytes()[..], &strong].concat(), sums);
        }
        (end, blocks) = (run.end(), blocks + count);
    }
    assert_eq!(head.sums(blocks, 1), None);
}

/// Reads any bytes as live ranges: refused, or the ranges are in order, apart and of whole units,
/// and they are written as the same bytes.
pub fn live_ranges(bytes: &[u8]) {
    let Ok(ranges) = live::decode(bytes) else {
        return;
    };
    assert_eq!(live::encode(&ranges), bytes, "it has two encodings");
    assert!(
        ranges
            .as_slice()
            .iter()
            .all(|range| range.start < range.end && range.start % live::UNIT_BYTES == 0)
    );
    assert!(
        ranges
            .as_slice()
            .windows(2)
            .all(|pair| pair[0].end < pair[1].start)
    );
}

/// Reads any bytes as the document of a repacked level that was authenticated: refused, or it reads
/// back as it is written.
pub fn repacked(json: &[u8]) {
    let Ok(repacked) = Repacked::decode(json) else {
        return;
    };
    let sealer = Sealer::new(STORE, level(), Protection::Checksum);
    let stored = repacked
        .seal(&sealer)
        .expect("what was read can be written");
    // The document may name another level than the one that it is sealed for.
    if let Ok(opened) = Repacked::open(stored, &sealer.opener(), repacked.number) {
        assert_eq!(opened, repacked);
    }
}

/// Reads any bytes as a store's identity: refused, or it reads back as it is written.
pub fn identity(json: &[u8]) {
    if let Ok(identity) = Identity::decode(json) {
        assert_eq!(
            Identity::decode(&identity.encode()).expect("it was just written"),
            identity
        );
    }
}

/// Reads any bytes as a claim: refused, or it reads back as it is written.
pub fn claim(json: &[u8]) {
    if let Ok(claim) = Claim::decode(json) {
        assert_eq!(
            Claim::decode(&claim.encode()).expect("it was just written"),
            claim
        );
        claim.process.has_surely_ended();
        let digest = MachineDigest::new(None, STORE);
        let this = digest.counterpart(&claim.process, &Running::this_process());
        claim.process.has_surely_ended_for(&this);
        digest.conceal(&claim.process);
    }
}

/// Reads any bytes as what this machine remembers of a store: refused, or it can be asked, and
/// what is written of it can be read.
pub fn known_store(json: &[u8]) {
    // Tests of one process may come here at once.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let name = format!("freezer-fuzz-known-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{STORE}.json"));
    std::fs::write(&file, json).expect("written");
    let known = KnownStores::new(folder.clone());
    let identity = Identity::new(STORE, Cipher::None, jiff::Timestamp::UNIX_EPOCH);
    let there = known.surprise_of_nothing_at("/srv/backup").is_ok();
    assert_eq!(known.surprise_at("/srv/backup", &identity).is_ok(), there);
    if let Ok(witness) = known.watch("/srv/backup", &identity, Purpose::Writing) {
        assert!(there);
        witness.keep().expect("it can be written");
        known
            .watch("/srv/backup", &identity, Purpose::Writing)
            .expect("it was just written");
    }
    known.forget(STORE).expect("it can be removed");
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

/// Reads any bytes as a note of lost bytes: refused, or it reads back as it is written, with ranges
/// in order.
pub fn lost(json: &[u8]) {
    let Ok(lost) = Lost::decode(json) else { return };
    assert_eq!(
        Lost::decode(&lost.encode()).expect("it was just written"),
        lost
    );
    assert_eq!(lost.with(&lost), lost);
    for range in lost.ranges() {
        assert!(
            lost.touches(range.start, 1)
                && lost.touches(range.end - 1, 1)
                && !lost.touches(range.end, 1)
        );
    }
}

/// Reads any bytes as a key: refused, or it reads back as it is written, and no passphrase opens it
/// unless it was sealed.
pub fn key(json: &[u8]) {
    let Ok(slot) = KeySlot::decode(json) else {
        return;
    };
    let written = slot.encode();
    assert_eq!(
        KeySlot::decode(&written).expect("it was just written"),
        slot
    );
    // The cost of a forged key is bounded, but by minutes. This looks at the written document,
    // because fields that the decoder skips may hold values that are not text.
    let cost = serde_json::from_slice::<serde_json::Value>(&written).expect("it was just read");
    let is_cheap = |what: &str, limit: u64| {
        cost["cost"][what]
            .as_u64()
            .is_some_and(|cost| cost <= limit)
    };
    if is_cheap("memory_kib", 256) && is_cheap("passes", 2) && is_cheap("lanes", 8) {
        // It opens if it is the sound key that the input was made from.
        slot.open(STORE, b"passphrase")
            .map(drop)
            .unwrap_or_default();
    }
}

/// Reads any text as the name of an object: its meaning leads back to it.
pub fn object_name(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    let component = ObjectName::component(text);
    if !text.is_empty() {
        assert!(
            ObjectName::new(component.clone()).is_some(),
            "{component} is not legal"
        );
        assert!(
            ObjectName::is_cut(&component)
                || ObjectName::text_of(&component).as_deref() == Some(text),
            "{component}"
        );
    }
    let Some(name) = ObjectName::new(text) else {
        return;
    };
    let again = match names::meaning(&name) {
        Some(Meaning::Manifest(of)) => names::manifest_name(&of.backup, &of.level),
        Some(Meaning::Data { of, folder, number }) => of.data_name(folder, number),
        Some(Meaning::Whole(of, ending)) => of.stream_name(ending),
        Some(Meaning::Withdrawn(of)) => names::withdrawn_name(&of.backup, &of.level),
        Some(Meaning::Lost(of)) => names::lost_name(&of.backup, &of.level),
        Some(Meaning::Claim(of, term)) => names::claim_name(&of.backup, &of.level, term),
        None => return,
    };
    assert_eq!(again, name, "two names mean the same");
}

/// Reads any text as BACKUP[@DATE], as a point in time and as a level's id: refused, or it is shown
/// as a text that reads as the same.
pub fn reference(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    if let Ok(backup) = text.parse::<BackupRef>() {
        assert_eq!(
            backup.to_string().parse::<BackupRef>().as_ref(),
            Ok(&backup)
        );
    }
    if let Ok(point) = text.parse::<PointInTime>() {
        assert_eq!(
            point.to_string().parse::<PointInTime>().as_ref(),
            Ok(&point)
        );
        for now in [
            jiff::Timestamp::MIN,
            jiff::Timestamp::UNIX_EPOCH,
            jiff::Timestamp::MAX,
        ] {
            let points = [freezer::model::Dated {
                level: level(),
                date: now,
            }];
            point.choice(now, &TimeZone::UTC).among(&points);
        }
    }
    if let Ok(id) = text.parse::<LevelId>() {
        assert_eq!(id.as_str(), text);
        id.started();
    }
}

/// Reads exclude patterns, one a line, and a path in the last line. The path as a pattern excludes
/// itself, and so does every directory that it lies in.
pub fn excludes(data: &[u8]) {
    let mut lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let Some(path) = lines.pop().and_then(TreePath::parse) else {
        return;
    };
    let excludes = Excludes::new(&lines);
    let out = excludes.matches(&path, || [b"/source/", path.as_bytes()].concat());
    assert!(!(out && (path.is_root() || excludes.has_no_patterns())));
    let literal: Vec<u8> = path
        .as_bytes()
        .iter()
        .flat_map(|byte| {
            if b"*?[\\".contains(byte) {
                vec![b'\\', *byte]
            } else {
                vec![*byte]
            }
        })
        .collect();
    let itself = Excludes::new([[b"./", &literal[..]].concat()]);
    assert!(
        path.is_root() || itself.matches(&path, Vec::new),
        "its own name does not match it"
    );
}

#[cfg(unix)]
fn rules(zone: TimeZone) -> freezer::sched::book::Rules {
    let lateness = freezer::sched::timetable::Lateness {
        grace: std::time::Duration::from_secs(3600),
        make_up: false,
    };
    freezer::sched::book::Rules {
        zone,
        lateness,
        dead_after: std::time::Duration::from_secs(86_400),
        cluster: false,
        changes_start: false,
    }
}

/// Reads any bytes as a scheduler's journal: refused, or it reads back as it is written, and a book
/// of it works.
#[cfg(unix)]
pub fn journal(json: &[u8]) {
    use freezer::sched::book::{Book, Sighting};
    let Ok(memory) = freezer::sched::journal::JournalContent::decode(json) else {
        return;
    };
    let written = memory.encode().expect("what was read can be written");
    assert_eq!(
        freezer::sched::journal::JournalContent::decode(&written).expect("it was just written"),
        memory
    );
    let mut book = Book::new(rules(TimeZone::UTC), memory.jobs, Vec::new());
    let now = jiff::Timestamp::UNIX_EPOCH;
    book.due(now, 3);
    book.see(Vec::new(), Sighting::All, now);
    for id in book.ids() {
        book.ended(&id, "fail", now);
        book.sent(&id, None);
    }
}

/// Reads any bytes as the order of a run and as its outcome: refused, or it reads back as it is
/// written, except for the last digits of numbers.
#[cfg(unix)]
pub fn run_files(json: &[u8]) {
    use freezer::model::job::Documented;
    use freezer::sched::order::{RunOrder, RunOutcome};
    if let Ok(order) = serde_json::from_slice::<RunOrder>(json) {
        let written = serde_json::to_vec(&order).expect("what was read can be written");
        let again: RunOrder = serde_json::from_slice(&written).expect("it was just written");
        assert_eq!(
            (&again.run, &again.job, again.due, &again.agent),
            (&order.run, &order.job, order.due, &order.agent)
        );
        let keys = |order: &RunOrder| {
            order
                .actions
                .iter()
                .map(|action| action.document().keys().cloned().collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&again), keys(&order));
    }
    if let Ok(outcome) = serde_json::from_slice::<RunOutcome>(json) {
        let written = serde_json::to_vec(&outcome).expect("what was read can be written");
        let again: RunOutcome = serde_json::from_slice(&written).expect("it was just written");
        let told = |outcome: &RunOutcome| {
            let each = outcome.actions.iter().map(|action| {
                (
                    action.action.clone(),
                    action.result,
                    action.exit_code,
                    action.tries,
                    action.log.clone(),
                )
            });
            (
                outcome.result,
                outcome.ended,
                each.collect::<Vec<_>>(),
                outcome.warnings().map(str::to_owned).collect::<Vec<_>>(),
            )
        };
        assert_eq!(told(&again), told(&outcome));
    }
}

/// Reads any JSON object as `job_schedule`: refused, or a timetable whose moments follow each
/// other, and of which none counts as done before it has come.
#[cfg(unix)]
pub fn timetable(json: &[u8]) {
    use freezer::model::job::{Documented, Schedule};
    use freezer::sched::timetable::{Lateness, Timetable};
    let Ok(serde_json::Value::Object(schedule)) = serde_json::from_slice(json) else {
        return;
    };
    let when = Schedule::leniently(schedule).when;
    for zone in [
        TimeZone::UTC,
        TimeZone::get("Europe/Berlin").expect("a zone"),
        TimeZone::get("Australia/Lord_Howe").expect("a zone"),
    ] {
        let Ok(timetable) = Timetable::read(&when, &zone) else {
            continue;
        };
        for text in [
            "2026-03-28T23:00:00Z",
            "2026-10-24T23:59:59.5Z",
            "9999-12-30T00:00:00Z",
            "0001-01-02T00:00:00Z",
        ] {
            let armed: jiff::Timestamp = text.parse().expect("a moment");
            let mut last = timetable.handled_when_armed(armed);
            for _ in 0..5 {
                let Some(next) = timetable.after(last, armed) else {
                    break;
                };
                assert!(next > last, "{next} comes after {last}");
                last = next;
            }
            let now = armed
                .saturating_add(jiff::SignedDuration::from_hours(30))
                .expect("a duration of hours");
            for make_up in [false, true] {
                let lateness = Lateness {
                    grace: std::time::Duration::from_secs(3600),
                    make_up,
                };
                let handled = timetable.handled_when_armed(armed);
                if let Some(due) = timetable.due(handled, armed, now, lateness) {
                    assert!(
                        due.handled <= now
                            && due.run.is_none_or(|run| run <= now && run == due.handled),
                        "{due:?} at {now}"
                    );
                    assert!(
                        due.run.is_some() || due.missed > 0,
                        "{due:?}: neither run nor missed"
                    );
                    assert_eq!(
                        timetable.due(due.handled, armed, now, lateness),
                        None,
                        "it is due twice"
                    );
                }
            }
        }
    }
}

/// Reads any JSON list as the jobs of a server: a sound job runs, whatever the others are.
#[cfg(unix)]
pub fn jobs(json: &[u8]) {
    use freezer::model::job::{Documented, Job};
    use freezer::sched::book::{Book, Sighting};
    let Ok(serde_json::Value::Array(list)) = serde_json::from_slice(json) else {
        return;
    };
    let objects = list.into_iter().filter(serde_json::Value::is_object);
    let mut documents: Vec<Job> = objects.map(Job::leniently_of).collect();
    documents.retain(|job| job.job_id.text() != "good");
    let good = serde_json::json!({ "job_id": "good", "job_schedule": {}, "job_actions": [] });
    documents.push(Job::leniently_of(good));
    let mut book = Book::new(
        rules(TimeZone::UTC),
        std::collections::BTreeMap::new(),
        Vec::new(),
    );
    let mut now: jiff::Timestamp = "2026-11-24T12:00:00Z".parse().expect("a moment");
    let mut begun = Vec::new();
    for _ in 0..3 {
        book.see(documents.clone(), Sighting::All, now);
        for (id, _) in book.due(now, 1000).0 {
            book.begin(&id, "run", now);
            let document = documents.iter().find(|job| job.job_id.text() == id);
            let patch = book
                .patch(&id, document.expect("it was seen"))
                .expect("it is known");
            book.sent(&id, Some(&patch));
            book.ended(&id, "success", now);
            begun.push(id);
        }
        now += jiff::SignedDuration::from_secs(60);
    }
    assert_eq!(
        begun.iter().filter(|id| *id == "good").count(),
        1,
        "{begun:?}"
    );
}

/// Methods and paths of requests. The first byte of an input is a place in this list.
pub const ASKED: [(&str, &str); 22] = [
    ("GET", "/v2/p/jobs?total=true"),
    ("GET", "/v2/p/sessions"),
    ("GET", "/v2/p/clients"),
    ("GET", "/v2/p/actions"),
    ("GET", "/v2/p/backups?limit=3"),
    ("POST", "/v2/p/clients"),
    ("POST", "/v2/p/actions"),
    ("POST", "/v2/p/actions/a"),
    ("PATCH", "/v2/p/actions/a"),
    ("POST", "/v2/p/jobs"),
    ("POST", "/v2/p/jobs/j"),
    ("PATCH", "/v2/p/jobs/j"),
    ("POST", "/v2/p/jobs/j/event"),
    ("POST", "/v2/p/sessions"),
    ("POST", "/v2/p/sessions/s"),
    ("PATCH", "/v2/p/sessions/s"),
    ("POST", "/v2/p/sessions/s/action"),
    ("POST", "/v2/p/backups"),
    ("POST", "/v2/p/backups/b"),
    ("PATCH", "/v2/p/backups/b"),
    ("POST", "/v3/auth/tokens"),
    ("POST", "/v1/jobs"),
];

/// Requests before the first input, so that later ones find something to change: method, path, body
/// and expected status.
pub const MADE: [(&str, &str, &str, u16); 6] = [
    ("POST", "/v2/p/clients", r#"{"client_id": "c"}"#, 201),
    (
        "POST",
        "/v2/p/actions/a",
        r#"{"freezer_action": {"action": "backup"}}"#,
        201,
    ),
    (
        "POST",
        "/v2/p/jobs/j",
        r#"{"client_id": "c", "job_schedule": {}, "job_actions": [{"action_id": "a"}]}"#,
        201,
    ),
    ("POST", "/v2/p/sessions/s", r#"{"schedule": {}}"#, 201),
    ("PUT", "/v2/p/sessions/s/jobs/j", "", 204),
    (
        "POST",
        "/v2/p/backups/b",
        r#"{"container": "c", "hostname": "h", "backup_name": "b"}"#,
        201,
    ),
];

/// The request of an input.
pub fn api_request(input: &[u8]) -> Option<(&'static str, &'static str, &[u8])> {
    let (place, body) = input.split_first()?;
    let (method, path) = ASKED[usize::from(*place) % ASKED.len()];
    Some((method, path, body))
}

/// Sends any bytes as the body of a request: done, or refused with a message; never a fault of the
/// server.
pub fn api_answer(status: u16, body: &[u8]) {
    let known = [
        200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 412, 413, 422, 429,
    ];
    assert!(
        known.contains(&status),
        "{status}: {}",
        String::from_utf8_lossy(body)
    );
    if !body.is_empty() {
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        assert!(body.is_object(), "{body}");
        assert!(
            status < 400 || body.get("title").is_some() || body.get("error").is_some(),
            "{body}: refused without a word"
        );
    }
}
