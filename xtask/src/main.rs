//! The tasks of this repository: `cargo xtask demo`, `cargo xtask test`, `cargo xtask tidy`, `cargo xtask kernels`,
//! `cargo xtask torture`, `cargo xtask bench`.
//! Always: a task says what it does, and exits with 0 only if all of it went well.

mod bench;
mod demo;
mod http;
mod kernels;
mod measure;
mod server;
mod stages;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  demo [--once]   build, start, replay two launches, show what came of it; stays up until Ctrl-C,
                  with --once stops and exits with 0 only if all counts agree
  test            everything that must hold, in stages, with the minutes of each
  tidy            the rules of the house: headers, sizes, arrows between crates, versions
  kernels [--renew]
                  the instructions a row of the decoder and the encoder, against their budget
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["demo"] => demo::run(demo::Binary::Fresh, demo::End::CtrlC),
        ["demo", "--once"] => demo::run(demo::Binary::Fresh, demo::End::Once),
        ["test"] => stages::run(),
        ["tidy"] => tidy::run(),
        ["kernels"] => kernels::run().map(|skipped| {
            if let Some(why) = skipped {
                println!("skipped: {why}");
            }
        }),
        ["kernels", "--renew"] => kernels::renew(),
        ["torture", driver, options @ ..] => torture::run(driver, options),
        ["bench", options @ ..] => bench::run(options),
        _ => {
            eprint!("{USAGE}{}{}", torture::USAGE, bench::USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
