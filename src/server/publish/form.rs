//! A message as the fields of a form, which is what a page's `<form>` and `curl -d` send.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use axum::{
    body::Body,
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::{HeaderMap, header},
};
use percent_encoding::percent_decode;

use super::item::{Addressed, Item};
use crate::{limits, server::fault::Fault};

/// The fields that have been read, each at most once but `topic`.
#[derive(Default)]
pub(super) struct Fields<'f> {
    topics: Vec<Cow<'f, str>>,
    data: Option<Cow<'f, str>>,
    id: Option<Cow<'f, str>>,
    event: Option<Cow<'f, str>>,
    retry: Option<Cow<'f, str>>,
    conflation_key: Option<Cow<'f, str>>,
}

/// One message from `application/x-www-form-urlencoded`.
pub(super) fn parse<'f>(
    form: &'f [u8],
    query_topics: &'f [String],
) -> Result<Addressed<'f>, Fault> {
    let mut fields = Fields::default();
    for (name, value) in pairs(form)? {
        fields.add(&name, value)?;
    }
    fields.into_item()?.address(query_topics)
}

/// One message from `multipart/form-data`; a file's name and type are not looked at.
pub(super) async fn parse_parts<'f>(
    headers: &HeaderMap,
    form: &[u8],
    query_topics: &'f [String],
) -> Result<Addressed<'f>, Fault> {
    let mut request = Request::new(Body::from(form.to_vec()));
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    let parts = Multipart::from_request(request, &()).await;
    let mut parts = parts.map_err(|fault| Fault::bad_request(fault.body_text()))?;
    let mut fields = Fields::default();
    while let Some(part) = parts.next_field().await.map_err(|fault| malformed(&fault))? {
        let name = part.name().unwrap_or_default().to_owned();
        let value = part.bytes().await.map_err(|fault| malformed(&fault))?;
        let value = str::from_utf8(&value).map_err(|fault| {
            let offset = fault.valid_up_to();
            Fault::bad_request(format!("field {name:?} is not UTF-8 at byte {offset}"))
        })?;
        fields.add(&name, value.to_owned().into())?;
    }
    fields.into_item()?.address(query_topics)
}

fn malformed(fault: &MultipartError) -> Fault {
    Fault::bad_request(fault.body_text())
}

/// The pairs of a form, whose values are exactly what was sent.
pub(in crate::server) fn pairs(form: &[u8]) -> Result<form_urlencoded::Parse<'_>, Fault> {
    // Decoding pair by pair replaces what is not UTF-8. What separates pairs is ASCII, so each of
    // them is UTF-8 if the whole is.
    percent_decode(form).decode_utf8().map_err(|fault| {
        Fault::bad_request(format!(
            "the form, decoded, is not UTF-8 at byte {}",
            fault.valid_up_to()
        ))
    })?;
    Ok(form_urlencoded::parse(form))
}

impl<'f> Fields<'f> {
    pub(super) fn add(&mut self, name: &str, value: Cow<'f, str>) -> Result<(), Fault> {
        let place = match name {
            "topic" => return self.add_topic(value),
            "data" => &mut self.data,
            "id" => &mut self.id,
            "event" => &mut self.event,
            "retry" => &mut self.retry,
            "conflation_key" => &mut self.conflation_key,
            _ => return Err(unknown(name)),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Fault::bad_request(format!("field {name:?} is given twice"))),
        }
    }

    fn add_topic(&mut self, topic: Cow<'f, str>) -> Result<(), Fault> {
        let max = limits::TOPICS_PER_MESSAGE_MAX;
        if self.topics.len() == max {
            return Err(Fault::bad_request(format!("more than {max} topics")));
        }
        self.topics.push(topic);
        Ok(())
    }

    pub(super) fn into_item(self) -> Result<Item<'f>, Fault> {
        Ok(Item {
            topics: (!self.topics.is_empty()).then_some(self.topics),
            id: parsed("id", self.id)?,
            event: parsed("event", self.event)?,
            data: self.data.ok_or_else(|| Fault::bad_request("missing field \"data\""))?,
            retry: parsed("retry", self.retry)?,
            conflation_key: self.conflation_key,
        })
    }
}

/// What `curl -d hello` sends is a form whose one field is `hello`.
fn unknown(name: &str) -> Fault {
    Fault::bad_request(format!(
        "unknown field {name:?}: a form has topic, data, id, event, retry and conflation_key; send \
         what is no form as text/plain"
    ))
}

/// A field that was left empty, as a page's input is when nobody fills it in, is not there.
fn parsed<T>(name: &str, value: Option<Cow<'_, str>>) -> Result<Option<T>, Fault>
where
    T: FromStr<Err: Display>,
{
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let fault = |fault| Fault::bad_request(format!("field {name:?}: {fault}"));
    value.parse().map(Some).map_err(fault)
}
