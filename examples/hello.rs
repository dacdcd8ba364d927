//! Broadcasts the time every second: `cargo run --example hello`, then
//! `curl -N 'http://127.0.0.1:8000/events?topic=time'`.

use std::{
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fanfare::{Message, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("127.0.0.1:8000").start()?;
    println!("curl -N 'http://{}/events?topic=time'", server.local_addr());
    let publisher = server.publisher();
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        publisher.publish(&Message::new(now.as_secs().to_string()), &["time"])?;
        sleep(Duration::from_secs(1));
    }
}
