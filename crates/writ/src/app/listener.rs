//! Listeners: sockets to requests. What a request means is the planes' business.

mod authority;

use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use writ_control::{Certificate, Connection, Plane, Trust, Workload};
use writ_proxy::{Downstream, Gateway, Pool};
use writ_token::ClientCertificate;
use writ_types::{Clock, Limits, Timeouts};

use crate::app::listener::authority::Readable;
use crate::config::Config;
use crate::failure::Failure;
use crate::tls;

/// Most processes that are being told who they are at once.
const MOST_ASKING: usize = 256;
/// Most calls and streams of one connection to the agent socket at once.
const MOST_STREAMS: u32 = 16;
/// Longest wait for the head of a request on a Unix socket, and for the answer to a sign of life.
const UNIX_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// Longest silence on a connection to the agent socket before a sign of life is asked for.
const UNIX_SILENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// The pause after a connection could not be accepted.
const BREATH: std::time::Duration = std::time::Duration::from_millis(20);

/// How far the process has come in stopping. Each stage includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// Not at all.
    Serving,
    /// Nothing new is taken; what is under way finishes.
    Draining,
    /// What is still under way is cut.
    Now,
}

/// Waits until the process has come that far. One whose start failed, and that tells nobody anything any more, has come all
/// the way.
async fn reached(stop: &mut watch::Receiver<Stop>, stage: Stop) {
    drop(stop.wait_for(|now| *now >= stage).await);
}

/// What both TCP listeners share.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) trust: Arc<Trust>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
}

/// Starts the gateway's workers: one thread, one runtime, one listening socket and one upstream pool for each core, so
/// that a call never changes cores.
pub(super) fn gateway(
    config: &Config,
    front: &Front,
    gateway: &Arc<Gateway>,
    roots: &Arc<rustls::ClientConfig>,
    stop: &watch::Receiver<Stop>,
) -> Result<Vec<std::thread::JoinHandle<()>>, Failure> {
    let mut address = config.gateway;
    nobody_listens(address)?;
    let mut workers = Vec::new();
    for number in 0..config.workers {
        let socket = bind(address)?;
        // The first socket turns port 0 into a port; the others share it.
        address = socket
            .local_addr()
            .map_err(|fault| bind_failure(address, &fault))?;
        let (front, gateway, stop) = (front.clone(), Arc::clone(gateway), stop.clone());
        let pool = Pool::new(Arc::clone(roots), front.timeouts, Arc::clone(&front.clock));
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            {
                Ok(runtime) => runtime,
                Err(fault) => {
                    tracing::error!(%fault, "a gateway worker has no runtime");
                    return;
                }
            };
            runtime.block_on(async move {
                let serve = move |front: Front, from: Peer, request| {
                    let _ = &front;
                    let downstream = Downstream {
                        peer: from.address,
                        certificate: from.certificate.map(|found| {
                            Arc::new(ClientCertificate {
                                digest: found.digest,
                                spiffe: found.spiffe,
                            })
                        }),
                    };
                    writ_proxy::handle(Arc::clone(&gateway), Arc::clone(&pool), downstream, request)
                };
                match TcpListener::from_std(socket) {
                    Ok(listener) => accept(listener, front, stop, serve).await,
                    Err(fault) => tracing::error!(%fault, "a gateway worker cannot listen"),
                }
            });
        };
        // Cedar evaluates recursively and wants two megabytes of stack.
        let thread = std::thread::Builder::new()
            .name(format!("gateway-{number}"))
            .stack_size(4 * 1024 * 1024);
        workers.push(
            thread
                .spawn(run)
                .map_err(|fault| Failure::caused("cannot start a gateway worker", &fault))?,
        );
    }
    Ok(workers)
}

/// Starts the control plane's listener.
pub(super) fn control(
    config: &Config,
    front: &Front,
    plane: &Arc<Plane>,
    stop: &watch::Receiver<Stop>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failure> {
    nobody_listens(config.control)?;
    let socket = bind(config.control)?;
    let listener =
        TcpListener::from_std(socket).map_err(|fault| bind_failure(config.control, &fault))?;
    let plane = Arc::clone(plane);
    let serve = move |_front: Front, from: Peer, request| {
        let connection = Connection {
            peer: from.address.ip(),
            certificate: from.certificate,
        };
        writ_control::handle(Arc::clone(&plane), connection, request)
    };
    tasks.spawn(accept(listener, front.clone(), stop.clone(), serve));
    Ok(())
}

/// Starts the agent socket. Any process may ask; whether it is an agent, the kernel says.
pub(super) fn identity(
    path: &Path,
    plane: &Arc<Plane>,
    stop: &watch::Receiver<Stop>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let plane = Arc::clone(plane);
    let stopping = stop.clone();
    let serve = move |stream: UnixStream| {
        let (plane, workload) = (Arc::clone(&plane), Workload::of(&plane, &stream));
        let stop = stopping.clone();
        async move {
            // A user with too many connections gets no more: they are closed, and another user's find room.
            if let Some(workload) = workload {
                let serve = move |request| {
                    writ_control::serve_identity(Arc::clone(&plane), workload.clone(), request)
                };
                workload_api(stream, stop, serve).await;
            }
        }
    };
    unix(path, 0o666, stop, tasks, serve)
}

/// Starts the operator socket, for the user that Writ runs as alone.
pub(super) fn operator(
    path: &Path,
    plane: &Arc<Plane>,
    stop: &watch::Receiver<Stop>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let plane = Arc::clone(plane);
    let serve = move |stream: UnixStream| {
        let (plane, own) = (Arc::clone(&plane), writ_control::is_own_user(&stream));
        async move {
            if own {
                exchange(stream, move |request| {
                    writ_control::serve_operator(Arc::clone(&plane), request)
                })
                .await;
            }
        }
    };
    unix(path, 0o600, stop, tasks, serve)
}

/// Listens on a Unix socket and serves so many connections at once. What is beyond is closed and not left waiting: a process
/// that waits can end, and another can be given its process id.
fn unix<S, F>(
    path: &Path,
    mode: u32,
    stop: &watch::Receiver<Stop>,
    tasks: &mut JoinSet<()>,
    serve: S,
) -> Result<(), Failure>
where
    S: Fn(UnixStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let failed = |fault: std::io::Error| {
        Failure::caused(format!("cannot listen on {}", path.display()), &fault)
    };
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(
                Failure::new(format!("another process listens on {}", path.display()))
                    .hint("stop the other `writ serve` first"),
            );
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    let (mut stop, path) = (stop.clone(), path.to_owned());
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // Somebody who asked is served, and there is room again.
                Some(_) = connections.join_next() => continue,
                () = reached(&mut stop, Stop::Draining) => break,
            };
            match accepted {
                Ok((stream, _)) if connections.len() < MOST_ASKING => {
                    drop(connections.spawn(serve(stream)));
                }
                Ok((_beyond, _)) => {}
                Err(_no_descriptor) => tokio::time::sleep(BREATH).await,
            }
        }
        drop(std::fs::remove_file(path));
    });
    Ok(())
}

/// One connection to the agent socket: one exchange over HTTP/1.1, or the calls and streams of a Workload API client over
/// HTTP/2. Streams have no end of their own; they end with the process, the client or the server.
async fn workload_api<S, F, B>(stream: UnixStream, mut stop: watch::Receiver<Stop>, serve: S)
where
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(UNIX_PATIENCE)
        .keep_alive(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(MOST_STREAMS)
        .max_local_error_reset_streams(Some(64))
        .keep_alive_interval(Some(UNIX_SILENCE))
        .keep_alive_timeout(UNIX_PATIENCE);
    let asked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        let answer = serve(request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let silent = async {
        tokio::time::sleep(UNIX_PATIENCE).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let connection = builder.serve_connection(TokioIo::new(Readable::of(stream)), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection => served,
        () = silent => return,
        () = reached(&mut stop, Stop::Draining) => return,
    };
    if let Err(fault) = served {
        tracing::debug!(%fault, "a connection to the agent socket ended");
    }
}

/// One exchange on a Unix socket.
async fn exchange<S, F>(stream: UnixStream, serve: S)
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answer = serve(request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(UNIX_PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(fault) = served.await {
        tracing::debug!(%fault, "a connection on a Unix socket ended");
    }
}

/// Refuses an address on which somebody listens. Sockets that are shared between workers would be shared with another process
/// of the same user just as silently, and half of the calls would go to the other one.
fn nobody_listens(address: SocketAddr) -> Result<(), Failure> {
    listen(address, Sharing::Alone).map(drop)
}

/// A listening socket that several workers can share.
fn bind(address: SocketAddr) -> Result<std::net::TcpListener, Failure> {
    listen(address, Sharing::Workers)
}

/// Who may listen on an address besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Workers,
}

fn listen(address: SocketAddr, sharing: Sharing) -> Result<std::net::TcpListener, Failure> {
    let make = || -> std::io::Result<std::net::TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(sharing == Sharing::Workers)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    };
    make().map_err(|fault| bind_failure(address, &fault))
}

fn bind_failure(address: SocketAddr, fault: &std::io::Error) -> Failure {
    Failure::caused(format!("cannot listen on {address}"), fault)
        .hint("stop what listens there, or set another address under [listen] in writ.toml")
}

/// Who is at the other end.
struct Peer {
    address: SocketAddr,
    certificate: Option<Certificate>,
}

/// Accepts connections until told to stop, then waits for those that are open, unless told to cut them.
async fn accept<S, F, B>(
    listener: TcpListener,
    front: Front,
    mut stop: watch::Receiver<Stop>,
    serve: S,
) where
    S: Fn(Front, Peer, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let room = Arc::new(Semaphore::new(front.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let next = tokio::select! {
            next = next => next,
            () = reached(&mut stop, Stop::Draining) => break,
        };
        let Some((place, accepted)) = next else {
            break;
        };
        while connections.try_join_next().is_some() {}
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(fault) => {
                // Out of file descriptors, most likely: give those that are open a moment to end.
                tracing::warn!(%fault, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (front, serve, stop) = (front.clone(), serve.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, address, front, stop, serve).await;
            drop(place);
        });
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = finished => {}
        // Dropped with their runtime, calls record what is known of their end.
        () = reached(&mut stop, Stop::Now) => {}
    }
}

async fn connection<S, F, B>(
    stream: TcpStream,
    address: SocketAddr,
    front: Front,
    stop: watch::Receiver<Stop>,
    serve: S,
) where
    S: Fn(Front, Peer, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    drop(stream.set_nodelay(true));
    let Some(config) = front.tls.clone() else {
        let peer = move || Peer {
            address,
            certificate: None,
        };
        return requests(TokioIo::new(stream), front, stop, peer, serve).await;
    };
    let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(front.timeouts.tls_handshake, handshake).await {
        Ok(Ok(stream)) => {
            let certificate =
                tls::peer_certificate(stream.get_ref().1, &front.trust, &*front.clock);
            let peer = move || Peer {
                address,
                certificate: certificate.clone(),
            };
            requests(TokioIo::new(stream), front, stop, peer, serve).await;
        }
        Ok(Err(fault)) => tracing::debug!(%fault, "a TLS handshake failed"),
        Err(_elapsed) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Serves the requests of one connection, HTTP/1.1 or HTTP/2.
async fn requests<I, P, S, F, B>(
    io: I,
    front: Front,
    mut stop: watch::Receiver<Stop>,
    peer: P,
    serve: S,
) where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    P: Fn() -> Peer + Send + 'static,
    S: Fn(Front, Peer, Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(front.timeouts.request_head)
        .max_buf_size(front.limits.head_bytes.max(8192))
        .max_headers(front.limits.head_fields);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(front.limits.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(Some(front.timeouts.keep_alive))
        .keep_alive_timeout(front.timeouts.request_head);
    let shared = front.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        let answer = serve(shared.clone(), peer(), request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    // Until it has asked for something a connection is a stranger's, and there is room for so many.
    let patience = front.timeouts.request_head;
    let silent = async {
        tokio::time::sleep(patience).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = silent => return,
        () = reached(&mut stop, Stop::Draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(fault) = outcome {
        tracing::debug!(fault = %fault, "a connection ended");
    }
}
