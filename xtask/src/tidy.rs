//! `cargo xtask tidy`: the rules of the house that a machine can keep.
//! Always: every breach is told, not only the first. The same rules run as tests (`cargo test -p xtask`).

mod arrows;
mod sabotage;
mod sources;
mod versions;

use anyhow::{Result, bail};

use crate::workspace;

pub fn run() -> Result<()> {
    let breaches = breaches()?;
    for breach in &breaches {
        eprintln!("tidy: {breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the rules of the house", breaches.len());
    }
    println!("tidy: every rule of the house is kept");
    Ok(())
}

fn breaches() -> Result<Vec<String>> {
    let root = workspace::root();
    let metadata = workspace::metadata()?;
    let mut breaches = arrows::breaches(&arrows::Graph::of(&metadata)?);
    breaches.extend(sabotage::breaches(&metadata)?);
    breaches.extend(versions::breaches(&std::fs::read_to_string(root.join("Cargo.lock"))?)?);
    breaches.extend(sources::breaches(&root)?);
    Ok(breaches)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_rule_of_the_house_is_kept() {
        let breaches = super::breaches().unwrap();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }
}
