//! The sentinels: which server is the master, and whether that is about to change.
//!
//! All of them are asked, over connections that stay, and the latest configuration that one of them tells counts: a
//! sentinel that was away tells of a master of the past. That one may live on, as after a failover that was ordered, and
//! take itself for the master for many seconds. So it is asked each second whether the master is still the one that
//! everything goes to, and again after each write that must be on replicas: replicas confirm to either of two masters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::pipe;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::error::Failure;
use super::link::Maker;
use super::url::{Node, RedisUrl, Topology};
use crate::store::StoreError;

/// How long a sentinel may take to answer, to a new connection as well; where servers may take longer, as long as they.
const PATIENCE: Duration = Duration::from_millis(500);

/// All sentinels that the URL names.
pub struct Sentinels {
    master: String,
    seats: Vec<Seat>,
}

/// One of them, and the connection to it.
struct Seat {
    node: Node,
    link: Mutex<Option<MultiplexedConnection>>,
}

/// What one of them says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    master: Node,
    /// The number of its configuration: the greater, the later.
    epoch: u64,
    /// It leads a failover in which nobody is known to be promoted yet.
    is_changing: bool,
}

impl Sentinels {
    /// Those of this URL, if it names any.
    pub fn of(url: &RedisUrl) -> Option<Self> {
        let Topology::Sentinel(master) = &url.topology else { return None };
        let seats = url.nodes.iter().map(|node| Seat { node: node.clone(), link: Mutex::default() });
        Some(Self { master: master.clone(), seats: seats.collect() })
    }

    /// Which server is the master, by all that can be reached.
    ///
    /// # Errors
    /// Why none of them tells.
    pub async fn find_master(&self, maker: &Maker) -> Result<Node, StoreError> {
        let mut words = Vec::new();
        let mut error = StoreError::Unreachable("no sentinel answers".to_owned());
        for said in self.ask(Some(maker), patience(maker)).await {
            match said {
                Ok(word) => words.push(word),
                Err(cause) => error = cause,
            }
        }
        latest(&words).map(|word| word.master.clone()).ok_or(error)
    }

    /// Whether most sentinels are there, this server is the master, and no other is about to be. A write waits for it, so
    /// those that answered a moment ago are asked, and all only when these are too few.
    pub async fn confirm(&self, node: &Node, maker: &Maker) -> bool {
        for connects in [None, Some(maker)] {
            let words: Vec<Word> = self.ask(connects, patience(maker)).await.into_iter().flatten().collect();
            if words.len() * 2 > self.seats.len() {
                return is_confirmed(&words, node);
            }
        }
        false
    }

    async fn ask(&self, maker: Option<&Maker>, patience: Duration) -> Vec<Result<Word, StoreError>> {
        join_all(self.seats.iter().map(|seat| seat.ask(&self.master, maker, patience))).await
    }
}

fn patience(maker: &Maker) -> Duration {
    PATIENCE.max(maker.response_timeout)
}

fn latest(words: &[Word]) -> Option<&Word> {
    words.iter().max_by_key(|word| word.epoch)
}

fn is_confirmed(words: &[Word], node: &Node) -> bool {
    let is_latest = latest(words).is_some_and(|word| word.master == *node);
    is_latest && !words.iter().any(|word| word.is_changing)
}

impl Seat {
    /// Asks, with a maker also one to whom there is no connection.
    async fn ask(&self, master: &str, maker: Option<&Maker>, patience: Duration) -> Result<Word, StoreError> {
        let held = self.held().clone();
        let ask = async {
            let mut link = match (held, maker) {
                (Some(link), _) => link,
                (None, Some(maker)) => maker.to_sentinel(&self.node).await?,
                (None, None) => return Err(Failure::from(StoreError::Unreachable("not connected".to_owned()))),
            };
            let word = word_of(&mut link, master).await?;
            Ok::<_, Failure>((word, link))
        };
        let (outcome, link) = match timeout(patience, ask).await {
            Ok(Ok((word, link))) => (Ok(word), Some(link)),
            Ok(Err(failure)) => (Err(failure.error), None),
            Err(_) => (Err(StoreError::Deadline), None),
        };
        *self.held() = link;
        outcome
    }

    /// Every step under the lock leaves the state whole.
    fn held(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn word_of(link: &mut MultiplexedConnection, master: &str) -> Result<Word, Failure> {
    let mut pipeline = pipe();
    // The one that leads a failover gives the address of who was promoted here, and there that of who was the master.
    pipeline.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).cmd("SENTINEL").arg("MASTER").arg(master);
    let (address, fields): (Option<(String, u16)>, HashMap<String, String>) = pipeline.query_async(link).await?;
    Ok(parse(address, &fields).ok_or_else(|| StoreError::Unreachable("a sentinel knows of no master".to_owned()))?)
}

fn parse(address: Option<(String, u16)>, fields: &HashMap<String, String>) -> Option<Word> {
    let (host, port) = address?;
    let field = |name: &str| fields.get(name).map(String::as_str);
    let is_failing_over = field("flags")?.split(',').any(|flag| flag == "failover_in_progress");
    let was = Node { host: field("ip")?.to_owned(), port: field("port")?.parse().ok()? };
    let master = Node { host, port };
    Some(Word { is_changing: is_failing_over && was == master, epoch: field("config-epoch")?.parse().ok()?, master })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> Node {
        Node { host: "10.0.0.1".to_owned(), port }
    }

    /// What a sentinel answers: the address, that of its table, its flags and its epoch.
    fn said(port: u16, was: u16, flags: &str, epoch: u64) -> Word {
        let (was, epoch) = (was.to_string(), epoch.to_string());
        let fields = [("ip", "10.0.0.1"), ("port", &was), ("flags", flags), ("config-epoch", &epoch)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        parse(Some(("10.0.0.1".to_owned(), port)), &fields).unwrap()
    }

    #[test]
    fn d10_the_latest_configuration_names_the_master() {
        let words = [said(1, 1, "master", 3), said(2, 2, "master", 4), said(1, 1, "master,s_down", 3)];
        assert_eq!(latest(&words).unwrap().master, node(2));
        assert!(latest(&[]).is_none());
        assert!(parse(None, &HashMap::new()).is_none());
    }

    #[test]
    fn d09_a_write_is_confirmed_unless_one_changes_the_master() {
        let calm = said(1, 1, "master", 3);
        let begun = said(1, 1, "master,failover_in_progress,force_failover", 3);
        let promoted = said(2, 1, "master,failover_in_progress", 4);
        for (words, confirms) in [
            (vec![calm.clone(), calm.clone(), calm.clone()], true),
            (vec![], false),
            (vec![calm.clone(), begun, calm.clone()], false),
            (vec![calm.clone(), calm, promoted.clone()], false),
        ] {
            assert_eq!(is_confirmed(&words, &node(1)), confirms, "{words:?}");
        }
        // For the new master the change is over, whatever is still to be done.
        assert!(is_confirmed(&[said(1, 1, "master", 3), promoted], &node(2)));
    }
}
