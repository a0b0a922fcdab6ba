//! A registry that answers anything: each answer is a part of the input, bytes as they come over the wire. A pull from
//! it may fail, but ends.
#![no_main]

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use image::platform::Platform;
use image::pull;
use image::registry::Settings;
use image::transfer::{LayerSink, Observer, Unobserved};
use image::{Client, Reference};
use rbuild_fuzz::Forgetful;
use tokio::runtime::Runtime;

/// What divides answers in the input.
const DIVIDER: &[u8] = b"\n--\n";

/// How long one input may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Answers that are still to be given, the next one last.
type Answers = Arc<Mutex<Vec<Vec<u8>>>>;

struct Server {
    client: Client,
    reference: Reference,
    answers: Answers,
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static SERVER: OnceLock<Server> = OnceLock::new();
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the kernel gives descriptors"),
        );
    }
    let server = SERVER.get_or_init(Server::start);
    let mut answers = split(bytes);
    answers.reverse();
    *server
        .answers
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = answers;
    RUNTIME.with_borrow_mut(|runtime| {
        // An answer may ask to be left alone for a while, which is no fault.
        let visit = async { tokio::time::timeout(PATIENCE, visit(server)).await };
        runtime.block_on(visit).ok();
    });
});

/// Pulls once; any end will do.
async fn visit(server: &Server) {
    let Server {
        client, reference, ..
    } = server;
    let platform = Platform::new("linux", "amd64", "");
    if let Ok(found) = pull::fetch_image(client, reference, &platform).await {
        let sink: Arc<dyn LayerSink> = Arc::new(Forgetful);
        let observer: Arc<dyn Observer> = Arc::new(Unobserved);
        drop(pull::fetch_layers(client, &found, &sink, &observer).await);
    }
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while let Some(at) = bytes
        .windows(DIVIDER.len())
        .position(|window| window == DIVIDER)
    {
        parts.push(bytes[..at].to_vec());
        bytes = &bytes[at + DIVIDER.len()..];
    }
    parts.push(bytes.to_vec());
    parts
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let answers = Answers::default();
        let given = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let next = given.lock().unwrap_or_else(PoisonError::into_inner).pop();
                answer(stream, next.as_deref());
            }
        });
        let reference = format!("127.0.0.1:{port}/a/b").parse();
        let client = Client::new(Settings {
            connect_timeout: Duration::from_secs(1),
            stall_timeout: Duration::from_millis(20),
            retry_wait: Duration::from_micros(1),
            ..Settings::default()
        });
        Self {
            client,
            reference: reference.expect("a name"),
            answers,
        }
    }
}

/// One request, one answer, and the connection is gone.
fn answer(mut stream: TcpStream, bytes: Option<&[u8]>) {
    let timeout = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut request = Vec::new();
    let mut block = [0; 4096];
    while timeout.is_ok() && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut block) {
            Ok(read) if read > 0 => request.extend_from_slice(&block[..read]),
            _ => return,
        }
    }
    // A client that has seen enough may be gone.
    let _ = stream.write_all(bytes.unwrap_or(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n"));
}
