//! What one request works with: a connection, the names of the keys, and which store it must find.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use deadpool_redis::redis::{FromRedisValue, Pipeline, RedisError, Value, cmd, from_redis_value, pipe};

use super::error::Failure;
use super::keys::{Key, Keys};
use super::link::Link;
use super::scripts::Script;
use crate::keys::RecordSeal;
use crate::store::StoreError;

/// A request's.
pub struct Session {
    pub link: Link,
    pub keys: Arc<Keys>,
    /// Marks what is written, and knows what was written by us.
    pub seal: Arc<RecordSeal>,
    /// Which store this is. An answer that says "nothing there" counts only together with it.
    pub epoch: Arc<str>,
    /// How many replicas must have a write, and how long that may take.
    pub replicas: (u32, Duration),
}

/// Names one write, so that a server that is asked to do it twice does it once; also the random part of its position
/// in the feed, so that no other history of the same store has this very entry.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u128);

impl Chance {
    pub fn new() -> Self {
        Self(rand::random())
    }

    fn name(self) -> String {
        format!("{:032x}", self.0)
    }

    /// From 2 on: the first entry of a feed has 1.
    fn tag(self) -> u32 {
        u32::try_from(self.0 % u128::from(super::feed::TAGS - 2)).unwrap_or_default() + 2
    }
}

impl Session {
    /// Runs a script that writes: once, however often it is sent.
    pub async fn write(
        &mut self,
        script: &Script,
        chance: Chance,
        keys: &[Key],
        arguments: &[Vec<u8>],
    ) -> Result<String, Failure> {
        let mut all_keys = vec![self.keys.epoch(), self.keys.feed(), self.keys.written(&chance.name())];
        all_keys.extend_from_slice(keys);
        let mut all = vec![self.epoch.as_bytes().to_vec(), text(&chance.tag()), self.keys.channel()];
        all.extend_from_slice(arguments);
        let answer: String = script.run(&mut self.link, &all_keys, &all).await?;
        if answer == "conflict" {
            return Err(StoreError::Conflict.into());
        }
        self.wait_for_replicas(self.keys.epoch()).await?;
        Ok(answer)
    }

    /// Waits until what this connection wrote to the server of a key is where it was promised to be.
    pub async fn wait_for_replicas(&mut self, key: Key) -> Result<(), Failure> {
        let (wanted, patience) = self.replicas;
        if wanted == 0 {
            return Ok(());
        }
        let mut wait = cmd("WAIT");
        wait.arg(wanted).arg(patience.as_millis().max(1).to_string());
        let have: u32 = match &mut self.link {
            Link::Server(connection) => wait.query_async(connection).await?,
            Link::Cluster(connection) => {
                let master = Route::with_key(key, SlotAddr::Master);
                let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(master));
                let answer = connection.route_command(wait, routing).await?;
                from_redis_value(answer).map_err(RedisError::from)?
            }
        };
        if have >= wanted {
            return Ok(());
        }
        let sentence = format!("{have} of {wanted} replicas have it so far");
        Err(StoreError::Unconfirmed(sentence).into())
    }

    /// The value of a key of this store.
    pub async fn get(&mut self, key: Key) -> Result<Option<Vec<u8>>, Failure> {
        let mut pipeline = pipe();
        pipeline.get(key);
        Ok(self.read::<(Option<Vec<u8>>,)>(pipeline).await?.0)
    }

    /// The answers to all commands of a pipeline, if it is this store that gives them. The epoch comes last: what was
    /// missing before was missing in this store.
    pub async fn read<T: FromRedisValue>(&mut self, mut pipeline: Pipeline) -> Result<T, Failure> {
        pipeline.get(self.keys.epoch());
        let mut answers: Vec<Value> = pipeline.query_async(&mut self.link).await?;
        let epoch: Option<String> = from_redis_value(answers.pop().unwrap_or_default()).map_err(RedisError::from)?;
        if epoch.as_deref() != Some(&*self.epoch) {
            return Err(Failure::gone());
        }
        let answers = Value::Array(answers);
        Ok(from_redis_value(answers).map_err(RedisError::from)?)
    }
}

/// A number as Redis takes it.
pub fn text(number: &(impl ToString + ?Sized)) -> Vec<u8> {
    number.to_string().into_bytes()
}
