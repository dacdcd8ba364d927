//! Event streams in an axum app of one's own: `cargo run --example axum_app`. The app decides who sees
//! what; a subscription is a `Stream` of events, and so a body. A client resumes from it as from a
//! server of ours.

use std::error::Error;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use fanfare::{
    Client, LocalProvider, Message, Provider,
    provider::{SubscribeRequest, Subscription},
};

async fn room(
    State(provider): State<LocalProvider>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<Response, (StatusCode, String)> {
    let mut request = SubscribeRequest::to(&[&room]);
    if let Some(id) = headers.get("last-event-id") {
        request = request.after(String::from_utf8_lossy(id.as_bytes()));
    }
    let refused =
        |fault: fanfare::provider::SubscribeError| (StatusCode::BAD_REQUEST, fault.to_string());
    let events: Subscription = Provider::subscribe(&provider, &request).map_err(refused)?;
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(events)).into_response())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = LocalProvider::builder().build();
    let app = Router::new().route("/rooms/{room}", get(room)).with_state(provider.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    // A client that has seen the first message comes back for the others.
    let first = provider.publish(&Message::new("doors open"), &["lobby"])?;
    for text in ["the band plays", "last call"] {
        provider.publish(&Message::new(text), &["lobby"])?;
    }
    let id = first.id().expect("it has one");
    let request = http::Request::get(format!("http://{address}/rooms/lobby"))
        .header("Last-Event-ID", id.as_str())
        .body(bytes::Bytes::new())?;
    let mut stream = Client::new()?.connect(request);
    for _ in 0..2 {
        if let Some(event) = stream.next().await {
            println!("{}", event?.data());
        }
    }
    Ok(())
}
