//! A destination that answers a request on demand.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::world::JOBS;

/// What it has received.
#[derive(Debug, Default)]
struct Book {
    arrived: [usize; JOBS],
    /// The connections whose last request has no answer, by the job.
    open: HashMap<usize, TcpStream>,
}

/// It listens until it is dropped.
pub(super) struct Destination {
    port: u16,
    book: Arc<Mutex<Book>>,
    is_stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().expect("no one panics with this lock")
}

impl Destination {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        let (book, is_stopped) = (Arc::<Mutex<Book>>::default(), Arc::new(AtomicBool::new(false)));
        let (own, stop) = (Arc::clone(&book), Arc::clone(&is_stopped));
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let book = Arc::clone(&own);
                // It ends with its connection, which ends with the worker.
                std::thread::spawn(move || drop(converse(stream, &book)));
            }
        };
        Self { port, book, is_stopped, listener: Some(std::thread::spawn(accept)) }
    }

    /// The URL of a job.
    pub(super) fn url(&self, job: usize) -> String {
        format!("http://127.0.0.1:{}/job{job}", self.port)
    }

    /// Answers the request of a job.
    pub(super) fn answer(&self, job: usize, status: u16) {
        let stream = lock(&self.book).open.remove(&job);
        let mut stream = stream.expect("the model has a request, too");
        let reply = format!("HTTP/1.1 {status} An answer\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).expect("the worker runs");
    }

    /// The worker has ended.
    pub(super) fn close_all(&self) {
        lock(&self.book).open.clear();
    }

    /// How many requests of each job have arrived, and whether the last one has no answer.
    pub(super) fn seen(&self) -> ([usize; JOBS], [bool; JOBS]) {
        let book = lock(&self.book);
        (book.arrived, std::array::from_fn(|job| book.open.contains_key(&job)))
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        for stream in lock(&self.book).open.values() {
            drop(stream.shutdown(Shutdown::Both));
        }
        self.listener.take().map(JoinHandle::join);
    }
}

/// Receives requests without a body.
fn converse(mut stream: TcpStream, book: &Mutex<Book>) -> io::Result<()> {
    let mut head = vec![];
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..length]);
        if head.ends_with(b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&head).into_owned();
            head.clear();
            let job = (0..JOBS).find(|job| text.contains(&format!("/job{job} ")));
            let Some(job) = job else { return Ok(()) };
            let mut book = lock(book);
            book.arrived[job] += 1;
            book.open.insert(job, stream.try_clone()?);
        }
    }
}
