//! Commands on the entries of streams.

use e2e::resp::Reply;

use super::parse::{at, is, natural, syntax};
use super::stream::EntryFields;
use super::{Bytes, Db, Id, Result, Stream, bulk, integer};

/// How a stream is trimmed.
enum Trim {
    Nothing,
    MinId(Id),
    MaxLen(u64),
}

impl Trim {
    /// `MAXLEN` or `MINID`, `=` or `~`, and the bound; also returns how many arguments that is.
    fn parse(arguments: &[Bytes]) -> Result<Option<(Self, usize)>> {
        let word = at(arguments, 0)?;
        let (is_length, is_id) = (is(word, "MAXLEN"), is(word, "MINID"));
        if !is_length && !is_id {
            return Ok(None);
        }
        let is_rough = is(at(arguments, 1)?, "~");
        let mut index = 1 + usize::from(is_rough || is(at(arguments, 1)?, "="));
        let bound = at(arguments, index)?;
        let trim = if is_length {
            Self::MaxLen(natural(bound)?)
        } else {
            Self::MinId(
                Id::parse(bound, 0).ok_or("ERR Invalid stream ID specified as stream command argument")?,
            )
        };
        index += 1;
        if arguments.get(index).is_some_and(|word| is(word, "LIMIT")) {
            natural(at(arguments, index + 1)?)?;
            index += 2;
        }
        // Only whole nodes of 100 entries would be removed.
        Ok(Some((if is_rough { Self::Nothing } else { trim }, index)))
    }

    /// Returns how many entries it removed.
    fn apply(&self, stream: &mut Stream) -> usize {
        let before = stream.entries.len();
        match self {
            Self::Nothing => {}
            Self::MinId(id) => stream.entries.retain(|own, _| own >= id),
            Self::MaxLen(most) => {
                while stream.entries.len() as u64 > *most {
                    stream.entries.pop_first();
                }
            }
        }
        before - stream.entries.len()
    }
}

pub(super) fn xadd(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (mut index, mut trim) = (1, Trim::Nothing);
    if let Some((own, length)) = Trim::parse(&arguments[index..])? {
        (trim, index) = (own, index + length);
    }
    let wanted = at(arguments, index)?;
    let fields = &arguments[index + 1..];
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err("ERR wrong number of arguments for 'xadd' command".to_owned());
    }
    let is_zero = Id::parse(wanted, 0) == Some(Id::default());
    if is_zero {
        return Err("ERR The ID specified in XADD must be greater than 0-0".to_owned());
    }
    let last = db.get::<Stream>(&arguments[0])?.map_or(Id::default(), |stream| stream.last);
    let id = if wanted == b"*" {
        let id = if db.now > last.0 { Some(Id(db.now, 0)) } else { last.next() };
        id.ok_or("ERR The stream has exhausted the last possible ID, unable to add more items")?
    } else {
        Id::parse(wanted, 0).ok_or("ERR Invalid stream ID specified as stream command argument")?
    };
    if id <= last {
        return Err(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item".to_owned()
        );
    }
    db.change_or_create(&arguments[0], |stream: &mut Stream| {
        stream.entries.insert(id, fields.into());
        stream.last = id;
        trim.apply(stream);
    })?;
    Ok(bulk(id.to_string()))
}

pub(super) fn xdel(db: &mut Db, arguments: &[Bytes]) -> Result {
    let ids = ids(&arguments[1..])?;
    let deleted = db.change(&arguments[0], |stream: &mut Stream| {
        ids.iter().filter(|id| stream.entries.remove(id).is_some()).count()
    })?;
    Ok(integer(deleted.unwrap_or(0)))
}

/// Ids of entries.
pub(super) fn ids(arguments: &[Bytes]) -> Result<Vec<Id>> {
    let id = |text: &Bytes| Id::parse(text, 0);
    let ids: Option<Vec<Id>> = arguments.iter().map(id).collect();
    ids.ok_or_else(|| "ERR Invalid stream ID specified as stream command argument".to_owned())
}

pub(super) fn xlen(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(integer(db.get::<Stream>(&arguments[0])?.map_or(0, |stream| stream.entries.len())))
}

pub(super) fn xtrim(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (trim, length) = Trim::parse(&arguments[1..])?.ok_or_else(syntax)?;
    if length + 1 != arguments.len() {
        return Err(syntax());
    }
    Ok(integer(db.change(&arguments[0], |stream: &mut Stream| trim.apply(stream))?.unwrap_or(0)))
}

/// An entry as a reply.
pub(super) fn entry((id, fields): (&Id, &EntryFields)) -> Reply {
    let fields = fields.iter().map(|part| bulk(part.clone())).collect();
    Reply::Array(vec![bulk(id.to_string()), Reply::Array(fields)])
}

/// The number after `COUNT`.
fn count(arguments: &[Bytes]) -> Result<usize> {
    match arguments {
        [] => Ok(usize::MAX),
        [word, count] if is(word, "COUNT") => usize::try_from(natural(count)?).map_err(|_| syntax()),
        _ => Err(syntax()),
    }
}

pub(super) fn xrange(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (from, to) = (Id::start(&arguments[1])?, Id::end(&arguments[2])?);
    let most = count(&arguments[3..])?;
    let Some(stream) = db.get::<Stream>(&arguments[0])? else { return Ok(Reply::Array(vec![])) };
    Ok(Reply::Array(stream.range(from, to).take(most).map(entry).collect()))
}

pub(super) fn xrevrange(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (to, from) = (Id::end(&arguments[1])?, Id::start(&arguments[2])?);
    let most = count(&arguments[3..])?;
    let Some(stream) = db.get::<Stream>(&arguments[0])? else { return Ok(Reply::Array(vec![])) };
    Ok(Reply::Array(stream.range(from, to).rev().take(most).map(entry).collect()))
}
