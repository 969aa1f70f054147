//! The message queue of a scale set.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::jobs::Statistics;

/// Messages that are kept for a listener that does not come; the oldest go first. Nothing is lost
/// by it that the statistics of the next message do not say.
const MESSAGES: usize = 1000;

/// Messages in the order of their IDs.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    last_id: u64,
    messages: VecDeque<(u64, Value)>,
}

impl Queue {
    /// Appends one message about these events.
    pub(crate) fn push(&mut self, events: &[Value], statistics: &Statistics) {
        self.last_id += 1;
        if self.messages.len() == MESSAGES {
            self.messages.pop_front();
        }
        let message = json!({
            "messageId": self.last_id,
            "messageType": "RunnerScaleSetJobMessages",
            // JSON in a string: the listener parses it a second time.
            "body": json!(events).to_string(),
            "statistics": statistics,
        });
        self.messages.push_back((self.last_id, message));
    }

    /// The first message after one. A message comes again until it is deleted, or until the
    /// listener says that it has seen it.
    pub(crate) fn after(&self, seen: u64) -> Option<&Value> {
        self.messages.iter().find(|(id, _)| *id > seen).map(|(_, message)| message)
    }

    /// Deletes a message; one that is gone is no error, because a client may try again.
    pub(crate) fn delete(&mut self, id: u64) {
        self.messages.retain(|(other, _)| *other != id);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_again_until_it_is_deleted() {
        let mut queue = Queue::default();
        queue.push(&[json!({"messageType": "JobAssigned"})], &Statistics::default());
        queue.push(&[], &Statistics::default());
        assert_eq!(queue.after(0).unwrap()["messageId"], 1);
        assert_eq!(queue.after(0).unwrap()["messageId"], 1);
        assert_eq!(queue.after(1).unwrap()["messageId"], 2);
        queue.delete(1);
        queue.delete(1);
        assert_eq!(queue.after(0).unwrap()["messageId"], 2);
        assert_eq!(queue.after(2), None);
    }

    #[test]
    fn the_body_is_json_in_a_string() {
        let mut queue = Queue::default();
        queue.push(&[json!({"messageType": "JobAssigned"})], &Statistics::default());
        let body = queue.after(0).unwrap()["body"].as_str().unwrap();
        assert_eq!(body, r#"[{"messageType":"JobAssigned"}]"#);
    }

    #[test]
    fn a_listener_that_does_not_come_costs_no_more_than_so_much() {
        let mut queue = Queue::default();
        for _ in 0..MESSAGES + 5 {
            queue.push(&[], &Statistics::default());
        }
        assert_eq!(queue.len(), MESSAGES);
        assert_eq!(queue.after(0).unwrap()["messageId"], 6);
    }
}
