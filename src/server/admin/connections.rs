//! The cores' connections: listed a stretch at a time, and closed one by one.

use std::{future::Future, str::FromStr};

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;

use super::Office;
use crate::{
    engine::{ConnectionId, ConnectionInfo, ConnectionState},
    limits,
    server::{fault::Fault, selection},
};

#[derive(Debug, Serialize)]
pub(super) struct List {
    connections: Vec<Listed>,
    /// Where the next list begins, if there is more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    peer: Option<String>,
    topics: Vec<String>,
    age_seconds: u32,
    state: &'static str,
    /// Messages published since the one it is at, on whatever topics.
    behind: u64,
}

/// Where a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    core: usize,
    slot: u32,
}

/// `?from=<core>-<slot>` is where to begin, as an earlier list's `next` has it.
pub(super) async fn list(
    State(office): State<Office>,
    RawQuery(query): RawQuery,
) -> Result<Json<List>, Fault> {
    let mut place = from(query.as_deref())?;
    if place.is_some_and(|place| place.core >= office.cores.count()) {
        return Err(Fault::bad_request("from names a core that there is not"));
    }
    let mut connections = Vec::new();
    for _ in 0..limits::STRETCHES_PER_LIST {
        let Some(at) = place else { break };
        if connections.len() >= limits::CONNECTIONS_LISTED_MIN {
            break;
        }
        let page = office.ask(at.core, office.cores.page(at.core, at.slot)).await?;
        connections.extend(page.connections.into_iter().map(Listed::from));
        place = match page.next_slot {
            Some(slot) => Some(Place { slot, ..at }),
            None => {
                (at.core + 1 < office.cores.count()).then_some(Place { core: at.core + 1, slot: 0 })
            }
        };
    }
    let next = place.map(|Place { core, slot }| format!("{core}-{slot}"));
    Ok(Json(List { connections, next }))
}

pub(super) async fn close(
    State(office): State<Office>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Fault> {
    let gone = || Fault::new(StatusCode::NOT_FOUND, "there is no such connection");
    let Path(id) = id.map_err(|fault| Fault::bad_request(fault.body_text()))?;
    let id = ConnectionId::from_str(&id).map_err(|fault| Fault::bad_request(fault.to_string()))?;
    if id.core() >= office.cores.count() {
        return Err(gone());
    }
    let was_there = office.ask(id.core(), office.cores.close(id)).await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(gone()) }
}

impl Office {
    async fn ask<T>(
        &self,
        core: usize,
        question: impl Future<Output = Option<T>>,
    ) -> Result<T, Fault> {
        let asking = async {
            let _turn = self.asking.acquire().await;
            question.await
        };
        let answer = tokio::time::timeout(limits::INQUIRY_DEADLINE, asking).await;
        answer.ok().flatten().ok_or_else(|| {
            let text = format!("core {core} has ended, or has too much to do");
            Fault::new(StatusCode::SERVICE_UNAVAILABLE, text)
        })
    }
}

fn from(query: Option<&str>) -> Result<Option<Place>, Fault> {
    let mut place = Place { core: 0, slot: 0 };
    for (name, value) in selection::pairs(query) {
        if name != "from" {
            return Err(Fault::bad_request(format!("unknown parameter {name:?}")));
        }
        place = value.parse().map_err(|()| {
            Fault::bad_request(format!("from is {value:?}: it is core-slot, such as 0-256"))
        })?;
    }
    Ok(Some(place))
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (core, slot) = text.split_once('-').ok_or(())?;
        Ok(Self { core: core.parse().map_err(|_| ())?, slot: slot.parse().map_err(|_| ())? })
    }
}

impl From<ConnectionInfo> for Listed {
    fn from(info: ConnectionInfo) -> Self {
        let (state, behind) = match info.state {
            ConnectionState::Live => ("live", 0),
            ConnectionState::Lagging { behind } => ("lagging", behind),
        };
        Self {
            id: info.id.to_string(),
            peer: info.peer.map(|peer| peer.to_string()),
            topics: info.topics,
            age_seconds: info.age_seconds,
            state,
            behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_begins_where_it_is_told_to() {
        let place = |core, slot| Some(Place { core, slot });
        assert_eq!(from(None), Ok(place(0, 0)));
        assert_eq!(from(Some("from=3-4096")), Ok(place(3, 4096)));
        for query in ["from=", "from=1", "from=1-", "from=-1-2", "from=1-99999999999", "page=2"] {
            assert!(from(Some(query)).is_err(), "{query}");
        }
    }
}
