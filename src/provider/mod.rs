//! Who gets what? Topics, publishing, and where a subscription starts.

mod local;
mod publisher;
mod reader;
mod start;
mod subscription;
#[cfg(test)]
mod tests;
mod topic_table;

pub use self::{
    local::{LocalProvider, SubscribeRequest},
    publisher::{PublishError, Publisher, Receipt, SubscribeError},
    reader::Reader,
    start::{GAP_EVENT, Start},
    subscription::Subscription,
    topic_table::{DEFAULT_TOPIC, TopicError, check_topic},
};
