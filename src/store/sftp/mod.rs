//! SFTP: folders of another machine, without a shell there.
//!
//! The `ssh` program carries the session (`ssh -s HOST sftp`), so that keys, agents, `known_hosts`,
//! jump hosts and everything else in `~/.ssh/config` mean what they mean everywhere. `wire` holds
//! the packets, `connection` the session, which all threads share.
//!
//! Objects are files, laid out as a local store has them; one that is written is a file below
//! `#tmp` (a name that no object has) until it is whole, and then renamed.

mod connection;
mod reading;
mod requests;
mod trouble;
mod wire;

use super::address::{Address, IfMissing};
use super::folder_rows::FolderRow;
use super::folders;
use super::{
    Created, Error, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store,
    StoreSettings,
};
use crate::model::Cancel;
use connection::{Connection, SessionCall, SessionEnded, Times};
use reading::{CHUNK, WINDOW, read_file};
use requests::{attributes, done, open, settled};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use trouble::{SftpTrouble, not_stored};
use wire::{Request, SftpAnswer, SftpAttributes};

/// The keys that may come after `?` in `sftp://user@host:port/path?…`.
pub(super) const KEYS: [&str; 2] = ["key", "known_hosts"];

/// How often a step is repeated that another writer undoes. More often than that is no coincidence.
const RACES: usize = 100;

/// Objects below a folder of another machine.
pub(super) struct Sftp {
    arguments: Vec<OsString>,
    times: Times,
    /// The folder, without a slash at its end; empty for the root of the file system.
    folder: String,
    location: String,
    /// Breaks off the calls under way.
    cancel: Cancel,
    held: Mutex<HeldSession>,
    /// A session has begun, or failed to.
    changed: Condvar,
}

/// The session that all threads share.
#[derive(Default)]
struct HeldSession {
    connection: Option<Arc<Connection>>,
    /// Whether a thread begins one. The others wait for its result.
    begins: bool,
    /// How many failed to begin.
    failures: u64,
    failure: Option<SessionEnded>,
}

/// Lets the next thread begin a session, also when this one panics.
struct Beginning<'store>(&'store Sftp);

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.0.held().begins = false;
        self.0.changed.notify_all();
    }
}

impl Sftp {
    /// Opens `sftp://user@host:port/path`; `/~/path` is below the login folder. Begins no session,
    /// unless the folder is to be made.
    pub(super) fn open(
        address: &Address,
        settings: &StoreSettings,
        if_missing: IfMissing,
    ) -> Result<Self, Error> {
        let folder = match address.path.strip_prefix("~/") {
            Some(below_login) => below_login.to_owned(),
            None if address.path == "~" => ".".to_owned(),
            None if address.path.is_empty() => String::new(),
            None => format!("/{}", address.path),
        };
        let (idle, whole) = (settings.idle(), settings.whole());
        // A session begins with many answers, one after the other, and another try has to fit into
        // the time of a call.
        let times = Times {
            begin: whole.map_or(idle, |whole| whole / 2),
            idle,
            whole,
        };
        let store = Self {
            arguments: arguments(address, settings),
            times,
            folder,
            location: address.to_string(),
            cancel: settings.cancel().clone(),
            held: Mutex::default(),
            changed: Condvar::new(),
        };
        if if_missing == IfMissing::Create {
            store
                .make_folders(&store.folder)
                .map_err(|trouble| trouble.of(Operation::Open, None))?;
        }
        Ok(store)
    }

    fn held(&self) -> MutexGuard<'_, HeldSession> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a call in the session, or in a new one when there is none that can be used. Threads
    /// that come while a session begins share its result: a server that hangs delays all of them no
    /// longer than one.
    fn session(&self) -> Result<SessionCall, SessionEnded> {
        let came = crate::platform::monotonic();
        let alive = |held: &HeldSession| {
            held.connection
                .as_ref()
                .filter(|connection| connection.ended().is_none())
                .map(Arc::clone)
        };
        let mut held = self.held();
        if let Some(connection) = alive(&held) {
            return Ok(SessionCall::new(connection, came, self.cancel.call()));
        }
        if held.begins {
            let before = held.failures;
            let begins = |held: &mut HeldSession| held.begins && held.failures == before;
            let (held, _) = self
                .changed
                .wait_timeout_while(held, self.times.begin, begins)
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(connection) = alive(&held) {
                return Ok(SessionCall::new(connection, came, self.cancel.call()));
            }
            let failure = if held.failures == before {
                held.connection.as_ref().and_then(|one| one.ended())
            } else {
                held.failure.clone()
            };
            return Err(failure.unwrap_or_else(|| SessionEnded::late(self.times.begin)));
        }
        held.begins = true;
        held.connection = None;
        drop(held);
        let beginning = Beginning(self);
        let begun = Connection::start(&self.arguments, self.times).map(Arc::new);
        {
            let mut held = self.held();
            match &begun {
                Ok(connection) => held.connection = Some(Arc::clone(connection)),
                Err(ended) => {
                    held.failures += 1;
                    held.failure = Some(ended.clone());
                }
            }
        }
        drop(beginning);
        begun.map(|connection| SessionCall::new(connection, came, self.cancel.call()))
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Makes a folder and those above it, also while another writer makes or removes the same ones.
    fn make_folders(&self, path: &str) -> Result<(), SftpTrouble> {
        let session = self.session()?;
        let mut made = Ok(());
        for _ in 0..RACES {
            if path.is_empty() || done(&session, Request::Stat(path)).is_ok() {
                return Ok(());
            }
            if let Some((above, _)) = path.rsplit_once('/') {
                self.make_folders(above)?;
            }
            made = done(&session, Request::MakeDirectory(path));
            match &made {
                // One above went again, or there is this one by now: a look tells.
                Err(SftpTrouble::Status {
                    code: wire::NO_SUCH_FILE | wire::FAILURE,
                    ..
                }) => {}
                _ => return made,
            }
        }
        made
    }

    /// Writes a file of its own, which `name_it` then gives its name.
    fn write(
        &self,
        body: &Rope,
        name_it: impl FnOnce(&SessionCall, &str) -> Result<(), SftpTrouble>,
    ) -> Result<(), SftpTrouble> {
        let session = self.session()?;
        let temporary = self.path_of(&folders::temporary().ok_or(SftpTrouble::Odd)?);
        let handle = match open(&session, Request::Create(&temporary)) {
            Err(trouble) if trouble.is_missing() => {
                self.make_folders(&self.path_of(folders::TEMPORARY))?;
                open(&session, Request::Create(&temporary))?
            }
            opened => opened?,
        };
        let written = self.fill(&session, &handle, body);
        let closed = done(&session, Request::Close(&handle));
        let outcome = written
            .and(closed)
            .and_then(|()| name_it(&session, &temporary));
        if outcome.is_err() {
            // Fails when the session is over. A file that is left in the folder of temporary files
            // does no harm.
            session.tell(Request::Remove(&temporary)).ok();
        }
        outcome
    }

    fn fill(&self, session: &SessionCall, handle: &[u8], body: &Rope) -> Result<(), SftpTrouble> {
        let mut under_way = VecDeque::with_capacity(WINDOW);
        let mut offset = 0;
        for data in body.iter().flat_map(|piece| piece.chunks(CHUNK)) {
            if under_way.len() == WINDOW {
                under_way.pop_front().map_or(Ok(()), settled)?;
            }
            under_way.push_back(session.ask(Request::Write {
                handle,
                offset,
                data,
            })?);
            offset += data.len() as u64;
        }
        under_way.into_iter().try_for_each(settled)?;
        if session.extensions().flush {
            done(session, Request::Flush(handle))
        } else {
            Ok(())
        }
    }

    /// Gives the file its name, and replaces the file that has it.
    fn put_in_place(
        &self,
        session: &SessionCall,
        temporary: &str,
        path: &str,
    ) -> Result<(), SftpTrouble> {
        let rename = || {
            if session.extensions().rename_over {
                match done(
                    session,
                    Request::RenameOver {
                        from: temporary,
                        to: path,
                    },
                ) {
                    // A server that allows no replacing may still allow a new name.
                    Err(SftpTrouble::Status {
                        code: wire::DENIED, ..
                    }) => {}
                    renamed => return renamed,
                }
            }
            match done(
                session,
                Request::Rename {
                    from: temporary,
                    to: path,
                },
            ) {
                Err(trouble @ SftpTrouble::Status { .. }) if !trouble.is_missing() => {
                    // Version 3 renames over nothing: for a moment there is neither.
                    done(session, Request::Remove(path)).map_err(|_| trouble)?;
                    done(
                        session,
                        Request::Rename {
                            from: temporary,
                            to: path,
                        },
                    )
                }
                renamed => renamed,
            }
        };
        self.in_its_folder(path, rename)
    }

    /// Does what needs the folder of a path, and makes that where it is missing.
    fn in_its_folder(
        &self,
        path: &str,
        name_it: impl Fn() -> Result<(), SftpTrouble>,
    ) -> Result<(), SftpTrouble> {
        // A delete of the last object in a folder removes the folder too, even before the file is
        // in it.
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut outcome = name_it();
        for _ in 0..RACES {
            if !outcome.as_ref().is_err_and(SftpTrouble::is_missing) {
                break;
            }
            // The folders above go in the same way, also while those below them are made.
            outcome = self.make_folders(folder).and_then(|()| name_it());
        }
        outcome
    }

    /// Opens a file and returns its length too; a folder is not an object.
    fn open_object(
        &self,
        session: &SessionCall,
        name: &ObjectName,
    ) -> Result<(Vec<u8>, u64), SftpTrouble> {
        let handle = open(session, Request::OpenToRead(&self.path_of(name.as_str())))?;
        let known = attributes(session, Request::StatHandle(&handle));
        match known {
            Ok(known) if known.is_file() => Ok((handle, known.size)),
            known => {
                session.tell(Request::Close(&handle))?;
                known?;
                Err(SftpTrouble::Status {
                    code: wire::NO_SUCH_FILE,
                    words: "it is no file".to_owned(),
                })
            }
        }
    }

    /// Hands over the contents of a folder; a missing one is empty.
    fn entries(
        &self,
        path: &str,
        take: &mut dyn FnMut(Option<FolderRow>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |trouble: SftpTrouble| trouble.of(Operation::List, None);
        let session = self.session().map_err(|ended| failed(ended.into()))?;
        let handle = match open(&session, Request::OpenDirectory(path)) {
            Err(trouble) if trouble.is_missing() => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        let mut outcome = Ok(());
        while outcome.is_ok() {
            match next_names(&session, &handle).map_err(failed) {
                Ok(Some(names)) => {
                    outcome = names
                        .into_iter()
                        .try_for_each(|(name, known)| take(row(&name, known)));
                }
                Ok(None) => break,
                Err(error) => outcome = Err(error),
            }
        }
        let closed = session
            .tell(Request::Close(&handle))
            .map_err(|ended| failed(ended.into()));
        outcome.and(closed)
    }
}

/// Names of a folder, with their attributes.
type NamedFiles = Vec<(Vec<u8>, SftpAttributes)>;

/// Returns the next names of a folder; `None` at its end.
fn next_names(session: &SessionCall, handle: &[u8]) -> Result<Option<NamedFiles>, SftpTrouble> {
    match session.ask(Request::ReadDirectory(handle))?.wait()? {
        SftpAnswer::Names(names) if !names.is_empty() => Ok(Some(names)),
        SftpAnswer::Status {
            code: wire::END, ..
        } => Ok(None),
        SftpAnswer::Status { code, words } => Err(SftpTrouble::Status { code, words }),
        _ => Err(SftpTrouble::Odd),
    }
}

/// Returns the row of a file or folder; `None` for anything that is not of a store.
fn row(name: &[u8], known: SftpAttributes) -> Option<FolderRow> {
    let name = str::from_utf8(name).ok()?;
    if known.is_directory() {
        FolderRow::folder(name)
    } else if known.is_file() {
        FolderRow::object(name, known.size)
    } else {
        None
    }
}

/// Returns what `ssh` is started with: no questions, known hosts only, and an end of a connection
/// that is dead.
fn arguments(address: &Address, settings: &StoreSettings) -> Vec<OsString> {
    let option = |name: &str, key: &str| {
        address
            .query
            .get(key)
            .map(String::as_str)
            .or_else(|| settings.option(name))
    };
    let mut arguments: Vec<OsString> = Vec::new();
    for setting in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "ConnectTimeout=15",
        "ClearAllForwardings=yes",
    ] {
        arguments.extend(["-o".into(), setting.into()]);
    }
    arguments.push("-T".into());
    if let Some(port) = address.port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(key) = option("ssh-key", "key") {
        arguments.extend(["-i".into(), key.into()]);
        arguments.extend(["-o".into(), "IdentitiesOnly=yes".into()]);
    }
    if let Some(known) = option("ssh-known-hosts", "known_hosts") {
        arguments.extend(["-o".into(), format!("UserKnownHostsFile={known}").into()]);
        arguments.extend(["-o".into(), "GlobalKnownHostsFile=/dev/null".into()]);
    }
    if let Some(user) = &address.user {
        arguments.extend(["-l".into(), user.into()]);
    }
    // After -- nothing is an option, whatever the host is called.
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    arguments.extend(["-s".into(), "--".into(), host.into(), "sftp".into()]);
    arguments
}

impl Sftp {
    fn create_once(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        let session = self
            .session()
            .map_err(|ended| not_stored(name, ended.into()))?;
        if !session.extensions().link {
            return Ok(Created::Cannot);
        }
        let path = self.path_of(name.as_str());
        let written = self.write(body, |session, temporary| {
            self.in_its_folder(&path, || {
                done(
                    session,
                    Request::Link {
                        from: temporary,
                        to: &path,
                    },
                )
            })?;
            // Fails when the session is over, and then does no harm.
            session.tell(Request::Remove(temporary)).ok();
            Ok(())
        });
        match written {
            Ok(()) => Ok(Created::New),
            // Nothing more is said where the name is taken, or the file system has no links: a look
            // tells.
            Err(
                trouble @ SftpTrouble::Status {
                    code: wire::FAILURE | wire::DENIED | wire::UNSUPPORTED,
                    ..
                },
            ) => match done(&session, Request::Stat(&path)) {
                Ok(()) => Ok(Created::WasThere),
                Err(other) if other.is_missing() => Ok(Created::Cannot),
                Err(_) => Err(not_stored(name, trouble)),
            },
            Err(trouble) => Err(not_stored(name, trouble)),
        }
    }
}

impl Store for Sftp {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.write(body, |session, temporary| {
            self.put_in_place(session, temporary, &self.path_of(name.as_str()))
        })
        .map_err(|trouble| not_stored(name, trouble))
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let failed = |trouble: SftpTrouble| trouble.of(Operation::Get, Some(name));
        let session = self.session().map_err(|ended| failed(ended.into()))?;
        let (handle, size) = self.open_object(&session, name).map_err(failed)?;
        let outcome = read_file(&session, &handle, name, size, wanted, take);
        session
            .tell(Request::Close(&handle))
            .map_err(|ended| failed(ended.into()))?;
        outcome
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        let mut entries = |below: &str, take: &mut folders::TakeRow<'_>| {
            let path = self.path_of(below.trim_end_matches('/'));
            let path = if below.is_empty() {
                if self.folder.is_empty() {
                    "/"
                } else {
                    &self.folder
                }
            } else {
                &path
            };
            self.entries(path, take)
        };
        folders::list(prefix, &mut entries, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let failed = |trouble: SftpTrouble| trouble.of(Operation::Delete, Some(name));
        let session = self.session().map_err(|ended| failed(ended.into()))?;
        let path = self.path_of(name.as_str());
        match done(&session, Request::Remove(&path)) {
            Err(trouble) if trouble.is_missing() => return Ok(()),
            Err(trouble) => {
                // A folder is no object.
                let known = attributes(&session, Request::Stat(&path));
                return if known.is_ok_and(SftpAttributes::is_directory) {
                    Ok(())
                } else {
                    Err(failed(trouble))
                };
            }
            Ok(()) => {}
        }
        // Folders that are empty now go too, from the inside out, until one is not.
        let mut folder = name.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            if done(&session, Request::RemoveDirectory(&self.path_of(above))).is_err() {
                break;
            }
            folder = above;
        }
        Ok(())
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn powers(&self) -> Powers<'_> {
        Powers {
            // Only a session shows whether the server has links.
            create_once: Some(Box::new(|name, body| self.create_once(name, body))),
            ..Powers::none()
        }
    }
}
