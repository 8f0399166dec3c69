//! A TCP relay that can stand still (bytes are kept back in both directions, connections stay
//! open), cut connections, lose them in silence (as a flow that a firewall forgets, or a machine
//! without power), or let answers trickle; and one that is far away: every byte arrives later, and
//! none slower.

use freezer::model::Cancel;
use freezer::platform::pause;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A relay to a server, for as long as the test runs.
pub struct Relay {
    /// Where it listens on the loopback address.
    pub port: u16,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    stands_still: Mutex<bool>,
    /// Most bytes that a connection gets of the server before it is cut.
    most: Mutex<Option<usize>>,
    /// How long each KiB of what the server sends takes.
    per_kib: Mutex<Duration>,
    /// How many connections there have been, and how many of them, the first ones, are lost.
    begun: AtomicU64,
    lost: AtomicU64,
    /// Bytes that the server sent and that were passed on.
    answered: AtomicU64,
    changed: Condvar,
}

impl Gate {
    /// Returns when a byte of that connection may pass: never, if it is lost.
    fn pass(&self, number: u64) {
        let stands_still = self
            .stands_still
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(stands_still, |stands_still| {
            *stands_still || number < self.lost.load(Ordering::SeqCst)
        }));
    }
}

impl Relay {
    /// Begins to relay to `upstream`, as `host:port`.
    pub fn new(upstream: &str) -> Self {
        Self::far(upstream, Duration::ZERO)
    }

    /// Begins to relay, with bytes that arrive that much later in each direction.
    pub fn far(upstream: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let gate = Arc::new(Gate::default());
        let (upstream, inner) = (upstream.to_owned(), Arc::clone(&gate));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&upstream)) else {
                    continue;
                };
                let number = inner.begun.fetch_add(1, Ordering::SeqCst);
                for (from, to, is_answer) in [(&client, &server, false), (&server, &client, true)] {
                    let (Ok(from), Ok(to), gate) =
                        (from.try_clone(), to.try_clone(), Arc::clone(&inner))
                    else {
                        continue;
                    };
                    thread::spawn(move || relay(from, to, &gate, number, delay, is_answer));
                }
            }
        });
        Self { port, gate }
    }

    /// Cuts each connection after so many bytes of what the server sends on it from now on, or no
    /// longer.
    pub fn cut_after(&self, bytes: Option<usize>) {
        *self
            .gate
            .most
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Has each KiB of what the server sends on a connection take so long from now on.
    pub fn trickle(&self, per_kib: Duration) {
        *self
            .gate
            .per_kib
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = per_kib;
    }

    /// Loses all connections that there are: nothing of them passes any more, and neither end is
    /// told.
    pub fn lose(&self) {
        self.gate
            .lost
            .store(self.gate.begun.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Returns how many connections there have been.
    pub fn connections(&self) -> u64 {
        self.gate.begun.load(Ordering::SeqCst)
    }

    /// Returns how many bytes of what the server sent were passed on.
    pub fn answered_bytes(&self) -> u64 {
        self.gate.answered.load(Ordering::SeqCst)
    }

    /// Stands still, or goes on.
    pub fn stand_still(&self, stands_still: bool) {
        *self
            .gate
            .stands_still
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = stands_still;
        self.gate.changed.notify_all();
    }
}

fn relay(
    mut from: TcpStream,
    mut to: TcpStream,
    gate: &Gate,
    number: u64,
    delay: Duration,
    is_answer: bool,
) {
    let (arrived, line) = sync_channel::<(Instant, Vec<u8>)>(4096);
    let writer = thread::spawn(move || {
        for (at, bytes) in line {
            pause(
                at.saturating_duration_since(freezer::platform::monotonic()),
                &Cancel::new(),
            );
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // The other side learns of it; when it is gone already, nobody has to.
        to.shutdown(Shutdown::Write).ok();
    });
    let mut buffer = vec![0; 64 << 10];
    let mut sent = 0;
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        gate.pass(number);
        let most = *gate.most.lock().unwrap_or_else(PoisonError::into_inner);
        sent = most.map_or(0, |_| sent + length);
        if is_answer && most.is_some_and(|most| sent > most) {
            // Both directions: the server learns of it too.
            from.shutdown(Shutdown::Both).ok();
            break;
        }
        let per_kib = || {
            if is_answer {
                *gate.per_kib.lock().unwrap_or_else(PoisonError::into_inner)
            } else {
                Duration::ZERO
            }
        };
        let piece = if per_kib().is_zero() { length } else { 1 << 10 };
        let passed_on = buffer[..length].chunks(piece).try_for_each(|piece| {
            pause(per_kib(), &Cancel::new());
            if is_answer {
                gate.answered
                    .fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
            arrived.send((freezer::platform::monotonic() + delay, piece.to_vec()))
        });
        if passed_on.is_err() {
            break;
        }
    }
    drop(arrived);
    writer.join().expect("it does not panic");
}
