//! Chat endpoints that answer well, badly, late or not at all: a small server of our own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use face_llava::data::ChatOptions;
use serde_json::{Value, json};

/// What the server does with request number n.
type Behaviour = dyn Fn(usize, &Value) -> Reply + Send + Sync;

/// What comes back.
pub(crate) enum Reply {
    /// A completion that ended by itself.
    Text(String),
    /// Status, a header, body.
    Raw(u16, &'static str, String),
    Hang,
    Close,
}

/// A chat endpoint on this machine.
pub(crate) struct Server {
    pub url: String,
    asked: Arc<AtomicUsize>,
    pub bodies: Arc<Mutex<Vec<Value>>>,
    /// What requests said about who asks.
    pub authorizations: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn new(behaviour: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (asked, bodies) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let authorizations = Arc::new(Mutex::new(Vec::new()));
        let server = Self { url, asked: asked.clone(), bodies: bodies.clone(), authorizations: authorizations.clone() };
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (behaviour, asked, bodies) = (behaviour.clone(), asked.clone(), bodies.clone());
                let authorizations = authorizations.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &*behaviour, &asked, &bodies, &authorizations));
            }
        });
        server
    }

    pub fn options(&self) -> ChatOptions {
        ChatOptions {
            timeout: Duration::from_secs(30),
            attempts: 3,
            pause: Duration::from_millis(5),
            prompt_price: 2.0,
            completion_price: 10.0,
            ..ChatOptions::new(&self.url, "tester")
        }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Answers the requests of one connection; a broken connection is the client's right.
fn serve(
    stream: TcpStream,
    behaviour: &Behaviour,
    asked: &AtomicUsize,
    bodies: &Mutex<Vec<Value>>,
    authorizations: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.to_lowercase().starts_with("authorization:") {
                authorizations.lock().unwrap().push(line["authorization:".len()..].trim().to_owned());
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        let reply = behaviour(asked.fetch_add(1, Ordering::SeqCst), &body);
        bodies.lock().unwrap().push(body);
        let (status, header, text) = match reply {
            Reply::Text(text) => (200, "x: y", completion(&text)),
            Reply::Raw(status, header, text) => (status, header, text),
            Reply::Hang => {
                std::thread::sleep(Duration::from_secs(5));
                return;
            }
            Reply::Close => return,
        };
        let head = format!("HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\n\r\n", text.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes())).is_err() {
            return;
        }
    }
}

fn completion(text: &str) -> String {
    let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 100 });
    json!({ "choices": [{ "message": { "content": text }, "finish_reason": "stop" }], "usage": usage }).to_string()
}
