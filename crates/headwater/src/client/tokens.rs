//! `headwater tokens reveal`.
//! Always: what a token stands for goes to standard output and nowhere else.

use std::io::{self, Write};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::ClientError, server::Server};
use crate::{cli, exit::Exit, output};

const ANSWER_BYTES_MAX: usize = 128 << 20;

#[derive(Deserialize)]
struct Answer {
    tokens: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    token: String,
    state: String,
    value: Option<String>,
}

pub async fn run(command: cli::Tokens) -> Result<Exit, ClientError> {
    match command {
        cli::Tokens::Reveal(arguments) => reveal(arguments).await,
    }
}

fn escaped(c: char) -> String {
    if output::steers_a_terminal(c) { c.escape_default().collect() } else { c.into() }
}

async fn reveal(arguments: cli::TokensReveal) -> Result<Exit, ClientError> {
    let server = Server::find(&arguments.server)?;
    let asked = json!({ "domain": arguments.domain, "tokens": arguments.tokens, "reason": arguments.reason });
    let request = server.request(Method::POST, &["v1", "tokens", "reveal"], &[]).json(&asked);
    let response = server.ask(request).await?;
    let body = server.body(response, ANSWER_BYTES_MAX).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| server.strange("no list of tokens"))?;
    let all = answer.tokens.iter().all(|told| told.value.is_some());
    let mut out = io::stdout().lock();
    if arguments.json {
        let whole: Value = serde_json::from_slice(&body).map_err(|_| server.strange("no JSON"))?;
        writeln!(out, "{whole:#}")?;
    } else {
        for told in &answer.tokens {
            let shown = match &told.value {
                // All of it: a value that is cut is another value.
                Some(value) => value.chars().map(escaped).collect(),
                None => format!("({})", output::printable(&told.state)),
            };
            writeln!(out, "{}  {shown}", output::printable(&told.token))?;
        }
    }
    out.flush()?;
    Ok(if all { Exit::Fine } else { Exit::False })
}
