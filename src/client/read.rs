//! One finite stream, read to its end: no request, no retry.

use std::{
    fmt,
    future::poll_fn,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, TryStream};

use crate::{
    limits::{BLOCKING_READ_BYTES, CLIENT_POLL_BYTES_MAX},
    sse::{Dialect, Event, Item, ParseError, Parser},
};

/// Reads the events of a body that ends, as of a language model's answer: a stream of pieces of
/// bytes, from any HTTP stack.
///
/// The end of the body is the end of the events. An error comes last and once, after all events
/// before it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fanfare::{Message, Server, client};
///
/// # let server = Server::builder().listen("127.0.0.1:0").start()?;
/// # let url = format!("http://{}/events", server.local_addr());
/// let response = reqwest::get(url).await?;
/// # server.publisher().publish(&Message::new("42"), &[""])?;
/// # server.shutdown();
/// let mut events = client::read(response.bytes_stream());
/// while let Some(event) = events.next().await {
///     println!("{}", event?.data());
/// }
/// # Ok(())
/// # }
/// ```
pub fn read<B>(body: B) -> ReadStream<B>
where
    B: TryStream,
    B::Ok: AsRef<[u8]>,
{
    ReadStream { body: Some(Box::pin(body)), chunk: None, taken: 0, parser: Parser::new() }
}

/// The events of a body: see [`read`].
pub struct ReadStream<B: TryStream> {
    /// None after the end.
    body: Option<Pin<Box<B>>>,
    chunk: Option<B::Ok>,
    /// Bytes of the chunk that are parsed.
    taken: usize,
    parser: Parser,
}

impl<B> ReadStream<B>
where
    B: TryStream,
    B::Ok: AsRef<[u8]>,
{
    /// Most bytes of an event, and of a line. Default:
    /// [`STREAM_EVENT_BYTES_MAX_DEFAULT`](crate::limits::STREAM_EVENT_BYTES_MAX_DEFAULT).
    #[must_use]
    pub fn event_bytes_max(mut self, max: usize) -> Self {
        self.parser = self.parser.line_bytes_max(max).event_bytes_max(max);
        self
    }

    /// Whose reading of the format to follow. Default: [`Dialect::Standard`].
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.parser = self.parser.dialect(dialect);
        self
    }

    /// The next event, or none at the end.
    ///
    /// # Errors
    /// [`ReadError`]: there is nothing more.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, ReadError<B::Error>>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Event, ReadError<B::Error>>>> {
        let mut allowance = CLIENT_POLL_BYTES_MAX;
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            if let Some(chunk) = &self.chunk {
                let mut rest = &chunk.as_ref()[self.taken..];
                let parsed = next_event(&mut self.parser, &mut rest);
                self.taken = chunk.as_ref().len() - rest.len();
                match parsed {
                    Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                    Ok(None) => self.chunk = None,
                    Err(fault) => {
                        self.body = None;
                        return Poll::Ready(Some(Err(ReadError::Parse(fault))));
                    }
                }
            }
            if allowance == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match ready!(body.as_mut().try_poll_next(context)) {
                Some(Ok(chunk)) => {
                    allowance = allowance.saturating_sub(chunk.as_ref().len().max(1));
                    (self.chunk, self.taken) = (Some(chunk), 0);
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(ReadError::Body(error))));
                }
                None => {
                    self.body = None;
                    return Poll::Ready(last_event(&mut self.parser).map(|last| Ok(last?)));
                }
            }
        }
    }
}

impl<B> Stream for ReadStream<B>
where
    B: TryStream,
    B::Ok: AsRef<[u8]>,
{
    type Item = Result<Event, ReadError<B::Error>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

/// The body is in a place of its own, and its pieces are not pinned.
impl<B: TryStream> Unpin for ReadStream<B> {}

impl<B: TryStream> fmt::Debug for ReadStream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadStream").field("ended", &self.body.is_none()).finish_non_exhaustive()
    }
}

/// Reads the events of a body that ends, without a runtime.
///
/// The end of the body is the end of the events. An error comes last and once, after all events
/// before it.
///
/// ```
/// use fanfare::client;
///
/// let body = &b"event: token\ndata: hel\n\ndata: lo\n\n"[..];
/// let events = client::read_blocking(body).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!((events[0].event_type(), events[0].data()), ("token", "hel"));
/// assert_eq!((events[1].event_type(), events[1].data()), ("message", "lo"));
/// # Ok::<(), client::ReadError<std::io::Error>>(())
/// ```
pub fn read_blocking<R: Read>(body: R) -> ReadIter<R> {
    ReadIter { body: Some(body), buffer: Box::default(), unparsed: 0..0, parser: Parser::new() }
}

/// The events of a body: see [`read_blocking`].
pub struct ReadIter<R> {
    /// None after the end.
    body: Option<R>,
    buffer: Box<[u8]>,
    unparsed: std::ops::Range<usize>,
    parser: Parser,
}

impl<R: Read> ReadIter<R> {
    /// Most bytes of an event, and of a line. Default:
    /// [`STREAM_EVENT_BYTES_MAX_DEFAULT`](crate::limits::STREAM_EVENT_BYTES_MAX_DEFAULT).
    #[must_use]
    pub fn event_bytes_max(mut self, max: usize) -> Self {
        self.parser = self.parser.line_bytes_max(max).event_bytes_max(max);
        self
    }

    /// Whose reading of the format to follow. Default: [`Dialect::Standard`].
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.parser = self.parser.dialect(dialect);
        self
    }

    fn read_event(&mut self) -> Result<Option<Event>, ReadError<io::Error>> {
        loop {
            let Some(body) = &mut self.body else { return Ok(None) };
            let mut rest = &self.buffer[self.unparsed.clone()];
            let event = next_event(&mut self.parser, &mut rest)?;
            self.unparsed.start = self.unparsed.end - rest.len();
            if event.is_some() {
                return Ok(event);
            }
            if self.buffer.is_empty() {
                self.buffer = vec![0; BLOCKING_READ_BYTES].into();
            }
            match body.read(&mut self.buffer) {
                Ok(0) => {
                    self.body = None;
                    return Ok(last_event(&mut self.parser).transpose()?);
                }
                Ok(read) => self.unparsed = 0..read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Body(error)),
            }
        }
    }
}

impl<R: Read> Iterator for ReadIter<R> {
    type Item = Result<Event, ReadError<io::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.read_event();
        if event.is_err() {
            self.body = None;
        }
        event.transpose()
    }
}

impl<R: Read> std::iter::FusedIterator for ReadIter<R> {}

impl<R> fmt::Debug for ReadIter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadIter").field("ended", &self.body.is_none()).finish_non_exhaustive()
    }
}

/// Why the events of a body ended before the body did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The body failed.
    #[error("the stream cannot be read")]
    Body(#[source] E),
    /// The stream is larger than a limit, or ended where it must not.
    #[error("the stream cannot be parsed")]
    Parse(#[from] ParseError),
}

fn next_event(parser: &mut Parser, rest: &mut &[u8]) -> Result<Option<Event>, ParseError> {
    match parser.next(rest)? {
        Some(Item::Event(event)) => Ok(Some(event.to_event())),
        // Comments are not asked for: all of it is parsed.
        Some(Item::Comment(_)) | None => Ok(None),
    }
}

fn last_event(parser: &mut Parser) -> Option<Result<Event, ParseError>> {
    parser.finish().map(|event| event.map(Event::from)).transpose()
}

#[cfg(test)]
mod tests;
