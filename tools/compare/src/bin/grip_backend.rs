//! What stands behind Pushpin in the comparison: the web application that Pushpin needs.
//!
//! `grip_backend ADDRESS ZMQ_ADDRESS` answers `GET /events/{topic}` with the GRIP headers that have Pushpin hold the
//! connection, and passes what is posted to `/publish/{topic}` on to Pushpin's ZeroMQ socket.
//! Pushpin's own HTTP port closes after each publish, so that a fast publisher does not use it.
#![forbid(unsafe_code)]

use std::{env, io, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::Mutex};
use zeromq::{PushSocket, Socket, SocketSend};

type Pushpin = Arc<Mutex<PushSocket>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, pushpin] = &arguments[..] else {
        return Err(io::Error::other("usage: grip_backend ADDRESS ZMQ_ADDRESS"));
    };
    let mut socket = PushSocket::new();
    socket.connect(pushpin).await.map_err(io::Error::other)?;
    let router = Router::new()
        .route("/events/{topic}", get(hold))
        .route("/publish/{topic}", post(publish))
        .with_state(Pushpin::new(Mutex::new(socket)));
    axum::serve(TcpListener::bind(address).await?, router).await
}

async fn hold(Path(topic): Path<String>) -> impl IntoResponse {
    let hold = (HeaderName::from_static("grip-hold"), "stream".to_owned());
    let channel = (HeaderName::from_static("grip-channel"), topic);
    ([(CONTENT_TYPE, "text/event-stream".to_owned()), hold, channel], "")
}

async fn publish(
    State(pushpin): State<Pushpin>,
    Path(topic): Path<String>,
    data: String,
) -> StatusCode {
    let mut content: String = data.split('\n').map(|line| format!("data: {line}\n")).collect();
    content.push('\n');
    let item = json!({ "channel": topic, "formats": { "http-stream": { "content": content } } });
    // The letter says that what follows is JSON.
    match pushpin.lock().await.send(format!("J{item}").into()).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::BAD_GATEWAY,
    }
}
