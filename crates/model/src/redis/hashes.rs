//! Commands on hashes.

use std::collections::BTreeMap;

use e2e::resp::Reply;

use super::parse::integer as number;
use super::{Bytes, Db, Result, bulk, integer};

type Hash = BTreeMap<Bytes, Bytes>;

fn optional(value: Option<&Bytes>) -> Reply {
    value.map_or(Reply::Nil, |value| bulk(value.clone()))
}

pub(super) fn hset(db: &mut Db, arguments: &[Bytes]) -> Result {
    if arguments.len().is_multiple_of(2) {
        return Err("ERR wrong number of arguments for 'hset' command".to_owned());
    }
    let pairs = arguments[1..].chunks_exact(2);
    let new = db.change_or_create(&arguments[0], |hash: &mut Hash| {
        pairs.filter(|pair| hash.insert(pair[0].clone(), pair[1].clone()).is_none()).count()
    })?;
    Ok(integer(new))
}

pub(super) fn hdel(db: &mut Db, arguments: &[Bytes]) -> Result {
    let deleted = db.change(&arguments[0], |hash: &mut Hash| {
        arguments[1..].iter().filter(|field| hash.remove(*field).is_some()).count()
    })?;
    Ok(integer(deleted.unwrap_or(0)))
}

pub(super) fn hget(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(optional(db.get::<Hash>(&arguments[0])?.and_then(|hash| hash.get(&arguments[1]))))
}

pub(super) fn hmget(db: &mut Db, arguments: &[Bytes]) -> Result {
    let hash = db.get::<Hash>(&arguments[0])?;
    let values = arguments[1..].iter().map(|field| optional(hash.and_then(|hash| hash.get(field))));
    Ok(Reply::Array(values.collect()))
}

pub(super) fn hgetall(db: &mut Db, arguments: &[Bytes]) -> Result {
    let pairs = db.get::<Hash>(&arguments[0])?.into_iter().flatten();
    Ok(Reply::Array(pairs.flat_map(|(field, value)| [bulk(field.clone()), bulk(value.clone())]).collect()))
}

pub(super) fn hkeys(db: &mut Db, arguments: &[Bytes]) -> Result {
    let fields = db.get::<Hash>(&arguments[0])?.into_iter().flat_map(BTreeMap::keys);
    Ok(Reply::Array(fields.map(|field| bulk(field.clone())).collect()))
}

pub(super) fn hexists(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(integer(db.get::<Hash>(&arguments[0])?.is_some_and(|hash| hash.contains_key(&arguments[1])).into()))
}

pub(super) fn hlen(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(integer(db.get::<Hash>(&arguments[0])?.map_or(0, BTreeMap::len)))
}

pub(super) fn hincrby(db: &mut Db, arguments: &[Bytes]) -> Result {
    let by = number(&arguments[2])?;
    // Check first: a refused command creates nothing.
    let old = db.get::<Hash>(&arguments[0])?.and_then(|hash| hash.get(&arguments[1]));
    let old =
        old.map_or(Ok(0), |old| number(old).map_err(|_| "ERR hash value is not an integer".to_owned()))?;
    let new = old.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    db.change_or_create(&arguments[0], |hash: &mut Hash| {
        hash.insert(arguments[1].clone(), new.to_string().into_bytes());
        Reply::Integer(new)
    })
}

/// Everything in one page.
pub(super) fn hscan(db: &mut Db, arguments: &[Bytes]) -> Result {
    number(&arguments[1]).map_err(|_| "ERR invalid cursor".to_owned())?;
    Ok(Reply::Array(vec![bulk("0"), hgetall(db, &arguments[..1])?]))
}
