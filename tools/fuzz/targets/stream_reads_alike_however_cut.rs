//! ARCHITECTURE.md, I11 and I12: whatever the bytes and the bounds, a stream gives the same items,
//! fault, last id and reconnection time however it is cut; and a restart keeps those two and no more.

#![no_main]

use fanfare_fuzz::{Plan, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Plan, &[u8])| {
    let (plan, stream) = input;
    let mut parser = plan.parser();
    let whole = read(&mut parser, [stream]);
    assert_eq!(read(&mut plan.parser(), stream.chunks(1)), whole, "byte by byte");
    assert_eq!(read(&mut plan.parser(), plan.pieces(stream)), whole, "in the plan's pieces");

    parser.restart();
    let mut again = read(&mut parser, plan.pieces(stream));
    let fresh = read(&mut plan.parser().resume_from(&whole.last_event_id), [stream]);
    again.reconnection_time = fresh.reconnection_time;
    assert_eq!(again, fresh, "after a restart");
});
