//! The keys of `postrider certify`: what it claims, finds and removes.

use std::collections::{BTreeSet, HashMap};

use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{CustomCommand, Key, Value};
use fred_otel::Command;

use super::server::parse_info;
use super::{Inspector, array, text};
use crate::job::FlowId;
use crate::redis::{Error, Keys, unexpected};

/// Keys that a page of a scan looks at.
const SCAN_COUNT: &str = "1000";

impl Inspector {
    /// Writes the claim of a run, unless there is one. Returns the claim that was there.
    ///
    /// # Errors
    /// fred's.
    pub async fn claim(&self, claim: &str) -> Result<Option<String>, Error> {
        let args = vec![Keys::claim().into(), claim.into(), "NX".into()];
        let key = Keys::claim();
        match self.command("SET", Some(&key), args).await? {
            Value::Null => self.claimed().await,
            _ => Ok(None),
        }
    }

    /// The claim of a run; `None` if there is none.
    ///
    /// # Errors
    /// fred's.
    pub async fn claimed(&self) -> Result<Option<String>, Error> {
        let key = Keys::claim();
        match self.command("GET", Some(&key), vec![key.clone().into()]).await? {
            Value::Null => Ok(None),
            claim => text(&claim).map(Some),
        }
    }

    /// Replaces the claim of a run, if there is one.
    ///
    /// # Errors
    /// fred's.
    pub async fn renew_claim(&self, claim: &str) -> Result<(), Error> {
        let key = Keys::claim();
        self.command("SET", Some(&key), vec![key.clone().into(), claim.into(), "XX".into()]).await.map(drop)
    }

    /// Removes the claim of a run.
    ///
    /// # Errors
    /// fred's.
    pub async fn remove_claim(&self) -> Result<(), Error> {
        let key = Keys::claim();
        self.command("UNLINK", Some(&key), vec![key.clone().into()]).await.map(drop)
    }

    /// All keys of queues whose name begins with this, and the state of these flows, sorted. Looks at every key of the
    /// server, or of each node of a cluster.
    ///
    /// # Errors
    /// fred's.
    pub async fn keys_of(&self, queue_prefix: &str, flows: &[FlowId]) -> Result<Vec<String>, Error> {
        let pattern = format!("postrider:{{{queue_prefix}*");
        let scan = |client: Client| {
            let pattern = pattern.clone();
            async move { scan(client, &pattern).await }
        };
        let found = self.redis.on_each_node(Command::new("SCAN"), scan).await?;
        let mut keys: BTreeSet<String> = found.into_iter().flatten().collect();
        for flow in flows {
            let key = Keys::limits(*flow);
            if self.command("EXISTS", Some(&key), vec![key.clone().into()]).await?.as_u64() == Some(1) {
                keys.insert(key.as_str_lossy().into_owned());
            }
        }
        Ok(keys.into_iter().collect())
    }

    /// Removes keys.
    ///
    /// # Errors
    /// fred's.
    pub async fn remove_keys(&self, keys: &[String]) -> Result<(), Error> {
        for name in keys {
            let key = Key::from(name.as_str());
            let unlink = |client: Client| {
                let key = key.clone();
                async move { client.unlink::<Value, _>(key).await }
            };
            self.redis.run(Some(&key), Command::new("UNLINK"), unlink).await?;
        }
        Ok(())
    }

    /// The INFO of the server, or of each node of a cluster that owns slots, by name.
    ///
    /// # Errors
    /// fred's, also if this user may not call INFO.
    pub async fn node_infos(&self) -> Result<Vec<HashMap<String, String>>, Error> {
        let info = |client: Client| async move {
            let command = CustomCommand::new_static("INFO", None, false);
            client.custom::<String, Value>(command, vec![]).await
        };
        let infos = self.redis.on_each_node(Command::new("INFO"), info).await?;
        Ok(infos.iter().map(|info| parse_info(info)).collect())
    }
}

impl Inspector {
    /// Makes the server, or each node of a cluster, forget all scripts.
    ///
    /// # Errors
    /// fred's.
    pub async fn flush_scripts(&self) -> Result<(), Error> {
        let flush = |client: Client| async move {
            let command = CustomCommand::new_static("SCRIPT", None, false);
            client.custom::<Value, Value>(command, vec!["FLUSH".into()]).await
        };
        self.redis.on_each_node(Command::new("SCRIPT"), flush).await.map(drop)
    }
}

/// All keys of one server that match a pattern.
async fn scan(client: Client, pattern: &str) -> Result<Vec<String>, Error> {
    let (mut keys, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let args: Vec<Value> =
            vec![cursor.as_str().into(), "MATCH".into(), pattern.into(), "COUNT".into(), SCAN_COUNT.into()];
        let reply: Value = client.custom(CustomCommand::new_static("SCAN", None, false), args).await?;
        let [next, page] = <[Value; 2]>::try_from(array(reply)?).map_err(|_| unexpected())?;
        for key in array(page)? {
            keys.push(text(&key)?);
        }
        cursor = text(&next)?;
        if cursor == "0" {
            return Ok(keys);
        }
    }
}
