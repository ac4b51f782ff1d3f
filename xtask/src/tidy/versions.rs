//! One version of what must exist once: two versions of arrow have two types of the same name.
//! Reads Cargo.lock, so that a split is found before anything is built.

use anyhow::{Context, Result};

/// Packages that must be in Cargo.lock exactly once.
const ONCE: &[&str] =
    &["arrow", "arrow-array", "parquet", "datafusion", "deltalake", "object_store", "axum", "tonic"];
/// Of these, what need not be there at all.
const MAYBE: &[&str] = &["tonic"];

pub fn breaches(lock: &str) -> Result<Vec<String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is no TOML")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock has no packages")?;
    let mut breaches = Vec::new();
    for name in ONCE {
        let versions: Vec<&str> = packages
            .iter()
            .filter(|package| package.get("name").and_then(toml::Value::as_str) == Some(name))
            .filter_map(|package| package.get("version").and_then(toml::Value::as_str))
            .collect();
        match versions.as_slice() {
            [_] => {}
            [] if MAYBE.contains(name) => {}
            [] => breaches.push(format!("{name} is not in Cargo.lock")),
            many => breaches.push(format!(
                "{name} is in Cargo.lock in {} versions: {}",
                many.len(),
                many.join(", ")
            )),
        }
    }
    Ok(breaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_version_is_found() {
        let package =
            |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let mut lock: String =
            ONCE.iter().filter(|name| !MAYBE.contains(name)).map(|name| package(name, "1.0.0")).collect();
        assert_eq!(breaches(&lock).unwrap(), Vec::<String>::new());
        lock.push_str(&package("arrow", "60.0.0"));
        assert_eq!(breaches(&lock).unwrap(), ["arrow is in Cargo.lock in 2 versions: 1.0.0, 60.0.0"]);
        assert!(breaches("").is_err());
    }
}
