//! What a producer reads of a queue before it enqueues, and remembers for a moment.

use fred::error::Error;

use super::args::number;
use super::client::Redis;
use super::keys::{Keys, QueueName};
use super::producers::KeyHomes;

impl Redis {
    /// How many shards a queue has for producers, as of a moment ago.
    ///
    /// # Errors
    /// fred's.
    pub(crate) async fn recent_shards(&self, name: &QueueName) -> Result<u32, Error> {
        if let Some(count) = self.producers.count(name) {
            return Ok(count);
        }
        let count = self.shards(name).await?.now;
        self.producers.set_count(name, count);
        Ok(count)
    }

    /// The reply of the script `key_homes`, as of a moment ago.
    ///
    /// # Errors
    /// fred's.
    pub(crate) async fn recent_key_homes(
        &self,
        name: &QueueName,
        ttl_millis: u64,
    ) -> Result<Vec<u64>, Error> {
        match self.producers.key_homes(name, ttl_millis) {
            Some(reply) => Ok(reply),
            None => self.key_homes(name, ttl_millis).await,
        }
    }

    /// The reply of the script `key_homes`.
    ///
    /// # Errors
    /// fred's.
    pub(crate) async fn key_homes(&self, name: &QueueName, ttl_millis: u64) -> Result<Vec<u64>, Error> {
        let keys = vec![Keys::meta(name)];
        let reply = self.scripts.key_homes.poll(&self.connection, keys, vec![number(ttl_millis)]).await?;
        let reply: Vec<u64> = reply.convert()?;
        self.producers.set_key_homes(name, KeyHomes { ttl_millis, reply: reply.clone() });
        Ok(reply)
    }
}
