//! Follows a topic until an event says that it is over: `cargo run --example follow`.
//!
//! One connection in both ways that it can be used: callbacks by the type of event, and a stream of
//! whatever comes. It would reconnect by itself, and get what it missed.

use std::{error::Error, thread, time::Duration};

use fanfare::{Client, Message, Publisher, Server, client::State};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder().listen("127.0.0.1:0").start()?;
    let url = format!("http://{}/events?topic=auction", server.local_addr());
    let mut connection = Client::new()?.get(&url)?;

    let handle = connection.handle();
    handle.on_event("bid", |event| println!("a bid of {}", event.data()));
    let closing = connection.handle();
    handle.on_event("close", move |event| {
        println!("it is over: {}", event.data());
        closing.close();
    });

    let mut auction = Some(server.publisher());
    handle.on_state(move |state| {
        println!("now {state:?}");
        // Whoever listens later gets what is published later.
        if state == State::Open
            && let Some(publisher) = auction.take()
        {
            thread::spawn(move || hold(&publisher).expect("a running server"));
        }
    });

    while let Some(event) = connection.next().await {
        let event = event?;
        println!("{}: {}", event.event_type(), event.data());
    }
    Ok(())
}

fn hold(auction: &Publisher) -> Result<(), Box<dyn Error + Send + Sync>> {
    let says = [("message", "one trumpet"), ("bid", "200"), ("bid", "250"), ("close", "sold")];
    for (event_type, data) in says {
        auction.publish(&Message::new(data).event(event_type.parse()?), &["auction"])?;
        thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}
