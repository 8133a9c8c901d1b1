//! One connection through the proxy.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// The bytes forwarded since the mode was set.
#[derive(Default)]
struct Passed {
    requests: usize,
    replies: usize,
    /// The request whose reply will be lost has been forwarded.
    awaited: bool,
    /// Nothing is forwarded until the mode changes, which closes the connection.
    silent: bool,
}

/// Forwards bytes until one side or the mode closes the connection. Dropping both sides closes it.
pub(super) async fn run(
    mut client: TcpStream,
    mut server: TcpStream,
    mut orders: watch::Receiver<Order>,
    struck: &AtomicU64,
) {
    let cuts = orders.borrow_and_update().cuts;
    let mut passed = Passed::default();
    let (mut request, mut reply) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    // Small messages are sent at once, as the two sides send them.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    loop {
        let mode = orders.borrow().mode.clone();
        passed.silent |= mode == Mode::HalfOpen;
        let step = tokio::select! {
            changed = orders.changed() => {
                let order = orders.borrow_and_update();
                let keep = changed.is_ok() && order.cuts == cuts && !(passed.silent && order.mode != mode);
                passed = Passed { silent: passed.silent, ..Passed::default() };
                if keep { Ok(()) } else { Err(Closed) }
            }
            count = client.read(&mut request), if !passed.silent => match count {
                Ok(count @ 1..) => up(&request[..count], &mut server, &mode, &mut passed, struck).await,
                _ => Err(Closed),
            },
            count = server.read(&mut reply), if !passed.silent => match count {
                Ok(count @ 1..) => down(&reply[..count], &mut client, &mode, &mut passed, struck).await,
                _ => Err(Closed),
            },
        };
        if step.is_err() {
            return;
        }
    }
}

async fn up(
    bytes: &[u8],
    server: &mut TcpStream,
    mode: &Mode,
    passed: &mut Passed,
    struck: &AtomicU64,
) -> Result<(), Closed> {
    let count = match mode {
        Mode::CutRequestsAfter(most) => bytes.len().min(most.saturating_sub(passed.requests)),
        Mode::Withhold(what) if contains(bytes, what) => {
            passed.silent = true;
            struck.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        _ => bytes.len(),
    };
    passed.awaited |= matches!(mode, Mode::LoseReplyTo(what) if contains(bytes, what));
    passed.requests += count;
    server.write_all(&bytes[..count]).await?;
    cut_short(count < bytes.len(), struck)
}

async fn down(
    bytes: &[u8],
    client: &mut TcpStream,
    mode: &Mode,
    passed: &mut Passed,
    struck: &AtomicU64,
) -> Result<(), Closed> {
    let count = match mode {
        Mode::CutRepliesAfter(most) => bytes.len().min(most.saturating_sub(passed.replies)),
        Mode::LoseReplyTo(_) if passed.awaited => 0,
        _ => bytes.len(),
    };
    passed.replies += count;
    if let Mode::Slow(pause) = mode {
        tokio::time::sleep(*pause).await;
    }
    client.write_all(&bytes[..count]).await?;
    cut_short(count < bytes.len(), struck)
}

fn cut_short(cut: bool, struck: &AtomicU64) -> Result<(), Closed> {
    if cut {
        struck.fetch_add(1, Ordering::SeqCst);
        return Err(Closed);
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
