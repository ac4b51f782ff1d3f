//! Planted bugs stay out of what is shipped: only tests may ask for the feature `sabotage`.
//! Always: no normal or build dependency names it, no other feature implies it, and none of the binary's crates arms a bug.

use anyhow::{Context, Result};
use serde_json::Value;

const FEATURE: &str = "sabotage";
/// The crate that has the feature.
const OWNER: &str = "hw-event";

/// From `cargo metadata`.
pub fn breaches(metadata: &Value) -> Result<Vec<String>> {
    let members = metadata["workspace_members"].as_array().context("cargo metadata names no members")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut breaches = Vec::new();
    for package in packages.iter().filter(|package| members.contains(&package["id"])) {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let asks = strings(&dependency["features"]).any(|feature| feature == FEATURE);
            if asks && dependency["kind"] != "dev" {
                breaches.push(format!("{name} asks for {FEATURE} outside of its tests"));
            }
        }
        for (feature, implied) in package["features"].as_object().into_iter().flatten() {
            let implies = strings(implied).any(|implied| implied.rsplit('/').next() == Some(FEATURE));
            if implies || (feature == FEATURE && name != OWNER) {
                breaches.push(format!("the feature {feature} of {name} switches {FEATURE} on"));
            }
        }
    }
    Ok(breaches)
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(dependency: Value, features: Value) -> Vec<String> {
        let package =
            json!({"id": "a", "name": "hw-lake", "dependencies": [dependency], "features": features});
        breaches(&json!({"workspace_members": ["a"], "packages": [package]})).unwrap()
    }

    #[test]
    fn only_a_dependency_of_tests_may_ask_for_it() {
        let dependency = |kind: Value| json!({"name": "hw-event", "kind": kind, "features": ["sabotage"]});
        assert_eq!(found(dependency(json!("dev")), json!({})), Vec::<String>::new());
        assert!(found(dependency(json!(null)), json!({}))[0].contains("outside of its tests"));
        let plain = json!({"name": "hw-event", "kind": null, "features": []});
        assert!(found(plain, json!({"default": ["hw-event/sabotage"]}))[0].contains("switches sabotage on"));
    }
}
