//! What answers and ratings took: requests, tokens, money.

use serde::{Deserialize, Serialize};

use super::AnnotatorFault;

/// What a written answer or a rating took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Requests that were answered.
    pub requests: u64,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// What they cost, in the currency of the prices given.
    #[serde(with = "exact")]
    pub cost: f64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        // Endpoints may say anything.
        self.requests = self.requests.saturating_add(other.requests);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cost += other.cost;
    }
}

/// Something and what it took. `paid` is what this process caused: nothing where a cache answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced<T> {
    /// What was made.
    pub value: T,
    /// What it took when it was made.
    pub usage: Usage,
    /// What it took now.
    pub paid: Usage,
}

impl<T> Priced<T> {
    /// Something that cost nothing.
    pub fn free(value: T) -> Self {
        Self { value, usage: Usage::default(), paid: Usage::default() }
    }

    /// What is found in it, for the same price. A fault costs as much.
    pub(crate) fn read<U>(
        self,
        read: impl FnOnce(T) -> Result<U, AnnotatorFault>,
    ) -> Result<Priced<U>, AnnotatorFault> {
        let Self { value, usage, paid } = self;
        match read(value) {
            Ok(value) => Ok(Priced { value, usage, paid }),
            Err(fault) => Err(AnnotatorFault::Paid(Priced { value: Box::new(fault), usage, paid })),
        }
    }
}

/// Money as text: a JSON number may come back a hair apart, and with it the manifest's bytes. Numbers are read as well.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Amount {
        Text(String),
        Number(f64),
    }

    pub fn serialize<S: Serializer>(cost: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(cost)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Amount::deserialize(from)? {
            Amount::Text(text) => text.parse().map_err(D::Error::custom),
            Amount::Number(number) => Ok(number),
        }
    }
}
