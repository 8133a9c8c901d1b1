//! A TCP proxy that stands between a worker and its Redis or a destination, and breaks what passes as it is told.

mod pump;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::background::Background;
use crate::wait;

/// What the proxy does with what passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes everything on, and replies only after so long.
    Slow(Duration),
    /// Passes nothing on and closes nothing, as a network does that swallows packets; who connects is accepted.
    HalfOpen,
    /// Passes so many more bytes on to the server on each connection, then closes it.
    CutRequestsAfter(usize),
    /// Passes so many more bytes back to the client on each connection, then closes it.
    CutRepliesAfter(usize),
    /// Passes on a request that contains this, and closes the connection instead of passing the reply back.
    LoseReplyTo(Vec<u8>),
    /// Passes nothing on of a connection from a request on that contains this, and keeps it open.
    HoldBack(Vec<u8>),
}

/// A running proxy; its connections are closed when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    struck: Arc<AtomicU64>,
    _server: Background,
}

/// The mode, and how often everything was cut until now.
#[derive(Clone, Debug)]
struct Order {
    mode: Mode,
    cuts: u64,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback address, before a server on another.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let (orders, listening) = watch::channel(Order { mode: Mode::Pass, cuts: 0 });
        let struck = Arc::new(AtomicU64::new(0));
        let server = Background::start("proxy", serve(listener, server, listening, Arc::clone(&struck)));
        Proxy { address, orders, struck, _server: server }
    }

    /// Starts one that closes each connection before a byte comes through, until it is told otherwise with
    /// [`Mode::Pass`]: a server that is down.
    ///
    /// # Panics
    ///
    /// As [`Proxy::start`].
    pub fn start_down(server: u16) -> Proxy {
        let proxy = Proxy::start(server);
        proxy.set(Mode::CutRequestsAfter(0));
        proxy
    }

    /// The URL of the Redis behind it.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The URL of the HTTP server behind it, without a path.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does this from now on; a connection on which nothing was passed on any more is closed.
    pub fn set(&self, mode: Mode) {
        self.orders.send_modify(|order| order.mode = mode);
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.orders.send_modify(|order| order.cuts += 1);
    }

    /// How often the mode has struck: closed a connection, or held a request back.
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::SeqCst)
    }

    /// Waits until the mode has struck more than `before` times.
    ///
    /// # Panics
    ///
    /// When it does not within `deadline`.
    pub fn wait_for_strike(&self, before: u64, deadline: Duration) {
        wait::eventually("the proxy strikes", deadline, || (self.struck() > before).then_some(()));
    }
}

async fn serve(listener: TcpListener, server: u16, orders: watch::Receiver<Order>, struck: Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes the listener");
    while let Ok((client, _)) = listener.accept().await {
        let (orders, struck) = (orders.clone(), Arc::clone(&struck));
        tokio::spawn(async move {
            // Where no server listens the client finds its connection closed, as it would without the proxy.
            if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await {
                pump::run(client, server, orders, &struck).await;
            }
        });
    }
}
