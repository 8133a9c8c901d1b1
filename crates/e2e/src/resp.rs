//! RESP2, the protocol of Redis, as `redis-cli` uses it: it sends an array of bulk strings and receives one
//! reply.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// No command of a test blocks longer than this.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One reply of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Simple(String),
    /// `-ERR …`, with its prefix.
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$5 hello`
    Bulk(Vec<u8>),
    /// A null bulk string or a null array.
    Nil,
    /// `*2 …`
    Array(Vec<Reply>),
}

impl Reply {
    /// The number of an integer reply.
    ///
    /// # Panics
    ///
    /// If the reply has another type.
    pub fn integer(&self) -> i64 {
        match self {
            Reply::Integer(number) => *number,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The bytes of a bulk or simple string.
    ///
    /// # Panics
    ///
    /// If the reply has another type.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Reply::Bulk(bytes) => bytes,
            Reply::Simple(text) => text.as_bytes(),
            other => panic!("expected a string, got {other:?}"),
        }
    }

    /// The text of a bulk or simple string. Bytes that are not UTF-8 are replaced.
    ///
    /// # Panics
    ///
    /// If the reply has another type.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The members of an array; none for nil.
    ///
    /// # Panics
    ///
    /// If the reply has another type.
    pub fn array(&self) -> &[Reply] {
        match self {
            Reply::Array(replies) => replies,
            Reply::Nil => &[],
            other => panic!("expected an array, got {other:?}"),
        }
    }
}

/// A connection that sends one command at a time.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a server on the loopback address.
    ///
    /// # Errors
    ///
    /// If nothing listens there.
    pub fn open(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its reply. An error reply is also a [`Reply`].
    ///
    /// # Errors
    ///
    /// If the connection breaks or nothing arrives for ten seconds.
    pub fn command(&mut self, arguments: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        self.stream.get_mut().write_all(&encode(arguments))?;
        self.reply()
    }

    /// Sends commands at once and reads their replies, so that little time passes between them on the server.
    ///
    /// # Errors
    ///
    /// As [`Connection::command`].
    pub fn pipeline(&mut self, commands: &[&[Vec<u8>]]) -> io::Result<Vec<Reply>> {
        let bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        self.stream.get_mut().write_all(&bytes)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let Some((kind, rest)) = line.split_at_checked(1) else { return Err(invalid("an empty line")) };
        match kind {
            "+" => Ok(Reply::Simple(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => number(rest).map(Reply::Integer),
            "$" => match usize::try_from(number(rest)?) {
                Ok(length) => self.bulk(length).map(Reply::Bulk),
                Err(_) => Ok(Reply::Nil),
            },
            "*" => match usize::try_from(number(rest)?) {
                Ok(length) => (0..length).map(|_| self.reply()).collect::<Result<_, _>>().map(Reply::Array),
                Err(_) => Ok(Reply::Nil),
            },
            _ => Err(invalid(&line)),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }

    fn bulk(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// The bytes of a command on the wire.
pub fn encode(arguments: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| invalid(text))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not RESP2: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let bytes = encode(&["XADD", "jobs", "*", "body", "a\r\nb"]);
        assert_eq!(bytes, b"*5\r\n$4\r\nXADD\r\n$4\r\njobs\r\n$1\r\n*\r\n$4\r\nbody\r\n$4\r\na\r\nb\r\n",);
    }
}
