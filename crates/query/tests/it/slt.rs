//! Runs `tests/slt/*.slt` against the house.

use std::path::Path;

use async_trait::async_trait;
use hw_query::{Cut, QueryError, Runner};
use serde_json::Value;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};

use crate::house::{ask, house, runner, settings};

struct Database {
    runner: Runner,
    cut: Cut,
}

#[async_trait]
impl AsyncDB for Database {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let json = ask(&self.runner, &self.cut, sql).await.map_err(Refused)?;
        let json: Value = serde_json::from_str(&json).unwrap();
        let types =
            json["columns"].as_array().unwrap().iter().map(|column| match column["type"].as_str().unwrap() {
                name if name.contains("int") && !name.contains(['<', 'v']) => DefaultColumnType::Integer,
                name if name.starts_with("float") => DefaultColumnType::FloatingPoint,
                "string" => DefaultColumnType::Text,
                _ => DefaultColumnType::Any,
            });
        let rows = json["rows"].as_array().unwrap().iter();
        let rows = rows.map(|row| row.as_array().unwrap().iter().map(shown).collect()).collect();
        Ok(DBOutput::Rows { types: types.collect(), rows })
    }

    async fn shutdown(&mut self) {}
}

/// Spaces separate values in an .slt file.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[derive(Debug)]
struct Refused(QueryError);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code(), self.0)
    }
}

impl std::error::Error for Refused {}

#[tokio::test]
async fn every_slt_file_holds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let house = house();
    let runner = runner(settings());
    let mut faults = Vec::new();
    for file in files {
        let mut tester = sqllogictest::Runner::new(|| async {
            Ok(Database { runner: runner.clone(), cut: house.cut.clone() })
        });
        tester.with_column_validator(sqllogictest::strict_column_validator);
        for record in sqllogictest::parse_file(&file).unwrap() {
            if let Err(fault) = tester.run_async(record).await {
                faults.push(format!("{}", fault.display(false)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
