//! One request and what becomes of it: headers, redirects, and a response that may be read.
//!
//! Redirects are followed here and not by reqwest, whose 0.13.5 takes an empty `Location` for the
//! URL it has just asked, and sends credentials again on a second redirect at another origin.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use reqwest::{Request, Response, Url};

use super::{
    builder::Settings,
    error::{ErrorKind, Failure, Target},
    response,
};
use crate::limits::{LAST_EVENT_ID_BYTES_MAX, REDIRECTS_MAX};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a redirect to another origin must not carry along.
const OF_ONE_ORIGIN: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("cookie2"),
    header::PROXY_AUTHORIZATION,
    header::HOST,
];

/// What describes a body, and goes with it.
const OF_BODY: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::TRANSFER_ENCODING,
];

/// The caller's request, to be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Template {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Template {
    /// Takes method, URI, headers and body of `request`. User information of the URI becomes an
    /// `Authorization` header, unless there is one.
    pub(super) fn new(
        settings: &Settings,
        request: http::Request<Bytes>,
    ) -> (Target, Result<Self, Failure>) {
        let (parts, body) = request.into_parts();
        let url = match Url::parse(&parts.uri.to_string()) {
            Ok(url) if is_http(&url) => url,
            _ => {
                let target = Target { method: parts.method, url: shown_as_it_is(&parts.uri) };
                let what = "the request has no absolute URL of HTTP or HTTPS";
                return (target, Err(Failure::new(ErrorKind::Request, what)));
            }
        };
        let target = Target { method: parts.method.clone(), url: shown(&url) };
        let built = settings.http.request(parts.method, url).headers(parts.headers).build();
        let template = built.map_err(Failure::of_request).map(|mut request| {
            let headers = request.headers_mut();
            let standard =
                [(header::ACCEPT, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
            for (name, value) in standard {
                headers.entry(name).or_insert(HeaderValue::from_static(value));
            }
            let (method, headers) = (request.method().clone(), request.headers().clone());
            Self { method, url: request.url().clone(), headers, body }
        });
        (target, template)
    }

    /// The id the caller wants the stream to begin behind; empty if none.
    pub(super) fn last_event_id(&self) -> String {
        let value = self.headers.get(LAST_EVENT_ID);
        value.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// The next request is to begin behind `id`, or, if that is empty, wherever the server likes.
    pub(super) fn set_last_event_id(&mut self, id: &str) {
        self.headers.remove(LAST_EVENT_ID);
        if id.is_empty() {
            return;
        }
        // HTTP has no way to say a control character, and servers refuse a head that is too long:
        // that would end the stream for good.
        let value = HeaderValue::from_bytes(id.as_bytes()).ok();
        match value.filter(|_| id.len() <= LAST_EVENT_ID_BYTES_MAX) {
            Some(value) => {
                self.headers.insert(LAST_EVENT_ID, value);
            }
            None => {
                tracing::warn!(bytes = id.len(), "an event id that HTTP cannot carry is left out")
            }
        }
    }

    fn to_request(&self) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.clone().into());
        }
        request
    }

    /// Turns this into the request that the redirect asks for.
    fn redirect(&mut self, response: &Response) -> Result<(), Failure> {
        let next = target_of(&self.url, response)?;
        let to_get = match response.status() {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            _ => false,
        };
        if to_get {
            self.method = Method::GET;
            self.body.clear();
            remove(&mut self.headers, &OF_BODY);
        }
        if next.origin() != self.url.origin() {
            remove(&mut self.headers, &OF_ONE_ORIGIN);
        }
        self.url = next;
        Ok(())
    }
}

/// Sends the request, follows redirects if that is ours to do, and checks the response.
pub(super) async fn send(
    settings: Arc<Settings>,
    mut request: Template,
) -> Result<reqwest::Body, Failure> {
    let mut redirects = 0;
    loop {
        let sent = settings.http.execute(request.to_request()).await;
        let response = sent.map_err(Failure::of_request)?;
        if !(settings.follows_redirects && is_followed(response.status())) {
            response::check(&settings, &response)?;
            return Ok(http::Response::from(response).into_body());
        }
        if redirects == REDIRECTS_MAX {
            return Err(refused(&response, &format!("more than {REDIRECTS_MAX} redirects")));
        }
        redirects += 1;
        request.redirect(&response)?;
    }
}

fn is_followed(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where the redirect leads. Nothing is guessed: the URL of the request itself, which an empty
/// `Location` resolves to, would be asked again and again.
fn target_of(base: &Url, response: &Response) -> Result<Url, Failure> {
    let Some(location) = response.headers().get(header::LOCATION) else {
        return Err(refused(response, "a redirect without Location"));
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    if location.trim().is_empty() {
        return Err(refused(response, "a redirect with an empty Location"));
    }
    let mut url = base.join(&location).map_err(|error| {
        refused(response, "a redirect whose Location is not a URL").caused_by(error)
    })?;
    if !is_http(&url) {
        return Err(refused(response, "a redirect to a URL that is not of HTTP"));
    }
    // Both cannot fail for a URL of HTTP, which has a host.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    Ok(url)
}

fn refused(response: &Response, what: &str) -> Failure {
    let status = response.status();
    let what = format!("{what} ({})", response::name(status));
    Failure::new(ErrorKind::Redirect, what).with_status(status)
}

pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

/// The URL without what is secret, and without what is not sent.
fn shown(url: &Url) -> Arc<str> {
    let mut url = url.clone();
    url.set_fragment(None);
    // Both fail only where there is nothing to remove.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().into()
}

/// A URI that is not a URL we take, without what may be secret.
fn shown_as_it_is(uri: &Uri) -> Arc<str> {
    let text = uri.to_string();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match authority.rsplit_once('@') {
        Some((_, host)) => text.replacen(authority, host, 1).into(),
        None => text.into(),
    }
}
