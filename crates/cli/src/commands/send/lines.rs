//! The lines of `send --from`, one in memory at a time.

use std::io::{self, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;

use memchr::memchr;
use postrider_queue::JsonJob;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader};

use super::super::Usage;
use super::super::limits::JobLimits;

/// Bytes of one read.
const BUFFER: usize = 256 * 1024;

/// A file, or standard input.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<File>,
    /// Its name in messages.
    pub(super) name: String,
    /// The start, and the number of bytes from there; `None` if it can be read only once.
    pub(super) extent: Option<(u64, u64)>,
    /// Bytes that have been read.
    pub(super) position: u64,
    /// Lines that have been read.
    pub(super) number: u64,
    skip: u64,
    pub(super) limits: JobLimits,
    /// What has been read of the next line, up to [`JsonJob::text_bytes_max`] bytes.
    line: Vec<u8>,
    /// The length of that, bytes.
    length: usize,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// Nothing of a line that is too long.
    text: Vec<u8>,
    /// Bytes.
    length: usize,
}

/// A line that is not empty.
#[derive(Debug)]
pub(super) struct Numbered {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) job: Result<JsonJob, Usage>,
}

impl Lines {
    /// Opens a file, or standard input as `-`, and skips the first `skip` lines.
    pub(super) async fn open(path: &Path, skip: u64, limits: JobLimits) -> Result<Self, Usage> {
        let (name, opened) = match path.to_str() {
            Some("-") => ("standard input".to_owned(), standard_input()),
            _ => (path.display().to_string(), File::open(path).await),
        };
        let cannot = |error: io::Error| Usage(format!("cannot read {name}: {error}"));
        let mut file = opened.map_err(cannot)?;
        let metadata = file.metadata().await.map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Usage(format!("cannot read {name}: it is a folder")));
        }
        let extent = if metadata.is_file() {
            let start = file.stream_position().await.map_err(cannot)?;
            Some((start, metadata.len().saturating_sub(start)))
        } else {
            None
        };
        let reader = BufReader::with_capacity(BUFFER, file);
        Ok(Self { reader, name, extent, position: 0, number: 0, skip, limits, line: Vec::new(), length: 0 })
    }

    /// The next line that is not empty; `None` at the end. Cancel safe: nothing is lost if it is dropped.
    pub(super) async fn next(&mut self) -> io::Result<Option<Numbered>> {
        while let Some(line) = self.line().await? {
            if let Some(job) = line.job(self.limits) {
                return Ok(Some(Numbered { number: line.number, job }));
            }
        }
        Ok(None)
    }

    /// The next lines: up to that number, and about that many bytes; none at the end.
    pub(super) async fn some(&mut self, lines_max: usize, bytes_max: usize) -> io::Result<Vec<Line>> {
        let (mut lines, mut bytes) = (vec![], 0);
        while lines.len() < lines_max && bytes < bytes_max {
            let Some(line) = self.line().await? else { break };
            bytes += line.length;
            lines.push(line);
        }
        Ok(lines)
    }

    async fn line(&mut self) -> io::Result<Option<Line>> {
        if !self.read().await? {
            return Ok(None);
        }
        self.number += 1;
        let (mut text, length) = (std::mem::take(&mut self.line), std::mem::take(&mut self.length));
        if length > JsonJob::text_bytes_max(self.limits.max_job_bytes) {
            text = Vec::new();
        }
        Ok(Some(Line { number: self.number, text, length }))
    }

    /// Starts again; only for input with an extent.
    pub(super) async fn rewind(&mut self) -> io::Result<()> {
        let (start, _) = self.extent.unwrap_or_default();
        self.reader.seek(SeekFrom::Start(start)).await?;
        (self.position, self.number) = (0, 0);
        Ok(())
    }

    /// Reads to the end of a line; false if there are no more lines.
    async fn read(&mut self) -> io::Result<bool> {
        loop {
            let read = self.reader.fill_buf().await?;
            let end = memchr(b'\n', read);
            let count = end.map_or(read.len(), |end| end + 1);
            self.length += count;
            self.position += count as u64;
            if self.length <= JsonJob::text_bytes_max(self.limits.max_job_bytes) && self.number >= self.skip {
                self.line.extend_from_slice(&read[..count]);
            }
            self.reader.consume(count);
            if end.is_some() || count == 0 {
                return Ok(self.length > 0);
            }
        }
    }
}

impl Line {
    /// Its job; `None` if it is empty.
    pub(super) fn job(&self, limits: JobLimits) -> Option<Result<JsonJob, Usage>> {
        if self.length > JsonJob::text_bytes_max(limits.max_job_bytes) {
            return Some(Err(Usage(format!("{} bytes are too many for a job", self.length))));
        }
        let text = match self.number {
            // Some editors write a byte order mark.
            1 => self.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.text),
            _ => &self.text,
        };
        let parse = || JsonJob::parse(text, limits.max_job_bytes);
        (!text.trim_ascii().is_empty()).then(|| parse().map_err(|error| Usage(error.to_string())))
    }
}

/// Not `std::io::stdin`: its buffer cannot be rewound, and it blocks the thread.
fn standard_input() -> io::Result<File> {
    let own = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(File::from_std(own.into()))
}

#[cfg(test)]
impl Line {
    pub(super) fn new(number: u64, text: &[u8]) -> Line {
        Line { number, text: text.to_vec(), length: text.len() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use postrider_queue::job::ENTRY_BYTES_MAX;

    use super::*;

    async fn lines(text: &[u8], skip: u64) -> Vec<(u64, bool)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut lines = Lines::open(file.path(), skip, JobLimits::default()).await.unwrap();
        let first = rest(&mut lines).await;
        assert_eq!(lines.position, text.len() as u64);
        lines.rewind().await.unwrap();
        assert_eq!(rest(&mut lines).await, first, "a second reading brings the same");
        first
    }

    async fn rest(lines: &mut Lines) -> Vec<(u64, bool)> {
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push((line.number, line.job.is_ok()));
        }
        all
    }

    const JOB: &str = r#"{"url":"http://h/x"}"#;

    #[tokio::test]
    async fn lines_are_counted_and_empty_ones_skipped() {
        assert_eq!(lines(b"", 0).await, []);
        assert_eq!(lines(b"\n \r\n\t\n", 0).await, []);
        let text = format!("\u{feff}{JOB}\r\n\n{{}}\n{JOB}");
        assert_eq!(lines(text.as_bytes(), 0).await, [(1, true), (3, false), (4, true)]);
        assert_eq!(lines(text.as_bytes(), 2).await, [(3, false), (4, true)]);
        assert_eq!(lines(text.as_bytes(), 9).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_not_kept_and_the_next_one_is_read() {
        let long = format!("{{\"url\":\"{}\"}}\n", "x".repeat(JsonJob::text_bytes_max(ENTRY_BYTES_MAX)));
        let text = [long.as_bytes(), JOB.as_bytes()].concat();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&text).unwrap();
        let mut lines = Lines::open(file.path(), 0, JobLimits::default()).await.unwrap();
        let first = lines.some(1, 1).await.unwrap().remove(0);
        assert_eq!((first.text.capacity(), first.length), (0, long.len()));
        let error = first.job(JobLimits::default()).unwrap().unwrap_err();
        assert!(error.to_string().contains("too many"));
        assert!(lines.next().await.unwrap().unwrap().job.is_ok());
        assert!(lines.line.capacity() <= 2 * JsonJob::text_bytes_max(ENTRY_BYTES_MAX));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named() {
        let error = Lines::open(Path::new("/nowhere/jobs.jsonl"), 0, JobLimits::default()).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nowhere/jobs.jsonl: "), "{error}");
        assert!(
            Lines::open(Path::new("/"), 0, JobLimits::default())
                .await
                .unwrap_err()
                .to_string()
                .ends_with("it is a folder")
        );
    }
}
