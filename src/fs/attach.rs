//! Mounts a file system that this process serves: with the system call, or with `fusermount3` for
//! users that may not make that call.
//!
//! The `fuser` crate could mount too. But it then also unmounts at the end of a session, by path
//! alone: whatever is mounted there by then. So it gets only the connection, and this module
//! mounts.

use super::mounts::SUBTYPE;
use crate::platform::{ProcessIdentity, process};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use std::ffi::{CString, OsString};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The device that hands out connections to the kernel.
const DEVICE: &str = "/dev/fuse";

/// Tells `fusermount3` the descriptor over which it hands the connection back.
const SOCKET_VARIABLE: &str = "_FUSE_COMMFD";

/// How a mount is made.
#[derive(Debug)]
pub(super) struct Attach<'mount> {
    /// The source in the table of mounts.
    pub(super) source: &'mount str,
    /// Options for the kernel besides those that every mount of ours has.
    pub(super) options: &'mount [&'static str],
}

impl Attach<'_> {
    /// Mounts on a directory, given by its full path. Returns the connection over which the kernel
    /// sends requests.
    ///
    /// # Errors
    ///
    /// When the system refuses. Nothing is mounted then.
    pub(super) fn on(&self, mount_point: &Path) -> io::Result<OwnedFd> {
        match self.by_system_call(mount_point) {
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                self.by_helper(mount_point)
            }
            attached => attached,
        }
    }

    fn by_system_call(&self, mount_point: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let connection = rustix::fs::open(DEVICE, flags, Mode::empty())
            .map_err(|error| at(DEVICE, error.into()))?;
        let root_mode = rustix::fs::stat(mount_point)?.st_mode;
        let process = ProcessIdentity::of_process();
        let mut data = format!(
            "fd={},rootmode={root_mode:o},user_id={},group_id={}",
            connection.as_raw_fd(),
            process.uid,
            process.gid
        );
        for option in self.options {
            data.push(',');
            data.push_str(option);
        }
        let data = CString::new(data)?;
        rustix::mount::mount(
            self.source,
            mount_point,
            format!("fuse.{SUBTYPE}"),
            MountFlags::RDONLY | MountFlags::NOATIME | MountFlags::NOSUID | MountFlags::NODEV,
            data.as_c_str(),
        )?;
        Ok(connection)
    }

    fn by_helper(&self, mount_point: &Path) -> io::Result<OwnedFd> {
        // A comma would begin another option, and a backslash escapes.
        let source = self.source.replace('\\', "\\\\").replace(',', "\\,");
        let mut options = format!("ro,noatime,nosuid,nodev,fsname={source},subtype={SUBTYPE}");
        for option in self.options {
            options.push(',');
            options.push_str(option);
        }
        let (own, helpers) = UnixStream::pair()?;
        // A copy without close-on-exec, which the helper inherits.
        let inherited = rustix::io::dup(&helpers)?;
        drop(helpers);
        let arguments = [
            OsString::from("-o"),
            options.into(),
            "--".into(),
            mount_point.into(),
        ];
        let variables = [(SOCKET_VARIABLE, inherited.as_raw_fd().to_string())];
        let output = process::run_with(Path::new("fusermount3"), arguments, &variables)
            .map_err(|error| at("fusermount3", error))?;
        drop(inherited);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(said));
        }
        received(&own)
    }
}

/// Receives a descriptor over a socket.
#[expect(
    unsafe_code,
    reason = "a descriptor that comes over a socket is a number"
)]
fn received(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    let sent = message.cmsgs()?.find_map(|sent| match sent {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    match sent {
        // SAFETY: the kernel has made this descriptor for this message, and nobody else owns it.
        Some(descriptor) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        None => Err(io::Error::other("fusermount3 handed over no connection")),
    }
}

fn at(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
