//! Rules about the text of the repository: headers, sizes, what must not be written.
//! Always: only tracked text and what lies beside it is looked at, never build results.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const LINES_MAX: usize = 700;
/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Directories that hold no source.
const SKIPPED: &[&str] = &["target", ".git", ".venv", ".headwater", "node_modules", "__pycache__"];
const TEXT: &[&str] = &["rs", "md", "toml", "json", "py", "c", "sql", "slt", "sh", "txt"];
/// Data that is kept as it was found.
const AS_FOUND: &[&str] = &["LICENSE", "Cargo.lock"];

/// What only one machine knows. Written in two parts, so that this file does not hold them.
const MACHINE_PATHS: &[(&str, &str)] = &[("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/")];

pub fn breaches(root: &Path) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for path in files(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if AS_FOUND.contains(&name.as_str()) {
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {name}"))?;
        match String::from_utf8(bytes) {
            Ok(text) => breaches.extend(of_file(&name, &text)),
            Err(_) => breaches.push(format!("{name} is not UTF-8")),
        }
    }
    Ok(breaches)
}

/// The breaches in one file.
fn of_file(name: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for (start, end) in MACHINE_PATHS {
        let path = format!("{start}{end}");
        if let Some(line) = text.lines().position(|line| mentions(line, &path)) {
            breaches.push(format!("{name}:{}: names {path}, a path of one machine", line + 1));
        }
    }
    if !name.ends_with(".rs") {
        return breaches;
    }
    if !text.starts_with("//!") {
        breaches.push(format!(
            "{name}: does not open with //! (what it is; what always holds; what it does not do)"
        ));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !LONG_FILES.iter().any(|(long, _)| *long == name) {
        breaches.push(format!("{name}: {lines} lines, over {LINES_MAX}"));
    }
    if !is_test(name) {
        for (index, line) in outside_tests(text) {
            let explained = text
                .lines()
                .take(index + 1)
                .skip(index.saturating_sub(4))
                .any(|near| near.contains("invariant:"));
            let calls = [".unwrap()", ".expect("].iter().any(|call| line.contains(call));
            if calls && !line.trim_start().starts_with("//") && !explained {
                breaches
                    .push(format!("{name}:{}: unwrap or expect without a comment `invariant: …`", index + 1));
            }
        }
    }
    breaches
}

/// Whether a line names the path as the start of an absolute path.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '-' | '_' | '}' | '~'))
    })
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/")
        || name.ends_with("/tests.rs")
        || name.starts_with("crates/testkit/")
        || name.contains("/benches/")
}

/// The lines before the file's test module, which stands last.
fn outside_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]" || line.starts_with(' '))
}

fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries =
            std::fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !SKIPPED.contains(&entry.file_name().to_string_lossy().as_ref()) {
                    waiting.push(path);
                }
            } else if kind.is_file()
                && path.extension().is_some_and(|extension| TEXT.iter().any(|text| extension == *text))
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_breach_is_found() {
        assert_eq!(of_file("a.rs", "//! Fine.\nfn f() {}\n"), Vec::<String>::new());
        assert!(of_file("a.rs", "fn f() {}\n")[0].contains("does not open with //!"));
        let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
        assert!(of_file("a.rs", &long)[0].contains("701 lines"));
        let unwrap = format!("//! x\nfn f() {{ g(){}; }}\n", ".unwrap()");
        assert!(of_file("src/a.rs", &unwrap)[0].starts_with("src/a.rs:2: unwrap"));
        assert!(of_file("crates/x/tests/a.rs", &unwrap).is_empty());
        let explained = format!("//! x\n// invariant: g never fails.\nfn f() {{ g(){}; }}\n", ".unwrap()");
        assert!(of_file("src/a.rs", &explained).is_empty());
        let in_tests =
            format!("//! x\n#[cfg(test)]\nmod tests {{\n    fn f() {{ g(){}; }}\n}}\n", ".unwrap()");
        assert!(of_file("src/a.rs", &in_tests).is_empty());
        let (start, end) = MACHINE_PATHS[0];
        assert!(of_file("a.md", &format!("see {start}{end}x"))[0].contains("a path of one machine"));
        assert!(of_file("a.md", &format!("see x{start}{end}x")).is_empty());
    }

    #[test]
    fn build_results_are_not_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["src/a.rs", "target/b.rs", "c.bin"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "fn f() {}\n").unwrap();
        }
        let breaches = breaches(directory.path()).unwrap();
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(breaches[0].starts_with("src/a.rs"));
    }
}
