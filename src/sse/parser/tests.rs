use super::*;

/// What a stream gives: its events as type, data and id, and how it ends.
type Outcome = (Vec<[String; 3]>, Result<(), ParseError>);

fn read(mut parser: Parser, pieces: &[&[u8]]) -> Outcome {
    let mut events = Vec::new();
    let mut take = |event: EventRef<'_>| {
        events.push([event.event_type, event.data, event.last_event_id].map(str::to_owned));
    };
    for mut piece in pieces.iter().copied() {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(Item::Event(event))) => take(event),
                Ok(Some(Item::Comment(text))) => panic!("nobody asked for comments: {text}"),
                Ok(None) => break assert!(piece.is_empty()),
                Err(fault) => return (events, Err(fault)),
            }
        }
    }
    let end = parser.finish().map(|last| last.into_iter().for_each(take));
    (events, end)
}

fn events(input: &str) -> Vec<[String; 3]> {
    let (events, end) = read(Parser::new(), &[input.as_bytes()]);
    assert_eq!(end, Ok(()));
    events
}

/// The same outcome whole, byte by byte, and cut in two anywhere.
#[track_caller]
fn assert_outcome(parser: &Parser, input: &[u8], expected: &Outcome) {
    assert_eq!(&read(parser.clone(), &[input]), expected, "whole");
    let bytes: Vec<_> = input.chunks(1).collect();
    assert_eq!(&read(parser.clone(), &bytes), expected, "byte by byte");
    for at in 0..=input.len() {
        let (first, second) = input.split_at(at);
        assert_eq!(&read(parser.clone(), &[first, second]), expected, "cut at {at}");
    }
}

#[test]
fn an_event_that_ends_in_two_cr_is_there_at_once() {
    for input in ["data: a\r\r", "data: a\n\r", "data: a\r\n\r"] {
        let mut parser = Parser::new();
        let mut bytes = input.as_bytes();
        let Some(Item::Event(event)) = parser.next(&mut bytes).unwrap() else {
            panic!("{input:?}")
        };
        assert_eq!(event.data, "a");
        // The LF that may follow is no line of its own.
        let mut rest = &b"\ndata: b\n\n"[..];
        let Some(Item::Event(event)) = parser.next(&mut rest).unwrap() else { panic!("{input:?}") };
        assert_eq!(event.data, "b");
    }
}

#[test]
fn an_id_holds_from_its_blank_line_on_with_or_without_data() {
    let mut parser = Parser::new();
    let mut input = &b"id: 1\n\nid: 2\nid: \0\ndata: x\n\nid: 3\n"[..];
    let Some(Item::Event(event)) = parser.next(&mut input).unwrap() else { panic!() };
    assert_eq!(event.last_event_id, "2");
    assert_eq!(parser.next(&mut input), Ok(None));
    assert_eq!(parser.last_event_id(), "2", "the third block has not ended");
    assert_eq!(parser.finish(), Ok(None));
    assert_eq!(parser.last_event_id(), "2", "and never will");
}

#[test]
fn a_restart_keeps_the_id_and_the_reconnection_time_and_nothing_else() {
    let mut parser = Parser::new().resume_from("seed");
    assert_eq!(parser.last_event_id(), "seed");
    let mut input = &b"retry: 20\ndata: a\nevent: t\nid: lost\n\xef"[..];
    assert_eq!(parser.next(&mut input), Ok(None));
    parser.restart();
    let mut input = &b"\xef\xbb\xbfdata: b\n\n"[..];
    let Some(Item::Event(event)) = parser.next(&mut input).unwrap() else { panic!() };
    assert_eq!(event, EventRef { event_type: "message", data: "b", last_event_id: "seed" });
    assert_eq!(parser.reconnection_time(), Some(Duration::from_millis(20)));
}

#[test]
fn a_retry_that_is_no_number_leaves_the_time_as_it_was() {
    for retry in ["", "abc", "-5", "1e3", &"9".repeat(41)] {
        let mut parser = Parser::new();
        let text = format!("retry: 7\nretry: {retry}\n");
        assert_eq!(parser.next(&mut text.as_bytes()), Ok(None));
        assert_eq!(parser.reconnection_time(), Some(Duration::from_millis(7)), "{retry}");
    }
}

#[test]
fn bounds_are_exact_and_the_same_for_every_split() {
    let parser = Parser::new().line_bytes_max(12).event_bytes_max(20);
    let one = |data: &str| vec![["message".to_owned(), data.to_owned(), String::new()]];
    let long_line = Err(ParseError::LineTooLong { max: 12 });
    let long_event = Err(ParseError::EventTooLong { max: 20 });
    for (input, expected) in [
        ("data: 123456\n\n", (one("123456"), Ok(()))),
        ("data: 1234567\n\n", (vec![], long_line)),
        ("data: 1234567", (vec![], long_line)),
        ("data: 123456\ndata: 12\n\n", (one("123456\n12"), Ok(()))),
        ("data: 123456\ndata: 123\n\n", (vec![], long_event)),
        ("data: 123456\nid: 1234\ndata: 1\n", (vec![], long_event)),
        ("data: 1\n\ndata: 1234567\n\n", (one("1"), long_line)),
        // A line that may still turn out to mean nothing does not count yet.
        ("data: 123456\ndata: 1\ndata", (vec![], Ok(()))),
        ("data: 123456\ndata: 1\ndatax: 1234567\n\n", (one("123456\n1"), Ok(()))),
    ] {
        assert_outcome(&parser, input.as_bytes(), &expected);
    }
}

#[test]
fn of_two_bounds_the_one_that_is_passed_first_is_named() {
    let parser = Parser::new().line_bytes_max(12).event_bytes_max(20);
    let long_line = Err(ParseError::LineTooLong { max: 12 });
    let long_event = Err(ParseError::EventTooLong { max: 20 });
    for (input, fault) in [
        ("data: 123456\ndata: 7890123456\n\n", long_event),
        ("data: 123456\ndata: 7890123456", long_event),
        ("id: 1234\ndata: 1234567\n\n", long_line),
        ("id: 1234\ndata: 1234567890123456\n\n", long_line),
    ] {
        assert_outcome(&parser, input.as_bytes(), &(vec![], fault));
    }
    let outcome = (vec![], Err(ParseError::EventTooLong { max: 7 }));
    assert_outcome(&parser.event_bytes_max(7), b"data: 1234567890\n\n", &outcome);
}

#[test]
fn what_means_nothing_never_adds_up() {
    let mut input = "data: 12345\n".to_owned();
    for _ in 0..100 {
        input += ": a comment that is longer than any line\nunknown: as long as that, and longer\n";
    }
    input += "\n";
    input += &"\r\n".repeat(100);
    input += "data: 6\n\n";
    let expected = ["12345", "6"].map(|data| ["message", data, ""].map(str::to_owned));
    let parser = Parser::new().line_bytes_max(12).event_bytes_max(12);
    let outcome = read(parser.clone(), &[input.as_bytes()]);
    assert_eq!(outcome, (expected.to_vec(), Ok(())));
    let bytes: Vec<_> = input.as_bytes().chunks(1).collect();
    assert_eq!(read(parser, &bytes), outcome);
}

#[test]
fn an_unwanted_line_is_not_kept_while_it_arrives() {
    for beginning in [":", "unknown: ", "dat\u{e9}", "data "] {
        let mut parser = Parser::new();
        assert_eq!(parser.next(&mut beginning.as_bytes()), Ok(None));
        for _ in 0..1000 {
            assert_eq!(parser.next(&mut &[b'x'; 1024][..]), Ok(None));
        }
        assert!(parser.partial.capacity() <= 64, "{beginning:?}");
        let Ok(Some(Item::Event(event))) = parser.next(&mut &b"\ndata: a\n\n"[..]) else {
            panic!()
        };
        assert_eq!(event.data, "a");
    }
}

#[test]
fn a_fault_stays_until_a_restart() {
    let mut parser = Parser::new().line_bytes_max(8);
    let fault = ParseError::LineTooLong { max: 8 };
    assert_eq!(parser.next(&mut &b"data: 123\n\ndata: 1\n\n"[..]), Err(fault));
    assert_eq!(parser.next(&mut &b"data: 1\n\n"[..]), Err(fault));
    assert_eq!(parser.finish(), Err(fault));
    parser.restart();
    assert!(matches!(parser.next(&mut &b"data: 1\n\n"[..]), Ok(Some(_))));
}

#[test]
fn comments_come_as_they_are_and_are_bounded() {
    let mut parser = Parser::new().comments(true).line_bytes_max(12);
    let mut input = &b": one\r\ndata: x\n:two\xff\n\n"[..];
    assert_eq!(parser.next(&mut input), Ok(Some(Item::Comment(" one"))));
    assert_eq!(parser.next(&mut input), Ok(Some(Item::Comment("two\u{fffd}"))));
    assert!(matches!(parser.next(&mut input), Ok(Some(Item::Event(_)))));
    let fault = Err(ParseError::LineTooLong { max: 12 });
    assert_eq!(parser.next(&mut &b":123456789012"[..]), fault);
}

#[test]
fn bytes_that_are_not_utf8_become_replacement_characters() {
    let mut parser = Parser::new();
    // A truncated character does not swallow the line end; C0 8A is no line end.
    let mut input = &b"data: \xe2\x80\ndata: \xc0\x8a\xf0\x9f\x98\x80\n\n"[..];
    let Ok(Some(Item::Event(event))) = parser.next(&mut input) else { panic!() };
    assert_eq!(event.data, "\u{fffd}\n\u{fffd}\u{fffd}\u{1f600}");
}

/// The table of go-sse's own results, in the points where its dialect differs and where not.
#[test]
fn the_go_sse_dialect_reads_as_go_sse_does() {
    let go_sse = Parser::new().dialect(Dialect::GoSse);
    let end = Err(ParseError::UnexpectedEnd);
    let event = |[id, kind, data]: [&str; 3]| [kind, data, id].map(str::to_owned);
    type Row<'a> = (&'a str, &'a [[&'a str; 3]], Result<(), ParseError>);
    let table: [Row<'_>; 17] = [
        ("", &[], Ok(())),
        (": c\n\nfoo: bar\n\n", &[], Ok(())),
        ("data: x", &[], end),
        ("data: x\n", &[["", "", "x"]], Ok(())),
        ("data: x\r", &[["", "", "x"]], Ok(())),
        ("data: x\n\n", &[["", "", "x"]], Ok(())),
        ("id: 5\n\n", &[["5", "", ""]], Ok(())),
        ("event: foo\n\ndata: x\n\n", &[["", "foo", ""], ["", "", "x"]], Ok(())),
        ("retry: 5\n\n", &[], Ok(())),
        ("id: 1\n\nid\n\ndata: x\n\n", &[["1", "", ""], ["", "", ""], ["", "", "x"]], Ok(())),
        ("event:\ndata: x\n\n", &[["", "", "x"]], Ok(())),
        ("event: message\ndata: x\n\n", &[["", "message", "x"]], Ok(())),
        ("id: a\0b\ndata: x\n\n", &[["", "", "x"]], Ok(())),
        ("data: x\n\ndata: y", &[["", "", "x"]], end),
        ("data: a\n\ndata: b\nid: 9\n", &[["", "", "a"], ["9", "", "b"]], Ok(())),
        ("data: a\n \n\n: open", &[["", "", "a"]], end),
        ("\u{feff}", &[], Ok(())),
    ];
    for (input, expected, end) in table {
        let expected = expected.iter().map(|fields| event(*fields)).collect();
        assert_outcome(&go_sse, input.as_bytes(), &(expected, end));
    }
}

#[test]
fn a_stream_that_is_the_beginning_of_a_mark_ends_within_a_line() {
    for input in [&b"\xef"[..], b"\xef\xbb"] {
        let end = Err(ParseError::UnexpectedEnd);
        assert_outcome(&Parser::new().dialect(Dialect::GoSse), input, &(vec![], end));
        assert_outcome(&Parser::new(), input, &(vec![], Ok(())));
    }
}

#[test]
fn the_standard_dialect_differs_there() {
    assert!(events("data: x").is_empty());
    assert!(events("data: x\n").is_empty());
    assert!(events("id: 5\n\n").is_empty());
    let expected = [["message", "x", "5"].map(str::to_owned)];
    assert_eq!(events("id: 5\n\nevent: t\n\ndata: x\n\n"), expected);
}
