//! Options of commands that ask an endpoint.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use face_llava::data::ChatOptions;

use super::super::prices::{Prices, parse_rate};

/// A model that speaks the chat-completions protocol.
#[derive(Args)]
#[command(next_help_heading = "A model behind an endpoint")]
pub(super) struct EndpointOptions {
    /// Base address, as http://localhost:8000/v1 (https in programs built with `--features tls`)
    #[arg(long, value_name = "URL", requires = "endpoint_model")]
    pub endpoint: Option<String>,
    /// The model's name there; pin a version where there are several
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    endpoint_model: Option<String>,
    /// Environment variable that holds the key
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    key_variable: Option<String>,
    /// Folder of replies that were paid for: nothing is asked twice
    #[arg(long, value_name = "DIR", requires = "endpoint")]
    pub cache: Option<PathBuf>,
    /// Longest reply, tokens
    #[arg(long, requires = "endpoint", default_value_t = 400, value_name = "N")]
    max_tokens: u32,
    /// Seconds for one request
    #[arg(long, requires = "endpoint", default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Requests for one reply at most
    #[arg(long, requires = "endpoint", default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Questions under way at a time
    #[arg(long, requires = "endpoint", default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Requests a minute
    #[arg(long, requires = "endpoint", value_name = "N", value_parser = parse_rate)]
    requests_per_minute: Option<f64>,
    /// Prices of a million tokens, sent and received, as 0.15,0.6
    #[arg(long, requires = "endpoint", value_name = "IN,OUT")]
    prices: Option<Prices>,
}

impl EndpointOptions {
    /// The endpoint, where one is given.
    pub fn chat(&self) -> Option<ChatOptions> {
        let (url, model) = self.endpoint.as_ref().zip(self.endpoint_model.as_ref())?;
        let prices = self.prices.unwrap_or_default();
        Some(ChatOptions {
            key_variable: self.key_variable.clone(),
            timeout: Duration::from_secs(self.timeout),
            attempts: self.attempts,
            requests_per_minute: self.requests_per_minute,
            prompt_price: prices.sent,
            completion_price: prices.received,
            max_tokens: self.max_tokens,
            ..ChatOptions::new(url, model)
        })
    }
}

/// What was paid, in words.
pub(super) fn bill(paid: &face_llava::data::Usage) -> String {
    let tokens = format!("{} tokens sent, {} received", paid.prompt_tokens, paid.completion_tokens);
    format!("{} requests, {tokens}, cost {:.4}", paid.requests, paid.cost)
}
