//! Requests to the API server.

use hyper::{
    Method, Request,
    header::{self, HeaderValue},
};
use kube::{Client, client::Body};
use serde_json::Value;

use super::facts::{Known, Listed, Unknown, text};
use crate::{controller::REQUEST_TIMEOUT, profile::DepthLimited};

/// Objects in one response: pods with long environments have some 30 KB each.
const PAGE: usize = 250;
/// Responses to one list: 10,000 objects. Beyond it a finding says that the list is cut.
const PAGES: usize = 40;
/// Characters of a message: the API server quotes whole objects in some.
const MESSAGE: usize = 600;

/// A response of any status.
pub(super) struct ApiResponse {
    pub(super) code: u16,
    pub(super) object: Value,
    /// The texts of the `Warning` headers. Error responses have them too.
    pub(super) warnings: Vec<String>,
}

/// Sends one request.
pub(super) async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<ApiResponse, Unknown> {
    let failed = |error: &dyn std::error::Error| Unknown::Failed(chain(error));
    let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Body::from(bytes))
        .map_err(|error| failed(&error))?;
    let exchange = async {
        let response = client.send(request).await.map_err(|error| failed(&error))?;
        let (head, body) = response.into_parts();
        Ok((head, body.collect_bytes().await.map_err(|error| failed(&error))?))
    };
    let silent = |_elapsed| {
        Unknown::Failed(format!("the API server did not answer within {REQUEST_TIMEOUT:?}"))
    };
    let (head, body) = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.map_err(silent)??;
    let object = serde_json::from_slice::<DepthLimited>(&body)
        .map_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()), |json| json.0);
    let warnings = head.headers.get_all(header::WARNING).iter().filter_map(warning).collect();
    Ok(ApiResponse { code: head.status.as_u16(), object, warnings })
}

/// Gets the object at a path; `None` if it does not exist. `needs` is the permission, such as
/// `get nodes`.
pub(super) async fn get(client: &Client, path: &str, needs: &str) -> Known<Option<Value>> {
    let answer = send(client, Method::GET, path, None).await?;
    match answer.code {
        200 => Ok(Some(answer.object)),
        404 => Ok(None),
        403 => Err(Unknown::Forbidden(needs.to_owned())),
        code => Err(Unknown::Failed(refusal(code, &answer.object))),
    }
}

/// Lists objects page by page and maps them with `keep`; `None` if the kind is not served. `path` may
/// have a query.
pub(super) async fn list<T>(
    client: &Client,
    path: &str,
    needs: &str,
    mut keep: impl FnMut(Value) -> Option<T>,
) -> Known<Option<Listed<T>>> {
    let mut all = Listed::default();
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut next = String::new();
    for _ in 0..PAGES {
        let page = format!("{path}{joint}limit={PAGE}{next}");
        let Some(mut answer) = get(client, &page, needs).await? else { return Ok(None) };
        if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
            all.items.extend(items.into_iter().filter_map(&mut keep));
        }
        let token = text(&answer, "/metadata/continue");
        if token.is_empty() {
            return Ok(Some(all));
        }
        next = format!("&continue={}", encoded(token));
    }
    all.cut = true;
    Ok(Some(all))
}

/// The message of an error response.
pub(super) fn refusal(code: u16, object: &Value) -> String {
    match text(object, "/message") {
        "" => format!("the API server answered {code}"),
        message => cut(message),
    }
}

/// A message of a bounded length.
pub(super) fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

/// An error with its causes: the outermost one of a connection says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    cut(&text)
}

/// The text of a header such as `299 - "no such field"`.
fn warning(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let quoted = text.split_once('"')?.1.rsplit_once('"')?.0;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// A value of a query, percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(format!("{byte:02X}").chars());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_header_is_decoded() {
        let header = HeaderValue::from_static(r#"299 - "say \"hello\" to C:\\""#);
        assert_eq!(warning(&header).unwrap(), r#"say "hello" to C:\"#);
        assert_eq!(warning(&HeaderValue::from_static("none")), None);
    }

    #[test]
    fn selector_is_percent_encoded() {
        assert_eq!(encoded("a/b=True,c"), "a%2Fb%3DTrue%2Cc");
    }

    #[test]
    fn long_message_is_cut_between_characters() {
        let long = "ü".repeat(MESSAGE + 1);
        assert_eq!(cut(&long).chars().count(), MESSAGE + 3);
        assert_eq!(cut("short"), "short");
    }
}
