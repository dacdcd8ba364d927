//! What a publisher may do, and how fast.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use super::{
    super::{super::fault::Fault, Door, credentials::Ways, origins::Cookies, request::Asked},
    Gate,
    faults::{not_allowed, origin_refused, publishing_is_closed, too_many, unauthorised},
    identity::{Holder, Principal},
    network,
};

/// By whom messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Publisher {
    Holder(Holder),
    Address(IpAddr),
}

/// What a publisher may do.
#[derive(Debug)]
pub(in crate::server) struct PublishGrant {
    gate: Arc<Gate>,
    /// None may publish to all topics.
    principal: Option<Principal>,
    publisher: Option<Publisher>,
}

impl Gate {
    /// Decides about a request to publish, before its body is read.
    pub(in crate::server) fn publish(
        self: &Arc<Self>,
        asked: &Asked,
    ) -> Result<PublishGrant, Fault> {
        let principal = self.verify(self.identify(asked, Ways::WithoutParameter)?)?;
        // A page may make a browser send a message to wherever the browser can reach.
        if !self.origins.allow(&asked.headers, Cookies::NotUsed) {
            return Err(origin_refused());
        }
        if principal.is_none() && self.publish == Door::Closed {
            return Err(if self.knows_tokens() { unauthorised() } else { publishing_is_closed() });
        }
        let by_address = || self.proxies.client(asked).map(network).map(Publisher::Address);
        let publisher = match &principal {
            Some(principal) => Some(Publisher::Holder(principal.holder)),
            None => by_address(),
        };
        let principal = principal.filter(|_| self.publish == Door::Closed);
        Ok(PublishGrant { gate: Arc::clone(self), principal, publisher })
    }
}

impl PublishGrant {
    /// [Checks](Self::check) whole messages, each with its topics.
    pub(in crate::server) fn check_batch<M>(
        &self,
        batch: &[(M, Vec<Cow<'_, str>>)],
    ) -> Result<(), Fault> {
        let topics = batch.iter().flat_map(|(_, topics)| topics.iter().map(AsRef::as_ref));
        self.check(topics, u32::try_from(batch.len()).unwrap_or(u32::MAX))
    }

    /// Checks that messages to these topics may be published, as many as `messages`: all, or none. Asked
    /// anew for whatever comes on a stream, which may last longer than its token.
    pub(in crate::server) fn check<'t>(
        &self,
        mut topics: impl Iterator<Item = &'t str>,
        messages: u32,
    ) -> Result<(), Fault> {
        if let Some(principal) = &self.principal {
            let is_over = |expires| self.gate.left_until(expires).is_none();
            if principal.expires.is_some_and(is_over) {
                return Err(unauthorised());
            }
            if !topics.all(|topic| principal.permissions.may_publish(topic)) {
                return Err(not_allowed());
            }
        }
        let (Some(rates), Some(publisher), 1..) = (&self.gate.rates, self.publisher, messages)
        else {
            return Ok(());
        };
        rates
            .take(publisher, messages, Instant::now())
            .map_err(|fast| too_many("too many messages: slow down", fast.retry_after))
    }
}
