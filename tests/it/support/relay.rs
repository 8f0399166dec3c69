//! A TCP relay that can stand still (bytes are kept back in both directions, connections stay open), and one that is far away: every byte
//! arrives later, and none slower.

use freezer::model::Cancel;
use freezer::platform::pause;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let stands_still = self.stands_still.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(stands_still, |stands_still| *stands_still));
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
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&upstream)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to), gate) = (from.try_clone(), to.try_clone(), Arc::clone(&inner)) else { continue };
                    thread::spawn(move || relay(from, to, &gate, delay));
                }
            }
        });
        Self { port, gate }
    }

    /// Stands still, or goes on.
    pub fn stand_still(&self, stands_still: bool) {
        *self.gate.stands_still.lock().unwrap_or_else(PoisonError::into_inner) = stands_still;
        self.gate.changed.notify_all();
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, gate: &Gate, delay: Duration) {
    let (arrived, line) = sync_channel::<(Instant, Vec<u8>)>(4096);
    let writer = thread::spawn(move || {
        for (at, bytes) in line {
            pause(at.saturating_duration_since(Instant::now()), &Cancel::new());
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // The other side learns of it; when it is gone already, nobody has to.
        to.shutdown(Shutdown::Write).ok();
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        gate.pass();
        if arrived.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
    drop(arrived);
    writer.join().expect("it does not panic");
}
