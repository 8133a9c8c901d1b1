//! Commands on consumer groups.

use e2e::resp::Reply;

use super::parse::{at, integer as number, is, natural, syntax};
use super::stream::{EntryFields, Group, Pending};
use super::streams::{entry, ids};
use super::{Bytes, Db, Id, Release, Result, Stream, bulk, integer, ok};

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist.";

fn no_group(key: &[u8], group: &[u8]) -> String {
    let [key, group] = [key, group].map(String::from_utf8_lossy);
    format!("NOGROUP No such key '{key}' or consumer group '{group}'")
}

/// A stream and a group of it.
fn found<'a>(db: &'a Db, key: &[u8], group: &[u8]) -> Result<(&'a Stream, &'a Group)> {
    let stream = db.get::<Stream>(key)?.ok_or_else(|| no_group(key, group))?;
    Ok((stream, stream.groups.get(group).ok_or_else(|| no_group(key, group))?))
}

pub(super) fn xinfo(db: &mut Db, arguments: &[Bytes]) -> Result {
    let stream = db.get::<Stream>(&arguments[1])?.ok_or("ERR no such key")?;
    let named = |pairs: Vec<(&str, Reply)>| {
        Reply::Array(pairs.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
    };
    let group = |(name, group): (&Bytes, &Group)| {
        named(vec![
            ("name", bulk(name.clone())),
            ("consumers", integer(group.consumers.len())),
            ("pending", integer(group.pending.len())),
            ("last-delivered-id", bulk(group.delivered.to_string())),
        ])
    };
    match arguments[0].to_ascii_uppercase().as_slice() {
        b"GROUPS" => Ok(Reply::Array(stream.groups.iter().map(group).collect())),
        b"STREAM" => Ok(named(vec![
            ("length", integer(stream.entries.len())),
            ("last-generated-id", bulk(stream.last.to_string())),
        ])),
        _ => Err(syntax()),
    }
}

pub(super) fn xgroup(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (key, name) = (&arguments[1], &arguments[2]);
    let exists = db.get::<Stream>(key)?.is_some();
    let command = arguments[0].to_ascii_uppercase();
    if command == b"CREATE" {
        let start = at(arguments, 3)?;
        let is_made = arguments.get(4).is_some_and(|word| is(word, "MKSTREAM"));
        let wrong = "ERR Invalid stream ID specified as stream command argument";
        let start = if start == b"$" { None } else { Some(Id::parse(start, 0).ok_or(wrong)?) };
        if !exists && !is_made {
            return Err(NO_KEY.to_owned());
        }
        if db.get::<Stream>(key)?.is_some_and(|stream| stream.groups.contains_key(name)) {
            return Err("BUSYGROUP Consumer Group name already exists".to_owned());
        }
        db.change_or_create(key, |stream: &mut Stream| {
            let delivered = start.unwrap_or(stream.last);
            stream.groups.insert(name.clone(), Group { delivered, ..Group::default() });
        })?;
        return Ok(ok());
    }
    if !exists {
        return Err(NO_KEY.to_owned());
    }
    if command == b"DESTROY" {
        let gone = db.change(key, |stream: &mut Stream| stream.groups.remove(name).is_some())?;
        return Ok(integer(gone.unwrap_or(false).into()));
    }
    found(db, key, name).map_err(|_| "NOGROUP No such consumer group for key name".to_owned())?;
    let argument = at(arguments, 3)?;
    match command.as_slice() {
        b"DELCONSUMER" => Ok(integer(change_group(db, key, name, |_, group| {
            let before = group.pending.len();
            group.pending.retain(|_, pending| pending.consumer != argument);
            group.consumers.remove(argument);
            before - group.pending.len()
        })?)),
        b"SETID" => {
            let id = if argument == b"$" { None } else { Some(Id::parse(argument, 0).ok_or_else(syntax)?) };
            change_group(db, key, name, |last, group| group.delivered = id.unwrap_or(last))?;
            Ok(ok())
        }
        _ => Err(syntax()),
    }
}

/// Changes a group that exists. `change` also gets the last id of the stream.
fn change_group<T>(
    db: &mut Db,
    key: &[u8],
    name: &[u8],
    change: impl FnOnce(Id, &mut Group) -> T,
) -> Result<T> {
    let changed = db.change(key, |stream: &mut Stream| {
        let last = stream.last;
        stream.groups.get_mut(name).map(|group| change(last, group))
    })?;
    changed.flatten().ok_or_else(|| no_group(key, name))
}

pub(super) fn xack(db: &mut Db, arguments: &[Bytes]) -> Result {
    // A missing key or group is no error.
    if db.get::<Stream>(&arguments[0])?.is_none_or(|stream| !stream.groups.contains_key(&arguments[1])) {
        return Ok(integer(0));
    }
    let ids = ids(&arguments[2..])?;
    change_group(db, &arguments[0], &arguments[1], |_, group| {
        integer(ids.iter().filter(|id| group.pending.remove(id).is_some()).count())
    })
}

/// Only new entries, from one stream.
pub(super) fn xreadgroup(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (mut most, mut index) = (usize::MAX, 3);
    if is(at(arguments, index)?, "COUNT") {
        most = usize::try_from(natural(at(arguments, index + 1)?)?).map_err(|_| syntax())?;
        index += 2;
    }
    let (key, group, consumer) = (at(arguments, index + 1)?.to_vec(), &arguments[1], &arguments[2]);
    if !is(&arguments[0], "GROUP") || !is(&arguments[index], "STREAMS") || at(arguments, index + 2)? != b">" {
        return Err(syntax());
    }
    let (stream, known) = found(db, &key, group)?;
    let from = known.delivered.next();
    let new: Vec<(Id, EntryFields)> = from
        .map(|from| {
            stream.range(from, Id::MAX).take(most).map(|(id, fields)| (*id, fields.clone())).collect()
        })
        .unwrap_or_default();
    let now = db.now;
    if new.is_empty() && db.release < Release::Later {
        return Ok(Reply::Nil);
    }
    change_group(db, &key, group, |_, group| {
        group.consumers.insert(consumer.clone());
        for (id, _) in &new {
            let pending = Pending { consumer: consumer.clone(), delivered_at: now, count: 1 };
            group.pending.insert(*id, pending);
            group.delivered = *id;
        }
    })?;
    if new.is_empty() {
        return Ok(Reply::Nil);
    }
    let entries = new.iter().map(|(id, fields)| entry((id, fields))).collect();
    Ok(Reply::Array(vec![Reply::Array(vec![bulk(key), Reply::Array(entries)])]))
}

/// Only the form with a range.
pub(super) fn xpending(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (mut index, mut idle_min) = (2, 0);
    if is(at(arguments, index)?, "IDLE") {
        idle_min = number(at(arguments, index + 1)?)?;
        index += 2;
    }
    let (from, to) = (Id::start(at(arguments, index)?)?, Id::end(at(arguments, index + 1)?)?);
    let most = usize::try_from(number(at(arguments, index + 2)?)?).unwrap_or(0);
    let consumer = arguments.get(index + 3);
    let (_, group) = found(db, &arguments[0], &arguments[1])?;
    let idle =
        |pending: &Pending| i64::try_from(db.now.saturating_sub(pending.delivered_at)).unwrap_or(i64::MAX);
    let rows = group.pending.iter().filter(|(id, _)| (from..=to).contains(*id));
    let rows = rows.filter(|(_, pending)| consumer.is_none_or(|own| pending.consumer == *own));
    let rows = rows.filter(|(_, pending)| idle(pending) >= idle_min).take(most);
    let row = |(id, pending): (&Id, &Pending)| {
        let count = i64::try_from(pending.count).unwrap_or(i64::MAX);
        let numbers = [Reply::Integer(idle(pending)), Reply::Integer(count)];
        Reply::Array(
            [bulk(id.to_string()), bulk(pending.consumer.clone())].into_iter().chain(numbers).collect(),
        )
    };
    Ok(Reply::Array(rows.map(row).collect()))
}

/// The options of `XCLAIM`.
#[derive(Default)]
struct Claim {
    release: Release,
    delivered_at: u64,
    count: Option<u64>,
    is_forced: bool,
    is_id_only: bool,
}

/// Every entry is claimed, whatever its idle time: the minimum must be 0.
pub(super) fn xclaim(db: &mut Db, arguments: &[Bytes]) -> Result {
    let is_id = |text: &&Bytes| Id::parse(text, 0).is_some();
    let length = arguments[4..].iter().take_while(is_id).count();
    let ids = ids(&arguments[4..4 + length])?;
    let mut claim = Claim { release: db.release, delivered_at: db.now, ..Claim::default() };
    let mut index = 4 + length;
    while index < arguments.len() {
        if is(&arguments[index], "FORCE") {
            claim.is_forced = true;
        } else if is(&arguments[index], "JUSTID") {
            claim.is_id_only = true;
        } else if is(&arguments[index], "IDLE") {
            index += 1;
            claim.delivered_at = db.now.saturating_sub(natural(at(arguments, index)?)?);
        } else if is(&arguments[index], "RETRYCOUNT") {
            index += 1;
            claim.count = Some(natural(at(arguments, index)?)?);
        } else {
            return Err(format!(
                "ERR Unrecognized XCLAIM option '{}'",
                String::from_utf8_lossy(&arguments[index])
            ));
        }
        index += 1;
    }
    found(db, &arguments[0], &arguments[1])?;
    let claimed =
        db.change(&arguments[0], |stream: &mut Stream| claim.apply(stream, &arguments[1..3], &ids))?;
    Ok(Reply::Array(claimed.unwrap_or_default()))
}

impl Claim {
    /// Returns the claimed entries, or their ids.
    fn apply(&self, stream: &mut Stream, names: &[Bytes], ids: &[Id]) -> Vec<Reply> {
        let Stream { entries, groups, .. } = stream;
        let Some(group) = groups.get_mut(&names[0]) else { return vec![] };
        let consumer = &names[1];
        if self.release >= Release::Later {
            group.consumers.insert(consumer.clone());
        }
        let mut claimed = vec![];
        for id in ids {
            let fields = entries.get(id);
            if fields.is_none() {
                // Deleted while it was pending.
                if self.release > Release::Six {
                    group.pending.remove(id);
                }
                if !group.pending.contains_key(id) {
                    continue;
                }
            }
            let new = || Pending { consumer: consumer.clone(), delivered_at: 0, count: 1 };
            let pending = match group.pending.get_mut(id) {
                Some(pending) => pending,
                None if self.is_forced => group.pending.entry(*id).or_insert_with(new),
                None => continue,
            };
            pending.consumer.clone_from(consumer);
            pending.delivered_at = self.delivered_at;
            pending.count = self.count.unwrap_or(pending.count + u64::from(!self.is_id_only));
            group.consumers.insert(consumer.clone());
            claimed.push(match fields {
                _ if self.is_id_only => bulk(id.to_string()),
                Some(fields) => entry((id, fields)),
                None => Reply::Nil,
            });
        }
        claimed
    }
}
