//! `cargo xtask torture DRIVER`: the real binary, real producers and real misfortune, on the machine of whoever asks.
//! Always: what was acknowledged is recorded outside the system under test; the seed is printed; lost, doubled or anything
//! else that was promised and not kept is exit code 1. What a machine cannot do is said, and is no failure.

mod acknowledged;
mod check;
mod clock;
mod crowd;
mod disk;
mod erase;
mod full;
mod io;
mod kill;
mod lives;
mod many;
mod powercut;
mod producers;
mod random;
mod rate;
mod reader;
mod report;
mod rot;
mod sql;
mod start;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{demo, http, measure, server, workspace::target_directory};

pub const USAGE: &str = "\x20 torture DRIVER [--n N] [--seed S] [--size X] [--binary PATH] [--directory DIR]
                  the real binary under misfortune, N times; exits with 1 if anything acknowledged is lost or doubled
                    kill      the process dies at any moment (100)
                    powercut  the disk loses its power at any moment (50); needs root
                    full      a disk of 64 MiB is filled to the last byte (10); needs root
                    io        the n-th call to the file system fails, once or for good (40); needs cc
                    rot       a random file is damaged while the server is stopped (100); --size answers before (60)
                    erase     the process dies, or the power goes, in the middle of an erasure (20); cuts need root
                    clock     the wall clock jumps, stands still, strobes (32); needs cc
                    many      10,000 connections against 100, N seconds each (15); --size events a second (20,000)
                    reader    readers that stop reading while events flow, N pairs of runs (3); --size MiB in all (256)
                    rate      64 producers at ack=disk and at ack=os, N pairs of runs (3); --size events a request (1)
                    start     N starts after a kill with a large journal (3); --size MiB (1,024)
                    sql       hostile statements beside steady ingest, four at a time (400); always the binary of the tests
                  --seed repeats a run, --binary takes another build than the one made now, --directory is where
                  data and disks are made (the target directory)
";

type Driver = fn(&Options) -> Result<()>;

const DRIVERS: &[(&str, Driver)] = &[
    ("kill", kill::run),
    ("powercut", powercut::run),
    ("full", full::run),
    ("io", io::run),
    ("rot", rot::run),
    ("many", many::run),
    ("clock", clock::run),
    ("erase", erase::run),
    ("reader", reader::run),
    ("rate", rate::run),
    ("start", start::run),
    ("sql", sql::run),
];

pub struct Options {
    /// How often; each driver has its own default.
    pub n: Option<u64>,
    pub seed: u64,
    /// What `--size` means is each driver's own.
    pub size: Option<u64>,
    pub binary: PathBuf,
    directory: PathBuf,
}

impl Options {
    /// A directory that goes when the value is dropped.
    fn scratch(&self, driver: &str) -> Result<Scratch> {
        self.scratch_in(None, driver)
    }

    /// The same, in another place if one is named.
    fn scratch_in(&self, place: Option<&Path>, driver: &str) -> Result<Scratch> {
        let path =
            place.unwrap_or(&self.directory).join(format!("headwater-{driver}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Scratch(path))
    }
}

struct Scratch(PathBuf);

impl Scratch {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("HW_KEEP").is_some() {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// What the command line said.
#[derive(Default)]
struct Arguments {
    n: Option<u64>,
    seed: Option<u64>,
    size: Option<u64>,
    binary: Option<PathBuf>,
    directory: Option<PathBuf>,
}

impl Arguments {
    fn parse(arguments: &[&str]) -> Result<Arguments> {
        let mut parsed = Arguments::default();
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().with_context(|| format!("{name} needs a value"))?;
            let number = || value.parse().with_context(|| format!("{name} {value:?} is no number"));
            match *name {
                "--n" => parsed.n = Some(number()?),
                "--seed" => parsed.seed = Some(number()?),
                "--size" => parsed.size = Some(number()?),
                "--binary" => parsed.binary = Some(value.into()),
                "--directory" => parsed.directory = Some(value.into()),
                _ => bail!("torture knows no {name:?}; cargo xtask says what it knows"),
            }
        }
        Ok(parsed)
    }
}

pub fn run(driver: &str, arguments: &[&str]) -> Result<()> {
    let (_, run) = DRIVERS
        .iter()
        .find(|(name, _)| *name == driver)
        .with_context(|| format!("torture has no driver {driver:?}; cargo xtask lists them"))?;
    let arguments = Arguments::parse(arguments)?;
    let binary = match arguments.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => demo::Binary::Fresh.path()?,
    };
    let directory = match arguments.directory {
        Some(directory) => std::path::absolute(directory)?,
        None => target_directory()?.join("torture"),
    };
    let seed = arguments.seed.unwrap_or_else(seed_of_now);
    run(&Options { n: arguments.n, seed, size: arguments.size, binary, directory })
}

/// What `cargo xtask test` runs: driver, N, size.
const SHORT_ROUND: &[(&str, u64, Option<u64>)] = &[
    ("kill", 40, None),
    ("powercut", 20, None),
    ("full", 3, None),
    ("io", 16, None),
    ("clock", 8, None),
    ("rot", 40, None),
    ("erase", 6, None),
];

/// A few of each, with the binary of the tests. Every driver runs, whatever the others found.
pub fn short_round() -> Result<()> {
    let binary = demo::Binary::OfTests.path()?;
    let directory = target_directory()?.join("torture");
    let mut failed = Vec::new();
    for (name, n, size) in SHORT_ROUND {
        let Some((_, run)) = DRIVERS.iter().find(|(driver, _)| driver == name) else { continue };
        println!();
        let options = Options {
            n: Some(*n),
            seed: seed_of_now(),
            size: *size,
            binary: binary.clone(),
            directory: directory.clone(),
        };
        if let Err(error) = run(&options) {
            eprintln!("error: {error:#}");
            failed.push(*name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn seed_of_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_micros() as u64)
}
