//! A language model's answer, printed as it is written: `cargo run --example chat -- your question`.
//!
//! The model is a parrot in this process, but speaks as most do: it takes a chat completion as JSON,
//! and its answer is an event stream that ends with `[DONE]`.

use std::{
    error::Error,
    io::{self, Write},
    time::Duration,
};

use axum::{Json, Router, response::IntoResponse, response::sse, routing::post};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
    let parrot = Router::new().route("/v1/chat/completions", post(complete));
    tokio::spawn(async move { axum::serve(listener, parrot).await });

    let question = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let messages = json!([{"role": "user", "content": question}]);
    let request = json!({"model": "parrot", "stream": true, "messages": messages});
    let response = reqwest::Client::new()
        .post(url)
        .header("Content-Type", "application/json")
        .body(request.to_string())
        .send()
        .await?
        .error_for_status()?;

    let mut events = fanfare::client::read(response.bytes_stream());
    while let Some(event) = events.next().await {
        let event = event?;
        if event.data() == "[DONE]" {
            println!();
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(event.data())?;
        print!("{}", chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        io::stdout().flush()?;
    }
    Err("the answer was cut off".into())
}

async fn complete(Json(request): Json<Value>) -> impl IntoResponse {
    let question = request["messages"][0]["content"].as_str().unwrap_or_default();
    let answer = format!("You said: \"{question}\". Pieces of eight! 🦜");
    let words: Vec<_> = answer.split_inclusive(' ').map(str::to_owned).collect();
    let chunks = stream::iter(words).then(|word| async move {
        sleep(Duration::from_millis(50)).await;
        sse::Event::default().json_data(json!({"choices": [{"delta": {"content": word}}]}))
    });
    sse::Sse::new(chunks.chain(stream::iter([Ok(sse::Event::default().data("[DONE]"))])))
}
