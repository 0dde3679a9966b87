//! What happens to a launch, told live: the source of `GET /v1/launches/{id}/events`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events a slow listener may fall behind before it loses the oldest; every event carries the whole state of its track, so nothing is wrong then, only coarser.
const BEHIND: usize = 64;

/// One event: its name (`state`, `content`, `stream`, `report`) and its JSON.
#[derive(Clone, Debug)]
pub struct Event {
    pub name: &'static str,
    pub data: Value,
}

/// The live events of every launch that somebody works on or listens to.
#[derive(Clone, Debug, Default)]
pub struct Events {
    channels: Arc<Mutex<HashMap<String, broadcast::Sender<Event>>>>,
}

// === impl Events ===

impl Events {
    /// Everything told about launch `id` from now on. To miss nothing, listen first and read the record then.
    pub fn listen(&self, id: &str) -> broadcast::Receiver<Event> {
        self.channels
            .lock()
            .entry(id.to_owned())
            .or_insert_with(|| broadcast::channel(BEHIND).0)
            .subscribe()
    }

    /// Tells whoever listens; with nobody there it is free.
    pub fn tell(&self, id: &str, name: &'static str, data: Value) {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(id)
            && channel.send(Event { name, data }).is_err()
        {
            channels.remove(id);
        }
    }

    /// Ends every listener's stream: nothing more will happen to launch `id`.
    pub fn close(&self, id: &str) {
        self.channels.lock().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_hears_its_launch_and_the_end_of_it() {
        let events = Events::default();
        let mut heard = events.listen("1");
        events.tell("2", "state", 1.into());
        events.tell("1", "state", 2.into());
        events.close("1");
        assert_eq!(heard.recv().await.unwrap().data, 2);
        assert!(heard.recv().await.is_err());
    }

    #[test]
    fn launches_nobody_listens_to_leave_nothing_behind() {
        let events = Events::default();
        drop(events.listen("1"));
        events.tell("1", "state", 1.into());
        assert!(events.channels.lock().is_empty());
    }
}
