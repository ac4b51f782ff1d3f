//! Reading a request's body: whole, decompressed, within its limits and its time.
//! Always: room in memory is taken before bytes are kept, and the limit holds before and after decompression.

use std::{io::Read, time::Duration};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use crate::Gate;

/// Room taken for a body of unknown length, and by which it grows.
const ROOM_STEP_BYTES: usize = 256 * 1024;
/// What is read of a refused body, and for how long.
const DRAIN_BYTES_MAX: usize = 128 * 1024 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
const DECOMPRESS_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of the decompressor's own: a zstd window beyond this is refused (RFC 8878 asks decoders for 8 MiB).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

pub(crate) struct Held {
    pub bytes: Bytes,
    pub permit: OwnedSemaphorePermit,
}

pub(crate) async fn read(
    gate: &Gate,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Held, Problem> {
    let encoding = encoding(headers)?;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        drain(body.into_data_stream());
        return Err(too_large(bytes_max));
    }
    let reading = read_raw(gate, body, announced, bytes_max);
    let held = match tokio::time::timeout(time_max, reading).await {
        Ok(held) => held?,
        Err(_) => {
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_time",
                format!("the body did not come within {} s", time_max.as_secs()),
                "send smaller bodies, or raise limits.request_time",
            ));
        }
    };
    match encoding {
        Encoding::Identity => Ok(held),
        encoding => {
            let of = gate.clone();
            gate.heavy(move || decompress(&of, held, encoding, bytes_max)).await.map_err(|_| {
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the body could not be decompressed",
                    "this is a fault of the server; its log says more",
                )
            })?
        }
    }
}

async fn read_raw(
    gate: &Gate,
    body: Body,
    announced: Option<u64>,
    bytes_max: usize,
) -> Result<Held, Problem> {
    let expected = announced.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(bytes_max));
    let mut room = expected.max(if announced.is_some() { 1 } else { ROOM_STEP_BYTES });
    let mut permit = gate.room(room).await?;
    let mut chunks = body.into_data_stream();
    // What was announced has its permit; to grow step by step would copy it twice.
    let mut whole = BytesMut::with_capacity(expected.min(bytes_max));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "unreadable_body",
                format!("the body broke off after {} bytes: {error}", whole.len()),
                "nothing was stored; check Content-Length and send the request again",
            )
        })?;
        let bytes = whole.len() + chunk.len();
        if bytes > bytes_max {
            drain(chunks);
            return Err(too_large(bytes_max));
        }
        if bytes > room {
            let more = (bytes - room).max(ROOM_STEP_BYTES);
            gate.more_room(&mut permit, more)?;
            room += more;
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Held { bytes: whole.freeze(), permit })
}

/// Reads on for a while and keeps nothing, beside the answer: a client that is still sending would see its
/// connection break instead of why its body was refused.
fn drain(mut chunks: BodyDataStream) {
    tokio::spawn(async move {
        let reading = async {
            let mut bytes = 0;
            while let Some(Ok(chunk)) = chunks.next().await {
                bytes += chunk.len();
                if bytes > DRAIN_BYTES_MAX {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
    });
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut found = Encoding::Identity;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let name = value.to_str().unwrap_or("").trim().to_ascii_lowercase();
        let next = match name.as_str() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "zstd" => Encoding::Zstd,
            _ => return Err(unknown_encoding()),
        };
        if found != Encoding::Identity {
            return Err(unknown_encoding());
        }
        found = next;
    }
    Ok(found)
}

fn unknown_encoding() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_encoding",
        "the body's Content-Encoding is not understood",
        "use gzip, zstd or none, one at a time",
    )
}

pub(crate) fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body is larger than {bytes_max} bytes, before or after decompression"),
        "send it in parts, or raise limits.body",
    )
}

fn decompress(gate: &Gate, held: Held, encoding: Encoding, bytes_max: usize) -> Result<Held, Problem> {
    let Held { bytes: packed, mut permit } = held;
    let unreadable = |error: std::io::Error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "unreadable_body",
            format!("the body cannot be decompressed: {error}"),
            "nothing was stored; check that Content-Encoding names how the body was compressed",
        )
    };
    let mut reader: Box<dyn Read + '_> = match encoding {
        Encoding::Identity => Box::new(&packed[..]),
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&packed[..])),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(&packed[..]).map_err(unreadable)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(unreadable)?;
            Box::new(decoder)
        }
    };
    let mut whole = Vec::new();
    let mut room = 0;
    let mut chunk = vec![0; DECOMPRESS_CHUNK_BYTES];
    loop {
        let read = reader.read(&mut chunk).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        if whole.len() + read > bytes_max {
            return Err(too_large(bytes_max));
        }
        if whole.len() + read > room {
            gate.more_room(&mut permit, ROOM_STEP_BYTES)?;
            room += ROOM_STEP_BYTES;
        }
        whole.extend_from_slice(&chunk[..read]);
    }
    drop(reader);
    Ok(Held { bytes: whole.into(), permit })
}
