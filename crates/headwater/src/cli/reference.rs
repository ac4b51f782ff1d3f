//! `docs/reference/cli.md`, written from the declarations of the commands.
//! Always: the page in the repository is this text; a test compares them. Exists only in tests.

use clap::CommandFactory;

use super::Cli;

const INTRODUCTION: &str = "\
# Command line

<!-- Written from crates/headwater/src/cli.rs. To write it anew:
     UPDATE_REFERENCE=1 cargo test -p hw-headwater reference -->

| exit code | meaning |
|---|---|
| 0 | fine |
| 1 | the check is false: an event was rejected, a record was not found |
| 2 | usage or configuration |
| 3 | no server |
| 4 | refused by the server |

A client command finds its server by `--url`, else `$HEADWATER_URL`, else the `endpoints.json` in the directory given by
`--data`, else that in `./.headwater`, else at `http://127.0.0.1:8080`.

Answers are written as a table, as JSON (`{\"columns\",\"rows\",\"row_count\"}`), NDJSON, CSV or an Arrow IPC stream. Errors say
what, where and what to do, on standard error. Standard output that is closed early, by `head` for example, is no fault.
";

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut command = Cli::command();
    command.build();
    describe(&command, "headwater", &mut page);
    page
}

fn describe(command: &clap::Command, path: &str, page: &mut String) {
    for command in command.get_subcommands() {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            describe(command, &path, page);
            continue;
        }
        let help = command.clone().term_width(100).render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_repository_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            stored == page(),
            "docs/reference/cli.md is out of date; write it anew with\n  \
             UPDATE_REFERENCE=1 cargo test -p hw-headwater reference"
        );
    }
}
