//! The lives of a server: producers at work until its end, then the next one over the same data.
//! Always: producers outlive the server and know what they were told; checks are made while none of them sends.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    acknowledged::Acknowledged,
    check::Books,
    producers::{Producer, crew},
    random::Random,
    report::Report,
    server::{Addresses, Launch, Server},
};

/// The longest wait for one acknowledgement, on a machine that has other things to do.
pub const PROGRESS_WAIT_MAX: Duration = Duration::from_secs(120);

/// Everything of one data directory.
pub struct Lives {
    pub launch: Launch,
    pub known: Acknowledged,
    pub books: Books,
    pub producers: Vec<Producer>,
}

impl Lives {
    /// A new data directory; what was in it is gone.
    pub fn begin(launch: Launch, random: &mut Random) -> Result<Lives> {
        if launch.data.exists() {
            std::fs::remove_dir_all(&launch.data).context("cannot empty the data directory")?;
        }
        // Said by lives that are over and were found good.
        let _ = std::fs::remove_file(&launch.log);
        Ok(Lives { launch, known: Acknowledged::default(), books: Books::default(), producers: crew(random) })
    }

    /// Producers send while `during` runs, which may end the server; when it returns they stop.
    pub fn send_while<T>(
        &mut self,
        addresses: &Addresses,
        during: impl FnOnce(&Acknowledged) -> Result<T>,
    ) -> Result<T> {
        let stop = AtomicBool::new(false);
        let (known, producers) = (&self.known, &mut self.producers);
        std::thread::scope(|scope| {
            for producer in producers {
                let stop = &stop;
                scope.spawn(move || producer.run(addresses, known, stop));
            }
            let done = during(known);
            stop.store(true, Ordering::SeqCst);
            done
        })
    }

    /// What is new; with `all`, everything.
    pub fn check(&mut self, server: &Server, all: bool, at: &str, report: &mut Report) -> Result<()> {
        let findings = self.books.check(server, &self.known)?;
        report.add(at, &findings);
        if all {
            report.add(at, &self.books.check_all(server)?);
        }
        for fault in self.known.take_faults() {
            report.fault(at, fault);
        }
        let said = server.said();
        if let Some(line) = said.lines().find(|line| line.contains("panicked at")) {
            report.fault(at, line);
        }
        Ok(())
    }

    /// The last check of a data directory, with everything, and a clean stop.
    pub fn end(&mut self, at: &str, report: &mut Report) -> Result<()> {
        let server = self.launch.start()?;
        self.check(&server, true, at, report)?;
        server.terminate()
    }
}
