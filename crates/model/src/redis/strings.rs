//! Commands on texts, and on keys of any type.

use std::sync::Arc;

use e2e::resp::Reply;

use super::parse::{at, integer as number, is, natural, syntax};
use super::{Bytes, Db, Entry, Result, Value, bulk, integer, ok};

pub(super) fn time(db: &mut Db, _: &[Bytes]) -> Result {
    let micros = db.now % 1000 * 1000;
    Ok(Reply::Array(vec![bulk((db.now / 1000).to_string()), bulk(micros.to_string())]))
}

pub(super) fn get(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(db.get::<Bytes>(&arguments[0])?.map_or(Reply::Nil, |text| bulk(text.clone())))
}

pub(super) fn set(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (mut expires, mut is_new_only, mut index) = (None, false, 2);
    while index < arguments.len() {
        if is(&arguments[index], "NX") {
            is_new_only = true;
        } else if is(&arguments[index], "PX") {
            index += 1;
            let millis = number(at(arguments, index)?)?;
            if millis <= 0 {
                return Err("ERR invalid expire time in 'set' command".to_owned());
            }
            expires = Some(db.now.saturating_add(millis.unsigned_abs()));
        } else {
            return Err(syntax());
        }
        index += 1;
    }
    if is_new_only && db.keys.contains_key(&arguments[0]) {
        return Ok(Reply::Nil);
    }
    let value = Arc::new(Value::Text(arguments[1].clone()));
    db.keys.insert(arguments[0].clone(), Entry { value, expires });
    Ok(ok())
}

pub(super) fn del(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(integer(arguments.iter().filter(|key| db.keys.remove(*key).is_some()).count()))
}

pub(super) fn exists(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(integer(arguments.iter().filter(|key| db.keys.contains_key(*key)).count()))
}

pub(super) fn type_name(db: &mut Db, arguments: &[Bytes]) -> Result {
    let name = db.keys.get(&arguments[0]).map_or("none", |entry| entry.value.type_name());
    Ok(Reply::Simple(name.to_owned()))
}

pub(super) fn pexpire(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (millis, now) = (number(&arguments[1])?, db.now);
    let Some(entry) = db.keys.get_mut(&arguments[0]) else { return Ok(integer(0)) };
    match u64::try_from(millis) {
        Ok(millis) if millis > 0 => entry.expires = Some(now.saturating_add(millis)),
        _ => drop(db.keys.remove(&arguments[0])),
    }
    Ok(integer(1))
}

pub(super) fn pttl(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(match db.keys.get(&arguments[0]).map(|entry| entry.expires) {
        None => Reply::Integer(-2),
        Some(None) => Reply::Integer(-1),
        Some(Some(expires)) => {
            Reply::Integer(i64::try_from(expires - db.now.min(expires)).unwrap_or(i64::MAX))
        }
    })
}

pub(super) fn setrange(db: &mut Db, arguments: &[Bytes]) -> Result {
    let from = usize::try_from(natural(&arguments[1])?).map_err(|_| syntax())?;
    let part = &arguments[2];
    if part.is_empty() {
        return Ok(integer(db.get::<Bytes>(&arguments[0])?.map_or(0, Vec::len)));
    }
    let length = db.change_or_create(&arguments[0], |text: &mut Bytes| {
        text.resize(text.len().max(from + part.len()), 0);
        text[from..from + part.len()].copy_from_slice(part);
        text.len()
    })?;
    Ok(integer(length))
}

/// Only whole 32-bit numbers without a sign, at offsets that are multiples of 32, and the overflow that wraps.
pub(super) fn bitfield(db: &mut Db, arguments: &[Bytes]) -> Result {
    let mut operations = vec![];
    let mut index = 1;
    while index < arguments.len() {
        let offset = usize::try_from(natural(at(arguments, index + 2)?)?).map_err(|_| syntax())?;
        if !is(at(arguments, index + 1)?, "u32") || offset % 32 != 0 {
            return Err("ERR the model has only BITFIELD of u32".to_owned());
        }
        let value = match arguments[index].to_ascii_uppercase().as_slice() {
            b"GET" => None,
            word @ (b"SET" | b"INCRBY") => {
                let value = number(at(arguments, index + 3)?)?;
                index += 1;
                Some((word == b"INCRBY", value))
            }
            _ => return Err(syntax()),
        };
        operations.push((offset / 8, value));
        index += 3;
    }
    db.change_or_create(&arguments[0], |text: &mut Bytes| {
        Reply::Array(operations.into_iter().map(|(at, value)| change_number(text, at, value)).collect())
    })
}

/// Reads a number, or sets it and returns the old one, or adds to it and returns the new one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn change_number(text: &mut Bytes, at: usize, value: Option<(bool, i64)>) -> Reply {
    let mut bytes = [0; 4];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = text.get(at + index).copied().unwrap_or(0);
    }
    let old = u32::from_be_bytes(bytes);
    let (new, returned) = match value {
        None => return Reply::Integer(old.into()),
        Some((true, by)) => {
            let new = old.wrapping_add(by as u32);
            (new, new)
        }
        Some((false, new)) => (new as u32, old),
    };
    text.resize(text.len().max(at + 4), 0);
    text[at..at + 4].copy_from_slice(&new.to_be_bytes());
    Reply::Integer(returned.into())
}
