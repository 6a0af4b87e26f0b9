//! Lists: `limit` and `cursor` in, `{"data": […], "next_cursor": …}` and a `Link` header out.

use axum::Json;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::headers;
use crate::records::{Cursor, PageRequest};
use crate::service::{Code, Page, ServiceError};

const DEFAULT_LIMIT: u32 = 50;
/// Bounds what one answer costs.
const MAX_LIMIT: u32 = 200;

/// Where in a list, and how much of it.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items in the answer, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Listing<T> {
    pub data: Vec<T>,
    /// What to ask with for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl PageQuery {
    /// The page of the list called `list`; a cursor of another list is refused.
    pub fn request(&self, list: &str) -> Result<PageRequest, ServiceError> {
        let after = self.cursor.as_deref().map(|text| decode(list, text)).transpose()?;
        Ok(PageRequest { after, limit: limit(self.limit)? })
    }
}

pub fn limit(given: Option<u32>) -> Result<u32, ServiceError> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let detail = format!("{limit} is not between 1 and {MAX_LIMIT}");
        return Err(ServiceError::parameter(Code::InvalidParameter, "limit", detail));
    }
    Ok(limit)
}

/// The answer with a page of the list called `list`.
pub fn listing<T, V: Serialize>(uri: &Uri, list: &str, page: Page<T>, view: impl Fn(T) -> V) -> Response {
    let next_cursor = page.next.map(|cursor| encode(list, &cursor));
    let link = next_cursor.as_deref().map(|next| link(uri, "cursor", next));
    respond(Listing { data: page.items.into_iter().map(view).collect(), next_cursor }, link)
}

/// The answer with a page, and the link to the next.
pub fn respond<V: Serialize>(listing: Listing<V>, link: Option<String>) -> Response {
    let mut response = Json(listing).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, headers::value(&link));
    }
    response
}

/// The same query with one parameter set, as a link to the next page (RFC 8288).
pub fn link(uri: &Uri, name: &str, value: &str) -> String {
    let own = format!("{name}=");
    let kept = uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty() && !p.starts_with(&own));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("{own}{value}")]).collect();
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

/// Hexadecimal: opaque enough, and safe in a URL as it is.
pub fn encode(list: &str, cursor: &Cursor) -> String {
    format!("{list}:{}", cursor.0).bytes().map(|b| format!("{b:02x}")).collect()
}

fn decode(list: &str, text: &str) -> Result<Cursor, ServiceError> {
    let refused = || ServiceError::parameter(Code::InvalidCursor, "cursor", "not a cursor of this list");
    if text.len() > 1000 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(refused());
    }
    let bytes: Option<Vec<u8>> =
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()).collect();
    let plain = bytes.and_then(|b| String::from_utf8(b).ok()).ok_or_else(refused)?;
    let key = plain.strip_prefix(list).and_then(|k| k.strip_prefix(':')).ok_or_else(refused)?;
    Ok(Cursor(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_belong_to_their_list() {
        let cursor = Cursor("churn-eu".into());
        let text = encode("domains", &cursor);
        assert_eq!(decode("domains", &text).ok(), Some(cursor));
        for bad in [encode("models", &Cursor("x".into())).as_str(), "", "zz", "6", "é6", "ff"] {
            assert_eq!(decode("domains", bad).map_err(|e| e.code), Err(Code::InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn links_keep_the_rest_of_the_query() {
        let uri: Uri = "/v1/jobs?state=failed&cursor=00&limit=2".parse().expect("uri");
        assert_eq!(link(&uri, "cursor", "ab"), "</v1/jobs?state=failed&limit=2&cursor=ab>; rel=\"next\"");
    }
}
