//! Any bytes taken for a message's text: they are refused with a fault, or they are a message whose
//! own text is read as the same, and which says to a client what those bytes said.

#![no_main]

use fanfare::sse::{Message, Parser};
use fanfare_fuzz::{Item, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parsed = Message::try_from(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        assert_eq!(text.parse(), parsed);
    }
    if let Ok(message) = serde_json::from_slice::<Message>(bytes) {
        assert_comes_back(&message);
    }
    match parsed {
        Ok(message) => {
            assert_comes_back(&message);
            let sent = read(&mut Parser::new(), [&*message.to_bytes()]);
            // Its text may lack the blank line, and what follows one is not looked at.
            let given = read(&mut Parser::new(), [bytes, b"\n\n"]);
            assert_eq!(sent.items.first(), first_of(&given.items, &message));
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});

fn assert_comes_back(message: &Message) {
    if message.is_empty() {
        return assert!(message.to_bytes().is_empty());
    }
    assert_eq!(Message::try_from(&*message.to_bytes()).as_ref(), Ok(message));
}

/// The first event given, if it is of the message: a later one is not looked at.
fn first_of<'i>(given: &'i [Item], message: &Message) -> Option<&'i Item> {
    let has_data = message.lines().any(|line| matches!(line, fanfare::sse::Line::Data(_)));
    given.first().filter(|_| has_data)
}
