//! The whole server in an axum app of one's own, under a path of the app: `cargo run --example axum_nested`.
//! Subscribing, publishing, access and metrics are those of the server; the app's hyper moves the bytes.

use std::{error::Error, net::SocketAddr};

use axum::{Router, routing::get};
use bytes::Bytes;
use fanfare::{
    Client, LocalProvider, Message, Server,
    server::{Access, Permissions, StaticToken},
};

const TOKEN: &str = "an-example-of-a-static-token";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Everybody may listen; whoever has the token may publish, and so may this process.
    let token = StaticToken::new(TOKEN, Permissions::new(&["**"], &["**"])?)?;
    let access = Access::new().token(token).subscribe(fanfare::server::Door::Open);
    let provider = LocalProvider::builder().build();
    let live = Server::builder().provider(provider.clone()).access(access).router()?;
    let app = Router::new().route("/", get("the page of the app")).nest("/live", live);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // With the addresses of clients there are bounds for each of them.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, service).await });

    println!("{}", reqwest::get(format!("http://{address}/")).await?.text().await?);
    let events = format!("http://{address}/live/events?topic=lobby");
    let mut stream = Client::new()?.connect(http::Request::get(events).body(Bytes::new())?);
    let next = tokio::spawn(async move {
        for _ in 0..2 {
            if let Some(Ok(event)) = stream.next().await {
                println!("{}", event.data());
            }
        }
    });
    while provider.subscribers("lobby") == 0 {
        tokio::task::yield_now().await;
    }
    provider.publish(&Message::new("doors open"), &["lobby"])?;
    let publish = format!("http://{address}/live/publish?topic=lobby");
    let client = reqwest::Client::new();
    client.post(publish).bearer_auth(TOKEN).body("last call").send().await?.error_for_status()?;
    next.await?;
    // The streams end, each told when to come back; then the app may.
    provider.shutdown()?;
    Ok(())
}
