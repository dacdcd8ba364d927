//! Where a body ends, for whoever passes a connection's bytes on without reading the body itself.
//!
//! Strict where readers differ: a chunk's size is hexadecimal digits and nothing around them, every line
//! ends in CRLF, and extensions and trailers are bounded. What passes here can be read in one way only.

use crate::limits::{CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};

use super::BodyLength;

/// Finds the end of a body among bytes that arrive in any pieces.
///
/// ```
/// use fanfare::http::{BodyEnd, BodyLength};
///
/// let mut end = BodyEnd::of(BodyLength::Chunked);
/// assert_eq!(end.take(b"5;a=b\r\nhel"), Ok(10));
/// assert!(!end.is_reached());
/// assert_eq!(end.take(b"lo\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1"), Ok(15));
/// assert!(end.is_reached());
/// ```
#[derive(Clone, Debug)]
pub struct BodyEnd {
    place: Place,
    /// Bytes of the chunk's first line, or of the trailers, so far.
    line_bytes: usize,
    trailers: usize,
    /// Bytes in chunks so far.
    data: u64,
    /// Bytes around them.
    overhead: u64,
}

/// What a body is refused for. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed body: {0}")]
pub struct BodyError(&'static str);

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A body or a chunk of which so many bytes are to come.
    Bytes(u64, After),
    /// A chunk's size, with the digits so far.
    Size {
        size: u64,
        digits: u32,
    },
    /// Blanks between a chunk's size and the `;` of an extension.
    Blanks(u64),
    Extension(u64),
    SizeLf(u64),
    ChunkCr,
    ChunkLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Over,
}

/// What follows bytes that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    End,
    ChunkEnd,
}

/// No chunk is as long as that: its size has at most eight digits.
const SIZE_DIGITS_MAX: u32 = 8;

impl BodyEnd {
    /// The end of a body of that length.
    pub fn of(length: BodyLength) -> Self {
        let place = match length {
            BodyLength::None | BodyLength::Exact(0) => Place::Over,
            BodyLength::Exact(length) => Place::Bytes(length, After::End),
            BodyLength::Chunked => Place::Size { size: 0, digits: 0 },
        };
        Self { place, line_bytes: 0, trailers: 0, data: 0, overhead: 0 }
    }

    /// Whether the body has ended.
    pub fn is_reached(&self) -> bool {
        self.place == Place::Over
    }

    /// How many of `bytes`, which come next on the connection, belong to the body: fewer than there are
    /// if it ends among them, or before a fault. Taken once, they may be passed on.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if the first byte is a fault. It is told again for whatever comes next.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_reached() {
            match self.step(&bytes[taken..]) {
                Ok(count) => taken += count,
                Err(fault) if taken == 0 => return Err(fault),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Takes the first byte, or as many as can be counted. There is one.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        if let Place::Bytes(left, after) = self.place {
            let count = left.min(bytes.len() as u64);
            self.place = match (left - count, after) {
                (0, After::End) => Place::Over,
                (0, After::ChunkEnd) => Place::ChunkCr,
                (left, after) => Place::Bytes(left, after),
            };
            self.data += count;
            // At most the length of `bytes`.
            return Ok(count as usize);
        }
        if self.overhead > 2 * self.data + CHUNK_OVERHEAD_BYTES_MAX {
            return Err(BodyError("it is all chunks and no data"));
        }
        self.place = self.after(bytes[0])?;
        self.overhead += 1;
        Ok(1)
    }

    /// The place after `byte`, which is part of a line.
    fn after(&mut self, byte: u8) -> Result<Place, BodyError> {
        match (self.place, byte) {
            (Place::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                self.count_line_byte()?;
                digit(size, digits, byte)
            }
            (Place::Size { digits: 0, .. }, _) => Err(BodyError("a chunk without a size")),
            (Place::Size { size, .. } | Place::Extension(size), b'\r') => Ok(Place::SizeLf(size)),
            (Place::Size { size, .. } | Place::Blanks(size), b';') => Ok(Place::Extension(size)),
            (Place::Size { size, .. } | Place::Blanks(size), b' ' | b'\t') => {
                self.count_line_byte()?;
                Ok(Place::Blanks(size))
            }
            (Place::Size { .. } | Place::Blanks(_), _) => Err(BodyError("invalid chunk size")),
            (Place::Extension(size), _) if is_text(byte) => {
                self.count_line_byte()?;
                Ok(Place::Extension(size))
            }
            (Place::Extension(_), _) => Err(BodyError("invalid chunk extension")),
            (Place::SizeLf(0), b'\n') => Ok(self.next_line(Place::TrailerStart)),
            (Place::SizeLf(size), b'\n') => Ok(self.next_line(Place::Bytes(size, After::ChunkEnd))),
            (Place::ChunkCr, b'\r') => Ok(Place::ChunkLf),
            (Place::ChunkLf, b'\n') => Ok(Place::Size { size: 0, digits: 0 }),
            (Place::ChunkCr | Place::ChunkLf, _) => {
                Err(BodyError("a chunk is longer than its size"))
            }
            (Place::TrailerStart, b'\r') => Ok(Place::LastLf),
            (Place::LastLf, b'\n') => Ok(Place::Over),
            _ => self.after_in_trailers(byte),
        }
    }

    fn after_in_trailers(&mut self, byte: u8) -> Result<Place, BodyError> {
        self.line_bytes += 1;
        if self.line_bytes > HEAD_BYTES_MAX || self.trailers > HEADERS_MAX {
            return Err(BodyError("too many trailers"));
        }
        match (self.place, byte) {
            (Place::TrailerStart, _) if is_token(byte) => {
                self.trailers += 1;
                Ok(Place::TrailerName)
            }
            (Place::TrailerName, b':') => Ok(Place::TrailerValue),
            (Place::TrailerName, _) if is_token(byte) => Ok(Place::TrailerName),
            (Place::TrailerValue, b'\r') => Ok(Place::TrailerLf),
            (Place::TrailerValue, _) if is_text(byte) => Ok(Place::TrailerValue),
            (Place::TrailerLf, b'\n') => Ok(Place::TrailerStart),
            (Place::SizeLf(_) | Place::TrailerLf | Place::LastLf, _) => {
                Err(BodyError("invalid line end"))
            }
            _ => Err(BodyError("invalid trailer")),
        }
    }

    fn next_line(&mut self, place: Place) -> Place {
        self.line_bytes = 0;
        place
    }

    fn count_line_byte(&mut self) -> Result<(), BodyError> {
        if self.line_bytes == CHUNK_LINE_BYTES_MAX {
            return Err(BodyError("a chunk's extensions are too long"));
        }
        self.line_bytes += 1;
        Ok(())
    }
}

fn digit(size: u64, digits: u32, byte: u8) -> Result<Place, BodyError> {
    if digits == SIZE_DIGITS_MAX {
        return Err(BodyError("a chunk's size has too many digits"));
    }
    let value = char::from(byte).to_digit(16).map_or(0, u64::from);
    Ok(Place::Size { size: size << 4 | value, digits: digits + 1 })
}

/// Whether a header's value or a chunk's extension may have `byte`.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Whether a header's name may have `byte`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the body in `bytes` and whether it has ended, after checking that every way to split
    /// them gives the same; or its fault.
    #[track_caller]
    fn taken(length: BodyLength, bytes: &[u8]) -> Result<(usize, bool), BodyError> {
        let whole = arriving(length, &[bytes]);
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(arriving(length, &[first, second]), whole, "at {cut}");
        }
        assert_eq!(arriving(length, &bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
        whole
    }

    fn arriving(length: BodyLength, pieces: &[&[u8]]) -> Result<(usize, bool), BodyError> {
        let mut end = BodyEnd::of(length);
        let mut total = 0;
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !end.is_reached() {
                let count = end.take(rest)?;
                assert!(count > 0, "it comes on");
                total += count;
                rest = &rest[count..];
            }
        }
        Ok((total, end.is_reached()))
    }

    #[track_caller]
    fn fault(bytes: &str) -> &'static str {
        taken(BodyLength::Chunked, bytes.as_bytes()).expect_err("it is faulty").0
    }

    #[test]
    fn a_body_of_a_length_is_counted() {
        assert_eq!(taken(BodyLength::None, b"x"), Ok((0, true)));
        assert_eq!(taken(BodyLength::Exact(0), b"x"), Ok((0, true)));
        assert_eq!(taken(BodyLength::Exact(3), b"xyzGET"), Ok((3, true)));
        assert_eq!(taken(BodyLength::Exact(u64::MAX), b"xyz"), Ok((3, false)));
    }

    #[test]
    fn a_chunked_body_ends_with_its_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b c\"\r\nhello\r\n00;x\r\nX: y\r\nContent-Length: \t7\r\n\r\n",
            "1 ;a\r\nx\r\nA\r\n0123456789\r\n0\r\nX:\r\n\r\n",
        ] {
            let followed = format!("{body}POST / HTTP/1.1\r\n");
            let length = body.len();
            assert_eq!(
                taken(BodyLength::Chunked, followed.as_bytes()),
                Ok((length, true)),
                "{body:?}"
            );
            let cut = &body.as_bytes()[..length - 1];
            assert_eq!(taken(BodyLength::Chunked, cut), Ok((length - 1, false)), "{body:?}");
        }
    }

    #[test]
    fn what_readers_differ_about_is_a_fault() {
        for size in
            ["+5", "-5", "0x5", " 5", "\t5", "", "\r", "_5", "5_0", "5\n", "5 ", "5 \r", "g"]
        {
            let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
            let expected = ["a chunk without a size", "invalid chunk size", "invalid line end"];
            assert!(expected.contains(&fault(&body)), "{size:?}: {}", fault(&body));
        }
        assert_eq!(fault("FFFFFFFFF\r\n"), "a chunk's size has too many digits");
        assert_eq!(fault("5\rhello\r\n"), "invalid line end");
        assert_eq!(fault("5;\nx\r\nhello"), "invalid chunk extension");
        assert_eq!(fault("5;\rx\r\nhello"), "invalid line end");
        assert_eq!(fault("5\r\nhello0\r\n\r\n"), "a chunk is longer than its size");
        assert_eq!(fault("5\r\nhello\n0\r\n\r\n"), "a chunk is longer than its size");
        assert_eq!(fault("5\r\nhello\r0\r\n\r\n"), "a chunk is longer than its size");
        for trailer in ["X y", " X: y", ": y", "X : y", "X: \0"] {
            assert_eq!(fault(&format!("0\r\n{trailer}\r\n\r\n")), "invalid trailer", "{trailer:?}");
        }
        assert_eq!(fault("0\r\nX: y\n\r\n"), "invalid trailer");
        assert_eq!(fault("0\r\nX: y\ra\r\n"), "invalid line end");
        assert_eq!(fault("0\r\n\rX"), "invalid line end");
    }

    #[test]
    fn what_is_around_the_chunks_is_bounded() {
        let extended = |len: usize| format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(len));
        let longest = extended(CHUNK_LINE_BYTES_MAX - 1);
        assert!(arriving(BodyLength::Chunked, &[longest.as_bytes()]).is_ok());
        let longer = extended(CHUNK_LINE_BYTES_MAX);
        let fault = arriving(BodyLength::Chunked, &[longer.as_bytes()]).unwrap_err();
        assert_eq!(fault.to_string(), "malformed body: a chunk's extensions are too long");

        let small =
            |len: usize, count: usize| format!("{len:x}\r\n{}\r\n", "x".repeat(len)).repeat(count);
        let most = CHUNK_OVERHEAD_BYTES_MAX as usize / 5;
        assert!(arriving(BodyLength::Chunked, &[small(1, most).as_bytes()]).is_ok());
        assert!(arriving(BodyLength::Chunked, &[small(1, 2 * most).as_bytes()]).is_err());
        assert!(arriving(BodyLength::Chunked, &[small(3, 2 * most).as_bytes()]).is_ok());

        let trailers = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
        let most = trailers(HEADERS_MAX);
        assert_eq!(arriving(BodyLength::Chunked, &[most.as_bytes()]), Ok((most.len(), true)));
        let more = trailers(HEADERS_MAX + 1);
        assert!(arriving(BodyLength::Chunked, &[more.as_bytes()]).is_err());
        let long = format!("0\r\nX: {}\r\n\r\n", "y".repeat(HEAD_BYTES_MAX));
        assert!(arriving(BodyLength::Chunked, &[long.as_bytes()]).is_err());
    }
}
