//! A refusal as its client sees it: problem details as JSON ([RFC 9457]).
//!
//! Every refusal has this shape, whoever writes it: a core by itself, or the server over hyper.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use ::http::StatusCode;
use serde::Serialize;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What is wrong with a request. Members of one's own may stand beside these.
///
/// `type` is always `about:blank`: the status says what kind of problem it is, and `title` is the
/// status in words, as the RFC wants it then.
///
/// ```
/// use fanfare::http::Problem;
///
/// let json = serde_json::to_string(&Problem::new(404, "no such path")).unwrap();
/// assert_eq!(
///     json,
///     r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such path"}"#
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Problem<'p> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'p str,
}

impl<'p> Problem<'p> {
    /// A problem with this status; `detail` names the fault, for people.
    pub fn new(status: u16, detail: &'p str) -> Self {
        Self { r#type: "about:blank", title: reason(status), status, detail }
    }
}

/// A status in words; empty for one that has no name.
pub(super) fn reason(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or_default()
}
