//! `cargo xtask kernels [--renew]`: the instructions a row of the decoder and the encoder, against a committed budget.
//! Always: counted in the build that `cargo bench` measures, under valgrind, so that neither load nor clock matters; what one
//! run more takes is the kernel, without its preparation. Another compiler makes another code: then it is said and not judged.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::{cargo, output, root};

const BUDGET: &str = "crates/schema/benches/decode/budget.txt";
/// What more than the budget is too much.
const PERCENT_MAX: u64 = 10;
/// What less than the budget says that it is out of date.
const PERCENT_MIN: u64 = 20;

/// Judges the kernels; returns why it could not where it could not.
pub fn run() -> Result<Option<String>> {
    let path = root().join(BUDGET);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (compiler, budget) = read(&text)?;
    let here = compiler_here()?;
    if compiler != here {
        return Ok(Some(format!("the budget was counted with {compiler}, here is {here}")));
    }
    let mut over = Vec::new();
    let counted = count()?;
    for (name, rows) in &counted {
        let Some(&budget) = budget.get(name) else { bail!("{BUDGET} has no line for {name}") };
        println!("{name:<12} {rows:>7} instructions a row, budget {budget}");
        if *rows > budget + budget * PERCENT_MAX / 100 {
            over.push(name.as_str());
        } else if *rows < budget - budget * PERCENT_MIN / 100 {
            println!("{name} is far below its budget: cargo xtask kernels --renew");
        }
    }
    ensure!(over.is_empty(), "more than {PERCENT_MAX} % over the budget: {}", over.join(", "));
    Ok(None)
}

/// Counts, and writes the budget anew.
pub fn renew() -> Result<()> {
    let mut text = String::from(
        "# Instructions a row under valgrind, in the build of `cargo bench`. `cargo xtask kernels` fails where there are\n\
         # 10 % more; `cargo xtask kernels --renew` counts anew.\n",
    );
    writeln!(text, "{}", compiler_here()?)?;
    for (name, rows) in count()? {
        println!("{name:<12} {rows:>7} instructions a row");
        writeln!(text, "{name} {rows}")?;
    }
    fs::write(root().join(BUDGET), text).context("cannot write the budget")
}

/// The compiler's line, and the instructions of each kernel.
fn read(text: &str) -> Result<(String, BTreeMap<String, u64>)> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let compiler = lines.next().context("the budget names no compiler")?.to_owned();
    let kernel = |line: &str| {
        let (name, rows) = line.split_once(' ')?;
        Some((name.to_owned(), rows.parse().ok()?))
    };
    let kernels = lines.map(|line| kernel(line).with_context(|| format!("{line:?} is no line of a budget")));
    Ok((compiler, kernels.collect::<Result<_>>()?))
}

/// `rustc 1.95.0`, without what changes from build to build of it.
fn compiler_here() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = String::from_utf8(output(Command::new(rustc).arg("--version"))?)?;
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Each kernel's instructions a row.
fn count() -> Result<Vec<(String, u64)>> {
    let arguments =
        ["bench", "--package", "hw-schema", "--bench", "decode", "--no-run", "--message-format=json"];
    let messages = output(cargo().args(arguments))?;
    let messages = String::from_utf8(messages)?;
    let bench = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let target = &message["target"];
        let found = target["name"] == "decode" && target["kind"][0] == "bench";
        found.then(|| message["executable"].as_str().map(str::to_owned)).flatten()
    });
    let bench = bench.context("cargo has built no bench named decode")?;
    let names = String::from_utf8(output(Command::new(&bench).arg("--names"))?)?;
    let kernels = names.lines().filter_map(|line| {
        let (name, rows) = line.split_once(' ')?;
        Some((name, rows.parse::<u64>().ok()?))
    });
    kernels
        .map(|(name, rows)| {
            let once = instructions(Path::new(&bench), name, 1)?;
            let thrice = instructions(Path::new(&bench), name, 3)?;
            Ok((name.to_owned(), thrice.saturating_sub(once) / 2 / rows))
        })
        .collect()
}

/// All instructions of one process that runs a kernel so many times.
fn instructions(bench: &Path, kernel: &str, times: u32) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(bench)
        .args(["--kernel", kernel, "--times", &times.to_string()]);
    let run = command.output().context("cannot run valgrind")?;
    let told = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "{command:?}: {}\n{told}", run.status);
    let line = told.lines().find(|line| line.contains("I ") && line.contains("refs:"));
    let digits: String = line
        .and_then(|line| line.rsplit(':').next())
        .map(|count| count.chars().filter(char::is_ascii_digit).collect())
        .unwrap_or_default();
    digits.parse().with_context(|| format!("valgrind counted nothing:\n{told}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_budget_is_read() {
        let (compiler, kernels) = super::read("# words\nrustc 1.95.0\na 12\n\nb 3\n").unwrap();
        assert_eq!((compiler.as_str(), kernels["a"], kernels["b"]), ("rustc 1.95.0", 12, 3));
        assert!(super::read("rustc 1.95.0\na\n").is_err());
        assert!(super::read("").is_err());
    }
}
