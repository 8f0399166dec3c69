//! What users of the original Freezer type and have in their files.

use super::User;

#[test]
fn the_long_names_of_the_original_work() {
    let user = User::with_docs();
    user.write("key", "secret\n");
    user.succeeds(
        "backup --path-to-backup docs --backup-name papers --container st --storage local --compression gzip \
         --encrypt-pass-file key --max-segment-size 33554432 --exclude *.tmp --hostname here --mode fs --engine tar --noincremental",
    );
    assert!(
        user.succeeds("list -C st --encrypt-pass-file key")
            .out
            .contains("here/papers")
    );
    user.succeeds(
        "restore -N papers --hostname here --restore-abs-path out --restore-from-date 2999-01-01T00:00:00 -C st --encrypt-pass-file key",
    );
    assert_eq!(
        std::fs::read(user.path("out/a.txt")).expect("restored"),
        b"hello\n"
    );
}

#[test]
fn the_form_without_a_command_works() {
    let user = User::with_docs();
    user.succeeds("--action backup -F docs -N papers --storage local -C st --hostname here -q");
    assert!(
        user.succeeds("--action info --storage local -C st")
            .out
            .contains("here/papers")
    );
    user.succeeds("-N papers --action=restore --storage local -C st --restore-abs-path out");
    assert!(user.path("out/a.txt").exists());
    user.succeeds("--action admin -N papers --remove-older-than 30 --storage local -C st");
}

#[test]
fn a_job_file_of_the_original_works() {
    let user = User::with_docs();
    let docs = user.path("docs");
    let job = format!(
        "[job]\naction = backup\npath_to_backup = {}\nbackup_name = papers\nstorage = local\ncontainer = ~/st\n\
         max_level = False\nincremental = None\nmax_segment_size = 1048576\n",
        docs.display()
    );
    user.write("job.conf", job);
    user.succeeds("--config job.conf");
    assert!(user.path("st/freezer.json").exists());
    user.write(
        "restore.conf",
        "[job]\naction = restore\nbackup_name = papers\ncontainer = ~/st\nrestore_abs_path = ~/out\n",
    );
    user.succeeds("--config=restore.conf");
    assert!(user.path("out/sub/b.txt").exists());
}

#[test]
fn an_option_without_a_meaning_is_refused_by_name_with_what_to_do() {
    let user = User::with_docs();
    for (option, told) in [
        ("--snapshot true", "--snapshot"),
        ("-s true", "snapshot"),
        ("--lvm-srcvol /dev/x", "--lvm-srcvol"),
        ("--os-trust-id x", "OpenStack"),
        ("--ftp-host x", "stores over FTP"),
        ("--secret-key x", "can be seen by everyone"),
        ("--ssh-password x", "a key"),
        ("--dereference-symlink all", "kept as links"),
        ("--mysql-conf x", "databases"),
        ("--storage ftp", "swift"),
        ("--mode mysql", "fs"),
    ] {
        let said = user.fails(2, &format!("backup docs {option}"));
        assert!(said.err.contains(told), "{option}: {said:?}");
    }
    assert!(!user.path(".local").exists());
}
