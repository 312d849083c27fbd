//! In what two settings differ: whoever goes on with something begun earlier has to say so.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// `name: was -> is` for each field, `outer.name` for fields of fields, by name. `now` is compared as it would be read
/// from a file: numbers that are written and read again may come back a hair apart.
pub(crate) fn differences(was: &Value, now: &Value) -> Vec<String> {
    let now = serde_json::to_vec(now).and_then(|json| serde_json::from_slice(&json)).unwrap_or_else(|_| now.clone());
    let mut found = Vec::new();
    walk("", was, &now, &mut found);
    found
}

fn walk(path: &str, was: &Value, now: &Value, found: &mut Vec<String>) {
    if let (Value::Object(was), Value::Object(now)) = (was, now) {
        let names: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
        let of = |map: &Map<String, Value>, name: &str| map.get(name).cloned().unwrap_or_default();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(&path, &of(was, name), &of(now, name), found);
        }
    } else if was != now {
        found.push(format!("{path}: {was} -> {now}"));
    }
}
