//! ARCHITECTURE.md, I11 and I12: what a handed-over connection is answered, and what it publishes, does
//! not depend on how its bytes come; and nothing is executed that is not a request to whoever reads the
//! connection strictly, such as what lies in a body or behind a fault.

#![no_main]

use std::time::Duration;

use fanfare::http::{BodyEnd, Head, parse_head};
use fanfare::server::serve_handed_over;
use fanfare::{LocalProvider, LogOptions, Publisher};
use fanfare_fuzz::{Answer, Pieces, answers, paused_runtime};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

/// More than any input has, so that the peer never waits for the server.
const PIPE_BYTES: usize = 1 << 20;

/// Later than every deadline of the server.
const PATIENCE: Duration = Duration::from_secs(60);

fuzz_target!(|input: (Pieces, &[u8])| {
    let (pieces, bytes) = input;
    // A fault is told at the end of its line, or at once where all is there: so let each line end.
    let bytes = &[bytes, b"\r\n\r\n"].concat();
    let methods = requests(bytes);
    let whole = serve(&[bytes], &methods);
    let cut: Vec<_> = pieces.of(bytes).collect();
    assert_eq!(serve(&cut, &methods), whole, "in pieces");
    let dripped: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(serve(&dripped, &methods), whole, "byte by byte");

    let (answers, published) = whole;
    // One more for the fault behind them.
    assert!(answers.len() <= methods.len() + 1, "{answers:?} to {methods:?}");
    let posts = methods.iter().filter(|method| *method == "POST").count();
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert!(accepted <= posts, "{answers:?} to {methods:?}");
    assert!(published == 0 || posts > 0, "{published} published by {methods:?}");
});

/// The methods of the requests in `bytes`, up to the first fault: read one after the other.
fn requests(mut bytes: &[u8]) -> Vec<String> {
    let mut methods = Vec::new();
    while let Ok(Head::Complete(head)) = parse_head(bytes) {
        methods.push(head.method.to_owned());
        bytes = &bytes[head.len..];
        let mut body = BodyEnd::of(head.body_length());
        while !body.is_reached() && !bytes.is_empty() {
            let Ok(taken) = body.take(bytes) else { return methods };
            bytes = &bytes[taken..];
        }
    }
    methods
}

/// What comes of a connection on which a core has received the first piece: the answers, and the number of
/// messages.
fn serve(pieces: &[&[u8]], methods: &[String]) -> (Vec<Answer>, u64) {
    let provider = LocalProvider::new(LogOptions::default());
    let publisher = Publisher::new(provider.clone());
    let before = provider.log().head().number();
    let (received, has_ended) = paused_runtime().block_on(async {
        let (near, far) = duplex(PIPE_BYTES);
        let (mut read, mut write) = split(near);
        let send = async {
            for piece in pieces.iter().skip(1) {
                // The server may have hung up.
                let _ = write.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(PATIENCE).await;
            let _ = write.shutdown().await;
        };
        let mut received = Vec::new();
        let receive = async { read.read_to_end(&mut received).await.expect("a pipe") };
        let first = pieces.first().copied().unwrap_or_default();
        // A stream whose peer has sent more is not read any more, and lasts until it cannot be written to.
        let served = tokio::time::timeout(2 * PATIENCE, serve_handed_over(first, far, publisher));
        let all = async { tokio::join!(served, send, receive).0 };
        let has_ended = tokio::time::timeout(4 * PATIENCE, all).await.expect("it ends").is_ok();
        (received, has_ended)
    });
    let answers = answers(&received, methods);
    let is_stream = answers.last().is_some_and(|answer| answer.is_stream);
    assert!(has_ended || is_stream, "it does not end: {answers:?} to {methods:?}");
    (answers, provider.log().head().number() - before)
}
