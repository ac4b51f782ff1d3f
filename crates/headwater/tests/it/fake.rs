//! A stand-in for a server: answers what a test tells it to, and remembers what it was asked.
//! Always: a free port on the loopback interface, and an end when the value is dropped.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Request, Response, StatusCode, Uri},
};
use tokio::sync::oneshot;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub uri: Uri,
    pub headers: axum::http::HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// An answer: status, headers, body.
pub struct Answer(pub u16, pub Vec<(&'static str, String)>, pub String);

impl Answer {
    pub fn json(status: u16, body: impl ToString) -> Answer {
        Answer(status, vec![], body.to_string())
    }
}

type Decide = dyn FnMut(&Asked) -> Answer + Send;

struct Shared {
    decide: Mutex<Box<Decide>>,
    asked: Mutex<Vec<Asked>>,
}

pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Fake {
    pub fn new(decide: impl FnMut(&Asked) -> Answer + Send + 'static) -> Fake {
        let shared = Arc::new(Shared { decide: Mutex::new(Box::new(decide)), asked: Mutex::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Fake { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Gives these answers, one after another.
    pub fn with_answers(answers: Vec<Answer>) -> Fake {
        let mut answers = VecDeque::from(answers);
        Fake::new(move |_| answers.pop_front().expect("the client asked more often than the test foresaw"))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Runs a client command against this server.
    pub fn run(&self, arguments: &[&str], stdin: &[u8]) -> Done {
        let url = self.url();
        let mut command = headwater(arguments);
        command.env("HEADWATER_URL", url);
        finish(command, stdin)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let asked = Asked { uri: head.uri, headers: head.headers, body };
    let Answer(status, headers, body) = (shared.decide.lock().unwrap())(&asked);
    shared.asked.lock().unwrap().push(asked);
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// The binary, in a directory without a server.
pub fn headwater(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command.args(arguments).env_remove("HEADWATER_URL").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub bytes: Vec<u8>,
}

pub fn finish(mut command: Command, stdin: &[u8]) -> Done {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = thread::spawn(move || {
        // The command may end before it has read everything.
        let _ = std::io::Write::write_all(&mut input, &stdin);
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Done {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        bytes: stdout,
    }
}
