//! Rust's text taken apart as far as the rules need it: words and signs, without comments and with
//! every literal of text in one piece. It need not be right about code that does not compile.

/// A word, a sign, `::`, or a literal of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    /// Where it begins, counted from 1.
    pub(super) line: usize,
}

impl Token<'_> {
    /// Lines it takes; more than one only for text.
    pub(super) fn lines(&self) -> impl Iterator<Item = usize> {
        self.line..=self.line + self.text.matches('\n').count()
    }
}

/// The code of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        let (len, is_code) = next(rest);
        let (taken, after) = rest.split_at(len);
        if is_code {
            tokens.push(Token { text: taken, line });
        }
        line += taken.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Length of what `rest` begins with, and whether it is code.
fn next(rest: &str) -> (usize, bool) {
    let first = rest.chars().next().unwrap_or_default();
    if first.is_whitespace() {
        (first.len_utf8(), false)
    } else if rest.starts_with("//") {
        (rest.find('\n').unwrap_or(rest.len()), false)
    } else if rest.starts_with("/*") {
        (comment_len(rest), false)
    } else if let Some(len) = literal_len(rest) {
        (len, true)
    } else if is_word(first) {
        (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true)
    } else if rest.starts_with("::") {
        (2, true)
    } else {
        (first.len_utf8(), true)
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// A block comment, with those within it.
fn comment_len(rest: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// A literal of text, of bytes, or of one character.
fn literal_len(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['"', '\'', '#']))
    })?;
    let behind = &rest[prefix.len()..];
    let len = if prefix.ends_with('r') {
        raw_len(behind)?
    } else if behind.starts_with('"') {
        quoted_len(behind, b'"')
    } else if is_character(behind) {
        quoted_len(behind, b'\'')
    } else {
        return None;
    };
    Some(prefix.len() + len)
}

/// `#"…"#` with any number of `#`; a raw identifier is none.
fn raw_len(behind: &str) -> Option<usize> {
    let hashes = behind.find(|c| c != '#')?;
    let text = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &behind[..hashes]);
    Some(hashes + 1 + text.find(&end).map_or(text.len(), |at| at + end.len()))
}

/// From a quote to the next one that no backslash stands before.
fn quoted_len(behind: &str, quote: u8) -> usize {
    let bytes = behind.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Whether a quote begins a character, and not a lifetime.
fn is_character(behind: &str) -> bool {
    let mut characters = behind.chars();
    let (quote, first, second) = (characters.next(), characters.next(), characters.next());
    quote == Some('\'') && (first == Some('\\') || second == Some('\''))
}

/// The tokens that are not of a test: without the items under a `cfg` that asks for `test`.
pub(super) fn without_tests<'t>(tokens: &[Token<'t>]) -> Vec<Token<'t>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match test_item_len(&tokens[at..]) {
            Some(len) => at += len,
            None => {
                kept.push(tokens[at]);
                at += 1;
            }
        }
    }
    kept
}

/// Tokens of the item that begins with an attribute as `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn test_item_len(tokens: &[Token<'_>]) -> Option<usize> {
    let [hash, open, cfg, parenthesis, ..] = tokens else { return None };
    if [hash.text, open.text, cfg.text, parenthesis.text] != ["#", "[", "cfg", "("] {
        return None;
    }
    let attribute = tokens.iter().position(|token| token.text == "]")?;
    let asks = |at: usize| tokens[at].text == "test" && tokens[at - 2].text != "not";
    (4..attribute).find(|at| asks(*at))?;
    let end = attribute + tokens[attribute..].iter().position(|t| matches!(t.text, "{" | ";"))?;
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(end) {
        depth += match token.text {
            "{" => 1,
            "}" => -1,
            _ => 0,
        };
        if depth == 0 {
            return Some(at + 1);
        }
    }
    Some(tokens.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_are_no_code_and_a_literal_is_one_piece() {
        for (text, expected) in [
            ("a::b // c", &["a", "::", "b"][..]),
            ("/// a\nb", &["b"]),
            ("/* a /* b */ c */ d", &["d"]),
            (r#"f("a // \" b")"#, &["f", "(", r#""a // \" b""#, ")"]),
            (r##"r#"a "b" c"# d"##, &[r##"r#"a "b" c"#"##, "d"]),
            (r#"b"\\" x"#, &[r#"b"\\""#, "x"]),
            (r"'\'' b'x' 'a", &[r"'\''", "b'x'", "'", "a"]),
            ("'\"' x", &["'\"'", "x"]),
            ("r#type + 1", &["r", "#", "type", "+", "1"]),
            ("<'static>", &["<", "'", "static", ">"]),
            ("\"not ended", &["\"not ended"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_token_knows_its_lines() {
        let tokens = tokens("a\n/* \n */ \"b\nc\" d");
        let lines: Vec<Vec<_>> = tokens.iter().map(|token| token.lines().collect()).collect();
        assert_eq!(lines, [vec![1], vec![3, 4], vec![4]]);
    }

    #[test]
    fn what_only_a_test_sees_is_left_out() {
        for (text, expected) in [
            ("a #[cfg(test)] mod tests { b { c } } d", "a d"),
            ("a #[cfg(test)] mod tests; d", "a d"),
            ("#[cfg(all(test, not(fanfare_loom)))] mod tests { b } d", "d"),
            ("#[cfg(not(test))] a", "# [ cfg ( not ( test ) ) ] a"),
            ("#[test] fn f() {} d", "# [ test ] fn f ( ) { } d"),
        ] {
            let tokens = tokens(text);
            let kept: Vec<_> = without_tests(&tokens).iter().map(|token| token.text).collect();
            assert_eq!(kept.join(" "), expected);
        }
    }
}
