//! The life of a mount: makes sure of the mount point, serves until told to stop, leaves nothing
//! behind.

mod error;
mod options;
mod place;
mod signals;

pub use error::MountError;
pub use options::{Audience, MountOptions, Occupied};

use super::attach::Attach;
use super::forest::Forest;
use super::fuse::{Adapter, KernelCache, RequestCounts};
use super::mounts::{Leave, OwnMount, in_full};
use crate::platform::private_file;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, select};
use fuser::Session;
use signals::{Wish, watch_signals};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long programs that are still in a mount may delay the end of its process.
const GRACE: Duration = Duration::from_secs(2);

/// A mount that threads of this process serve. End it with [`unmount`](Self::unmount), which can
/// report an error; Drop ends it if that was not called.
pub struct Mounted {
    mount_point: PathBuf,
    /// Tells the mount from others at the same place, which are not ours to end.
    own: OwnMount,
    state: MountState,
    /// Receives how serving ended.
    ended: Receiver<io::Result<()>>,
    counts: Arc<RequestCounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MountState {
    /// Threads of this process serve it.
    Served,
    /// Nobody serves it any more: it was unmounted, or is dead.
    Ended,
    /// This process has taken it away.
    Left,
}

/// Mounts a forest and starts to serve it. Returns when the mount answers.
///
/// First takes away a mount of ours at the same place whose process has died.
///
/// # Errors
///
/// [`MountError`]. Nothing is left mounted then.
pub fn mount(options: &MountOptions, forest: Forest) -> Result<Mounted, MountError> {
    let mount_point = place::prepare(options)?;
    let failed = |source| MountError::Mount {
        mount_point: mount_point.clone(),
        source,
    };
    let counts = Arc::new(RequestCounts::default());
    let (adapter, reads) =
        Adapter::new(forest.clone(), options.appearance, Arc::clone(&counts)).map_err(failed)?;
    let kernel_options = options.for_kernel();
    let source = format!("freezer:{}", options.source);
    let attach = Attach {
        source: &source,
        options: &kernel_options,
    };
    let connection = attach.on(&mount_point).map_err(failed)?;
    let (sender, ended) = bounded(1);
    // From here on, dropping this takes the mount away.
    let mounted = Mounted {
        own: OwnMount::on(&mount_point)
            .map_err(|error| MountError::leaving(&mount_point, error))?,
        mount_point: mount_point.clone(),
        state: MountState::Served,
        ended,
        counts: Arc::clone(&counts),
    };
    let session = Session::from_fd(
        adapter,
        connection,
        options.audience.acl(),
        options.for_session(),
    )
    .map_err(failed)?;
    let kernel_cache = KernelCache::new(session.notifier(), counts);
    reads
        .start(forest, move |inode, content| {
            kernel_cache.store(inode, content)
        })
        .map_err(failed)?;
    thread::Builder::new()
        .name("freezer-mount".to_owned())
        .spawn(move || {
            // Nobody listens any more when the mount was dropped.
            sender.send(session.run()).ok();
        })
        .map_err(failed)?;
    match rustix::fs::stat(&mount_point) {
        Ok(_) => Ok(mounted),
        Err(error) => Err(MountError::NoAnswer {
            mount_point,
            source: error.into(),
        }),
    }
}

impl Mounted {
    /// Returns where it is mounted, as an absolute path without symbolic links.
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Returns how many requests the kernel has sent so far.
    pub fn counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// Takes the mount out of the tree at once, and waits up to two seconds for programs that are
    /// still in it.
    ///
    /// # Errors
    ///
    /// [`MountError::Unmount`], [`MountError::Serve`].
    pub fn unmount(mut self) -> Result<(), MountError> {
        self.leave()?;
        match self.ended.recv_timeout(GRACE) {
            Ok(result) => result.map_err(|source| MountError::Serve {
                mount_point: self.mount_point.clone(),
                source,
            }),
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(
                    mount_point = %self.mount_point.display(),
                    "programs still use the mount; they get errors when this process ends"
                );
                Ok(())
            }
            Err(RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    fn leave(&mut self) -> Result<(), MountError> {
        let has_ended = self.state == MountState::Ended || !self.ended.is_empty();
        if std::mem::replace(&mut self.state, MountState::Left) == MountState::Left {
            return Ok(());
        }
        let when = if has_ended {
            Leave::IfDead
        } else {
            Leave::AtOnce
        };
        let left = self.own.leave(when);
        left.map_err(|error| MountError::leaving(&self.mount_point, error))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::error!(error = %error, "the mount could not be taken away");
        }
    }
}

/// Mounts a forest and serves it until it is unmounted, or until the process gets `SIGINT`,
/// `SIGTERM`, `SIGQUIT` or `SIGHUP`, which unmount it. Calls `ready` when the mount answers.
///
/// # Errors
///
/// [`MountError`].
pub fn serve(
    options: &MountOptions,
    forest: Forest,
    ready: impl FnOnce(),
) -> Result<(), MountError> {
    let failed = |source| MountError::Serve {
        mount_point: options.mount_point.clone(),
        source,
    };
    let at_hand = forest.at_hand();
    let (signals, watcher) = watch_signals().map_err(failed)?;
    let mut mounted = mount(options, forest)?;
    ready();
    let report = |mounted: &Mounted| match &options.stats_file {
        Some(file) => write_stats(file, mounted.counts(), &at_hand),
        None => Ok(()),
    };
    // How serving ended; `None` when a signal asks for the end.
    let ended = loop {
        select! {
            recv(mounted.ended) -> result => break Some(result.unwrap_or(Ok(()))),
            recv(signals) -> signal => match signal {
                Ok(Wish::Report) => report(&mounted).map_err(failed)?,
                Ok(Wish::End) | Err(_) => break None,
            },
        }
    };
    watcher.close();
    report(&mounted).map_err(failed)?;
    match ended {
        Some(result) => {
            mounted.state = MountState::Ended;
            mounted.leave()?;
            result.map_err(failed)
        }
        None => mounted.unmount(),
    }
}

/// Ends a mount that this or another process of this program made. Where one mount lies over
/// another, ends the upper one.
///
/// # Errors
///
/// [`MountError::NotOurs`]; [`MountError::Entangled`]; [`MountError::Unmount`], also when programs
/// still use it.
pub fn unmount(mount_point: &Path) -> Result<(), MountError> {
    let place = in_full(mount_point).map_err(|source| MountError::Unmount {
        mount_point: mount_point.to_owned(),
        source,
    })?;
    OwnMount::on(&place)
        .and_then(|own| own.leave(Leave::WhenFree))
        .map_err(|error| MountError::leaving(mount_point, error))
}

fn write_stats(file: &Path, counts: &RequestCounts, forest: &Forest) -> io::Result<()> {
    let requests: serde_json::Map<_, _> = counts
        .snapshot()
        .into_iter()
        .map(|(kind, count)| (kind.to_owned(), count.into()))
        .collect();
    let stats = serde_json::json!({
        "requests": requests,
        "answered": counts.answered(),
        "cache": forest.cache_counts(),
    });
    private_file::write(file, format!("{stats}\n").as_bytes())
}
