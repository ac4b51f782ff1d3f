//! The arrows between the crates: who may depend on whom, and who never reaches the engines.
//! Always: an arrow that is not listed is a breach; so is a crate that is not listed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

/// Every crate and the crates it may depend on. A new arrow is a decision: write it into ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hw-event", &[]),
    ("hw-vault", &["hw-event"]),
    ("hw-schema", &["hw-event", "hw-vault"]),
    ("hw-journal", &["hw-event"]),
    ("hw-gate", &["hw-event", "hw-schema", "hw-journal", "hw-vault"]),
    ("hw-pipeline", &["hw-event", "hw-schema", "hw-journal"]),
    ("hw-testkit", &["hw-event", "hw-journal"]),
    ("hw-lake", &["hw-event", "hw-schema", "hw-journal", "hw-pipeline", "hw-vault"]),
    ("hw-query", &["hw-event", "hw-schema"]),
    ("hw-serve", &["hw-event", "hw-schema", "hw-gate", "hw-query"]),
    (
        "hw-headwater",
        &[
            "hw-event",
            "hw-vault",
            "hw-schema",
            "hw-journal",
            "hw-gate",
            "hw-pipeline",
            "hw-lake",
            "hw-query",
            "hw-serve",
        ],
    ),
    ("xtask", &[]),
];

/// Crates below the waterline hold all that must be right, and build without the engines.
const BELOW_THE_WATERLINE: &[&str] =
    &["hw-event", "hw-vault", "hw-schema", "hw-journal", "hw-gate", "hw-pipeline", "hw-testkit", "xtask"];
const ENGINES: &[&str] =
    &["datafusion", "datafusion-common", "deltalake", "deltalake-core", "parquet", "object_store"];

/// A crate that only its own tests may know.
const ONLY_FOR_TESTS: &str = "hw-testkit";

/// An import that only one crate may have.
const SOLE_IMPORTERS: &[(&str, &str)] =
    &[("deltalake", "hw-lake"), ("datafusion", "hw-query"), ("anyhow", "hw-headwater")];

#[derive(Default)]
pub struct Graph {
    /// Members of the workspace by name.
    members: BTreeSet<String>,
    /// Normal dependencies of every package, by package id and by name.
    normal: BTreeMap<String, BTreeSet<String>>,
    names: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
}

impl Graph {
    /// From `cargo metadata`.
    pub fn of(metadata: &Value) -> Result<Graph> {
        let mut graph = Graph::default();
        for package in list(metadata, "packages")? {
            graph.names.insert(text(package, "id")?, text(package, "name")?);
        }
        for id in list(metadata, "workspace_members")? {
            let id = id.as_str().context("a member without an id")?;
            let name = graph.names.get(id).context("a member that is no package")?.clone();
            graph.ids.insert(name.clone(), id.to_owned());
            graph.members.insert(name);
        }
        for node in list(&metadata["resolve"], "nodes")? {
            let mut normal = BTreeSet::new();
            for dependency in list(node, "deps")? {
                let kinds = list(dependency, "dep_kinds")?;
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    normal.insert(text(dependency, "pkg")?);
                }
            }
            graph.normal.insert(text(node, "id")?, normal);
        }
        Ok(graph)
    }

    /// The names of what a member depends on directly.
    fn direct(&self, member: &str) -> BTreeSet<&str> {
        let dependencies = self.ids.get(member).and_then(|id| self.normal.get(id)).into_iter().flatten();
        dependencies.filter_map(|id| self.names.get(id)).map(String::as_str).collect()
    }

    /// How a member reaches a package, if it does: the names on the way.
    fn path<'a>(&'a self, member: &'a str, goal: &str) -> Option<Vec<&'a str>> {
        let start = self.ids.get(member)?;
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = std::collections::VecDeque::from([start.as_str()]);
        while let Some(id) = waiting.pop_front() {
            if self.names.get(id).is_some_and(|name| name == goal) {
                let mut way = vec![id];
                while let Some(previous) = way.last().and_then(|last| before.get(last)) {
                    way.push(previous);
                }
                return Some(
                    way.iter().rev().filter_map(|id| self.names.get(*id)).map(String::as_str).collect(),
                );
            }
            for next in self.normal.get(id).into_iter().flatten() {
                if next != start && !before.contains_key(next.as_str()) {
                    before.insert(next, id);
                    waiting.push_back(next);
                }
            }
        }
        None
    }
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("cargo metadata has no list {key:?}"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("cargo metadata has no text {key:?}"))?.to_owned())
}

pub fn breaches(graph: &Graph) -> Vec<String> {
    let mut breaches = Vec::new();
    for member in &graph.members {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == member) else {
            breaches.push(format!("{member} is not in the list of crates in xtask/src/tidy/arrows.rs"));
            continue;
        };
        for dependency in graph.direct(member) {
            if graph.members.contains(dependency) && !allowed.contains(&dependency) {
                let why =
                    if dependency == ONLY_FOR_TESTS { "is only for tests" } else { "is no allowed arrow" };
                breaches.push(format!("{member} → {dependency}: {why}"));
            }
            for (import, importer) in SOLE_IMPORTERS {
                if dependency == *import && member != importer && member != "xtask" {
                    breaches.push(format!("{member} → {import}: only {importer} may import it"));
                }
            }
        }
        if BELOW_THE_WATERLINE.contains(&member.as_str()) {
            for engine in ENGINES {
                if let Some(way) = graph.path(member, engine) {
                    breaches.push(format!(
                        "{member} lies below the waterline but reaches {engine}: {}",
                        way.join(" → ")
                    ));
                }
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graph(arrows: &[(&str, &str, Option<&str>)]) -> Graph {
        let mut names: BTreeSet<&str> = arrows.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        names.insert("hw-event");
        let members: Vec<_> =
            names.iter().filter(|name| name.starts_with("hw-")).map(|name| format!("{name} 1")).collect();
        let packages: Vec<_> =
            names.iter().map(|name| json!({"id": format!("{name} 1"), "name": name})).collect();
        let node = |name: &&str| {
            let deps: Vec<_> = arrows
                .iter()
                .filter(|(from, _, _)| from == name)
                .map(|(_, to, kind)| json!({"pkg": format!("{to} 1"), "dep_kinds": [{"kind": kind}]}))
                .collect();
            json!({"id": format!("{name} 1"), "deps": deps})
        };
        let nodes: Vec<_> = names.iter().map(node).collect();
        Graph::of(&json!({
            "packages": packages, "workspace_members": members, "resolve": {"nodes": nodes}
        }))
        .unwrap()
    }

    #[test]
    fn allowed_arrows_and_those_of_tests_pass() {
        let graph = graph(&[
            ("hw-schema", "hw-event", None),
            ("hw-lake", "deltalake", None),
            ("deltalake", "parquet", None),
            ("hw-journal", "hw-testkit", Some("dev")),
        ]);
        assert_eq!(breaches(&graph), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_breach_is_found() {
        let found = |arrows: &[(&str, &str, Option<&str>)]| breaches(&graph(arrows)).join("; ");
        assert_eq!(
            found(&[("hw-journal", "hw-schema", None)]),
            "hw-journal → hw-schema: is no allowed arrow"
        );
        assert_eq!(found(&[("hw-gate", "hw-testkit", None)]), "hw-gate → hw-testkit: is only for tests");
        assert_eq!(
            found(&[("hw-gate", "other", None), ("other", "datafusion", None)]),
            "hw-gate lies below the waterline but reaches datafusion: hw-gate → other → datafusion"
        );
        assert_eq!(
            found(&[("hw-serve", "datafusion", None)]),
            "hw-serve → datafusion: only hw-query may import it"
        );
        assert!(found(&[("hw-new", "hw-event", None)]).starts_with("hw-new is not in the list"));
    }
}
