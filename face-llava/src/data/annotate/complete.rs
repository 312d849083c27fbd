//! One question to a chat endpoint and what comes back, for all who ask.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::http::quote;
use super::key::Key;
use super::{AnnotatorFault, Chat, Priced, Usage};

/// What is sent, besides the endpoint's options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prompt<'a> {
    /// The system's message.
    pub system: Option<&'a str>,
    /// The user's message.
    pub text: &'a str,
    /// Pictures after it.
    pub frames: &'a [RgbImage],
    /// For another draw of the same question.
    pub seed: Option<u64>,
}

/// What came back and has to be paid for, usable or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Completion {
    text: String,
    end: End,
}

/// How a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// By itself.
    Stop,
    /// At the limit of tokens.
    CutOff,
    /// The endpoint or the model will not say it.
    Withheld,
    /// There is no message; the text is what came instead.
    Absent,
}

impl Completion {
    /// A text that ended by itself.
    pub fn whole(self) -> Result<String, AnnotatorFault> {
        match self.end {
            End::CutOff => Err(AnnotatorFault::Reply { what: "cut off; raise --max-tokens".into() }),
            End::Stop | End::Withheld | End::Absent => self.beginning(),
        }
    }

    /// The same, or what came until the limit.
    pub fn beginning(self) -> Result<String, AnnotatorFault> {
        let refuse = |what: &str| {
            let said = if self.text.is_empty() { String::new() } else { format!(": {}", quote(&self.text)) };
            Err(AnnotatorFault::Reply { what: format!("{what}{said}") })
        };
        match self.end {
            End::Withheld => refuse("withheld by a filter"),
            End::Absent => refuse("no message"),
            End::Stop | End::CutOff => Ok(self.text),
        }
    }

    /// Whether anything was said, to the end or not.
    pub(super) fn is_message(&self) -> bool {
        self.end != End::Absent
    }

    /// The first choice of a reply.
    fn read(reply: &Value) -> Self {
        let choice = &reply["choices"][0];
        let (message, finish) = (&choice["message"], choice["finish_reason"].as_str());
        let (text, refusal) = (message["content"].as_str(), message["refusal"].as_str());
        let end = match finish {
            Some("content_filter") => End::Withheld,
            Some("length") => End::CutOff,
            _ if text.is_none() && refusal.is_some() => End::Withheld,
            _ if text.is_none() => return Self { text: quote(&reply.to_string()), end: End::Absent },
            _ => End::Stop,
        };
        Self { text: text.or(refusal).unwrap_or_default().trim().to_owned(), end }
    }
}

impl Chat {
    /// One question with pictures, asked where its reply is not kept.
    pub(crate) fn complete(&self, prompt: &Prompt<'_>) -> Result<Priced<Completion>, AnnotatorFault> {
        match &self.store {
            Some(store) => store.get(self.key(prompt), || self.post(prompt)),
            None => self.post(prompt),
        }
    }

    /// A name made of all that is sent.
    fn key(&self, prompt: &Prompt<'_>) -> Key {
        let seed = prompt.seed.map_or_else(String::new, |seed| seed.to_string());
        let mut key = Key::new();
        key.part(b"complete").part(self.name("below").as_bytes()).part(seed.as_bytes());
        key.part(prompt.system.unwrap_or_default().as_bytes()).part(prompt.text.as_bytes());
        for frame in prompt.frames {
            key.part(&frame.width().to_le_bytes()).part(frame.as_raw());
        }
        key
    }

    fn post(&self, prompt: &Prompt<'_>) -> Result<Priced<Completion>, AnnotatorFault> {
        let mut parts = vec![json!({ "type": "text", "text": prompt.text })];
        for frame in prompt.frames {
            parts.push(json!({ "type": "image_url", "image_url": { "url": data_url(frame)? } }));
        }
        let system = prompt.system.map(|text| json!({ "role": "system", "content": text }));
        let messages: Vec<Value> = system.into_iter().chain([json!({ "role": "user", "content": parts })]).collect();
        let mut body = json!({
            "model": self.options.model,
            "temperature": self.options.temperature,
            "max_tokens": self.options.max_tokens,
            "messages": messages,
        });
        if let Some(seed) = prompt.seed {
            body["seed"] = seed.into();
        }
        let reply = self.client.post(&body)?;
        let usage = self.usage(&reply["usage"]);
        Ok(Priced { value: Completion::read(&reply), usage, paid: usage })
    }

    /// Tokens as the endpoint counts them; none where it does not.
    fn usage(&self, usage: &Value) -> Usage {
        let count = |key: &str| usage[key].as_u64().unwrap_or(0);
        let (prompt_tokens, completion_tokens) = (count("prompt_tokens"), count("completion_tokens"));
        let cost =
            prompt_tokens as f64 * self.options.prompt_price + completion_tokens as f64 * self.options.completion_price;
        Usage { requests: 1, prompt_tokens, completion_tokens, cost: cost / 1e6 }
    }
}

/// A reply without the fence around it: the one liberty that models are allowed where an object is asked for.
pub(crate) fn unfenced(reply: &str) -> &str {
    let reply = reply.trim();
    let inside = reply.strip_prefix("```json").or_else(|| reply.strip_prefix("```"));
    inside.map_or(reply, |fenced| fenced.trim().trim_end_matches("```"))
}

fn data_url(frame: &RgbImage) -> Result<String, AnnotatorFault> {
    let mut bytes = Cursor::new(Vec::new());
    let encoded = frame.write_to(&mut bytes, ImageFormat::Png);
    encoded.map_err(|e| AnnotatorFault::Reply { what: format!("the crop cannot be encoded: {e}") })?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes.get_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_texts_are_whole() {
        let read = |content: Value, finish: &str| {
            Completion::read(&json!({ "choices": [{ "message": content, "finish_reason": finish }] }))
        };
        let text = |text: &str| json!({ "content": text });
        assert_eq!(read(text(" Happy. "), "stop").whole().unwrap(), "Happy.");
        let cut = read(text("Hap"), "length");
        assert!(cut.clone().whole().unwrap_err().to_string().contains("cut off"));
        assert_eq!(cut.beginning().unwrap(), "Hap");
        let refusal = json!({ "content": null, "refusal": "I cannot help." });
        for withheld in [read(text("x"), "content_filter"), read(json!({}), "content_filter"), read(refusal, "stop")] {
            assert!(withheld.clone().whole().unwrap_err().to_string().contains("withheld"));
            assert!(withheld.beginning().is_err());
        }
        for absent in [read(json!({ "content": null }), "stop"), Completion::read(&json!([]))] {
            assert!(!absent.is_message() && absent.beginning().unwrap_err().to_string().contains("no message"));
        }
    }

    #[test]
    fn fences_are_taken_off() {
        for fenced in ["{}", " {} ", "```json\n{}\n```", "```\n{}```", "```json {}"] {
            assert_eq!(unfenced(fenced).trim(), "{}", "{fenced}");
        }
        assert_eq!(unfenced("Sure! ```json\n{}\n```"), "Sure! ```json\n{}\n```");
    }
}
