//! A disk of our own: ext4 on a loop file, which can lose its power and can be filled to the last byte.
//! Always: it is unmounted when the value is dropped. Needs root, mkfs.ext4 and loop devices; `why_not` says what is missing.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::root;

const UNMOUNT_WAIT_MAX: Duration = Duration::from_secs(30);

/// What the file system may still write when its power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its own journal: files are there, and what was written to them without a sync is not.
    MetadataFlushed = 1,
    /// Nothing: names that were not synced are gone too.
    NothingFlushed = 2,
}

pub struct Disk {
    image: PathBuf,
    pub mount: PathBuf,
}

impl Disk {
    /// What keeps this machine from making one.
    pub fn why_not() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("it mounts file systems, and only root may".to_owned());
        }
        ["mkfs.ext4", "mount", "umount", "python3"]
            .into_iter()
            .find(|program| !crate::stages::has_program(program))
            .map(|program| format!("there is no {program}"))
            .or_else(|| {
                (!Path::new("/dev/loop-control").exists()).then(|| "there are no loop devices".to_owned())
            })
    }

    pub fn make(directory: &Path, megabytes: u64) -> Result<Disk> {
        let disk = Disk { image: directory.join("disk.img"), mount: directory.join("disk") };
        std::fs::create_dir_all(&disk.mount)?;
        let image = File::create(&disk.image).context("cannot make the disk's image")?;
        image.set_len(megabytes << 20)?;
        disk.format()?;
        Ok(disk)
    }

    /// An empty file system, mounted.
    pub fn format(&self) -> Result<()> {
        // None reserved for root: full means full.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&self.image))?;
        self.mount()
    }

    pub fn mount(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount))
    }

    pub fn unmount(&self) -> Result<()> {
        // The process was killed a moment ago: the kernel may still be closing its files.
        let give_up = Instant::now() + UNMOUNT_WAIT_MAX;
        loop {
            let done = run(Command::new("umount").arg(&self.mount));
            if done.is_ok() || Instant::now() > give_up {
                return done;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.mount).stderr(Stdio::null()).status();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A Python process that cuts the power and opens Delta tables, asked line by line.
pub struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    pub fn start(python: &Path) -> Result<Python> {
        let mut child = Command::new(python)
            .arg(root().join("xtask/python/torture.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        let input = child.stdin.take().context("Python has no standard input")?;
        let output = BufReader::new(child.stdout.take().context("Python has no standard output")?);
        Ok(Python { child, input, output })
    }

    /// One request, one line of answer: `ok …` or an error.
    fn ask(&mut self, request: &str) -> Result<String> {
        writeln!(self.input, "{request}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_owned()),
            _ => bail!("{}", line.trim_end()),
        }
    }

    /// The file system stops where it is.
    pub fn cut(&mut self, disk: &Disk, cut: Cut) -> Result<()> {
        self.ask(&format!("cut {} {}", cut as u32, disk.mount.display()))
            .context("cannot cut the power")
            .map(drop)
    }

    /// Opens every table below `lake` as other engines do; how many there were.
    pub fn open_lake(&mut self, lake: &Path) -> Result<u64> {
        let answer = self.ask(&format!("open {}", lake.display()))?;
        answer.parse().context("not a number of tables")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
