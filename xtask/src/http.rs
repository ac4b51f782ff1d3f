//! HTTP/1.1 over one socket: as little as the drivers need, so that they see each byte and each broken connection.
//! Always: an answer is whole or an error. Does not follow, retry or decompress anything.

use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// No answer for so long is an error: no server should take that long to answer anything.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const HEAD_BYTES_MAX: usize = 64 << 10;

pub struct Connection {
    socket: TcpStream,
    host: String,
    /// Read and not yet used.
    buffer: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// Null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Connection {
    pub fn open(address: &str) -> Result<Connection> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Connection { socket, host: address.to_owned(), buffer: Vec::new() })
    }

    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask("GET", path, &[], b"")
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        self.socket.write_all(&request(&self.host, method, path, headers, body))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("a head without end"));
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        self.buffer.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| invalid("no status"))?;
        let (mut length, mut chunked) = (0, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name {
                "content-length" => length = value.trim().parse().map_err(|_| invalid("content-length"))?,
                "transfer-encoding" => chunked = value.trim() == "chunked",
                _ => {}
            }
        }
        let body = if chunked { self.chunks()? } else { self.take(length)? };
        Ok(Answer { status, body })
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(at) => break at,
                    None => self.more()?,
                }
            };
            let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| invalid("a chunk's length"))?;
            self.buffer.drain(..end + 2);
            let chunk = self.take(length + 2)?;
            body.extend_from_slice(&chunk[..length]);
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn more(&mut self) -> Result<()> {
        let mut piece = [0; 64 << 10];
        let count = loop {
            match self.socket.read(&mut piece) {
                // A signal: somebody stopped us for a while.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(())
    }
}

/// The bytes of a request.
pub fn request(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("no HTTP answer: {what}"))
}
