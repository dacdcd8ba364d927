//! What is said to whoever is refused: constant text, whatever the reason is.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use super::super::{super::fault::Fault, session::SessionFault};

pub(super) fn unauthorised() -> Fault {
    let bearer = HeaderValue::from_static("Bearer");
    Fault::new(StatusCode::UNAUTHORIZED, "a valid access token is needed")
        .header(header::WWW_AUTHENTICATE, bearer)
}

pub(super) fn not_allowed() -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "the access token does not allow this topic")
}

pub(super) fn origin_refused() -> Fault {
    Fault::new(
        StatusCode::FORBIDDEN,
        "pages of this origin may not do this, unless it is listed for CORS",
    )
}

pub(super) fn publishing_is_closed() -> Fault {
    Fault::new(
        StatusCode::FORBIDDEN,
        "publishing is closed here: set up a token for it, or set publish to open",
    )
}

pub(super) fn too_many(text: &'static str, retry_after: Duration) -> Fault {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    Fault::new(StatusCode::TOO_MANY_REQUESTS, text).header(header::RETRY_AFTER, seconds.into())
}

pub(super) fn session_failed(fault: &SessionFault) -> Fault {
    tracing::error!(%fault, "a subscription is refused");
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the subscription could not be decided about")
}
