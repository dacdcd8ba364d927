//! Everything that reading a stream gives.

use std::time::Duration;

use fanfare::sse::{self, Event, ParseError, Parser};

/// All that one can tell of a stream that was read to its end, or to its fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its events and comments, in order.
    pub items: Vec<Item>,
    /// Why it could not be read on.
    pub fault: Option<ParseError>,
    /// The id it left.
    pub last_event_id: String,
    /// The reconnection time it left.
    pub reconnection_time: Option<Duration>,
}

/// An item in memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A comment.
    Comment(String),
}

/// Reads `pieces` as one stream, from where `parser` is to the stream's end.
pub fn read<'s>(parser: &mut Parser, pieces: impl IntoIterator<Item = &'s [u8]>) -> Reading {
    let mut items = Vec::new();
    let fault = read_items(parser, pieces, &mut items).err();
    if let Some(fault) = fault {
        assert_eq!(parser.next(&mut &b"data: a\n\n"[..]), Err(fault), "a fault stays");
        assert_eq!(parser.finish(), Err(fault), "a fault stays");
    }
    Reading {
        items,
        fault,
        last_event_id: parser.last_event_id().to_owned(),
        reconnection_time: parser.reconnection_time(),
    }
}

fn read_items<'s>(
    parser: &mut Parser,
    pieces: impl IntoIterator<Item = &'s [u8]>,
    items: &mut Vec<Item>,
) -> Result<(), ParseError> {
    for mut piece in pieces {
        while let Some(item) = parser.next(&mut piece)? {
            items.push(match item {
                sse::Item::Event(event) => Item::Event(event.to_event()),
                sse::Item::Comment(text) => Item::Comment(text.to_owned()),
                item => panic!("an item of no known kind: {item:?}"),
            });
        }
        assert!(piece.is_empty(), "bytes are left, and no item");
    }
    if let Some(last) = parser.finish()? {
        items.push(Item::Event(last.to_event()));
        assert_eq!(parser.finish(), Ok(None), "the end gives one event at most");
    }
    Ok(())
}
