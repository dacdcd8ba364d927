//! What Mercure's topic selectors are to us: names, and the patterns that can say the same.

use std::borrow::Cow;

use crate::{
    provider::{TopicError, check_topic, check_topic_or_pattern},
    server::selection::SelectionError,
};

/// `*` is every topic, whatever the matcher.
const EVERY_TOPIC: &str = "*";

pub(super) fn exact(name: &str) -> Result<Cow<'_, str>, SelectionError> {
    if name == EVERY_TOPIC {
        return Ok("**".into());
    }
    match check_topic(name) {
        Ok(()) => Ok(name.into()),
        // A name that is a pattern here, and selects what it should not.
        Err(TopicError::Pattern) => Err(unsupported(name)),
        Err(fault) => Err(fault.into()),
    }
}

/// A name, or a URI template (RFC 6570) of which the simple expressions alone are understood:
/// `https://example.com/books/{id}` is all that has one segment in place of `{id}`.
pub(super) fn template(selector: &str) -> Result<Cow<'_, str>, SelectionError> {
    if !selector.contains(['{', '}']) {
        return exact(selector);
    }
    let pattern = by_segment(selector, |segment| {
        let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match variable {
            Some(variable) => is_variable(variable).then_some("*"),
            None => (!segment.contains(['{', '}', '*'])).then_some(segment),
        }
    });
    checked(pattern, selector)
}

/// A URL pattern of which the named groups alone are understood, as whole segments of the path, and a
/// last segment `*`.
pub(super) fn url_pattern(selector: &str) -> Result<Cow<'_, str>, SelectionError> {
    if selector == EVERY_TOPIC {
        return exact(selector);
    }
    let (origin, path) = selector.split_at(origin_len(selector));
    let (path, end) = path.strip_suffix("/*").map_or((path, ""), |path| (path, "/**"));
    let path = by_segment(path, |segment| match segment.strip_prefix(':') {
        Some(group) => is_variable(group).then_some("*"),
        None => {
            (!segment.contains(':') && !segment.contains(URL_PATTERN_SYNTAX)).then_some(segment)
        }
    });
    let path = path.filter(|_| !origin.contains(URL_PATTERN_SYNTAX));
    checked(path.map(|path| format!("{origin}{path}{end}")), selector)
}

const URL_PATTERN_SYNTAX: [char; 9] = ['{', '}', '*', '(', ')', '?', '+', '#', '\\'];

/// Up to the path, with the colons of scheme and port. A relative pattern has no origin.
pub(super) fn origin_len(url: &str) -> usize {
    let Some(authority) = url.find("://").map(|scheme| scheme + 3) else { return 0 };
    url[authority..].find('/').map_or(url.len(), |path| authority + path)
}

/// The segments as `translate` has them; none if it has none for one of them.
fn by_segment<'s>(
    selector: &'s str,
    translate: impl Fn(&'s str) -> Option<&'s str>,
) -> Option<String> {
    let segments: Option<Vec<&str>> = selector.split('/').map(translate).collect();
    segments.map(|segments| segments.join("/"))
}

/// What may be subscribed to, as everywhere else; none where the selector was not understood.
fn checked(pattern: Option<String>, selector: &str) -> Result<Cow<'static, str>, SelectionError> {
    let pattern = pattern.ok_or_else(|| unsupported(selector))?;
    check_topic_or_pattern(&pattern)?;
    Ok(pattern.into())
}

fn is_variable(name: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || character == '_';
    !name.is_empty() && name.chars().all(is_allowed)
}

fn unsupported(selector: &str) -> SelectionError {
    SelectionError::Selector(selector.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is subscribed to is within the bounds of topics, whatever the selector.
        #[test]
        fn any_text_is_something_to_subscribe_to_or_refused(
            text in r"(/|\{|\}|:|\*|a|//|é|\n|\PC){0,12}",
            repeats in prop::sample::select(vec![1_usize, 40]),
        ) {
            let text = text.repeat(repeats);
            let translated = [exact(&text), template(&text), url_pattern(&text)];
            for topic in translated.into_iter().flatten() {
                prop_assert!(check_topic_or_pattern(&topic).is_ok(), "{topic:?}");
            }
        }
    }

    #[test]
    fn selectors_are_names_and_patterns() {
        for (selector, topic) in [
            ("https://example.com/books/1", "https://example.com/books/1"),
            ("https://example.com/books/{id}", "https://example.com/books/*"),
            ("/a/{b}/c/{d_1}", "/a/*/c/*"),
            ("*", "**"),
            ("what:ever?x=1", "what:ever?x=1"),
        ] {
            assert_eq!(template(selector).unwrap(), topic);
        }
        for (selector, topic) in [
            ("https://example.com:8080/books/:id", "https://example.com:8080/books/*"),
            ("https://example.com/books/:id/pages/*", "https://example.com/books/*/pages/**"),
            ("/books/:id", "/books/*"),
            ("https://example.com/books", "https://example.com/books"),
            ("*", "**"),
        ] {
            assert_eq!(url_pattern(selector).unwrap(), topic);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for selector in [
            "/a/b-{id}",
            "/a/{+path}",
            "/a{/b}",
            "/a/{b}/*",
            "/a/{}",
            "/a/{b",
            "/a/b}",
            "{?q}",
            "a/*",
        ] {
            assert_eq!(template(selector), Err(unsupported(selector)));
        }
        for selector in
            ["https://*.example.com/a", "/a/b-:id", "/a/:id?", "/a/(.*)", "/*/a", "/a/:", "/a{/b}?"]
        {
            assert_eq!(url_pattern(selector), Err(unsupported(selector)));
        }
    }
}
