//! Asking an endpoint, patiently but not for ever.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::{AnnotatorFault, ChatOptions};
use crate::data::seed::unit;

/// Bytes of a reply.
const MAX_REPLY: u64 = 1 << 20;
/// Bytes of a message that errors quote.
const QUOTED: usize = 200;
/// Longest pause between two attempts; an endpoint that wants more is taken to be down.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// A connection to one endpoint, shared by the workers.
pub(super) struct Client {
    agent: Agent,
    url: String,
    key: Option<String>,
    attempts: u32,
    pause: Duration,
    gap: Duration,
    /// When the next request may be made.
    next: Arc<Mutex<Instant>>,
    asked: AtomicU64,
}

/// Whether an address leads to this machine itself.
fn is_local(url: &str) -> bool {
    let url = url.parse::<ureq::http::Uri>().ok();
    url.as_ref().and_then(|url| url.host()).is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// What one attempt came to.
enum Attempt {
    Done(Value),
    Again { what: String, after: Option<Duration> },
    Failed(AnnotatorFault),
}

impl Client {
    pub fn new(options: &ChatOptions) -> Result<Self, AnnotatorFault> {
        let url = format!("{}/chat/completions", options.url.trim_end_matches('/'));
        if url.starts_with("https://") && !cfg!(feature = "tls") {
            return Err(AnnotatorFault::NoTls { url });
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let message = "an endpoint begins with http:// or https://".into();
            return Err(AnnotatorFault::Refused { url, status: 0, message });
        }
        let key = match &options.key_variable {
            None => None,
            Some(variable) => match std::env::var(variable) {
                Ok(key) if !key.trim().is_empty() => Some(key.trim().to_owned()),
                _ => return Err(AnnotatorFault::NoKey { variable: variable.clone() }),
            },
        };
        let config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("face-llava/", env!("CARGO_PKG_VERSION")));
        // No proxy knows this machine's own servers.
        let config = if is_local(&url) { config.proxy(None) } else { config };
        let gap = match options.requests_per_minute {
            Some(n) if n > 0.0 => Duration::from_secs_f64((60.0 / n).min(3600.0)),
            _ => Duration::ZERO,
        };
        Ok(Self {
            agent: config.build().into(),
            url,
            key,
            attempts: options.attempts.max(1),
            pause: options.pause,
            gap,
            next: Arc::new(Mutex::new(Instant::now())),
            asked: AtomicU64::new(0),
        })
    }

    /// Takes turns with another, where both ask the same endpoint.
    pub fn in_turn_with(&mut self, other: &Self) {
        if self.url == other.url {
            self.next = other.next.clone();
        }
    }

    /// Posts JSON and gives the JSON that comes back.
    pub fn post(&self, body: &Value) -> Result<Value, AnnotatorFault> {
        let body = body.to_string();
        let mut attempt = 1;
        loop {
            self.wait_for_a_turn();
            let (what, after) = match self.try_once(&body) {
                Attempt::Done(reply) => return Ok(reply),
                Attempt::Failed(fault) => return Err(fault),
                Attempt::Again { what, after } => (what, after),
            };
            let too_long = after.is_some_and(|after| after > MAX_PAUSE);
            if attempt >= self.attempts || too_long {
                return Err(AnnotatorFault::Endpoint { url: self.url.clone(), what, attempts: attempt });
            }
            // Between half and the whole of a pause that doubles, so that workers do not come back all at once.
            let doubled = self.pause.saturating_mul(1 << (attempt - 1).min(16)).min(MAX_PAUSE);
            let n = self.asked.load(Ordering::Relaxed);
            let jitter = 0.5 + 0.5 * unit(u64::from(std::process::id()), &format!("{n}:{attempt}"));
            std::thread::sleep(doubled.mul_f64(jitter).max(after.unwrap_or_default()));
            attempt += 1;
        }
    }

    /// Spaces requests evenly over the minute.
    fn wait_for_a_turn(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.gap.is_zero() {
            return;
        }
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + self.gap;
        drop(next);
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }

    fn try_once(&self, body: &str) -> Attempt {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut reply = match request.send(body) {
            Ok(reply) => reply,
            Err(e @ (ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Tls(_))) => {
                return Attempt::Failed(self.refused(0, &e.to_string()));
            }
            Err(e) => return Attempt::Again { what: e.to_string(), after: None },
        };
        let status = reply.status().as_u16();
        let after = retry_after(&reply);
        let text = match reply.body_mut().with_config().limit(MAX_REPLY).read_to_vec() {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(ureq::Error::BodyExceedsLimit(limit)) => {
                return Attempt::Failed(AnnotatorFault::Reply { what: format!("more than {limit} bytes") });
            }
            Err(e) => return Attempt::Again { what: e.to_string(), after: None },
        };
        match status {
            200..=299 => match serde_json::from_str::<Value>(&text) {
                // What gateways say whose own endpoint failed.
                Ok(reply) if !reply["error"].is_null() && reply["choices"].is_null() => {
                    Attempt::Again { what: format!("status {status}: {}", quote(&text)), after }
                }
                Ok(reply) => Attempt::Done(reply),
                Err(e) => Attempt::Failed(AnnotatorFault::Reply { what: format!("not JSON ({e}): {}", quote(&text)) }),
            },
            408 | 429 | 500.. => Attempt::Again { what: format!("status {status}: {}", quote(&text)), after },
            _ => Attempt::Failed(self.refused(status, &text)),
        }
    }

    fn refused(&self, status: u16, message: &str) -> AnnotatorFault {
        AnnotatorFault::Refused { url: self.url.clone(), status, message: quote(message) }
    }
}

/// Seconds to wait, as the endpoint says. Dates are not read: the doubling pause serves.
fn retry_after<T>(reply: &Response<T>) -> Option<Duration> {
    let seconds: f64 = reply.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The beginning of a foreign text, on one line.
pub(crate) fn quote(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_servers_are_known() {
        for local in ["http://localhost:8000/v1", "http://127.0.0.1/v1/chat/completions", "http://[::1]:9/v1"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["https://example.org/v1", "http://10.0.0.1/v1", "http://localhost.example.org", "rubbish"] {
            assert!(!is_local(other), "{other}");
        }
    }
}
