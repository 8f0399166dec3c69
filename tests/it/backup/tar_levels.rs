//! The streams of levels, extracted by stock GNU tar alone.

use super::levels::{Dice, Series, edit, set_mtime};
use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, torture};
use freezer::backup::SameContent;
use freezer::format::manifest::Manifest;
use rustix::fs::{XattrFlags, setxattr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

/// Returns the stream of a level as a tar file, made by other programs.
fn stream(series: &Series, manifest: &Manifest) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let name = backup::name();
    let script = format!(
        "set -o pipefail; cat '{}'/data/{}/{}/{}/segments/* | zstd -dc > '{}'",
        series.store().display(),
        name.host(),
        name.name(),
        manifest.id,
        file.path().display()
    );
    let done = Command::new("bash")
        .args(["-c", &script])
        .output()
        .expect("bash runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    file
}

fn tar(arguments: &[&str], archive: &Path, target: &Path) -> Output {
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "--acls", "-p"])
        .args(arguments)
        .arg("-f")
        .arg(archive)
        .arg("-C")
        .arg(target);
    tar.output().expect("tar runs")
}

fn unpack(arguments: &[&str], archive: &Path, target: &Path) {
    let done = tar(arguments, archive, target);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn stock_tar_restores_every_point_in_time_from_the_streams_of_a_chain() {
    for seed in 0..4 {
        let mut series = Series::plain();
        series.levels.same_content = SameContent::Store;
        let mut dice = Dice::new(seed);
        let target = tempfile::tempdir().expect("a directory");
        for level in 0..10 {
            for _ in 0..(if level == 0 { 120 } else { 25 }) {
                edit(&series.tree(), &mut dice);
            }
            let manifest = series.back_up().manifest;
            assert_eq!(manifest.level, level, "seed {seed}");
            unpack(
                &["--incremental", "-x"],
                stream(&series, &manifest).path(),
                target.path(),
            );
            let differences = compare(
                &oracle::scan(&series.tree()),
                &oracle::scan(target.path()),
                Holes::Zeros,
            );
            assert!(
                differences.is_empty(),
                "seed {seed}, level {level}: {differences:#?}"
            );
        }
    }
}

#[test]
fn an_export_of_any_point_in_time_is_one_complete_tar() {
    let series = Series::new();
    let mut dice = Dice::new(77);
    let mut history = Vec::new();
    for level in 0..9 {
        for _ in 0..(if level == 0 { 120 } else { 25 }) {
            edit(&series.tree(), &mut dice);
        }
        history.push((series.back_up().manifest, oracle::scan(&series.tree())));
    }
    for (manifest, expected) in &history {
        let target = tempfile::tempdir().expect("a directory");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        series.export(&manifest.id, file.as_file_mut());
        unpack(&["-x"], file.path(), target.path());
        let differences = compare(expected, &oracle::scan(target.path()), Holes::Zeros);
        assert!(
            differences.is_empty(),
            "level {}: {differences:#?}",
            manifest.level
        );
    }
}

/// Writes a name that is not UTF-8, an ACL, a hole, a time before 1970 and a file of several
/// frames.
fn odd_things(tree: &Path) {
    let odd = tree.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(&odd, torture::noise(1, 9 << 20)).expect("written");
    set_mtime(&odd, -1_000_000_000);
    let acl = tree.join("acl");
    fs::write(&acl, b"for some").expect("written");
    // Version 2; owner rw-, user 1000 r--, group r--, mask r--, others ---.
    let mut value = vec![2, 0, 0, 0];
    for (tag, right, number) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 4, 1000),
        (4, 4, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        value.extend_from_slice(
            &[
                &tag.to_le_bytes()[..],
                &right.to_le_bytes(),
                &number.to_le_bytes(),
            ]
            .concat(),
        );
    }
    setxattr(&acl, "system.posix_acl_access", &value, XattrFlags::empty()).expect("set");
    let sparse = fs::File::create(tree.join("sparse")).expect("made");
    sparse.set_len(3 << 20).expect("long");
    sparse
        .write_all_at(&torture::noise(2, 20_000), 1 << 20)
        .expect("written");
}

#[test]
fn the_rescue_script_gives_any_point_in_time_as_one_complete_tar() {
    for series in [Series::plain(), Series::new()] {
        let mut dice = Dice::new(99);
        let mut history = Vec::new();
        for level in 0..9 {
            for _ in 0..(if level == 0 { 300 } else { 30 }) {
                edit(&series.tree(), &mut dice);
            }
            if level == 4 {
                odd_things(&series.tree());
            }
            history.push((series.back_up().manifest, oracle::scan(&series.tree())));
        }
        let passphrase = series.store().join("../passphrase");
        fs::write(&passphrase, backup::passphrase().expose()).expect("written");
        for (manifest, expected) in &history {
            let script = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/packaging/rescue/freezer-rescue.py"
            );
            let mut rescue = Command::new("/usr/bin/python3");
            rescue
                .arg(script)
                .arg(series.store())
                .arg(format!("host/tree/{}", manifest.id))
                .arg("--tree")
                .arg("--pass-file")
                .arg(&passphrase);
            let done = rescue.output().expect("Python runs");
            assert!(
                done.status.success(),
                "level {}: {}",
                manifest.level,
                String::from_utf8_lossy(&done.stderr)
            );
            let target = tempfile::tempdir().expect("a directory");
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), &done.stdout).expect("written");
            unpack(&["-x"], file.path(), target.path());
            let differences = compare(expected, &oracle::scan(target.path()), Holes::Zeros);
            assert!(
                differences.is_empty(),
                "level {}: {differences:#?}",
                manifest.level
            );
        }
    }
}

#[test]
fn the_stream_names_files_that_kept_their_content_and_has_no_member_of_them() {
    let series = Series::plain();
    for number in 0..200 {
        series.write(&format!("file {number:03}"), torture::noise(number, 2000));
    }
    series.back_up();
    for number in [7, 150] {
        let file = series.tree().join(format!("file {number:03}"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed");
    }
    setxattr(
        series.tree().join("file 007"),
        "user.x",
        b"y",
        XattrFlags::empty(),
    )
    .expect("set");
    series.write("file 100", b"changed");
    let manifest = series.back_up().manifest;
    let archive = stream(&series, &manifest);
    let bytes = fs::read(archive.path()).expect("read");
    for record in [
        &b" FREEZER.kept=file 007\0\n"[..],
        b" FREEZER.kept=file 150\0\n",
        b" GNU.dumpdir=Yfile 000\0",
    ] {
        let is_there = bytes.windows(record.len()).any(|window| window == record);
        // The files in the first step that are unchanged are known to have no member.
        assert_eq!(
            is_there,
            !record.ends_with(b"Yfile 000\0"),
            "{}",
            record.escape_ascii()
        );
    }
    assert!(
        bytes
            .windows(26)
            .any(|window| window == b" GNU.dumpdir=Nfile 000\0Nfi")
    );
    let listed = tar(&["-t"], archive.path(), Path::new("/"));
    let names = String::from_utf8(listed.stdout).expect("text");
    assert_eq!(
        names
            .lines()
            .filter(|line| *line != "./")
            .collect::<Vec<_>>(),
        ["./file 100"],
        "{names}"
    );
}

#[test]
fn a_file_that_a_new_pattern_excludes_is_gone_from_what_tar_restores() {
    let mut series = Series::plain();
    series.write("keep", b"kept");
    series.write("drop", b"dropped");
    let target = tempfile::tempdir().expect("a directory");
    let full = series.back_up().manifest;
    series.excludes = vec![b"drop".to_vec()];
    let next = series.back_up().manifest;
    assert_eq!((next.counts.removed, next.counts.changed), (1, 0));
    for manifest in [full, next] {
        unpack(
            &["--incremental", "-x"],
            stream(&series, &manifest).path(),
            target.path(),
        );
    }
    assert!(target.path().join("keep").exists() && !target.path().join("drop").exists());
}
