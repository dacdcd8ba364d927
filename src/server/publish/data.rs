//! A body that is the data of one message.

use super::{
    body::not_utf8,
    item::{Addressed, or_default},
};
use crate::{server::fault::Fault, sse::Message};

/// The whole body, which is UTF-8, as one message to the topics of the query.
pub(super) fn parse<'t>(body: &[u8], query_topics: &'t [String]) -> Result<Addressed<'t>, Fault> {
    let data = str::from_utf8(body).map_err(not_utf8)?;
    Ok((Message::new(data), or_default(query_topics)))
}
