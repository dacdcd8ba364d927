//! Headers of the command line: read, checked, and put into a request head.

/// A header as it goes out.
pub(super) type Header = (String, String);

/// What this tool says itself: a second opinion would break the framing of its requests.
const OURS: [&str; 4] = ["content-length", "transfer-encoding", "connection", "expect"];

/// Reads `Name: value`.
///
/// # Errors
/// Names the header and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Header, String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("{text:?} is no header: expected 'Name: value'"))?;
    let (name, value) = (name.trim(), value.trim());
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is no name of a header"));
    }
    if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("{name} is not to be given: it is part of how requests are framed"));
    }
    value_of(name, value)
}

/// The header `name` with `value`, which comes from the command line.
///
/// # Errors
/// When the value holds a line break or another control character.
pub(super) fn value_of(name: &str, value: &str) -> Result<Header, String> {
    if value.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err(format!("the value of {name} holds a line break or a control character"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// `ours` and `given`; of one name, the given one.
pub(super) fn merge(ours: &[(&str, &str)], given: &[Header]) -> Vec<Header> {
    let is_given = |name: &str| given.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let kept = ours.iter().filter(|(name, _)| !is_given(name));
    let kept = kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    kept.chain(given.iter().cloned()).collect()
}

/// `headers` as lines of a head.
pub(super) fn lines(headers: &[Header]) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_is_typed() {
        let header = parse("X-Key:  a: b ").expect("a header");
        assert_eq!(header, ("X-Key".to_owned(), "a: b".to_owned()));
        assert_eq!(parse("X-Empty:"), Ok(("X-Empty".to_owned(), String::new())));
    }

    #[test]
    fn what_would_break_a_request_is_refused_by_name() {
        for (bad, why) in [
            ("no colon", "no header"),
            ("a b: c", "\"a b\""),
            (": c", "no name"),
            ("x: a\r\nEvil: 1", "line break"),
            ("x: a\nb", "line break"),
            ("x\r\ny: a", "no name"),
            ("Content-Length: 1", "Content-Length"),
            ("transfer-encoding: chunked", "transfer-encoding"),
        ] {
            let error = parse(bad).expect_err(bad);
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_given_header_stands_for_ours() {
        let given = [("accept".to_owned(), "*/*".to_owned())];
        let merged = merge(&[("Accept", "text/event-stream"), ("Host", "h")], &given);
        assert_eq!(lines(&merged), "Host: h\r\naccept: */*\r\n");
    }
}
