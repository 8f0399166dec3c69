//! One session with an SFTP server: requests of many threads side by side, through the `ssh` program.

use super::wire::{self, Answer, Extensions, MAX_PACKET, Request};
use crate::platform::process::{self, Piped};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How much of what `ssh` says to people is kept.
const MOST_WORDS: usize = 4096;

/// The session is over, or has to be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Ended(String);

impl Ended {
    /// Whether another try will meet the same: who we are, or who the server is, is not accepted.
    pub(super) fn is_refusal(&self) -> bool {
        ["Permission denied", "Host key verification failed", "Too many authentication failures", "no matching host key", "is not allowed"]
            .iter()
            .any(|words| self.0.contains(words))
    }

    fn because(error: &io::Error) -> Self {
        Self(format!("the connection broke: {error}"))
    }
}

/// A session. Ends with it is dropped.
pub(super) struct Connection {
    child: Piped,
    /// Where requests go. Held for one packet, or for a few that belong together.
    to_server: Mutex<ChildStdin>,
    shared: Arc<Shared>,
    extensions: Extensions,
    idle: Duration,
}

/// What the threads that ask and the one that reads answers share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// What `ssh` said on its standard error.
    words: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct State {
    next: u32,
    /// Who waits for which answer; nobody for those that no one wants to know.
    waiting: HashMap<u32, Option<Sender<Answer>>>,
    /// Why there will be no more answers.
    ended: Option<Ended>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: Ended) {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.waiting.clear();
    }

    fn words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&words);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("; ").chars().filter(|c| !c.is_control()).collect()
    }
}

/// An answer to come.
pub(super) struct Coming {
    answer: Receiver<Answer>,
    shared: Arc<Shared>,
    idle: Duration,
}

impl Coming {
    /// Waits for it.
    pub(super) fn wait(self) -> Result<Answer, Ended> {
        match self.answer.recv_timeout(self.idle) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => {
                let why = Ended(format!("no answer came within {} s", self.idle.as_secs()));
                self.shared.end(why.clone());
                Err(why)
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(self.shared.state().ended.clone().unwrap_or_else(|| Ended("the session ended".to_owned())))
            }
        }
    }
}

impl Connection {
    /// Starts `ssh` with these arguments and greets the server.
    pub(super) fn start(arguments: &[OsString], idle: Duration) -> Result<Self, Ended> {
        let failed = |error: &io::Error| Ended(format!("the program ssh could not be started: {error}"));
        let mut child = process::start_piped(Path::new("ssh"), arguments).map_err(|error| failed(&error))?;
        let missing = || Ended("the program ssh has no pipes".to_owned());
        let (to_server, from_server) = (child.input.take().ok_or_else(missing)?, child.output.take().ok_or_else(missing)?);
        let errors = child.errors.take().ok_or_else(missing)?;
        let shared: Arc<Shared> = Arc::default();
        let listener = Arc::clone(&shared);
        let listening =
            thread::Builder::new().name("ssh words".to_owned()).spawn(move || listen(errors, &listener)).map_err(|error| failed(&error))?;
        let mut connection = Self { child, to_server: Mutex::new(to_server), shared, extensions: Extensions::default(), idle };
        let mut greeted = from_server;
        let extensions = connection.greet(&mut greeted);
        connection.extensions = match extensions {
            Ok(extensions) => extensions,
            Err(error) => {
                connection.child.kill();
                // So that all it said is known.
                listening.join().map_err(|_| missing())?;
                let words = connection.shared.words();
                return Err(if words.is_empty() { error } else { Ended(words) });
            }
        };
        let reader = Arc::clone(&connection.shared);
        let spawned = thread::Builder::new().name("sftp answers".to_owned()).spawn(move || serve(greeted, &reader));
        spawned.map_err(|error| failed(&error))?;
        Ok(connection)
    }

    fn greet(&self, from_server: &mut ChildStdout) -> Result<Extensions, Ended> {
        self.send(&wire::hello())?;
        let packet = read_packet(from_server).map_err(|error| Ended::because(&error))?;
        wire::decode_hello(&packet).ok_or_else(|| Ended("the other side does not speak SFTP version 3".to_owned()))
    }

    pub(super) fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// Whether it can still be used.
    pub(super) fn is_alive(&self) -> bool {
        self.shared.state().ended.is_none()
    }

    /// Sends a request.
    pub(super) fn ask(&self, request: Request<'_>) -> Result<Coming, Ended> {
        let (sender, answer) = channel();
        self.begin(request, Some(sender))?;
        Ok(Coming { answer, shared: Arc::clone(&self.shared), idle: self.idle })
    }

    /// Sends a request whose answer nobody needs.
    pub(super) fn tell(&self, request: Request<'_>) -> Result<(), Ended> {
        self.begin(request, None)
    }

    fn begin(&self, request: Request<'_>, sender: Option<Sender<Answer>>) -> Result<(), Ended> {
        let id = {
            let mut state = self.shared.state();
            if let Some(ended) = &state.ended {
                return Err(ended.clone());
            }
            let id = state.next;
            state.next = state.next.wrapping_add(1);
            state.waiting.insert(id, sender);
            id
        };
        self.send(&request.encode(id))
    }

    fn send(&self, packet: &[u8]) -> Result<(), Ended> {
        let mut to_server = self.to_server.lock().unwrap_or_else(PoisonError::into_inner);
        to_server.write_all(packet).and_then(|()| to_server.flush()).map_err(|error| {
            let words = self.shared.words();
            let why = if words.is_empty() { Ended::because(&error) } else { Ended(words) };
            self.shared.end(why.clone());
            why
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.child.kill();
    }
}

/// Hands answers to who waits for them, until the session ends.
fn serve(mut from_server: ChildStdout, shared: &Shared) {
    loop {
        let packet = match read_packet(&mut from_server) {
            Ok(packet) => packet,
            Err(error) => {
                let words = shared.words();
                return shared.end(if words.is_empty() { Ended::because(&error) } else { Ended(words) });
            }
        };
        let answered = wire::decode(&packet).and_then(|(id, answer)| Some((shared.state().waiting.remove(&id)?, answer)));
        match answered {
            // Who gave up waiting needs no answer.
            Some((Some(sender), answer)) => drop(sender.send(answer)),
            Some((None, _)) => {}
            None => return shared.end(Ended("the server sent what is no answer".to_owned())),
        }
    }
}

/// Keeps the end of what `ssh` says.
fn listen(mut errors: impl Read, shared: &Shared) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut buffer) {
        let mut words = shared.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&buffer[..count]);
        let over = words.len().saturating_sub(MOST_WORDS);
        words.drain(..over);
    }
}

fn read_packet(from_server: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from_server.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_PACKET {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet is longer than any may be"));
    }
    let mut packet = vec![0; length];
    from_server.read_exact(&mut packet)?;
    Ok(packet)
}
