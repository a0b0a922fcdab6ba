//! An HTTP server that answers what a test wants, and images in the form in which it serves them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use layer::{DiffId, Digest};
use rbuild_image::platform::Platform;
use rbuild_image::pull::{self, RemoteImage};
use rbuild_image::registry::Settings;
use rbuild_image::transfer::{Observer, Unobserved};
use rbuild_image::{Client, Compression, Descriptor, Error, Manifest, MediaTypes, Reference};

use super::store::{Store, image_of, tar_of};

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in small letters.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the server answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Only so many bytes of the body are sent.
    pub(crate) cut: Option<usize>,
    /// Nothing is sent for so long.
    pub(crate) delay: Duration,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether it is for the registry's API, and for what behind `/v2/`.
    pub(crate) fn asks(&self, method: &str, end: &str) -> bool {
        self.method == method && self.target.ends_with(end)
    }
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn cut(mut self, cut: usize) -> Self {
        self.cut = Some(cut);
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// The server. It ends with the process.
pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(&stream.unwrap(), &*answer, &seen));
            }
        });
        Self { port, requests }
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        format!("127.0.0.1:{}/{name}", self.port).parse().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests of this kind came.
    pub(crate) fn count(&self, method: &str, end: &str) -> usize {
        let requests = self.requests();
        requests.iter().filter(|it| it.asks(method, end)).count()
    }
}

fn serve(
    stream: &TcpStream,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Request>>,
) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_request(&mut reader) else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    let reply = answer(&request);
    thread::sleep(reply.delay);
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    let length = ("content-length".to_owned(), reply.body.len().to_string());
    let own_length = reply.headers.iter().any(|(name, _)| *name == length.0);
    for (name, value) in reply.headers.iter().chain((!own_length).then_some(&length)) {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut out = stream;
    let sent = if request.method == "HEAD" {
        &[]
    } else {
        &reply.body[..reply.cut.unwrap_or(reply.body.len())]
    };
    // A client that has seen enough may be gone.
    out.write_all(head.as_bytes())
        .and_then(|()| out.write_all(sent))
        .ok();
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let body = match headers.get("content-length") {
        Some(length) => {
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            body
        }
        None if headers.contains_key("transfer-encoding") => read_chunks(reader)?,
        None => Vec::new(),
    };
    Some(Request {
        method,
        target,
        headers,
        body,
    })
}

/// A body whose length nobody knew before.
fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        // Each chunk ends with an empty line, and so does the body.
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(&chunk[..length]);
    }
}

/// An image as a registry has it: what a test may damage before it is served.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) manifest: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
    pub(crate) layer_digest: Digest,
    pub(crate) diff_id: DiffId,
}

impl Served {
    /// An image of one layer whose blob, uncompressed, is `length` bytes and some more.
    pub(crate) fn new(length: usize) -> Self {
        let layer = tar_of("file", &super::store::noise(length, 1));
        let diff_id = DiffId::new(Digest::of(&layer));
        Self::of(image_of(vec![diff_id]).config, layer, diff_id)
    }

    pub(crate) fn of(config: Vec<u8>, layer: Vec<u8>, diff_id: DiffId) -> Self {
        let types = MediaTypes::Oci;
        let blob = Descriptor::of(types.layer(Compression::None), &layer);
        let layer_digest = blob.digest;
        let config_blob = Descriptor::of(types.config(), &config);
        let (manifest, _) = Manifest::new(types, config_blob, vec![blob]).encode();
        Self {
            manifest,
            media_type: types.manifest().to_owned(),
            config,
            layer,
            layer_digest,
            diff_id,
        }
    }

    /// Answers as an honest registry does.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let path = request.target.split('?').next().unwrap();
        if path.contains("/manifests/") {
            return Reply::new(200)
                .with("content-type", &self.media_type)
                .with(
                    "docker-content-digest",
                    Digest::of(&self.manifest).to_string(),
                )
                .body(self.manifest.clone());
        }
        let config = Digest::of(&self.config).to_string();
        if path.ends_with(&config) {
            Reply::new(200).body(self.config.clone())
        } else if path.ends_with(&self.layer_digest.to_string()) {
            Reply::new(200).body(self.layer.clone())
        } else {
            Reply::new(404)
        }
    }
}

/// A client that is quick to try again.
pub(crate) fn client() -> Client {
    Client::new(settings())
}

pub(crate) fn settings() -> Settings {
    Settings {
        retry_wait: Duration::from_millis(5),
        ..Settings::default()
    }
}

/// Pulls an image and its layers into a new store.
pub(crate) async fn pull(reference: &Reference) -> Result<(RemoteImage, Store), Error> {
    pull_with(&client(), reference).await
}

pub(crate) async fn pull_with(
    client: &Client,
    reference: &Reference,
) -> Result<(RemoteImage, Store), Error> {
    let platform = Platform::new("linux", "amd64", "");
    let store = Store::new();
    let image = pull::fetch_image(client, reference, &platform).await?;
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    pull::fetch_layers(client, &image, &store.sink(), &observer).await?;
    Ok((image, store))
}

/// The messages of an error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
