//! Our own pages, each one file without anything from elsewhere.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::fault::Fault;

/// What stands in a page for the nonce of its script and its style.
const NONCE: &str = "{nonce}";

/// A page that may run its own script and nothing else, loads nothing, talks only to its own server, and
/// stands in no other page.
pub(super) fn answer(page: &str) -> Result<Response, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| {
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the system has no randomness to give")
    })?;
    let nonce = format!("{:032x}", u128::from_ne_bytes(bytes));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("hexadecimal digits are ASCII");
    let headers = [
        // A copy of it would have a nonce that is known.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    Ok((headers, Html(page.replace(NONCE, &nonce))).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_answer_has_a_nonce_of_its_own() {
        let policy = || answer("").unwrap().headers()[header::CONTENT_SECURITY_POLICY].clone();
        let policies: HashSet<HeaderValue> = (0..100).map(|_| policy()).collect();
        assert_eq!(policies.len(), 100);
        assert!(policies.iter().all(|policy| !policy.to_str().unwrap().contains("unsafe")));
    }

    #[test]
    fn whatever_a_page_runs_has_the_nonce() {
        for page in [include_str!("page.html"), include_str!("admin/dashboard.html")] {
            for element in ["script", "style"] {
                let all = page.matches(&format!("<{element}")).count();
                let with_nonce = page.matches(&format!("<{element} nonce=\"{NONCE}\">")).count();
                assert_eq!((all, with_nonce), (1, 1), "{element}");
            }
            for inline in [" style=", " onclick=", "javascript:"] {
                assert!(!page.contains(inline), "{inline} would need 'unsafe-inline'");
            }
        }
    }
}
