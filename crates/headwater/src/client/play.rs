//! `headwater play`: a recording, replayed at the pace of its time column.
//! Always: a wait is never longer than `--gap`, whatever the column says; a step back is not waited for.
//! Memory is bounded by a line and a batch.

mod reading;
mod target;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    time::Duration,
};

use hw_event::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{error::ClientError, server::Server};
use crate::{
    cli::{self, Speed},
    exit::Exit,
    output,
};
use reading::{Readings, time_of};
use target::{Http, Target, Tcp};

/// A longer line is no line of a recording.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Shorter waits are put off until they add up: a timer is no finer.
const WAIT_MIN: Duration = Duration::from_millis(1);

pub async fn run(arguments: cli::Play) -> Result<Exit, ClientError> {
    let cannot_read =
        |error| ClientError::usage(format!("cannot read {}: {error}", arguments.file.display()), "");
    let file = File::open(&arguments.file).map_err(cannot_read)?;
    let start = match &arguments.start {
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .map_err(|error| {
                ClientError::usage(
                    format!("--start {text:?} is no RFC 3339 time: {error}"),
                    "for example 2017-06-03T21:07:38Z",
                )
            })?
            .as_microsecond(),
        None => SystemClock.now().0,
    };
    let readings = if arguments.sensors.is_empty() {
        None
    } else {
        let prefix = arguments.id_prefix.clone().unwrap_or_else(|| stem(&arguments.file));
        Some(Readings::new(&arguments.sensors, &prefix, arguments.ts_digits == "10"))
    };
    let recording = Recording { file, readings, start, arguments: &arguments };
    let began = Instant::now();
    let report = match (&arguments.stream, &arguments.tcp) {
        (Some(stream), _) => {
            let server = Server::find(&arguments.server)?;
            recording.play(Target::Http(Http::new(&server, stream.as_str()))).await?
        }
        (None, Some(listener)) => {
            if recording.readings.is_none() && !arguments.raw {
                return Err(ClientError::usage(
                    "a TCP listener takes readings, and no column is named as a sensor",
                    "use --sensors velocity:m/s,altitude:km, or --raw to send the file's bytes as they are",
                ));
            }
            let target = Target::Tcp(Tcp::connect(listener, arguments.packet, &arguments.server).await?);
            if arguments.raw { recording.copy(target).await? } else { recording.play(target).await? }
        }
        // clap has asked for one of the two.
        (None, None) => return Err(ClientError::usage("no target", "use --stream or --tcp")),
    };
    report.print(began.elapsed(), arguments.json)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What was sent, and what became of it as far as the target says.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines read.
    lines: u64,
    /// Events or records sent.
    sent: u64,
    /// Lines or columns that could not be made into a reading, and the first of them.
    skipped: u64,
    first_skipped: Option<String>,
    bytes: u64,
    receipts: Option<target::Receipts>,
    /// Records a TCP listener says are durable.
    acknowledged: Option<u64>,
}

struct Recording<'a> {
    file: File,
    readings: Option<Readings>,
    start: i64,
    arguments: &'a cli::Play,
}

impl Recording<'_> {
    async fn play(mut self, mut target: Target<'_>) -> Result<Report, ClientError> {
        let mut report = Report::default();
        let mut reader = BufReader::new(&self.file);
        let mut pace = Pace::new(self.arguments.speed, self.arguments.gap);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let name = self.arguments.file.display();
            match read {
                Ok(0) => break,
                Ok(count) if count as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") => {
                    let message = format!("{name}: line {} is over 1 MiB", report.lines + 1);
                    return Err(ClientError::usage(message, "is this an NDJSON file?"));
                }
                Ok(_) => {}
                Err(error) => return Err(ClientError::usage(format!("cannot read {name}: {error}"), "")),
            }
            report.lines += 1;
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let row = serde_json::from_slice::<Map<String, Value>>(text);
            let time = row.as_ref().ok().and_then(|row| row.get(&self.arguments.time));
            let time = time.and_then(|time| time_of(time, self.arguments.time_unit));
            if let Some(due) = pace.next(time.map(|time| time.seconds()), Instant::now()) {
                target.flush().await?;
                tokio::time::sleep_until(due).await;
            }
            match (&mut self.readings, row) {
                (None, _) => {
                    report.sent += 1;
                    target.event(text, report.lines).await?;
                }
                (Some(readings), Ok(row)) => {
                    let moment = time.map(|time| time.moment(self.start));
                    for reading in readings.of_row(&row, moment) {
                        match reading {
                            Ok(reading) => {
                                report.sent += 1;
                                target.reading(&reading, report.lines).await?;
                            }
                            Err(why) => report.skip(why),
                        }
                    }
                }
                (Some(_), Err(error)) => report.skip(format!("not a JSON object: {error}")),
            }
        }
        target.finish(&mut report).await?;
        Ok(report)
    }

    /// Sends the bytes of the file as they are.
    async fn copy(self, mut target: Target<'_>) -> Result<Report, ClientError> {
        let mut report = Report::default();
        let mut reader = BufReader::new(&self.file);
        loop {
            let chunk = reader.fill_buf().map_err(|error| {
                ClientError::usage(format!("cannot read {}: {error}", self.arguments.file.display()), "")
            })?;
            if chunk.is_empty() {
                break;
            }
            let count = chunk.len();
            target.bytes(chunk).await?;
            report.bytes += count as u64;
            reader.consume(count);
        }
        target.finish(&mut report).await?;
        Ok(report)
    }
}

impl Report {
    fn skip(&mut self, why: String) {
        self.skipped += 1;
        let line = self.lines;
        self.first_skipped.get_or_insert_with(|| format!("line {line}: {why}"));
    }

    fn print(&self, took: Duration, as_json: bool) -> Result<Exit, ClientError> {
        let mut out = io::stdout().lock();
        if as_json {
            let mut report = json!({
                "lines": self.lines,
                "sent": self.sent,
                "skipped": self.skipped,
                "bytes": self.bytes,
                "seconds": took.as_secs_f64(),
            });
            if let Some(receipts) = &self.receipts {
                report["accepted"] = receipts.accepted.into();
                report["rejected"] = receipts.rejected.into();
                report["duplicates"] = receipts.duplicates.into();
            }
            if let Some(acknowledged) = self.acknowledged {
                report["acknowledged"] = acknowledged.into();
            }
            writeln!(out, "{report}")?;
        } else {
            let what = if self.sent == 0 && self.bytes > 0 {
                format!("{} bytes", output::grouped(self.bytes))
            } else {
                format!("{} events of {} lines", output::grouped(self.sent), output::grouped(self.lines))
            };
            write!(out, "sent {what} in {:.1} s", took.as_secs_f64())?;
            if let Some(receipts) = &self.receipts {
                let [accepted, rejected, duplicates] =
                    [receipts.accepted, receipts.rejected, receipts.duplicates].map(output::grouped);
                write!(out, "; accepted {accepted}, rejected {rejected}, duplicates {duplicates}")?;
            }
            if let Some(acknowledged) = self.acknowledged {
                write!(out, "; {} acknowledged", output::grouped(acknowledged))?;
            }
            writeln!(out)?;
        }
        if let Some(first) = &self.first_skipped {
            eprintln!("skipped {}: {}", output::grouped(self.skipped), output::printable(first));
        }
        let rejected = self.receipts.as_ref().is_some_and(|receipts| receipts.rejected > 0);
        Ok(if rejected || self.skipped > 0 { Exit::False } else { Exit::Fine })
    }
}

/// When the next line is due.
struct Pace {
    speed: Speed,
    gap: Duration,
    last_seconds: Option<f64>,
    due: Option<Instant>,
}

impl Pace {
    fn new(speed: Speed, gap: Duration) -> Pace {
        Pace { speed, gap, last_seconds: None, due: None }
    }

    /// The moment to wait for; `None`: now. The first line, a line without a time and a step back are due
    /// at once; a jump forward is due after the gap.
    fn next(&mut self, seconds: Option<f64>, now: Instant) -> Option<Instant> {
        let Speed::Times(speed) = self.speed else { return None };
        let seconds = seconds?;
        let step = self.last_seconds.map_or(0.0, |last| seconds - last);
        self.last_seconds = Some(seconds);
        let wait =
            Duration::try_from_secs_f64((step / speed).max(0.0)).map_or(self.gap, |wait| wait.min(self.gap));
        let due = self.due.unwrap_or(now) + wait;
        self.due = Some(due);
        (due > now + WAIT_MIN).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits, in milliseconds, of a player that is never late.
    fn waits(speed: f64, times: &[f64]) -> Vec<u128> {
        let mut pace = Pace::new(Speed::Times(speed), Duration::from_secs(5));
        let mut now = Instant::now();
        let wait = |time: &f64| {
            let due = pace.next(Some(*time), now).unwrap_or(now);
            let waited = (due - now).as_millis();
            now = due;
            waited
        };
        times.iter().map(wait).collect()
    }

    #[test]
    fn the_edges_of_real_recordings_do_not_stall_a_replay() {
        // iridium-next-3: time steps back to −0.966.
        assert_eq!(waits(1.0, &[0.0, -0.966, 0.034]), [0, 0, 1000]);
        // formosat-5 begins at 575 s, ses-11's second stage at 1,604 s: the first line is due at once.
        assert_eq!(waits(1.0, &[575.541, 576.041]), [0, 500]);
        // A jump within a recording takes the gap and no longer.
        assert_eq!(waits(1.0, &[0.0, 1604.603, 1605.103]), [0, 5000, 500]);
        assert_eq!(waits(100.0, &[0.0, 1604.603]), [0, 5000]);
        assert_eq!(waits(10.0, &[0.0, 1.0, f64::INFINITY, 2.0]), [0, 100, 5000, 0]);
    }

    #[test]
    fn waits_too_short_for_a_timer_add_up() {
        let mut pace = Pace::new(Speed::Times(1.0), Duration::from_secs(5));
        let now = Instant::now();
        let dues: Vec<_> =
            (0..5).map(|step| pace.next(Some(f64::from(step) * 0.0006), now).is_some()).collect();
        assert_eq!(dues, [false, false, true, true, true]);
    }
}
