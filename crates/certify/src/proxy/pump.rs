//! One connection through the proxy.

use std::io;

use postrider_queue::admin::UpstreamStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{Mode, Order};

/// Why a connection is closed.
struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Closed {
        Closed
    }
}

/// The two sides, and the bytes forwarded since the mode was set.
struct Pump<C> {
    client: TcpStream,
    server: Box<dyn UpstreamStream>,
    caught: C,
    requests: usize,
    replies: usize,
    /// The request whose reply will be lost has been forwarded.
    awaited: bool,
    /// Nothing is forwarded until the mode changes, which closes the connection.
    silent: bool,
}

/// Forwards bytes until one side or the mode closes the connection. Dropping both sides closes it.
pub(super) async fn run(
    client: TcpStream,
    server: Box<dyn UpstreamStream>,
    mut orders: watch::Receiver<Order>,
    caught: impl Fn(),
) {
    let cuts = orders.borrow_and_update().cuts;
    // Small messages are sent at once, as the two sides send them.
    let _ = client.set_nodelay(true);
    let mut pump = Pump { client, server, caught, requests: 0, replies: 0, awaited: false, silent: false };
    let (mut request, mut reply) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let mode = orders.borrow().mode.clone();
        pump.silent |= mode == Mode::HalfOpen;
        let step = tokio::select! {
            changed = orders.changed() => {
                let order = orders.borrow_and_update();
                let keep = changed.is_ok() && order.cuts == cuts && !(pump.silent && order.mode != mode);
                (pump.requests, pump.replies, pump.awaited) = (0, 0, false);
                if keep { Ok(()) } else { Err(Closed) }
            }
            count = pump.client.read(&mut request), if !pump.silent => match count {
                Ok(count @ 1..) => pump.up(&request[..count], &mode).await,
                _ => Err(Closed),
            },
            count = pump.server.read(&mut reply), if !pump.silent => match count {
                Ok(count @ 1..) => pump.down(&reply[..count], &mode).await,
                _ => Err(Closed),
            },
        };
        if step.is_err() {
            return;
        }
    }
}

impl<C: Fn()> Pump<C> {
    async fn up(&mut self, bytes: &[u8], mode: &Mode) -> Result<(), Closed> {
        let count = match mode {
            Mode::CutRequestsAfter(most) => bytes.len().min(most.saturating_sub(self.requests)),
            Mode::Withhold(what) | Mode::TrapBefore(what) if contains(bytes, what) => {
                self.silent = true;
                if matches!(mode, Mode::TrapBefore(_)) {
                    (self.caught)();
                }
                return Ok(());
            }
            Mode::LoseReplyTo(what) | Mode::TrapAfter(what) => {
                self.awaited |= contains(bytes, what);
                bytes.len()
            }
            _ => bytes.len(),
        };
        self.requests += count;
        self.server.write_all(&bytes[..count]).await?;
        self.server.flush().await?;
        if count < bytes.len() { Err(Closed) } else { Ok(()) }
    }

    async fn down(&mut self, bytes: &[u8], mode: &Mode) -> Result<(), Closed> {
        let count = match mode {
            Mode::CutRepliesAfter(most) => bytes.len().min(most.saturating_sub(self.replies)),
            Mode::LoseReplyTo(_) if self.awaited => 0,
            Mode::TrapAfter(_) if self.awaited => {
                self.silent = true;
                (self.caught)();
                return Ok(());
            }
            _ => bytes.len(),
        };
        self.replies += count;
        self.client.write_all(&bytes[..count]).await?;
        if count < bytes.len() { Err(Closed) } else { Ok(()) }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
