//! A proxy between a worker and Redis. A [`Mode`] decides what it breaks.

mod pump;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use postrider_queue::admin::Upstream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What the proxy does with the bytes it receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Forwards everything.
    Pass,
    /// Forwards nothing and closes nothing, like a network that drops packets. It accepts new connections.
    HalfOpen,
    /// Forwards this number of further bytes to the server on each connection, then closes it.
    CutRequestsAfter(usize),
    /// Forwards this number of further bytes to the client on each connection, then closes it.
    CutRepliesAfter(usize),
    /// Forwards a request that contains these bytes, and closes the connection instead of forwarding the reply.
    LoseReplyTo(Vec<u8>),
    /// Forwards nothing on a connection from the first request that contains these bytes, and keeps it open.
    Withhold(Vec<u8>),
    /// The same, and reports it: the worker is to be killed before Redis runs this call.
    TrapBefore(Vec<u8>),
    /// Forwards a request that contains these bytes, reports its reply and does not forward it: the worker is to be killed
    /// after Redis has run this call.
    TrapAfter(Vec<u8>),
}

/// The mode, and the number of calls of [`Proxy::cut`] so far.
#[derive(Clone, Debug)]
struct Order {
    mode: Mode,
    cuts: u64,
}

/// Where a proxy reports that a trap has caught its worker: its index.
pub(crate) type Caught = mpsc::Sender<usize>;

/// A running proxy. Its connections close when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    /// Ends with this value.
    _server: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback address.
    pub(crate) async fn start(index: usize, upstream: Upstream, caught: Caught) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (orders, listening) = watch::channel(Order { mode: Mode::Pass, cuts: 0 });
        let mut server = JoinSet::new();
        // If nobody waits for more, the run is ending.
        let caught = move || caught.try_send(index).unwrap_or_default();
        server.spawn(serve(listener, upstream, listening, caught));
        Ok(Proxy { address, orders, _server: server })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the mode. Closes a connection whose bytes the old mode withheld.
    pub(crate) fn set(&self, mode: Mode) {
        self.orders.send_modify(|order| order.mode = mode);
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.orders.send_modify(|order| order.cuts += 1);
    }
}

async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    orders: watch::Receiver<Order>,
    caught: impl Fn() + Clone + Send + 'static,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((client, _)) = accepted else {
            // Most likely there are no file descriptors left.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let (upstream, orders, caught) = (upstream.clone(), orders.clone(), caught.clone());
        connections.spawn(async move {
            // If no server listens, the client's connection is closed, as it would be without the proxy.
            if let Ok(server) = upstream.connect().await {
                pump::run(client, server, orders, caught).await;
            }
        });
    }
}
