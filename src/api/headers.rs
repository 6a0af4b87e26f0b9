//! Request headers with a meaning of their own: Prefer, Idempotency-Key, Accept, Content-Encoding, If-Match,
//! If-None-Match, traceparent and X-Request-Id.

use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_ENCODING, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::problem::Problem;
use crate::records::Expected;
use crate::service::{Code, Coding, ServiceError};

/// The longest wait that a client may ask for.
pub const MAX_WAIT_S: u64 = 60;

/// `Prefer: wait=N` (RFC 7240), cut to the longest wait. A preference that makes no sense is ignored.
pub fn prefer_wait(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let wait = all.filter_map(|p| p.split(';').next()?.trim().strip_prefix("wait")?.trim().strip_prefix('=')).next()?;
    let seconds = wait.trim().trim_matches('"').parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_WAIT_S)))
}

/// The key of `Idempotency-Key`: a structured-field string, or the same without quotes.
///
/// # Errors
/// If it is empty, longer than 255 bytes or not printable ASCII.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let refused = || {
        let detail = "a key has 1 to 255 printable ASCII characters, in double quotes or without";
        Problem::from(ServiceError::parameter(Code::IdempotencyKeyInvalid, "Idempotency-Key", detail))
    };
    let text = value.to_str().map_err(|_| refused())?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unescape(rest.strip_suffix('"').ok_or_else(refused)?).ok_or_else(refused)?,
        None if text.contains('"') => return Err(refused()),
        None => text.to_owned(),
    };
    let good = (1..=255).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b));
    if good { Ok(Some(key)) } else { Err(refused()) }
}

/// The text of a structured-field string (RFC 9651): backslashes escape quotes and themselves.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// The first of `offers` that the client likes best; the first of all if it does not say.
///
/// # Errors
/// If it accepts none of them.
pub fn negotiate<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Result<&'a str, Problem> {
    let given: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let ranges: Vec<(&str, f32)> = given.iter().flat_map(|v| v.split(',')).filter_map(range).collect();
    if ranges.is_empty() {
        return Ok(offers[0]);
    }
    let liking = |offer: &str| {
        // The most specific range decides.
        let matching = ranges.iter().filter(|(r, _)| matches(r, offer));
        matching.max_by_key(|(r, _)| r.len() - r.matches('*').count()).map_or(0.0, |(_, q)| *q)
    };
    let mut best: Option<(&'a str, f32)> = None;
    for &offer in offers {
        let q = liking(offer);
        if q > best.map_or(0.0, |(_, q)| q) {
            best = Some((offer, q));
        }
    }
    best.map(|(offer, _)| offer)
        .ok_or_else(|| Problem::new(Code::NotAcceptable, format!("this is written as {}", offers.join(" or "))))
}

fn range(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|n| !n.is_empty())?;
    let q = parts.find_map(|p| p.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok())?;
    Some((name, q))
}

fn matches(range: &str, offer: &str) -> bool {
    let star = |prefix: &str| offer.split('/').next() == Some(prefix);
    range == "*/*" || range.eq_ignore_ascii_case(offer) || range.strip_suffix("/*").is_some_and(star)
}

/// The codings of bodies that are read.
pub const CODINGS: &str = "gzip, zstd, deflate";

/// How the body is packed; `None` where it is not.
///
/// # Errors
/// A coding that is not read, or several.
pub fn content_coding(headers: &HeaderMap) -> Result<Option<Coding>, Problem> {
    let given: Vec<&str> = headers.get_all(CONTENT_ENCODING).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    let codings = given.iter().flat_map(|v| v.split(',')).map(|c| c.trim().to_ascii_lowercase());
    let codings: Vec<String> = codings.filter(|c| !c.is_empty() && c != "identity").collect();
    let refused = |detail: &str| Err(Problem::new(Code::UnsupportedMediaType, detail));
    match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["gzip" | "x-gzip"] => Ok(Some(Coding::Gzip)),
        ["zstd"] => Ok(Some(Coding::Zstd)),
        ["deflate"] => Ok(Some(Coding::Deflate)),
        [_] => refused("this Content-Encoding is not read; send the body as gzip, zstd or deflate, or as it is"),
        _ => refused("a body that is packed more than once is not read; send it packed once, or as it is"),
    }
}

/// Whether the client has this entity tag.
pub fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    given.map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// The version in the one entity tag that the client has.
pub fn known_version(headers: &HeaderMap) -> Option<i64> {
    headers.get(IF_NONE_MATCH)?.to_str().ok()?.trim().trim_start_matches("W/").trim_matches('"').parse().ok()
}

/// What the client has seen of the thing that it changes, by `If-Match` and `If-None-Match: *`. Tags that are none of ours
/// match nothing.
pub fn expected(headers: &HeaderMap) -> Expected {
    let only_new = headers.get(IF_NONE_MATCH).is_some_and(|v| v.as_bytes().trim_ascii() == b"*");
    let given: Vec<&str> = headers.get_all(IF_MATCH).iter().map(|v| v.to_str().unwrap_or_default()).collect();
    let tags: Vec<&str> = given.iter().flat_map(|v| v.split(',')).map(str::trim).collect();
    let strong = |tag: &&str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    match (tags.is_empty(), only_new) {
        (true, false) => Expected::Unsaid,
        (true, true) => Expected::Absent,
        // What is there and not there is nothing.
        (false, true) => Expected::At(Vec::new()),
        (false, false) if tags == ["*"] => Expected::Present,
        (false, false) => Expected::At(tags.iter().filter_map(strong).collect()),
    }
}

pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// A `traceparent` (W3C Trace Context, version 00), if it is one.
pub fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (hex && lengths == [2, 32, 16, 2]).then(|| text.to_owned())
}

/// A request id of the client, if it is fit for logs and answers.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    ((1..=100).contains(&text.len()) && text.bytes().all(good)).then(|| text.to_owned())
}

/// A header value of text that we made; what cannot be one is left out.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("name"), value.parse().expect("value"))])
    }

    #[test]
    fn preferences_are_read_and_bounded() {
        let wait = |v: &str| prefer_wait(&with("prefer", v)).map(|d| d.as_secs());
        assert_eq!(wait("wait=10"), Some(10));
        assert_eq!(wait("respond-async, wait=100"), Some(60));
        assert_eq!(wait("respond-async"), None);
        assert_eq!(wait("wait=-1"), None);
    }

    #[test]
    fn what_was_seen_is_read_from_both_headers() {
        let seen = |v: &str| expected(&with("if-match", v));
        assert_eq!(expected(&HeaderMap::new()), Expected::Unsaid);
        assert_eq!(seen("*"), Expected::Present);
        assert_eq!(seen("\"3\", \"5\""), Expected::At(vec![3, 5]));
        for none in ["", "3", "W/\"3\"", "\"x\"", "\"3", "\""] {
            assert_eq!(seen(none), Expected::At(vec![]), "{none}");
        }
        let mut both = with("if-none-match", " *");
        assert_eq!(expected(&both), Expected::Absent);
        both.extend(with("if-match", "*"));
        assert_eq!(expected(&both), Expected::At(vec![]));
        assert_eq!(expected(&with("if-none-match", "\"3\"")), Expected::Unsaid);
    }

    #[test]
    fn keys_are_read_quoted_and_bare() {
        let key = |v: &str| idempotency_key(&with("idempotency-key", v)).map_err(|p| p.code);
        assert_eq!(key("\"a b\\\"c\""), Ok(Some("a b\"c".into())));
        assert_eq!(key("8e03978e-40d5"), Ok(Some("8e03978e-40d5".into())));
        for bad in ["", "\"\"", "\"a", "a\"b", &"x".repeat(256)] {
            assert_eq!(key(bad), Err("idempotency_key_invalid"), "{bad:?}");
        }
    }

    #[test]
    fn the_most_liked_offer_is_taken() {
        let take = |v: &str| negotiate(&with("accept", v), &["application/json", "text/csv"]).map_err(|p| p.code);
        assert_eq!(take("*/*"), Ok("application/json"));
        assert_eq!(take("text/csv"), Ok("text/csv"));
        assert_eq!(take("text/*;q=0.9, application/json;q=0.1"), Ok("text/csv"));
        assert_eq!(take("*/*;q=0.5, application/json;q=0"), Ok("text/csv"));
        assert_eq!(take("image/png"), Err("not_acceptable"));
    }
}
