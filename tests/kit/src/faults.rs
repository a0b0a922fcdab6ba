//! A bad network and a bad server: a proxy before a registry that spoils chosen exchanges.

use std::io::{self, BufReader, Cursor, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What happens to an exchange.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection ends after so many bytes of the answer's body.
    Cut(u64),
    /// After so many bytes of the answer's body nothing comes for so long, and then the connection ends.
    Stall(u64, Duration),
    /// The answer is this status, with these headers.
    Status(u16, String),
    /// A byte of the answer's body is another.
    Flip(u64),
    /// The answer's body comes in pieces of so many bytes with pauses between them.
    Trickle(usize, Duration),
    /// A header of the answer is another.
    Header(&'static str, String),
    /// The connection ends after so many bytes of the request's body.
    CutRequest(u64),
    /// The registry gets the whole request, and the connection ends without an answer.
    LoseAnswer,
}

/// Which exchanges are spoiled, and how often.
#[derive(Debug)]
struct Rule {
    method: &'static str,
    part: String,
    times: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
    tokens: Option<Tokens>,
}

/// The tokens that the proxy asks for.
#[derive(Debug)]
struct Tokens {
    /// How many requests each is good for.
    uses: usize,
    /// How many each that was given is still good for.
    left: Vec<usize>,
    /// Requests that were refused, and with which token. Each is let in with another one, whoever has used that up in the
    /// meantime.
    refused: Vec<(String, Option<usize>)>,
}

/// The proxy. It ends with the process.
#[derive(Debug)]
pub struct Faults {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Faults {
    /// A proxy before the server on a port of loopback. It spoils nothing yet.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr();
        let port = address.expect("a bound socket has an address").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A broken exchange is what the proxy is for.
                thread::spawn(move || exchange(&client, server, port, &state).ok());
            }
        });
        Self { port, state }
    }

    /// Spoils the next `times` requests of a method whose target has `part` in it.
    pub fn add(&self, method: &'static str, part: &str, times: usize, fault: Fault) -> &Self {
        lock(&self.state).rules.push(Rule {
            method,
            part: part.to_owned(),
            times,
            fault,
        });
        self
    }

    /// Spoils nothing any more.
    pub fn clear(&self) {
        lock(&self.state).rules.clear();
    }

    /// From now on asks for tokens, each of which is good for `uses` requests, and for those that were refused before.
    pub fn ask_for_tokens(&self, uses: usize) {
        lock(&self.state).tokens = Some(Tokens {
            uses,
            left: Vec::new(),
            refused: Vec::new(),
        });
    }

    /// How many tokens were given.
    pub fn tokens_given(&self) -> usize {
        let state = lock(&self.state);
        state.tokens.as_ref().map_or(0, |tokens| tokens.left.len())
    }

    /// How many faults have yet to happen.
    pub fn left(&self) -> usize {
        lock(&self.state).rules.iter().map(|rule| rule.times).sum()
    }

    /// The requests so far: method, target and range, if it has one.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state).seen.clone()
    }

    /// `127.0.0.1:PORT`, as image names begin with it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The head of a request or an answer: its first line, and its headers with names in small letters.
struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(from: &mut impl io::BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        Ok(Self {
            first: lines.first().cloned().unwrap_or_default(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
        })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn write(&self, mut to: &TcpStream) -> io::Result<()> {
        let lines = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let text = format!("{}\r\n{}\r\n", self.first, lines.collect::<String>());
        to.write_all(text.as_bytes())
    }
}

fn exchange(
    mut client: &TcpStream,
    server: u16,
    port: u16,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut from_client = BufReader::new(client);
    let mut request = Head::read(&mut from_client)?;
    let mut body: Box<dyn Read> = match request.get("content-length") {
        Some(length) => {
            let length = length.parse().map_err(io::Error::other)?;
            Box::new((&mut from_client).take(length))
        }
        None if request.get("transfer-encoding").is_some() => Box::new(Chunks {
            from: &mut from_client,
            left: Cursor::default(),
            ended: false,
        }),
        None => Box::new(io::empty()),
    };
    let fault = match before(&request, port, &mut lock(state)) {
        Ok(fault) => fault,
        Err(answer) => {
            io::copy(&mut body, &mut io::sink())?;
            return client.write_all(answer.as_bytes());
        }
    };
    if let Some(Fault::Status(status, headers)) = &fault {
        io::copy(&mut body, &mut io::sink())?;
        let text = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
        );
        return client.write_all(text.as_bytes());
    }
    let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    request.set("connection", "close");
    request.write(&upstream)?;
    if let Some(Fault::CutRequest(length)) = fault {
        io::copy(&mut body.take(length), &mut &upstream)?;
        upstream.shutdown(Shutdown::Both)?;
        return client.shutdown(Shutdown::Both);
    }
    io::copy(&mut body, &mut &upstream)?;
    let mut from_server = BufReader::new(&upstream);
    let mut answer = Head::read(&mut from_server)?;
    answer.set("connection", "close");
    if let Some(Fault::Header(name, value)) = &fault {
        answer.set(name, value);
    }
    if matches!(fault, Some(Fault::LoseAnswer)) {
        return client.shutdown(Shutdown::Both);
    }
    answer.write(client)?;
    pass_on(&mut from_server, client, fault.as_ref())
}

/// A body in chunks, as it is on the wire.
struct Chunks<R> {
    from: R,
    /// What is left of the present one.
    left: Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: io::BufRead> Chunks<R> {
    fn next(&mut self) -> io::Result<()> {
        let mut chunk = String::new();
        self.from.read_line(&mut chunk)?;
        let length = u64::from_str_radix(chunk.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = chunk.into_bytes();
        // An empty line ends it.
        (&mut self.from).take(length + 2).read_to_end(&mut chunk)?;
        self.left = Cursor::new(chunk);
        self.ended = length == 0;
        Ok(())
    }
}

impl<R: io::BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.left.read(buffer)? {
            0 if !self.ended && !buffer.is_empty() => {
                self.next()?;
                self.left.read(buffer)
            }
            length => Ok(length),
        }
    }
}

/// The fault of a request, or the answer of the proxy itself.
fn before(request: &Head, port: u16, state: &mut State) -> Result<Option<Fault>, String> {
    let mut words = request.first.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let range = request.get("range").or(request.get("content-range"));
    let range = range.map(|range| format!(" {range}")).unwrap_or_default();
    state.seen.push(format!("{method} {target}{range}"));
    if let Some(tokens) = &mut state.tokens {
        tokens.admit(request, target, port)?;
    }
    let rule = state
        .rules
        .iter_mut()
        .find(|rule| rule.times > 0 && rule.method == method && target.contains(&rule.part));
    Ok(rule.map(|rule| {
        rule.times -= 1;
        rule.fault.clone()
    }))
}

impl Tokens {
    /// Counts a use of a token; the answer to those who have none that is good.
    fn admit(&mut self, request: &Head, target: &str, port: u16) -> Result<(), String> {
        let answer = |status: &str, headers: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
                body.len()
            )
        };
        if target.starts_with("/token") {
            let body = format!("{{\"token\":\"{}\",\"expires_in\":3600}}", self.left.len());
            self.left.push(self.uses);
            return Err(answer("200 OK", "", &body));
        }
        let shown = request.get("authorization").unwrap_or_default();
        let number: Option<usize> = shown.strip_prefix("Bearer ").and_then(|it| it.parse().ok());
        let known = number.is_some_and(|number| number < self.left.len());
        let again = self
            .refused
            .iter()
            .position(|(refused, token)| *refused == request.first && *token != number);
        if let Some(again) = again.filter(|_| known) {
            self.refused.swap_remove(again);
            return Ok(());
        }
        let left = number.and_then(|number| self.left.get_mut(number));
        let Some(left) = left.filter(|left| **left > 0) else {
            self.refused.push((request.first.clone(), number));
            let challenge = format!(
                "www-authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"s\",error=\"invalid_token\"\r\n"
            );
            return Err(answer("401 Unauthorized", &challenge, ""));
        };
        *left -= 1;
        Ok(())
    }
}

/// Passes the body of an answer on, as the fault wants it.
fn pass_on(from: &mut impl Read, mut to: &TcpStream, fault: Option<&Fault>) -> io::Result<()> {
    match fault {
        Some(Fault::Cut(length)) => io::copy(&mut from.take(*length), &mut to).map(drop),
        Some(Fault::Stall(length, time)) => {
            io::copy(&mut from.take(*length), &mut to)?;
            thread::sleep(*time);
            Ok(())
        }
        Some(Fault::Flip(at)) => {
            io::copy(&mut from.take(*at), &mut to)?;
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            to.write_all(&[byte[0] ^ 0x55])?;
            io::copy(from, &mut to).map(drop)
        }
        Some(Fault::Trickle(length, pause)) => {
            let mut piece = vec![0; *length];
            loop {
                match from.read(&mut piece)? {
                    0 => return Ok(()),
                    length => to.write_all(&piece[..length])?,
                }
                thread::sleep(*pause);
            }
        }
        _ => io::copy(from, &mut to).map(drop),
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
