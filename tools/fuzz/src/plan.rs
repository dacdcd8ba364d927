//! How a stream is read: the options of its parser, and where its bytes are cut.

use arbitrary::Arbitrary;
use fanfare::sse::{Dialect, Parser};

/// What the first bytes of an input decide; the stream follows.
///
/// Each field takes its bytes from the front, in this order, so eight bytes of zero before a stream
/// are the plan to read it whole, with nothing set. The seeds are built on that.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Plan {
    comments: bool,
    go_sse: bool,
    bounded: bool,
    line_bytes_max: u8,
    event_bytes_max: u8,
    pieces: Pieces,
}

/// Lengths of pieces, over and over; if none has a byte, the stream is one piece.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Pieces([u8; 3]);

impl Plan {
    /// A parser with the plan's options.
    pub fn parser(&self) -> Parser {
        let parser = Parser::new().comments(self.comments).dialect(self.dialect());
        if !self.bounded {
            return parser;
        }
        parser
            .line_bytes_max(self.line_bytes_max.into())
            .event_bytes_max(self.event_bytes_max.into())
    }

    /// The plan without its bounds.
    #[must_use]
    pub fn unbounded(self) -> Self {
        Self { bounded: false, ..self }
    }

    /// Whether comments are items.
    pub fn comments(&self) -> bool {
        self.comments
    }

    /// Whose reading of the format it is.
    pub fn dialect(&self) -> Dialect {
        if self.go_sse { Dialect::GoSse } else { Dialect::Standard }
    }

    /// The pieces of `stream`.
    pub fn pieces<'s>(&self, stream: &'s [u8]) -> impl Iterator<Item = &'s [u8]> {
        self.pieces.of(stream)
    }
}

impl Pieces {
    /// The pieces of `stream`, empty ones among them.
    pub fn of(self, mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
        let whole = self.0 == [0; 3];
        let mut lengths = self.0.into_iter().cycle();
        std::iter::from_fn(move || {
            if stream.is_empty() {
                return None;
            }
            let length = if whole { stream.len() } else { lengths.next()?.into() };
            let (piece, rest) = stream.split_at(length.min(stream.len()));
            stream = rest;
            Some(piece)
        })
    }
}
