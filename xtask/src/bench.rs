//! `cargo xtask bench [NAME]`: the product as it is shipped against named peers, on the machine of whoever asks.
//! Always: both sides take turns on the same processors, and medians count; a figure counts only if the counts agree (receipts,
//! ledger, rows and the sum of a column), and a count that does not is exit code 1. What is below its floor is said, and is none.

mod answers;
mod clickbench;
mod delta;
mod events;
mod feed;
mod freshness;
mod generation;
mod growth;
mod hits;
mod kafka;
mod load;
mod log;
mod mix;
mod nats;
mod ours;
mod paced;
mod peers;
mod queries;
mod questions;
mod sides;
mod sustained;
mod tpch;
mod verdict;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::{demo, workspace::target_directory};

pub const USAGE: &str = "\x20 bench [NAME] [--events N] [--pairs N] [--binary PATH] [--directory DIR]
                  the release build against named peers, in turns; bench/README.md says what is compared
                    delta      NDJSON over HTTP to committed Delta; DuckDB, chDB, deltalake (2,000,000 events, 3 pairs)
                    log        acknowledged events per processor second; NATS JetStream (1,000,000 events, 3 pairs)
                    sustained  rate, memory and bytes on disk over a long run (10,000,000 events)
                    freshness  acknowledged to seen by SQL, and SQL while events come (10,000,000 events)
                    growth     commits, opening and queries as a table grows (to 10,000 versions: --events); deltalake to 1,000
                    generation a changed annotation reaches all rows of a table while events come (10,000,000 rows)
                    queries    twelve statements over HTTP; DuckDB over Parquet (4,000,000 rows)
                    tpch       TPC-H's 22 questions; DuckDB and DataFusion over our Parquet (scale factor 1 = 6,000,000 events)
                    clickbench 43 questions after ClickBench's over rows that are made up; the same two (10,000,000 rows)
                    mix        five kinds of 3 KB events, and machines for a large load as arithmetic (100,000 events)
                  --events and --pairs size a run, --binary takes another build than the one made now, --directory is where
                  data is written (the target directory)
";

type Bench = fn(&Options) -> Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("delta", delta::run),
    ("log", log::run),
    ("sustained", sustained::run),
    ("freshness", freshness::run),
    ("growth", growth::run),
    ("generation", generation::run),
    ("queries", queries::run),
    ("mix", mix::run),
    ("tpch", tpch::run),
    ("clickbench", clickbench::run),
];

pub struct Options {
    /// How many events; each bench has its own default.
    events: Option<u64>,
    pairs: Option<u64>,
    binary: PathBuf,
    directory: PathBuf,
}

impl Options {
    /// An empty directory of this name, for one run.
    fn scratch(&self, name: &str) -> Result<Scratch> {
        let path = self.directory.join(format!("{name}-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Scratch(path))
    }
}

/// A directory that goes when the value is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("HW_KEEP").is_some() {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub fn run(arguments: &[&str]) -> Result<()> {
    let (name, options) = match arguments {
        [name, options @ ..] if !name.starts_with("--") => (Some(*name), options),
        options => (None, options),
    };
    let chosen: Vec<&(&str, Bench)> =
        BENCHES.iter().filter(|(bench, _)| name.is_none_or(|name| name == *bench)).collect();
    ensure!(!chosen.is_empty(), "there is no bench {:?}; cargo xtask lists them", name.unwrap_or_default());
    let options = parse(options)?;
    let mut failed = Vec::new();
    for (name, bench) in chosen {
        println!("\n==> bench {name}");
        if let Err(error) = bench(&options) {
            eprintln!("error: {error:#}");
            failed.push(*name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let (mut events, mut pairs, mut binary, mut directory) = (None, None, None, None);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().with_context(|| format!("{name} needs a value"))?;
        let number = || {
            let number = value.replace('_', "").parse::<u64>();
            number
                .ok()
                .filter(|number| *number > 0)
                .with_context(|| format!("{name} {value:?}: a number from 1"))
        };
        match *name {
            "--events" => events = Some(number()?),
            "--pairs" => pairs = Some(number()?),
            "--binary" => binary = Some(std::path::absolute(value)?),
            "--directory" => directory = Some(std::path::absolute(value)?),
            _ => bail!("bench knows no {name:?}; cargo xtask says what it knows"),
        }
    }
    let binary = match binary {
        Some(binary) => binary,
        None => demo::Binary::Release.path()?,
    };
    let directory = match directory {
        Some(directory) => directory,
        None => target_directory()?.join("bench"),
    };
    Ok(Options { events, pairs, binary, directory })
}
