//! A web server of a test: pages that behave well or badly, and Git repositories.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Where repositories are.
const GIT: &str = "/git/";

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Page {
    /// A body with these headers. One with an `ETag` is not sent to whoever has it.
    Body(Vec<u8>, Vec<(&'static str, String)>),
    /// Another place.
    Redirect(String),
    /// Nothing but a status.
    Status(u16),
    /// A body that is shorter than its announced length.
    Short(Vec<u8>, usize),
    /// A body for whoever sends this header `Authorization` only.
    Guarded(String, Vec<u8>),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path`.
    pub line: String,
    /// Headers, names in small letters.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeMap<String, Page>,
    requests: Vec<Request>,
    repositories: PathBuf,
    /// The header `Authorization` that repositories are given for only.
    login: Option<String>,
}

/// The server. It ends with the process.
#[derive(Debug)]
pub struct Web {
    port: u16,
    state: Arc<Mutex<State>>,
    repositories: tempfile::TempDir,
}

impl Web {
    /// A server on a port of loopback, without any page.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it starts something")]
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr();
        let port = address.expect("a bound socket has an address").port();
        let repositories = crate::scratch();
        let state = Arc::new(Mutex::new(State {
            repositories: repositories.path().to_owned(),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client may go away in the middle of an answer.
                thread::spawn(move || answer(client, &state).ok());
            }
        });
        Self {
            port,
            state,
            repositories,
        }
    }

    /// Puts a page at a path, in place of an earlier one.
    pub fn put(&self, path: &str, page: Page) -> &Self {
        lock(&self.state).pages.insert(path.to_owned(), page);
        self
    }

    /// Puts a plain body at a path.
    pub fn body(&self, path: &str, body: impl AsRef<[u8]>) -> &Self {
        self.put(path, Page::Body(body.as_ref().to_vec(), Vec::new()))
    }

    /// `http://127.0.0.1:PORT` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The requests for a path so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let state = lock(&self.state);
        let wanted = format!(" {path}");
        let found = state.requests.iter().filter(|it| it.line.contains(&wanted));
        found.cloned().collect()
    }

    /// Gives repositories to whoever sends this header `Authorization` only.
    pub fn guard_repositories(&self, login: &str) {
        lock(&self.state).login = Some(login.to_owned());
    }

    /// A new repository with a first branch `main`, served as `/git/NAME`. Gives its directory, in which `git` works.
    #[track_caller]
    pub fn repository(&self, name: &str) -> PathBuf {
        let directory = self.repositories.path().join(name);
        std::fs::create_dir_all(&directory).expect("the scratch directory can be written");
        git(&directory, &["init", "--quiet", "--initial-branch=main"]);
        directory
    }

    /// The URL of a repository.
    pub fn repository_url(&self, name: &str) -> String {
        self.url(&format!("{GIT}{name}"))
    }
}

/// Runs `git` in a directory as a user of no consequence at a time long ago, and gives what it writes.
#[track_caller]
pub fn git(directory: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Nobody")
            .env(format!("GIT_{role}_EMAIL"), "nobody@example.com")
            .env(format!("GIT_{role}_DATE"), "2001-02-03T04:05:06Z");
    }
    let outcome = crate::command::run(&mut command);
    outcome.succeeded().trim().to_owned()
}

/// Commits everything in a directory, and gives the commit.
#[track_caller]
pub fn commit(directory: &Path) -> String {
    git(directory, &["add", "--all"]);
    git(
        directory,
        &["commit", "--quiet", "--allow-empty", "-m", "x"],
    );
    git(directory, &["rev-parse", "HEAD"])
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let request = read(&mut reader)?;
    let mut parts = request.line.split(' ');
    let (method, target) = (
        parts.next().unwrap_or_default().to_owned(),
        parts.next().unwrap_or_default().to_owned(),
    );
    let (page, repositories, login) = {
        let mut state = lock(state);
        state.requests.push(request.clone());
        let path = target.split('?').next().unwrap_or_default();
        let page = state.pages.get(path).cloned();
        (page, state.repositories.clone(), state.login.clone())
    };
    let mut client = client;
    if let (None, Some(rest)) = (&page, target.strip_prefix(GIT)) {
        if login.is_some() && request.headers.get("authorization") != login.as_ref() {
            return send(&mut client, 401, &[], b"");
        }
        return serve(
            &mut client,
            &mut reader,
            &request,
            &method,
            rest,
            &repositories,
        );
    }
    match page {
        None => send(&mut client, 404, &[], b"nothing"),
        Some(Page::Status(status)) => send(&mut client, status, &[], b""),
        Some(Page::Redirect(to)) => send(&mut client, 302, &[("Location", to)], b""),
        Some(Page::Short(body, length)) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            client.write_all(head.as_bytes())?;
            client.write_all(&body)
        }
        Some(Page::Guarded(login, body)) => {
            let known = request.headers.get("authorization") == Some(&login);
            let (status, body) = if known {
                (200, &*body)
            } else {
                (401, &b""[..])
            };
            send(&mut client, status, &[], body)
        }
        Some(Page::Body(body, headers)) => {
            let etag = headers.iter().find(|(name, _)| *name == "ETag");
            let known = request.headers.get("if-none-match");
            let same = etag.is_some_and(|(_, etag)| Some(etag) == known);
            let since = headers.iter().find(|(name, _)| *name == "Last-Modified");
            let asked = request.headers.get("if-modified-since");
            let old = etag.is_none() && since.is_some_and(|(_, since)| Some(since) == asked);
            if same || old {
                return send(&mut client, 304, &headers, b"");
            }
            send(&mut client, 200, &headers, &body)
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Request {
        line: line.trim_end().to_owned(),
        headers,
    })
}

fn send(
    client: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if status != 304 {
        head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    client.write_all(format!("{head}\r\n").as_bytes())?;
    client.write_all(body)
}

/// Has `git http-backend` answer (RFC 3875).
fn serve(
    client: &mut TcpStream,
    reader: &mut BufReader<TcpStream>,
    request: &Request,
    method: &str,
    target: &str,
    repositories: &Path,
) -> io::Result<()> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let length: u64 = header("content-length").parse().unwrap_or(0);
    let mut input = Vec::new();
    reader.take(length).read_to_end(&mut input)?;
    // What was made with a directory of files has its repository in that.
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let mut child = Command::new("git")
        .args([
            "-c",
            "uploadpack.allowAnySHA1InWant=true",
            "-c",
            "safe.directory=*",
        ])
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", repositories)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{name}/.git/{rest}"))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", input.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let feeder = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    drop(feeder.join());
    let end = output
        .stdout
        .windows(4)
        .position(|part| part == b"\r\n\r\n");
    let end = end.unwrap_or(output.stdout.len());
    let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let body = output.stdout.get(end + 4..).unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for line in head.lines().filter(|line| !line.starts_with("Status:")) {
        answer.extend([line, "\r\n"]);
    }
    answer.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n"]);
    client.write_all(answer.as_bytes())?;
    client.write_all(body)
}
