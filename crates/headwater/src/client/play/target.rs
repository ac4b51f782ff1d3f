//! Where a replay goes: a stream over HTTP, or a TCP listener.
//! Always: what is buffered is bounded, and sent before a wait, so that no listener sees half a record in a
//! pause.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, tcp::OwnedWriteHalf},
    task::JoinHandle,
};

use super::{Report, reading::Reading};
use crate::{
    cli::ServerArgs,
    client::{
        batch::NdjsonBatches,
        deliver::{Delivery, Options},
        error::ClientError,
        send::Totals,
        server::{self, Server},
    },
};

/// TCP records are written once this many bytes are ready.
const WRITE_BYTES: usize = 32 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the listener may take to finish what it was sent and to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_FOR: Duration = Duration::from_secs(60);
/// A line of acknowledgement is `ok` and a number.
const ACK_LINE_BYTES_MAX: u64 = 64;

pub enum Target<'a> {
    Http(Http<'a>),
    Tcp(Tcp),
}

/// The sums of the receipts of an HTTP replay.
#[derive(Debug)]
pub struct Receipts {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
}

impl Target<'_> {
    pub async fn event(&mut self, event: &[u8], line: u64) -> Result<(), ClientError> {
        match self {
            Target::Http(http) => http.event(event, line).await,
            Target::Tcp(tcp) => tcp.record(event).await,
        }
    }

    pub async fn reading(&mut self, reading: &Reading, line: u64) -> Result<(), ClientError> {
        match self {
            Target::Http(http) => http.event(reading.to_json().as_bytes(), line).await,
            Target::Tcp(tcp) => tcp.record(reading.to_kv().as_bytes()).await,
        }
    }

    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        match self {
            Target::Http(_) => Err(ClientError::usage("raw bytes are sent to a TCP listener", "use --tcp")),
            Target::Tcp(tcp) => tcp.record(bytes).await,
        }
    }

    /// Sends what is buffered.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        match self {
            Target::Http(http) => http.flush().await,
            Target::Tcp(tcp) => tcp.write(true).await,
        }
    }

    /// Sends the rest and learns what became of it.
    pub async fn finish(self, report: &mut Report) -> Result<(), ClientError> {
        match self {
            Target::Http(mut http) => {
                http.flush().await?;
                let Totals { accepted, rejected, duplicates, .. } = http.totals;
                report.receipts = Some(Receipts { accepted, rejected, duplicates });
            }
            Target::Tcp(tcp) => report.acknowledged = tcp.close().await?,
        }
        Ok(())
    }
}

pub struct Http<'a> {
    delivery: Delivery<'a>,
    batches: NdjsonBatches,
    totals: Totals,
}

impl<'a> Http<'a> {
    pub fn new(server: &'a Server, stream: &'a str) -> Http<'a> {
        let options = Options { stream, ack: None, run_id: None, retry_for: RETRY_FOR };
        let delivery = Delivery::new(server, options);
        Http { delivery, batches: NdjsonBatches::default(), totals: Totals::default() }
    }

    async fn event(&mut self, event: &[u8], line: u64) -> Result<(), ClientError> {
        let cut = self.batches.push(event).and_then(|()| self.batches.push(b"\n"));
        cut.map_err(|error| ClientError::usage(format!("line {line}: {error}"), ""))?;
        while let Some(batch) = self.batches.next() {
            self.totals.send(batch, &mut self.delivery).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        match self.batches.take_complete() {
            Some(batch) => self.totals.send(batch, &mut self.delivery).await,
            None => Ok(()),
        }
    }
}

pub struct Tcp {
    address: String,
    socket: OwnedWriteHalf,
    /// Reads what the listener says; ends when it closes, with the last number acknowledged.
    acknowledgements: JoinHandle<Option<u64>>,
    buffer: Vec<u8>,
    packet: Option<usize>,
}

impl Tcp {
    /// `listener`: HOST:PORT, or a name that endpoints.json knows.
    pub async fn connect(
        listener: &str,
        packet: Option<u32>,
        arguments: &ServerArgs,
    ) -> Result<Tcp, ClientError> {
        let address = address_of(listener, arguments)?;
        let no_server = |reason: String| ClientError::NoServer {
            url: address.clone(),
            reason,
            hint: "TCP listeners are declared in headwater.toml and started by `headwater up`".to_owned(),
        };
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&address)).await;
        let socket = connect
            .map_err(|_| no_server("no connection in 5 s".to_owned()))?
            .map_err(|error| no_server(error.to_string()))?;
        // Without this, what stands in a half-full packet would wait for the one before.
        socket.set_nodelay(true).map_err(|error| no_server(error.to_string()))?;
        let (reader, socket) = socket.into_split();
        let acknowledgements = tokio::spawn(async move {
            let mut reader = BufReader::new(reader);
            let mut last = None;
            let mut line = String::new();
            loop {
                line.clear();
                let mut limited = tokio::io::AsyncReadExt::take(&mut reader, ACK_LINE_BYTES_MAX);
                match limited.read_line(&mut line).await {
                    Ok(0) | Err(_) => return last,
                    Ok(_) => {
                        let number = line.trim().strip_prefix("ok ").and_then(|number| number.parse().ok());
                        last = number.or(last);
                    }
                }
            }
        });
        let packet = packet.map(|bytes| bytes as usize);
        Ok(Tcp { address, socket, acknowledgements, buffer: Vec::new(), packet })
    }

    async fn record(&mut self, record: &[u8]) -> Result<(), ClientError> {
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= self.packet.unwrap_or(WRITE_BYTES) { self.write(false).await } else { Ok(()) }
    }

    /// Writes whole packets, and the rest too if `all`.
    async fn write(&mut self, all: bool) -> Result<(), ClientError> {
        let packet = self.packet.unwrap_or_else(|| self.buffer.len().max(1));
        let rest = if all { 0 } else { self.buffer.len() % packet };
        let ready = self.buffer.len() - rest;
        for bytes in self.buffer[..ready].chunks(packet) {
            self.socket.write_all(bytes).await.map_err(|error| broken_off(&self.address, &error))?;
        }
        self.buffer.drain(..ready);
        Ok(())
    }

    /// Says that no more comes, and waits until the listener has taken everything and closes.
    async fn close(mut self) -> Result<Option<u64>, ClientError> {
        self.write(true).await?;
        self.socket.shutdown().await.map_err(|error| broken_off(&self.address, &error))?;
        match tokio::time::timeout(CLOSE_TIMEOUT, self.acknowledgements).await {
            Ok(Ok(last)) => Ok(last),
            Ok(Err(_)) | Err(_) => Err(ClientError::BrokenOff {
                url: self.address,
                reason: format!("the listener did not close within {} s", CLOSE_TIMEOUT.as_secs()),
            }),
        }
    }
}

fn broken_off(address: &str, error: &std::io::Error) -> ClientError {
    ClientError::BrokenOff { url: address.to_owned(), reason: error.to_string() }
}

fn address_of(listener: &str, arguments: &ServerArgs) -> Result<String, ClientError> {
    let is_address = listener.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if is_address {
        return Ok(listener.to_owned());
    }
    let endpoints = server::endpoints(arguments)?.ok_or_else(|| {
        ClientError::usage(
            format!("the address of the listener \"{listener}\" is not known"),
            "name the server's data directory with --data, or give HOST:PORT",
        )
    })?;
    match endpoints.tcp.get(listener) {
        Some(address) if address.parse::<SocketAddr>().is_ok() => Ok(address.clone()),
        Some(address) => {
            Err(ClientError::usage(format!("endpoints.json gives \"{address}\" as an address"), ""))
        }
        None => {
            let known: Vec<&str> = endpoints.tcp.keys().map(String::as_str).collect();
            let hint = match known.as_slice() {
                [] => "it has none; declare one as [tcp.NAME] in headwater.toml".to_owned(),
                known => format!("it has {}", known.join(", ")),
            };
            Err(ClientError::usage(format!("the server has no TCP listener \"{listener}\""), hint))
        }
    }
}
