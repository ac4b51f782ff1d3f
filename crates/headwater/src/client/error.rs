//! Why a client command failed, and with which exit code it ends.

use std::io;

use serde::Deserialize;

use crate::{exit::Exit, output};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no server answers at {url}: {reason}")]
    NoServer { url: String, reason: String, hint: String },
    #[error("the answer of {url} broke off: {reason}")]
    BrokenOff { url: String, reason: String },
    #[error("{url} gave an answer that makes no sense: {reason}")]
    Strange { url: String, reason: String },
    #[error("refused ({}): {}", problem.status, problem.text())]
    Refused { problem: Problem },
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("{message}")]
    NotFound { message: String, hint: String },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// What an RFC 9457 problem says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub status: u16,
    pub code: String,
    pub title: String,
    pub detail: String,
    pub hint: String,
}

impl Problem {
    fn text(&self) -> String {
        let said = [&self.detail, &self.title].into_iter().find(|text| !text.is_empty());
        let said = said.map_or("the server gave no reason", String::as_str);
        if self.code.is_empty() { said.to_owned() } else { format!("{said} [{}]", self.code) }
    }
}

impl ClientError {
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> ClientError {
        ClientError::Usage { message: message.into(), hint: hint.into() }
    }

    pub fn exit(&self) -> Exit {
        match self {
            ClientError::NoServer { .. } | ClientError::BrokenOff { .. } | ClientError::Strange { .. } => {
                Exit::NoServer
            }
            ClientError::Refused { .. } => Exit::Refused,
            ClientError::Usage { .. } | ClientError::Output(_) => Exit::Usage,
            ClientError::NotFound { .. } => Exit::False,
        }
    }

    fn hint(&self) -> &str {
        match self {
            ClientError::NoServer { hint, .. }
            | ClientError::Usage { hint, .. }
            | ClientError::NotFound { hint, .. } => hint,
            ClientError::BrokenOff { .. } => "the server may have stopped; its log says why",
            ClientError::Strange { .. } => "is this a Headwater server of this version?",
            ClientError::Refused { problem } => &problem.hint,
            ClientError::Output(_) => "",
        }
    }

    /// For standard error.
    pub fn render(&self) -> String {
        let clean = |text: &str| -> String {
            let keep = |c: char| if output::steers_a_terminal(c) && c != '\n' { '\u{fffd}' } else { c };
            text.chars().map(keep).collect()
        };
        match self.hint() {
            "" => format!("error: {}\n", clean(&self.to_string())),
            hint => format!("error: {}\n  hint: {}\n", clean(&self.to_string()), clean(hint)),
        }
    }
}
