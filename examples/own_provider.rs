//! A provider of one's own over HTTP: `cargo run --example own_provider`, then what it prints. That it
//! keeps the contract is tested by `fanfare::provider::conformance`, in `tests/it/provider.rs`.

use bytes::Bytes;
use fanfare::log::Overtaken;
use fanfare::provider::{Closed, Publication, SubscribeError, SubscribeRequest, Subscription};
use fanfare::{Message, Provider, PublishError, Receipt, Server};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// None once it is shut down, which ends every queue.
#[derive(Debug)]
pub struct Queues(Mutex<Option<Vec<Subscriber>>>);
type Subscriber = (Vec<String>, mpsc::Sender<Result<Bytes, Overtaken>>);

impl Default for Queues {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Provider for Queues {
    fn publish(&self, message: &Message, topics: &[&str]) -> Result<Receipt, PublishError> {
        Publication { message, topics }.check()?;
        let event = Bytes::from(message.to_bytes());
        self.0.lock().as_mut().ok_or(Closed)?.retain(|(wanted, queue)| {
            let wants = wanted.iter().any(|topic| topics.contains(&topic.as_str()));
            let room = queue.capacity() > 1;
            let item = if room { Ok(event.clone()) } else { Err(Overtaken) };
            !wants && !queue.is_closed() || wants && queue.try_send(item).is_ok() && room
        });
        Ok(Receipt::new(message.event_id().cloned(), 0))
    }

    fn subscribe(&self, request: &SubscribeRequest) -> Result<Subscription, SubscribeError> {
        request.check()?;
        // The last place is for the word that it is too slow.
        let (queue, queued) = mpsc::channel(1000);
        self.0.lock().as_mut().ok_or(Closed)?.push((request.topics.clone(), queue));
        Ok(Subscription::new(ReceiverStream::new(queued)))
    }

    fn shutdown(&self) -> Result<(), Closed> {
        self.0.lock().take().map(drop).ok_or(Closed)
    }

    fn is_closed(&self) -> bool {
        self.0.lock().is_none()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("127.0.0.1:8000").provider(Queues::default()).start()?;
    println!("curl -N 'http://127.0.0.1:8000/events?topic=a'");
    println!(r#"curl --json '{{"data":"hi"}}' 'http://127.0.0.1:8000/publish?topic=a'"#);
    server.wait();
    Ok(())
}
