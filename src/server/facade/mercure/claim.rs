//! What a token permits by the claim that Mercure's tokens have.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::selectors::template;
use crate::server::access::Permissions;

/// The claim. Its other members are passed over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claim {
    subscribe: Vec<String>,
    publish: Vec<String>,
}

/// What a claim permits. A selector that is not understood permits nothing.
pub(in crate::server) fn permissions(claim: &Value) -> Permissions {
    let claim = Claim::deserialize(claim).unwrap_or_else(|fault| {
        tracing::debug!(%fault, "the claim of a token is not understood");
        Claim::default()
    });
    // Each topic and pattern has been checked by itself.
    Permissions::new(&understood(&claim.subscribe), &understood(&claim.publish)).unwrap_or_default()
}

fn understood(selectors: &[String]) -> Vec<Cow<'_, str>> {
    let patterns = selectors.iter().map(|selector| {
        template(selector).inspect_err(|fault| tracing::debug!(%fault, "a token permits less"))
    });
    patterns.filter_map(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_permits_what_is_understood_of_it() {
        let permissions = permissions(&json!({
            "subscribe": ["https://a.b/{id}", "x", "/.well-known/mercure/subscriptions{/topic}", "c\n"],
            "publish": ["*"],
            "payload": {"user": 1},
        }));
        assert!(permissions.may_subscribe("https://a.b/1") && permissions.may_subscribe("x"));
        assert!(permissions.may_subscribe("https://a.b/*"));
        for other in ["https://a.b/1/2", "y", "/.well-known/mercure/subscriptions/a", "**"] {
            assert!(!permissions.may_subscribe(other), "{other}");
        }
        assert!(permissions.may_publish("a/b/c"));
        for nothing in [json!({}), json!(["*"]), json!({"publish": "*"}), json!(null)] {
            assert_eq!(super::permissions(&nothing), Permissions::default());
        }
    }
}
