use std::{collections::VecDeque, convert::Infallible, error::Error};

use super::*;

/// Pieces that are there at once.
struct Pieces<E>(VecDeque<Result<Vec<u8>, E>>);

impl<E: Unpin> Stream for Pieces<E> {
    type Item = Result<Vec<u8>, E>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

impl<E> Pieces<E> {
    fn of<'p>(pieces: impl IntoIterator<Item = &'p str>) -> Self {
        Self(pieces.into_iter().map(|piece| Ok(piece.into())).collect())
    }

    fn then(mut self, error: E) -> Self {
        self.0.push_back(Err(error));
        self
    }
}

/// A reader of pieces, some of them errors.
struct Reader(Pieces<io::Error>);

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.0.pop_front() {
            Some(Ok(mut piece)) => {
                let len = piece.len().min(buffer.len());
                buffer[..len].copy_from_slice(&piece[..len]);
                if piece.len() > len {
                    self.0.0.push_front(Ok(piece.split_off(len)));
                }
                Ok(len)
            }
            Some(Err(error)) => Err(error),
            None => Ok(0),
        }
    }
}

/// Everything of both, which are to be the same; an error as its text.
async fn read_all(pieces: &[&str], dialect: Dialect, max: usize) -> Vec<Result<String, String>> {
    let mut all = Vec::new();
    let body = Pieces::<Infallible>::of(pieces.iter().copied());
    let mut events = read(body).dialect(dialect).event_bytes_max(max);
    while let Some(event) = events.next().await {
        all.push(event.map(Event::into_data).map_err(|error| text(&error)));
    }
    assert!(events.next().await.is_none(), "the end stays the end");

    let body = Reader(Pieces::of(pieces.iter().copied()));
    let mut events = read_blocking(body).dialect(dialect).event_bytes_max(max);
    let blocking = events.by_ref().map(|event| event.map(Event::into_data));
    let blocking: Vec<_> = blocking.map(|event| event.map_err(|error| text(&error))).collect();
    assert!(events.next().is_none(), "the end stays the end");
    assert_eq!(blocking, all);
    all
}

fn text(error: &dyn Error) -> String {
    let cause = error.source().map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

fn ok<const N: usize>(data: [&str; N]) -> Vec<Result<String, String>> {
    data.map(|data| Ok(data.to_owned())).into()
}

#[tokio::test]
async fn the_end_of_the_body_is_success() {
    let max = 100;
    assert_eq!(read_all(&[], Dialect::Standard, max).await, ok([]));
    let pieces = ["da", "ta: a\n", "\r\ndata: b\n\ndata: c", "\n\n", ": x\n\n", "data: cut off"];
    assert_eq!(read_all(&pieces, Dialect::Standard, max).await, ok(["a", "b", "c"]));
}

#[tokio::test]
async fn the_other_dialect_has_the_last_event_and_minds_a_line_that_is_cut_off() {
    let whole = ["data: a\n\ndata: b\n"];
    assert_eq!(read_all(&whole, Dialect::GoSse, 100).await, ok(["a", "b"]));
    let expected = [
        Ok("a".to_owned()),
        Err("the stream cannot be parsed: the stream ended within a line".to_owned()),
    ];
    assert_eq!(read_all(&["data: a\n\ndata: b"], Dialect::GoSse, 100).await, expected);
}

#[tokio::test]
async fn an_event_over_the_limit_is_the_last_item() {
    let pieces = ["data: a\n\ndata: too long\n\ndata: never\n\n"];
    let read = read_all(&pieces, Dialect::Standard, 10).await;
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].as_deref(), Ok("a"));
    assert!(read[1].as_ref().unwrap_err().contains("more than 10 bytes"), "{read:?}");
}

#[tokio::test]
async fn an_error_of_the_body_comes_last_and_once() {
    let body = Pieces::of(["data: a\n\ndata: b"]).then("reset");
    let mut events = read(body);
    assert_eq!(events.next().await.unwrap().unwrap().data(), "a");
    assert_eq!(events.next().await, Some(Err(ReadError::Body("reset"))));
    assert_eq!(events.next().await, None);

    let mut body = Pieces::of(["data: a\n\ndata: b"]);
    body.0.push_front(Err(io::ErrorKind::Interrupted.into()));
    let mut events = read_blocking(Reader(body.then(io::ErrorKind::ConnectionReset.into())));
    assert_eq!(events.next().unwrap().unwrap().data(), "a");
    let error = events.next().unwrap().unwrap_err();
    assert_eq!(text(&error), "the stream cannot be read: connection reset");
    assert!(events.next().is_none());
}

#[test]
fn breaking_off_leaves_the_rest_to_be_read() {
    let body = "data: a\n\ndata: b\n\n".as_bytes();
    let mut events = read_blocking(body);
    for event in events.by_ref() {
        if event.unwrap().data() == "a" {
            break;
        }
    }
    assert_eq!(events.next().unwrap().unwrap().data(), "b");
    assert!(events.next().is_none());
}

#[tokio::test]
async fn an_endless_body_lets_other_tasks_run() {
    struct Endless;
    impl Stream for Endless {
        type Item = Result<&'static [u8], Infallible>;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(Ok(b": comment\n")))
        }
    }
    let mut events = read(Endless);
    tokio::select! {
        biased;
        _ = events.next() => unreachable!("there is no event"),
        () = tokio::task::yield_now() => {}
    }
}
