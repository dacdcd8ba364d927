//! Publishing to the topic that is watched.

use http::header::CONTENT_TYPE;
use reqwest::Client;
use serde_json::json;

use super::{
    super::super::{header::Header, with_causes},
    PATIENCE, Targets,
};

/// The type of the events, so that a page which listens for its own sees none of these.
const EVENT_TYPE: &str = "fanfare-doctor";

/// Publishes events that are told from everybody else's.
pub(super) struct Publishing {
    client: Client,
    targets: Targets,
    headers: Vec<Header>,
    nonce: u64,
}

impl Publishing {
    pub(super) fn new(targets: &Targets, headers: &[Header]) -> reqwest::Result<Self> {
        // Twice: a proxy may take a while to find that a server is gone.
        let client = Client::builder().timeout(2 * PATIENCE).build()?;
        let (targets, headers) = (targets.clone(), headers.to_vec());
        Ok(Self { client, targets, headers, nonce: fastrand::u64(..) })
    }

    /// Data that nobody else publishes.
    pub(super) fn mark(&self, name: &str) -> String {
        format!("{name} {:016x}", self.nonce)
    }

    /// Publishes.
    ///
    /// # Errors
    /// What went wrong, or what the server said.
    pub(super) async fn publish(&self, data: &str) -> Result<(), String> {
        let body = json!({"event": EVENT_TYPE, "data": data}).to_string();
        let mut request = self.client.post(self.targets.publish.clone());
        for Header { name, value } in &self.headers {
            request = request.header(name, value);
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|fault| with_causes(&fault))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(format!("POST {}: {}", self.targets.publish, response.status()))
    }
}
