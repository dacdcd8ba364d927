//! What is around the event stream: HTTP/1.1 chunks, or nothing until the connection closes.
//!
//! Incremental: state is a few words, bytes are never copied, and any split of the input gives the
//! same body. The caller walks the input by [`Framing::step`] and says how much body it used.

/// Digits of a chunk size that are read before it is refused: 2^60 bytes is no chunk.
const SIZE_DIGITS_MAX: u8 = 15;

/// Where in the framing the stream stands.
#[derive(Debug)]
pub(crate) enum Framing {
    /// The body runs until the connection closes.
    UntilClose,
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunk),
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Chunk {
    /// Digits of a size, or what ends them.
    Size { value: u64, digits: u8 },
    /// An extension, up to the line feed.
    Extension { size: u64 },
    /// The line feed after a size.
    SizeEnd { size: u64 },
    /// Body bytes.
    Data { left: u64 },
    /// CR and LF after the data.
    DataEnd { expected: u8 },
    /// Trailer lines after the last chunk; the body is over after an empty one.
    Trailer { line_len: u32 },
    /// The body is over.
    Done,
}

/// What the next bytes are.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// This many bytes of framing, done with.
    Skip(usize),
    /// This many bytes of body are there. Report what was used to [`Framing::advance`].
    Body(usize),
    /// The body is over.
    End,
}

/// The bytes are not a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadChunk;

impl Framing {
    /// The start of a chunked body.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunk::START)
    }

    /// The same framing, at its beginning.
    pub(crate) fn restarted(&self) -> Self {
        match self {
            Self::UntilClose => Self::UntilClose,
            Self::Chunked(_) => Self::chunked(),
        }
    }

    /// Whether no chunk is open: the next byte begins one.
    pub(crate) fn at_boundary(&self) -> bool {
        match self {
            Self::UntilClose => true,
            Self::Chunked(chunk) => *chunk == Chunk::START,
        }
    }

    /// Whether the body has ended in order.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Chunked(Chunk::Done))
    }

    /// Looks at the next bytes; `bytes` is not empty.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        match self {
            Self::UntilClose => Ok(Step::Body(bytes.len())),
            Self::Chunked(chunk) => chunk.step(bytes),
        }
    }

    /// Takes note that `used` bytes of body were consumed.
    pub(crate) fn advance(&mut self, used: usize) {
        let Self::Chunked(chunk) = self else { return };
        if let Chunk::Data { left } = chunk {
            *left -= used as u64;
            if *left == 0 {
                *chunk = Chunk::DataEnd { expected: b'\r' };
            }
        }
    }
}

impl Chunk {
    const START: Self = Self::Size { value: 0, digits: 0 };

    fn step(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        if let Self::Data { left } = *self {
            return Ok(Step::Body(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))));
        }
        let mut at = 0;
        while at < bytes.len() {
            match *self {
                Self::Data { .. } => break,
                Self::Done if at == 0 => return Ok(Step::End),
                Self::Done => break,
                state => *self = state.after(bytes[at])?,
            }
            at += 1;
            // The caller wants to see every boundary between chunks.
            if *self == Self::START {
                break;
            }
        }
        Ok(Step::Skip(at))
    }

    /// The state after one byte of framing.
    fn after(self, byte: u8) -> Result<Self, BadChunk> {
        Ok(match (self, byte) {
            (
                Self::Size { digits: SIZE_DIGITS_MAX.., .. },
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F',
            ) => {
                return Err(BadChunk);
            }
            (Self::Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                Self::Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(BadChunk),
            (Self::Size { value, .. }, b'\r') => Self::SizeEnd { size: value },
            (Self::Size { value, .. }, b';' | b' ' | b'\t') => Self::Extension { size: value },
            (Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::Extension { size }, byte) if byte != b'\n' => Self::Extension { size },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { line_len: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataEnd { expected: b'\r' }, b'\r') => Self::DataEnd { expected: b'\n' },
            (Self::DataEnd { expected: b'\n' }, b'\n') => Self::START,
            (Self::Trailer { line_len }, b'\r') => Self::Trailer { line_len },
            (Self::Trailer { line_len: 0 }, b'\n') => Self::Done,
            (Self::Trailer { .. }, b'\n') => Self::Trailer { line_len: 0 },
            (Self::Trailer { line_len }, _) => {
                Self::Trailer { line_len: line_len.saturating_add(1) }
            }
            _ => return Err(BadChunk),
        })
    }
}

/// Decodes all of `input` given in pieces of `piece` bytes: body, and whether it is over.
#[cfg(test)]
pub(crate) fn dechunk(input: &[u8], piece: usize) -> Result<(Vec<u8>, bool), BadChunk> {
    let mut framing = Framing::chunked();
    let mut body = Vec::new();
    let mut over = false;
    for mut bytes in input.chunks(piece) {
        while !bytes.is_empty() {
            let used = match framing.step(bytes)? {
                Step::Skip(used) => used,
                Step::Body(len) => {
                    body.extend_from_slice(&bytes[..len]);
                    framing.advance(len);
                    len
                }
                Step::End => bytes.len(),
            };
            bytes = &bytes[used..];
        }
        over = framing.is_over();
    }
    Ok((body, over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_gives_the_same_body() {
        let input = b"5\r\nhello\r\n1;x=y\r\n,\r\n0A\r\n 123456789\r\n0\r\nTrailer: x\r\n\r\n";
        for piece in 1..=input.len() {
            let decoded = dechunk(input, piece);
            assert_eq!(decoded, Ok((b"hello, 123456789".to_vec(), true)), "pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5\nhello",
            b"5\r\nhello!\r\n",
            b"5\r\nhello\n\n",
            b"1000000000000000\r\n",
            b"5;a\nb\r\n",
        ] {
            assert_eq!(dechunk(bad, bad.len()), Err(BadChunk), "{bad:?}");
        }
    }

    #[test]
    fn an_unfinished_body_is_not_over() {
        assert_eq!(dechunk(b"5\r\nhello\r\n0\r\n", 3), Ok((b"hello".to_vec(), false)));
    }
}
