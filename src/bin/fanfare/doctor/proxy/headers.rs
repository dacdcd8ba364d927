//! What has become of the headers that keep caches and buffers off a stream.

use http::{HeaderMap, header};

use super::super::finding::{Finding, Level, Mend, mend};

const CHECK: &str = "headers";

/// What a proxy that obeys it is apt to keep to itself, as nginx does.
const ACCEL: &str = "x-accel-buffering";

pub(super) fn judge(headers: &HeaderMap) -> Finding {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let server = text(header::SERVER.as_str()).unwrap_or("no name");
    let cache = text(header::CACHE_CONTROL.as_str());
    let directives = cache.unwrap_or_default().to_ascii_lowercase();
    if !directives.split(',').any(|directive| matches!(directive.trim(), "no-store" | "no-cache")) {
        let found = match cache {
            None => "Cache-Control is lost".to_owned(),
            Some(value) => format!("Cache-Control is {value:?}, not \"no-store\""),
        };
        let means = format!("a cache on the way may keep the stream; the server gives {server:?}");
        return Finding::new(CHECK, Level::Warning, found, means).mended_by(&CACHE);
    }
    let accel = match text(ACCEL) {
        Some(_) => "X-Accel-Buffering arrives",
        None => "X-Accel-Buffering does not: another nginx before this one would not see it",
    };
    Finding::ok(CHECK, "Cache-Control arrives", accel)
}

const CACHE: [Mend; 3] = [
    mend("nginx", "no `expires`, `add_header Cache-Control` or `proxy_hide_header Cache-Control`"),
    mend("caddy", "no `header Cache-Control …` around it"),
    mend("haproxy", "no `http-response set-header Cache-Control …`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&'static str, &str)]) -> Finding {
        let pairs = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), value.parse().expect("a value"))
        });
        judge(&pairs.collect())
    }

    #[test]
    fn a_stream_that_may_be_cached_is_worth_a_word() {
        assert_eq!(judged(&[("cache-control", "no-store"), (ACCEL, "no")]).level(), Level::Ok);
        let through_nginx = judged(&[("cache-control", "private, No-Cache")]);
        assert!(through_nginx.to_text().contains("another nginx"));
        assert_eq!(judged(&[]).level(), Level::Warning);
        let other = judged(&[("cache-control", "max-age=60")]);
        assert!(other.to_text().contains("max-age=60"), "{}", other.to_text());
    }
}
