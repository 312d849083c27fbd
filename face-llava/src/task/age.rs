//! Ages in words: years, ranges, decades.

use super::mentions::events;
use super::vocabulary::first;
use super::words::Token;

/// No one is older.
const MAX_YEARS: f64 = 120.0;

/// Apparent age in years: the first number that is explicitly an age, otherwise the first that stands alone.
pub(super) fn years(tokens: &[Token]) -> Option<f64> {
    let explicit = first(&events(tokens, &|t, i| hundredths(explicit(t, i))));
    let years = explicit.or_else(|| first(&events(tokens, &|t, i| hundredths(alone(t, i)))))?;
    Some(years as f64 / 100.0)
}

/// Years as the number of a label.
fn hundredths(found: Option<(f64, usize)>) -> Option<(usize, usize)> {
    let (years, taken) = found?;
    (0.0..=MAX_YEARS).contains(&years).then_some(((years * 100.0).round() as usize, taken))
}

/// "34 years old", "aged 34", "30-35", "between 30 and 35", "in the 30s", "late twenties", "8 months".
fn explicit(tokens: &[Token], i: usize) -> Option<(f64, usize)> {
    let text = |n: usize| tokens.get(n).map_or("", Token::text);
    if i > 0 && is_bound(text(i - 1)) {
        return None;
    }
    if let Some((low, taken)) = decade(tokens, i) {
        let next = i + taken;
        let on = if matches!(text(next), "to" | "or") { next + 1 } else { next };
        let second = if on > next || tokens[next - 1].is_joined() { decade(tokens, on) } else { None };
        return Some(second.map_or((low, taken), |(high, more)| (f64::midpoint(low, high), on + more - i)));
    }
    if matches!(text(i), "age" | "aged") {
        let filler = |n: &usize| {
            matches!(text(*n), "of" | "is" | "be" | "at" | "about" | "around" | "approximately" | "roughly")
                || tokens.get(*n) == Some(&Token::Colon)
        };
        let at = (i + 1..).find(|n| !filler(n)).filter(|n| n - i <= 4)?;
        let (years, taken) = range(tokens, at).or_else(|| Some((number(tokens, at)?, 1)))?;
        return Some((years, at + taken - i));
    }
    let (value, taken) = if text(i) == "between" {
        let (low, high) = (number(tokens, i + 1)?, number(tokens, i + 3).filter(|_| text(i + 2) == "and")?);
        return Some((f64::midpoint(low, high), 4));
    } else if let Some(range) = range(tokens, i) {
        range
    } else {
        (number(tokens, i)?, 1)
    };
    match text(i + taken) {
        "year" | "years" | "yrs" | "yr" | "y" | "yo" => Some((value, taken + 1)),
        "month" | "months" => Some((value / 12.0, taken + 1)),
        "%" => None,
        _ => (taken > 1 && stands_alone(tokens, i + taken)).then_some((value, taken)),
    }
}

/// A whole number that nothing follows, or the reasons.
fn alone(tokens: &[Token], i: usize) -> Option<(f64, usize)> {
    let before = if i > 0 { tokens[i - 1].text() } else { "" };
    let value = number(tokens, i).filter(|v| v.fract() == 0.0 && !is_bound(before) && !tokens[i].is_joined())?;
    stands_alone(tokens, i + 1).then_some((value, 1))
}

/// Whether a number counts nothing ("2 wrinkles"): it ends its clause, or reasons follow.
fn stands_alone(tokens: &[Token], next: usize) -> bool {
    match tokens.get(next) {
        Some(Token::Word(word)) => matches!(word.text.as_str(), "based" | "because" | "judging" | "given" | "or"),
        _ => true,
    }
}

/// "Over 60" gives no age.
fn is_bound(word: &str) -> bool {
    matches!(word, "over" | "under" | "above" | "below" | "than" | "least" | "most" | "beyond")
}

/// "30-35", "30 to 35", with the middle as its value.
fn range(tokens: &[Token], i: usize) -> Option<(f64, usize)> {
    let low = number(tokens, i)?;
    let next = tokens.get(i + 1)?;
    let at = match next {
        _ if tokens[i].is_joined() => i + 1,
        Token::Dash => i + 2,
        Token::Word(word) if word.text == "to" => i + 2,
        _ => return None,
    };
    let high = number(tokens, at)?;
    Some((f64::midpoint(low, high), at + 1 - i))
}

fn number(tokens: &[Token], i: usize) -> Option<f64> {
    let text = tokens.get(i)?.text();
    text.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse().ok())?
}

/// "30s", "thirties", with "early" (30 to 33), "mid" (34 to 36) or "late" (37 to 39) before it.
fn decade(tokens: &[Token], i: usize) -> Option<(f64, usize)> {
    let text = |n: usize| tokens.get(n).map_or("", Token::text);
    let (part, at) = match text(i) {
        "early" => (1.5, i + 1),
        "mid" | "middle" => (5.0, i + 1),
        "late" => (8.0, i + 1),
        _ => (4.5, i),
    };
    let word = text(at);
    if word == "teens" {
        return Some((16.0, at + 1 - i));
    }
    const DECADES: [&str; 8] =
        ["twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties"];
    let start = match DECADES.iter().position(|d| *d == word) {
        Some(n) => 20.0 + 10.0 * n as f64,
        None => word.strip_suffix("'s").or_else(|| word.strip_suffix('s'))?.parse().ok()?,
    };
    let plausible = start % 10.0 == 0.0 && (10.0..=110.0).contains(&start);
    plausible.then_some((start + part, at + 1 - i))
}
