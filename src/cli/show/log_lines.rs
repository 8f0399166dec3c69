//! Log events as lines: one event is one line, whatever is in it.

use crate::cli::show::screen::Screen;
use crate::model::printable;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::fmt::MakeWriter;

/// Makes each event one printable line, and writes it to a place.
///
/// Events carry names, and the words of servers: none of those may move the cursor of the terminal
/// that shows the log, or begin a line that looks like an event of its own.
pub(in crate::cli) struct LogLines<W>(Mutex<W>);

impl<W: Write> LogLines<W> {
    pub(in crate::cli) fn to(place: W) -> Self {
        Self(Mutex::new(place))
    }
}

/// Takes one event for each call, whole and with the end of its line.
pub(in crate::cli) struct LogLine<'log, W>(&'log Mutex<W>);

impl<W: Write> Write for LogLine<'_, W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let words = event.strip_suffix(b"\n").unwrap_or(event);
        let line = format!("{}\n", printable(words));
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
    }
}

impl<'log, W: Write + 'static> MakeWriter<'log> for LogLines<W> {
    type Writer = LogLine<'log, W>;

    fn make_writer(&'log self) -> Self::Writer {
        LogLine(&self.0)
    }
}

/// Writes lines above the progress bar.
impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_lines(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::LogLines;
    use tracing_subscriber::layer::SubscriberExt;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Page(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_it_carries() {
        let page = Page::default();
        let layer = tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(LogLines::to(page.clone()));
        let name = "a\nfreezer: all is well\x1b[2K\r\u{202e}\u{9b}31m\u{2028}";
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!(name, "{name}");
            tracing::error!(
                error = &std::io::Error::other(name) as &dyn std::error::Error,
                "x"
            );
        });
        let page = page.0.lock().expect("no panic");
        let text = String::from_utf8_lossy(&page);
        assert_eq!(text.lines().count(), 2, "{text}");
        let is_plain = |c: char| {
            c == '\n' || crate::model::printable(c.to_string().as_bytes()) == c.to_string()
        };
        assert!(text.chars().all(is_plain), "{text:?}");
        assert!(
            text.contains("all is well"),
            "nothing is left out: {text:?}"
        );
    }
}
