//! Connections: accepting them, TLS, and dropping those that are too slow.

use super::request::Peer;
use crate::net::{ServerTlsError, server};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// How long a client may take for the handshake of TLS at most.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How long requests under way have to end when the server does.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// How many connections there can be at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 20_000;

/// The files of a certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What begins TLS on a connection.
pub(super) fn tls(files: &TlsFiles) -> Result<TlsAcceptor, ServerTlsError> {
    server(&files.certificate, &files.key).map(TlsAcceptor::from)
}

/// How each connection is dealt with.
#[derive(Clone)]
struct ServeManner {
    tls: Option<TlsAcceptor>,
    router: Router,
    /// How long a client may take for the head of a request, be silent between two, or take nothing
    /// of an answer.
    patience: Duration,
}

/// Answers what comes in until `ended` is, and then what is under way.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    patience: Duration,
    ended: impl Future<Output = ()>,
) {
    let manner = ServeManner {
        tls,
        router,
        patience,
    };
    let graceful = Arc::new(GracefulShutdown::new());
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut ended = std::pin::pin!(ended);
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        let accepted = std::future::poll_fn(|context| match ended.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(context).map(Some),
        });
        let (stream, peer) = match accepted.await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                // Too many open files, and the like: others must end first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (manner, watcher) = (manner.clone(), graceful.watcher());
        tokio::spawn(async move {
            attend(stream, peer, manner, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    if let Ok(graceful) = Arc::try_unwrap(graceful)
        && tokio::time::timeout(LAST_PATIENCE, graceful.shutdown())
            .await
            .is_err()
    {
        tracing::warn!("requests were cut off: they did not end in time");
    }
}

async fn attend(stream: TcpStream, peer: SocketAddr, manner: ServeManner, watcher: Watcher) {
    // Answers are written whole; waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let ServeManner {
        tls,
        router,
        patience,
    } = manner;
    let ended = match tls {
        None => converse(Patient::new(stream, patience), peer, router, watcher).await,
        Some(tls) => {
            match tokio::time::timeout(patience.min(HANDSHAKE_PATIENCE), tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    converse(Patient::new(stream, patience), peer, router, watcher).await
                }
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS"),
                Err(_) => return tracing::debug!(%peer, "a client is too slow for TLS"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection was cut off");
    }
}

async fn converse<S>(
    stream: Patient<S>,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        let mut router = router.clone();
        async move { Service::call(&mut router, request.map(Body::new)).await }
    });
    let patience = stream.patience;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection).await
}

/// A connection whose other end has to take what is written within a time.
struct Patient<S> {
    stream: S,
    patience: Duration,
    /// When patience ends, while a write waits.
    until: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            until: Box::pin(tokio::time::sleep(patience)),
            waits: false,
        }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.waits = false;
            return wrote;
        }
        if !self.waits {
            self.waits = true;
            let until = Instant::now() + self.patience;
            self.until.as_mut().reset(until);
        }
        self.until
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut)
    }
}
