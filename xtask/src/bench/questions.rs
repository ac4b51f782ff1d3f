//! Questions in SQL as they lie in `bench/NAME/queries`: one statement a file, numbered, with its head in comments, and the few places
//! where a system needs other words (`bench/NAME/dialects.toml`). Always: all systems are asked the same text but for those places.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// In the head of a statement that leaves open which rows it gives.
const OPEN: &str = "only their number is compared";

pub struct Question {
    pub number: u64,
    /// The first line of its head.
    pub title: String,
    text: String,
    /// Which rows it gives is not determined.
    pub open: bool,
    dialects: Vec<Dialect>,
}

/// Other words for one system in one question.
struct Dialect {
    system: String,
    from: String,
    to: String,
}

impl Question {
    /// The statement for a system.
    pub fn text_for(&self, system: &str) -> String {
        let dialects = self.dialects.iter().filter(|dialect| dialect.system == system);
        dialects.fold(self.text.clone(), |text, dialect| text.replace(&dialect.from, &dialect.to))
    }

    fn parse(number: u64, file: &str, parameters: &[(&str, String)]) -> Result<Question> {
        let (head, body): (Vec<&str>, Vec<&str>) = file.lines().partition(|line| line.starts_with("--"));
        let title = head.first().context("no head of comments")?.trim_matches(['-', ' ', '.']).to_owned();
        let text = body.join("\n").trim().trim_end_matches(';').to_owned();
        let text = parameters.iter().fold(text, |text, (name, value)| text.replace(name, value));
        ensure!(!text.is_empty() && !text.contains(';'), "not one statement");
        let open = head.join(" ").contains(OPEN);
        Ok(Question { number, title, text, open, dialects: Vec::new() })
    }
}

/// The questions of a bench in the order of their numbers. `parameters` are replaced in their texts.
pub fn read(bench: &Path, parameters: &[(&str, String)]) -> Result<Vec<Question>> {
    let directory = bench.join("queries");
    let mut questions = Vec::new();
    for entry in
        std::fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let number = number.with_context(|| format!("{} has no number", path.display()))?;
        let question = Question::parse(number, &std::fs::read_to_string(&path)?, parameters);
        questions.push(question.with_context(|| path.display().to_string())?);
    }
    questions.sort_by_key(|question| question.number);
    let dialects = bench.join("dialects.toml");
    if dialects.is_file() {
        let table = std::fs::read_to_string(&dialects)?.parse::<toml::Table>().context("dialects.toml")?;
        add_dialects(&table, &mut questions)?;
    }
    Ok(questions)
}

fn add_dialects(table: &toml::Table, questions: &mut [Question]) -> Result<()> {
    for (system, changes) in table {
        for change in changes.as_array().into_iter().flatten() {
            let text = |name: &str| change.get(name).and_then(toml::Value::as_str).map(str::to_owned);
            let number =
                change.get("question").and_then(toml::Value::as_integer).and_then(|n| n.try_into().ok());
            let question = questions.iter_mut().find(|question| Some(question.number) == number);
            let question = question.with_context(|| format!("{system}: no question {number:?}"))?;
            let (from, to) = text("from").zip(text("to")).context("a change needs from and to")?;
            ensure!(question.text.contains(&from), "question {} has no {from:?}", question.number);
            question.dialects.push(Dialect { system: system.clone(), from, to });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    #[test]
    fn a_head_is_no_part_of_the_statement_and_dialects_are() {
        let file = "-- How many.\n-- Which rows is open: only their number is compared.\nSELECT a\nFROM t LIMIT {N};\n";
        let mut questions = [Question::parse(7, file, &[("{N}", "3".to_owned())]).unwrap()];
        assert_eq!((questions[0].title.as_str(), questions[0].open), ("How many", true));
        let table = "[[duckdb]]\nquestion = 7\nfrom = \"t LIMIT\"\nto = \"u LIMIT\"\n".parse().unwrap();
        add_dialects(&table, &mut questions).unwrap();
        assert_eq!(questions[0].text_for("ours"), "SELECT a\nFROM t LIMIT 3");
        assert_eq!(questions[0].text_for("duckdb"), "SELECT a\nFROM u LIMIT 3");
        let table = "[[duckdb]]\nquestion = 7\nfrom = \"v\"\nto = \"w\"\n".parse().unwrap();
        assert!(add_dialects(&table, &mut questions).is_err());
    }

    #[test]
    fn the_benches_have_all_their_questions() {
        for (bench, count) in [("tpch", 22), ("clickbench", 43)] {
            let questions = read(&root().join("bench").join(bench), &[]).unwrap();
            let numbers: Vec<u64> = questions.iter().map(|question| question.number).collect();
            assert_eq!(numbers, (1..=count).collect::<Vec<u64>>());
        }
    }
}
