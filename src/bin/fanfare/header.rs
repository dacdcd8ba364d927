//! A request header on the command line, as curl takes it.

use std::str::FromStr;

use http::{HeaderName, HeaderValue};

/// `Name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("expected \"Name: value\"")?;
        let name = name.trim().parse().map_err(|_| format!("{name:?} is no header's name"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| "the value has a control character")?;
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let header: Header = "Authorization: Bearer a:b ".parse().unwrap();
        assert_eq!(header.name, "authorization");
        assert_eq!(header.value, "Bearer a:b");
        for text in ["", "Authorization", "a b: c", ": c", "a: b\nc: d"] {
            assert!(text.parse::<Header>().is_err(), "{text:?}");
        }
    }
}
