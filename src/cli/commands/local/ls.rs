//! `freezer ls`.

use crate::cli::open::path::{lookup, tree_path};
use crate::cli::open::point::PointView;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::format::manifest::PathText;
use crate::fs::view::View;
use crate::model::{BackupRef, Content, Entry, Kind, NodeId, Owner, TreePath};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;

/// Show the content of a directory of a point in time
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer ls docs
  freezer ls docs@2026-11-20 letters -l
  freezer ls 'web-1/docs@yesterday 14:00' -R --json")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE [default: the
    /// latest]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// Directories or files in the backup [default: the top]
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,

    /// Also show type, permissions, number of links, owner, group, size in bytes and time
    #[arg(long, short)]
    long: bool,

    /// Also show what is in directories, with whole paths
    #[arg(long, short = 'R')]
    recursive: bool,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let mut paths = arguments
        .paths
        .iter()
        .map(tree_path)
        .collect::<anyhow::Result<Vec<_>>>()?;
    if paths.is_empty() {
        paths.push(TreePath::root());
    }
    let view = PointView::open(&arguments.backup, session)?.view;
    let mut listing = ListingPrinter { arguments, session };
    for path in paths {
        let (node, entry) = lookup(&view, &path)?;
        if entry.content.kind() == Kind::Directory {
            listing.directory(&view, node)?;
        } else {
            listing.entry(&entry, path.as_bytes())?;
        }
    }
    Ok(Completion::Done)
}

struct ListingPrinter<'run> {
    arguments: &'run Arguments,
    session: &'run mut Session,
}

impl ListingPrinter<'_> {
    fn directory(&mut self, view: &View, directory: NodeId) -> anyhow::Result<()> {
        let mut waiting = vec![directory];
        while let Some(directory) = waiting.pop() {
            let first = waiting.len();
            for child in view.children(directory) {
                let (node, entry) = child?;
                let name = if self.arguments.recursive {
                    entry.path.as_bytes()
                } else {
                    entry.path.file_name()
                };
                self.entry(&entry, name)?;
                if self.arguments.recursive && entry.content.kind() == Kind::Directory {
                    waiting.push(node);
                }
            }
            if let Some(below) = waiting.get_mut(first..) {
                below.reverse();
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, name: &[u8]) -> anyhow::Result<()> {
        let output = &mut self.session.output;
        if output.form == OutputForm::Json {
            return Ok(output.json_line(&EntryDocument::of(entry))?);
        }
        if self.arguments.long {
            output.text(long(entry, &self.session.zone))?;
        }
        output.name(name)?;
        if let (true, Content::Symlink(target)) = (self.arguments.long, &entry.content) {
            output.text(" -> ")?;
            output.name(target)?;
        }
        Ok(output.line("")?)
    }
}

/// Returns what `ls -l` shows before the name.
fn long(entry: &Entry, zone: &jiff::tz::TimeZone) -> String {
    let metadata = &entry.metadata;
    let owner = |name: &[u8], number: u32| match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() && !name.contains(char::is_control) => name.to_owned(),
        _ => number.to_string(),
    };
    let Owner {
        uid,
        gid,
        user,
        group,
    } = &metadata.owner;
    let size = match &entry.content {
        Content::CharDevice(device) | Content::BlockDevice(device) => {
            format!("{}, {}", device.major, device.minor)
        }
        content => content.size().to_string(),
    };
    format!(
        "{} {:>3} {:<8} {:<8} {size:>12} {} ",
        mode_text(entry.content.kind(), metadata.mode),
        metadata.links,
        owner(user, *uid),
        owner(group, *gid),
        when::show_time(metadata.mtime, zone)
    )
}

/// Returns type and permissions as `ls -l` shows them: `drwxr-sr-t`.
fn mode_text(kind: Kind, mode: u32) -> String {
    let mut text = String::from(match kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
    });
    for (shift, special, (with_x, without_x)) in [
        (6, 0o4000, ('s', 'S')),
        (3, 0o2000, ('s', 'S')),
        (0, 0o1000, ('t', 'T')),
    ] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => with_x,
            (false, true) => without_x,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A line of `--json`. A path is text, or `{"base64": …}` if it is not UTF-8.
#[derive(Serialize)]
struct EntryDocument {
    path: PathText,
    kind: &'static str,
    size: u64,
    /// Octal, as `chmod` takes it.
    mode: String,
    links: u32,
    uid: u32,
    gid: u32,
    user: PathText,
    group: PathText,
    /// RFC 3339; absent if it is out of range.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    mtime_seconds: i64,
    mtime_nanoseconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<PathText>,
    /// The major and the minor number.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[u32; 2]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<PathText>,
    /// In hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<String>,
    /// As `chattr` names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    inode_flags: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    birth: Option<String>,
}

impl EntryDocument {
    fn of(entry: &Entry) -> Self {
        let metadata = &entry.metadata;
        let extensions = &metadata.extensions;
        let (target, device) = match &entry.content {
            Content::Symlink(target) => (Some(target.to_vec().into()), None),
            Content::CharDevice(device) | Content::BlockDevice(device) => {
                (None, Some([device.major, device.minor]))
            }
            Content::File { .. } | Content::Directory | Content::Fifo => (None, None),
        };
        Self {
            path: entry.path.as_bytes().to_vec().into(),
            kind: match entry.content.kind() {
                Kind::File => "file",
                Kind::Directory => "directory",
                Kind::Symlink => "symlink",
                Kind::CharDevice => "char_device",
                Kind::BlockDevice => "block_device",
                Kind::Fifo => "fifo",
            },
            size: entry.content.size(),
            mode: format!("{:04o}", metadata.mode),
            links: metadata.links,
            uid: metadata.owner.uid,
            gid: metadata.owner.gid,
            user: metadata.owner.user.to_vec().into(),
            group: metadata.owner.group.to_vec().into(),
            mtime: when::rfc3339(metadata.mtime),
            mtime_seconds: metadata.mtime.seconds(),
            mtime_nanoseconds: metadata.mtime.nanoseconds(),
            target,
            device,
            xattrs: metadata
                .xattrs
                .iter()
                .map(|xattr| xattr.name.to_vec().into())
                .collect(),
            content_hash: extensions.content_hash.map(|hash| hash.to_string()),
            inode_flags: extensions.inode_flags.map(|flags| flags.to_string()),
            birth: extensions.birth.and_then(when::rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mode_text;
    use crate::model::Kind;

    #[test]
    fn permissions_are_shown_as_ls_shows_them() {
        for (kind, mode, text) in [
            (Kind::File, 0o644, "-rw-r--r--"),
            (Kind::Directory, 0o1777, "drwxrwxrwt"),
            (Kind::File, 0o4755, "-rwsr-xr-x"),
            (Kind::File, 0o7000, "---S--S--T"),
            (Kind::Symlink, 0o777, "lrwxrwxrwx"),
        ] {
            assert_eq!(mode_text(kind, mode), text);
        }
    }
}
