//! A TCP proxy between a worker and its Redis or a destination. A [`Mode`] decides what it breaks.

mod pump;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::background::Background;
use crate::wait;

/// What the proxy does with the bytes it receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards everything.
    Pass,
    /// Forwards everything, but replies only after this time.
    Slow(Duration),
    /// Forwards nothing and closes nothing, like a network that drops packets. It accepts new connections.
    HalfOpen,
    /// Forwards this number of further bytes to the server on each connection, then closes it.
    CutRequestsAfter(usize),
    /// Forwards this number of further bytes to the client on each connection, then closes it.
    CutRepliesAfter(usize),
    /// Forwards a request that contains these bytes, and closes the connection instead of forwarding the
    /// reply.
    LoseReplyTo(Vec<u8>),
    /// Forwards nothing on a connection from the first request that contains these bytes, and keeps it open.
    Withhold(Vec<u8>),
}

/// A running proxy. Its connections close when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    struck: Arc<AtomicU64>,
    _server: Background,
}

/// The mode, the number of calls of [`Proxy::cut`] so far, and the port of the server for new connections.
#[derive(Clone, Debug)]
struct Order {
    mode: Mode,
    cuts: u64,
    server: u16,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback address, before a server on another.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let (orders, listening) = watch::channel(Order { mode: Mode::Pass, cuts: 0, server });
        let struck = Arc::new(AtomicU64::new(0));
        let server = Background::start("proxy", serve(listener, listening, Arc::clone(&struck)));
        Proxy { address, orders, struck, _server: server }
    }

    /// Starts one that closes each connection before it forwards a byte, like a server that is down, until
    /// the mode changes to [`Mode::Pass`].
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

    /// Changes the mode. Closes a connection whose bytes the old mode withheld.
    pub fn set(&self, mode: Mode) {
        self.orders.send_modify(|order| order.mode = mode);
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.orders.send_modify(|order| order.cuts += 1);
    }

    /// Directs new connections to the server on this port, as a name does whose address has changed.
    pub fn redirect(&self, server: u16) {
        self.orders.send_modify(|order| order.server = server);
    }

    /// How often the mode has taken effect: closed a connection or held a request back.
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::SeqCst)
    }

    /// Waits until the mode has taken effect more than `before` times.
    ///
    /// # Panics
    ///
    /// If it does not within `deadline`.
    pub fn wait_for_strike(&self, before: u64, deadline: Duration) {
        wait::eventually("the proxy strikes", deadline, || (self.struck() > before).then_some(()));
    }
}

async fn serve(listener: TcpListener, orders: watch::Receiver<Order>, struck: Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes the listener");
    while let Ok((client, _)) = listener.accept().await {
        let (orders, struck) = (orders.clone(), Arc::clone(&struck));
        let server = orders.borrow().server;
        tokio::spawn(async move {
            // If no server listens, the client's connection is closed, as it would be without the proxy.
            if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await {
                pump::run(client, server, orders, &struck).await;
            }
        });
    }
}
