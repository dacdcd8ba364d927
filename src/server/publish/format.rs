//! What a body is, by its headers.

use axum::http::{HeaderMap, StatusCode, header};

use crate::server::fault::Fault;

/// What a body is, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// At once: its messages belong together.
    Whole(Whole),
    /// As it comes, a message per line.
    Lines,
}

/// A body that is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// The data of one message.
    Data,
    /// One message, or an array of them.
    Json,
    /// One message as `key=value&…`.
    Form,
    /// One message as the parts of a form.
    Multipart,
}

impl Format {
    /// By the content type; without one, it is data.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        if let Some(coding) = headers.get(header::CONTENT_ENCODING)
            && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return unsupported("content encodings are not supported".into());
        }
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Whole(Whole::Data));
        };
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let charset = parts.find_map(|part| part.strip_prefix("charset="));
        if let Some(charset) = charset.map(|charset| charset.trim_matches('"'))
            && !matches!(charset, "utf-8" | "utf8" | "us-ascii")
        {
            return unsupported(format!("charset {charset:?} is not supported: send UTF-8"));
        }
        match media_type {
            "text/plain" | "application/octet-stream" => Ok(Self::Whole(Whole::Data)),
            "application/json" => Ok(Self::Whole(Whole::Json)),
            "application/x-ndjson" => Ok(Self::Lines),
            "application/x-www-form-urlencoded" => Ok(Self::Whole(Whole::Form)),
            "multipart/form-data" => Ok(Self::Whole(Whole::Multipart)),
            _ => unsupported(format!(
                "content type {media_type:?} is not supported: send text/plain, application/json \
                 (curl --json), application/x-ndjson or a form"
            )),
        }
    }
}

fn unsupported(text: String) -> Result<Format, Fault> {
    Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}
