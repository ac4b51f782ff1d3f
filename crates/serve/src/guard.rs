//! Who may speak to a loopback listener: a program on this machine, and pages that this server itself served.
//! Always: a request passes only if it names this server (`Host`) and, if a browser sent it from a page, that page is
//! this server's (`Origin`). A page of the web can point its own name at 127.0.0.1 (DNS rebinding) or post to
//! it across origins; neither passes. Does not authenticate.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, header, uri::Authority};

use crate::Problem;

/// The port that the listener is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    port: u16,
}

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Guard {
    pub fn new(port: u16) -> Guard {
        Guard { port }
    }

    /// For `axum::middleware::from_fn_with_state`, around all routes.
    pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
        match guard.admit(&request) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    }

    fn admit(self, request: &Request) -> Result<(), Problem> {
        self.admit_host(request)?;
        self.admit_page(request.method(), request.headers())
    }

    /// HTTP/2 and requests in absolute form carry the name in the URI; if `Host` is there too, both must pass.
    fn admit_host(self, request: &Request) -> Result<(), Problem> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(bad_host("the request has more than one Host"));
        }
        let authority = request.uri().authority();
        if host.is_none() && authority.is_none() {
            return Err(bad_host("the request has no Host"));
        }
        if let Some(host) = host {
            let host: Authority = host
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| bad_host("the Host cannot be read"))?;
            self.admit_name(&host)?;
        }
        authority.map_or(Ok(()), |authority| self.admit_name(authority))
    }

    fn admit_name(self, name: &Authority) -> Result<(), Problem> {
        if self.is_ours(name) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            "the request is for another host",
            format!("use http://127.0.0.1:{0} or http://localhost:{0}", self.port),
        ))
    }

    fn is_ours(self, name: &Authority) -> bool {
        // Whatever stands before an @ is no name, and nobody means well with it.
        let bare = !name.as_str().contains('@');
        let known = NAMES.iter().any(|known| name.host().eq_ignore_ascii_case(known));
        // `localhost:` has a colon and no number: not one that a client sends.
        let port = match name.port() {
            Some(port) => port.as_u16() == self.port,
            None => !name.as_str().ends_with(':'),
        };
        bare && known && port
    }

    fn admit_page(self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let foreign = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "the request comes from a page of another origin",
                "only this server's own pages may call it; programs send no Origin",
            )
        };
        for origin in headers.get_all(header::ORIGIN) {
            let text = origin.to_str().map_err(|_| foreign())?;
            let authority = text.strip_prefix("http://").and_then(|rest| rest.parse::<Authority>().ok());
            // An origin without a port is port 80.
            let ours = authority
                .is_some_and(|name| self.is_ours(&name) && (name.port().is_some() || self.port == 80));
            if !ours {
                return Err(foreign());
            }
        }
        // Browsers send no Origin with a plain GET, but say from where it comes. Following a link is fine.
        let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let elsewhere = matches!(says("sec-fetch-site"), Some("cross-site" | "same-site"));
        let link = method == Method::GET && says("sec-fetch-mode") == Some("navigate");
        if elsewhere && !link {
            return Err(foreign());
        }
        Ok(())
    }
}

fn bad_host(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail, "send one Host header with this server's name")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn verdict(uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match Guard::new(8080).admit(&request.body(Body::empty()).unwrap()) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        }
    }

    #[test]
    fn only_our_own_names_pass() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"] {
            assert_eq!(verdict("/", &[("host", host)]), 200, "{host}");
            assert_eq!(verdict(&format!("http://{host}/"), &[]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost:8081",
            "localhost.",
            "localhost.evil.example",
            "127.0.0.2",
            "127.0.0.1.evil.example:8080",
            "user@localhost:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "localhost:80",
            "1",
            "2130706433",
            "[::ffff:127.0.0.1]:8080",
            "localhost:",
        ] {
            assert_eq!(verdict("/", &[("host", host)]), 403, "{host}");
        }
        assert_eq!(verdict("/", &[]), 400);
        assert_eq!(verdict("/", &[("host", "")]), 400);
        assert_eq!(verdict("/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(verdict("http://evil.example/", &[("host", "localhost")]), 403);
        assert_eq!(verdict("http://localhost/", &[("host", "evil.example")]), 403);
    }

    #[test]
    fn pages_of_others_are_refused() {
        let host = ("host", "localhost:8080");
        for origin in ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert_eq!(verdict("/", &[host, ("origin", origin)]), 200, "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://localhost:8080",
            "http://localhost",
            "http://localhost:3000",
            "http://evil.example",
            "http://evil.example:8080",
            "file://",
            "http://localhost:8080@evil.example",
            "localhost:8080",
        ] {
            assert_eq!(verdict("/", &[host, ("origin", origin)]), 403, "{origin}");
        }
        let from = |site, mode| verdict("/", &[host, ("sec-fetch-site", site), ("sec-fetch-mode", mode)]);
        assert_eq!(from("cross-site", "no-cors"), 403);
        assert_eq!(from("same-site", "cors"), 403);
        assert_eq!(from("cross-site", "navigate"), 200);
        assert_eq!(from("same-origin", "cors"), 200);
        assert_eq!(from("none", "navigate"), 200);
    }
}
