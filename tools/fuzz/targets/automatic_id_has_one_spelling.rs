//! An automatic id's text is read as that id, and no other text is read as one.

#![no_main]

use fanfare::log::AutomaticId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, u64, &str)| {
    let (epoch, position, text) = input;
    let id = AutomaticId { epoch, position };
    assert_eq!(id.to_string(), format!("{epoch:08x}-{position}"));
    assert!(id.to_string().len() <= AutomaticId::LEN_MAX);
    assert_eq!(id.to_string().parse(), Ok(id));

    assert_eq!(text.parse::<AutomaticId>().is_ok(), is_automatic(text), "{text:?}");
    if let Ok(id) = text.parse::<AutomaticId>() {
        assert_eq!(id.to_string(), text);
    }
});

/// Eight lower-case hexadecimal digits, a dash, and a number of 64 bits without leading zeros.
fn is_automatic(text: &str) -> bool {
    let Some((epoch, position)) = text.split_once('-') else { return false };
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    epoch.len() == 8
        && epoch.bytes().all(hexadecimal)
        && position.bytes().all(|byte| byte.is_ascii_digit())
        && (position == "0" || !position.starts_with('0'))
        && position.parse::<u64>().is_ok()
}
