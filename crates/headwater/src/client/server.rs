//! Finding the server, and asking it over HTTP.
//! Always: the order is `--url`, `$HEADWATER_URL`, `--data`, `./.headwater`, then the default address.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::error::{ClientError, Problem};
use crate::cli::ServerArgs;

const ENDPOINTS_FILE: &str = "endpoints.json";
const DEFAULT_DATA: &str = ".headwater";
const DEFAULT_URL: &str = "http://127.0.0.1:8080";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An error's body is read up to here.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// What a running server writes into its data directory.
#[derive(Debug, Deserialize)]
pub struct Endpoints {
    #[serde(default)]
    pub http: Vec<String>,
    #[serde(default)]
    pub tcp: BTreeMap<String, String>,
}

impl Endpoints {
    /// `None`: the directory has no such file, because no server runs there.
    fn read(directory: &Path) -> Result<Option<Endpoints>, ClientError> {
        let path = directory.join(ENDPOINTS_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(ClientError::usage(format!("cannot read {}: {error}", path.display()), ""));
            }
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            ClientError::usage(
                format!("{} makes no sense: {error}", path.display()),
                "it is written by `headwater up`; start the server again",
            )
        })
    }
}

pub struct Server {
    http: reqwest::Client,
    base: Url,
    /// How the address was found, for the error when nobody answers.
    found: String,
}

/// The endpoints of the data directory that the arguments mean, if a server runs there.
pub fn endpoints(arguments: &ServerArgs) -> Result<Option<Endpoints>, ClientError> {
    match &arguments.data {
        Some(directory) => match Endpoints::read(directory)? {
            Some(endpoints) => Ok(Some(endpoints)),
            None => Err(ClientError::NoServer {
                url: directory.display().to_string(),
                reason: format!("the directory has no {ENDPOINTS_FILE}"),
                hint: format!("start one: headwater up DIR --data {}", directory.display()),
            }),
        },
        None => {
            let directory = PathBuf::from(DEFAULT_DATA);
            match Endpoints::read(&directory)? {
                // This project's server is down or starting; the default address may be another project's.
                None if directory.is_dir() => Err(ClientError::NoServer {
                    url: directory.display().to_string(),
                    reason: format!("the directory has no {ENDPOINTS_FILE}"),
                    hint: "start the server: headwater up; or name another with --url".to_owned(),
                }),
                found => Ok(found),
            }
        }
    }
}

/// Whether a server answers at the addresses that a data directory names. One that was killed leaves its file behind.
pub async fn runs_at(directory: &Path) -> Result<bool, ClientError> {
    let Some(endpoints) = Endpoints::read(directory)? else { return Ok(false) };
    for url in &endpoints.http {
        let Ok(url) = Url::parse(url) else { continue };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { continue };
        let connect = tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port));
        if matches!(tokio::time::timeout(CONNECT_TIMEOUT, connect).await, Ok(Ok(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Server {
    pub fn find(arguments: &ServerArgs) -> Result<Server, ClientError> {
        let (url, found) = if let Some(url) = &arguments.url {
            (url.clone(), "given by --url or HEADWATER_URL".to_owned())
        } else if let Some(endpoints) = endpoints(arguments)? {
            let directory = arguments.data.clone().unwrap_or_else(|| DEFAULT_DATA.into());
            let path = directory.join(ENDPOINTS_FILE);
            let first = endpoints.http.into_iter().next();
            let first = first.ok_or_else(|| {
                ClientError::usage(format!("{} names no HTTP address", path.display()), "use --url")
            })?;
            (first, format!("found in {}", path.display()))
        } else {
            (DEFAULT_URL.to_owned(), "the default; --url, HEADWATER_URL and --data name another".to_owned())
        };
        let base = Url::parse(&url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
            .ok_or_else(|| {
                ClientError::usage(
                    format!("{url:?} is no URL of a server"),
                    "for example http://127.0.0.1:8080",
                )
            })?;
        // A proxy of the environment is meant for the outside; the server is near.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build();
        let http =
            http.map_err(|error| ClientError::usage(format!("cannot make HTTP requests: {error}"), ""))?;
        Ok(Server { http, base, found })
    }

    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// A request for the path below the base; segments and query are encoded here.
    pub fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url)
    }

    /// Sends; an answer of any status is an answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Sends; an answer other than 2xx is an error.
    pub async fn ask(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = self.send(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::NoServer {
            url: self.base().to_owned(),
            reason: innermost(error),
            hint: format!("the address was {}; start a server with: headwater up DIR", self.found),
        }
    }

    pub fn broken_off(&self, error: &reqwest::Error) -> ClientError {
        ClientError::BrokenOff { url: self.base().to_owned(), reason: innermost(error) }
    }

    pub fn strange(&self, reason: impl ToString) -> ClientError {
        ClientError::Strange { url: self.base().to_owned(), reason: reason.to_string() }
    }

    async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status();
        let body = self.body(response, PROBLEM_BYTES_MAX).await.unwrap_or_default();
        refused(status, &body)
    }

    /// Reads a whole body of bounded size.
    pub async fn body(&self, mut response: Response, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken_off(&error))? {
            if body.len() + chunk.len() > bytes_max {
                return Err(ClientError::usage(
                    format!("the answer is over {} MiB", bytes_max >> 20),
                    "ask for less (LIMIT), or use --format ndjson, csv or arrow, which are passed on as they come",
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The error that an answer other than 2xx stands for.
pub fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    let mut problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| Problem {
        detail: String::from_utf8_lossy(body).trim().chars().take(500).collect(),
        ..Problem::default()
    });
    problem.status = status.as_u16();
    ClientError::Refused { problem }
}

/// The last cause says the most: "Connection refused (os error 111)".
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
