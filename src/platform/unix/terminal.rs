//! Asks the person at the terminal, also for secrets.

use crate::model::{Cancel, Passphrase, Secret};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Most bytes of an answer that are kept.
const MAX_BYTES: usize = 1024;

/// How often a wait for an answer looks whether it is cancelled, in nanoseconds.
const LOOK_NS: i64 = 50_000_000;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

fn open() -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        CWD,
        c"/dev/tty",
        OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY,
        Mode::empty(),
    )?)
}

pub fn is_there() -> bool {
    open().is_ok()
}

pub fn ask(question: &str, cancel: &Cancel) -> io::Result<String> {
    let terminal = open()?;
    write(&terminal, question.as_bytes())?;
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        if let Err(error) = wait_for_key(&terminal, cancel) {
            write(&terminal, b"\n").ok();
            return Err(error);
        }
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&terminal, &mut byte))?;
        match byte {
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
            [byte] if line.len() < MAX_BYTES => line.push(byte),
            [_] => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the answer is longer than 1024 bytes",
                ));
            }
        }
    }
}

/// Returns when there is something to read.
///
/// A signal that only raises a flag does not end a read: so nothing is read before it is there.
fn wait_for_key(terminal: &OwnedFd, cancel: &Cancel) -> io::Result<()> {
    let look = Timespec {
        tv_sec: 0,
        tv_nsec: LOOK_NS,
    };
    loop {
        if cancel.is_requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&look)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn ask_secret(question: &str) -> io::Result<Passphrase> {
    let terminal = open()?;
    // Before the question, so that no part of an answer is shown or discarded.
    let quiet = Quiet::begin(&terminal)?;
    let answer = write(&terminal, question.as_bytes()).and_then(|()| read_line(&terminal));
    drop(quiet);
    write(&terminal, b"\n")?;
    answer
}

fn write(terminal: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(terminal, bytes))?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Reads keys up to the end of the line, and handles the keys that edit and interrupt. So no signal
/// of the terminal ends the process and leaves the terminal without echo.
fn read_line(terminal: &OwnedFd) -> io::Result<Passphrase> {
    // Never grows, so it leaves no copy of the secret behind.
    let mut line = Secret::new(Vec::with_capacity(MAX_BYTES));
    loop {
        let mut key = [0];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(terminal, &mut key))?;
        let line_bytes = line.expose_mut();
        match key {
            [CTRL_C] => return Err(io::ErrorKind::Interrupted.into()),
            [b'\n' | b'\r'] => return Ok(line),
            _ if read == 0 || (key == [CTRL_D] && line_bytes.is_empty()) => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            [CTRL_D] => return Ok(line),
            [CTRL_U] => line_bytes.clear(),
            [BACKSPACE | DELETE] => {
                // The bytes of one character in UTF-8: all up to one that begins a character.
                while line_bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            [byte] if line_bytes.len() < MAX_BYTES => line_bytes.push(byte),
            [_] => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the answer is longer than 1024 bytes",
                ));
            }
        }
    }
}

/// Turns off the echo of a terminal until it is dropped.
struct Quiet<'terminal> {
    terminal: &'terminal OwnedFd,
    before: Termios,
}

impl<'terminal> Quiet<'terminal> {
    fn begin(terminal: &'terminal OwnedFd) -> io::Result<Self> {
        let before = tcgetattr(terminal.as_fd())?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal.as_fd(), OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(self.terminal.as_fd(), OptionalActions::Flush, &self.before) {
            tracing::warn!(%error, "could not turn the echo of the terminal on again");
        }
    }
}
