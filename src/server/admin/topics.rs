//! The topics with the most subscribers.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
};
use serde::Serialize;

use super::Office;
use crate::{
    limits,
    server::{fault::Fault, selection},
};

/// How many are listed unless it is said.
const LISTED_DEFAULT: usize = 20;

#[derive(Debug, Serialize)]
pub(super) struct Busy {
    topics: Vec<Topic>,
    /// Whether all topics were looked at. Otherwise there may be busier ones.
    complete: bool,
}

#[derive(Debug, Serialize)]
struct Topic {
    topic: String,
    subscribers: u32,
}

/// `?limit=` is how many are listed at most.
pub(super) async fn busiest(
    State(office): State<Office>,
    RawQuery(query): RawQuery,
) -> Result<Json<Busy>, Fault> {
    let limit = limit(query.as_deref())?;
    let provider = office.stats.provider().ok_or_else(|| {
        Fault::new(StatusCode::NOT_IMPLEMENTED, "this provider does not count its subscribers")
    })?;
    let busiest = provider.busiest(limit);
    let topics = busiest.topics.into_iter();
    let topics = topics.map(|(topic, subscribers)| Topic { topic, subscribers }).collect();
    Ok(Json(Busy { topics, complete: busiest.is_complete }))
}

fn limit(query: Option<&str>) -> Result<usize, Fault> {
    let mut limit = LISTED_DEFAULT;
    for (name, value) in selection::pairs(query) {
        if name != "limit" {
            return Err(Fault::bad_request(format!("unknown parameter {name:?}")));
        }
        let max = limits::TOPICS_LISTED_MAX;
        let number = value.parse().ok().filter(|number| (1..=max).contains(number));
        limit = number.ok_or_else(|| {
            Fault::bad_request(format!("limit is {value:?}: it is a number from 1 to {max}"))
        })?;
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_has_one() {
        assert_eq!(limit(None), Ok(LISTED_DEFAULT));
        assert_eq!(limit(Some("limit=1000")), Ok(limits::TOPICS_LISTED_MAX));
        for query in ["limit=0", "limit=1001", "limit=", "limit=ten", "top=3"] {
            assert!(limit(Some(query)).is_err(), "{query}");
        }
    }
}
