//! One session with an SFTP server: requests of many threads side by side, through the `ssh` program.

use super::wire::{self, Answer, Extensions, MAX_PACKET, Request};
use crate::platform::process::{self, Piped};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Requests that wait to be written.
const QUEUE: usize = 16;

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

/// A session. Ends when it is dropped.
pub(super) struct Connection {
    /// Where requests go: to a thread that writes them, so that a server that reads no more keeps nobody for ever.
    to_server: Sender<Vec<u8>>,
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
    /// The program; nothing once it was ended.
    child: Mutex<Option<Piped>>,
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

    /// Ends the session, also for a thread that is in the midst of writing or reading.
    fn end(&self, why: Ended) {
        {
            let mut state = self.state();
            state.ended.get_or_insert(why);
            state.waiting.clear();
        }
        self.kill();
    }

    fn kill(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            child.kill();
        }
    }

    /// Why the session ended, or why it does now.
    fn ended(&self, error: &io::Error) -> Ended {
        let words = self.words();
        if words.is_empty() { Ended::because(error) } else { Ended(words) }
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
        *shared.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let (listener, writer, reader) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
        let (sender, packets) = bounded(QUEUE);
        let mut connection = Self { to_server: sender, shared, extensions: Extensions::default(), idle };
        let listening = thread("ssh words").spawn(move || listen(errors, &listener)).map_err(|error| failed(&error))?;
        thread("sftp requests").spawn(move || write(to_server, &packets, &writer)).map_err(|error| failed(&error))?;
        let (hello_sender, hello) = bounded(1);
        thread("sftp answers").spawn(move || serve(from_server, &hello_sender, &reader)).map_err(|error| failed(&error))?;
        connection.extensions = match connection.greet(&hello) {
            Ok(extensions) => extensions,
            Err(error) => {
                connection.shared.kill();
                // So that all it said is known.
                listening.join().map_err(|_| missing())?;
                let words = connection.shared.words();
                return Err(if words.is_empty() { error } else { Ended(words) });
            }
        };
        Ok(connection)
    }

    fn greet(&self, hello: &Receiver<Vec<u8>>) -> Result<Extensions, Ended> {
        self.send(wire::hello())?;
        let packet = hello.recv_timeout(self.idle).map_err(|error| match error {
            RecvTimeoutError::Timeout => Ended(format!("the server did not begin within {} s", self.idle.as_secs())),
            RecvTimeoutError::Disconnected => self.shared.state().ended.clone().unwrap_or_else(|| Ended("the session ended".to_owned())),
        })?;
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
        let (sender, answer) = bounded(1);
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
        self.send(request.encode(id))
    }

    fn send(&self, packet: Vec<u8>) -> Result<(), Ended> {
        self.to_server.send_timeout(packet, self.idle).map_err(|error| {
            if error.is_timeout() {
                self.shared.end(Ended(format!("nothing could be sent for {} s", self.idle.as_secs())));
            }
            self.shared.state().ended.clone().unwrap_or_else(|| Ended("the session ended".to_owned()))
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.kill();
    }
}

/// Writes requests until nobody is left who has any, or the session ends.
fn write(mut to_server: ChildStdin, packets: &Receiver<Vec<u8>>, shared: &Shared) {
    for packet in packets {
        if let Err(error) = to_server.write_all(&packet).and_then(|()| to_server.flush()) {
            return shared.end(shared.ended(&error));
        }
    }
}

/// Hands the greeting and then answers to who waits for them, until the session ends.
fn serve(mut from_server: ChildStdout, hello: &Sender<Vec<u8>>, shared: &Shared) {
    match read_packet(&mut from_server) {
        // Who gave up waiting needs no greeting.
        Ok(packet) => drop(hello.send(packet)),
        Err(error) => return shared.end(shared.ended(&error)),
    }
    loop {
        let packet = match read_packet(&mut from_server) {
            Ok(packet) => packet,
            Err(error) => {
                return shared.end(shared.ended(&error));
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
