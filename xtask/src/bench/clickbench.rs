//! `bench clickbench`: 43 questions after ClickBench's, about rows of `hits.rs`. Always: as many rows are in the table as were made.
//! Is no ClickBench result: neither the rows nor the words of the statements are ClickBench's (`bench/README.md` says why).

use anyhow::{Result, ensure};

use super::{
    Options,
    feed::Feed,
    hits::Hits,
    ours::wait_until_committed,
    peers::Peers,
    questions,
    sides::{Sides, pinned},
};
use crate::{server::Launch, workspace::root};

const ROWS: u64 = 10_000_000;
const TABLE: &str = "hits";

pub fn run(options: &Options) -> Result<()> {
    let count = options.events.unwrap_or(ROWS);
    let peers = Peers::install()?;
    let bench = root().join("bench/clickbench");
    // ClickBench asks for groups of more than 100,000 of its 100 million rows.
    let questions = questions::read(&bench, &[("{MANY}", (count / 1_000).to_string())])?;
    let scratch = options.scratch("clickbench")?;
    let mut launch = Launch::new(&options.binary, scratch.path(), &scratch.path().join("data"), &[])?;
    launch.project = bench;
    launch.command = pinned(&options.binary);
    let server = launch.start()?;
    let mut feed = Feed::new(&server.addresses.http, TABLE);
    let mut hits = Hits::new(count);
    for _ in 0..count {
        feed.row(|json| hits.row(json))?;
    }
    let (rows, last_seq) = feed.finish()?;
    wait_until_committed(&server, last_seq)?;
    let found = server.numbers(&format!("SELECT count(*) FROM {TABLE}"))?;
    ensure!(found == [rows as i64], "{rows} rows were sent, the table says {found:?}");
    println!("{rows} rows");
    Sides {
        launch: &launch,
        peers: &peers,
        tables: &[TABLE],
        questions: &questions,
        scratch: scratch.path(),
        rounds: options.pairs.unwrap_or(2),
    }
    .run(server)
}
