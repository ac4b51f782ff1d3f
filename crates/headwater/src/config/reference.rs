//! `docs/reference/configuration.md`, written from the declarations of the settings.
//! Always: the page in the repository is this text; a test compares them. Exists only in tests.

use std::fmt::Write;

use super::settings::{SECTIONS, Setting};

/// The page as Markdown.
fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in SECTIONS {
        // Writing to a string cannot fail.
        let _ = match section.path {
            "" => writeln!(page, "\n## General\n"),
            path => writeln!(page, "\n## `[{path}]`\n"),
        };
        let _ = writeln!(page, "{}\n", words(section.doc));
        page.push_str("| setting | type | default | meaning |\n|---|---|---|---|\n");
        for setting in section.settings {
            let _ = writeln!(page, "{}", row(setting));
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from crates/headwater/src/config/settings.rs. To write it anew:
     UPDATE_REFERENCE=1 cargo test -p hw-headwater reference -->

`headwater.toml` lies in the project directory. It may be empty or missing: every setting below has a default, except
the few marked *required*. An unknown key is an error. `headwater check DIR` reports every fault at once.

A setting can be given in three places; the later wins:

1. the file: `listen = \"127.0.0.1:8080\"` under `[http]`,
2. the environment: `HEADWATER_HTTP__LISTEN=127.0.0.1:8080` (two underscores between the parts),
3. the command line: `headwater up DIR --set http.listen=127.0.0.1:8080`.

Sizes are written `\"64MiB\"` (B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB), durations `\"2s\"` (ms, s, m, h, d).
`NAME` stands for a name you choose: lower-case letters, digits, `_` and `-`.
";

fn row(setting: &Setting) -> String {
    let default = match setting.default {
        _ if setting.required => "*required*".to_owned(),
        None | Some("") => "none".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    format!("| `{}` | {} | {default} | {} |", setting.name, setting.type_name, words(setting.doc))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_repository_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            stored == page(),
            "docs/reference/configuration.md is out of date; write it anew with\n  \
             UPDATE_REFERENCE=1 cargo test -p hw-headwater reference"
        );
    }
}
