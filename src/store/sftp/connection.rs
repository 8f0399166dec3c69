//! One session with an SFTP server: requests of many threads side by side, through the `ssh`
//! program.

use super::wire::{self, MAX_PACKET, Request, ServerExtensions, SftpAnswer};
use crate::model::CallInProgress;
use crate::platform::process::{self, Piped};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The least speed of a server for which a call waits, over the time that counts as silence.
const LEAST_BYTES_PER_S: u64 = 256;

/// How many requests may wait to be written.
const QUEUE: usize = 16;

/// How many bytes of the messages of `ssh` are kept: the last ones.
const MOST_WORDS: usize = 4096;

/// How long to wait for the last of them once `ssh` has ended: a program that it started may hold
/// its output open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often a caller that waits looks whether its call must be broken off.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The timeouts of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// For the begin of a session.
    pub(super) begin: Duration,
    /// For the silence of the server while a call waits for an answer.
    pub(super) idle: Duration,
    /// For one whole call, if it is bounded.
    pub(super) whole: Option<Duration>,
}

/// The session is over, or has to be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SessionEnded(String);

impl SessionEnded {
    /// Returns whether another try will fail as well: the server does not accept our key, or we do
    /// not accept its host key.
    pub(super) fn is_refusal(&self) -> bool {
        [
            "Permission denied",
            "Host key verification failed",
            "Too many authentication failures",
            "no matching host key",
            "is not allowed",
        ]
        .iter()
        .any(|words| self.0.contains(words))
    }

    /// Makes the error for a session that has not begun in time.
    pub(super) fn late(begin: Duration) -> Self {
        Self(format!(
            "the server did not begin within {} s",
            begin.as_secs()
        ))
    }

    fn because(error: &io::Error) -> Self {
        Self(format!("the connection broke: {error}"))
    }
}

/// A session. Ends when it is dropped.
pub(super) struct Connection {
    /// Leads to a thread that writes the requests, so that a server that stops reading blocks no
    /// caller for ever.
    to_server: Sender<Vec<u8>>,
    shared: Arc<SessionShared>,
    extensions: ServerExtensions,
    times: Times,
}

/// One call of the store in a session.
pub(super) struct SessionCall {
    connection: Arc<Connection>,
    /// The moment at which it has taken too long.
    until: Option<Instant>,
    /// Tells whether it must be broken off.
    call: CallInProgress,
}

/// The state that callers share with the thread that reads answers.
struct SessionShared {
    state: Mutex<SessionState>,
    /// What came from the server so far.
    heard: Mutex<HeardBytes>,
    /// The messages of `ssh` on its standard error.
    words: Mutex<Vec<u8>>,
    /// The program; `None` once it was ended.
    child: Mutex<Option<Piped>>,
}

/// What came from the server so far.
#[derive(Clone, Copy, Debug)]
struct HeardBytes {
    /// The moment at which the last bytes came.
    last: Instant,
    bytes: u64,
}

#[derive(Default)]
struct SessionState {
    next: u32,
    /// The waiting callers by the number of their request; `None` where no caller waits.
    waiting: HashMap<u32, Option<Sender<SftpAnswer>>>,
    /// Why no more answers will come.
    ended: Option<SessionEnded>,
}

impl SessionShared {
    fn of(child: Piped) -> Self {
        Self {
            state: Mutex::default(),
            heard: Mutex::new(HeardBytes {
                last: crate::platform::monotonic(),
                bytes: 0,
            }),
            words: Mutex::default(),
            child: Mutex::new(Some(child)),
        }
    }

    fn heard(&self) -> MutexGuard<'_, HeardBytes> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session, also for a thread that is in the midst of writing or reading.
    fn end(&self, why: SessionEnded) {
        {
            let mut state = self.state();
            state.ended.get_or_insert(why);
            state.waiting.clear();
        }
        self.kill();
    }

    fn kill(&self) {
        let child = self
            .child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut child) = child {
            child.kill();
        }
    }

    /// Returns why the session ends: the messages of `ssh`, or else the error.
    fn ended(&self, error: &io::Error) -> SessionEnded {
        let words = self.words();
        if words.is_empty() {
            SessionEnded::because(error)
        } else {
            SessionEnded(words)
        }
    }

    fn words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&words);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        lines.join("; ")
    }
}

/// An answer to come.
pub(super) struct Awaited {
    answer: Receiver<SftpAnswer>,
    shared: Arc<SessionShared>,
    idle: Duration,
    asked: Instant,
    until: Option<Instant>,
    call: CallInProgress,
}

impl Awaited {
    /// Waits for the answer while the server sends enough and the call has time left.
    pub(super) fn wait(self) -> Result<SftpAnswer, SessionEnded> {
        let mut counted = HeardBytes {
            last: self.asked,
            bytes: self.shared.heard().bytes,
        };
        loop {
            let silent_since = self.shared.heard().last.max(self.asked);
            let now = crate::platform::monotonic();
            let left = |until: Instant| until.saturating_duration_since(now);
            let patience = silent_since.checked_add(self.idle).map_or(self.idle, left);
            let patience = self
                .until
                .map_or(patience, |until| patience.min(left(until)));
            match self.answer.recv_timeout(patience.min(LOOK_EVERY)) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self
                        .shared
                        .state()
                        .ended
                        .clone()
                        .unwrap_or_else(|| SessionEnded("the session ended".to_owned())));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let why = if self.call.check().is_err() {
                // A later call gets a session of its own, in which no other answer delays its own.
                SessionEnded("interrupted".to_owned())
            } else if self
                .until
                .is_some_and(|until| until <= crate::platform::monotonic())
            {
                // The late answers would still come, and delay those to later requests.
                SessionEnded("the answers came too slowly".to_owned())
            } else if self.shared.heard().last > silent_since {
                match self.slowness(&mut counted) {
                    None => continue,
                    Some(why) => why,
                }
            } else if silent_since.elapsed() < self.idle {
                continue;
            } else {
                SessionEnded(format!("no answer came within {} s", self.idle.as_secs()))
            };
            self.shared.end(why.clone());
            return Err(why);
        }
    }
}

impl Awaited {
    /// Returns why the server is given up that sends a byte now and then: it is never silent, and
    /// would hold a run up for ever.
    fn slowness(&self, counted: &mut HeardBytes) -> Option<SessionEnded> {
        let heard = *self.shared.heard();
        let (span, came) = (
            heard.last.saturating_duration_since(counted.last),
            heard.bytes.saturating_sub(counted.bytes),
        );
        if span < self.idle {
            return None;
        }
        *counted = heard;
        (came < self.idle.as_secs().saturating_mul(LEAST_BYTES_PER_S)).then(|| {
            SessionEnded(format!(
                "the server sent {came} bytes in {} s",
                span.as_secs()
            ))
        })
    }
}

impl Connection {
    /// Starts `ssh` with these arguments and greets the server.
    pub(super) fn start(arguments: &[OsString], times: Times) -> Result<Self, SessionEnded> {
        let failed = |error: &io::Error| {
            SessionEnded(format!("the program ssh could not be started: {error}"))
        };
        let mut child =
            process::start_piped(Path::new("ssh"), arguments).map_err(|error| failed(&error))?;
        let missing = || SessionEnded("the program ssh has no pipes".to_owned());
        let (to_server, from_server) = (
            child.input.take().ok_or_else(missing)?,
            child.output.take().ok_or_else(missing)?,
        );
        let errors = child.errors.take().ok_or_else(missing)?;
        let shared = Arc::new(SessionShared::of(child));
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let (listener, writer, reader) = (
            Arc::clone(&shared),
            Arc::clone(&shared),
            Arc::clone(&shared),
        );
        let (sender, packets) = bounded(QUEUE);
        let mut connection = Self {
            to_server: sender,
            shared,
            extensions: ServerExtensions::default(),
            times,
        };
        let (listening, all_said) = bounded::<()>(0);
        let listen = move || {
            listen(errors, &listener);
            drop(listening);
        };
        thread("ssh words")
            .spawn(listen)
            .map_err(|error| failed(&error))?;
        thread("sftp requests")
            .spawn(move || write(to_server, &packets, &writer))
            .map_err(|error| failed(&error))?;
        let (hello_sender, hello) = bounded(1);
        thread("sftp answers")
            .spawn(move || serve(from_server, &hello_sender, &reader))
            .map_err(|error| failed(&error))?;
        connection.extensions = match connection.greet(&hello) {
            Ok(extensions) => extensions,
            Err(error) => {
                connection.shared.kill();
                // The channel closes when the last message was read.
                all_said.recv_timeout(LAST_WORDS).ok();
                let words = connection.shared.words();
                return Err(if words.is_empty() {
                    error
                } else {
                    SessionEnded(words)
                });
            }
        };
        Ok(connection)
    }

    fn greet(&self, hello: &Receiver<Vec<u8>>) -> Result<ServerExtensions, SessionEnded> {
        self.send(wire::hello())?;
        let packet = hello
            .recv_timeout(self.times.begin)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => SessionEnded::late(self.times.begin),
                RecvTimeoutError::Disconnected => self
                    .shared
                    .state()
                    .ended
                    .clone()
                    .unwrap_or_else(|| SessionEnded("the session ended".to_owned())),
            })?;
        wire::decode_hello(&packet)
            .ok_or_else(|| SessionEnded("the other side does not speak SFTP version 3".to_owned()))
    }

    /// Returns why it cannot be used any more; `None` while it can.
    pub(super) fn ended(&self) -> Option<SessionEnded> {
        self.shared.state().ended.clone()
    }

    fn begin(
        &self,
        request: Request<'_>,
        sender: Option<Sender<SftpAnswer>>,
    ) -> Result<(), SessionEnded> {
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

    fn send(&self, packet: Vec<u8>) -> Result<(), SessionEnded> {
        self.to_server
            .send_timeout(packet, self.times.idle)
            .map_err(|error| {
                if error.is_timeout() {
                    self.shared.end(SessionEnded(format!(
                        "nothing could be sent for {} s",
                        self.times.idle.as_secs()
                    )));
                }
                self.shared
                    .state()
                    .ended
                    .clone()
                    .unwrap_or_else(|| SessionEnded("the session ended".to_owned()))
            })
    }
}

impl SessionCall {
    /// A call that began at a moment.
    pub(super) fn new(connection: Arc<Connection>, began: Instant, call: CallInProgress) -> Self {
        let until = connection
            .times
            .whole
            .and_then(|whole| began.checked_add(whole));
        Self {
            connection,
            until,
            call,
        }
    }

    pub(super) fn extensions(&self) -> ServerExtensions {
        self.connection.extensions
    }

    /// Sends a request.
    pub(super) fn ask(&self, request: Request<'_>) -> Result<Awaited, SessionEnded> {
        let (sender, answer) = bounded(1);
        self.connection.begin(request, Some(sender))?;
        let shared = Arc::clone(&self.connection.shared);
        Ok(Awaited {
            answer,
            shared,
            idle: self.connection.times.idle,
            asked: crate::platform::monotonic(),
            until: self.until,
            call: self.call.clone(),
        })
    }

    /// Sends a request whose answer does not matter.
    pub(super) fn tell(&self, request: Request<'_>) -> Result<(), SessionEnded> {
        self.connection.begin(request, None)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.kill();
    }
}

/// Writes requests until no caller is left, or the session ends.
fn write(mut to_server: ChildStdin, packets: &Receiver<Vec<u8>>, shared: &SessionShared) {
    for packet in packets {
        if let Err(error) = to_server
            .write_all(&packet)
            .and_then(|()| to_server.flush())
        {
            return shared.end(shared.ended(&error));
        }
    }
}

/// Hands the greeting and then the answers to those that wait for them, until the session ends.
fn serve(from_server: ChildStdout, hello: &Sender<Vec<u8>>, shared: &SessionShared) {
    let mut from_server = Noted {
        from_server,
        shared,
    };
    match read_packet(&mut from_server) {
        // A caller that has stopped waiting needs no greeting.
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
        let answered = wire::decode(&packet)
            .and_then(|(id, answer)| Some((shared.state().waiting.remove(&id)?, answer)));
        match answered {
            // A caller that has stopped waiting needs no answer.
            Some((Some(sender), answer)) => drop(sender.send(answer)),
            Some((None, _)) => {}
            None => {
                return shared.end(SessionEnded("the server sent what is no answer".to_owned()));
            }
        }
    }
}

/// Reads from the server, and notes the time of each read.
struct Noted<'session> {
    from_server: ChildStdout,
    shared: &'session SessionShared,
}

impl Read for Noted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from_server.read(buffer)?;
        let mut heard = self.shared.heard();
        heard.last = crate::platform::monotonic();
        heard.bytes = heard.bytes.saturating_add(count as u64);
        Ok(count)
    }
}

/// Keeps the last messages of `ssh`.
fn listen(mut errors: impl Read, shared: &SessionShared) {
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
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet is longer than any may be",
        ));
    }
    let mut packet = vec![0; length];
    from_server.read_exact(&mut packet)?;
    Ok(packet)
}
