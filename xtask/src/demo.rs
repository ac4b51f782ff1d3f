//! `cargo xtask demo`: the example `launch`, run as a user would run it, with its counts checked.
//! Always: a fresh data directory, free ports, bounded waits; the server is stopped cleanly whatever happens.

mod server;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::{cargo, output, root, run as run_command, target_directory};
use server::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    CtrlC,
    Once,
}

/// Which build of the product is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// Built now.
    Fresh,
    /// The one that the tests were just run with: building it alone would choose other features.
    OfTests,
    /// Built now, as it is shipped.
    Release,
}

impl Binary {
    /// Where it is; built if need be.
    pub fn path(self) -> Result<PathBuf> {
        let profile = match self {
            Binary::Fresh | Binary::OfTests => "debug",
            Binary::Release => "release",
        };
        if self != Binary::OfTests {
            println!("building headwater");
            let mut build = cargo();
            build.args(["build", "--package", "hw-headwater"]);
            if self == Binary::Release {
                build.arg("--release");
            }
            run_command(&mut build)?;
        }
        let binary =
            target_directory()?.join(profile).join(format!("headwater{}", std::env::consts::EXE_SUFFIX));
        ensure!(binary.is_file(), "cargo build left no {}", binary.display());
        Ok(binary)
    }
}

/// What one source of the demo sends, and what must become of it.
struct Source {
    name: &'static str,
    sends: Sends,
    expected: Counts,
}

enum Sends {
    /// A recording whose velocity and altitude each become a sensor.
    Launch {
        file: &'static str,
        lift_off: &'static str,
        packet: Option<&'static str>,
    },
    Raw {
        file: &'static str,
    },
    /// The sensor in C; needs a compiler.
    Sensor,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    received: u64,
    stored: u64,
    rejected: u64,
}

const SENSOR_READINGS: u64 = 5;

/// Readings of a launch are twice its lines: velocity and altitude.
const SOURCES: &[Source] = &[
    Source {
        name: "CRS-11",
        sends: Sends::Launch { file: "crs-11.stage1.ndjson", lift_off: "2017-06-03T21:07:38Z", packet: None },
        expected: Counts { received: 26_978, stored: 26_978, rejected: 0 },
    },
    Source {
        name: "SES-11",
        // Packets that end within records: a listener must put them together again.
        sends: Sends::Launch {
            file: "ses-11.stage1.ndjson",
            lift_off: "2017-10-11T22:53:00Z",
            packet: Some("1400"),
        },
        expected: Counts { received: 25_494, stored: 25_494, rejected: 0 },
    },
    Source {
        name: "bad records",
        sends: Sends::Raw { file: "bad-records.kv" },
        expected: Counts { received: 20, stored: 0, rejected: 20 },
    },
    Source {
        name: "sensor.c",
        sends: Sends::Sensor,
        expected: Counts { received: SENSOR_READINGS, stored: SENSOR_READINGS, rejected: 0 },
    },
];

const QUESTIONS: &[(&str, &str)] = &[
    (
        "How fast and how high did each first stage go?",
        "SELECT id, count(*) AS readings, max(value) AS highest, unit FROM sensor_reading \
         WHERE id LIKE '%-11.%' GROUP BY id, unit ORDER BY id",
    ),
    (
        "When was each at its highest?",
        "SELECT r.id, r.value AS km, min(r.ts) AS at FROM sensor_reading r \
         JOIN (SELECT id, max(value) AS top FROM sensor_reading WHERE type = 'altitude' GROUP BY id) t \
         ON r.id = t.id AND r.value = t.top GROUP BY r.id, r.value ORDER BY r.id",
    ),
    (
        "What was refused, and why?",
        "SELECT code, count(*) AS records, min(message) AS for_example FROM rejects GROUP BY code ORDER BY code",
    ),
];

pub fn run(binary: Binary, end: End) -> Result<()> {
    let demo = Demo::prepare(binary)?;
    let mut server = demo.start()?;
    let sensor = demo.compile_sensor()?;
    let mut wrong = 0;

    println!("\n{:<12} {:>8} {:>9} {:>8} {:>9}", "launch", "sent", "received", "stored", "rejected");
    for source in SOURCES {
        let Some((sent, counts)) = demo.send(&server, source, sensor.as_deref())? else {
            println!("{:<12} left out: no C compiler", source.name);
            continue;
        };
        // The bytes of a raw file are not counted as records when they are sent.
        let sent = sent.unwrap_or(source.expected.received);
        let agrees = counts == source.expected && sent == source.expected.received;
        let Counts { received, stored, rejected } = counts;
        let verdict = if agrees { String::new() } else { format!("  expected {:?}", source.expected) };
        println!("{:<12} {sent:>8} {received:>9} {stored:>8} {rejected:>9}{verdict}", source.name);
        wrong += usize::from(!agrees);
    }

    for (question, statement) in QUESTIONS {
        println!("\n{question}");
        run_command(&mut server.client(&["sql", statement]))?;
    }
    println!("\nOne of the rejects:");
    let reject = server.rows(
        "SELECT \"partition\", \"offset\" FROM rejects WHERE code = 'type' ORDER BY \"offset\" LIMIT 1",
    )?;
    let [partition, offset] = first_numbers(&reject)?;
    run_command(&mut server.client(&[
        "rejects",
        "show",
        "sensor.reading",
        &partition.to_string(),
        &offset.to_string(),
    ]))?;

    println!("\nurl             {}", server.url);
    println!("data directory  {}", server.data.display());
    if end == End::CtrlC {
        println!(
            "\nIt stays up until Ctrl-C. Try: headwater tail sensor.reading --data {}",
            server.data.display()
        );
        server.wait()?;
    } else {
        server.stop()?;
        println!("\nstopped cleanly");
    }
    ensure!(wrong == 0, "{wrong} of the counts above do not agree");
    if end == End::Once {
        std::fs::remove_dir_all(&server.directory).context("cannot remove the demo's directory")?;
        println!("all counts agree");
    }
    Ok(())
}

/// Loads the launches and the bad records, takes the answers that the tables must give, and stops, so that
/// everything is in the lake. Calls `check` with the lake and the answers, then removes all.
pub fn with_loaded_lake(
    binary: Binary,
    check: impl FnOnce(&Path, &Path, &Value) -> Result<()>,
) -> Result<()> {
    let demo = Demo::prepare(binary)?;
    let mut server = demo.start()?;
    for source in SOURCES.iter().filter(|source| !matches!(source.sends, Sends::Sensor)) {
        demo.send(&server, source, None)?;
    }
    let mut answers = serde_json::Map::new();
    let exports = server.directory.join("exports");
    for (table, statement) in [
        (
            "sensor.reading",
            "SELECT count(*) AS rows, sum(value) AS sum, sum(\"_offset\") AS offsets, \
             (SELECT count(*) FROM (SELECT DISTINCT \"_partition\", \"_offset\" FROM sensor_reading)) AS positions \
             FROM sensor_reading",
        ),
        (
            "rejects",
            "SELECT count(*) AS rows, sum(\"index\") AS sum, sum(\"offset\") AS offsets, \
             (SELECT count(*) FROM (SELECT DISTINCT \"partition\", \"offset\" FROM rejects)) AS positions \
             FROM rejects",
        ),
    ] {
        let answer = server.rows(statement)?;
        answers.insert(table.to_owned(), answer.into_iter().next().context("an aggregate without a row")?);
        run_command(server.client(&["export", table]).arg(&exports))?;
    }
    server.stop()?;
    check(&server.data.join("lake"), &exports, &Value::Object(answers))?;
    std::fs::remove_dir_all(&server.directory).context("cannot remove the lake")
}

/// Runs a project for as long as `check` takes, which gets its URL. The project declares a listener `telemetry`.
pub fn with_server_of(binary: Binary, project: &Path, check: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let demo = Demo { example: project.to_owned(), ..Demo::prepare(binary)? };
    let mut server = demo.start()?;
    check(&server.url)?;
    server.stop()?;
    std::fs::remove_dir_all(&server.directory).context("cannot remove the lake")
}

fn first_numbers(rows: &[Value]) -> Result<[i64; 2]> {
    let row = rows.first().context("there is no reject")?;
    match (row[0].as_i64(), row[1].as_i64()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => bail!("not two numbers: {row}"),
    }
}

struct Demo {
    binary: PathBuf,
    example: PathBuf,
    /// Below the target directory.
    scratch: PathBuf,
}

impl Demo {
    /// With the binary of the dev profile.
    fn prepare(binary: Binary) -> Result<Demo> {
        let binary = binary.path()?;
        let scratch = target_directory()?.join("demo");
        std::fs::create_dir_all(&scratch).context("cannot make the demo's directory")?;
        Ok(Demo { binary, example: root().join("examples/launch"), scratch })
    }

    fn start(&self) -> Result<Server> {
        let directory = self.scratch.join(format!("run-{}", std::process::id()));
        if directory.exists() {
            std::fs::remove_dir_all(&directory).context("cannot empty the demo's directory")?;
        }
        Server::start(&self.binary, &self.example, directory)
    }

    /// `None`: there is no compiler.
    fn compile_sensor(&self) -> Result<Option<PathBuf>> {
        if Command::new("cc").arg("--version").output().is_err() {
            return Ok(None);
        }
        let sensor = self.scratch.join("sensor");
        run_command(
            Command::new("cc")
                .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-o"])
                .arg(&sensor)
                .arg(self.example.join("sensor.c")),
        )?;
        Ok(Some(sensor))
    }

    /// Sends one source. Returns what the sender counted, if it counts, and what the ledger gained.
    fn send(
        &self,
        server: &Server,
        source: &Source,
        sensor: Option<&Path>,
    ) -> Result<Option<(Option<u64>, Counts)>> {
        let before = counts(server)?;
        let data = self.example.join("data");
        let sent = match &source.sends {
            Sends::Launch { file, lift_off, packet } => {
                let id = source.name.to_lowercase();
                let mut command = server.client(&["play", "--tcp", "telemetry", "--json", "--speed", "max"]);
                command.args([
                    "--sensors",
                    "velocity:m/s,altitude:km",
                    "--id-prefix",
                    &id,
                    "--start",
                    lift_off,
                ]);
                if let Some(packet) = packet {
                    command.args(["--packet", packet]);
                }
                let report: Value = serde_json::from_slice(&output(command.arg(data.join(file)))?)?;
                Some(report["sent"].as_u64().context("play did not say how many it sent")?)
            }
            Sends::Raw { file } => {
                output(
                    server.client(&["play", "--tcp", "telemetry", "--raw", "--json"]).arg(data.join(file)),
                )?;
                None
            }
            Sends::Sensor => {
                let Some(sensor) = sensor else { return Ok(None) };
                let (host, port) = server.telemetry.rsplit_once(':').context("not an address")?;
                run_command(
                    Command::new(sensor).args(["-r", "20", "-n", &SENSOR_READINGS.to_string()]).args([
                        host,
                        port,
                        "pad.tank-1",
                        "pressure",
                        "kPa",
                    ]),
                )?;
                Some(SENSOR_READINGS)
            }
        };
        let expected = before.received + source.expected.received;
        let after = server.poll("the ledger to count what was sent", || {
            let counts = counts(server)?;
            Ok((counts.received >= expected).then_some(counts))
        });
        // Whatever is missing shows in the counts.
        let after = after.or_else(|_| counts(server))?;
        let gained = Counts {
            received: after.received - before.received,
            stored: after.stored - before.stored,
            rejected: after.rejected - before.rejected,
        };
        Ok(Some((sent, gained)))
    }
}

/// What the ledger says was received; what the tables say was stored and rejected. They must agree.
fn counts(server: &Server) -> Result<Counts> {
    let rows = server.rows(
        "SELECT coalesce((SELECT sum(received) FROM ledger), 0) AS received, (SELECT count(*) FROM sensor_reading) AS stored, \
         (SELECT count(*) FROM rejects) AS rejected",
    )?;
    let row = rows.first().context("no counts")?;
    let count = |index: usize| row[index].as_u64().with_context(|| format!("not a count: {row}"));
    Ok(Counts { received: count(0)?, stored: count(1)?, rejected: count(2)? })
}
