//! What browsers let other sites' pages do (CORS), and what pages of other sites may not do with a
//! browser's cookies.

use http::{HeaderMap, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::AccessError;
use crate::limits;

/// The origins whose pages may use the server, beside its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Origins {
    /// Its own only.
    #[default]
    Own,
    /// These: compared whole, byte by byte.
    Listed(Vec<HeaderValue>),
    /// All, but without cookies.
    Any,
}

impl Origins {
    /// `*`, or origins such as `https://example.com`.
    pub(super) fn parse(origins: &[String]) -> Result<Self, AccessError> {
        if origins.iter().any(|origin| origin == ANY) {
            return match origins {
                [_] => Ok(Self::Any),
                _ => Err(AccessError::Origin("* is all there are, beside others".into())),
            };
        }
        if origins.is_empty() {
            return Ok(Self::Own);
        }
        origins.iter().map(|origin| parse_one(origin)).collect::<Result<_, _>>().map(Self::Listed)
    }

    /// Headers for the answer to a request, whatever the answer is: those that [`layer`](Self::layer)
    /// adds to answers of the control runtime.
    pub(super) fn headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Own => {}
            Self::Any => {
                let any = HeaderValue::from_static(ANY);
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
            }
            Self::Listed(listed) => {
                headers.insert(header::VARY, HeaderValue::from_static("origin"));
                if let Some(origin) = request.get(header::ORIGIN).filter(|it| listed.contains(it)) {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    let with_cookies = HeaderValue::from_static("true");
                    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, with_cookies);
                }
            }
        }
        headers
    }

    /// What answers preflights, and adds the headers to every other answer.
    pub(super) fn layer(&self) -> Option<CorsLayer> {
        let layer = match self {
            Self::Own => return None,
            Self::Any => CorsLayer::new().allow_origin(tower_http::cors::Any),
            Self::Listed(listed) => {
                let listed = AllowOrigin::list(listed.iter().cloned());
                CorsLayer::new().allow_origin(listed).allow_credentials(true)
            }
        };
        let headers = [
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CACHE_CONTROL,
            header::HeaderName::from_static("last-event-id"),
            header::HeaderName::from_static("idempotency-key"),
        ];
        Some(
            layer
                .allow_methods([Method::GET, Method::POST])
                .allow_headers(headers)
                .vary([header::ORIGIN])
                .max_age(limits::PREFLIGHT_MAX_AGE),
        )
    }

    /// Whether a page of the origin that a browser says a request comes from may do what changes
    /// something. No origin is no browser's page, or one of the server's own that reads.
    pub(super) fn allow(&self, request: &HeaderMap, cookies: Cookies) -> bool {
        let mut origins = request.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(_), Some(_)) => false,
            (Some(origin), None) => {
                let is_listed = match self {
                    Self::Own => false,
                    Self::Any => cookies == Cookies::NotUsed,
                    Self::Listed(listed) => listed.contains(origin),
                };
                is_listed || is_own(origin, request)
            }
        }
    }
}

/// Whether a request is believed for its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookies {
    Used,
    NotUsed,
}

const ANY: &str = "*";

/// Whether an origin is the host that the request was sent to. Its scheme is not looked at: a proxy
/// that ends TLS does not say which it was.
fn is_own(origin: &HeaderValue, request: &HeaderMap) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = request.get(header::HOST).and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some((_, authority)), Some(host))
        if authority.eq_ignore_ascii_case(host))
}

/// Browsers send a scheme, a host in lower case, and a port unless it is the scheme's own.
fn parse_one(origin: &str) -> Result<HeaderValue, AccessError> {
    let fault = |why: &str| Err(AccessError::Origin(format!("{origin:?} {why}")));
    let Some((scheme, authority)) = origin.split_once("://") else {
        return fault("has no scheme, as in https://example.com");
    };
    let is_authority_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if scheme.is_empty() || authority.is_empty() || !authority.bytes().all(is_authority_byte) {
        return fault("is more or less than a scheme, a host and a port");
    }
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return fault("must be in lower case, as browsers send it");
    }
    if matches!(
        (scheme, authority.rsplit_once(':')),
        ("http", Some((_, "80"))) | ("https", Some((_, "443")))
    ) {
        return fault("must be without the port that is usual anyway, as browsers send it");
    }
    HeaderValue::from_str(origin).or_else(|_| fault("cannot be in a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Origins {
        Origins::parse(&["https://example.com".into(), "http://localhost:3000".into()]).unwrap()
    }

    fn from(origin: &str) -> HeaderMap {
        let origin = (header::ORIGIN, origin.parse().unwrap());
        HeaderMap::from_iter([origin, (header::HOST, HeaderValue::from_static("own.test:8080"))])
    }

    const OTHERS: [&str; 9] = [
        "null",
        "https://evil-example.com",
        "https://example.com.evil.com",
        "https://sub.example.com",
        "http://example.com",
        "https://example.com:8443",
        "https://EXAMPLE.com",
        "https://example.com/",
        "*",
    ];

    #[test]
    fn only_what_is_listed_gets_headers_and_none_is_reflected() {
        let headers = listed().headers(&from("https://example.com"));
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://example.com");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[header::VARY], "origin");
        for origin in OTHERS {
            let headers = listed().headers(&from(origin));
            assert_eq!(headers.len(), 1, "{origin}: {headers:?}");
            assert_eq!(headers[header::VARY], "origin");
        }
        assert!(Origins::Own.headers(&from("https://example.com")).is_empty());
        let any = Origins::Any.headers(&from("https://example.com"));
        assert_eq!(
            (any.len(), &any[header::ACCESS_CONTROL_ALLOW_ORIGIN]),
            (1, &"*".parse().unwrap())
        );
    }

    #[test]
    fn pages_of_other_origins_may_not_act() {
        for cookies in [Cookies::Used, Cookies::NotUsed] {
            for origin in ["https://example.com", "http://localhost:3000", "http://own.test:8080"] {
                assert!(listed().allow(&from(origin), cookies), "{origin}");
            }
            for origin in OTHERS.into_iter().chain(["http://own.test", "http://own.test:80"]) {
                assert!(!listed().allow(&from(origin), cookies), "{origin}");
                assert!(!Origins::Own.allow(&from(origin), cookies), "{origin}");
            }
            assert!(listed().allow(&HeaderMap::new(), cookies));
        }
        let mut twice = from("https://example.com");
        twice.append(header::ORIGIN, HeaderValue::from_static("https://example.com"));
        assert!(!listed().allow(&twice, Cookies::NotUsed));
        assert!(Origins::Any.allow(&from("https://a.test"), Cookies::NotUsed));
        assert!(!Origins::Any.allow(&from("https://a.test"), Cookies::Used));
    }

    #[test]
    fn a_list_is_of_origins_as_browsers_send_them() {
        for bad in [
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/a",
            "https://*.example.com",
            "https://Example.com",
            "https://example.com:443",
            "http://example.com:80",
            "https://a b",
            "",
        ] {
            assert!(Origins::parse(&[bad.into()]).is_err(), "{bad}");
        }
        assert!(Origins::parse(&["*".into(), "https://a.test".into()]).is_err());
        assert_eq!(Origins::parse(&["*".into()]).unwrap(), Origins::Any);
        assert_eq!(Origins::parse(&[]).unwrap(), Origins::Own);
        assert!(Origins::parse(&["https://example.com:8443".into()]).is_ok());
    }
}
