//! What a newcomer gets wrong, and exactly what he is told: each file of `mistakes/` is an input and the answer to it.
//! Always: a file is a title, what is done, and after a line of `=` what was said, with ports and directories made the same.
//! `UPDATE_REFERENCE=1` writes the answers anew; then read them as a newcomer would: what is wrong, where, what to do.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::{
    fake::{finish, headwater},
    server::{Server, project},
};

const SAID: &str = "\n====\n";

/// `--- PATH` begins a file, `$ …` is a command without a server, `$server …` one with it, `> METHOD PATH` a request with
/// its headers, an empty line and its body. `{{x*100}}` stands for a hundred x.
enum Step {
    File { path: String, text: String },
    Command { arguments: Vec<String>, with_server: bool, stdin: String },
    Request { method: String, path: String, headers: Vec<(String, String)>, body: String },
}

fn steps(input: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_body = false;
    for line in input.lines().skip(1) {
        if let Some(path) = line.strip_prefix("--- ") {
            steps.push(Step::File { path: path.to_owned(), text: String::new() });
        } else if let Some((with_server, command)) = line
            .strip_prefix("$server ")
            .map(|command| (true, command))
            .or_else(|| line.strip_prefix("$ ").map(|command| (false, command)))
        {
            // Words in double quotes keep their blanks.
            let arguments = command.split('"').enumerate().flat_map(|(index, part)| match index % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            steps.push(Step::Command { arguments: arguments.collect(), with_server, stdin: String::new() });
        } else if let Some(request) = line.strip_prefix("> ") {
            let (method, path) = request.split_once(' ').unwrap();
            let (method, path) = (method.to_owned(), path.to_owned());
            steps.push(Step::Request { method, path, headers: Vec::new(), body: String::new() });
            in_body = false;
        } else {
            match steps.last_mut() {
                Some(Step::File { text, .. } | Step::Command { stdin: text, .. }) => {
                    text.push_str(line);
                    text.push('\n');
                }
                Some(Step::Request { headers, body, .. }) => match line.split_once(": ") {
                    _ if in_body => {
                        body.push_str(&repeated(line));
                        body.push('\n');
                    }
                    Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                    None => in_body = line.is_empty(),
                },
                None => assert!(line.is_empty(), "{line:?} stands before the first step"),
            }
        }
    }
    steps
}

fn repeated(line: &str) -> String {
    let Some((before, rest)) = line.split_once("{{") else { return line.to_owned() };
    let (what, after) = rest.split_once("}}").unwrap();
    let (text, count) = what.split_once('*').unwrap();
    format!("{before}{}{after}", text.repeat(count.parse().unwrap()))
}

async fn answer(steps: Vec<Step>, server: &Server) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut said = String::new();
    for step in steps {
        match step {
            Step::File { path, text } => {
                let path = directory.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Step::Command { arguments, with_server, stdin } => {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let mut command = headwater(&arguments);
                command.current_dir(directory.path());
                if with_server {
                    command.env("HEADWATER_URL", &server.http);
                }
                let done = finish(command, stdin.as_bytes());
                write!(said, "exit code {}\n{}{}", done.code, done.stderr, done.stdout).unwrap();
            }
            Step::Request { method, path, headers, body } => {
                let url = format!("{}{path}", server.http);
                let mut request = server.client().request(method.parse().unwrap(), url);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let response = request.body(body).send().await.unwrap();
                writeln!(said, "{}", response.status()).unwrap();
                let text = response.text().await.unwrap();
                match serde_json::from_str::<serde_json::Value>(&text) {
                    Ok(value) => writeln!(said, "{value:#}").unwrap(),
                    Err(_) => writeln!(said, "{text}").unwrap(),
                }
            }
        }
    }
    normal(&said, directory.path(), server)
}

fn normal(said: &str, directory: &Path, server: &Server) -> String {
    let said = said.replace(&directory.display().to_string(), "DIR").replace(&server.http, "http://SERVER");
    // Where a receipt's events lie depends on those before it.
    let lines = said.lines().map(|line| match line.trim_start().split_once(": ") {
        Some((name @ ("\"base\"" | "\"seq\"" | "\"partition\""), _)) => {
            let indent = line.len() - line.trim_start().len();
            format!("{}{name}: N", " ".repeat(indent))
        }
        _ => line.trim_end().to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test]
async fn a_mistake_is_answered_with_what_where_and_what_to_do() {
    let update = std::env::var_os("UPDATE_REFERENCE").is_some();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 20, "{} files", paths.len());

    let directory = tempfile::tempdir().unwrap();
    let schema = r#"{"type": "object", "properties": {"id": {"type": "string"}, "value": {"type": "number"}},
        "required": ["id"]}"#;
    let project = project(
        directory.path(),
        &[("schemas/sensor.reading.json", schema), ("schemas/orders.json", schema)],
    );
    let server = Server::start(&project, &directory.path().join("data"));

    let mut differing = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (input, stored) = text.split_once(SAID).unwrap_or((&text, ""));
        let said = answer(steps(input), &server).await;
        if update {
            std::fs::write(&path, format!("{}{SAID}{said}", input.trim_end())).unwrap();
        } else if said != stored {
            differing.push(format!("{}\n--- stored\n{stored}--- said\n{said}", path.display()));
        }
    }
    assert!(
        differing.is_empty(),
        "{}\nUPDATE_REFERENCE=1 writes these files anew; read them then",
        differing.join("\n\n")
    );
    server.terminate();
}
